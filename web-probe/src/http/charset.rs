//! Which characters the bytes of a text are: what its sender says, as browsers read it, otherwise what they look like.

use std::sync::LazyLock;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252, X_USER_DEFINED};
use html5gum::{Token, Tokenizer};
use hyper::header::{self, HeaderMap};
use regex::bytes::Regex;

/// So much of a page is searched for what it says of itself; browsers look at 1024 bytes at the least.
const SEARCHED_BYTES: usize = 8 << 10;

/// What a body says its characters are, the strongest word first: a mark of the byte order, the header, the page. JSON
/// is UTF-8 wherever it can be (RFC 8259). Where nobody says it, UTF-8 if the bytes are that, otherwise what they look
/// like.
pub(super) fn of_body(headers: &HeaderMap, body: &[u8]) -> &'static Encoding {
    if let Some((encoding, _)) = Encoding::for_bom(body) {
        return encoding;
    }
    let kind = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let kind = kind.unwrap_or_default();
    let is_json = media_type(&kind).ends_with("json");
    if is_json && std::str::from_utf8(body).is_ok() {
        return UTF_8;
    }
    let of_header = parameter(&kind, "charset").and_then(|label| Encoding::for_label(label.as_bytes()));
    of_header.or_else(|| of_page(body)).unwrap_or_else(|| looks_like(body))
}

/// A media type in small letters, without what follows it.
pub(crate) fn media_type(kind: &str) -> String {
    kind.split([';', ',']).next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A parameter of a media type, the first of its name.
fn parameter<'a>(kind: &'a str, name: &str) -> Option<&'a str> {
    let parameters = kind.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut named = parameters.filter(|(own, _)| own.trim().eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim().trim_matches(['"', '\'']))
}

/// What a page says of itself: HTML in a `meta`, XML in its first line.
fn of_page(body: &[u8]) -> Option<&'static Encoding> {
    static XML: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?-u)^\s*<\?xml\s[^>]*?encoding\s*=\s*["']([^"'>]+)["']"#).expect("a test compiles it")
    });
    let start = &body[..body.len().min(SEARCHED_BYTES)];
    let of_xml = || XML.captures(start).and_then(|found| Encoding::for_label(&found[1]));
    let encoding = of_meta(start).or_else(of_xml)?;
    // A page that could be read up to here is not what these say.
    Some(match encoding.name() {
        "UTF-16LE" | "UTF-16BE" => UTF_8,
        _ if encoding == X_USER_DEFINED => WINDOWS_1252,
        _ => encoding,
    })
}

/// What the first `meta` says that says something (HTML, section 13.2.3.2).
fn of_meta(start: &[u8]) -> Option<&'static Encoding> {
    for token in Tokenizer::new(start) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        if tag.name.as_slice() == b"body" {
            return None;
        }
        if tag.name.as_slice() != b"meta" {
            continue;
        }
        let attribute = |name: &[u8]| {
            let value = tag.attributes.iter().find(|(own, _)| own.as_slice() == name).map(|(_, value)| value);
            value.map(|value| String::from_utf8_lossy(value).trim().to_owned())
        };
        let is_type = attribute(b"http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("content-type"));
        let of_content = || attribute(b"content").filter(|_| is_type);
        let label = attribute(b"charset").or_else(|| parameter(&of_content()?, "charset").map(str::to_owned));
        if let Some(encoding) = label.and_then(|label| Encoding::for_label(label.as_bytes())) {
            return Some(encoding);
        }
    }
    None
}

/// UTF-8 if the bytes are that, otherwise what they look like.
fn looks_like(body: &[u8]) -> &'static Encoding {
    // The last letter of a text that is cut may be cut, too.
    let is_utf_8 = std::str::from_utf8(body).map_or_else(|error| error.error_len().is_none(), |_| true);
    if is_utf_8 {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(&body[..body.len().min(SEARCHED_BYTES)], true);
    detector.guess(None, Utf8Detection::Deny)
}

/// The text of a protocol that has no word for its characters.
pub(crate) fn plain_text(bytes: &[u8]) -> String {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    looks_like(text).decode_without_bom_handling(text).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charset(kind: &str, body: &[u8]) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.extend((!kind.is_empty()).then(|| (header::CONTENT_TYPE, kind.parse().unwrap())));
        of_body(&headers, body).name()
    }

    /// A page in GBK "did not contain" the words that stand on it: all was taken for UTF-8.
    #[test]
    fn the_strongest_word_counts() {
        let gbk = "<html><head><title>政务服务</title></head>";
        let (gbk, _, _) = encoding_rs::GBK.encode(gbk);
        for (expected, kind, body) in [
            ("GBK", "text/html; charset=GBK", &b"x"[..]),
            ("GBK", "TEXT/HTML;Charset=\"gb2312\"", b"x"),
            ("Big5", "text/plain; x=y; charset='big5'", b"x"),
            ("UTF-8", "text/html; charset=GBK", b"\xef\xbb\xbfx"),
            ("UTF-16LE", "text/html", b"\xff\xfex\0"),
            ("GBK", "text/html", b"<!-- a page --><meta name=a><META CHARSET=gb2312>"),
            ("gb18030", "text/html", b"<meta http-equiv=Content-Type content='text/html; charset=gb18030'>"),
            ("UTF-8", "text/html", b"<meta content='text/html; charset=gb18030'>"),
            ("UTF-8", "text/html", b"<meta charset=utf-16>"),
            ("UTF-8", "text/html", b"<body><meta charset=gbk>"),
            ("Big5", "text/html; charset=big5", b"<meta charset=gbk>"),
            ("GBK", "text/html; charset=nonsense", b"<meta charset=gbk>"),
            ("GBK", "text/xml", b"<?xml version='1.0' encoding='GBK'?><a/>"),
            ("UTF-8", "", b"plain"),
            ("UTF-8", "application/json; charset=gbk", b"{}"),
            ("GBK", "application/json; charset=gbk", b"\"\xd5\xfe\""),
            // Nobody says it.
            ("UTF-8", "text/html", "政务服务".as_bytes()),
            ("UTF-8", "text/html", &"政务服务".as_bytes()[..10]),
            ("GBK", "text/html", &gbk),
        ] {
            assert_eq!(charset(kind, body), expected, "{kind} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn banners_are_what_they_look_like() {
        let (gbk, _, _) = encoding_rs::GBK.encode("220 欢迎使用文件传输服务");
        assert_eq!(plain_text(&gbk), "220 欢迎使用文件传输服务");
        assert_eq!(plain_text("220 欢迎".as_bytes()), "220 欢迎");
        assert_eq!(plain_text(b"220 ready"), "220 ready");
    }
}
