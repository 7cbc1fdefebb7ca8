//! What became of a request: how much was taken, and what was refused, where and why.

use tsdb::RowError;

use crate::exemplar::{Exemplar, KEPT_MAX as KEPT_EXEMPLARS_MAX};

/// How much of a refused line is given back, in characters.
const TEXT_CHARS_MAX: usize = 200;
/// How many refusals are kept with their reasons; the others are counted.
const KEPT_MAX: usize = 1000;

/// The word for a part of a message that cannot be read.
const UNREAD: &str = "unread";

/// What became of the rows of a request.
#[derive(Debug, Default)]
pub struct Report {
    /// Rows that were taken.
    pub taken: usize,
    /// Values that were taken.
    pub values: usize,
    /// Rows that were refused.
    pub refused: usize,
    /// The first of those, each with its reason.
    pub reasons: Vec<Refused>,
    /// How many were refused for each reason, by one word.
    pub counts: Vec<(&'static str, usize)>,
    /// Histograms among the rows that were taken.
    pub histograms: usize,
    /// Exemplars of rows that were taken.
    pub(crate) exemplars: Vec<Exemplar>,
    /// How many of them are stored.
    pub exemplars_written: usize,
}

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The number of its line, or of its series, data point or row, from 1.
    pub line: usize,
    /// What was expected and what was found.
    pub reason: String,
    /// Its text, cut to a length that suits an answer.
    pub text: String,
}

/// Why a row is refused: in one word for counting, and in a sentence.
#[derive(Debug, Clone)]
pub(crate) struct Reason(pub &'static str, pub String);

impl From<String> for Reason {
    fn from(sentence: String) -> Reason {
        Reason("syntax", sentence)
    }
}

impl From<&str> for Reason {
    fn from(sentence: &str) -> Reason {
        Reason("syntax", sentence.into())
    }
}

impl Reason {
    /// A part of a message that cannot be read.
    pub(crate) fn unread(why: String) -> Reason {
        Reason(UNREAD, why)
    }
}

impl From<RowError> for Reason {
    fn from(error: RowError) -> Reason {
        Reason(error.kind(), error.to_string())
    }
}

impl Report {
    /// Was there something, and none of it was taken?
    pub fn took_nothing(&self) -> bool {
        self.taken == 0 && self.refused > 0
    }

    /// Notes a row that was taken.
    #[inline]
    pub(crate) fn take(&mut self, values: usize) {
        self.taken += 1;
        self.values += values;
    }

    /// Notes a row that was refused; `text` is what the client wrote.
    pub(crate) fn refuse(&mut self, line: usize, reason: impl Into<Reason>, text: &str) {
        self.refuse_all(1, line, reason, text);
    }

    /// Notes so many rows that were refused for one reason.
    pub(crate) fn refuse_all(&mut self, count: usize, line: usize, reason: impl Into<Reason>, text: &str) {
        let Reason(word, sentence) = reason.into();
        self.refused += count;
        self.count(word, count);
        if self.reasons.len() < KEPT_MAX {
            let text = text.trim_end_matches(['\n', '\r']).chars().take(TEXT_CHARS_MAX).collect();
            self.reasons.push(Refused { line, reason: sentence, text });
        }
    }

    /// The report, if anything could be read. Bytes of which nothing can be are no message of their kind.
    pub(crate) fn of_message(self) -> Result<Report, String> {
        let is_unread = self.counts.iter().all(|(word, _)| *word == UNREAD);
        match self.reasons.first().filter(|_| self.taken == 0 && is_unread) {
            Some(first) => Err(first.reason.clone()),
            None => Ok(self),
        }
    }

    /// Keeps an exemplar, if it can be kept.
    pub(crate) fn keep(&mut self, exemplar: Option<Exemplar>) {
        match exemplar.filter(|_| self.exemplars.len() < KEPT_EXEMPLARS_MAX) {
            Some(exemplar) => self.exemplars.push(exemplar),
            None => self.count("exemplar", 1),
        }
    }

    /// Counts what is not stored beside rows: exemplars.
    pub(crate) fn count(&mut self, word: &'static str, count: usize) {
        match self.counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, known)) => *known += count,
            None if count > 0 => self.counts.push((word, count)),
            None => {}
        }
    }

    /// In a sentence, if rows were refused.
    pub(crate) fn summary(&self, what: &str) -> Option<String> {
        let first = self.reasons.first()?;
        let all = self.taken + self.refused;
        let (taken, refused) = (self.taken, self.refused);
        Some(format!(
            "partial write: {taken} of {all} {what}s stored, {refused} refused; {what} {}: {}",
            first.line, first.reason
        ))
    }
}
