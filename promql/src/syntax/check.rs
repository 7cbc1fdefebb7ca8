//! Types, and what else does not fit together. In the order and the words of Prometheus.

use super::expr::{Aggregate, Binary, Call, Cardinality, Expr, Fill, Kind, Selector, Type};
use super::function::Last;
use super::lexer::Wrong;
use super::matcher::NAME;
use super::quote::quote;
use super::span::Span;

/// The first thing that is wrong. Operators get what depends on the types of their sides.
pub(crate) fn check(expr: &mut Expr, text: &str) -> Result<(), Wrong> {
    stacker::maybe_grow(128 << 10, 2 << 20, || {
        let span = expr.span;
        match &mut expr.kind {
            Kind::Number { .. } | Kind::Text(_) => Ok(()),
            Kind::Vector(selector) => check_selector(selector, false),
            Kind::Matrix(matrix) => check_selector(&matrix.selector, false),
            Kind::Paren(of) => check(of, text),
            Kind::Unary { of, .. } => {
                check(of, text)?;
                match of.gives() {
                    Type::Scalar | Type::Vector => Ok(()),
                    other => wrong(
                        span,
                        format!(
                            "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                            quote(other.name())
                        ),
                    ),
                }
            }
            Kind::Subquery(subquery) => {
                check(&mut subquery.of, text)?;
                match subquery.of.gives() {
                    Type::Vector => Ok(()),
                    Type::Matrix => wrong(span, "subquery is only allowed on instant vector, got matrix instead"),
                    other => {
                        wrong(span, format!("subquery is only allowed on instant vector, got {} instead", other.name()))
                    }
                }
            }
            Kind::Aggregate(aggregate) => check_aggregate(aggregate, text),
            Kind::Call(call) => check_call(call, span, text),
            Kind::Binary(binary) => check_binary(binary, span, text),
        }
    })
}

fn wrong(span: Span, message: impl Into<String>) -> Result<(), Wrong> {
    Err((span, message.into()))
}

fn expect(expr: &mut Expr, wanted: Type, within: &str, text: &str) -> Result<(), Wrong> {
    check(expr, text)?;
    match expr.gives() {
        got if got == wanted => Ok(()),
        got => wrong(expr.span, format!("expected type {} in {within}, got {}", wanted.name(), got.name())),
    }
}

/// A selector says something of at least one label, lest everything is read by a slip.
fn check_selector(selector: &Selector, may_be_empty: bool) -> Result<(), Wrong> {
    let matchers = selector.matchers.as_slice();
    if let (Some(name), [others @ .., _]) = (&selector.name, matchers) {
        return match others.iter().find(|matcher| matcher.label == NAME) {
            Some(twice) => {
                let (one, other) = (quote(name), quote(twice.text()));
                wrong(selector.span, format!("metric name must not be set twice: {one} or {other}"))
            }
            None => Ok(()),
        };
    }
    match may_be_empty || matchers.iter().any(|matcher| !matcher.matches("")) {
        true => Ok(()),
        false => wrong(selector.span, "vector selector must contain at least one non-empty matcher"),
    }
}

fn check_aggregate(aggregate: &mut Aggregate, text: &str) -> Result<(), Wrong> {
    expect(&mut aggregate.of, Type::Vector, "aggregation expression", text)?;
    match (&mut aggregate.parameter, aggregate.op.parameter()) {
        (Some(parameter), Some(wanted)) => expect(parameter, wanted, "aggregation parameter", text),
        _ => Ok(()),
    }
}

fn check_call(call: &mut Call, span: Span, text: &str) -> Result<(), Wrong> {
    let (function, got) = (call.function, call.arguments.len());
    let (takes, name) = (function.takes.len(), quote(function.name));
    let (least, most) = match function.last {
        Last::Once => (takes, Some(takes)),
        Last::UpTo(times) => (takes - 1, Some(takes - 1 + times)),
        Last::Any => (takes - 1, None),
    };
    match function.last {
        Last::Once if got != takes => {
            return wrong(span, format!("expected {takes} argument(s) in call to {name}, got {got}"));
        }
        _ if got < least => {
            return wrong(span, format!("expected at least {least} argument(s) in call to {name}, got {got}"));
        }
        _ => {}
    }
    if let Some(most) = most.filter(|most| got > *most) {
        return wrong(span, format!("expected at most {most} argument(s) in call to {name}, got {got}"));
    }
    let is_info = function.name == "info";
    if is_info && got > 1 {
        check_info(&call.arguments[1], span)?;
    }
    for (at, argument) in call.arguments.iter_mut().enumerate() {
        match &argument.kind {
            Kind::Vector(selector) if is_info && at == 1 => check_selector(selector, true)?,
            _ => check(argument, text)?,
        }
        let wanted = function.takes[at.min(takes - 1)];
        let got = argument.gives();
        if got != wanted {
            let (wanted, got) = (wanted.name(), got.name());
            return wrong(argument.span, format!("expected type {wanted} in call to function {name}, got {got}"));
        }
    }
    Ok(())
}

/// The second argument of `info` says which labels of which series, and nothing more.
fn check_info(labels: &Expr, span: Span) -> Result<(), Wrong> {
    match &labels.kind {
        _ if labels.gives() != Type::Vector => wrong(
            span,
            format!("expected type instant vector in call to function \"info\", got {}", labels.gives().name()),
        ),
        Kind::Vector(selector) if selector.name.is_some() => {
            wrong(labels.span, "expected label selectors only, got vector selector instead")
        }
        Kind::Vector(_) => Ok(()),
        _ => wrong(labels.span, "expected label selectors only"),
    }
}

fn check_binary(binary: &mut Binary, span: Span, text: &str) -> Result<(), Wrong> {
    check(&mut binary.left, text)?;
    check(&mut binary.right, text)?;
    let op_span = || operator_span(binary, text);
    let (left, right, op) = (binary.left.gives(), binary.right.gives(), binary.op);
    if binary.is_bool && !op.is_comparison() {
        return wrong(op_span(), "bool modifier can only be used on comparison operators");
    }
    if op.is_comparison() && !binary.is_bool && left == Type::Scalar && right == Type::Scalar {
        return wrong(op_span(), "comparisons between scalars must use BOOL modifier");
    }
    if let Some(matching) = binary.matching.as_ref().filter(|matching| matching.is_on)
        && let Some(label) = matching.labels.iter().find(|label| matching.include.contains(label))
    {
        let label = quote(label);
        return wrong(op_span(), format!("label {label} must not occur in ON and GROUP clause at once"));
    }
    for (side, gives) in [(&binary.left, left), (&binary.right, right)] {
        if !matches!(gives, Type::Scalar | Type::Vector) {
            return wrong(side.span, "binary expression must contain only scalar and instant vector types");
        }
    }
    let is_vectors = left == Type::Vector && right == Type::Vector;
    check_matching(binary, is_vectors, span)?;
    if op.is_set() && !is_vectors {
        let op = quote(op.name());
        return wrong(span, format!("set operator {op} not allowed in binary scalar expression"));
    }
    Ok(())
}

/// What says which samples belong together stands between two vectors only, and sets have no groups.
fn check_matching(binary: &mut Binary, is_vectors: bool, span: Span) -> Result<(), Wrong> {
    let op = binary.op;
    let Some(matching) = &mut binary.matching else { return Ok(()) };
    let is_filled = matching.fill != Fill::default();
    if !is_vectors {
        if !matching.labels.is_empty() {
            return wrong(span, "vector matching only allowed between instant vectors");
        }
        if is_filled {
            return wrong(span, "filling in missing series only allowed between instant vectors");
        }
        binary.matching = None;
        return Ok(());
    }
    if !op.is_set() {
        return Ok(());
    }
    match matching.cardinality {
        Cardinality::OneToOne => matching.cardinality = Cardinality::ManyToMany,
        Cardinality::ManyToMany => {}
        _ => return wrong(span, format!("no grouping allowed for {} operation", quote(op.name()))),
    }
    match is_filled {
        true => wrong(span, "filling in missing series not allowed for set operators"),
        false => Ok(()),
    }
}

/// Where the operator stands, with what says how its sides belong together.
fn operator_span(binary: &Binary, text: &str) -> Span {
    let (start, end) = (binary.left.span.end, binary.right.span.start);
    let between = text.get(start..end).unwrap_or_default();
    let (from_start, from_end) = (between.trim_start(), between.trim_end());
    Span { start: start + between.len() - from_start.len(), end: start + from_end.len() }
}
