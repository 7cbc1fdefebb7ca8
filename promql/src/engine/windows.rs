//! Functions of windows, at every step of every series.

use super::context::{Context, Failure, Wanted};
use super::{absent, settle, subquery};
use crate::base::labels::Labels;
use crate::base::notes::Notes;
use crate::functions::rates::Extrapolation;
use crate::functions::window::{Floats, Found, Look, OfFloats};
use crate::functions::{instant, over_time, rates, regression, resets};
use crate::model::points::{Points, Series};
use crate::model::samples::Samples;
use crate::syntax::{Call, Expr, Extension, Kind, Modifiers, Span, quote};
use statistics::float::ExactSums;

type Function = fn(&mut Look) -> Found;

/// The function of a window of this name.
fn function(name: &str) -> Option<Function> {
    Some(match name {
        "absent_over_time" | "present_over_time" => over_time::present,
        "avg_over_time" => over_time::avg,
        "changes" => resets::changes,
        "count_over_time" => over_time::count,
        "delta" => rates::delta,
        "deriv" => regression::deriv,
        "double_exponential_smoothing" => regression::smooth,
        "first_over_time" => over_time::first,
        "idelta" => instant::idelta,
        "increase" => rates::increase,
        "irate" => instant::irate,
        "last_over_time" => over_time::last,
        "mad_over_time" => over_time::mad,
        "max_over_time" => over_time::max,
        "min_over_time" => over_time::min,
        "predict_linear" => regression::predict,
        "quantile_over_time" => over_time::quantile,
        "rate" => rates::rate,
        "resets" => resets::resets,
        "stddev_over_time" => over_time::stddev,
        "stdvar_over_time" => over_time::stdvar,
        "sum_over_time" => over_time::sum,
        "ts_of_first_over_time" => over_time::time_of_first,
        "ts_of_last_over_time" => over_time::time_of_last,
        "ts_of_max_over_time" => over_time::time_of_max,
        "ts_of_min_over_time" => over_time::time_of_min,
        _ => return None,
    })
}

/// What the function of this name makes of floats alone, in windows of so many seconds, where that is known without all that
/// histograms need.
fn of_floats(name: &str, range_s: f64) -> Option<Box<OfFloats>> {
    let extrapolated = |asked| -> Option<Box<OfFloats>> {
        let mut extrapolation = Extrapolation::new(asked, range_s);
        Some(Box::new(move |own| extrapolation.of(own)))
    };
    let of_one: fn(&Floats) -> Option<f64> = match name {
        "absent_over_time" | "present_over_time" => over_time::present_of,
        "avg_over_time" => over_time::avg_of,
        "changes" => resets::changes_of,
        "count_over_time" => over_time::count_of,
        "delta" => return extrapolated(rates::DELTA),
        "idelta" => instant::idelta_of,
        "increase" => return extrapolated(rates::INCREASE),
        "irate" => instant::irate_of,
        "last_over_time" => over_time::last_of,
        "max_over_time" => over_time::max_of,
        "min_over_time" => over_time::min_of,
        "rate" => return extrapolated(rates::RATE),
        "resets" => resets::resets_of,
        "sum_over_time" => over_time::sum_of,
        _ => return None,
    };
    Some(Box::new(of_one))
}

/// Functions that know what lies around an anchored window, and around a smoothed one.
const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

/// A window of each series, as one function looks at it.
struct Windows<'a> {
    name: &'static str,
    function: Function,
    /// The numbers beside, each at every step.
    numbers: Vec<Vec<f64>>,
    modifiers: &'a Modifiers,
    range_ms: i64,
    extension: Option<Extension>,
    span: Span,
}

/// A function of windows, or `None` if it is another one.
pub(crate) fn call(context: &Context, call: &Call) -> Result<Option<Vec<Series>>, Failure> {
    let (name, Some(function)) = (call.function.name, function(call.function.name)) else { return Ok(None) };
    let is_range = |argument: &&Expr| matches!(argument.unwrapped().kind, Kind::Matrix(_) | Kind::Subquery(_));
    let Some(range) = call.arguments.iter().find(is_range).map(Expr::unwrapped) else { return Ok(None) };
    let numbers = call.arguments.iter().filter(|argument| !is_range(argument));
    let numbers = numbers.map(|argument| context.scalar(argument)).collect::<Result<_, _>>()?;
    let span = call.arguments[0].unwrapped().span;
    let mut all = Vec::new();
    match &range.kind {
        Kind::Matrix(matrix) => {
            let selector = &matrix.selector;
            check_extension(selector.extension, name)?;
            let windows = Windows {
                name,
                function,
                numbers,
                modifiers: &selector.modifiers,
                range_ms: matrix.range.ms(),
                extension: selector.extension,
                span,
            };
            let (first, last) = context.looks_between(&selector.modifiers);
            let (before, behind) = windows.reach(context);
            // One more at the start, for what is told of resets.
            let after = first - before - i64::from(selector.is_counted);
            let all_of = Wanted::all(&selector.matchers, after, last + behind);
            let wanted = Wanted { has_starts: windows.heeds_starts(context), ..all_of };
            all = context.source.select_made(wanted, &|labels, samples| {
                let samples = if selector.is_counted { samples.with_hints() } else { samples };
                let samples = windows.heeded(context, samples.without_marks());
                windows.series(context, labels, false, &samples)
            })?;
            all.sort_by(|one, other| one.labels.cmp(&other.labels));
        }
        Kind::Subquery(asked) => {
            // Errors and notes about what a subquery gave stand at the start of the question, as in Prometheus.
            let span = if range.span == span { Span::default() } else { span };
            let range_ms = asked.range.ms();
            let modifiers = &asked.modifiers;
            let windows = Windows { name, function, numbers, modifiers, range_ms, extension: None, span };
            for (series, samples) in subquery::series(context, asked)? {
                all.extend(windows.series(context, series.labels, series.drops_name, &samples)?);
            }
        }
        _ => return Ok(None),
    }
    if name == "absent_over_time" {
        return Ok(Some(absent::absent_of(context, range, &all)));
    }
    let all = if context.settings.delayed_name_removal { all } else { settle::distinct(all)? };
    Ok(Some(all))
}

fn check_extension(extension: Option<Extension>, name: &str) -> Result<(), Failure> {
    let (word, known): (_, &[&str]) = match extension {
        None => return Ok(()),
        Some(Extension::Anchored) => ("anchored", &ANCHORED),
        Some(Extension::Smoothed) => ("smoothed", &SMOOTHED),
    };
    match known.contains(&name) {
        true => Ok(()),
        false => Failure::new(format!("{word} modifier can only be used with: {} - not with {name}", known.join(", "))),
    }
}

impl Windows<'_> {
    /// How far before and behind a step samples are looked at.
    fn reach(&self, context: &Context) -> (i64, i64) {
        let lookback = context.settings.lookback_ms;
        match self.extension {
            None => (self.range_ms, 0),
            Some(Extension::Anchored) => (self.range_ms + lookback, 0),
            Some(Extension::Smoothed) => (self.range_ms + lookback, lookback),
        }
    }

    /// Are the times looked at since when samples count?
    fn heeds_starts(&self, context: &Context) -> bool {
        context.settings.start_timestamps && matches!(self.name, "rate" | "irate" | "increase" | "resets")
    }

    /// Without the times since when samples count, where these are not heeded.
    fn heeded(&self, context: &Context, mut samples: Samples) -> Samples {
        if !self.heeds_starts(context) {
            samples.starts.clear();
            samples.histogram_starts.clear();
        }
        samples
    }

    /// One series of the answer.
    fn series(
        &self,
        context: &Context,
        labels: Labels,
        drops_name: bool,
        samples: &Samples,
    ) -> Result<Option<Series>, Failure> {
        let mut points = context.points()?;
        let is_plain = samples.is_plain() && self.extension.is_none();
        match is_plain.then(|| of_floats(self.name, self.range_s())).flatten() {
            Some(mut of_floats) => self.put_floats(context, samples, &mut *of_floats, &mut points)?,
            None => self.put_samples(context, &labels, samples, &mut points)?,
        }
        if points.is_empty() {
            return Ok(None);
        }
        self.doubt_counter(context, &labels, &points);
        let keeps_name = matches!(self.name, "first_over_time" | "last_over_time") && !drops_name;
        let series = Series { labels, drops_name, points };
        Ok(Some(if keeps_name { series } else { context.unnamed(series) }))
    }

    /// How long a window is, in seconds.
    fn range_s(&self) -> f64 {
        self.range_ms as f64 / 1000.0
    }

    /// Puts what a function makes of floats alone.
    fn put_floats(
        &self,
        context: &Context,
        samples: &Samples,
        of_floats: &mut OfFloats,
        points: &mut Points,
    ) -> Result<(), Failure> {
        if let Some(sums) = self.exact_sums(context, samples) {
            return self.put_sums(context, samples, &sums, points);
        }
        // Where they fall, for functions that go by it.
        let falls = matches!(self.name, "rate" | "increase" | "resets").then(|| samples.falls());
        let mut walk = samples.walk();
        if let Some(falls) = &falls {
            walk = walk.knowing(falls);
        }
        for step in 0..context.steps() {
            context.allowance.check_at(step)?;
            let end = context.looks_at(self.modifiers, context.times.at(step));
            let start = end - self.range_ms;
            let window = walk.window(start, end);
            if window.is_empty() {
                continue;
            }
            if let Some(value) = of_floats(&Floats { window, start, end }) {
                points.set_float(step, value);
            }
        }
        Ok(())
    }

    /// Sums of which each window's is a difference: where windows overlap, and no addition loses anything.
    fn exact_sums(&self, context: &Context, samples: &Samples) -> Option<ExactSums> {
        let is_sum = matches!(self.name, "avg_over_time" | "sum_over_time");
        let overlap = context.steps() > 1 && self.range_ms >= 2 * context.times.step_ms;
        (is_sum && overlap).then(|| ExactSums::of(&samples.values))?
    }

    /// As [`Self::put_floats`] puts sums and means.
    fn put_sums(
        &self,
        context: &Context,
        samples: &Samples,
        sums: &ExactSums,
        points: &mut Points,
    ) -> Result<(), Failure> {
        let is_mean = self.name == "avg_over_time";
        let mut walk = samples.walk();
        for step in 0..context.steps() {
            context.allowance.check_at(step)?;
            let end = context.looks_at(self.modifiers, context.times.at(step));
            let places = walk.places(end - self.range_ms, end);
            if !places.is_empty() {
                let count = places.len() as f64;
                let sum = sums.sum(places);
                points.set_float(step, if is_mean { sum / count } else { sum });
            }
        }
        Ok(())
    }

    /// Puts what the function makes of any samples.
    fn put_samples(
        &self,
        context: &Context,
        labels: &Labels,
        samples: &Samples,
        points: &mut Points,
    ) -> Result<(), Failure> {
        let mut numbers = vec![0.0; self.numbers.len()];
        let (before, behind) = self.reach(context);
        let mut walk = samples.walk();
        let (metric, range_s) = (labels.metric(), self.range_s());
        // Its own, as others may be looked at on other threads.
        let mut notes = Notes::default();
        for step in 0..context.steps() {
            context.allowance.check_at(step)?;
            let at = context.times.at(step);
            let end = context.looks_at(self.modifiers, at);
            let window = walk.window(end - before, end + behind);
            if window.is_empty() {
                continue;
            }
            numbers.iter_mut().zip(&self.numbers).for_each(|(number, all)| *number = all[step]);
            let mut look = Look {
                window,
                start: end - self.range_ms,
                end,
                at,
                range_s,
                numbers: &numbers,
                metric,
                span: self.span,
                extension: self.extension,
                notes: &mut notes,
            };
            if let Some(sample) = (self.function)(&mut look).map_err(Failure::from)? {
                points.set(step, sample);
            }
        }
        context.say(notes);
        Ok(())
    }

    /// Rates are of counters, which have names or a type that says so.
    fn doubt_counter(&self, context: &Context, labels: &Labels, points: &Points) {
        let metric = labels.metric();
        let has_floats = || points.floats().next().is_some();
        if !matches!(self.name, "rate" | "increase") || metric.is_empty() || !has_floats() {
            return;
        }
        let kind = labels.get("__type__");
        if context.settings.type_and_unit_labels {
            if !matches!(kind, "counter" | "histogram") {
                let (kind, metric) = (quote(kind), quote(metric));
                context.inform(
                    self.span,
                    format!(
                        "PromQL info: metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {kind}: {metric}"
                    ),
                );
            }
        } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.ends_with(end)) {
            let metric = quote(metric);
            context.inform(
                self.span,
                format!(
                    "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric}"
                ),
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Floats of which nothing more is known take a shorter way. Those that count since an unknown time take the long one,
    /// and mean the same.
    #[test]
    fn what_is_made_of_floats_alone_is_what_is_made_of_any_samples() {
        let names = [
            "absent_over_time",
            "avg_over_time",
            "changes",
            "count_over_time",
            "delta",
            "idelta",
            "increase",
            "irate",
            "last_over_time",
            "max_over_time",
            "min_over_time",
            "present_over_time",
            "rate",
            "resets",
            "sum_over_time",
        ];
        let mut random = 88_172_645_463_325_252u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e308, -1e308, 0.1];
        for round in 0..3000 {
            let (mut plain, mut time) = (Samples::default(), 0);
            for _ in 0..next(30) {
                time += if round % 3 == 0 { 15_000 } else { 1 + next(40_000) as i64 };
                let is_odd = round % 2 == 0 && next(6) == 0;
                plain.push(time, if is_odd { odd[next(7) as usize] } else { next(50) as f64 });
            }
            let long = Samples { starts: vec![0; plain.times.len()], ..plain.clone() };
            let range_ms = 1 + next(400_000) as i64;
            let (falls, range_s) = (plain.falls(), range_ms as f64 / 1000.0);
            // Two of each name, as what was seen before must not matter.
            let mut own = names.map(|name| [of_floats(name, range_s).unwrap(), of_floats(name, range_s).unwrap()]);
            let (mut walk, sums) = (plain.walk().knowing(&falls), ExactSums::of(&plain.values));
            for _ in 0..12 {
                let end = next(time.unsigned_abs() + 100_000) as i64;
                let start = end - range_ms;
                let windows = [plain.window(start, end), walk.window(start, end)];
                if windows[0].is_empty() {
                    continue;
                }
                let places = plain.walk().places(start, end);
                let sum = sums.as_ref().map(|sums| sums.sum(places.clone()));
                for (name, own) in names.into_iter().zip(&mut own) {
                    let mut notes = Notes::default();
                    let mut look = Look {
                        window: long.window(start, end),
                        start,
                        end,
                        at: end,
                        range_s,
                        numbers: &[],
                        metric: "m",
                        span: Span::default(),
                        extension: None,
                        notes: &mut notes,
                    };
                    assert!(look.floats().is_none());
                    let any = function(name).unwrap()(&mut look).unwrap().map(|sample| match sample {
                        crate::model::samples::Sample::Float(value) => value,
                        histogram => panic!("{histogram:?}"),
                    });
                    // As `put_sums` has it.
                    match (name, sum) {
                        ("sum_over_time", Some(sum)) => assert_eq!(any.map(f64::to_bits), Some(sum.to_bits())),
                        ("avg_over_time", Some(sum)) => {
                            let mean = sum / places.len() as f64;
                            assert_eq!(any.map(f64::to_bits), Some(mean.to_bits()));
                        }
                        _ => {}
                    }
                    for (window, own) in windows.into_iter().zip(own) {
                        let own = own(&Floats { window, start, end });
                        let is_same = any.zip(own).map_or(any.is_none() && own.is_none(), |(any, own)| {
                            any.to_bits() == own.to_bits() || any.is_nan() && own.is_nan()
                        });
                        assert!(is_same, "{name}: {own:?}, expected {any:?} of {:?}", window.values);
                    }
                }
            }
        }
    }
}
