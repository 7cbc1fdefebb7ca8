//! Places in a text.

/// A part of a text, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte behind its last.
    pub end: usize,
}

impl Span {
    /// From the start of one to the end of another one.
    pub(crate) fn to(self, last: Span) -> Span {
        Span { start: self.start, end: last.end }
    }

    /// Where it starts, as people say it: line and column in bytes, both from 1.
    ///
    /// ```
    /// # use promql::syntax::Span;
    /// assert_eq!(Span { start: 6, end: 7 }.place("sum(\n a)"), "2:2");
    /// ```
    #[must_use]
    pub fn place(self, text: &str) -> String {
        if text.is_empty() {
            return "unknown position".into();
        }
        let before = &text.as_bytes()[..self.start.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        format!("{line}:{column}")
    }
}
