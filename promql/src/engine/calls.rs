//! Functions: which does what.

use super::context::{Context, Failure, Value};
use super::{absent, buckets, info, relabel, select, sort, windows};
use crate::base::labels::{Labels, NAME};
use crate::functions::{dates, math};
use crate::model::points::{Points, Series};
use crate::model::samples::Sample;
use crate::syntax::{Call, Expr, Kind, Span};
use statistics::float;
use statistics::histogram::Histogram;

/// What a function gives.
pub(crate) fn call(context: &Context, call: &Call, span: Span) -> Result<Value, Failure> {
    if let Some(series) = windows::call(context, call)? {
        return Ok(Value::Vector(series));
    }
    let arguments = &call.arguments;
    let name = call.function.name;
    if let Some(function) = math::function(name) {
        return floats(context, context.vector(&arguments[0])?, |_, value| function(value));
    }
    if let Some(function) = dates::function(name) {
        return match arguments.first() {
            Some(of) => floats(context, context.vector(of)?, |_, value| function(value)),
            None => {
                let now = |step| function(context.times.at(step).div_euclid(1000) as f64);
                Ok(Value::Vector(vec![alone(of_numbers((0..context.steps()).map(now).collect()))]))
            }
        };
    }
    let each_step = |make: &dyn Fn(usize) -> f64| Ok(Value::Scalar((0..context.steps()).map(make).collect()));
    match name {
        "time" => each_step(&|step| context.times.at(step) as f64 / 1000.0),
        "pi" => each_step(&|_| std::f64::consts::PI),
        "max_of" | "min_of" => {
            let (one, other) = (context.scalar(&arguments[0])?, context.scalar(&arguments[1])?);
            let choose = if name == "max_of" { float::max } else { float::min };
            each_step(&|step| choose(one[step], other[step]))
        }
        "scalar" => {
            let all = context.vector(&arguments[0])?;
            each_step(&|step| only(&all, step))
        }
        "vector" => Ok(Value::Vector(vec![alone(of_numbers(context.scalar(&arguments[0])?))])),
        "clamp" | "clamp_max" | "clamp_min" => clamp(context, name, arguments),
        "round" => {
            let to = arguments.get(1).map(|to| context.scalar(to)).transpose()?;
            let to = |step: usize| to.as_ref().map_or(1.0, |to| to[step]);
            floats(context, context.vector(&arguments[0])?, |step, value| math::round(value, to(step)))
        }
        "absent" => {
            let found = context.vector(&arguments[0])?;
            Ok(Value::Vector(absent::absent_of(context, &arguments[0], &found)))
        }
        "timestamp" | "start_timestamp" => timestamp(context, name, &arguments[0]),
        "histogram_count" => histograms(context, &arguments[0], |own| own.count),
        "histogram_sum" => histograms(context, &arguments[0], |own| own.sum),
        "histogram_avg" => histograms(context, &arguments[0], |own| own.sum / own.count),
        "histogram_stddev" => histograms(context, &arguments[0], |own| own.variance().sqrt()),
        "histogram_stdvar" => histograms(context, &arguments[0], Histogram::variance),
        "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => {
            buckets::call(context, name, arguments).map(Value::Vector)
        }
        "label_replace" => relabel::replace(context, arguments).map(Value::Vector),
        "label_join" => relabel::join(context, arguments).map(Value::Vector),
        "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
            sort::sorted(context, name, arguments, span).map(Value::Vector)
        }
        "info" => info::info(context, arguments).map(Value::Vector),
        _ => Failure::new(format!("{name} is not known")),
    }
}

fn alone(points: Points) -> Series {
    Series { labels: Labels::default(), drops_name: false, points }
}

fn of_numbers(numbers: Vec<f64>) -> Points {
    let mut points = Points::empty(numbers.len());
    numbers.into_iter().enumerate().for_each(|(step, number)| points.set_float(step, number));
    points
}

/// The only float at a step, or NaN.
fn only(all: &[Series], step: usize) -> f64 {
    let mut floats = all.iter().filter_map(|series| series.points.float(step));
    match (floats.next(), floats.next()) {
        (Some(value), None) => value,
        _ => f64::NAN,
    }
}

/// Something else of every float; histograms go, and so do names.
fn floats(context: &Context, all: Vec<Series>, make: impl Fn(usize, f64) -> f64) -> Result<Value, Failure> {
    let made = |series: Series| {
        let points = series.points.map(|step, sample| match sample {
            Sample::Float(value) => Some(Sample::Float(make(step, value))),
            Sample::Histogram(_) => None,
        });
        context.unnamed(Series { points, ..series })
    };
    context.settled(all.into_iter().map(made).collect()).map(Value::Vector)
}

/// A number of every histogram; floats go, and so do names, but not types and units.
fn histograms(context: &Context, of: &Expr, make: impl Fn(&Histogram) -> f64) -> Result<Value, Failure> {
    let made = |series: Series| {
        let points = series.points.map(|_, sample| match sample {
            Sample::Float(_) => None,
            Sample::Histogram(own) => Some(Sample::Float(make(&own))),
        });
        let is_delayed = context.settings.delayed_name_removal;
        let labels = if is_delayed { series.labels } else { series.labels.without_one(NAME) };
        Series { labels, drops_name: true, points }
    };
    context.settled(context.vector(of)?.into_iter().map(made).collect()).map(Value::Vector)
}

fn clamp(context: &Context, name: &str, arguments: &[Expr]) -> Result<Value, Failure> {
    let all = context.vector(&arguments[0])?;
    let bound = |at: usize| context.scalar(&arguments[at]);
    let endless = |bound: f64| vec![bound; context.steps()];
    let (low, high) = match name {
        "clamp" => (bound(1)?, bound(2)?),
        "clamp_max" => (endless(f64::NEG_INFINITY), bound(1)?),
        _ => (bound(1)?, endless(f64::INFINITY)),
    };
    let made = |series: Series| {
        let points = series.points.map(|step, sample| match sample {
            Sample::Float(_) if high[step] < low[step] => None,
            Sample::Float(value) => Some(Sample::Float(float::max(low[step], float::min(high[step], value)))),
            Sample::Histogram(_) => None,
        });
        context.unnamed(Series { points, ..series })
    };
    context.settled(all.into_iter().map(made).collect()).map(Value::Vector)
}

/// When samples are of: those of a selector their own times, those of anything else the times of the steps.
fn timestamp(context: &Context, name: &str, of: &Expr) -> Result<Value, Failure> {
    let is_start = name == "start_timestamp";
    let seconds = |ms: i64| Sample::Float(ms as f64 / 1000.0);
    let all = match &of.unwrapped().kind {
        Kind::Vector(selector) => select::newest(context, selector, |time, _, start| match is_start {
            true => context.settings.start_timestamps.then(|| seconds(start)),
            false => Some(seconds(time)),
        })?,
        _ if is_start => Vec::new(),
        _ => {
            let at_step = |series: Series| {
                let points = series.points.map(|step, _| Some(seconds(context.times.at(step))));
                Series { points, ..series }
            };
            context.vector(of)?.into_iter().map(at_step).collect()
        }
    };
    context.settled(all.into_iter().map(|series| context.unnamed(series)).collect()).map(Value::Vector)
}
