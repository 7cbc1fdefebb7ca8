//! What a file is divided into: bytes that are unpacked while they are read, and where a piece of them can end.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::record_batch::RecordBatch;
use flate2::read::MultiGzDecoder;

/// Unpacked bytes, and how many of the file's own were read for them.
pub(super) fn open(file: Option<&Path>) -> Result<(Box<dyn Read>, Arc<AtomicU64>)> {
    let read = Arc::new(AtomicU64::new(0));
    let raw: Box<dyn Read> = match file {
        Some(path) => Box::new(File::open(path).with_context(|| format!("read {}", path.display()))?),
        None => Box::new(std::io::stdin()),
    };
    let mut counted = BufReader::with_capacity(1 << 16, Counted { inner: raw, read: read.clone() });
    let start = counted.fill_buf()?;
    let source: Box<dyn Read> = match start {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(counted)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(counted)?),
        _ => Box::new(counted),
    };
    Ok((source, read))
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Where a piece can end: at the last newline that does not stand in a quoted text, as far as quotes can be trusted.
pub(super) fn piece_end(bytes: &[u8]) -> usize {
    let (mut last, mut last_outside, mut is_quoted) = (0, 0, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' if at == 0 || bytes[at - 1] != b'\\' => is_quoted = !is_quoted,
            b'\n' => {
                last = at + 1;
                if !is_quoted {
                    last_outside = last;
                }
            }
            _ => {}
        }
    }
    if last_outside > 0 { last_outside } else { last }
}

/// The batches of a stream, or of a file, which is told by its first bytes.
pub(super) fn batches_of(
    mut source: Box<dyn Read>,
) -> Result<Box<dyn Iterator<Item = arrow::error::Result<RecordBatch>>>> {
    let mut start = Vec::new();
    source.by_ref().take(6).read_to_end(&mut start)?;
    if start == b"ARROW1" {
        // A file's end says where its batches are.
        source.read_to_end(&mut start)?;
        return Ok(Box::new(FileReader::try_new(Cursor::new(start), None)?));
    }
    Ok(Box::new(StreamReader::try_new(Cursor::new(start).chain(source), None)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_outside_of_quotes_if_it_can() {
        assert_eq!(piece_end(b"a\nb\nc"), 4);
        assert_eq!(piece_end(b"a s=\"x\ny\" 1\nb s=\"x\ny"), 12);
        assert_eq!(piece_end(b"a\\\"b\nc"), 5);
        assert_eq!(piece_end(b"a=\"b\nc"), 5, "quotes that are none");
        assert_eq!(piece_end(b"abc"), 0);
    }
}
