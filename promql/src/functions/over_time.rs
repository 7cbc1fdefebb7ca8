//! Aggregates of what a window has.

use std::sync::Arc;

use super::window::{Floats, Found, Look};
use crate::model::samples::Sample;
use crate::syntax::Span;
use statistics::float::{Mean, Sum, quantile as quantile_of};
use statistics::histogram::{Accumulator, Hint, Histogram, Incompatible};

fn float(value: f64) -> Found {
    Ok(Some(Sample::Float(value)))
}

/// What `count_over_time` makes of floats.
pub(crate) fn count_of(own: &Floats) -> Option<f64> {
    Some(own.window.times.len() as f64)
}

/// What `present_over_time` makes of floats.
pub(crate) fn present_of(_: &Floats) -> Option<f64> {
    Some(1.0)
}

/// What `last_over_time` makes of floats.
pub(crate) fn last_of(own: &Floats) -> Option<f64> {
    own.window.values.last().copied()
}

/// What `sum_over_time` makes of floats.
pub(crate) fn sum_of(own: &Floats) -> Option<f64> {
    Some(Sum::of_all(own.window.values).total())
}

/// What `avg_over_time` makes of floats.
pub(crate) fn avg_of(own: &Floats) -> Option<f64> {
    Mean::of_all(own.window.values)
}

/// What `max_over_time` makes of floats.
pub(crate) fn max_of(own: &Floats) -> Option<f64> {
    extreme_of(own.window.values, |number, best| number > best)
}

/// What `min_over_time` makes of floats.
pub(crate) fn min_of(own: &Floats) -> Option<f64> {
    extreme_of(own.window.values, |number, best| number < best)
}

/// The number that comes before all others. NaN comes behind all.
#[inline]
fn extreme_of(values: &[f64], is_before: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let next = |best: f64, next: f64| if is_before(next, best) || best.is_nan() { next } else { best };
    values.iter().copied().reduce(next)
}

/// `count_over_time`
pub(crate) fn count(look: &mut Look) -> Found {
    float((look.window.times.len() + look.window.histograms.len()) as f64)
}

/// `present_over_time`, and `absent_over_time` before it is turned around.
pub(crate) fn present(_: &mut Look) -> Found {
    float(1.0)
}

/// `first_over_time`
pub(crate) fn first(look: &mut Look) -> Found {
    let window = look.window;
    Ok(match (window.times.first(), window.histograms.first()) {
        (Some(time), other) if other.is_none_or(|(other, _)| time < other) => Some(Sample::Float(window.values[0])),
        (_, Some((_, histogram))) => Some(Sample::Histogram(histogram.clone())),
        _ => None,
    })
}

/// `last_over_time`
pub(crate) fn last(look: &mut Look) -> Found {
    let window = look.window;
    Ok(match (window.times.last(), window.histograms.last()) {
        (Some(time), other) if other.is_none_or(|(other, _)| other < time) => {
            window.values.last().copied().map(Sample::Float)
        }
        (_, Some((_, histogram))) => Some(Sample::Histogram(histogram.clone())),
        _ => None,
    })
}

/// `ts_of_first_over_time`, in seconds
pub(crate) fn time_of_first(look: &mut Look) -> Found {
    let window = look.window;
    let first = window.times.first().copied().into_iter().chain(window.histograms.first().map(|(time, _)| *time)).min();
    Ok(first.map(|time| Sample::Float(time as f64 / 1000.0)))
}

/// `ts_of_last_over_time`, in seconds
pub(crate) fn time_of_last(look: &mut Look) -> Found {
    let window = look.window;
    let last = window.times.last().copied().into_iter().chain(window.histograms.last().map(|(time, _)| *time)).max();
    Ok(last.map(|time| Sample::Float(time as f64 / 1000.0)))
}

/// When the number was there that comes before all others, in seconds. NaN comes behind all.
fn time_of_extreme(look: &mut Look, is_before: fn(f64, f64) -> bool) -> Found {
    look.inform_ignored_beside();
    let all = look.window.times.iter().zip(look.window.values);
    let found = all.reduce(|best, next| if is_before(*next.1, *best.1) || best.1.is_nan() { next } else { best });
    Ok(found.map(|(time, _)| Sample::Float(*time as f64 / 1000.0)))
}

/// `max_over_time`
pub(crate) fn max(look: &mut Look) -> Found {
    look.inform_ignored_beside();
    Ok(extreme_of(look.window.values, |number, best| number > best).map(Sample::Float))
}

/// `min_over_time`
pub(crate) fn min(look: &mut Look) -> Found {
    look.inform_ignored_beside();
    Ok(extreme_of(look.window.values, |number, best| number < best).map(Sample::Float))
}

/// `ts_of_max_over_time`: of the last one
pub(crate) fn time_of_max(look: &mut Look) -> Found {
    time_of_extreme(look, |number, best| number >= best)
}

/// `ts_of_min_over_time`: of the last one
pub(crate) fn time_of_min(look: &mut Look) -> Found {
    time_of_extreme(look, |number, best| number <= best)
}

/// `sum_over_time`
pub(crate) fn sum(look: &mut Look) -> Found {
    if look.window.is_mixed() {
        look.warn_mixed();
        return Ok(None);
    }
    if look.window.times.is_empty() {
        return Ok(fold(look, Accumulator::add, Accumulator::total));
    }
    float(Sum::of_all(look.window.values).total())
}

/// `avg_over_time`
pub(crate) fn avg(look: &mut Look) -> Found {
    if look.window.is_mixed() {
        look.warn_mixed();
        return Ok(None);
    }
    match Mean::of_all(look.window.values) {
        Some(mean) => float(mean),
        None => Ok(fold(look, Accumulator::add_to_mean, Accumulator::mean)),
    }
}

/// All histograms of a window as one.
fn fold(
    look: &mut Look,
    add: fn(&mut Accumulator, &Histogram) -> Result<statistics::histogram::Reconciled, Incompatible>,
    end: fn(Accumulator) -> Histogram,
) -> Option<Sample> {
    let ((_, first), rest) = look.window.histograms.split_first()?;
    let mut all = Accumulator::of(first);
    let mut bounds_differ = false;
    for (_, histogram) in rest {
        match add(&mut all, histogram) {
            Ok(reconciled) => bounds_differ |= reconciled.bounds_differ,
            Err(Incompatible) => {
                look.warn_incompatible();
                return None;
            }
        }
    }
    let has = |hint| look.window.histograms.iter().any(|(_, histogram)| histogram.hint == hint);
    if has(Hint::Reset) && has(Hint::NotReset) {
        look.notes.warn(look.span, "PromQL warning: conflicting counter resets during histogram aggregation");
    }
    if bounds_differ {
        look.inform_reconciled("aggregation");
    }
    Some(Sample::Histogram(Arc::new(end(all))))
}

/// The variance around the mean, without what additions lose.
fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares) = (Sum::default(), Sum::default());
    for (at, value) in values.iter().enumerate() {
        let distance = value - (mean.sum + mean.lost);
        mean.add(distance / (at + 1) as f64);
        squares.add(distance * (value - (mean.sum + mean.lost)));
    }
    (squares.sum + squares.lost) / values.len() as f64
}

/// `stdvar_over_time`
pub(crate) fn stdvar(look: &mut Look) -> Found {
    if look.window.times.is_empty() {
        return Ok(None);
    }
    look.inform_ignored();
    float(variance(look.window.values))
}

/// `stddev_over_time`
pub(crate) fn stddev(look: &mut Look) -> Found {
    if look.window.times.is_empty() {
        return Ok(None);
    }
    look.inform_ignored();
    float(variance(look.window.values).sqrt())
}

/// `mad_over_time`: the median of distances from the median
pub(crate) fn mad(look: &mut Look) -> Found {
    if look.window.times.is_empty() {
        return Ok(None);
    }
    look.inform_ignored();
    if look.window.values.iter().any(|value| value.is_nan()) {
        return float(f64::NAN);
    }
    let mut values = look.window.values.to_vec();
    let median = quantile_of(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    float(quantile_of(0.5, &mut values))
}

/// `quantile_over_time`
pub(crate) fn quantile(look: &mut Look) -> Found {
    if look.window.times.is_empty() {
        return Ok(None);
    }
    let q = look.numbers[0];
    warn_quantile(q, look.span, look.notes);
    look.inform_ignored();
    float(quantile_of(q, &mut look.window.values.to_vec()))
}

/// A quantile is from 0 to 1.
pub(crate) fn warn_quantile(q: f64, span: Span, notes: &mut crate::base::notes::Notes) {
    if !(0.0..=1.0).contains(&q) {
        let shown = statistics::float::show_general(q);
        notes.warn(span, format!("PromQL warning: quantile value should be between 0 and 1, got {shown}"));
    }
}
