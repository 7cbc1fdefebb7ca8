//! Subqueries: an instant question asked again and again, at multiples of its step.

use std::sync::Arc;

use super::context::{Context, Failure, Times};
use crate::base::labels::Labels;
use crate::model::points::Series;
use crate::model::samples::{Sample, Samples};
use crate::syntax::{Length, Subquery};
use statistics::histogram::{Hint, Histogram};

/// The series of a subquery, as if they were stored.
pub(crate) fn series(context: &Context, asked: &Subquery) -> Result<Vec<(Series, Samples)>, Failure> {
    let (first, last) = context.looks_between(&asked.modifiers);
    let step = asked.step.as_ref().map_or(context.settings.subquery_step_ms, Length::ms).max(1);
    let after = first - asked.range.ms();
    // The first multiple behind the start of the first window.
    let start = (after.div_euclid(step) + 1) * step;
    if start > last {
        return Ok(Vec::new());
    }
    let times = Times { start_ms: start, end_ms: last, step_ms: step };
    let inner = context.at(times);
    let stored = |series: Series| {
        inner.allowance.take(times.steps().saturating_mul(2 * size_of::<f64>()))?;
        let mut samples = Samples::default();
        series.points.iter().for_each(|(step, sample)| samples.push_sample(times.at(step), without_hint(sample)));
        Ok((series, samples))
    };
    inner.vector(&asked.of)?.into_iter().map(stored).collect()
}

/// What was said of resets does not hold between steps.
fn without_hint(sample: Sample) -> Sample {
    match sample {
        Sample::Histogram(own) if matches!(own.hint, Hint::Reset | Hint::NotReset) => {
            Sample::Histogram(Arc::new(Histogram { hint: Hint::Unknown, ..Arc::unwrap_or_clone(own) }))
        }
        sample => sample,
    }
}

/// The samples of a subquery that is asked for itself.
pub(crate) fn samples(context: &Context, asked: &Subquery) -> Result<Vec<(Labels, Samples)>, Failure> {
    let mut all: Vec<_> = series(context, asked)?
        .into_iter()
        .filter(|(_, samples)| !samples.is_empty())
        .map(|(series, samples)| {
            let drops = series.drops_name && context.settings.delayed_name_removal;
            (if drops { series.labels.without_metric() } else { series.labels }, samples)
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(all)
}
