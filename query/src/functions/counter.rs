//! Counters: `increase`, `rate`, `irate`, `resets`; and `delta` of a gauge.
//!
//! `(value, time)` says what the rows of the group say and no more. `(value, time, from, to)` extrapolates to the edges
//! of that span as Prometheus does, and as PromQL's functions of these names do: [`statistics::growth`].
//!
//! A group has to be one counter: rates of several are added after they were taken.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampNanosecondType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{AggregateUDF, Signature, TypeSignature, Volatility};
use statistics::growth::{self, Counter};

use super::gather::{Finish, Gather};

/// The aggregates of this file.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let time = || DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC")));
    let short = || TypeSignature::Exact(vec![DataType::Float64, time()]);
    let long = || TypeSignature::Exact(vec![DataType::Float64, time(), time(), time()]);
    let spanned: [(&str, Finish); 3] = [
        ("increase", |args| Ok(ScalarValue::Float64(Samples::of(args).increase(true)))),
        ("delta", |args| Ok(ScalarValue::Float64(Samples::of(args).increase(false)))),
        ("rate", |args| Ok(ScalarValue::Float64(Samples::of(args).rate()))),
    ];
    let plain: [(&str, DataType, Finish); 2] = [
        ("irate", DataType::Float64, |args| Ok(ScalarValue::Float64(Samples::of(args).irate()))),
        ("resets", DataType::Int64, |args| Ok(ScalarValue::Int64(Samples::of(args).resets()))),
    ];
    let spanned = spanned.map(|(name, finish)| Gather {
        name,
        signature: Signature::one_of(vec![short(), long()], Volatility::Immutable),
        output: DataType::Float64,
        finish,
    });
    let plain = plain.map(|(name, output, finish)| Gather {
        name,
        signature: Signature::new(short(), Volatility::Immutable),
        output,
        finish,
    });
    spanned.into_iter().chain(plain).map(Into::into).collect()
}

/// From a time to another; they may be further apart than 64 bits of ns hold.
fn seconds(from: i64, to: i64) -> f64 {
    (i128::from(to) - i128::from(from)) as f64 / 1e9
}

/// The values of a counter, in the order of time.
struct Samples {
    /// ns since the epoch.
    times: Vec<i64>,
    values: Vec<f64>,
    /// The span that is asked about, in ns.
    span: Option<(i64, i64)>,
}

impl Samples {
    fn of(args: &[ArrayRef]) -> Samples {
        let values = args[0].as_primitive::<Float64Type>();
        let times = args[1].as_primitive::<TimestampNanosecondType>();
        let mut rows: Vec<(i64, f64)> =
            times.iter().zip(values).filter_map(|(time, value)| Some((time?, value?))).collect();
        if !rows.is_sorted_by_key(|(time, _)| *time) {
            rows.sort_by_key(|(time, _)| *time);
        }
        let edge = |at: usize| args.get(at)?.as_primitive::<TimestampNanosecondType>().iter().flatten().next();
        let (times, values) = rows.into_iter().unzip();
        Samples { times, values, span: edge(2).zip(edge(3)) }
    }

    /// Last minus first, plus what was lost when a counter began anew; over the whole span, if one is asked about.
    fn increase(&self, is_counter: bool) -> Option<f64> {
        let [first, .., last] = *self.values else { return None };
        let by = if is_counter { growth::grown(&self.values, growth::falls(&self.values)) } else { last - first };
        Some(by * self.factor(is_counter.then_some(Counter { first, by }))?)
    }

    /// By how much an increase grows when it is taken over the whole span.
    fn factor(&self, counter: Option<Counter>) -> Option<f64> {
        let Some((from, to)) = self.span else { return Some(1.0) };
        let [start, .., end] = *self.times else { return None };
        let sampled_s = seconds(start, end);
        let step_s = sampled_s / (self.times.len() - 1) as f64;
        let (to_start_s, to_end_s) = (seconds(from, start), seconds(end, to));
        Some(growth::Span { sampled_s, step_s, to_start_s, to_end_s }.factor(counter))
    }

    /// Per second.
    fn rate(&self) -> Option<f64> {
        let (from, to) = self.span.or_else(|| self.times.first().copied().zip(self.times.last().copied()))?;
        Some(self.increase(true)? / seconds(from, to)).filter(|_| to > from)
    }

    /// Per second, by the last two rows.
    fn irate(&self) -> Option<f64> {
        let (&[.., before, last], &[.., earlier, later]) = (&*self.values, &*self.times) else { return None };
        Some(growth::step(before, last) / seconds(earlier, later)).filter(|_| later > earlier)
    }

    fn resets(&self) -> Option<i64> {
        let resets = growth::falls(&self.values).count() as i64;
        (!self.values.is_empty()).then_some(resets)
    }
}
