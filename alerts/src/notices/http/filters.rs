//! Filters for requests: hashes and signatures, which give bytes, and ways to write bytes as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, Error, ErrorKind, Value};
use ring::{digest, hmac};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("sha256", |own: Value| Ok::<_, Error>(hash(&digest::SHA256, bytes(&own)?)));
    environment.add_filter("hmac_sha1", |own: Value, key: Value| sign(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &own, &key));
    environment.add_filter("hmac_sha256", |own: Value, key: Value| sign(hmac::HMAC_SHA256, &own, &key));
    environment.add_filter("base64", |own: Value| Ok::<_, Error>(STANDARD.encode(bytes(&own)?)));
    environment.add_filter("hex", |own: Value| Ok::<_, Error>(hex(bytes(&own)?)));
    environment.add_filter("percent", |own: Value| Ok::<_, Error>(percent(bytes(&own)?)));
    environment.add_filter("xml", |own: String| crate::base::text::escaped_html(&own));
    environment.add_filter("units_max", units_max);
    environment.add_filter("bytes_max", bytes_max);
    environment.add_filter("no_links", |own: String| no_links(&own));
}

/// The bytes of a text, of bytes, or of a number as it is written.
fn bytes(own: &Value) -> Result<&[u8], Error> {
    own.as_bytes().ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("expected a text or bytes, found {}", own.kind()))
    })
}

fn hash(algorithm: &'static digest::Algorithm, own: &[u8]) -> Value {
    Value::from_bytes(digest::digest(algorithm, own).as_ref().to_vec())
}

fn sign(algorithm: hmac::Algorithm, own: &Value, key: &Value) -> Result<Value, Error> {
    let key = hmac::Key::new(algorithm, bytes(key)?);
    Ok(Value::from_bytes(hmac::sign(&key, bytes(own)?).as_ref().to_vec()))
}

fn hex(own: &[u8]) -> String {
    own.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As RFC 3986 has it: all but letters, digits and `-_.~`.
fn percent(own: &[u8]) -> String {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::percent_encode(own, &KEPT).to_string()
}

/// Cut to so many units of UTF-16, as services count them, with `…` where something is missing.
fn units_max(own: String, max: usize) -> String {
    cut(own, max, 1, char::len_utf16)
}

/// Cut to so many bytes.
fn bytes_max(own: String, max: usize) -> String {
    cut(own, max, '…'.len_utf8(), char::len_utf8)
}

fn cut(own: String, max: usize, ellipsis: usize, size: fn(char) -> usize) -> String {
    if own.chars().map(size).sum::<usize>() <= max {
        return own;
    }
    let mut left = max.saturating_sub(ellipsis);
    let kept = own.chars().take_while(|letter| {
        let fits = size(*letter) <= left;
        left = left.saturating_sub(size(*letter));
        fits
    });
    let mut short: String = kept.collect();
    short.extend((max >= ellipsis).then_some('…'));
    short
}

/// Without what a phone makes a link of, which services of short messages refuse: dots within words and `://`.
fn no_links(own: &str) -> String {
    let letters: Vec<char> = own.replace("://", " ").chars().collect();
    let is_within = |at: usize| {
        let beside = |at: usize| letters.get(at).is_some_and(|letter| letter.is_alphanumeric());
        at > 0 && beside(at - 1) && beside(at + 1)
    };
    letters.iter().enumerate().map(|(at, letter)| if *letter == '.' && is_within(at) { '-' } else { *letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str) -> String {
        let mut environment = Environment::new();
        add(&mut environment);
        environment.render_str(template, minijinja::context! {}).unwrap()
    }

    /// The examples of RFC 4231 (case 2), of FIPS 180 and of RFC 2202 (case 2); signatures chain, as bytes.
    #[test]
    fn hashes_are_those_of_their_standards() {
        for (template, expected) in [
            ("{{ 'abc' | sha256 | hex }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "{{ 'what do ya want for nothing?' | hmac_sha256('Jefe') | hex }}",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                "{{ 'what do ya want for nothing?' | hmac_sha1('Jefe') | hex }}",
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            ),
            (
                "{{ 'a' | hmac_sha256('b' | hmac_sha256('c')) | base64 }}",
                "hd69O7UpmZs7wXvolOQt7RVy+pQ9mFVIFL70etIjYdY=",
            ),
            ("{{ 'a b~&/中' | percent }}", "a%20b~%26%2F%E4%B8%AD"),
        ] {
            assert_eq!(render(template), expected, "{template}");
        }
    }

    #[test]
    fn texts_are_cut_between_letters() {
        for (template, expected) in [
            ("{{ 'abcdef' | units_max(6) }}", "abcdef"),
            ("{{ 'abcdef' | units_max(4) }}", "abc…"),
            // An emoji is two units, and is not halved.
            ("{{ '😀😀😀' | units_max(4) }}", "😀…"),
            ("{{ '中文字' | bytes_max(7) }}", "中…"),
            ("{{ 'abc' | units_max(0) }}", ""),
            ("{{ 'up. portal.example at https://192.0.2.1.' | no_links }}", "up. portal-example at https 192-0-2-1."),
        ] {
            assert_eq!(render(template), expected, "{template}");
        }
    }
}
