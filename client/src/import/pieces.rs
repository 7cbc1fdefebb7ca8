//! What a file is divided into: bytes that are unpacked while they are read, and where a piece of them can end.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

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

/// What lines of a file say of those behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Stands before every piece: rows of names and types.
    pub head: Vec<u8>,
    /// The database that a dump of InfluxDB is of.
    pub database: Option<String>,
}

/// How many bytes at the start of a CSV are rows of names and types. With annotations, as InfluxDB 2 writes it, all of
/// those and the row of names behind them; `None` if more has to be read.
pub(super) fn csv_head(text: &[u8], is_row_of_types: fn(&[u8]) -> bool, is_all: bool) -> Option<usize> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').map(|line| (line.len(), line));
    let (first, line) = lines.next()?;
    if line.trim_ascii().is_empty() && first < text.len() {
        return csv_head(&text[first..], is_row_of_types, is_all).map(|length| first + length);
    }
    if !is_annotation(line) {
        return match lines.next() {
            Some((second, line)) if line.ends_with(b"\n") || is_all => {
                Some(first + if is_row_of_types(line) { second } else { 0 })
            }
            _ if is_all => Some(first),
            _ => None,
        };
    }
    let mut length = first;
    for (bytes, line) in lines {
        length += bytes;
        if !is_annotation(line) {
            return (line.ends_with(b"\n") || is_all).then_some(length);
        }
    }
    is_all.then_some(length)
}

/// Does an annotated CSV begin here? Files may begin with a mark of the byte order.
pub(super) fn is_annotation(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    [&b"#datatype"[..], b"#group", b"#default", b"#constant"].iter().any(|word| line.starts_with(word))
}

/// Where the first empty line ends, behind which another table of an annotated CSV begins.
pub(super) fn table_end(text: &[u8]) -> Option<usize> {
    let mut end = 0;
    text.split_inclusive(|byte| *byte == b'\n').find_map(|line| {
        end += line.len();
        (line.ends_with(b"\n") && line.trim_ascii().is_empty()).then_some(end)
    })
}

/// The first line of a dump of InfluxDB 1 that is no row: where it begins and ends, and the database that it names.
///
/// `influx_inspect export` writes `# DDL`, statements, `# DML`, and `# CONTEXT-DATABASE:name` before rows.
pub(super) fn directive(text: &[u8]) -> Option<(usize, usize, Option<String>)> {
    let mut start = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.len();
        let line = line.trim_ascii();
        if let Some(name) = line.strip_prefix(b"# CONTEXT-DATABASE:") {
            return Some((start, end, Some(String::from_utf8_lossy(name).trim().to_owned())));
        }
        if line.starts_with(b"CREATE DATABASE ") || line.starts_with(b"CREATE RETENTION POLICY ") {
            return Some((start, end, None));
        }
        start = end;
    }
    None
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

/// The batches of a stream of Arrow, or of a file of Arrow or Parquet, which are told by their first bytes.
pub(super) fn batches_of(
    mut source: Box<dyn Read>,
) -> Result<Box<dyn Iterator<Item = arrow::error::Result<RecordBatch>>>> {
    let mut start = Vec::new();
    source.by_ref().take(6).read_to_end(&mut start)?;
    if start.starts_with(b"PAR1") {
        // As with Arrow: its end says where its rows are.
        source.read_to_end(&mut start)?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(start))?;
        // That of its batches lacks what is said of the whole: the measurement.
        let schema = reader.schema().clone();
        return Ok(Box::new(reader.build()?.map(move |batch| batch?.with_schema(schema.clone()))));
    }
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
    fn heads_are_what_stands_before_rows() {
        let types = |line: &[u8]| line.starts_with(b"time,");
        for (text, is_all, expected) in [
            (&b"a,b\n1,2\n"[..], false, Some(4)),
            (b"a,b\ntime,tag\n1,2\n", false, Some(13)),
            (b"a,b\n", false, None),
            (b"a,b\n", true, Some(4)),
            (b"a,b", true, Some(3)),
            (b"#group,false\n#datatype,long\n,a\n,1\n", false, Some(31)),
            (b"#group,false\n#datatype,long\n", false, None),
            (b"", true, None),
        ] {
            assert_eq!(csv_head(text, types, is_all), expected, "{:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(table_end(b",1\r\n\r\n#group"), Some(6));
        assert_eq!(table_end(b",1\n,2\n"), None);
    }

    #[test]
    fn dumps_say_which_database_rows_are_of() {
        let dump = b"# DDL\nCREATE DATABASE a WITH NAME b\n# DML\n# CONTEXT-DATABASE: a \nm f=1 1\n";
        let (start, end, name) = directive(dump).unwrap();
        assert_eq!((start, end, name), (6, 36, None));
        let (start, end, name) = directive(&dump[36..]).unwrap();
        assert_eq!((start, end, name.as_deref()), (6, 29, Some("a")));
        assert_eq!(directive(&dump[65..]), None);
    }

    #[test]
    fn a_piece_ends_outside_of_quotes_if_it_can() {
        assert_eq!(piece_end(b"a\nb\nc"), 4);
        assert_eq!(piece_end(b"a s=\"x\ny\" 1\nb s=\"x\ny"), 12);
        assert_eq!(piece_end(b"a\\\"b\nc"), 5);
        assert_eq!(piece_end(b"a=\"b\nc"), 5, "quotes that are none");
        assert_eq!(piece_end(b"abc"), 0);
    }
}
