//! `and`, `or`, `unless`: samples of one side by whether the other one has some of the same labels.

use std::collections::HashMap;

use super::context::{Context, Failure};
use super::vectors::signature;
use crate::base::labels::Labels;
use crate::model::points::{Points, Series};
use crate::model::steps::Steps;
use crate::syntax::{BinaryOp, Matching};

/// What a set operator gives.
pub(crate) fn combined(
    context: &Context,
    op: BinaryOp,
    matching: &Matching,
    left: Vec<Series>,
    right: Vec<Series>,
) -> Result<Vec<Series>, Failure> {
    let of_other = present(context, matching, if op == BinaryOp::Or { &left } else { &right });
    let kept = |mut series: Series, wanted: bool| {
        match of_other.get(&signature(&series.labels, matching)) {
            Some(steps) => series.points.keep(steps, wanted),
            None if wanted => series.points = Points::empty(context.steps()),
            None => {}
        }
        series
    };
    let all = match op {
        BinaryOp::And => left.into_iter().map(|series| kept(series, true)).collect(),
        BinaryOp::Unless => left.into_iter().map(|series| kept(series, false)).collect(),
        _ => left.into_iter().chain(right.into_iter().map(|series| kept(series, false))).collect(),
    };
    context.settled(all)
}

/// The steps at which a side has something, by what is matched.
fn present(context: &Context, matching: &Matching, side: &[Series]) -> HashMap<Labels, Steps> {
    let mut present: HashMap<Labels, Steps> = HashMap::new();
    for series in side {
        let steps = present.entry(signature(&series.labels, matching)).or_insert_with(|| Steps::none(context.steps()));
        series.points.add_steps(steps);
    }
    present
}
