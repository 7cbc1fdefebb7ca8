//! What labels have to be.

use std::fmt;

use super::pattern::Pattern;
use super::quote::quote;

/// The label that has the name of a metric.
pub(crate) const NAME: &str = "__name__";

/// What one label has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// How it is compared.
    pub op: MatchOp,
}

/// How a label is compared. One that is absent is an empty text.
#[derive(Debug, Clone, PartialEq)]
pub enum MatchOp {
    /// It is this.
    Equal(String),
    /// It is not.
    NotEqual(String),
    /// All of it matches.
    Matches(Pattern),
    /// It does not.
    MatchesNot(Pattern),
}

impl Matcher {
    /// A label with this value.
    ///
    /// ```
    /// use promql::syntax::Matcher;
    ///
    /// let matcher = Matcher::equal("job", "node");
    /// assert!(matcher.matches("node") && !matcher.matches(""));
    /// assert_eq!(matcher.to_string(), r#"job="node""#);
    /// ```
    #[must_use]
    pub fn equal(label: &str, value: &str) -> Matcher {
        Matcher { label: label.into(), op: MatchOp::Equal(value.into()) }
    }

    /// Is it so of a label with this value?
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        match &self.op {
            MatchOp::Equal(own) => own == value,
            MatchOp::NotEqual(own) => own != value,
            MatchOp::Matches(pattern) => pattern.is_match(value),
            MatchOp::MatchesNot(pattern) => !pattern.is_match(value),
        }
    }

    /// The text that it compares with.
    pub(crate) fn text(&self) -> &str {
        match &self.op {
            MatchOp::Equal(text) | MatchOp::NotEqual(text) => text,
            MatchOp::Matches(pattern) | MatchOp::MatchesNot(pattern) => pattern.text(),
        }
    }
}

/// A name that needs no quotes.
pub(crate) fn is_plain(name: &str) -> bool {
    let is_part = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_';
    name.bytes().all(is_part) && !name.bytes().next().is_none_or(|first| first.is_ascii_digit())
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.op {
            MatchOp::Equal(_) => "=",
            MatchOp::NotEqual(_) => "!=",
            MatchOp::Matches(_) => "=~",
            MatchOp::MatchesNot(_) => "!~",
        };
        match is_plain(&self.label) {
            true => f.write_str(&self.label)?,
            false => f.write_str(&quote(&self.label))?,
        }
        write!(f, "{sign}{}", quote(self.text()))
    }
}
