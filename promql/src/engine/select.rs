//! Selectors: the newest sample at each step, and the samples of windows.

use std::sync::Arc;

use tsdb::is_stale_mark;

use super::allowance::LABELS_BYTES;
use super::context::{Context, Failure, Wanted};
use crate::base::labels::Labels;
use crate::functions::extended::between;
use crate::model::points::Series;
use crate::model::samples::{Sample, Samples, Walk};
use crate::syntax::{At, Extension, Matrix, Modifiers, Selector, quote};
use statistics::histogram::{Hint, Histogram, Incompatible};

/// Samples are nearer than this, and a length can be added to it.
const FAR_MS: i64 = i64::MAX / 4;

/// About what a sample of an answer takes, here and in the text of the answer.
const SHOWN_BYTES: usize = 64;

impl Context<'_> {
    /// When a selector looks at a step: at its own time, or at that of the step; earlier by its offset.
    pub(crate) fn looks_at(&self, modifiers: &Modifiers, step_ms: i64) -> i64 {
        let at = match modifiers.at {
            Some(At::Time(ms)) => ms.clamp(-FAR_MS, FAR_MS),
            _ => step_ms,
        };
        at - modifiers.offset_ms()
    }

    /// From the first time that a selector looks at to the last one.
    pub(crate) fn looks_between(&self, modifiers: &Modifiers) -> (i64, i64) {
        (self.looks_at(modifiers, self.times.start_ms), self.looks_at(modifiers, self.times.last()))
    }
}

/// The newest samples of series at every step.
pub(crate) fn vector(context: &Context, selector: &Selector) -> Result<Vec<Series>, Failure> {
    if selector.extension == Some(Extension::Smoothed) {
        return smoothed(context, selector);
    }
    newest(context, selector, |_, sample, _| Some(sample))
}

/// What is made of the newest sample at every step: of its time, of itself, and of the time since when it counts.
pub(crate) fn newest(
    context: &Context,
    selector: &Selector,
    make: impl Fn(i64, Sample, i64) -> Option<Sample> + Sync,
) -> Result<Vec<Series>, Failure> {
    let lookback = context.settings.lookback_ms;
    let (first, last) = context.looks_between(&selector.modifiers);
    // One more at the start, for what is told of resets.
    let span = (first - lookback - i64::from(selector.is_counted), last);
    let prepare = |samples: Samples| if selector.is_counted { samples.with_hints() } else { samples };
    let is_newest = context.steps() == 1 && !selector.is_counted;
    at_steps(context, selector, span, is_newest, prepare, |_, walk, at| {
        let (time, sample, start) = match walk.plain() {
            Some(samples) => {
                let place = walk.newest_float(at)?;
                (samples.times[place], Sample::Float(samples.values[place]), 0)
            }
            None => walk.newest(at)?,
        };
        if time <= at - lookback || is_mark(&sample) {
            return None;
        }
        make(time, sample, start)
    })
}

/// The series of a selector, with what `find` finds of each when it looks at a step; sorted by labels.
fn at_steps(
    context: &Context,
    selector: &Selector,
    (after, until): (i64, i64),
    is_newest: bool,
    prepare: impl Fn(Samples) -> Samples + Sync,
    find: impl Fn(&Labels, &mut Walk<'_>, i64) -> Option<Sample> + Sync,
) -> Result<Vec<Series>, Failure> {
    let wanted = Wanted {
        is_newest,
        has_starts: context.settings.start_timestamps,
        ..Wanted::all(&selector.matchers, after, until)
    };
    let mut all = context.source.select_made(wanted, &|labels, samples| {
        let (samples, mut points) = (prepare(samples), context.points()?);
        let mut walk = samples.walk();
        for step in 0..context.steps() {
            let at = context.looks_at(&selector.modifiers, context.times.at(step));
            if let Some(sample) = find(&labels, &mut walk, at) {
                points.set(step, sample);
            }
        }
        Ok((!points.is_empty()).then_some(Series { labels, drops_name: false, points }))
    })?;
    all.sort_by(|one, other| one.labels.cmp(&other.labels));
    Ok(all)
}

/// Does a series end here?
fn is_mark(sample: &Sample) -> bool {
    match sample {
        Sample::Float(value) => is_stale_mark(*value),
        Sample::Histogram(histogram) => is_stale_mark(histogram.sum),
    }
}

/// Values on lines between the samples around each step.
fn smoothed(context: &Context, selector: &Selector) -> Result<Vec<Series>, Failure> {
    let lookback = context.settings.lookback_ms;
    let (first, last) = context.looks_between(&selector.modifiers);
    at_steps(
        context,
        selector,
        (first - lookback, last + lookback),
        false,
        Samples::without_marks,
        |labels, walk, at| on_line(context, selector, labels, walk, at),
    )
}

fn on_line(context: &Context, selector: &Selector, labels: &Labels, walk: &mut Walk<'_>, at: i64) -> Option<Sample> {
    let lookback = context.settings.lookback_ms;
    let window = walk.window(at - lookback, at + lookback);
    let metric = quote(labels.metric());
    if window.is_mixed() {
        let message = format!("PromQL warning: encountered a mix of histograms and floats for metric name {metric}");
        context.warn(selector.span, message);
        return None;
    }
    if let [(first, _), ..] = window.histograms {
        let next = window.histograms.partition_point(|(time, _)| *time < at);
        return match window.histograms.get(next) {
            Some((time, histogram)) if *time == at => Some(Sample::Histogram(histogram.clone())),
            _ if *first > at => None,
            Some(_) => {
                let (before, after) = (&window.histograms[next - 1], &window.histograms[next]);
                histogram_on_line(context, selector, &metric, before, after, at)
            }
            None => {
                let newest = Histogram { hint: Hint::Unknown, ..Histogram::clone(&window.histograms[next - 1].1) };
                Some(Sample::Histogram(Arc::new(newest)))
            }
        };
    }
    let next = window.times.partition_point(|time| *time < at);
    let point = |at: usize| (window.times[at], window.values[at]);
    let value = match window.times.get(next) {
        Some(time) if *time == at => window.values[next],
        _ if next == 0 => return None,
        Some(_) => between(point(next - 1), point(next), at, false),
        None => window.values[next - 1],
    };
    Some(Sample::Float(value))
}

type TimedHistogram = (i64, Arc<Histogram>);

fn histogram_on_line(
    context: &Context,
    selector: &Selector,
    metric: &str,
    (before_ms, before): &TimedHistogram,
    (after_ms, after): &TimedHistogram,
    at: i64,
) -> Option<Sample> {
    let share = (at - before_ms) as f64 / (after_ms - before_ms) as f64;
    let is_counter = before.hint != Hint::Gauge || after.hint != Hint::Gauge;
    if before.is_custom() == after.is_custom() && is_counter && after.is_reset_since(before) {
        return Some(Sample::Histogram(Arc::new(Histogram::clone(after).scaled(share))));
    }
    let line = || {
        let mut line = Histogram::clone(after);
        let taken = line.sub(before)?;
        let mut line = line.scaled(share);
        let added = line.add(before)?;
        Ok((line, taken.bounds_differ, added.bounds_differ))
    };
    match line() {
        Ok((line, taken, added)) => {
            for (_, operation) in [(taken, "subtraction"), (added, "addition")].iter().filter(|(differ, _)| *differ) {
                let message = format!("PromQL info: mismatched custom buckets were reconciled during {operation}");
                context.inform(selector.span, message);
            }
            Some(Sample::Histogram(Arc::new(line)))
        }
        Err(Incompatible) => {
            let message = format!(
                "PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric}"
            );
            context.warn(selector.span, message);
            None
        }
    }
}

/// The samples of a window at the first step, as they are shown.
pub(crate) fn samples(context: &Context, matrix: &Matrix) -> Result<Vec<(Labels, Samples)>, Failure> {
    let selector = &matrix.selector;
    let end = context.looks_at(&selector.modifiers, context.times.start_ms);
    let start = end - matrix.range.ms();
    let lookback = context.settings.lookback_ms;
    let (after, until) = match selector.extension {
        None => (start, end),
        Some(Extension::Anchored) => (start - lookback, end),
        Some(Extension::Smoothed) => (start - lookback, end + lookback),
    };
    let mut all = Vec::new();
    let wanted = Wanted::all(&selector.matchers, after, until);
    context.source.select(wanted, &mut |labels, samples| {
        let samples = samples.without_marks();
        let window = samples.window(after, until);
        let mut shown = Samples {
            times: window.times.to_vec(),
            values: window.values.to_vec(),
            histograms: window.histograms.to_vec(),
            ..Samples::default()
        };
        if let Some(extension) = selector.extension {
            if !shown.histograms.is_empty() {
                let word = if extension == Extension::Anchored { "anchored" } else { "smoothed" };
                return Failure::new(format!("{word} modifier is not supported with histograms"));
            }
            shown = extended(&shown, start, end, extension == Extension::Smoothed);
        }
        if !shown.is_empty() {
            let bytes = (shown.times.len() + shown.histograms.len()) * SHOWN_BYTES;
            context.allowance.take(bytes + LABELS_BYTES)?;
            all.push((labels, shown));
        }
        Ok(())
    })?;
    all.sort_by(|one: &(Labels, Samples), other| one.0.cmp(&other.0));
    Ok(all)
}

/// A window with values at both of its ends.
fn extended(samples: &Samples, start: i64, end: i64, is_smoothed: bool) -> Samples {
    let mut extended = Samples::default();
    let (times, values) = (&samples.times, &samples.values);
    let Some((first, last)) = crate::functions::extended::ends(times, start, end, is_smoothed) else { return extended };
    let at = |at: usize| (times[at], values[at]);
    let left = match is_smoothed && times[first] < start {
        true => between(at(first), at(first + 1), start, false),
        false => values[first],
    };
    let right = match is_smoothed && last > 0 && times[last] > end {
        true => between(at(last - 1), at(last), end, false),
        false => values[last],
    };
    extended.push(start, left);
    for at in first..=last {
        if times[at] > start && times[at] < end {
            extended.push(times[at], values[at]);
        }
    }
    extended.push(end, right);
    extended
}
