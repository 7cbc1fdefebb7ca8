//! Patterns as values: what a target is told, and told again at a reload, can be compared.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use regex::Regex;

/// A regular expression. Two of one text are the same.
///
/// ```
/// use web_probe::Pattern;
/// let pattern: Pattern = "Welc[o]me".parse().unwrap();
/// assert!(pattern.is_match("Welcome!") && pattern == pattern.clone());
/// ```
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl FromStr for Pattern {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Pattern, regex::Error> {
        Regex::new(text).map(Pattern)
    }
}

impl Deref for Pattern {
    type Target = Regex;

    fn deref(&self) -> &Regex {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}
