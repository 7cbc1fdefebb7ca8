//! InfluxDB line protocol: `measurement,tag=value field=1i,other="text" 1767225600000000000`.
//!
//! As the [specification](https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/) has it. Good lines
//! go into the batch, bad ones into the [`Report`] with their number and the reason. Parsing works on the request's own
//! bytes: only what is escaped is copied, and a series that was seen before is found by its raw bytes without looking
//! at its tags.

use bumpalo::Bump;
use memchr::{memchr, memchr2, memchr3};
use tsdb::{Batch, Row, Value};

use crate::body::without_mark;
use crate::number;
use crate::report::{Reason, Report};

/// The unit of the timestamps in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    /// Nanoseconds in one unit; 0 if the size of each timestamp tells its unit.
    ns: i64,
}

impl Precision {
    /// Each timestamp's own size tells its unit, as InfluxDB 3 has it.
    pub const AUTO: Precision = Precision { ns: 0 };

    /// The precision with this name, as InfluxDB 1, 2 or 3 spells it.
    pub fn parse(name: &str) -> Option<Precision> {
        let ns = match name {
            "n" | "ns" | "nanosecond" | "nanoseconds" => 1,
            "u" | "us" | "µ" | "microsecond" | "microseconds" => 1_000,
            "ms" | "millisecond" | "milliseconds" => 1_000_000,
            "s" | "second" | "seconds" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "auto" => 0,
            _ => return None,
        };
        Some(Precision { ns })
    }

    /// So many units as ns.
    #[inline]
    fn checked_ns(self, units: i64) -> Option<i64> {
        units.checked_mul(match self.ns {
            0 => guess(units),
            ns => ns,
        })
    }

    /// So many units as ns, or why not: `1767225600`, `1767225600.25`.
    pub(crate) fn ns_of_text(self, text: &str) -> Result<i64, String> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let units: i64 = whole.parse().map_err(|_| format!("timestamp {text} is out of range"))?;
        let fraction = fraction.trim_end_matches('0');
        let start = self.ns(units)?;
        if fraction.is_empty() {
            return Ok(start);
        }
        let unit = i128::from(if self.ns == 0 { guess(units) } else { self.ns });
        if unit == 1 {
            return Err(format!("timestamp {text} has a fraction, which ns have not; say another precision="));
        }
        // More digits than these are far below a ns, whatever the unit.
        let fraction = &fraction[..fraction.len().min(18)];
        let digits: u64 = fraction.parse().map_err(|_| format!("'{text}' is not a number"))?;
        let rest = i128::from(digits) * unit / 10_i128.pow(fraction.len() as u32);
        let rest = if whole.starts_with('-') { -rest } else { rest };
        i64::try_from(i128::from(start) + rest).map_err(|_| format!("timestamp {text} is out of range"))
    }

    /// So many units as ns, or why not.
    pub(crate) fn ns(self, units: i64) -> Result<i64, String> {
        self.checked_ns(units).ok_or_else(|| format!("timestamp {units} is out of range for its precision"))
    }
}

/// The ns in the unit of a timestamp: of the years since 1970, whatever the unit, only one makes sense.
fn guess(units: i64) -> i64 {
    match units.unsigned_abs() {
        0..5_000_000_000 => 1_000_000_000,
        5_000_000_000..5_000_000_000_000 => 1_000_000,
        5_000_000_000_000..5_000_000_000_000_000 => 1_000,
        _ => 1,
    }
}

impl Default for Precision {
    /// Nanoseconds.
    fn default() -> Precision {
        Precision { ns: 1 }
    }
}

/// Takes the rows of `body` into `batch`. Lines without a timestamp get `now`, ns since the epoch.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = tsdb::Store::open(dir.path(), Default::default()).unwrap();
/// use ingest::line_protocol::{Precision, parse};
/// let mut batch = store.batch("public");
/// let report = parse(b"cpu,host=a usage=1.5 10\ncpu usage=oops\n", Precision::default(), 0, &mut batch);
/// assert_eq!((report.taken, report.reasons[0].line), (1, 2));
/// ```
pub fn parse(body: &[u8], precision: Precision, now: i64, batch: &mut Batch) -> Report {
    let mut report = Report::default();
    let (body, copies) = (without_mark(body), Bump::new());
    match std::str::from_utf8(body) {
        Ok(text) => Parser::new(text, 1, precision, now, &copies).run(batch, &mut report),
        // Some line is not UTF-8: only that one is refused.
        Err(_) => {
            for (index, line) in body.split(|byte| *byte == b'\n').enumerate() {
                let number = index + 1;
                match std::str::from_utf8(line) {
                    Ok(text) => Parser::new(text, number, precision, now, &copies).run(batch, &mut report),
                    Err(error) => report.refuse(number, format!("not UTF-8: {error}"), &String::from_utf8_lossy(line)),
                }
            }
        }
    }
    report
}

/// Walks over the text of a request.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// The number of the line at `at`.
    line: usize,
    precision: Precision,
    now: i64,
    /// Where unescaped copies live until the request is done.
    copies: &'a Bump,
    /// The names of fields in the line before: those of the next are mostly the same. Names with escapes end the list.
    names: Vec<&'a str>,
}

type Fields<'a> = Vec<(&'a str, Value<'a>)>;
type Tags<'a> = Vec<(&'a str, &'a str)>;

impl<'a> Parser<'a> {
    fn new(text: &'a str, line: usize, precision: Precision, now: i64, copies: &'a Bump) -> Parser<'a> {
        Parser { text, at: 0, line, precision, now, copies, names: Vec::new() }
    }

    fn run(mut self, batch: &mut Batch, report: &mut Report) {
        let mut fields = Fields::new();
        while self.skip_blank() {
            let (start, number) = (self.at, self.line);
            let outcome = self.line(&mut fields).map_err(Reason::from).and_then(|(key, time)| {
                // From here on the line's end is known: a row that the store refuses costs only its own line.
                self.store(key, time, &fields, batch)
            });
            // Only a string holds a newline that is not the line's end.
            let is_one_line = outcome.is_ok() && !fields.iter().any(|(_, value)| matches!(value, Value::Str(_)));
            match outcome {
                Ok(()) => report.take(fields.len()),
                Err(reason) => {
                    if self.at == start {
                        // Not understood, so quotes cannot be trusted: the line ends at the next newline.
                        self.at =
                            memchr(b'\n', &self.bytes()[start..]).map_or(self.text.len(), |found| start + found + 1);
                    }
                    report.refuse(number, reason, &self.text[start..self.at]);
                }
            }
            self.line += match is_one_line {
                true => 1,
                false => memchr::memchr_iter(b'\n', &self.bytes()[start..self.at]).count(),
            };
        }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Moves to the next line that is neither empty nor a comment; false at the end.
    fn skip_blank(&mut self) -> bool {
        while let Some(byte) = self.bytes().get(self.at) {
            match byte {
                b'\n' => self.line += 1,
                b' ' | b'\t' | b'\r' => {}
                b'#' => {
                    let rest = &self.bytes()[self.at..];
                    self.at += memchr(b'\n', rest).unwrap_or(rest.len());
                    continue;
                }
                _ => return true,
            }
            self.at += 1;
        }
        false
    }

    /// Parses a line into its raw key, its fields and its time, and moves behind it; on an error stays where it is.
    fn line(&mut self, fields: &mut Fields<'a>) -> Result<(&'a str, i64), String> {
        let mut at = self.key_end(self.at)?;
        let key = &self.text[self.at..at];
        at = self.spaces(at);
        fields.clear();
        loop {
            let (name, value_at) = self.name(at, fields.len())?;
            let plain = number::value(self.bytes(), value_at);
            let (value, end) = plain.map_or_else(|| self.value(name, value_at), Ok)?;
            fields.push((name, value));
            at = end + 1;
            if self.bytes().get(end) != Some(&b',') {
                at = self.spaces(end);
                break;
            }
        }
        let plain = number::time(self.bytes(), at);
        let plain = plain.and_then(|(units, end)| Some((self.precision.checked_ns(units)?, end)));
        let (time, end) = plain.map_or_else(|| self.time(at), Ok)?;
        self.at = end;
        Ok((key, time))
    }

    /// Where measurement and tags end: at the first space that is not escaped.
    fn key_end(&self, start: usize) -> Result<usize, String> {
        let mut at = start;
        while let Some(found) = memchr2(b' ', b'\n', &self.bytes()[at..]) {
            at += found;
            match (self.bytes()[at], self.escaped(start, at)) {
                (b'\n', _) => break,
                (_, true) => at += 1,
                (_, false) => return Ok(at),
            }
        }
        Err("expected a space and fields after measurement and tags".into())
    }

    /// Is the byte at `at` behind a backslash? That is all that counts outside of quotes: `\\` is two characters.
    fn escaped(&self, start: usize, at: usize) -> bool {
        at > start && self.bytes()[at - 1] == b'\\'
    }

    fn spaces(&self, mut at: usize) -> usize {
        while self.bytes().get(at) == Some(&b' ') {
            at += 1;
        }
        at
    }

    /// The name of the line's field with this index, and where its value starts.
    fn name(&mut self, start: usize, index: usize) -> Result<(&'a str, usize), String> {
        if let Some(name) = self.names.get(index) {
            let end = start + name.len();
            if self.bytes()[start..].starts_with(name.as_bytes()) && self.bytes().get(end) == Some(&b'=') {
                return Ok((name, end + 1));
            }
        }
        let (name, value_at) = self.field_name(start)?;
        self.names.truncate(index);
        if self.names.len() == index && name.len() == value_at - 1 - start {
            self.names.push(name);
        }
        Ok((name, value_at))
    }

    /// The field's name, and where its value starts.
    fn field_name(&self, start: usize) -> Result<(&'a str, usize), String> {
        let mut at = start;
        while let Some(byte) = self.bytes().get(at) {
            match byte {
                b'=' | b',' | b' ' if self.escaped(start, at) => {}
                b'=' if at == start => return Err("expected a field name before '='".into()),
                b'=' => return Ok((self.unescape(&self.text[start..at]), at + 1)),
                b',' | b' ' | b'\n' | b'\r' => break,
                _ => {}
            }
            at += 1;
        }
        match &self.text[start..at] {
            "" => Err("expected a field, like value=1".into()),
            name => Err(format!("expected '=' and a value after field '{name}'")),
        }
    }

    /// A field's value and where it ends.
    fn value(&self, name: &str, start: usize) -> Result<(Value<'a>, usize), String> {
        if self.bytes().get(start) == Some(&b'"') {
            return self.string(name, start + 1);
        }
        let rest = &self.bytes()[start..];
        let length = rest.iter().position(|byte| matches!(byte, b',' | b' ' | b'\n' | b'\r')).unwrap_or(rest.len());
        let end = start + length;
        let text = &self.text[start..end];
        let value = match text {
            "" => return Err(format!("expected a value after '{name}='")),
            "t" | "T" | "true" | "True" | "TRUE" => Value::Bool(true),
            "f" | "F" | "false" | "False" | "FALSE" => Value::Bool(false),
            _ => number(text).map_err(|why| format!("field '{name}': {why}"))?,
        };
        Ok((value, end))
    }

    /// A quoted string, from behind its opening quote; it may hold newlines.
    fn string(&self, name: &str, start: usize) -> Result<(Value<'a>, usize), String> {
        let mut at = start;
        let mut escapes = false;
        while let Some(found) = memchr2(b'"', b'\\', &self.bytes()[at..]) {
            at += found;
            if self.bytes()[at] == b'\\' {
                escapes = true;
                at += 2;
                if at > self.text.len() {
                    break;
                }
                continue;
            }
            let inner = &self.text[start..at];
            let text = if escapes { self.unescape_string(inner) } else { inner };
            return match self.bytes().get(at + 1) {
                None | Some(b',' | b' ' | b'\n' | b'\r') => Ok((Value::Str(text), at + 1)),
                Some(_) => Err(format!("field '{name}': expected ',', a space or the end after the closing quote")),
            };
        }
        Err(format!("field '{name}': the string has no closing quote"))
    }

    /// The time of a line and where the next line starts.
    fn time(&self, start: usize) -> Result<(i64, usize), String> {
        let rest = &self.bytes()[start..];
        let length = memchr3(b' ', b'\n', b'\r', rest).unwrap_or(rest.len());
        let text = &self.text[start..start + length];
        let mut end = self.spaces(start + length);
        if self.bytes().get(end) == Some(&b'\r') {
            end += 1;
        }
        match self.bytes().get(end) {
            None => {}
            Some(b'\n') => end += 1,
            Some(_) => return Err("expected the end of the line after the timestamp".into()),
        }
        if text.is_empty() {
            return Ok((self.now, end));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("expected a whole number as timestamp, found '{text}'"));
        }
        let time = text.parse::<i64>().ok().and_then(|units| self.precision.checked_ns(units));
        let time = time.ok_or_else(|| format!("timestamp {text} is out of range for its precision"))?;
        Ok((time, end))
    }

    /// `piece` with `\,` `\=` `\ ` resolved; other backslashes stay as they are.
    fn unescape(&self, piece: &'a str) -> &'a str {
        self.resolve(piece, &[',', '=', ' '])
    }

    /// `piece` with `\"` and `\\` resolved; other backslashes stay as they are.
    fn unescape_string(&self, piece: &'a str) -> &'a str {
        self.resolve(piece, &['"', '\\'])
    }

    fn resolve(&self, piece: &'a str, special: &[char]) -> &'a str {
        if memchr(b'\\', piece.as_bytes()).is_none() {
            return piece;
        }
        let mut resolved = bumpalo::collections::String::with_capacity_in(piece.len(), self.copies);
        let mut chars = piece.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '\\' if chars.peek().is_some_and(|next| special.contains(next)) => resolved.extend(chars.next()),
                _ => resolved.push(char),
            }
        }
        resolved.into_bump_str()
    }

    fn store(&self, key: &'a str, time: i64, fields: &Fields<'a>, batch: &mut Batch) -> Result<(), Reason> {
        let stored = match batch.find_series(key.as_bytes()) {
            Some(series) => batch.push_series(series, time, fields),
            None => {
                let (measurement, tags) = self.key(key)?;
                let row = Row { measurement, tags: &tags, time, fields };
                batch.push_spelled(key.as_bytes(), &row)
            }
        };
        stored.map_err(Reason::from)
    }

    /// The measurement and the tags of a key.
    fn key(&self, key: &'a str) -> Result<(&'a str, Tags<'a>), String> {
        let mut parts = split_unescaped(key, b',');
        let measurement = self.resolve(parts.next().unwrap_or_default(), &[',', ' ']);
        if measurement.is_empty() {
            return Err("expected a measurement at the start of the line".into());
        }
        let mut tags = Vec::new();
        for part in parts {
            let mut sides = split_unescaped(part, b'=');
            match (sides.next().unwrap_or_default(), sides.next(), sides.next()) {
                ("", None, None) => return Err("expected a tag after ','".into()),
                ("", ..) => return Err("expected a tag name before '='".into()),
                (name, None | Some(""), None) => return Err(format!("expected '=' and a value after tag '{name}'")),
                (name, Some(value), None) => tags.push((self.unescape(name), self.unescape(value))),
                (name, ..) => return Err(format!("tag '{name}': a '=' in a value is written as '\\='")),
            }
        }
        Ok((measurement, tags))
    }
}

/// The parts of `text` between separators that are not behind a backslash.
fn split_unescaped(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let end = (0..bytes.len()).find(|at| bytes[*at] == separator && (*at == 0 || bytes[at - 1] != b'\\'));
        rest = end.map(|end| &text[end + 1..]);
        Some(end.map_or(text, |end| &text[..end]))
    })
}

/// `1.5`, `-3e8`, `42i`, `42u`; QuestDB's times, `42t` in microseconds and `42n` in nanoseconds, are integers. Infinity and NaN are not numbers here, as in InfluxDB.
fn number(text: &str) -> Result<Value<'static>, String> {
    let expected = || format!("expected a number, true, false or a \"string\", found '{text}'");
    if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-' || first == '.') {
        return Err(expected());
    }
    if let Some(digits) = text.strip_suffix(['i', 't', 'n']) {
        return digits.parse().map(Value::I64).map_err(|error| format!("'{text}' is no 64-bit integer: {error}"));
    }
    if let Some(digits) = text.strip_suffix('u') {
        return digits
            .parse()
            .map(Value::U64)
            .map_err(|error| format!("'{text}' is no unsigned 64-bit integer: {error}"));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::F64(number)),
        // "-inf" and "-nan" are spelled with letters, a number that is too large is not.
        Ok(_) if text.ends_with(|last: char| last.is_ascii_digit() || last == '.') => {
            Err(format!("{text} is out of range for a 64-bit float"))
        }
        _ => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Text that is nearly line protocol is taken or refused line by line; it never panics, and every line counts.
        #[test]
        fn any_text_is_taken_or_refused(text in "([a-c]{1,2}|[,= \"\\\\\\n\\r#]|1[.0-9]{0,3}[iue]?|é|-|t|=\"[a ]{0,3}\"){0,60}") {
            let dir = tempfile::tempdir().unwrap();
            let store = tsdb::Store::open(dir.path(), tsdb::Options::default()).unwrap();
            let mut batch = store.batch("public");
            let report = parse(text.as_bytes(), Precision::default(), 7, &mut batch);
            prop_assert_eq!(report.taken, batch.rows());
            let lines = text.split('\n').count();
            prop_assert!(report.taken + report.refused <= lines);
            prop_assert!(report.reasons.iter().all(|bad| (1..=lines).contains(&bad.line)));
            prop_assert!(report.reasons.is_sorted_by_key(|bad| bad.line));
            store.write(batch).unwrap();
        }
    }
}
