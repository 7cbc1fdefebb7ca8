//! Differences over all of a window without extrapolation: `anchored` takes the newest sample before its start for the
//! start, `smoothed` draws lines to the samples around both ends.

use std::sync::Arc;

use super::rates::{Asked, minus, plus};
use super::window::Look;
use crate::model::samples::Sample;
use crate::syntax::Extension;
use statistics::histogram::{Hint, Histogram};

/// A difference over a window, with what lies around it.
pub(crate) fn difference(look: &mut Look, asked: Asked) -> Option<Sample> {
    if look.window.times.is_empty() { histogram_difference(look, asked) } else { float_difference(look, asked) }
}

/// The first and the last sample that count: the newest one at the start or before it, and with `smoothed` the first one at
/// the end or behind it.
pub(crate) fn ends(times: &[i64], start: i64, end: i64, is_smoothed: bool) -> Option<(usize, usize)> {
    let mut last = times.len().checked_sub(1)?;
    let first = times[..last].partition_point(|time| *time <= start).saturating_sub(1);
    if is_smoothed {
        last = times[..last].partition_point(|time| *time < end);
    }
    (times[last] > start && !(is_smoothed && times[first] > end)).then_some((first, last))
}

/// The value at a time on the line between two samples; a counter that was reset began at nothing.
pub(crate) fn between(one: (i64, f64), other: (i64, f64), at: i64, is_counter: bool) -> f64 {
    let from = if is_counter && other.1 < one.1 { 0.0 } else { one.1 };
    from + (other.1 - from) * (at - one.0) as f64 / (other.0 - one.0) as f64
}

/// Values at both ends of a window.
pub(crate) fn values_at_ends(look: &Look, (first, last): (usize, usize), is_counter: bool) -> (f64, f64) {
    let (times, values) = (look.window.times, look.window.values);
    let is_smoothed = look.extension == Some(Extension::Smoothed);
    let at = |at: usize| (times[at], values[at]);
    let left = match is_smoothed && times[first] < look.start {
        true => between(at(first), at(first + 1), look.start, is_counter),
        false => values[first],
    };
    let right = match is_smoothed && last > 0 && times[last] > look.end {
        true => between(at(last - 1), at(last), look.end, is_counter),
        false => values[last],
    };
    (left, right)
}

fn float_difference(look: &mut Look, asked: Asked) -> Option<Sample> {
    let is_smoothed = look.extension == Some(Extension::Smoothed);
    let (times, values) = (look.window.times, look.window.values);
    let (mut first, mut last) = ends(times, look.start, look.end, is_smoothed)?;
    let (left, right) = values_at_ends(look, (first, last), asked.is_counter);
    let mut difference = right - left;
    if asked.is_counter {
        first += usize::from(times[first] <= look.start);
        let until = last + usize::from(times[last] < look.end);
        last = until.max(first);
        let mut before = left;
        for value in values[first..last].iter().copied().chain([right]) {
            difference += if value < before { before } else { 0.0 };
            before = value;
        }
    }
    Some(Sample::Float(if asked.is_rate { difference / look.range_s } else { difference }))
}

/// The histogram at a time between two; `None` where they have no sum.
fn histogram_between(look: &mut Look, before: usize, at: i64, is_counter: bool) -> Option<Histogram> {
    let all = look.window.histograms;
    let ((one_ms, one), (other_ms, other)) = (&all[before], &all[before + 1]);
    let share = (at - one_ms) as f64 / (other_ms - one_ms) as f64;
    let mut between = Histogram::clone(other);
    match at {
        _ if at == *one_ms => return Some(Histogram::clone(one)),
        _ if at == *other_ms => return Some(between),
        _ if is_counter && other.is_reset_since(one) => return Some(between.scaled(share)),
        _ => {}
    }
    if !minus(look, &mut between, one) {
        return None;
    }
    let mut between = between.scaled(share);
    plus(look, &mut between, one).then_some(between)
}

fn histogram_difference(look: &mut Look, asked: Asked) -> Option<Sample> {
    let is_smoothed = look.extension == Some(Extension::Smoothed);
    let all = look.window.histograms;
    let times: Vec<i64> = all.iter().map(|(time, _)| *time).collect();
    let (first, last) = ends(&times, look.start, look.end, is_smoothed)?;
    for (_, histogram) in &all[first..=last] {
        if histogram.is_custom() != all[first].1.is_custom() {
            look.warn_incompatible();
            return None;
        }
        if asked.is_counter && histogram.hint == Hint::Gauge {
            look.warn_not_counter();
        }
    }
    let left = match is_smoothed && times[first] < look.start {
        true => histogram_between(look, first, look.start, asked.is_counter)?,
        false => Histogram::clone(&all[first].1),
    };
    let right = match is_smoothed && last > 0 && times[last] > look.end {
        true => histogram_between(look, last - 1, look.end, asked.is_counter)?,
        false => Histogram::clone(&all[last].1),
    };
    if !asked.is_counter && (left.hint != Hint::Gauge || right.hint != Hint::Gauge) {
        look.warn_not_gauge();
    }
    let mut difference = right.clone();
    if !minus(look, &mut difference, &left) {
        return None;
    }
    if asked.is_counter {
        let mut before = &left;
        let mut from = first + 1;
        if is_smoothed && times[first] < look.start && all[first + 1].1.is_reset_since(&all[first].1) {
            // The reset is in what stands at the start already.
            before = &all[first + 1].1;
            from += 1;
        }
        let until = last.max(from);
        if from <= last {
            for histogram in all[from..until].iter().map(|(_, histogram)| &**histogram).chain([&right]) {
                if histogram.is_reset_since(before) && !plus(look, &mut difference, before) {
                    return None;
                }
                before = histogram;
            }
        }
    }
    let mut difference = if asked.is_rate { difference.divided(look.range_s) } else { difference };
    difference.hint = Hint::Gauge;
    Some(Sample::Histogram(Arc::new(difference)))
}
