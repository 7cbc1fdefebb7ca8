//! Any JSON (RFC 8259) as a tree in an arena: nothing else is allocated, however many rows a text has.
//!
//! serde_json makes a buffer of its own for each text that has a float or an escape, so this is ours; it takes what
//! serde_json takes, and a test holds it against it.

use std::str::FromStr;

use bumpalo::Bump;
use bumpalo::collections::{String as BumpString, Vec as BumpVec};
use memchr::memchr2;

/// Lists and objects may lie so deep in each other.
const DEPTH_MAX: usize = 127;

/// A value of JSON. Texts are borrowed where they have no escapes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    I64(i64),
    /// Above the largest `i64`.
    U64(u64),
    F64(f64),
    Text(&'a str),
    List(&'a [Json<'a>]),
    /// Names and values as they stand, doubles included.
    Object(&'a [(&'a str, Json<'a>)]),
}

impl<'a> Json<'a> {
    /// The tree of a text.
    ///
    /// # Errors
    ///
    /// The text is no JSON, has a number that no float is, or is over 127 lists deep: where, and what was expected.
    pub(crate) fn parse(text: &'a [u8], arena: &'a Bump) -> Result<Json<'a>, String> {
        let text = std::str::from_utf8(text).map_err(|error| {
            format!("expected UTF-8 as JSON, found other bytes at byte {}", error.valid_up_to() + 1)
        })?;
        let mut reader = Reader { text, at: 0, depth: 0, arena };
        let tree = reader.value()?;
        match reader.peek() {
            None => Ok(tree),
            Some(_) => Err(reader.expected("nothing more after the value")),
        }
    }

    /// What an object has under a name, the last where there are several; null if it has nothing, or is no object.
    pub(crate) fn get(self, name: &str) -> Json<'a> {
        let Json::Object(pairs) = self else { return Json::Null };
        pairs.iter().rev().find(|(known, _)| *known == name).map_or(Json::Null, |(_, value)| *value)
    }

    /// What it is, in words.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::I64(_) | Json::U64(_) | Json::F64(_) => "a number",
            Json::Text(_) => "a text",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }
}

/// A place in a text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    arena: &'a Bump,
}

impl<'a> Reader<'a> {
    fn expected(&self, what: &str) -> String {
        match self.text[self.at..].chars().next() {
            Some(found) => format!("expected {what} at byte {}, found {found:?}", self.at + 1),
            None => format!("expected {what}, found the end of the JSON"),
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    /// Steps over a sign that has to stand here.
    fn step(&mut self, sign: u8, what: &str) -> Result<(), String> {
        if self.peek() != Some(sign) {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<Json<'a>, String> {
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.quoted()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => self.deeper(Self::object),
            Some(b'[') => self.deeper(Self::list),
            _ => {
                let words = [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))];
                let found = words.into_iter().find(|(word, _)| self.text[self.at..].starts_with(word));
                let (word, value) = found.ok_or_else(|| self.expected("a value"))?;
                self.at += word.len();
                Ok(value)
            }
        }
    }

    /// What begins with a bracket.
    fn deeper(&mut self, read: fn(&mut Self) -> Result<Json<'a>, String>) -> Result<Json<'a>, String> {
        if self.depth == DEPTH_MAX {
            return Err(self.expected(&format!("no more than {DEPTH_MAX} lists and objects in each other")));
        }
        self.at += 1;
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }

    fn list(&mut self) -> Result<Json<'a>, String> {
        let mut values = BumpVec::new_in(self.arena);
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(&[]));
        }
        loop {
            values.push(self.value()?);
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.step(b']', "',' or ']'")?;
            return Ok(Json::List(values.into_bump_slice()));
        }
    }

    fn object(&mut self) -> Result<Json<'a>, String> {
        let mut pairs = BumpVec::new_in(self.arena);
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(&[]));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a name in quotes"));
            }
            let name = self.quoted()?;
            self.step(b':', "':'")?;
            pairs.push((name, self.value()?));
            if self.peek() == Some(b',') {
                self.at += 1;
                continue;
            }
            self.step(b'}', "',' or '}'")?;
            return Ok(Json::Object(pairs.into_bump_slice()));
        }
    }

    /// A text, from its first quote on; borrowed if it has no escape.
    fn quoted(&mut self) -> Result<&'a str, String> {
        self.at += 1;
        let plain = self.plain()?;
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(plain);
        }
        let mut text = BumpString::from_str_in(plain, self.arena);
        loop {
            self.at += 1;
            if self.text.as_bytes()[self.at - 1] == b'"' {
                return Ok(text.into_bump_str());
            }
            text.push(self.escaped()?);
            text.push_str(self.plain()?);
        }
    }

    /// What stands before the next quote or backslash.
    fn plain(&mut self) -> Result<&'a str, String> {
        let rest = &self.text[self.at..];
        let end = memchr2(b'"', b'\\', rest.as_bytes());
        let plain = &rest[..end.unwrap_or(rest.len())];
        if let Some(control) = plain.bytes().position(|byte| byte < b' ') {
            self.at += control;
            return Err(self.expected("no control character in a text (they are written \\u00..)"));
        }
        self.at += plain.len();
        end.map(|_| plain).ok_or_else(|| self.expected("'\"' at the end of the text"))
    }

    /// What an escape means, from after its backslash on.
    fn escaped(&mut self) -> Result<char, String> {
        let sign = self.byte().ok_or_else(|| self.expected("an escape"))?;
        let meant = match sign {
            b'"' | b'\\' | b'/' => char::from(sign),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.escaped_unit(),
            _ => return Err(self.expected("one of \"\\/bfnrtu after a backslash")),
        };
        self.at += 1;
        Ok(meant)
    }

    /// `\u` and four digits, or two of them for what is beyond 16 bits.
    fn escaped_unit(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.expected("the first half of a pair before its second"));
        }
        let second = "the second half of a pair, as \\udc00 to \\udfff,";
        if !self.text[self.at..].starts_with("\\u") {
            return Err(self.expected(second));
        }
        self.at += 1;
        let low = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400).ok_or_else(|| self.expected(second))?;
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + low).ok_or_else(|| self.expected(second))
    }

    /// The four digits after a `u`.
    fn hex(&mut self) -> Result<u32, String> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or_else(|| self.expected("four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn digits(&mut self) -> Result<(), String> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Json<'a>, String> {
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        let whole_end = self.at;
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        // A zero with a sign is a float, and so is what is too large.
        if self.at == whole_end && text != "-0" {
            let whole = i64::from_str(text).map(Json::I64);
            if let Ok(whole) = whole.or_else(|_| u64::from_str(text).map(Json::U64)) {
                return Ok(whole);
            }
        }
        let float = f64::from_str(text).ok().filter(|float| float.is_finite());
        float.map(Json::F64).ok_or_else(|| format!("expected a number that a float of 64 bits can be, found {text}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn value(json: Json<'_>) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => bool.into(),
            Json::I64(number) => number.into(),
            Json::U64(number) => number.into(),
            Json::F64(number) => number.into(),
            Json::Text(text) => text.into(),
            Json::List(list) => list.iter().copied().map(value).collect(),
            Json::Object(pairs) => {
                Value::Object(pairs.iter().map(|(name, json)| ((*name).into(), value(*json))).collect())
            }
        }
    }

    /// It takes and refuses what serde_json does, and reads the same.
    fn same_as_serde(text: &[u8]) {
        let arena = Bump::new();
        let (ours, theirs) = (Json::parse(text, &arena), serde_json::from_slice::<Value>(text));
        let text = String::from_utf8_lossy(text);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                let ours = value(ours);
                assert_eq!(ours, theirs, "{text}");
                // The sign of a zero, and a float beside an integer of the same value.
                assert_eq!(ours.to_string(), theirs.to_string(), "{text}");
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("{text}: ours {ours:?}, of serde_json {theirs:?}"),
        }
    }

    /// What JSON is made of, and what it must not have.
    const PIECES: &[&[u8]] = &[
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\"a\"",
        b"\"\\u00e4\"",
        b"\\ud83d",
        b"\\ude00",
        b"\\u",
        b"\\n",
        b"\\x",
        b"\\",
        b"null",
        b"true",
        b"fals",
        b"0",
        b"-0",
        b"-",
        b"17",
        b".5",
        b".",
        b"e",
        b"E+3",
        b"e999",
        b"18446744073709551615",
        b"18446744073709551616",
        b"-9223372036854775808",
        b"-9223372036854775809",
        b"0.1",
        b"1e-400",
        b" ",
        b"\n",
        b"\x01",
        b"\x0b",
        "ä".as_bytes(),
        b"\xff",
        b"12345678901234567890.125",
        b"2.2250738585072011e-308",
    ];

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((".{0,3}", inner), 0..5).prop_map(|pairs| pairs.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_as_serde_json_does(tree in tree(), is_pretty: bool, bites in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3)) {
            let text = if is_pretty { serde_json::to_vec_pretty(&tree) } else { serde_json::to_vec(&tree) };
            let mut text = text.unwrap();
            same_as_serde(&text);
            for (at, piece) in bites {
                let (at, piece) = (at.index(text.len()), PIECES[piece.index(PIECES.len())]);
                text.splice(at..at + 1, piece.iter().copied());
                same_as_serde(&text);
            }
        }

        #[test]
        fn refuses_as_serde_json_does(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..8), in_quotes: bool) {
            let text = pieces.concat();
            same_as_serde(&text);
            if in_quotes {
                same_as_serde(&[b"\"", &text[..], b"\""].concat());
            }
        }
    }

    #[test]
    fn a_tree_borrows_what_it_can() {
        let arena = Bump::new();
        let text = r#" {"a":[1,-2,18446744073709551615,2.5,null,true],"b":"x","b":"\u00e4"} "#;
        let tree = Json::parse(text.as_bytes(), &arena).unwrap();
        assert!(matches!(tree.get("b"), Json::Text("ä")), "the last of a name counts");
        let Json::List(list) = tree.get("a") else { panic!("{tree:?}") };
        assert!(matches!(
            list,
            [Json::I64(1), Json::I64(-2), Json::U64(u64::MAX), Json::F64(2.5), Json::Null, Json::Bool(true)]
        ));
        assert!(matches!(tree.get("c"), Json::Null));
    }

    #[test]
    fn says_where_and_what() {
        let told = |text: &str| Json::parse(text.as_bytes(), &Bump::new()).unwrap_err();
        assert_eq!(told("{} {}"), "expected nothing more after the value at byte 4, found '{'");
        assert_eq!(told(r#"{"a" 1}"#), "expected ':' at byte 6, found '1'");
        assert_eq!(told(r#"{"a":[1"#), "expected ',' or ']', found the end of the JSON");
        assert_eq!(told("1e999"), "expected a number that a float of 64 bits can be, found 1e999");
        for depth in [127, 128] {
            same_as_serde(["[".repeat(depth), "]".repeat(depth)].concat().as_bytes());
        }
        assert!(told(&"[".repeat(1000)).contains("no more than 127 lists"));
    }
}
