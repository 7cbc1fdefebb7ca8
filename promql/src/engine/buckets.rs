//! Quantiles and shares of histograms, native ones and those of a series a bucket.

use std::collections::HashMap;

use super::context::{Context, Failure, text};
use crate::base::labels::Labels;
use crate::base::notes::of_metric;
use crate::functions::over_time::warn_quantile;
use crate::model::points::{Points, Series};
use crate::model::samples::Sample;
use crate::syntax::{Expr, Span, quote};
use statistics::classic::{self, Bucket};
use statistics::float::show;
use statistics::histogram::Histogram;
use statistics::histogram::quantile::Doubt;

/// The label with the upper bound of a bucket.
const LE: &str = "le";

/// What is asked of each histogram.
enum Asked {
    /// A quantile a step.
    Quantile(Vec<f64>),
    /// The share between two values.
    Fraction(Vec<f64>, Vec<f64>),
}

/// `histogram_quantile`, `histogram_quantiles`, `histogram_fraction`
pub(crate) fn call(context: &Context, name: &str, arguments: &[Expr]) -> Result<Vec<Series>, Failure> {
    match name {
        "histogram_quantile" => {
            let quantiles = quantiles(context, &arguments[0])?;
            let found = Histograms::of(context, &arguments[1])?.ask(&Asked::Quantile(quantiles));
            context.settled(found)
        }
        "histogram_fraction" => {
            let asked = Asked::Fraction(context.scalar(&arguments[0])?, context.scalar(&arguments[1])?);
            let found = Histograms::of(context, &arguments[2])?.ask(&asked);
            context.settled(found)
        }
        _ => {
            let histograms = Histograms::of(context, &arguments[0])?;
            let label = text(&arguments[1])?;
            let mut all = Vec::new();
            for argument in &arguments[2..] {
                let asked = quantiles(context, argument)?;
                all.extend(labelled(context, histograms.ask(&Asked::Quantile(asked.clone())), label, &asked)?);
            }
            context.settled(all)
        }
    }
}

fn quantiles(context: &Context, argument: &Expr) -> Result<Vec<f64>, Failure> {
    let quantiles = context.scalar(argument)?;
    for q in &quantiles {
        warn_quantile(*q, argument.unwrapped().span, &mut context.notes());
    }
    Ok(quantiles)
}

/// With the quantile as a label, which may be another one at each step.
fn labelled(context: &Context, all: Vec<Series>, label: &str, quantiles: &[f64]) -> Result<Vec<Series>, Failure> {
    let mut labelled: Vec<Series> = Vec::new();
    for series in all {
        let first = labelled.len();
        for (step, sample) in series.points.iter() {
            let labels = series.labels.with(label, &open_metrics(quantiles[step]));
            let at =
                labelled[first..].iter().position(|own| own.labels == labels).map_or(labelled.len(), |at| first + at);
            if at == labelled.len() {
                labelled.push(Series { labels, points: context.points()?, drops_name: series.drops_name });
            }
            labelled[at].points.set(step, sample);
        }
    }
    Ok(labelled)
}

/// As OpenMetrics writes numbers: one is `1.0`.
fn open_metrics(number: f64) -> String {
    let shown = show(number);
    let is_whole = number.is_finite() && !shown.contains(['.', 'e']);
    if is_whole { format!("{shown}.0") } else { shown }
}

/// The histograms of a vector.
struct Histograms<'a> {
    context: &'a Context<'a>,
    span: Span,
    /// Series with native ones.
    native: Vec<Series>,
    /// Series with a bucket each, by all labels but its bound.
    classic: Vec<(Labels, Vec<(f64, Series)>)>,
}

impl<'a> Histograms<'a> {
    fn of(context: &'a Context<'a>, of: &Expr) -> Result<Histograms<'a>, Failure> {
        let mut own = Histograms { context, span: of.unwrapped().span, native: Vec::new(), classic: Vec::new() };
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for series in context.vector(of)? {
            let is_float = |step: &usize| series.points.float(*step).is_some();
            let steps = series.points.steps();
            if (0..steps).any(|step| series.points.histogram(step).is_some()) {
                own.native.push(series.clone());
            }
            if !(0..steps).any(|step| is_float(&step)) {
                continue;
            }
            let Some(bound) = bound(series.labels.get(LE)) else {
                own.warn_bound(&series.labels);
                continue;
            };
            let place = *places.entry(series.labels.without_one(LE)).or_insert_with_key(|labels| {
                own.classic.push((labels.clone(), Vec::new()));
                own.classic.len() - 1
            });
            own.classic[place].1.push((bound, series));
        }
        Ok(own)
    }

    /// The name of a metric, as far as it is said.
    fn metric<'l>(&self, labels: &'l Labels) -> &'l str {
        if self.context.settings.delayed_name_removal { labels.metric() } else { "" }
    }

    fn warn_bound(&self, labels: &Labels) {
        let value = quote(labels.get(LE));
        let message = format!("PromQL warning: bucket label \"le\" is missing or has a malformed value of {value}");
        self.context.warn(self.span, of_metric(&message, self.metric(labels)));
    }

    /// What is asked of all of them.
    fn ask(&self, asked: &Asked) -> Vec<Series> {
        let steps = self.context.steps();
        let mut all = Vec::new();
        for series in &self.native {
            let points = series.points.map(|step, sample| match sample {
                Sample::Histogram(own) if !self.is_classic_too(&series.labels, step) => {
                    Some(Sample::Float(self.ask_native(asked, &own, &series.labels, step)))
                }
                _ => None,
            });
            all.push(self.context.unnamed(Series { points, ..series.clone() }));
        }
        for (labels, buckets) in &self.classic {
            let mut points = Points::empty(steps); // no more than the series that are asked have
            for step in 0..steps {
                let present = buckets.iter().filter_map(|(bound, series)| Some((*bound, series.points.float(step)?)));
                let present: Vec<Bucket> = present.collect();
                if !present.is_empty() && !self.is_native_too(labels, step) {
                    points.set_float(step, self.ask_classic(asked, present, labels, step));
                }
            }
            all.push(self.context.unnamed(Series { labels: labels.clone(), drops_name: true, points }));
        }
        all.retain(|series| !series.points.is_empty());
        all
    }

    /// Are there buckets of the same labels at a step? Then nobody knows which of the two is meant.
    fn is_classic_too(&self, labels: &Labels, step: usize) -> bool {
        let same = self.classic.iter().filter(|(own, _)| own == labels);
        let is_there = same.flat_map(|(_, buckets)| buckets).any(|(_, series)| series.points.float(step).is_some());
        if is_there {
            let message = "PromQL warning: vector contains a mix of classic and native histograms";
            self.context.warn(self.span, of_metric(message, self.metric(labels)));
        }
        is_there
    }

    fn is_native_too(&self, labels: &Labels, step: usize) -> bool {
        self.native.iter().any(|series| series.labels == *labels && series.points.histogram(step).is_some())
    }

    fn ask_native(&self, asked: &Asked, own: &Histogram, labels: &Labels, step: usize) -> f64 {
        let metric = self.metric(labels);
        match asked {
            Asked::Quantile(quantiles) => {
                let (value, doubt) = own.quantile(quantiles[step]);
                let result = match doubt {
                    Doubt::None => return value,
                    Doubt::IsNan => "result is NaN",
                    Doubt::IsHigher => "result is skewed higher",
                };
                let message = format!("PromQL info: input to histogram_quantile has NaN observations, {result}");
                self.context.inform(self.span, of_metric(&message, metric));
                value
            }
            Asked::Fraction(lower, upper) => {
                let (share, leaves_out) = own.fraction(lower[step], upper[step]);
                if leaves_out {
                    let message = "PromQL info: input to histogram_fraction has NaN observations, which are excluded from all fractions";
                    self.context.inform(self.span, of_metric(message, metric));
                }
                share
            }
        }
    }

    fn ask_classic(&self, asked: &Asked, buckets: Vec<Bucket>, labels: &Labels, step: usize) -> f64 {
        let (q, at) = match asked {
            Asked::Quantile(quantiles) => (quantiles[step], self.context.times.at(step)),
            Asked::Fraction(lower, upper) => return classic::fraction(lower[step], upper[step], buckets),
        };
        let (value, mended) = classic::quantile(q, buckets, at);
        if let Some(mended) = mended {
            let message = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
            let message = of_metric(message, self.metric(labels));
            self.context.notes().mended(self.span, message, mended);
        }
        value
    }
}

/// The bound that a label says.
fn bound(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().trim_start_matches('+') {
        "inf" | "infinity" => Some(f64::INFINITY),
        _ => text.parse().ok(),
    }
}
