//! The body of an answer, unpacked: its bytes, and the text that they are.

use std::borrow::Cow;

use encoding_rs::{ISO_2022_JP, UTF_16BE, UTF_16LE};
use hyper::header::HeaderMap;

use super::charset;
use crate::base::pattern::Pattern;

/// An unpacked body, or its start.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    bytes: Cow<'a, [u8]>,
    encoding: &'static encoding_rs::Encoding,
    /// The bytes of a mark of the byte order.
    mark_bytes: usize,
}

impl<'a> Content<'a> {
    /// What the headers say of these bytes counts.
    pub(super) fn new(headers: &HeaderMap, bytes: Cow<'a, [u8]>) -> Content<'a> {
        let mark_bytes = encoding_rs::Encoding::for_bom(&bytes).map_or(0, |(_, length)| length);
        Content { encoding: charset::of_body(headers, &bytes), bytes, mark_bytes }
    }

    /// The bytes, all of them.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The characters that the bytes are.
    pub(crate) fn encoding(&self) -> &'static encoding_rs::Encoding {
        self.encoding
    }

    /// The text of the first so many bytes, without a mark of the byte order. What is no character is U+FFFD.
    pub(crate) fn text(&self, bytes_max: usize) -> String {
        let text = &self.bytes[self.mark_bytes..];
        self.encoding.decode_without_bom_handling(&text[..text.len().min(bytes_max)]).0.into_owned()
    }

    /// The bytes without those that these match. Nothing is lost by reading them as text: where that would be, the
    /// patterns are matched with one letter a byte.
    pub(crate) fn masked(&self, masks: &[Pattern]) -> Vec<u8> {
        let mask =
            |text: &str| masks.iter().fold(text.to_owned(), |text, mask| mask.replace_all(&text, "").into_owned());
        let (mark, text) = self.bytes.split_at(self.mark_bytes);
        let exact = self.encoding.decode_without_bom_handling_and_without_replacement(text);
        let exact = exact.filter(|decoded| self.encoded(decoded).is_some_and(|again| *again == *text));
        let masked = exact.and_then(|decoded| self.encoded(&mask(&decoded)).map(Cow::into_owned));
        let masked = masked.unwrap_or_else(|| {
            let letters: String = text.iter().map(|byte| char::from(*byte)).collect();
            mask(&letters).chars().map(|letter| letter as u8).collect() // each was a byte
        });
        [mark, &masked].concat()
    }

    /// A text as bytes again, if every part of it can be by itself.
    fn encoded<'t>(&self, text: &'t str) -> Option<Cow<'t, [u8]>> {
        if self.encoding == UTF_16LE {
            return Some(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        }
        if self.encoding == UTF_16BE {
            return Some(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
        }
        let (bytes, _, has_others) = self.encoding.encode(text);
        (self.encoding != ISO_2022_JP && !has_others).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, GBK};
    use hyper::header;

    use super::*;

    fn content(kind: &'static str, bytes: &[u8]) -> Content<'static> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
        Content::new(&headers, Cow::Owned(bytes.to_vec()))
    }

    fn masked(kind: &'static str, bytes: &[u8], mask: &str) -> Vec<u8> {
        content(kind, bytes).masked(&[mask.parse().unwrap()])
    }

    #[test]
    fn text_is_what_the_sender_means() {
        let (bytes, _, _) = GBK.encode("政务服务中心");
        assert_eq!(content("text/html;charset=gb2312", &bytes).text(1 << 20), "政务服务中心");
        assert_eq!(content("text/html;charset=gb2312", &bytes).text(4), "政务");
        let (bytes, _, _) = BIG5.encode("臺灣");
        assert_eq!(content("text/html;charset=big5", &bytes).text(1 << 20), "臺灣");
        assert_eq!(content("application/json", b"\xef\xbb\xbf{}").text(1 << 20), "{}");
    }

    /// Two pages of other bytes had one hash: what was no UTF-8 had become U+FFFD before it was hashed.
    #[test]
    fn what_is_hashed_keeps_every_byte_that_no_mask_matches() {
        let mask = "<time>.*?</time>";
        for (kind, encoding) in [("text/html;charset=gbk", GBK), ("text/html;charset=big5", BIG5)] {
            let (page, _, _) = encoding.encode("臺灣<time>中文</time>中心");
            let (rest, _, _) = encoding.encode("臺灣中心");
            assert_eq!(masked(kind, &page, mask), rest.as_ref(), "{kind}");
        }
        assert_eq!(masked("text/html;charset=gbk", &GBK.encode("中<i>文</i>").0, "文"), &*GBK.encode("中<i></i>").0);
        // No GBK, and no UTF-8: a letter a byte.
        for damaged in [&b"\xff\xfe\xfd<time>\xff</time>\x80"[2..], b"\x81<time>\xff\xff</time>\x80"] {
            let kept: Vec<u8> = damaged.iter().copied().filter(|byte| matches!(byte, 0x80..=0xfe)).collect();
            assert_eq!(masked("text/html;charset=gbk", damaged, mask), kept, "{damaged:?}");
            assert_eq!(masked("text/html;charset=utf-8", damaged, mask), kept, "{damaged:?}");
        }
        assert_eq!(masked("text/html", b"\xef\xbb\xbfa<time>1</time>b", mask), b"\xef\xbb\xbfab");
        let utf_16: Vec<u8> = "\u{feff}a<time>1</time>中".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let rest: Vec<u8> = "\u{feff}a中".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(masked("text/html", &utf_16, mask), rest);
        // 0x80 is the euro sign in GBK, which is written as two bytes: not the same bytes again.
        assert_eq!(masked("text/html;charset=gbk", b"\x80<time></time>\xa2\xe3", mask), b"\x80\xa2\xe3");
    }
}
