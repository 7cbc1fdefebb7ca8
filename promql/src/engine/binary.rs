//! Operators: between numbers, a vector and a number, and two vectors.

use std::sync::Arc;

use super::context::{Context, Failure, Value};
use super::{sets, vectors};
use crate::model::points::Series;
use crate::model::samples::Sample;
use crate::syntax::{Binary, BinaryOp, Span, quote};
use statistics::histogram::trim::Side;
use statistics::histogram::{Hint, Histogram, Incompatible};

/// What an operator gives.
pub(crate) fn binary(context: &Context, own: &Binary, span: Span) -> Result<Value, Failure> {
    let sides = ((context.evaluate)(context, &own.left)?, (context.evaluate)(context, &own.right)?);
    let operator = Operator { context, own, span };
    match sides {
        (Value::Scalar(left), Value::Scalar(right)) => {
            Ok(Value::Scalar(left.iter().zip(&right).map(|(left, right)| operator.numbers(*left, *right)).collect()))
        }
        (Value::Vector(left), Value::Scalar(right)) => operator.with_number(left, &right, false).map(Value::Vector),
        (Value::Scalar(left), Value::Vector(right)) => operator.with_number(right, &left, true).map(Value::Vector),
        (Value::Vector(left), Value::Vector(right)) => match &own.matching {
            Some(matching) if own.op.is_set() => sets::combined(context, own.op, matching, left, right),
            Some(matching) => vectors::matched(&operator, matching, left, right),
            None => Failure::new("vectors without a matching"),
        }
        .map(Value::Vector),
        _ => Failure::new("texts have no operators"),
    }
}

/// An operator in its place.
pub(crate) struct Operator<'a> {
    pub context: &'a Context<'a>,
    pub own: &'a Binary,
    span: Span,
}

/// What an operator makes of two samples.
pub(crate) struct Made {
    pub sample: Sample,
    /// Does it stay? Comparisons drop what is not so.
    pub is_kept: bool,
}

impl Operator<'_> {
    /// Does the name of a metric not fit any more?
    pub(crate) fn changes_metric(&self) -> bool {
        use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
        matches!(self.own.op, Add | Sub | Mul | Div | Mod | Pow | Atan2)
    }

    fn numbers(&self, left: f64, right: f64) -> f64 {
        match compare(self.own.op, left, right) {
            Some(is_so) => f64::from(u8::from(is_so)),
            None => calculate(self.own.op, left, right),
        }
    }

    fn with_number(&self, all: Vec<Series>, numbers: &[f64], is_left: bool) -> Result<Vec<Series>, Failure> {
        let made = |mut series: Series| {
            if series.points.has_histograms() || is_trim(self.own.op) {
                series.points =
                    series.points.map(|step, sample| self.sample_with_number(sample, numbers[step], is_left));
            } else {
                series.points.change_floats(|step, value| self.float_with_number(value, numbers[step], is_left));
            }
            if self.changes_metric() || self.own.is_bool { self.context.unnamed(series) } else { series }
        };
        self.context.settled(all.into_iter().map(made).collect())
    }

    /// What stays of a sample of a vector beside a number.
    fn sample_with_number(&self, sample: Sample, number: f64, is_left: bool) -> Option<Sample> {
        let number = Sample::Float(number);
        let (left, right) = if is_left { (&number, &sample) } else { (&sample, &number) };
        let made = self.made(left, right)?;
        match (self.own.is_bool, self.own.op.is_comparison()) {
            (true, _) => Some(Sample::Float(f64::from(u8::from(made.is_kept)))),
            // What stays is the sample of the vector, whichever side it is on.
            (_, true) => made.is_kept.then_some(sample),
            _ => made.is_kept.then_some(made.sample),
        }
    }

    /// The same of a float, which takes a shorter way.
    fn float_with_number(&self, value: f64, number: f64, is_left: bool) -> Option<f64> {
        let (left, right) = if is_left { (number, value) } else { (value, number) };
        match compare(self.own.op, left, right) {
            Some(is_so) if self.own.is_bool => Some(f64::from(u8::from(is_so))),
            Some(is_so) => is_so.then_some(value),
            None => Some(calculate(self.own.op, left, right)),
        }
    }

    /// What is made of two samples; `None` where they do not go together, which is told.
    pub(crate) fn made(&self, left: &Sample, right: &Sample) -> Option<Made> {
        let op = self.own.op;
        let sample = match (left, right) {
            (Sample::Float(left), Sample::Float(right)) => {
                if let Some(is_kept) = compare(op, *left, *right) {
                    return Some(Made { sample: Sample::Float(*left), is_kept });
                }
                if is_trim(op) {
                    self.unfit("float", "float");
                    return None;
                }
                Sample::Float(calculate(op, *left, *right))
            }
            (Sample::Float(left), Sample::Histogram(right)) => match op {
                BinaryOp::Mul => histogram(Histogram::clone(right).scaled(*left)),
                _ => {
                    self.unfit("float", "histogram");
                    return None;
                }
            },
            (Sample::Histogram(left), Sample::Float(right)) => match op {
                BinaryOp::Mul => histogram(Histogram::clone(left).scaled(*right)),
                BinaryOp::Div => histogram(Histogram::clone(left).divided(*right)),
                BinaryOp::TrimUpper => histogram(left.trimmed(*right, Side::Below)),
                BinaryOp::TrimLower => histogram(left.trimmed(*right, Side::Above)),
                _ => {
                    self.unfit("histogram", "float");
                    return None;
                }
            },
            (Sample::Histogram(left), Sample::Histogram(right)) => return self.histograms(left, right),
        };
        Some(Made { sample, is_kept: true })
    }

    fn histograms(&self, left: &Arc<Histogram>, right: &Histogram) -> Option<Made> {
        let same = |is_kept| Some(Made { sample: Sample::Histogram(left.clone()), is_kept });
        let (operation, done) = match self.own.op {
            BinaryOp::Eq => return same(left.is_same(right)),
            BinaryOp::Ne => return same(!left.is_same(right)),
            BinaryOp::Add => {
                let mut sum = Histogram::clone(left);
                ("addition", sum.add(right).map(|reconciled| (sum, reconciled)))
            }
            BinaryOp::Sub => {
                let mut difference = Histogram::clone(left);
                let taken = difference.sub(right);
                difference.hint = Hint::Gauge;
                ("subtraction", taken.map(|reconciled| (difference, reconciled)))
            }
            _ => {
                self.unfit("histogram", "histogram");
                return None;
            }
        };
        let Ok((made, reconciled)) = done.map_err(|Incompatible| {
            let op = self.own.op.name();
            let message = format!("PromQL warning: incompatible bucket layout encountered for binary operator {op}");
            self.context.warn(self.span, message);
        }) else {
            return None;
        };
        if reconciled.bounds_differ {
            let message = format!("PromQL info: mismatched custom buckets were reconciled during {operation}");
            self.context.inform(self.span, message);
        }
        if reconciled.hints_collide {
            let message = format!("PromQL warning: conflicting counter resets during histogram {operation}");
            self.context.warn(self.span, message);
        }
        Some(Made { sample: histogram(made), is_kept: true })
    }

    /// Samples that an operator knows nothing to do with.
    fn unfit(&self, left: &str, right: &str) {
        let op = self.own.op.name();
        let quoted = quote(op);
        self.context.inform(
            self.span,
            format!(
                "PromQL info: incompatible sample types encountered for binary operator {quoted}: {left} {op} {right}"
            ),
        );
    }
}

fn is_trim(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
}

fn histogram(histogram: Histogram) -> Sample {
    Sample::Histogram(Arc::new(histogram))
}

/// Is it so? Nothing for what is no comparison.
fn compare(op: BinaryOp, left: f64, right: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Le => left <= right,
        BinaryOp::Lt => left < right,
        BinaryOp::Ge => left >= right,
        BinaryOp::Gt => left > right,
        _ => return None,
    })
}

fn calculate(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => f64::NAN,
    }
}
