//! What a question is answered with.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::allowance::Allowance;
use crate::base::labels::Labels;
use crate::base::notes::Notes;
use crate::model::points::{Points, Series};
use crate::model::samples::Samples;
use crate::syntax::{Expr, Kind, Matcher, Span};

/// Which samples are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The labels of series.
    pub matchers: &'a [Matcher],
    /// Behind this time, in milliseconds.
    pub after_ms: i64,
    /// Up to this time.
    pub until_ms: i64,
    /// Of each series the newest of them is enough.
    pub is_newest: bool,
    /// With the times since when they count.
    pub has_starts: bool,
}

impl<'a> Wanted<'a> {
    /// All samples of the series that match, behind a time and up to another one, without the times since when they count.
    #[must_use]
    pub fn all(matchers: &'a [Matcher], after_ms: i64, until_ms: i64) -> Wanted<'a> {
        Wanted { matchers, after_ms, until_ms, is_newest: false, has_starts: false }
    }

    /// The newest of them.
    #[must_use]
    pub fn newest(matchers: &'a [Matcher], after_ms: i64, until_ms: i64) -> Wanted<'a> {
        Wanted { is_newest: true, ..Wanted::all(matchers, after_ms, until_ms) }
    }
}

/// What is made of a series, if anything is, by whatever thread has read it.
pub type Make<'a> = &'a (dyn Fn(Labels, Samples) -> Result<Option<Series>, Failure> + Sync + 'a);

/// Where samples come from.
pub trait Source: Sync {
    /// Tells every series that has samples which are wanted, with these. Where the newest is enough, it may tell that alone.
    ///
    /// # Errors
    ///
    /// Where samples cannot be read, or `each` has enough.
    fn select(
        &self,
        wanted: Wanted<'_>,
        each: &mut dyn FnMut(Labels, Samples) -> Result<(), Failure>,
    ) -> Result<(), Failure>;

    /// The same, with something made of each series.
    ///
    /// # Errors
    ///
    /// Where samples cannot be read, or nothing can be made of them.
    fn select_made(&self, wanted: Wanted<'_>, make: Make<'_>) -> Result<Vec<Series>, Failure> {
        let mut all = Vec::new();
        self.select(wanted, &mut |labels, samples| {
            all.extend(make(labels, samples)?);
            Ok(())
        })?;
        Ok(all)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whose fault it is.
    pub kind: FailureKind,
    /// What it is.
    pub message: String,
}

/// Whose fault it is that there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// What is asked is no question for these times.
    Question,
    /// What is asked has no answer over what is stored.
    Execution,
    /// It took too long.
    Timeout,
    /// Samples cannot be read.
    Storage,
}

impl Failure {
    pub(crate) fn new<T>(message: impl Into<String>) -> Result<T, Failure> {
        Err(Failure::from(message.into()))
    }
}

impl From<String> for Failure {
    /// Of what is stored.
    fn from(message: String) -> Failure {
        Failure { kind: FailureKind::Execution, message }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The times that are asked for, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// The first.
    pub start_ms: i64,
    /// The last one is not behind this.
    pub end_ms: i64,
    /// From one to the next; above zero.
    pub step_ms: i64,
}

impl Times {
    /// One time.
    #[must_use]
    pub fn instant(ms: i64) -> Times {
        Times { start_ms: ms, end_ms: ms, step_ms: 1 }
    }

    /// How many there are.
    #[must_use]
    pub fn steps(&self) -> usize {
        usize::try_from((self.end_ms - self.start_ms).div_euclid(self.step_ms) + 1).unwrap_or(0)
    }

    /// One of them.
    #[must_use]
    pub fn at(&self, step: usize) -> i64 {
        self.start_ms + step as i64 * self.step_ms
    }

    /// The last one.
    pub(crate) fn last(&self) -> i64 {
        self.at(self.steps().saturating_sub(1))
    }

    /// Is it one time, and no span?
    #[must_use]
    pub fn is_instant(&self) -> bool {
        self.start_ms == self.end_ms
    }
}

/// How questions are answered.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// So long a sample is the newest one.
    pub lookback_ms: i64,
    /// The step of subqueries that say none.
    pub subquery_step_ms: i64,
    /// Names of metrics go at the end, so that functions see them.
    pub delayed_name_removal: bool,
    /// Rates heed the times since when samples count.
    pub start_timestamps: bool,
    /// Whether something is a counter is known by the label `__type__`, not by its name.
    pub type_and_unit_labels: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            delayed_name_removal: false,
            start_timestamps: false,
            type_and_unit_labels: false,
        }
    }
}

/// A question at work.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub source: &'a dyn Source,
    pub settings: &'a Settings,
    pub times: Times,
    pub notes: &'a Mutex<Notes>,
    pub allowance: &'a Allowance<'a>,
    /// The way down the tree.
    pub evaluate: fn(&Context<'_>, &Expr) -> Result<Value, Failure>,
}

impl<'a> Context<'a> {
    /// The same at other times.
    pub(crate) fn at(&self, times: Times) -> Context<'a> {
        Context { times, ..*self }
    }

    pub(crate) fn steps(&self) -> usize {
        self.times.steps()
    }

    /// Room for a series.
    pub(crate) fn points(&self) -> Result<Points, Failure> {
        self.allowance.points(self.steps())
    }

    /// The series of a node that gives a vector.
    pub(crate) fn vector(&self, expr: &Expr) -> Result<Vec<Series>, Failure> {
        match (self.evaluate)(self, expr)? {
            Value::Vector(series) => Ok(series),
            _ => Failure::new(format!("'{expr}' is no vector")),
        }
    }

    /// The numbers of a node that gives a scalar, one a step.
    pub(crate) fn scalar(&self, expr: &Expr) -> Result<Vec<f64>, Failure> {
        match (self.evaluate)(self, expr)? {
            Value::Scalar(values) => Ok(values),
            _ => Failure::new(format!("'{expr}' is no scalar")),
        }
    }

    /// What is said beside the answer.
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what was noted elsewhere.
    pub(crate) fn say(&self, notes: Notes) {
        if !notes.is_empty() {
            self.notes().extend(notes);
        }
    }

    pub(crate) fn warn(&self, span: Span, message: impl Into<String>) {
        self.notes().warn(span, message);
    }

    pub(crate) fn inform(&self, span: Span, message: impl Into<String>) {
        self.notes().inform(span, message);
    }

    /// A series without the name of its metric: at once, or at the end.
    pub(crate) fn unnamed(&self, mut series: Series) -> Series {
        series.drops_name = true;
        if !self.settings.delayed_name_removal {
            series.labels = series.labels.without_metric();
        }
        series
    }
}

/// What a node gives.
pub(crate) enum Value {
    /// A number at every step.
    Scalar(Vec<f64>),
    /// A text.
    Text(String),
    /// Series with what they have at every step.
    Vector(Vec<Series>),
}

/// The text of a node that is one.
pub(crate) fn text(expr: &Expr) -> Result<&str, Failure> {
    match &expr.unwrapped().kind {
        Kind::Text(text) => Ok(text),
        _ => Failure::new(format!("'{expr}' is no text")),
    }
}
