//! What rules ask, and where what they make goes.

use promql::base::labels::Labels;
use promql::base::notes::Notes;
use promql::engine::{Allowance, Answer, Settings, Source, Times, answer};
use promql::model::samples::Sample;
use promql::syntax::Expr;

use super::event::Event;

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

/// Where samples lie that rules ask of, and where what they make is kept.
pub trait Engine {
    /// What a question finds at a time, in milliseconds.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    fn ask(&self, expr: &Expr, at_ms: i64) -> Result<Vec<(Labels, Sample)>, String>;

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
