//! What rules ask, and where what they make goes.

use std::collections::HashSet;

use promql::base::labels::Labels;
use promql::base::notes::Notes;
use promql::engine::{Allowance, Answer, Settings, Source, Times, answer};
use promql::model::samples::Sample;
use promql::syntax::Expr;

use super::event::Event;
use crate::rules::Ready;

/// What rules make at a time.
#[derive(Debug, Default)]
pub struct Made {
    /// Samples, with their times in milliseconds.
    pub samples: Vec<(Labels, i64, Sample)>,
    /// What happened to alerts.
    pub events: Vec<Event>,
}

impl Made {
    /// Is there nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.events.is_empty()
    }
}

/// Where something is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Bad {
    /// The labels of its alert, without what the rule adds.
    pub labels: Labels,
    /// Its texts.
    pub texts: Vec<(String, String)>,
    /// A number that says how much.
    pub value: f64,
}

/// What is known of what a ready rule looks for. Labels are those of its alerts, without what the rule adds.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Where it is so.
    pub bad: Vec<Bad>,
    /// Alerts of which it is not so. Of all others nothing is known, and they stay.
    pub good: HashSet<Labels>,
    /// What is not there any more: its alerts are over.
    pub gone: Vec<Labels>,
}

/// Which targets explain an alert while they are down.
#[derive(Debug, Clone, Copy)]
pub struct Hinders<'a> {
    /// What those are that this target depends on; nothing if the alert is of none.
    pub target: &'a str,
    /// Does the target itself?
    pub is_itself: bool,
    /// These do, with what they depend on.
    pub others: &'a [String],
    /// Since when the alert is active, in milliseconds: what others are is to be known from then on.
    pub since_ms: i64,
}

/// Where samples lie that rules ask of, and where what they make is kept.
pub trait Engine {
    /// What a question finds at a time, in milliseconds.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    fn ask(&self, expr: &Expr, at_ms: i64) -> Result<Vec<(Labels, Sample)>, String>;

    /// What a statement in SQL finds at a time, by its columns of texts: `value`, or nothing where that is NULL.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    fn ask_sql(&self, statement: &str, at_ms: i64) -> Result<Vec<(Labels, Option<f64>)>, String>;

    /// What explains that nobody is told of an alert that would fire at a time: a silence, or a target that is down.
    fn hindrance(&self, labels: &Labels, targets: Option<&Hinders<'_>>, at_ms: i64) -> Option<String>;

    /// What is known at a time of what a ready rule looks for; `active` are the labels of its alerts.
    ///
    /// # Errors
    ///
    /// Why it is not known.
    fn judge(&self, ready: Ready, at_ms: i64, active: &[Labels]) -> Result<Judgement, String>;

    /// Keeps what rules made; it is there for the next question.
    ///
    /// # Errors
    ///
    /// Why it is not kept.
    fn keep(&self, made: &Made) -> Result<(), String>;
}

/// Asks a question at one time, as rules do it: a number is a sample without labels.
///
/// # Errors
///
/// Why there is no answer.
pub fn instant(
    expr: &Expr,
    at_ms: i64,
    settings: &Settings,
    source: &dyn Source,
    allowance: &Allowance<'_>,
) -> Result<Vec<(Labels, Sample)>, String> {
    let found = answer(expr, Times::instant(at_ms), settings, source, allowance, &mut Notes::default());
    match found.map_err(|failure| failure.to_string())? {
        Answer::Scalar(value) => Ok(vec![(Labels::default(), Sample::Float(value))]),
        Answer::Series(all) => {
            let samples = all.into_iter().filter_map(|series| Some((series.labels, series.points.get(0)?)));
            Ok(samples.collect())
        }
        Answer::Text(_) | Answer::Samples(_) => Err("rule result is not a vector or scalar".into()),
    }
}
