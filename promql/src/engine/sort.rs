//! Order, where an answer has one.

use std::cmp::Ordering;

use super::context::{Context, Failure, text};
use crate::model::points::Series;
use crate::syntax::{Expr, Span};

/// `sort`, `sort_by_label` and their kin. Answers at many times are always by labels.
pub(crate) fn sorted(context: &Context, name: &str, arguments: &[Expr], span: Span) -> Result<Vec<Series>, Failure> {
    let mut all = context.vector(&arguments[0])?;
    if !context.times.is_instant() {
        context.warn(
            span,
            "PromQL warning: sort is ineffective for range queries since results are always ordered by labels",
        );
    }
    let is_by_value = matches!(name, "sort" | "sort_desc");
    if is_by_value {
        for series in &mut all {
            series.points = series.points.map(|_, sample| match sample {
                crate::model::samples::Sample::Histogram(_) => None,
                float => Some(float),
            });
        }
    }
    let mut all = context.settled(all)?;
    if !context.times.is_instant() {
        return Ok(all);
    }
    if is_by_value {
        let value = |series: &Series| series.points.float(0).unwrap_or(f64::NAN);
        all.sort_by(|one, other| by_value(value(one), value(other), name == "sort_desc"));
        return Ok(all);
    }
    let names = arguments[1..].iter().map(text).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|one, other| {
        let by_label = |name: &&str| {
            let (one, other) = (one.labels.get(name), other.labels.get(name));
            if one == other { Ordering::Equal } else { natural(one, other) }
        };
        let order = names.iter().map(by_label).find(|order| order.is_ne());
        let order = order.unwrap_or_else(|| one.labels.cmp(&other.labels));
        if name == "sort_by_label_desc" { order.reverse() } else { order }
    });
    Ok(all)
}

/// By value, up or down; NaN last.
pub(crate) fn by_value(one: f64, other: f64, is_descending: bool) -> Ordering {
    match (one.is_nan(), other.is_nan()) {
        (false, false) if is_descending => other.total_cmp(&one),
        (false, false) => one.total_cmp(&other),
        (one, other) => one.cmp(&other),
    }
}

/// As people count: `node2` comes before `node10`.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut ones, mut others) = (parts(one), parts(other));
    loop {
        let (one, other) = match (ones.next(), others.next()) {
            (Some(one), Some(other)) => (one, other),
            // What ends first comes first.
            (one, other) => return one.is_some().cmp(&other.is_some()),
        };
        let order = match (one.parse::<i64>(), other.parse::<i64>()) {
            (Ok(one), Ok(other)) => one.cmp(&other),
            _ => one.cmp(other),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Runs of digits, and runs of others.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_digit = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|letter: char| letter.is_ascii_digit() != is_digit).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_texts_count() {
        let mut texts = ["node10", "node2", "a", "node2b", "node", "4"];
        texts.sort_by(|one, other| natural(one, other));
        assert_eq!(texts, ["4", "a", "node", "node2", "node2b", "node10"]);
    }
}
