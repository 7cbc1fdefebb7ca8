//! Request bodies: read whole, unpacked, never larger than the limits, and all together within a budget.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, StatusCode, header::CONTENT_ENCODING};
use http_body_util::BodyExt;

/// A body that arrives from somewhere: a short name for what hyper and others give.
pub trait Arriving: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> {}

impl<B> Arriving for B where B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> {}

/// How large a body may be, how long it may take, and how much all may take together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes as they arrive (`server.body_max`).
    pub body_bytes_max: usize,
    /// Bytes after decompression (`server.unpacked_max`).
    pub unpacked_bytes_max: usize,
    /// Bytes of all bodies that are in memory (`server.bodies_max`).
    pub bodies_bytes_max: usize,
    /// From one piece of a body to the next (`server.body_timeout`): a body that moves is not too slow.
    pub body_timeout: Duration,
}

impl Default for Limits {
    /// 32 MiB as they arrive, 128 MiB unpacked, 512 MiB together, 30 s.
    fn default() -> Limits {
        Limits {
            body_bytes_max: 32 << 20,
            unpacked_bytes_max: 128 << 20,
            bodies_bytes_max: 512 << 20,
            body_timeout: Duration::from_secs(30),
        }
    }
}

/// Why a request could not be taken, for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// What was expected, and which knob there is.
    pub reason: String,
    /// The whole answer, where the protocol has words of its own for it.
    pub(crate) details: Option<serde_json::Value>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Refusal {
        Refusal { status, reason: reason.into(), details: None }
    }

    pub(crate) fn bad(reason: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, reason)
    }

    fn too_large(what: &str, limit: usize, knob: &str) -> Refusal {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body {what} more than {limit} bytes ({knob})"))
    }
}

/// How much memory all bodies take.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    used: AtomicUsize,
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
    limit: usize,
}

impl Share {
    pub(crate) fn new(budget: &Arc<Budget>, limit: usize) -> Share {
        Share { budget: budget.clone(), bytes: 0, limit }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        // Whoever is alone may go on: each body has limits of its own.
        if before + bytes > self.limit && before + bytes > self.bytes {
            let limit = self.limit;
            let reason =
                format!("the bodies of all requests take {limit} bytes (server.bodies_max); try again shortly");
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason));
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A body, unpacked, with the part of the budget that it takes.
#[derive(Debug)]
pub(crate) struct Body {
    pub bytes: Bytes,
    /// Its length as it arrived.
    pub arrived: usize,
    _share: Share,
}

/// The whole body, unpacked as its `Content-Encoding` says; `implied` is the encoding of a body that does not say.
///
/// # Errors
///
/// 413 past a limit, 408 if it takes too long, 415 for an encoding that is not known, 400 for a body that breaks off or
/// does not unpack, 503 if all bodies together take too much.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: impl Arriving,
    limits: Limits,
    budget: &Arc<Budget>,
    implied: Encoding,
) -> Result<Body, Refusal> {
    let encoding = match headers.get(CONTENT_ENCODING) {
        None => implied,
        Some(name) => Encoding::parse(name.as_bytes()).ok_or_else(|| {
            let name = name.as_bytes().escape_ascii();
            let reason = format!("Content-Encoding {name} is not known; send gzip, deflate, zstd, snappy or none");
            Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason)
        })?,
    };
    let mut share = Share::new(budget, limits.bodies_bytes_max);
    let whole = collect(body, limits, &mut share).await?;
    let arrived = whole.len();
    let encoding = encoding.seen_in(&whole);
    let bytes = unpack(whole, encoding, limits.unpacked_bytes_max, &mut share)?;
    Ok(Body { bytes, arrived, _share: share })
}

async fn collect(body: impl Arriving, limits: Limits, share: &mut Share) -> Result<Bytes, Refusal> {
    let (limit, pause) = (limits.body_bytes_max, limits.body_timeout);
    let stopped = |_| {
        let reason = format!("no more of the body came for {pause:?} (server.body_timeout)");
        Refusal::new(StatusCode::REQUEST_TIMEOUT, reason)
    };
    let too_large = || Refusal::too_large("has", limit, "server.body_max");
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > limit {
        return Err(too_large());
    }
    let mut body = std::pin::pin!(body);
    let mut first: Option<Bytes> = None;
    let mut rest: Option<BytesMut> = None;
    let mut length = 0;
    while let Some(frame) = tokio::time::timeout(pause, body.frame()).await.map_err(stopped)? {
        let frame = frame.map_err(|error| Refusal::bad(format!("the body could not be read: {}", error.into())))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > limit {
            return Err(too_large());
        }
        share.grow(data.len())?;
        match (&first, &mut rest) {
            (None, _) => first = Some(data),
            (Some(first), None) => {
                let mut all = BytesMut::with_capacity(declared.max(length));
                all.extend_from_slice(first);
                all.extend_from_slice(&data);
                rest = Some(all);
            }
            (Some(_), Some(all)) => all.extend_from_slice(&data),
        }
    }
    Ok(rest.map(BytesMut::freeze).or(first).unwrap_or_default())
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 alone, as some have it.
    Deflate,
    /// RFC 8878.
    Zstd,
    /// One block of Snappy, without framing, as remote write has it.
    Snappy,
}

impl Encoding {
    fn parse(name: &[u8]) -> Option<Encoding> {
        Some(match name.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Encoding::Identity,
            b"gzip" | b"x-gzip" => Encoding::Gzip,
            b"deflate" => Encoding::Deflate,
            b"zstd" => Encoding::Zstd,
            b"snappy" => Encoding::Snappy,
            _ => return None,
        })
    }

    /// What the bytes say of themselves where they are sure, whatever was said of them. No text, no message of protobuf,
    /// no stream of Arrow and no block of Snappy begins as gzip and zstd do.
    fn seen_in(self, packed: &[u8]) -> Encoding {
        match packed {
            [0x1f, 0x8b, 0x08, ..] => Encoding::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Encoding::Zstd,
            // A proxy that unpacks and says nothing of it.
            text if self == Encoding::Gzip && !text.is_empty() && is_text(text) => Encoding::Identity,
            _ => self,
        }
    }
}

/// Is it text, as far as its start shows?
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(1024)];
    let is_utf_8 = std::str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf_8 && !start.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

fn unpack(packed: Bytes, encoding: Encoding, limit: usize, share: &mut Share) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::too_large("unpacks to", limit, "server.unpacked_max");
    let not = |what: &str, why: &dyn std::fmt::Display| Refusal::bad(format!("the body is not {what}: {why}"));
    match encoding {
        Encoding::Identity if packed.len() > limit => Err(too_large()),
        Encoding::Identity => Ok(packed),
        Encoding::Gzip => stream(MultiGzDecoder::new(&packed[..]), "gzip", limit, share),
        Encoding::Deflate if has_zlib_head(&packed) => stream(ZlibDecoder::new(&packed[..]), "deflate", limit, share),
        Encoding::Deflate => stream(DeflateDecoder::new(&packed[..]), "deflate", limit, share),
        Encoding::Zstd => {
            let mut reader = zstd::Decoder::with_buffer(&packed[..]).map_err(|error| not("zstd", &error))?;
            // The window is memory, too: no larger than what it may unpack to, or than every decoder should take (RFC
            // 8878).
            let window = limit.max(1).ilog2().clamp(23, 27);
            reader.window_log_max(window).map_err(|error| not("zstd", &error))?;
            stream(reader, "zstd", limit, share)
        }
        Encoding::Snappy => {
            let length = snap::raw::decompress_len(&packed).map_err(|error| not("snappy", &error))?;
            if length > limit {
                return Err(too_large());
            }
            // No element of Snappy is longer than 64 bytes or shorter than 2: what declares more is no Snappy.
            if length / 64 > packed.len() {
                return Err(not("snappy", &format!("{} bytes cannot unpack to {length}", packed.len())));
            }
            share.grow(length)?;
            let unpacked = snap::raw::Decoder::new().decompress_vec(&packed);
            unpacked.map(Bytes::from).map_err(|error| not("snappy", &error))
        }
    }
}

/// Does it begin as RFC 1950 says?
fn has_zlib_head(packed: &[u8]) -> bool {
    match packed {
        [first, second, ..] => first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31),
        _ => false,
    }
}

/// Unpacks a body by itself.
#[cfg(any(fuzzing, test))]
pub(crate) fn unpack_alone(packed: &[u8], encoding: Encoding, limit: usize) -> Result<Bytes, Refusal> {
    unpack(Bytes::copy_from_slice(packed), encoding, limit, &mut Share::new(&Arc::default(), usize::MAX))
}

/// Reads what unpacks step by step, so that nothing larger than the limit is ever made.
fn stream(mut reader: impl Read, what: &str, limit: usize, share: &mut Share) -> Result<Bytes, Refusal> {
    const STEP_BYTES: usize = 1 << 20;
    let mut unpacked = Vec::new();
    loop {
        let step = STEP_BYTES.min(limit + 1 - unpacked.len());
        let before = unpacked.len();
        let read = reader.by_ref().take(step as u64).read_to_end(&mut unpacked);
        read.map_err(|error| Refusal::bad(format!("the body is not {what}: {error}")))?;
        share.grow(unpacked.len() - before)?;
        if unpacked.len() > limit {
            return Err(Refusal::too_large("unpacks to", limit, "server.unpacked_max"));
        }
        if unpacked.len() - before < step {
            return Ok(unpacked.into());
        }
    }
}

/// Text without the mark of its byte order (U+FEFF), which some programs put before UTF-8.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    /// An agent packed its bodies and did not say so, a proxy unpacked them and left the word: both were refused, and
    /// the agents threw the rows away.
    #[test]
    fn what_is_packed_otherwise_than_it_says_is_seen_where_that_is_sure() {
        let text = b"cpu,host=a usage=1 1\n";
        let (gzipped, zstandard) = (gzip(text), zstd::encode_all(&text[..], 3).unwrap());
        let snappy = snap::raw::Encoder::new().compress_vec(text).unwrap();
        for (said, bytes, seen) in [
            (Encoding::Identity, &gzipped[..], Encoding::Gzip),
            (Encoding::Snappy, &zstandard, Encoding::Zstd),
            (Encoding::Zstd, &gzipped, Encoding::Gzip),
            (Encoding::Gzip, text, Encoding::Identity),
            (Encoding::Gzip, b"no gzip: \0\x01\x02", Encoding::Gzip),
            (Encoding::Snappy, &snappy, Encoding::Snappy),
            (Encoding::Identity, text, Encoding::Identity),
            (Encoding::Gzip, b"", Encoding::Gzip),
        ] {
            assert_eq!(said.seen_in(bytes), seen, "{said:?} {bytes:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_and_names_its_knob() {
        let plain = vec![b' '; 10 << 20];
        let bombs = [
            (Encoding::Gzip, gzip(&plain)),
            (Encoding::Deflate, zlib(&plain)),
            (Encoding::Deflate, zlib(&plain).split_off(2)),
            (Encoding::Zstd, zstd::encode_all(&plain[..], 19).unwrap()),
            (Encoding::Snappy, snap::raw::Encoder::new().compress_vec(&plain).unwrap()),
        ];
        for (encoding, bomb) in bombs {
            assert!(bomb.len() < 600_000, "it is a bomb only if it is small: {encoding:?} has {}", bomb.len());
            let refusal = unpack_alone(&bomb, encoding, 1 << 20).unwrap_err();
            assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
            assert!(refusal.reason.contains("server.unpacked_max"), "{}", refusal.reason);
            assert_eq!(unpack_alone(&bomb, encoding, 10 << 20).unwrap().len(), 10 << 20);
            let short = unpack_alone(&bomb[..bomb.len() / 2], encoding, 10 << 20);
            assert_eq!(short.unwrap_err().status, StatusCode::BAD_REQUEST, "{encoding:?} cut off");
        }
    }

    /// Room is not made for whatever length the first bytes declare.
    #[test]
    fn snappy_that_declares_much_and_has_little_is_refused() {
        let mut claim = vec![0xff, 0xff, 0xff, 0x3f]; // 128 MiB - 1
        claim.extend([0; 20]);
        let refusal = unpack_alone(&claim, Encoding::Snappy, 128 << 20).unwrap_err();
        assert!(refusal.reason.contains("cannot unpack to 134217727"), "{}", refusal.reason);
    }

    #[test]
    fn all_bodies_together_stay_within_the_budget() {
        let budget = Arc::new(Budget::default());
        let mut first = Share::new(&budget, 100);
        first.grow(90).unwrap();
        let mut second = Share::new(&budget, 100);
        let refusal = second.grow(20).unwrap_err();
        assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refusal.reason.contains("server.bodies_max"), "{}", refusal.reason);
        drop((first, second));
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        // One body that is larger than the budget is within the limits of bodies.
        Share::new(&budget, 100).grow(200).unwrap();
    }
}
