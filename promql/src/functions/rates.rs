//! How fast counters grow, and by how much values differ from one end of a window to the other. What lies between the ends
//! and the samples next to them is extrapolated, as far as a sample may be expected there.

use std::sync::Arc;

use statistics::growth::{self, Counter};

use super::extended;
use super::window::{Floats, Found, Look};
use crate::model::samples::Sample;
use crate::syntax::quote;
use statistics::histogram::{Hint, Histogram, Incompatible};

/// What is asked of a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Do values only grow, but for resets?
    pub is_counter: bool,
    /// A second, and not over all of it?
    pub is_rate: bool,
}

/// What `rate` asks.
pub(crate) const RATE: Asked = Asked { is_counter: true, is_rate: true };
/// What `increase` asks.
pub(crate) const INCREASE: Asked = Asked { is_counter: true, is_rate: false };
/// What `delta` asks.
pub(crate) const DELTA: Asked = Asked { is_counter: false, is_rate: false };

/// `rate`
pub(crate) fn rate(look: &mut Look) -> Found {
    extrapolated(look, RATE)
}

/// `increase`
pub(crate) fn increase(look: &mut Look) -> Found {
    extrapolated(look, INCREASE)
}

/// `delta`
pub(crate) fn delta(look: &mut Look) -> Found {
    extrapolated(look, DELTA)
}

/// What `rate`, `increase` and `delta` make of floats, window after window. Windows that lie alike around their samples, as
/// those of a series that comes in equal steps do, are extrapolated alike: that is worked out once.
pub(crate) struct Extrapolation {
    asked: Asked,
    range_s: f64,
    before: Option<Alike>,
}

/// How windows lie around their samples, and what follows from that alone.
#[derive(Clone, Copy)]
struct Alike {
    sampled_ms: i64,
    to_start_ms: i64,
    to_end_ms: i64,
    count: usize,
    span: growth::Span,
    /// What growth is multiplied by where nothing is known of zero.
    factor: f64,
}

impl Extrapolation {
    /// Of windows of this length.
    pub(crate) fn new(asked: Asked, range_s: f64) -> Extrapolation {
        Extrapolation { asked, range_s, before: None }
    }

    /// What is made of a window, which is as long.
    #[inline]
    pub(crate) fn of(&mut self, own: &Floats) -> Option<f64> {
        let Floats { window, start, end, .. } = *own;
        let ([first_ms, .., last_ms], [first, .., last]) = (window.times, window.values) else { return None };
        let (first, by) = (*first, if self.asked.is_counter { window.grown() } else { last - first });
        let Alike { span, factor, .. } =
            self.alike(last_ms - first_ms, first_ms - start, end - last_ms, window.times.len());
        // At its pace a counter was zero `sampled_s * first / by` before its first sample. If it had as much there as it grew by, that
        // is no nearer than the start of the window, and does not matter.
        let is_far_from_zero = by <= 0.0 || first < 0.0 || first >= by && span.to_start_s <= span.sampled_s;
        if !self.asked.is_counter || is_far_from_zero {
            return Some(by * factor);
        }
        Some(by * self.asked.of_second(span.factor(Some(Counter { first, by })), self.range_s))
    }

    #[inline]
    fn alike(&mut self, sampled_ms: i64, to_start_ms: i64, to_end_ms: i64, count: usize) -> Alike {
        let lies_alike = |own: &Alike| {
            (own.sampled_ms, own.to_start_ms, own.to_end_ms, own.count) == (sampled_ms, to_start_ms, to_end_ms, count)
        };
        if let Some(own) = self.before.filter(lies_alike) {
            return own;
        }
        let sampled_s = seconds(sampled_ms);
        let span = growth::Span {
            sampled_s,
            step_s: sampled_s / (count - 1) as f64,
            to_start_s: seconds(to_start_ms),
            to_end_s: seconds(to_end_ms),
        };
        let factor = self.asked.of_second(span.factor(None), self.range_s);
        *self.before.insert(Alike { sampled_ms, to_start_ms, to_end_ms, count, span, factor })
    }
}

impl Asked {
    /// A factor for all of a window, or for a second of it.
    #[inline]
    fn of_second(self, factor: f64, range_s: f64) -> f64 {
        if self.is_rate { factor / range_s } else { factor }
    }
}

#[inline]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// What grew, and between which times.
struct Grown {
    sample: Option<Sample>,
    /// The first value: so much it was above zero.
    first: f64,
    first_ms: i64,
    last_ms: i64,
    count: usize,
}

fn extrapolated(look: &mut Look, asked: Asked) -> Found {
    if look.window.is_mixed() {
        look.warn_mixed();
        return Ok(None);
    }
    if look.extension.is_some() {
        return Ok(extended::difference(look, asked));
    }
    if let Some(floats) = look.floats() {
        return Ok(Extrapolation::new(asked, look.range_s).of(&floats).map(Sample::Float));
    }
    let Some(mut grown) = (if look.window.times.is_empty() { histograms(look, asked) } else { floats(look, asked) })
    else {
        return Ok(None);
    };
    let sampled_s = seconds(grown.last_ms - grown.first_ms);
    let mut span = growth::Span {
        sampled_s,
        step_s: if grown.count > 1 { sampled_s / (grown.count - 1) as f64 } else { 0.0 },
        to_start_s: seconds(grown.first_ms - look.start),
        to_end_s: seconds(look.end - grown.last_ms),
    };
    let starts = if look.window.times.is_empty() { look.window.histogram_starts } else { look.window.starts };
    let start = starts.first().copied().unwrap_or(0);
    if asked.is_counter && start != 0 && start > look.start && start < grown.first_ms {
        // It is known since when it counts: nothing is guessed before that.
        span = growth::Span { to_start_s: 0.0, sampled_s: seconds(grown.last_ms - start), ..span };
        if !add_first(look, &mut grown) {
            return Ok(None);
        }
    } else if grown.count == 1 {
        return Ok(None);
    }
    let factor = span.factor(grown.counter().filter(|_| asked.is_counter));
    let factor = if asked.is_rate { factor / look.range_s } else { factor };
    Ok(grown.sample.map(|sample| match sample {
        Sample::Float(value) => Sample::Float(value * factor),
        Sample::Histogram(histogram) => Sample::Histogram(Arc::new(Arc::unwrap_or_clone(histogram).scaled(factor))),
    }))
}

impl Grown {
    /// It as a counter.
    fn counter(&self) -> Option<Counter> {
        let by = match self.sample.as_ref()? {
            Sample::Float(value) => *value,
            Sample::Histogram(histogram) => histogram.count,
        };
        Some(Counter { first: self.first, by })
    }
}

/// A counter whose start is known had nothing then: the first value was grown, too. `false` where that has no sum.
fn add_first(look: &mut Look, grown: &mut Grown) -> bool {
    if let Some((_, first)) = look.window.histograms.first() {
        let Some(Sample::Histogram(sum)) = grown.sample.take() else {
            grown.sample = Some(Sample::Histogram(first.clone()));
            return true;
        };
        let mut sum = Arc::unwrap_or_clone(sum);
        if !plus(look, &mut sum, first) {
            return false;
        }
        grown.sample = Some(Sample::Histogram(Arc::new(sum)));
    } else if let Some(Sample::Float(value)) = &mut grown.sample {
        *value += grown.first;
    }
    true
}

/// Of floats of which it is known since when they count.
fn floats(look: &mut Look, asked: Asked) -> Option<Grown> {
    let window = look.window;
    let (first, last) = (*window.values.first()?, *window.values.last()?);
    let mut by = last - first;
    if asked.is_counter {
        let mut is_told = false;
        for at in 1..window.values.len() {
            let (before, value) = (window.values[at - 1], window.values[at]);
            let is_reset = starts_anew(window.starts, window.times, at);
            if !is_told && overlaps(window.starts, window.times, at) {
                warn_overlap(look);
                is_told = true;
            }
            if value < before || is_reset {
                by += before;
            }
        }
    }
    Some(Grown {
        sample: Some(Sample::Float(by)),
        first,
        first_ms: window.times[0],
        last_ms: *window.times.last()?,
        count: window.times.len(),
    })
}

/// Does a counter begin anew between a sample and the one before it, by the times since when they count?
pub(crate) fn starts_anew(starts: &[i64], times: &[i64], at: usize) -> bool {
    let (Some(before), Some(start)) = (at.checked_sub(1).and_then(|before| starts.get(before)), starts.get(at)) else {
        return false;
    };
    let (before_ms, at_ms) = (times[at - 1], times[at]);
    if *start == 0 || *start >= at_ms || *start < before_ms {
        return false;
    }
    if *start > before_ms {
        return true;
    }
    *before <= before_ms && *before != 0 && *before != before_ms
}

/// Does a sample count since a time before the one before it, which counts since another one?
fn overlaps(starts: &[i64], times: &[i64], at: usize) -> bool {
    let (Some(before), Some(start)) = (starts.get(at - 1), starts.get(at)) else { return false };
    *start != 0 && *start < times[at - 1] && start != before
}

fn warn_overlap(look: &mut Look) {
    let metric = quote(look.metric);
    look.notes.warn_again(
        look.span,
        format!(
            "PromQL warning: sample has start time that overlaps with previous sample timestamp for metric {metric}"
        ),
    );
}

fn histograms(look: &mut Look, asked: Asked) -> Option<Grown> {
    let all = look.window.histograms;
    let ((first_ms, first), (last_ms, _)) = (all.first()?, all.last()?);
    let sample = match all.len() {
        1 => None,
        _ => Some(Sample::Histogram(Arc::new(histogram_growth(look, asked)?))),
    };
    Some(Grown { sample, first: first.count, first_ms: *first_ms, last_ms: *last_ms, count: all.len() })
}

/// By what histograms grew over a window.
fn histogram_growth(look: &mut Look, asked: Asked) -> Option<Histogram> {
    let all = look.window.histograms;
    let times: Vec<i64> = all.iter().map(|(time, _)| *time).collect();
    let (first, last) = (&all[0].1, &all[all.len() - 1].1);
    let is_gauge = |histogram: &Histogram| histogram.hint == Hint::Gauge;
    if asked.is_counter && (is_gauge(first) || is_gauge(last)) {
        look.warn_not_counter();
    }
    let starts = look.window.histogram_starts;
    let is_reset = |at: usize, before: &Histogram| starts_anew(starts, &times, at) || all[at].1.is_reset_since(before);
    // What was reset right behind the first began at nothing, and the schema of the first does not matter.
    let nothing;
    let mut before: &Histogram = first;
    if asked.is_counter && is_reset(1, first) {
        nothing = Histogram { schema: all[1].1.schema, bounds: all[1].1.bounds.clone(), ..Histogram::default() };
        before = &nothing;
    }
    let is_custom = before.is_custom();
    if last.is_custom() != is_custom {
        look.warn_incompatible();
        return None;
    }
    let mut schema = last.schema.min(before.schema);
    if asked.is_counter {
        for (_, histogram) in &all[1..all.len() - 1] {
            if is_gauge(histogram) {
                look.warn_not_counter();
            }
            schema = schema.min(histogram.schema);
            if histogram.is_custom() != is_custom {
                look.warn_incompatible();
                return None;
            }
        }
    }
    let mut growth = last.at_schema(schema);
    if !minus(look, &mut growth, before) {
        return None;
    }
    if asked.is_counter {
        let mut is_told = false;
        for (at, (_, histogram)) in all.iter().enumerate().skip(1) {
            if !is_told && overlaps(starts, &times, at) {
                warn_overlap(look);
                is_told = true;
            }
            if is_reset(at, before) && !plus(look, &mut growth, before) {
                return None;
            }
            before = histogram;
        }
    } else if !is_gauge(first) || !is_gauge(last) {
        look.warn_not_gauge();
    }
    growth.hint = Hint::Gauge;
    Some(growth)
}

/// Adds a histogram, and says what is to be said of that. `false` where the two have no sum.
pub(crate) fn plus(look: &mut Look, sum: &mut Histogram, other: &Histogram) -> bool {
    let added = sum.add(other);
    told(look, added, "addition")
}

/// Takes a histogram off, and says what is to be said of that. `false` where the two have no difference.
pub(crate) fn minus(look: &mut Look, difference: &mut Histogram, other: &Histogram) -> bool {
    let taken = difference.sub(other);
    told(look, taken, "subtraction")
}

fn told(look: &mut Look, done: Result<statistics::histogram::Reconciled, Incompatible>, operation: &str) -> bool {
    match done {
        Ok(reconciled) => {
            if reconciled.bounds_differ {
                look.inform_reconciled(operation);
            }
            true
        }
        Err(Incompatible) => {
            look.warn_incompatible();
            false
        }
    }
}
