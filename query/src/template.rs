//! Statements that differ only in their literals: times and texts that a condition compares with are taken out, and what is left
//! is known again, so that it need not be planned again.
//!
//! A small lexer finds the literals. What it does not understand for certain has none, and goes the long way.

use std::borrow::Cow;
use std::ops::Range;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;

/// A statement and its literals.
#[derive(Debug)]
pub(crate) struct Literals<'a> {
    sql: &'a str,
    pub list: Vec<Literal<'a>>,
}

/// A text in a statement that something is compared with.
#[derive(Debug)]
pub(crate) struct Literal<'a> {
    /// Where it is, quotes included.
    range: Range<usize>,
    pub text: Cow<'a, str>,
    /// Can it be read as a time? Then ns since the epoch.
    pub time: Option<i64>,
}

/// A value that no statement has, to be found again in a plan.
#[derive(Debug, PartialEq)]
pub(crate) enum Stand {
    Time(i64),
    Text(String),
}

impl<'a> Literals<'a> {
    /// The literals of a statement; nothing if it has something that the lexer does not know.
    pub(crate) fn find(sql: &'a str) -> Option<Literals<'a>> {
        let bytes = sql.as_bytes();
        let mut list = Vec::new();
        // The word or the sign before, and how deep in which parentheses a list of IN is.
        let (mut before, mut depth, mut list_depth) = ("", 0u32, None);
        let mut at = 0;
        while at < bytes.len() {
            let start = at;
            match bytes[at] {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    at += 1;
                    continue;
                }
                b'\'' => {
                    at = quote_end(bytes, at, b'\'')?;
                    let is_compared = matches!(before, "=" | "<" | ">" | "!")
                        || before.eq_ignore_ascii_case("timestamp")
                        || (list_depth == Some(depth) && matches!(before, "(" | ","));
                    if is_compared {
                        list.push(Literal::new(sql, start..at));
                    }
                }
                b'"' => at = quote_end(bytes, at, b'"')?,
                // Comments, escapes, placeholders and other dialects.
                b'-' if bytes.get(at + 1) == Some(&b'-') => return None,
                b'/' if bytes.get(at + 1) == Some(&b'*') => return None,
                b'\\' | b'$' | b'?' | b'@' | b'#' | b'`' | b';' | 128.. => return None,
                // In a key, these stand for literals.
                0..b' ' => return None,
                b'(' => {
                    depth += 1;
                    if before.eq_ignore_ascii_case("in") {
                        list_depth = Some(depth);
                    }
                    at += 1;
                }
                b')' => {
                    if list_depth == Some(depth) {
                        list_depth = None;
                    }
                    depth = depth.checked_sub(1)?;
                    at += 1;
                }
                byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                    while bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
                        at += 1;
                    }
                    // E'...' and the like.
                    if bytes.get(at) == Some(&b'\'') {
                        return None;
                    }
                }
                _ => at += 1,
            }
            before = &sql[start..at];
        }
        Some(Literals { sql, list })
    }

    /// What all statements have in common that differ only in their literals.
    pub(crate) fn key(&self, schema: &str) -> String {
        let mut key = format!("{} {schema} ", schema.len());
        self.rebuild(&mut key, |literal, out| out.push(if literal.time.is_some() { '\u{1}' } else { '\u{2}' }));
        key
    }

    /// The same statement with other values for its literals, and these.
    pub(crate) fn with_stands(&self) -> (String, Vec<Stand>) {
        let (mut sql, mut stands) = (String::new(), Vec::new());
        self.rebuild(&mut sql, |literal, out| {
            let number = stands.len() as i64;
            if literal.time.is_some() {
                // Of an hour and a little more each, from an evening of 1971 on.
                let seconds = 54_321_234 + number * 3_607;
                let time = arrow::temporal_conversions::timestamp_s_to_datetime(seconds).expect("within this century");
                out.push_str(&format!("'{}'", time.format("%Y-%m-%d %H:%M:%S")));
                stands.push(Stand::Time(seconds * 1_000_000_000));
            } else {
                let text = format!("\u{1}stand {number}");
                out.push_str(&format!("'{text}'"));
                stands.push(Stand::Text(text));
            }
        });
        (sql, stands)
    }

    fn rebuild(&self, out: &mut String, mut literal: impl FnMut(&Literal<'a>, &mut String)) {
        let mut end = 0;
        for found in &self.list {
            out.push_str(&self.sql[end..found.range.start]);
            literal(found, out);
            end = found.range.end;
        }
        out.push_str(&self.sql[end..]);
    }
}

impl<'a> Literal<'a> {
    fn new(sql: &'a str, range: Range<usize>) -> Literal<'a> {
        let inner = &sql[range.start + 1..range.end - 1];
        let text = if inner.contains("''") { Cow::Owned(inner.replace("''", "'")) } else { Cow::Borrowed(inner) };
        // A year, at least: DataFusion reads less as a time, too, but these are more likely to be names.
        let may_be_time = inner.len() >= 10 && inner.as_bytes()[..4].iter().all(u8::is_ascii_digit);
        let time = may_be_time.then(|| string_to_timestamp_nanos(&text).ok()).flatten();
        Literal { range, text, time }
    }
}

/// The place behind the closing quote.
fn quote_end(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == quote || *byte == b'\\')? + 1;
        match (bytes[at - 1], bytes.get(at)) {
            (b'\\', _) => return None,
            (_, Some(next)) if *next == quote => at += 1,
            _ => return Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> Option<Vec<(String, bool)>> {
        let literals = Literals::find(sql)?;
        Some(literals.list.iter().map(|literal| (literal.text.to_string(), literal.time.is_some())).collect())
    }

    #[test]
    fn literals_are_what_is_compared() {
        let sql = "SELECT date_bin(INTERVAL '1 minute', time) AS \"it''s\", 'x' FROM cpu WHERE hostname IN ('a', 'b''c') \
            AND time >= TIMESTAMP '2026-01-01 00:00:00' AND time < '2026-01-02T00:00:00Z' AND rack = '2026' AND f('y') != 'z'";
        let expected = [
            ("a", false),
            ("b'c", false),
            ("2026-01-01 00:00:00", true),
            ("2026-01-02T00:00:00Z", true),
            ("2026", false),
            ("z", false),
        ];
        assert_eq!(found(sql).unwrap(), expected.map(|(text, is_time)| (text.to_owned(), is_time)));
        let other = sql.replace("'a'", "'other'").replace("2026-01-02T", "2025-11-02T");
        let key = |sql: &str| Literals::find(sql).unwrap().key("public");
        assert_eq!(key(sql), key(&other));
        for different in [sql.replace("1 minute", "2 minutes"), sql.replace("'a', ", ""), sql.replace("'x'", "'y'")] {
            assert_ne!(key(sql), key(&different));
        }
    }

    #[test]
    fn stands_take_the_place_of_literals() {
        let literals = Literals::find("SELECT 1 WHERE t = 'a''b' AND time > '2026-01-01 00:00:00'").unwrap();
        let (sql, stands) = literals.with_stands();
        assert_eq!(sql, "SELECT 1 WHERE t = '\u{1}stand 0' AND time > '1971-09-21 18:14:01'");
        let time = string_to_timestamp_nanos("1971-09-21 18:14:01").unwrap();
        assert_eq!(stands, [Stand::Text("\u{1}stand 0".into()), Stand::Time(time)]);
    }

    #[test]
    fn what_is_not_understood_has_none() {
        for sql in
            ["a -- b", "a /* b */", "E'a'", "a = \u{2}", "a > \u{1}", "'a", "\"a", "$1", "a ; b", "'a\\'", "tür", ")"]
        {
            assert_eq!(found(sql), None, "{sql}");
        }
    }
}
