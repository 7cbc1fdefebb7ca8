//! Lines through samples, and smoothed ones.

use super::window::{Found, Look};
use crate::model::samples::Sample;
use statistics::float::Sum;

/// The line through samples by least squares: its slope a second, and its value at a time.
fn line(times: &[i64], values: &[f64], at: i64) -> (f64, f64) {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let [mut x, mut y, mut xy, mut xx] = [Sum::default(); 4];
    for (time, value) in times.iter().zip(values) {
        let distance = (time - at) as f64 / 1e3;
        x.add(distance);
        y.add(*value);
        xy.add(distance * value);
        xx.add(distance * distance);
    }
    let n = values.len() as f64;
    let [x, y, xy, xx] = [x, y, xy, xx].map(|sum| sum.sum + sum.lost);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

/// A window with two floats at least; a single one beside histograms is told.
fn has_line(look: &mut Look) -> bool {
    let count = look.window.times.len();
    if count > 0 {
        look.inform_ignored();
    }
    count >= 2
}

/// `deriv`
pub(crate) fn deriv(look: &mut Look) -> Found {
    if !has_line(look) {
        return Ok(None);
    }
    let (times, values) = (look.window.times, look.window.values);
    Ok(Some(Sample::Float(line(times, values, times[0]).0)))
}

/// `predict_linear`
pub(crate) fn predict(look: &mut Look) -> Found {
    if !has_line(look) {
        return Ok(None);
    }
    let (slope, value) = line(look.window.times, look.window.values, look.at);
    Ok(Some(Sample::Float(slope * look.numbers[0] + value)))
}

/// `double_exponential_smoothing`
pub(crate) fn smooth(look: &mut Look) -> Found {
    let [smoothing, trend] = [look.numbers[0], look.numbers[1]];
    for (factor, what, sign) in [(smoothing, "smoothing", "sf"), (trend, "trend", "tf")] {
        if factor <= 0.0 || factor >= 1.0 {
            return Err(format!("invalid {what} factor. Expected: 0 < {sign} < 1, got: {factor:.6}"));
        }
    }
    if !has_line(look) {
        return Ok(None);
    }
    let values = look.window.values;
    let (mut before, mut level, mut slope) = (0.0, values[0], values[1] - values[0]);
    for (at, value) in values.iter().enumerate().skip(1) {
        if at > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        (before, level) = (level, smoothing * value + (1.0 - smoothing) * (level + slope));
    }
    Ok(Some(Sample::Float(level)))
}
