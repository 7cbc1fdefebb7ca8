//! What is looked for in what came: a pattern in its text, or bytes.

use std::fmt;

use regex::bytes::Regex;

use crate::base::pattern::Pattern;
use crate::found::failure::{Class, Failure};
use crate::http::charset::plain_text;

/// What is looked for.
#[derive(Debug)]
pub(crate) enum Sought {
    /// In the bytes as they are, or in the text that they are in other characters.
    Text(Pattern, Regex),
    Bytes(Vec<u8>),
}

impl Sought {
    /// What is said of it, if something is.
    pub(crate) fn new(pattern: Option<Pattern>, bytes: Option<Vec<u8>>) -> Result<Option<Sought>, String> {
        match (pattern, bytes) {
            (Some(_), Some(_)) => Err("a pattern and bytes exclude each other".into()),
            (None, Some(bytes)) if bytes.is_empty() => Err("expected some bytes".into()),
            (None, Some(bytes)) => Ok(Some(Sought::Bytes(bytes))),
            (None, None) => Ok(None),
            (Some(pattern), None) => {
                let of_bytes = Regex::new(pattern.as_str()).map_err(|error| error.to_string())?;
                Ok(Some(Sought::Text(pattern, of_bytes)))
            }
        }
    }

    /// Where it ends in what came, if it is there. In other characters than UTF-8 that is not known.
    pub(crate) fn end_in(&self, came: &[u8]) -> Option<usize> {
        match self {
            Sought::Bytes(bytes) => {
                let start = came.windows(bytes.len()).position(|part| part == bytes)?;
                Some(start + bytes.len())
            }
            Sought::Text(pattern, of_bytes) => match of_bytes.find(came) {
                Some(found) => Some(found.end()),
                None => pattern.is_match(&plain_text(came)).then_some(came.len()),
            },
        }
    }

    /// It did not come.
    pub(crate) fn missing(&self) -> Failure {
        Class::Body.because(format!("what came back does not contain '{self}'"))
    }
}

impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sought::Text(pattern, _) => pattern.fmt(f),
            Sought::Bytes(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    write!(f, "{}{byte:02x}", if at == 0 { "" } else { " " })?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_patterns_are_found_where_they_end() {
        let text = |pattern: &str| Sought::new(Some(pattern.parse().unwrap()), None).unwrap().unwrap();
        let bytes = |bytes: &[u8]| Sought::new(None, Some(bytes.to_vec())).unwrap().unwrap();
        assert_eq!(text("^220 ").end_in(b"220 ready"), Some(4));
        assert_eq!(text("(?m)^250 ").end_in(b"250-a\r\n250 b\r\n"), Some(11));
        assert_eq!(text("no").end_in(b"220 ready"), None);
        let chinese = encoding_rs::GBK.encode("你好，世界，欢迎来到我们的网站").0;
        assert_eq!(text("欢迎来到").end_in(&chinese), Some(chinese.len()));
        assert_eq!(bytes(b"\xff\xff").end_in(b"\0\xff\xff\0"), Some(3));
        assert_eq!(bytes(b"\xff\xff").end_in(b"\xff"), None);
        assert_eq!(bytes(b"\xff\x0a").to_string(), "ff 0a");
        assert!(Sought::new(None, Some(Vec::new())).is_err());
        assert!(Sought::new(Some("a".parse().unwrap()), Some(vec![1])).is_err());
    }
}
