//! Request bodies: read whole, unpacked, never larger than the limits.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, StatusCode, header::CONTENT_ENCODING};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// How large a body may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes as they arrive (`server.body_max`).
    pub body_bytes_max: usize,
    /// Bytes after decompression (`server.unpacked_max`).
    pub unpacked_bytes_max: usize,
}

impl Default for Limits {
    /// 32 MiB as they arrive, 128 MiB unpacked.
    fn default() -> Limits {
        Limits { body_bytes_max: 32 << 20, unpacked_bytes_max: 128 << 20 }
    }
}

/// Why a request could not be taken, for the client.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// What was expected, and which knob there is.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Refusal {
        Refusal { status, reason: reason.into() }
    }
}

/// The whole body, unpacked as its `Content-Encoding` says.
///
/// # Errors
///
/// 413 past a limit, 415 for an encoding other than gzip, 400 for a body that breaks off or does not unpack.
pub async fn read<B>(headers: &HeaderMap, body: B, limits: Limits) -> Result<Bytes, Refusal>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let whole = Limited::new(body, limits.body_bytes_max).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            let limit = limits.body_bytes_max;
            let reason = format!("the body is larger than {limit} bytes (server.body_max)");
            return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason);
        }
        Refusal::new(StatusCode::BAD_REQUEST, format!("the body could not be read: {error}"))
    })?;
    let whole = whole.to_bytes();
    match headers.get(CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(whole),
        Some(b"gzip") => unpack(&whole, limits.unpacked_bytes_max),
        Some(other) => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Content-Encoding {} is not known; send gzip or none", other.escape_ascii()),
        )),
    }
}

fn unpack(packed: &[u8], limit: usize) -> Result<Bytes, Refusal> {
    let mut unpacked = Vec::new();
    // One byte more than allowed tells that there is more.
    let mut reader = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    let read = reader.read_to_end(&mut unpacked);
    read.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("the body is not gzip: {error}")))?;
    if unpacked.len() > limit {
        let reason = format!("the body unpacks to more than {limit} bytes (server.unpacked_max)");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason));
    }
    Ok(unpacked.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    #[test]
    fn a_bomb_is_refused_and_names_its_knob() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b' '; 10 << 20]).unwrap();
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 20_000, "it is a bomb only if it is small");
        let refusal = unpack(&bomb, 1 << 20).unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(refusal.reason.contains("server.unpacked_max"), "{}", refusal.reason);
        assert_eq!(unpack(&bomb, 10 << 20).unwrap().len(), 10 << 20);
        assert_eq!(unpack(&bomb[..100], 10 << 20).unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
