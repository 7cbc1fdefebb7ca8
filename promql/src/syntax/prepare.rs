//! What depends on when a question is asked: `start()`, `end()`, `step()`, `range()`, and lengths that are computed.

use super::expr::{At, BinaryOp, Computed, Expr, Kind, Length, LengthOp, Modifiers};
use super::span::Span;

/// When a question is asked, in milliseconds.
struct Asked {
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
}

/// The question with all of that put in.
///
/// # Errors
///
/// Where a length is none.
pub(crate) fn prepared(expr: &Expr, start_ms: i64, end_ms: i64, step_ms: i64) -> Result<Expr, String> {
    let mut expr = expr.clone();
    Asked { start_ms, end_ms, step_ms }.prepare(&mut expr)?;
    count(&mut expr, Counted::default());
    Ok(expr)
}

/// What stands around an expression.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    /// A function of the count or the sum of histograms.
    is_counted: bool,
    /// Something that needs their buckets, or looks at them again and again.
    needs_buckets: bool,
}

/// Notes which selectors are asked for nothing but counts and sums.
fn count(expr: &mut Expr, mut around: Counted) {
    match &expr.kind {
        Kind::Subquery(_) => around.needs_buckets = true,
        Kind::Binary(binary) => around.needs_buckets |= matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper),
        Kind::Call(call) => match call.function.name {
            "histogram_count" | "histogram_sum" | "histogram_avg" => around.is_counted = true,
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => around.needs_buckets = true,
            _ => {}
        },
        _ => {}
    }
    let is_counted = around.is_counted && !around.needs_buckets;
    stacker::maybe_grow(128 << 10, 2 << 20, || match &mut expr.kind {
        Kind::Number { .. } | Kind::Text(_) => {}
        Kind::Vector(selector) => selector.is_counted = is_counted,
        Kind::Matrix(matrix) => matrix.selector.is_counted = is_counted,
        Kind::Subquery(subquery) => count(&mut subquery.of, around),
        Kind::Aggregate(aggregate) => {
            count(&mut aggregate.of, around);
            aggregate.parameter.iter_mut().for_each(|parameter| count(parameter, around));
        }
        Kind::Call(call) => call.arguments.iter_mut().for_each(|argument| count(argument, around)),
        Kind::Paren(of) | Kind::Unary { of, .. } => count(of, around),
        Kind::Binary(binary) => {
            count(&mut binary.left, around);
            count(&mut binary.right, around);
        }
    });
}

impl Asked {
    fn prepare(&self, expr: &mut Expr) -> Result<(), String> {
        stacker::maybe_grow(128 << 10, 2 << 20, || self.prepare_node(expr))
    }

    fn prepare_node(&self, expr: &mut Expr) -> Result<(), String> {
        if let Some(value) = self.number(&expr.kind) {
            expr.kind = Kind::Number { value, is_duration: false };
            return Ok(());
        }
        match &mut expr.kind {
            Kind::Number { .. } | Kind::Text(_) => Ok(()),
            Kind::Vector(selector) => self.modifiers(&mut selector.modifiers),
            Kind::Matrix(matrix) => {
                self.length(&mut matrix.range, false)?;
                self.modifiers(&mut matrix.selector.modifiers)
            }
            Kind::Subquery(subquery) => {
                self.modifiers(&mut subquery.modifiers)?;
                if let Some(step) = &mut subquery.step {
                    self.length(step, false)?;
                }
                self.length(&mut subquery.range, false)?;
                self.prepare(&mut subquery.of)
            }
            Kind::Aggregate(aggregate) => {
                self.prepare(&mut aggregate.of)?;
                aggregate.parameter.as_mut().map_or(Ok(()), |parameter| self.prepare(parameter))
            }
            Kind::Call(call) => call.arguments.iter_mut().try_for_each(|argument| self.prepare(argument)),
            Kind::Paren(of) | Kind::Unary { of, .. } => self.prepare(of),
            Kind::Binary(binary) => {
                self.prepare(&mut binary.left)?;
                self.prepare(&mut binary.right)
            }
        }
    }

    /// Functions of the question itself, in seconds.
    fn number(&self, kind: &Kind) -> Option<f64> {
        let Kind::Call(call) = kind else { return None };
        let seconds = |ms: i64| ms as f64 / 1000.0;
        Some(match call.function.name {
            "start" => seconds(self.start_ms),
            "end" => seconds(self.end_ms),
            "range" => seconds(self.end_ms - self.start_ms),
            "step" if self.start_ms == self.end_ms => 0.0,
            "step" => seconds(self.step_ms),
            _ => return None,
        })
    }

    fn modifiers(&self, modifiers: &mut Modifiers) -> Result<(), String> {
        modifiers.at = modifiers.at.map(|at| match at {
            At::Start => At::Time(self.start_ms),
            At::End => At::Time(self.end_ms),
            time @ At::Time(_) => time,
        });
        modifiers.offset.as_mut().map_or(Ok(()), |offset| self.length(offset, true))
    }

    fn length(&self, length: &mut Length, may_be_negative: bool) -> Result<(), String> {
        let Length::Computed(computed) = length else { return Ok(()) };
        let at = |span: Span, message: &str| Err(format!("{}:{}: {message}", span.start, span.end));
        let seconds = self.seconds(computed)?;
        if !seconds.is_finite() {
            return at(computed.span, "duration is NaN or infinite");
        }
        if seconds <= 0.0 && !may_be_negative {
            return at(computed.span, "duration must be greater than 0");
        }
        if seconds.abs() > i64::MAX as f64 / 1e9 {
            return at(computed.span, "duration is out of range");
        }
        *length = Length::Fixed((seconds * 1000.0) as i64 * 1_000_000);
        Ok(())
    }

    fn seconds(&self, computed: &Computed) -> Result<f64, String> {
        let of = computed.of.iter().map(|of| self.seconds(of)).collect::<Result<Vec<_>, _>>()?;
        let fails = |what: &str| Err(format!("{}:{}: {what} by zero", computed.span.start, computed.span.end));
        Ok(match (computed.op, of.as_slice()) {
            (LengthOp::Number(seconds, _), _) => seconds,
            (LengthOp::Step, _) => self.step_ms as f64 / 1000.0,
            (LengthOp::Range, _) => (self.end_ms - self.start_ms) as f64 / 1000.0,
            (LengthOp::MaxOf, [one, other]) => one.max(*other),
            (LengthOp::MinOf, [one, other]) => one.min(*other),
            (LengthOp::Plus, [of]) => *of,
            (LengthOp::Minus, [of]) => -of,
            (LengthOp::Add, [one, other]) => one + other,
            (LengthOp::Sub, [one, other]) => one - other,
            (LengthOp::Mul, [one, other]) => one * other,
            (LengthOp::Div, [_, 0.0]) => return fails("division"),
            (LengthOp::Div, [one, other]) => one / other,
            (LengthOp::Mod, [_, 0.0]) => return fails("modulo"),
            (LengthOp::Mod, [one, other]) => one % other,
            (LengthOp::Pow, [one, other]) => one.powf(*other),
            _ => f64::NAN,
        })
    }
}
