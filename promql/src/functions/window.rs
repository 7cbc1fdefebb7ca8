//! What a function of a window is told.

use crate::base::notes::Notes;
use crate::model::samples::{Sample, Window};
use crate::syntax::{Extension, Span, quote};

/// A window, and all that a function may ask of it.
pub(crate) struct Look<'a> {
    /// What is in it; with an extension, around it, too.
    pub window: Window<'a>,
    /// Behind this it begins, in milliseconds.
    pub start: i64,
    /// Here it ends.
    pub end: i64,
    /// The time of the step.
    pub at: i64,
    /// How long it is, in seconds.
    pub range_s: f64,
    /// The numbers that stand beside it.
    pub numbers: &'a [f64],
    /// The name of the metric.
    pub metric: &'a str,
    /// Where the first argument stands.
    pub span: Span,
    /// What is done at its ends.
    pub extension: Option<Extension>,
    /// What is said beside the answer.
    pub notes: &'a mut Notes,
}

/// What a function makes of a window, or why the question cannot be answered.
pub(crate) type Found = Result<Option<Sample>, String>;

/// A window of floats alone, of which nothing more is known and beside which nothing has to be said, as nearly all are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floats<'a> {
    /// What is in it: something.
    pub window: Window<'a>,
    /// Behind this it begins, in milliseconds.
    pub start: i64,
    /// Here it ends.
    pub end: i64,
}

/// What a function makes of such windows, one after the other: of each the same as of the window in a [`Look`].
pub(crate) type OfFloats = dyn FnMut(&Floats) -> Option<f64>;

impl<'a> Look<'a> {
    /// The window, where it is such a one.
    pub fn floats(&self) -> Option<Floats<'a>> {
        let is_plain = self.window.histograms.is_empty() && self.window.starts.is_empty() && self.extension.is_none();
        let Look { window, start, end, .. } = *self;
        is_plain.then_some(Floats { window, start, end })
    }

    /// Floats and histograms stand side by side, which have no common answer.
    pub fn warn_mixed(&mut self) {
        let metric = quote(self.metric);
        self.notes.warn(
            self.span,
            format!("PromQL warning: encountered a mix of histograms and floats for metric name {metric}"),
        );
    }

    /// Histograms were left out.
    pub fn inform_ignored(&mut self) {
        if !self.window.histograms.is_empty() {
            let metric = quote(self.metric);
            self.notes.inform(
                self.span,
                format!(
                    "PromQL info: ignored histograms in a range containing both floats and histograms for metric name {metric}"
                ),
            );
        }
    }

    /// Histograms were left out beside floats.
    pub fn inform_ignored_beside(&mut self) {
        if !self.window.times.is_empty() {
            self.inform_ignored();
        }
    }

    /// Histograms of two kinds, which have no sum.
    pub fn warn_incompatible(&mut self) {
        let metric = quote(self.metric);
        self.notes.warn(
            self.span,
            format!(
                "PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric}"
            ),
        );
    }

    /// A histogram that goes up and down, where a counter is needed.
    pub fn warn_not_counter(&mut self) {
        let metric = quote(self.metric);
        self.notes.warn(self.span, format!("PromQL warning: this native histogram metric is not a counter: {metric}"));
    }

    /// A counter, where something is needed that goes up and down.
    pub fn warn_not_gauge(&mut self) {
        let metric = quote(self.metric);
        self.notes.warn(self.span, format!("PromQL warning: this native histogram metric is not a gauge: {metric}"));
    }

    /// Bounds of histograms had to be made the same.
    pub fn inform_reconciled(&mut self, operation: &str) {
        self.notes
            .inform(self.span, format!("PromQL info: mismatched custom buckets were reconciled during {operation}"));
    }
}
