//! `resets` and `changes`: what happens from one sample to the next.

use super::rates::starts_anew;
use super::window::{Floats, Found, Look};
use crate::model::samples::{Sample, Window};
use crate::syntax::Extension;

/// A sample, when it was, and since when it counts.
type Point = (i64, Sample, i64);

/// All samples by time. Anchored windows begin with the newest one at their start or before it.
fn points(look: &Look) -> Option<Vec<Point>> {
    let mut points = merged(look.window);
    if look.extension == Some(Extension::Anchored) {
        let first = points.partition_point(|(time, ..)| *time <= look.start);
        if first == points.len() {
            return None;
        }
        points.drain(..first.saturating_sub(1));
    }
    (!points.is_empty()).then_some(points)
}

fn merged(window: Window) -> Vec<Point> {
    let start = |starts: &[i64], at: usize| starts.get(at).copied().unwrap_or(0);
    let floats = window.times.iter().zip(window.values).enumerate();
    let floats = floats.map(|(at, (time, value))| (*time, Sample::Float(*value), start(window.starts, at)));
    let histograms = window.histograms.iter().enumerate().map(|(at, (time, histogram))| {
        (*time, Sample::Histogram(histogram.clone()), start(window.histogram_starts, at))
    });
    let mut points: Vec<Point> = floats.chain(histograms).collect();
    points.sort_by_key(|(time, ..)| *time);
    points
}

fn count(look: &Look, happens: impl Fn(&Point, &Point) -> bool) -> Found {
    let times = |points: Vec<Point>| points.windows(2).filter(|pair| happens(&pair[0], &pair[1])).count();
    Ok(points(look).map(|points| Sample::Float(times(points) as f64)))
}

/// What `resets` makes of floats.
pub(crate) fn resets_of(own: &Floats) -> Option<f64> {
    Some(own.window.falls().count() as f64)
}

/// What `changes` makes of floats.
pub(crate) fn changes_of(own: &Floats) -> Option<f64> {
    Some(own.window.values.windows(2).filter(|pair| differ(pair[0], pair[1])).count() as f64)
}

fn differ(one: f64, other: f64) -> bool {
    one != other && !(one.is_nan() && other.is_nan())
}

/// `resets`
pub(crate) fn resets(look: &mut Look) -> Found {
    count(look, |before, next| {
        let is_anew = || starts_anew(&[before.2, next.2], &[before.0, next.0], 1);
        match (&before.1, &next.1) {
            (Sample::Float(one), Sample::Float(other)) => other < one || is_anew(),
            (Sample::Histogram(one), Sample::Histogram(other)) => is_anew() || other.is_reset_since(one),
            _ => true,
        }
    })
}

/// `changes`
pub(crate) fn changes(look: &mut Look) -> Found {
    count(look, |before, next| match (&before.1, &next.1) {
        (Sample::Float(one), Sample::Float(other)) => differ(*one, *other),
        (Sample::Histogram(one), Sample::Histogram(other)) => !one.is_same(other),
        _ => true,
    })
}
