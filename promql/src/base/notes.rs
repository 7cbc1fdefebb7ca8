//! What is said beside an answer: warnings, and what one may want to know. In Prometheus' words.

use std::collections::BTreeMap;

use statistics::classic::Mended;
use statistics::float::{show_digits, show_general};

use crate::syntax::{Span, quote};

/// So many warnings are shown, and so much else.
const SHOWN_MAX: usize = 10;

/// Warnings and infos, each once; of several places the last one is named.
#[derive(Debug, Clone, Default)]
pub struct Notes(BTreeMap<String, Note>);

#[derive(Debug, Clone)]
struct Note {
    is_warning: bool,
    span: Span,
    more: More,
}

/// What is counted beside the words.
#[derive(Debug, Clone)]
enum More {
    Nothing,
    /// Buckets that had to be mended.
    Mended(Mended),
    /// How often.
    Times(usize),
}

impl Notes {
    fn note(&mut self, is_warning: bool, message: String, span: Span, more: More) {
        let before = self.0.get(&message).map(|note| note.more.clone());
        let more = match (before, more) {
            (Some(More::Mended(one)), More::Mended(other)) => More::Mended(one.merge(other)),
            (Some(More::Times(one)), More::Times(other)) => More::Times(one + other),
            (_, more) => more,
        };
        self.0.insert(message, Note { is_warning, span, more });
    }

    /// A warning about a place.
    pub fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.note(true, message.into(), span, More::Nothing);
    }

    /// Something that one may want to know about a place.
    pub fn inform(&mut self, span: Span, message: impl Into<String>) {
        self.note(false, message.into(), span, More::Nothing);
    }

    /// Buckets were mended.
    pub fn mended(&mut self, span: Span, message: String, mended: Mended) {
        self.note(false, message, span, More::Mended(mended));
    }

    /// A warning that is counted.
    pub fn warn_again(&mut self, span: Span, message: String) {
        self.note(true, message, span, More::Times(1));
    }

    /// Warnings and infos as they are shown of a question with this text, ten of each at the most.
    #[must_use]
    pub fn show(&self, text: &str) -> (Vec<String>, Vec<String>) {
        let of = |is_warning: bool, what: &str| {
            let all = self.0.iter().filter(|(_, note)| note.is_warning == is_warning);
            let mut shown: Vec<String> = all.map(|(message, note)| note.show(message, text)).collect();
            let more = shown.len().saturating_sub(SHOWN_MAX);
            shown.truncate(SHOWN_MAX);
            shown.extend((more > 0).then(|| format!("{more} more {what} annotations omitted")));
            shown
        };
        (of(true, "warning"), of(false, "info"))
    }

    /// What was noted elsewhere, too.
    pub fn extend(&mut self, others: Notes) {
        for (message, Note { is_warning, span, more }) in others.0 {
            self.note(is_warning, message, span, more);
        }
    }

    /// Is there nothing to say?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Note {
    fn show(&self, message: &str, text: &str) -> String {
        let place = self.span.place(text);
        match &self.more {
            More::Nothing | More::Times(1) => format!("{message} ({place})"),
            More::Times(times) => format!("{message} ({times} occurrences) ({place})"),
            More::Mended(mended) => format!(
                "{message}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {} ({place})",
                show_general(mended.low),
                show_general(mended.high),
                show_digits(mended.difference, 2),
                mended.count,
                instant(mended.first_ms),
                instant(mended.last_ms)
            ),
        }
    }
}

/// To the second, in UTC.
fn instant(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000)).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

/// A message about a metric, if it has a name.
#[must_use]
pub fn of_metric(message: &str, metric: &str) -> String {
    if metric.is_empty() { message.to_owned() } else { format!("{message} for metric name {}", quote(metric)) }
}
