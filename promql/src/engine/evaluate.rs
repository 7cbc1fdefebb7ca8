//! The way down the tree, and the answer.

use std::sync::{Mutex, PoisonError};

use super::allowance::Allowance;
use super::context::{Context, Failure, FailureKind, Settings, Source, Times, Value};
use super::invariant::is_invariant;
use super::{aggregate, binary, calls, select, settle, subquery};
use crate::base::labels::Labels;
use crate::base::notes::Notes;
use crate::model::points::{Points, Series};
use crate::model::samples::Samples;
use crate::syntax::{Expr, Kind, Type, prepared};

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// Series with what they have at each step.
    Series(Vec<Series>),
    /// Series with their samples.
    Samples(Vec<(Labels, Samples)>),
}

/// Answers a question at one time or at many.
///
/// # Errors
///
/// Where there is no answer, by what is asked or by what is stored.
pub fn answer(
    expr: &Expr,
    times: Times,
    settings: &Settings,
    source: &dyn Source,
    allowance: &Allowance<'_>,
    notes: &mut Notes,
) -> Result<Answer, Failure> {
    let is_range = !times.is_instant() || times.step_ms != 1;
    if is_range && !matches!(expr.gives(), Type::Vector | Type::Scalar) {
        let kind = crate::syntax::quote(expr.gives().name());
        return Err(of_question(format!(
            "invalid expression type {kind} for range query, must be Scalar or instant Vector"
        )));
    }
    let step_ms = if is_range { times.step_ms } else { 0 };
    let expr = prepared(expr, times.start_ms, times.end_ms, step_ms).map_err(of_question)?;
    let said = Mutex::new(std::mem::take(notes));
    let context = Context { source, settings, times, notes: &said, allowance, evaluate };
    let answer = whole(&context, &expr, is_range);
    *notes = said.into_inner().unwrap_or_else(PoisonError::into_inner);
    answer
}

fn of_question(message: String) -> Failure {
    Failure { kind: FailureKind::Question, message }
}

fn whole(context: &Context, expr: &Expr, is_range: bool) -> Result<Answer, Failure> {
    if expr.gives() == Type::Matrix {
        let series = match &expr.unwrapped().kind {
            Kind::Matrix(matrix) => select::samples(context, matrix)?,
            Kind::Subquery(asked) => subquery::samples(context, asked)?,
            other => return Failure::new(format!("a range cannot be made of {other:?}")),
        };
        return Ok(Answer::Samples(series));
    }
    match evaluate(context, expr)? {
        Value::Text(text) => Ok(Answer::Text(text)),
        Value::Scalar(values) if is_range => {
            let mut points = Points::empty(values.len());
            values.iter().enumerate().for_each(|(step, value)| points.set_float(step, *value));
            Ok(Answer::Series(vec![Series { labels: Labels::default(), drops_name: false, points }]))
        }
        Value::Scalar(values) => Ok(Answer::Scalar(values.first().copied().unwrap_or(f64::NAN))),
        Value::Vector(mut series) => {
            if context.settings.delayed_name_removal {
                for series in &mut series {
                    if series.drops_name {
                        series.labels = series.labels.without_metric();
                    }
                }
                series = settle::merged(series)?;
            }
            if !context.times.is_instant() {
                series.sort_by(|one, other| one.labels.cmp(&other.labels));
            }
            Ok(Answer::Series(series))
        }
    }
}

/// What a node gives. What is the same at every step is answered once.
fn evaluate(context: &Context, expr: &Expr) -> Result<Value, Failure> {
    context.allowance.check()?;
    // What nodes hold that is no series: a number at every step, and as much beside it.
    context.allowance.take(context.steps().saturating_mul(2 * size_of::<f64>()))?;
    let is_literal = matches!(expr.kind, Kind::Number { .. } | Kind::Text(_));
    if is_literal || context.steps() <= 1 || !is_invariant(expr) {
        return stacker::maybe_grow(128 << 10, 2 << 20, || below(context, expr));
    }
    let steps = context.steps();
    let once = Times { end_ms: context.times.start_ms, ..context.times };
    Ok(match below(&context.at(once), expr)? {
        Value::Scalar(values) => Value::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); steps]),
        Value::Vector(all) => {
            let repeated = |series: Series| {
                context.allowance.room(steps)?;
                Ok(Series { points: series.points.repeated(steps), ..series })
            };
            Value::Vector(all.into_iter().map(repeated).collect::<Result<_, Failure>>()?)
        }
        text => text,
    })
}

fn below(context: &Context, expr: &Expr) -> Result<Value, Failure> {
    match &expr.kind {
        Kind::Number { value, .. } => Ok(Value::Scalar(vec![*value; context.steps()])),
        Kind::Text(text) => Ok(Value::Text(text.clone())),
        Kind::Vector(selector) => select::vector(context, selector).map(Value::Vector),
        Kind::Matrix(_) | Kind::Subquery(_) => Failure::new(format!("'{expr}' stands for no single sample")),
        Kind::Aggregate(own) => aggregate::aggregate(context, own, expr.span).map(Value::Vector),
        Kind::Call(call) => calls::call(context, call, expr.span),
        Kind::Paren(of) => evaluate(context, of),
        Kind::Unary { is_negative: false, of } => evaluate(context, of),
        Kind::Unary { of, .. } => negative(context, evaluate(context, of)?),
        Kind::Binary(own) => binary::binary(context, own, expr.span),
    }
}

fn negative(context: &Context, value: Value) -> Result<Value, Failure> {
    use crate::model::samples::Sample;
    Ok(match value {
        Value::Scalar(values) => Value::Scalar(values.into_iter().map(|value| -value).collect()),
        Value::Vector(all) => {
            let turned = |_: usize, sample: Sample| {
                Some(match sample {
                    Sample::Float(value) => Sample::Float(-value),
                    Sample::Histogram(own) => {
                        Sample::Histogram(std::sync::Arc::unwrap_or_clone(own).scaled(-1.0).into())
                    }
                })
            };
            let negative = |series: Series| {
                let points = series.points.map(turned);
                context.unnamed(Series { points, ..series })
            };
            let all: Vec<_> = all.into_iter().map(negative).collect();
            Value::Vector(if context.settings.delayed_name_removal { all } else { settle::merged(all)? })
        }
        text => text,
    })
}
