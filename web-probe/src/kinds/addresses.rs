//! The web addresses in pages and in sheets of styles: what a browser would fetch, and where it could go.

use std::borrow::Cow;
use std::sync::LazyLock;

use encoding_rs::{Encoding, UTF_8};
use html5gum::{StartTag, Token, Tokenizer};
use regex::Regex;
use url::Url;

/// Where addresses stand in HTML: names of tags and of their attributes.
const PLACES: [(&[u8], &[u8]); 17] = [
    (b"a", b"href"),
    (b"area", b"href"),
    (b"link", b"href"),
    (b"img", b"src"),
    (b"script", b"src"),
    (b"iframe", b"src"),
    (b"frame", b"src"),
    (b"source", b"src"),
    (b"video", b"src"),
    (b"video", b"poster"),
    (b"audio", b"src"),
    (b"track", b"src"),
    (b"embed", b"src"),
    (b"input", b"src"),
    (b"object", b"data"),
    (b"form", b"action"),
    (b"body", b"background"),
];
/// Lists of pictures, of which a browser takes one.
const LISTS: [(&[u8], &[u8]); 3] = [(b"img", b"srcset"), (b"source", b"srcset"), (b"link", b"imagesrcset")];
/// Links that say where something will be fetched from, and lead nowhere themselves.
const HINTS: [&str; 2] = ["preconnect", "dns-prefetch"];

/// An address that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub url: Url,
    /// What is there are styles, which have addresses themselves.
    pub is_style: bool,
}

/// The addresses in a page. What stands behind a `?` is escaped in the characters of the page, as browsers do it.
pub(super) fn of_page(html: &str, base: &Url, encoding: &'static Encoding) -> Vec<Address> {
    let mut found = Found { base: base.clone(), encoding: encoding.output_encoding(), all: Vec::new() };
    let mut in_style = false;
    for token in Tokenizer::new(html) {
        match token {
            Ok(Token::StartTag(tag)) => {
                in_style = tag.name.as_slice() == b"style";
                found.take(&tag);
            }
            Ok(Token::String(text)) if in_style => found.take_styles(&String::from_utf8_lossy(&text)),
            Ok(Token::EndTag(_)) => in_style = false,
            _ => {}
        }
    }
    found.all
}

/// The addresses in a sheet of styles.
pub(super) fn of_styles(css: &str, base: &Url) -> Vec<Address> {
    let mut found = Found { base: base.clone(), encoding: UTF_8, all: Vec::new() };
    found.take_styles(css);
    found.all
}

struct Found {
    base: Url,
    encoding: &'static Encoding,
    all: Vec<Address>,
}

impl Found {
    fn take(&mut self, tag: &StartTag<()>) {
        let name = tag.name.as_slice();
        let attribute = |name: &[u8]| {
            let value = tag.attributes.iter().find(|(own, _)| own.as_slice() == name).map(|(_, value)| value);
            value.map(|value| String::from_utf8_lossy(value).trim().to_owned())
        };
        if name == b"base" {
            self.base = attribute(b"href").and_then(|href| self.join(&href)).unwrap_or(self.base.clone());
            return;
        }
        let relations = attribute(b"rel").unwrap_or_default().to_ascii_lowercase();
        let is_hint = name == b"link" && relations.split_ascii_whitespace().any(|own| HINTS.contains(&own));
        // What a form sends is not ours to send.
        let is_sent = name == b"form" && attribute(b"method").is_some_and(|method| !method.eq_ignore_ascii_case("get"));
        let is_style = name == b"link" && relations.split_ascii_whitespace().any(|own| own == "stylesheet");
        for (_, place) in PLACES.iter().filter(|(own, _)| *own == name && !is_hint && !is_sent) {
            let text = attribute(place).filter(|text| !text.is_empty());
            text.iter().for_each(|text| self.add(text, is_style));
        }
        for (_, place) in LISTS.iter().filter(|(own, _)| *own == name) {
            candidates(&attribute(place).unwrap_or_default()).iter().for_each(|text| self.add(text, false));
        }
        attribute(b"style").iter().for_each(|css| self.take_styles(css));
        if name == b"meta" && attribute(b"http-equiv").is_some_and(|own| own.eq_ignore_ascii_case("refresh")) {
            static TO: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?i)^[^;,]*[;,]\s*url\s*=\s*['"]?([^'"]+)"#));
            let content = attribute(b"content").unwrap_or_default();
            TO.captures(&content).iter().for_each(|found| self.add(&found[1], false));
        }
    }

    fn take_styles(&mut self, css: &str) {
        static COMMENT: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s)/\*.*?\*/"));
        static PLACE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r#"(?i)(@import\s+)?url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')\s]+))\s*\)|@import\s+(?:"([^"]*)"|'([^']*)')"#,
            )
        });
        for found in PLACE.captures_iter(&COMMENT.replace_all(css, " ")) {
            let text = (2..=6).find_map(|group| found.get(group)).map_or("", |text| text.as_str());
            let is_style = found.get(1).is_some() || found.get(5).or(found.get(6)).is_some();
            if !text.is_empty() {
                self.add(text, is_style);
            }
        }
    }

    fn add(&mut self, text: &str, is_style: bool) {
        let url = self.join(text).filter(|url| matches!(url.scheme(), "http" | "https"));
        self.all.extend(url.map(|url| Address { url, is_style }));
    }

    fn join(&self, text: &str) -> Option<Url> {
        let encoded: &dyn Fn(&str) -> Cow<'_, [u8]> = &|query| self.encoding.encode(query).0;
        Url::options().base_url(Some(&self.base)).encoding_override(Some(encoded)).parse(text).ok()
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a test compiles it")
}

/// The addresses of a list of pictures: each up to a space, and behind it a width or a density up to a comma.
fn candidates(list: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), list);
    loop {
        rest = rest.trim_start_matches(|char: char| char.is_ascii_whitespace() || char == ',');
        let end = rest.find(|char: char| char.is_ascii_whitespace()).unwrap_or(rest.len());
        let address = &rest[..end];
        if address.is_empty() {
            return found;
        }
        found.push(address.trim_end_matches(','));
        rest = &rest[end..];
        if !address.ends_with(',') {
            rest = rest.find(',').map_or("", |comma| &rest[comma..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{GBK, UTF_8};

    use super::*;

    /// As Chromium has it: the path in UTF-8, the query in the characters of the page.
    #[test]
    fn links_of_a_page_in_gbk_are_escaped_as_browsers_do() {
        let found = of_page("<a href='/政?a=政'>", &Url::parse("http://site.example/").unwrap(), GBK);
        assert_eq!(found[0].url.as_str(), "http://site.example/%E6%94%BF?a=%D5%FE");
    }

    #[test]
    fn links_are_found_where_browsers_find_them() {
        let html = r#"<base href="/docs/"><a href="one.html#part">1</a><A HREF=' ../two '>2</A><img src=//cdn.example/i.png>
            <a href="mailto:a@b.example">mail</a><!-- <a href="no"> --><script src="s.js?a=1&amp;b=2"></script><a>none</a>"#;
        let found: Vec<String> = of_page(html, &Url::parse("http://site.example/x/y").unwrap(), UTF_8)
            .iter()
            .map(|found| found.url.to_string())
            .collect();
        let expected = [
            "http://site.example/docs/one.html#part",
            "http://site.example/two",
            "http://cdn.example/i.png",
            "http://site.example/docs/s.js?a=1&b=2",
        ];
        assert_eq!(found, expected);
    }

    /// Pictures of small screens, frames, objects, forms and what styles fetch were never tried.
    #[test]
    fn what_browsers_fetch_is_found() {
        let base = Url::parse("http://site.example/x/y").unwrap();
        let html = r#"<img srcset="a.png 1x, b,c.png 2x,d.png"><frame src=f.html><object data=o.svg></object>
            <form action=find><form method=POST action=send><link rel=preconnect href="https://cdn.example">
            <link rel="stylesheet alternate" href=s.css><p style="background:url( 'p.png' )">
            <style>/* url(no.png) */ @import "i.css"; @font-face { src: url(f.woff2) format("woff2"), url("data:x") }</style>
            <meta http-equiv=refresh content="5; URL='later.html'"><video poster=v.png></video><a href="">same</a>"#;
        let found: Vec<(String, bool)> = of_page(html, &base, UTF_8)
            .into_iter()
            .map(|found| (found.url.path().rsplit('/').next().unwrap().to_owned(), found.is_style))
            .collect();
        let expected = [
            ("a.png", false),
            ("b,c.png", false),
            ("d.png", false),
            ("f.html", false),
            ("o.svg", false),
            ("find", false),
            ("s.css", true),
            ("p.png", false),
            ("i.css", true),
            ("f.woff2", false),
            ("later.html", false),
            ("v.png", false),
        ];
        assert_eq!(found, expected.map(|(name, is_style)| (name.to_owned(), is_style)));
        assert_eq!(of_styles("@import url(a.css);", &base)[0].url.as_str(), "http://site.example/x/a.css");
    }
}
