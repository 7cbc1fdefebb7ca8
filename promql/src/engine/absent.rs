//! `absent` and `absent_over_time`: 1 at every step at which nothing is there.

use super::context::Context;
use crate::base::labels::{Labels, NAME};
use crate::model::points::{Points, Series};
use crate::syntax::{Expr, Kind, MatchOp};

/// One series that is there where none of these is.
pub(crate) fn absent_of(context: &Context, asked: &Expr, found: &[Series]) -> Vec<Series> {
    let mut points = Points::empty(context.steps());
    for step in 0..context.steps() {
        if !found.iter().any(|series| series.points.has(step)) {
            points.set_float(step, 1.0);
        }
    }
    match points.is_empty() {
        true => Vec::new(),
        false => vec![Series { labels: labels_of(asked), drops_name: false, points }],
    }
}

/// Labels that what is missing would have: those of which one equality is all that is said.
fn labels_of(asked: &Expr) -> Labels {
    let matchers = match &asked.unwrapped().kind {
        Kind::Vector(selector) => &selector.matchers,
        Kind::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::default(),
    };
    let mut labels = Labels::default();
    let mut seen = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.label != NAME) {
        match &matcher.op {
            MatchOp::Equal(value) if !seen.contains(&&matcher.label) => {
                labels = labels.with(&matcher.label, value);
                seen.push(&matcher.label);
            }
            _ => labels = labels.without_one(&matcher.label),
        }
    }
    labels
}
