//! What is wrong with a text.

use std::fmt;

use super::span::Span;

/// A text that is no question, or one that cannot be answered whatever the samples are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// What it is about.
    pub span: Span,
    /// What is wrong, in Prometheus' words.
    pub message: String,
    place: String,
}

impl SyntaxError {
    pub(crate) fn new(text: &str, span: Span, message: String) -> SyntaxError {
        SyntaxError { span, message, place: span.place(text) }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: parse error: {}", self.place, self.message)
    }
}

impl std::error::Error for SyntaxError {}
