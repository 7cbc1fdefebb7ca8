//! How a body is packed on its way (RFC 9110, section 8.4), and how it is unpacked.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use hyper::HeaderMap;
use hyper::header;

use crate::found::failure::{Class, Failure};

/// What a body may unpack to.
pub(super) const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// The window of zstd over HTTP is 8 MiB at the most (RFC 9659).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// One way to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
    /// One that this program does not know, as it was called.
    Unknown(String),
}

impl Coding {
    /// The codings of a body, in the order in which they were applied.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Coding> {
        let values = headers.get_all(header::CONTENT_ENCODING).iter();
        let texts: Vec<String> = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        let names = texts.iter().flat_map(|text| text.split(',')).map(|name| name.trim().to_ascii_lowercase());
        names.filter(|name| !matches!(name.as_str(), "" | "identity")).map(Coding::named).collect()
    }

    fn named(name: String) -> Coding {
        match name.as_str() {
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            "br" => Coding::Brotli,
            "zstd" => Coding::Zstd,
            _ => Coding::Unknown(name),
        }
    }

    fn name(&self) -> &str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
            Coding::Unknown(name) => name,
        }
    }

    /// What these bytes were before they were packed, up to one byte more than may be.
    fn unpack(&self, packed: &[u8], unpacked: &mut Vec<u8>) -> io::Result<()> {
        let room = UNPACKED_BYTES_MAX as u64 + 1;
        let read = |reader: &mut dyn Read, unpacked: &mut Vec<u8>| reader.take(room).read_to_end(unpacked).map(drop);
        match self {
            Coding::Gzip => unpack_gzip(packed, unpacked),
            Coding::Deflate if has_zlib_head(packed) => read(&mut ZlibDecoder::new(packed), unpacked),
            // What RFC 9110 does not allow, and some send all the same.
            Coding::Deflate => read(&mut DeflateDecoder::new(packed), unpacked),
            Coding::Brotli => read(&mut brotli_decompressor::Decompressor::new(packed, 4096), unpacked),
            Coding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                read(&mut decoder, unpacked)
            }
            Coding::Unknown(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }
}

/// One member or several (RFC 1952); what is behind them is no part of it, as browsers have it.
fn unpack_gzip(packed: &[u8], unpacked: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = packed;
    loop {
        let room = (UNPACKED_BYTES_MAX + 1 - unpacked.len()) as u64;
        let mut member = GzDecoder::new(rest);
        (&mut member).take(room).read_to_end(unpacked)?;
        rest = member.into_inner();
        if unpacked.len() > UNPACKED_BYTES_MAX || !rest.starts_with(&[0x1f, 0x8b]) {
            return Ok(());
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

/// A body as it was before it was packed. Of one that `is_cut` the start.
///
/// # Errors
///
/// It is packed in a way that is not known, is not what it says, or is far larger than it looks.
pub(super) fn unpacked<'a>(codings: &[Coding], body: &'a [u8], is_cut: bool) -> Result<Cow<'a, [u8]>, Failure> {
    let mut bytes = Cow::Borrowed(body);
    for coding in codings.iter().rev().filter(|_| !body.is_empty()) {
        let name = coding.name();
        if let Coding::Unknown(_) = coding {
            return Err(Class::Protocol
                .because(format!("http: the body is packed by '{name}'; known are gzip, deflate, br and zstd")));
        }
        let mut unpacked = Vec::new();
        let read = coding.unpack(&bytes, &mut unpacked);
        if unpacked.len() > UNPACKED_BYTES_MAX {
            return Err(too_large(body.len() as u64, " unpacks to more than"));
        }
        // The end of one that is cut has to be missing.
        if let Err(error) = read.or_else(|error| if is_cut { Ok(()) } else { Err(error) }) {
            return Err(Class::Protocol.because(format!("http: the body is no {name}: {error}")));
        }
        bytes = Cow::Owned(unpacked);
    }
    Ok(bytes)
}

/// A body that cannot be looked at.
pub(super) fn too_large(bytes: u64, why: &str) -> Failure {
    Class::BodyTooLarge.because(format!("the body of {bytes} bytes{why} {} MiB", UNPACKED_BYTES_MAX >> 20))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::CONTENT_ENCODING, value.parse().unwrap())).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(values: &[&str], body: &[u8]) -> Result<Vec<u8>, String> {
        let unpacked = unpacked(&Coding::all(&headers(values)), body, false);
        unpacked.map(Cow::into_owned).map_err(|failure| failure.message)
    }

    /// A site packed by `GZIP`, and its page "did not contain" what every browser shows: names of codings were compared
    /// as they are written, and only one was known.
    #[test]
    fn what_is_packed_in_a_way_that_browsers_know_is_unpacked() {
        let text = b"what browsers show".repeat(100);
        let raw = &zlib(&text)[2..]; // without the two bytes that RFC 1950 puts before it
        // Made by `brotli -q 5`, of "what browsers show".
        let brotli =
            [0x8b, 0x08, 0x80].iter().chain(b"what browsers show").chain(&[0x03]).copied().collect::<Vec<u8>>();
        assert_eq!(unpack(&["br"], &brotli).unwrap(), b"what browsers show");
        for (values, packed) in [
            (&["gzip"][..], gzip(&text)),
            (&["GZIP"], gzip(&text)),
            (&["x-gzip"], gzip(&text)),
            (&["deflate"], zlib(&text)),
            (&["deflate"], raw.to_vec()),
            (&["zstd"], zstd::encode_all(&text[..], 3).unwrap()),
            (&["identity"], text.clone()),
            (&[""], text.clone()),
            (&["deflate, gzip"], gzip(&zlib(&text))),
            (&["deflate", "gzip"], gzip(&zlib(&text))),
            // Two members, and something behind the last.
            (&["gzip"], [gzip(&text[..900]), gzip(&text[900..]), b"\0\0\0".to_vec()].concat()),
        ] {
            assert_eq!(unpack(values, &packed).as_deref(), Ok(&text[..]), "{values:?}");
            assert_eq!(unpack(values, b"").as_deref(), Ok(&b""[..]), "{values:?}");
        }
    }

    #[test]
    fn what_is_not_what_it_says_is_told() {
        let named = unpack(&["compress"], b"x").unwrap_err();
        assert_eq!(named, "http: the body is packed by 'compress'; known are gzip, deflate, br and zstd");
        assert!(unpack(&["gzip"], b"plain").unwrap_err().starts_with("http: the body is no gzip: "));
        for (coding, packed) in [("gzip", gzip(&[7; 5000])), ("zstd", zstd::encode_all(&[7; 5000][..], 3).unwrap())] {
            let cut = &packed[..packed.len() - 3];
            assert!(unpack(&[coding], cut).unwrap_err().contains(&format!("is no {coding}")), "its end is missing");
            assert!(unpacked(&Coding::all(&headers(&[coding])), cut, true).is_ok(), "it is known to be cut");
        }
    }

    #[test]
    fn what_is_far_larger_than_it_looks_is_not_unpacked() {
        let zeros = vec![0; UNPACKED_BYTES_MAX];
        for (coding, is_fine) in [(gzip(&zeros), true), (gzip(&[&zeros[..], &[1]].concat()), false)] {
            let unpacked = unpack(&["gzip"], &coding);
            assert_eq!(unpacked.is_ok(), is_fine);
            assert!(is_fine || unpacked.unwrap_err().ends_with("bytes unpacks to more than 16 MiB"));
        }
        let bomb = zstd::encode_all(&vec![0; UNPACKED_BYTES_MAX * 4][..], 3).unwrap();
        assert!(unpack(&["zstd"], &bomb).unwrap_err().ends_with("unpacks to more than 16 MiB"));
    }
}
