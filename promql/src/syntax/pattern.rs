//! Regular expressions as Go reads them: `\d`, `\w`, `\s` and `\b` are ASCII, a dot matches every letter, all of a text has to
//! match. They are written anew for the crate `regex`, in which some signs mean something else.

use std::sync::OnceLock;

use regex::Regex;
use tsdb::TextPattern;

/// A regular expression that all of a text has to match.
///
/// ```
/// use promql::syntax::Pattern;
///
/// let pattern: Pattern = "web-[0-9]+|db".parse().unwrap();
/// assert!(pattern.is_match("web-12") && pattern.is_match("db"));
/// assert!(!pattern.is_match("my db"));
/// ```
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    written: String,
    matcher: TextPattern,
    /// What finds groups; made when it is asked for.
    groups: OnceLock<Option<Regex>>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    /// Does all of it match?
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }

    /// A text in which `$1` and `${name}` stand for what a group matched, if all of the other one matches.
    ///
    /// ```
    /// use promql::syntax::Pattern;
    ///
    /// let pattern: Pattern = "(.*):[0-9]+".parse().unwrap();
    /// assert_eq!(pattern.expand("web:9100", "host $1").as_deref(), Some("host web"));
    /// ```
    #[must_use]
    pub fn expand(&self, text: &str, with: &str) -> Option<String> {
        let groups = self.groups.get_or_init(|| match &self.matcher {
            TextPattern::Regex(regex) => Some(regex.clone()),
            TextPattern::Gaps(_) => Regex::new(&self.written).ok(),
        });
        let found = groups.as_ref()?.captures(text)?;
        let mut expanded = String::new();
        found.expand(with, &mut expanded);
        Some(expanded)
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As the crate `regex` reads it; all of a text has to match.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The texts that match, if it is nothing but a choice of texts: `web|db`.
    #[must_use]
    pub fn choice(&self) -> Option<Vec<&str>> {
        let is_plain = !self.text.contains(|letter| r"\.+*?()[]{}^$".contains(letter));
        is_plain.then(|| self.text.split('|').collect())
    }
}

impl std::str::FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let written = Writer { rest: text, text: String::with_capacity(text.len() + 8), is_repeated: false }.write()?;
        let written = format!("^(?s:{written})$");
        let matcher = TextPattern::new(&written).map_err(|error| {
            let said = error.to_string();
            let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("error parsing regexp: {last}: `{text}`")
        })?;
        Ok(Pattern { text: text.into(), written, matcher, groups: OnceLock::new() })
    }
}

/// So often Go repeats at the most.
const COUNT_MAX: u32 = 1000;

/// Writes an expression of Go for `regex`.
struct Writer<'a> {
    rest: &'a str,
    text: String,
    /// Does a repetition stand right before?
    is_repeated: bool,
}

type Written<T> = Result<T, String>;

impl<'a> Writer<'a> {
    fn write(mut self) -> Written<String> {
        while let Some(letter) = self.peek() {
            let is_repetition = match letter {
                '*' | '+' | '?' => true,
                '{' => repetition(self.rest).is_some(),
                _ => false,
            };
            if is_repetition {
                self.repeat()?;
                continue;
            }
            self.is_repeated = false;
            self.skip(letter);
            match letter {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' | '}' | ']' => self.literal(letter),
                _ => self.text.push(letter),
            }
        }
        Ok(self.text)
    }

    /// `*`, `+?`, `{2,3}`; not another one behind it.
    fn repeat(&mut self) -> Written<()> {
        let length = repetition(self.rest).unwrap_or(1);
        if self.is_repeated {
            return wrong("invalid nested repetition operator", &self.rest[..length]);
        }
        let mut counts = self.rest[..length].split(|letter: char| !letter.is_ascii_digit());
        if counts.any(|count| count.len() > 4 || count.parse().is_ok_and(|count: u32| count > COUNT_MAX)) {
            return wrong("invalid repeat count", &self.rest[..length]);
        }
        let length = length + usize::from(self.rest[length..].starts_with('?'));
        self.text.push_str(&self.rest[..length]);
        self.rest = &self.rest[length..];
        self.is_repeated = true;
        Ok(())
    }

    /// What stands behind a parenthesis: of flags only those that Go has.
    fn group(&mut self) -> Written<()> {
        self.text.push('(');
        let Some(inside) = self.rest.strip_prefix('?') else { return Ok(()) };
        if inside.starts_with("P<") || inside.starts_with('<') {
            return Ok(());
        }
        let end = inside.find([':', ')']).unwrap_or(inside.len());
        match inside[..end].bytes().all(|flag| b"imsU-".contains(&flag)) {
            true => Ok(()),
            false => wrong(
                "invalid or unsupported Perl syntax",
                &format!("(?{}", inside.chars().take(1).collect::<String>()),
            ),
        }
    }

    /// What stands behind a backslash, outside of a class.
    fn escape(&mut self) -> Written<()> {
        match self.peek() {
            Some(letter @ ('b' | 'B')) => {
                self.skip(letter);
                self.text.push_str(&format!("(?-u:\\{letter})"));
            }
            Some(letter @ ('A' | 'z')) => {
                self.skip(letter);
                self.text.extend(['\\', letter]);
            }
            Some('Q') => {
                let inside = &self.rest[1..];
                let (quoted, rest) = inside.split_once("\\E").unwrap_or((inside, ""));
                self.text.push_str(&regex::escape(quoted));
                self.rest = rest;
            }
            _ => match self.escaped()? {
                Escaped::Letter(letter) => self.literal(letter),
                Escaped::Class(class) => self.text.push_str(&class),
            },
        }
        Ok(())
    }

    /// A letter, or a class of letters, that is escaped inside and outside of a class alike.
    fn escaped(&mut self) -> Written<Escaped> {
        let Some(letter) = self.peek() else { return wrong("trailing backslash at end of expression", "") };
        self.skip(letter);
        let class = match letter {
            'd' => "[0-9]",
            'D' => "[^0-9]",
            's' => r"[\t\n\f\r ]",
            'S' => r"[^\t\n\f\r ]",
            'w' => "[0-9A-Za-z_]",
            'W' => "[^0-9A-Za-z_]",
            'p' | 'P' => return self.property(letter),
            _ => "",
        };
        if !class.is_empty() {
            return Ok(Escaped::Class(class.into()));
        }
        let letter = match letter {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.hexadecimal()?,
            '0'..='7' if letter == '0' || self.peek().is_some_and(|second| second.is_digit(8)) => self.octal(letter),
            _ if letter.is_ascii_alphanumeric() || !letter.is_ascii() => {
                return wrong("invalid escape sequence", &format!("\\{letter}"));
            }
            _ => letter,
        };
        Ok(Escaped::Letter(letter))
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`.
    fn property(&mut self, letter: char) -> Written<Escaped> {
        let inside = self.rest;
        let (name, rest) = match inside.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or_else(|| Self::no_range(inside))?,
            None => inside.split_at(inside.chars().next().ok_or_else(|| Self::no_range(inside))?.len_utf8()),
        };
        self.rest = rest;
        let (name, is_negated) = match name.strip_prefix('^') {
            Some(name) => (name, letter == 'p'),
            None => (name, letter == 'P'),
        };
        Ok(Escaped::Class(format!("\\{}{{{name}}}", if is_negated { 'P' } else { 'p' })))
    }

    fn no_range(inside: &str) -> String {
        format!("error parsing regexp: invalid character class range: `\\p{inside}`")
    }

    fn hexadecimal(&mut self) -> Written<char> {
        let (digits, rest) = match self.rest.strip_prefix('{') {
            Some(braced) => braced.split_once('}').unwrap_or((braced, "")),
            None => self.rest.split_at_checked(2).unwrap_or((self.rest, "")),
        };
        let code =
            u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let letter = code.and_then(char::from_u32);
        self.rest = rest;
        letter.map_or_else(|| wrong("invalid escape sequence", &format!("\\x{digits}")), Ok)
    }

    /// Up to three octal digits.
    fn octal(&mut self, first: char) -> char {
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|letter| letter.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.rest = &self.rest[1..];
        }
        char::from_u32(code).unwrap_or_default()
    }

    /// A class, whose bracket is read. A bracket, `&&`, `--` or `~~` in it is nothing but letters.
    fn class(&mut self) -> Written<()> {
        let start = self.rest;
        self.text.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.text.push('^');
            self.rest = rest;
        }
        let mut is_first = true;
        loop {
            let Some(letter) = self.peek() else { return wrong("missing closing ]", &format!("[{start}")) };
            if letter == ']' && !is_first {
                self.skip(letter);
                self.text.push(']');
                return Ok(());
            }
            is_first = false;
            if let Some(end) = self.rest.strip_prefix("[:").and_then(|inside| inside.find(":]")) {
                self.text.push_str(&self.rest[..end + 4]);
                self.rest = &self.rest[end + 4..];
                continue;
            }
            let Some(low) = self.class_letter()? else { continue };
            self.literal(low);
            let is_range = self.rest.starts_with('-') && !self.rest[1..].starts_with(']') && self.rest.len() > 1;
            if is_range {
                self.rest = &self.rest[1..];
                let Some(high) = self.class_letter()? else {
                    return wrong("invalid character class range", &format!("{low}-"));
                };
                self.text.push('-');
                self.literal(high);
            }
        }
    }

    /// One letter of a class, or none where it was a class of its own, which is written.
    fn class_letter(&mut self) -> Written<Option<char>> {
        let Some(letter) = self.peek() else { return Ok(None) };
        self.skip(letter);
        if letter != '\\' {
            return Ok(Some(letter));
        }
        Ok(match self.escaped()? {
            Escaped::Letter(letter) => Some(letter),
            Escaped::Class(class) => {
                self.text.push_str(&class);
                None
            }
        })
    }

    /// A letter that means itself.
    fn literal(&mut self, letter: char) {
        match letter.is_ascii_punctuation() && !matches!(letter, '<' | '>' | '_') {
            true => self.text.extend(['\\', letter]),
            false => self.text.push(letter),
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self, letter: char) {
        self.rest = &self.rest[letter.len_utf8()..];
    }
}

enum Escaped {
    Letter(char),
    Class(String),
}

/// The length of a repetition that a text begins with. Other braces are letters.
fn repetition(text: &str) -> Option<usize> {
    if text.starts_with(['*', '+', '?']) {
        return Some(1);
    }
    let inside = text.strip_prefix('{')?;
    let end = inside.find('}')?;
    let (low, high) = inside[..end].split_once(',').unwrap_or((&inside[..end], "0"));
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    (!low.is_empty() && is_number(low) && is_number(high)).then_some(end + 2)
}

fn wrong<T>(what: &str, text: &str) -> Written<T> {
    match text {
        "" => Err(format!("error parsing regexp: {what}: ``")),
        _ => Err(format!("error parsing regexp: {what}: `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_as_in_go() {
        for (pattern, matching, others) in [
            ("", &[""][..], &["a"][..]),
            ("a.c", &["abc", "a\nc", "aäc"], &["ac", "xabc"]),
            (r"\d+", &["12"], &["٣", ""]),
            (r"\w\W\s\S", &["a- b"], &["ä- b"]),
            (r"[\d.]+", &["1.2"], &["1,2"]),
            (r"[^\d]", &["a"], &["1"]),
            (r"\bfoo\b", &["foo"], &["foob"]),
            (r".*\Bo", &["foo"], &["f o"]),
            (r"[[a]", &["[", "a"], &["b"]),
            (r"[a&&b]", &["&"], &["c"]),
            (r"[]a]", &["]", "a"], &["b"]),
            (r"[a\]b-]+", &["]-ab"], &["c"]),
            (r"[[:alpha:]_]+", &["ab_"], &["1"]),
            (r"a{", &["a{"], &["a"]),
            (r"a{,2}", &["a{,2}"], &["aa"]),
            (r"a{1,2}?", &["a", "aa"], &["aaa"]),
            (r"\Qa.b\E+", &["a.b"], &["aab"]),
            (r"\x41\x{42}\101", &["ABA"], &["aba"]),
            (r"(?i)web\-\d", &["WEB-1"], &["web1"]),
            (r"\p{Greek}\pL", &["αb"], &["a1"]),
            (r"\p{^Greek}", &["a"], &["α"]),
            (r"(?P<a>x)|(?:y)", &["x", "y"], &["z"]),
            (r"a|b|", &["a", "b", ""], &["c"]),
            (r"\<\>\_\/", &["<>_/"], &["a"]),
            (r"(?-s)a.b", &["a b"], &["a\nb"]),
        ] {
            let own: Pattern = pattern.parse().unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(matching.iter().all(|text| own.is_match(text)), "{pattern}");
            assert!(!others.iter().any(|text| own.is_match(text)), "{pattern}");
        }
    }

    #[test]
    fn what_go_does_not_have_is_refused() {
        for (pattern, message) in [
            ("a**", "error parsing regexp: invalid nested repetition operator: `*`"),
            (r"\y", r"error parsing regexp: invalid escape sequence: `\y`"),
            (r"\8", r"error parsing regexp: invalid escape sequence: `\8`"),
            ("(?x)a", "error parsing regexp: invalid or unsupported Perl syntax: `(?x`"),
            ("(?=a)", "error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
            ("[a", "error parsing regexp: missing closing ]: `[a`"),
        ] {
            assert_eq!(pattern.parse::<Pattern>().err().as_deref(), Some(message), "{pattern}");
        }
        for pattern in ["(", "*", "a{1001}", "[b-a]", "\\"] {
            assert!(pattern.parse::<Pattern>().is_err(), "{pattern}");
        }
    }

    #[test]
    fn a_choice_of_texts_is_known() {
        let choice = |text: &str| text.parse::<Pattern>().unwrap().choice().map(|texts| texts.join(" "));
        assert_eq!(choice("web|db").as_deref(), Some("web db"));
        assert_eq!(choice("a-b"), Some("a-b".into()));
        assert_eq!(choice("web.*"), None);
    }
}
