//! `irate` and `idelta`: between the last two samples.

use std::sync::Arc;

use super::rates::{minus, starts_anew};
use super::window::{Floats, Found, Look};
use crate::model::samples::Sample;
use statistics::growth;
use statistics::histogram::{Hint, Histogram};

/// `irate`
pub(crate) fn irate(look: &mut Look) -> Found {
    Ok(last_two(look, true))
}

/// `idelta`
pub(crate) fn idelta(look: &mut Look) -> Found {
    Ok(last_two(look, false))
}

/// What `irate` makes of floats.
pub(crate) fn irate_of(own: &Floats) -> Option<f64> {
    let (before, last, seconds) = last_two_of(own)?;
    Some(growth::step(before, last) / seconds)
}

/// What `idelta` makes of floats.
pub(crate) fn idelta_of(own: &Floats) -> Option<f64> {
    last_two_of(own).map(|(before, last, _)| last - before)
}

/// The last two, and how many seconds lie between them.
#[inline]
fn last_two_of(own: &Floats) -> Option<(f64, f64, f64)> {
    let ([.., earlier, later], [.., before, last]) = (own.window.times, own.window.values) else { return None };
    Some((*before, *last, (later - earlier) as f64 / 1000.0)).filter(|(.., seconds)| *seconds != 0.0)
}

/// A sample, when it was, and since when it counts.
type Point = (i64, Sample, i64);

/// The last two of all, by time.
fn ends(look: &Look) -> Option<[Point; 2]> {
    let window = look.window;
    let start = |starts: &[i64], at: usize| starts.get(at).copied().unwrap_or(0);
    let floats = (0..window.times.len()).rev().take(2);
    let floats = floats.map(|at| (window.times[at], Sample::Float(window.values[at]), start(window.starts, at)));
    let histograms = (0..window.histograms.len()).rev().take(2).map(|at| {
        let (time, histogram) = &window.histograms[at];
        (*time, Sample::Histogram(histogram.clone()), start(window.histogram_starts, at))
    });
    let mut all: Vec<Point> = floats.chain(histograms).collect();
    all.sort_by_key(|(time, ..)| *time);
    let last = all.pop()?;
    Some([all.pop()?, last])
}

fn last_two(look: &mut Look, is_rate: bool) -> Option<Sample> {
    let [before, last] = ends(look)?;
    let seconds = (last.0 - before.0) as f64 / 1000.0;
    if seconds == 0.0 {
        return None;
    }
    let is_reset = is_rate && starts_anew(&[before.2, last.2], &[before.0, last.0], 1);
    match (before.1, last.1) {
        (Sample::Float(before), Sample::Float(last)) => {
            let by = match is_rate {
                true if is_reset => last,
                true => growth::step(before, last),
                false => last - before,
            };
            Some(Sample::Float(if is_rate { by / seconds } else { by }))
        }
        (Sample::Histogram(before), Sample::Histogram(last)) => {
            histogram(look, &before, &last, is_reset, is_rate.then_some(seconds))
        }
        _ => {
            look.warn_mixed();
            None
        }
    }
}

fn histogram(
    look: &mut Look,
    before: &Histogram,
    last: &Histogram,
    is_reset: bool,
    seconds: Option<f64>,
) -> Option<Sample> {
    let is_gauge = [before, last].map(|histogram| histogram.hint == Hint::Gauge);
    if seconds.is_some() && is_gauge.contains(&true) {
        look.warn_not_counter();
    }
    if seconds.is_none() && is_gauge.contains(&false) {
        look.warn_not_gauge();
    }
    let mut by = last.clone();
    let is_reset = seconds.is_some() && (is_reset || last.is_reset_since(before));
    if !is_reset && !minus(look, &mut by, before) {
        return None;
    }
    by.hint = Hint::Gauge;
    let by = match seconds {
        Some(seconds) => by.divided(seconds),
        None => by,
    };
    Some(Sample::Histogram(Arc::new(by)))
}
