//! Aggregations: the samples of a group as one, step by step.

use std::collections::HashMap;
use std::sync::Arc;

use super::context::{Context, Failure, text};
use super::topk;
use crate::base::labels::{Labels, NAME, is_label};
use crate::functions::over_time::warn_quantile;
use crate::model::points::{Points, Series};
use crate::model::samples::Sample;
use crate::syntax::{Aggregate, AggregateOp, Expr, Span, quote};
use statistics::float::{Mean, Sum, quantile, show};
use statistics::histogram::{Accumulator, Hint, Histogram, Incompatible};

/// What an aggregation gives.
pub(crate) fn aggregate(context: &Context, own: &Aggregate, span: Span) -> Result<Vec<Series>, Failure> {
    if own.op == AggregateOp::CountValues {
        return count_values(context, own);
    }
    let numbers = own.parameter.as_ref().map(|parameter| context.scalar(parameter)).transpose()?.unwrap_or_default();
    let of = own.of.unwrapped();
    let all = context.vector(of)?;
    if topk::is_choice(own.op) {
        return topk::chosen(context, own, &numbers, all, span);
    }
    if own.op == AggregateOp::Quantile {
        warn_quantiles(context, own.parameter.as_ref(), &numbers);
    }
    let groups = groups(&all, own);
    let mut folded = Vec::new();
    for (labels, members) in groups {
        let members: Vec<&Series> = members.into_iter().map(|at| &all[at]).collect();
        let mut points = context.points()?;
        let fold = Fold { context, op: own.op, span: of.span };
        if !fold.floats(&members, &mut points)? {
            for step in 0..context.steps() {
                context.allowance.check_at(step)?;
                let number = numbers.get(step).copied().unwrap_or_default();
                if let Some(sample) = fold.at(step, number, &members) {
                    points.set(step, sample);
                }
            }
        }
        if !points.is_empty() {
            folded.push(Series { labels, drops_name: members.iter().any(|series| series.drops_name), points });
        }
    }
    Ok(folded)
}

fn warn_quantiles(context: &Context, parameter: Option<&Expr>, numbers: &[f64]) {
    let Some(span) = parameter.map(|parameter| parameter.unwrapped().span) else { return };
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for number in numbers {
        if number.is_nan() {
            warn_quantile(f64::NAN, span, &mut context.notes());
        }
        (low, high) = (low.min(*number), high.max(*number));
    }
    if high > 1.0 {
        warn_quantile(high, span, &mut context.notes());
    }
    if low < 0.0 {
        warn_quantile(low, span, &mut context.notes());
    }
}

/// The labels of the group that a series is in.
pub(crate) fn group(labels: &Labels, grouping: &[String], is_without: bool) -> Labels {
    if is_without { labels.without(grouping).without_one(NAME) } else { labels.only(grouping) }
}

/// Groups by their labels, in the order of their first series, with the places of all.
pub(crate) fn groups(all: &[Series], own: &Aggregate) -> Vec<(Labels, Vec<usize>)> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<usize>)> = Vec::new();
    for (at, series) in all.iter().enumerate() {
        let labels = group(&series.labels, &own.grouping, own.is_without);
        let place = *places.entry(labels).or_insert_with_key(|labels| {
            groups.push((labels.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(at);
    }
    groups
}

/// An aggregation over a group.
struct Fold<'a> {
    context: &'a Context<'a>,
    op: AggregateOp,
    span: Span,
}

impl Fold<'_> {
    /// Puts what it gives into points, series by series, where all are floats and nothing but the number before is needed of
    /// those before. `false` where that is not so.
    fn floats(&self, members: &[&Series], points: &mut Points) -> Result<bool, Failure> {
        if members.iter().any(|series| series.points.has_histograms()) {
            return Ok(false);
        }
        let mut each = |first: fn(f64) -> f64, next: fn(f64, f64) -> f64| -> Result<(), Failure> {
            for (at, series) in members.iter().enumerate() {
                self.context.allowance.check_at(at)?;
                points.fold(&series.points, first, next);
            }
            Ok(())
        };
        match self.op {
            AggregateOp::Max => each(|value| value, larger)?,
            AggregateOp::Min => each(|value| value, smaller)?,
            AggregateOp::Count => each(|_| 1.0, |count, _| count + 1.0)?,
            AggregateOp::Group => each(|_| 1.0, |_, _| 1.0)?,
            AggregateOp::Sum => {
                let sums = self.accumulated(members, Sum::of, Sum::add)?;
                sums.into_iter().for_each(|(step, sum)| points.set_float(step, sum.sum + sum.lost));
            }
            AggregateOp::Avg => {
                let means = self.accumulated(members, Mean::of, Mean::add)?;
                means.into_iter().for_each(|(step, mean)| points.set_float(step, mean.value()));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What is gathered of floats, by step.
    fn accumulated<T>(
        &self,
        members: &[&Series],
        of: fn(f64) -> T,
        add: fn(&mut T, f64),
    ) -> Result<Vec<(usize, T)>, Failure> {
        let steps = self.context.steps();
        let held = self.context.allowance.beside()();
        held.take(steps * size_of::<(usize, Option<T>)>())?;
        let mut all: Vec<Option<T>> = (0..steps).map(|_| None).collect();
        for (at, series) in members.iter().enumerate() {
            self.context.allowance.check_at(at)?;
            series.points.floats().for_each(|(step, value)| match &mut all[step] {
                Some(own) => add(own, value),
                none => *none = Some(of(value)),
            });
        }
        Ok(all.into_iter().enumerate().filter_map(|(step, own)| Some((step, own?))).collect())
    }

    fn at(&self, step: usize, number: f64, members: &[&Series]) -> Option<Sample> {
        let present = || members.iter().filter_map(|series| series.points.get(step).map(|sample| (*series, sample)));
        match self.op {
            AggregateOp::Sum | AggregateOp::Avg => return self.sum(present()),
            AggregateOp::Count => return count(present().count()),
            AggregateOp::Group => return present().next().map(|_| Sample::Float(1.0)),
            _ => {}
        }
        let mut floats = Vec::with_capacity(members.len());
        for (_, sample) in present() {
            match sample {
                Sample::Float(value) => floats.push(value),
                Sample::Histogram(_) => self.ignored(),
            }
        }
        let (first, rest) = floats.split_first()?;
        Some(Sample::Float(match self.op {
            AggregateOp::Max => rest.iter().copied().fold(*first, larger),
            AggregateOp::Min => rest.iter().copied().fold(*first, smaller),
            AggregateOp::Quantile => quantile(number, &mut floats),
            AggregateOp::Stdvar => variance(&floats),
            _ => variance(&floats).sqrt(),
        }))
    }

    fn ignored(&self) {
        let op = self.op.name();
        self.context.inform(self.span, format!("PromQL info: ignored histogram in {op} aggregation"));
    }

    fn sum<'a>(&self, present: impl Iterator<Item = (&'a Series, Sample)>) -> Option<Sample> {
        let is_mean = self.op == AggregateOp::Avg;
        let mut floats: Option<(Sum, Mean)> = None;
        let mut all: Option<Accumulator> = None;
        let (mut is_mixed, mut hints) = (false, [false; 2]);
        for (series, sample) in present {
            match sample {
                Sample::Float(value) => {
                    is_mixed |= all.is_some();
                    match &mut floats {
                        Some((sum, mean)) => {
                            sum.add(value);
                            mean.add(value);
                        }
                        None => floats = Some((Sum::of(value), Mean::of(value))),
                    }
                }
                Sample::Histogram(own) => {
                    is_mixed |= floats.is_some();
                    hints[0] |= own.hint == Hint::Reset;
                    hints[1] |= own.hint == Hint::NotReset;
                    if !self.add(&mut all, &own, series, is_mean) {
                        return None;
                    }
                }
            }
        }
        if is_mixed {
            self.context.warn(self.span, "PromQL warning: encountered a mix of histograms and floats for aggregation");
            return None;
        }
        if hints == [true; 2] {
            self.context.warn(self.span, "PromQL warning: conflicting counter resets during histogram aggregation");
        }
        if let Some(all) = all {
            return Some(Sample::Histogram(Arc::new(if is_mean { all.mean() } else { all.total() })));
        }
        let (sum, mean) = floats?;
        Some(Sample::Float(if is_mean { mean.value() } else { sum.sum + sum.lost }))
    }

    /// One more histogram. `false` where it does not fit to the others.
    fn add(&self, all: &mut Option<Accumulator>, own: &Histogram, series: &Series, is_mean: bool) -> bool {
        let Some(all) = all else {
            *all = Some(Accumulator::of(own));
            return true;
        };
        match if is_mean { all.add_to_mean(own) } else { all.add(own) } {
            Ok(reconciled) => {
                if reconciled.bounds_differ {
                    let message = "PromQL info: mismatched custom buckets were reconciled during aggregation";
                    self.context.inform(self.span, message);
                }
                true
            }
            Err(Incompatible) => {
                let metric = quote(series.labels.metric());
                self.context.warn(
                    self.span,
                    format!(
                        "PromQL warning: vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric}"
                    ),
                );
                false
            }
        }
    }
}

/// The larger one; NaN only where both are.
fn larger(best: f64, next: f64) -> f64 {
    if best < next || best.is_nan() { next } else { best }
}

/// The smaller one; NaN only where both are.
fn smaller(best: f64, next: f64) -> f64 {
    if best > next || best.is_nan() { next } else { best }
}

fn count(count: usize) -> Option<Sample> {
    (count > 0).then_some(Sample::Float(count as f64))
}

/// The variance around the mean. What begins with an infinite number or none has no variance.
fn variance(floats: &[f64]) -> f64 {
    let mut mean = floats[0];
    let mut squares = if mean.is_finite() { 0.0 } else { f64::NAN };
    for (at, value) in floats.iter().enumerate().skip(1) {
        let distance = value - mean;
        mean += distance / (at + 1) as f64;
        squares += distance * (value - mean);
    }
    squares / floats.len() as f64
}

/// `count_values`: a series for each value.
fn count_values(context: &Context, own: &Aggregate) -> Result<Vec<Series>, Failure> {
    let label = match &own.parameter {
        Some(parameter) => text(parameter)?,
        None => "",
    };
    if !is_label(label) {
        return Failure::new(format!("invalid label name {}", quote(label)));
    }
    let mut grouping = own.grouping.clone();
    if !own.is_without {
        grouping.push(label.to_owned());
    }
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut all: Vec<Series> = Vec::new();
    for series in context.vector(own.of.unwrapped())? {
        for (step, sample) in series.points.iter() {
            let value = match sample {
                Sample::Float(value) => show(value),
                Sample::Histogram(histogram) => histogram.to_string(),
            };
            let labels = group(&series.labels.with(label, &value), &grouping, own.is_without);
            let place = match places.get(&labels) {
                Some(place) => *place,
                None => {
                    let points = context.points()?;
                    all.push(Series { labels: labels.clone(), drops_name: false, points });
                    places.insert(labels, all.len() - 1);
                    all.len() - 1
                }
            };
            let points = &mut all[place].points;
            let counted = points.float(step).unwrap_or(0.0);
            points.set_float(step, counted + 1.0);
        }
    }
    Ok(all)
}
