//! Is it the same at every step? Then it is answered once.

use crate::syntax::{Call, Expr, Kind};

/// Functions that give something else at each step, whatever they are asked of.
const MOVING: [&str; 11] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "time",
    "timestamp",
    "year",
];

/// Is it the same at every step?
pub(crate) fn is_invariant(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Number { .. } | Kind::Text(_) => true,
        Kind::Vector(selector) => selector.modifiers.at.is_some(),
        Kind::Matrix(matrix) => matrix.selector.modifiers.at.is_some(),
        Kind::Subquery(subquery) => subquery.modifiers.at.is_some(),
        Kind::Aggregate(aggregate) => is_invariant(&aggregate.of),
        Kind::Call(call) => is_invariant_call(call),
        Kind::Paren(of) | Kind::Unary { of, .. } => is_invariant(of),
        Kind::Binary(binary) => is_invariant(&binary.left) && is_invariant(&binary.right),
    }
}

fn is_invariant_call(call: &Call) -> bool {
    let all = call.arguments.iter().all(is_invariant);
    let is_selector = |argument: &Expr| matches!(argument.unwrapped().kind, Kind::Vector(_));
    all && (!MOVING.contains(&call.function.name)
        || call.function.name == "timestamp" && call.arguments.iter().all(is_selector))
}
