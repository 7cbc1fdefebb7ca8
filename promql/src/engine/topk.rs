//! Aggregations that choose: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use super::aggregate::groups;
use super::context::{Context, Failure};
use super::sort::by_value;
use crate::model::points::Series;
use crate::model::samples::Sample;
use crate::syntax::{Aggregate, AggregateOp, Span};
use statistics::float::show_general;

/// Does it choose some of the series?
pub(crate) fn is_choice(op: AggregateOp) -> bool {
    matches!(op, AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio)
}

/// Those that are chosen, at each step by itself. At a single time they are in their order.
pub(crate) fn chosen(
    context: &Context,
    own: &Aggregate,
    numbers: &[f64],
    all: Vec<Series>,
    span: Span,
) -> Result<Vec<Series>, Failure> {
    if !check(context, own, numbers)? {
        return Ok(Vec::new());
    }
    let mut points = all.iter().map(|_| context.points()).collect::<Result<Vec<_>, _>>()?;
    let mut order = Vec::new();
    for (_, members) in groups(&all, own) {
        for (step, number) in numbers.iter().enumerate() {
            context.allowance.check_at(step)?;
            let kept = match own.op {
                AggregateOp::LimitRatio => by_share(&all, &members, step, *number),
                op => first(context, op, &all, &members, step, *number, span),
            };
            for (at, sample) in kept {
                points[at].set(step, sample);
                order.push(at);
            }
        }
    }
    if !context.times.is_instant() {
        order = (0..all.len()).collect();
    }
    let mut series: Vec<Option<Series>> =
        all.into_iter().zip(points).map(|(series, points)| Some(Series { points, ..series })).collect();
    let chosen = order.into_iter().filter_map(|at| series[at].take());
    Ok(chosen.filter(|series| !series.points.is_empty()).collect())
}

/// Is there anything to choose? Numbers that say nothing are refused.
fn check(context: &Context, own: &Aggregate, numbers: &[f64]) -> Result<bool, Failure> {
    let (low, high) =
        numbers.iter().fold((f64::MAX, -f64::MAX), |(low, high), number| (low.min(*number), high.max(*number)));
    let has_nan = numbers.iter().any(|number| number.is_nan());
    if own.op != AggregateOp::LimitRatio {
        if !has_nan && high < 1.0 {
            return Ok(false);
        }
        if has_nan {
            return Failure::new("Parameter value is NaN");
        }
        whole_number(low)?;
        whole_number(high)?;
        return Ok(true);
    }
    if has_nan {
        return Failure::new("Ratio value is NaN");
    }
    if low == 0.0 && high == 0.0 {
        return Ok(false);
    }
    let span = own.parameter.as_ref().map(|parameter| parameter.unwrapped().span).unwrap_or_default();
    for (number, bound) in [(high, 1.0), (low, -1.0)] {
        if number.abs() > 1.0 && number.signum() == bound {
            let shown = show_general(number);
            context.warn(
                span,
                format!("PromQL warning: ratio value should be between -1 and 1, got {shown}, capping to {bound}"),
            );
        }
    }
    Ok(true)
}

/// Those whose share, drawn by their labels, is below the ratio; a negative ratio takes exactly the others.
fn by_share(all: &[Series], members: &[usize], step: usize, ratio: f64) -> Vec<(usize, Sample)> {
    let is_kept = |at: &usize| {
        let share = all[*at].labels.share();
        let ratio = ratio.clamp(-1.0, 1.0);
        if ratio >= 0.0 { share < ratio } else { share >= 1.0 + ratio }
    };
    let kept = members.iter().filter(|at| ratio != 0.0 && is_kept(at));
    kept.filter_map(|at| Some((*at, all[*at].points.get(step)?))).collect()
}

/// So many: the largest, the smallest, or any.
fn first(
    context: &Context,
    op: AggregateOp,
    all: &[Series],
    members: &[usize],
    step: usize,
    number: f64,
    span: Span,
) -> Vec<(usize, Sample)> {
    let count = (number as usize).min(all.len());
    if number < 1.0 {
        return Vec::new();
    }
    let mut present: Vec<(usize, Sample)> =
        members.iter().filter_map(|at| Some((*at, all[*at].points.get(step)?))).collect();
    if op != AggregateOp::Limitk {
        let before = present.len();
        present.retain(|(_, sample)| matches!(sample, Sample::Float(_)));
        if present.len() < before {
            context.inform(span, format!("PromQL info: ignored histogram in {} aggregation", op.name()));
        }
        let value = |sample: &Sample| match sample {
            Sample::Float(value) => *value,
            Sample::Histogram(_) => f64::NAN,
        };
        // Of equal ones the first come first.
        let order = |one: &(usize, Sample), other: &(usize, Sample)| {
            by_value(value(&one.1), value(&other.1), op == AggregateOp::Topk).then(one.0.cmp(&other.0))
        };
        if count < present.len() {
            present.select_nth_unstable_by(count, order);
            present.truncate(count);
        }
        present.sort_unstable_by(order);
    }
    present.truncate(count);
    present
}

/// A whole number that a scalar has to be.
fn whole_number(value: f64) -> Result<(), Failure> {
    if value <= i64::MIN as f64 {
        return Failure::new(format!("Scalar value {} underflows int64", show_general(value)));
    }
    if value >= i64::MAX as f64 {
        return Failure::new(format!("Scalar value {} overflows int64", show_general(value)));
    }
    Ok(())
}
