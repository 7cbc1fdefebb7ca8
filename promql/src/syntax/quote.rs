//! Texts in quotes, as Go writes and reads them. Bytes that are no UTF-8 (`"\xff"`), which no label has, are kept as letters of
//! a private plane, so that they are written as they were read.

/// The letter that stands for the byte 0 that is no UTF-8; those of others follow.
const BYTES: u32 = 0x10_ff00;

/// Does it stand for a byte that is no UTF-8?
pub(crate) fn is_byte(letter: char) -> bool {
    u32::from(letter) >= BYTES + 0x80
}

/// Bytes as a text.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(BYTES + u32::from(*byte))));
    }
    text
}

/// In double quotes, with what cannot be printed escaped.
pub(crate) fn quote(text: &str) -> String {
    quoted(text, '"')
}

/// The same of one character, in single quotes.
pub(crate) fn quote_char(letter: char) -> String {
    quoted(letter.encode_utf8(&mut [0; 4]), '\'')
}

fn quoted(text: &str, mark: char) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(mark);
    for letter in text.chars() {
        match letter {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            _ if letter == mark => quoted.extend(['\\', mark]),
            _ if is_byte(letter) => quoted.push_str(&format!("\\x{:02x}", u32::from(letter) - BYTES)),
            _ if is_printable(letter) => quoted.push(letter),
            _ if letter < '\u{80}' => quoted.push_str(&format!("\\x{:02x}", u32::from(letter))),
            _ if letter <= '\u{ffff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(letter))),
        }
    }
    quoted.push(mark);
    quoted
}

/// What shows on a page. Marks that stand on other letters do, too.
fn is_printable(letter: char) -> bool {
    letter.is_ascii_graphic() || letter.is_alphanumeric() || letter.escape_debug().count() == 1
}

/// What stands between the quotes of a literal: single, double, or backward ones, in which nothing is escaped. `None` where
/// it is not well-formed.
pub(crate) fn unquote(literal: &str) -> Option<String> {
    let mark = literal.chars().next().filter(|mark| matches!(mark, '"' | '\'' | '`'))?;
    let inside = literal.get(1..)?.strip_suffix(mark)?;
    if mark == '`' {
        return (!inside.contains('`')).then(|| inside.to_owned());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(letter) = rest.chars().next() {
        rest = match letter {
            '\\' => unescape(&rest[1..], mark, &mut bytes)?,
            '\n' => return None,
            _ if letter == mark => return None,
            _ => {
                bytes.extend(letter.encode_utf8(&mut [0; 4]).bytes());
                &rest[letter.len_utf8()..]
            }
        };
    }
    Some(text_of(&bytes))
}

/// What stands behind a backslash, and what is left behind that.
fn unescape<'a>(text: &'a str, mark: char, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let letter = text.chars().next()?;
    let rest = &text[letter.len_utf8()..];
    let byte = match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        _ if letter == mark => u8::try_from(mark).ok()?,
        '0'..='7' => {
            bytes.push(u8::try_from(u32::from_str_radix(text.get(..3)?, 8).ok()?).ok()?);
            return text.get(3..);
        }
        'x' => {
            bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
            return rest.get(2..);
        }
        'u' | 'U' => {
            let digits = if letter == 'u' { 4 } else { 8 };
            let code = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
            bytes.extend(char::from_u32(code)?.encode_utf8(&mut [0; 4]).bytes());
            return rest.get(digits..);
        }
        _ => return None,
    };
    bytes.push(byte);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_unquoted_again() {
        for text in ["", "a", "a\"b'c`d", "\\", "\n\t\u{7}\u{0}\u{7f}", "žluťoučký \u{2028}\u{1f600}\u{e0001}"] {
            assert_eq!(unquote(&quote(text)).as_deref(), Some(text));
        }
        assert_eq!(quote("a\u{10ffff}"), r#""a\xff""#);
        assert_eq!(quote("a\u{0}\u{a0}\u{e0001}"), r#""a\x00\u00a0\U000e0001""#);
        assert_eq!((quote_char('\''), quote_char('"')), (r"'\''".into(), "'\"'".into()));
    }

    #[test]
    fn escapes_are_those_of_go() {
        for (literal, text) in [
            (r#""\x41\101\u0041\U00000041""#, "AAAA"),
            (r#"'it\'s'"#, "it's"),
            (r"`\d`", r"\d"),
            (r#""a\xff\303""#, "a\u{10ffff}\u{10ffc3}"),
            (r#""\xc3\xa4""#, "ä"),
        ] {
            assert_eq!(unquote(literal).as_deref(), Some(text), "{literal}");
        }
        for literal in
            [r#""\'""#, r#""\8""#, r#""\x4""#, r#""\400""#, r#""\ud800""#, "\"a", "\"a\nb\"", "'a\"", "a", "\""]
        {
            assert_eq!(unquote(literal), None, "{literal}");
        }
    }
}
