//! Answers packed with gzip or zstd, when the client takes that.

use std::io::{Error, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// Packs the bytes of an answer as they come.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::ACCEPT_ENCODING};
/// use query::Packer;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd;q=0"));
/// let mut packer = Packer::asked(&headers).unwrap().unwrap();
/// assert_eq!(packer.name(), "gzip");
/// let first = packer.pack(b"some text").unwrap();
/// assert!(first.len() + packer.finish().unwrap().len() > 10);
/// ```
pub enum Packer {
    /// With gzip.
    Gzip(Box<GzEncoder<Vec<u8>>>),
    /// With zstd.
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Packer {
    /// The packer that a request asks for; zstd if it takes both, none if it asks for none or refuses with `q=0`.
    ///
    /// # Errors
    ///
    /// zstd cannot begin: there is no memory.
    pub fn asked(headers: &HeaderMap) -> Result<Option<Packer>, Error> {
        let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let accepted: Vec<String> = accepted.flat_map(|value| value.split(',')).map(str::to_ascii_lowercase).collect();
        let takes = |name: &str| {
            accepted.iter().any(|coding| {
                let (coding, weight) = coding.split_once(';').unwrap_or((coding, ""));
                let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
                coding.trim() == name && weight.is_ok_and(|weight| weight > 0.0)
            })
        };
        Ok(match (takes("zstd"), takes("gzip")) {
            (true, _) => Some(Packer::Zstd(Box::new(zstd::stream::write::Encoder::new(Vec::new(), 1)?))),
            (_, true) => Some(Packer::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast())))),
            _ => None,
        })
    }

    /// The name in `Content-Encoding`.
    pub fn name(&self) -> &'static str {
        match self {
            Packer::Gzip(_) => "gzip",
            Packer::Zstd(_) => "zstd",
        }
    }

    /// Takes bytes; what is packed by now comes back, possibly nothing.
    ///
    /// # Errors
    ///
    /// They cannot be packed: there is no memory.
    pub fn pack(&mut self, bytes: &[u8]) -> Result<Bytes, Error> {
        let packed = match self {
            Packer::Gzip(packer) => {
                packer.write_all(bytes)?;
                packer.get_mut()
            }
            Packer::Zstd(packer) => {
                packer.write_all(bytes)?;
                packer.get_mut()
            }
        };
        Ok(std::mem::take(packed).into())
    }

    /// What is left, and the end.
    ///
    /// # Errors
    ///
    /// As [`Packer::pack`].
    pub fn finish(self) -> Result<Bytes, Error> {
        Ok(match self {
            Packer::Gzip(packer) => packer.finish()?,
            Packer::Zstd(packer) => packer.finish()?,
        }
        .into())
    }
}
