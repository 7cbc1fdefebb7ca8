//! `label_replace` and `label_join`.

use super::context::{Context, Failure, text};
use super::settle::merged;
use crate::base::labels::{NAME, is_label};
use crate::model::points::Series;
use crate::syntax::{Expr, Pattern};

/// `label_replace(v, to, with, from, pattern)`
pub(crate) fn replace(context: &Context, arguments: &[Expr]) -> Result<Vec<Series>, Failure> {
    let [to, with, from, pattern] = [1, 2, 3, 4].map(|at| text(&arguments[at]));
    let (to, with, from, pattern) = (to?, with?, from?, pattern?);
    let Ok(known) = pattern.parse::<Pattern>() else {
        return Failure::new(format!("invalid regular expression in label_replace(): {pattern}"));
    };
    if !is_label(to) {
        return Failure::new(format!("invalid destination label name in label_replace(): {to}"));
    }
    let groups = with.matches('$').count();
    let replaced = |series: Series| {
        let value = series.labels.get(from);
        // A few in each other make a value as long as one likes.
        context.allowance.take(groups.saturating_mul(value.len()).saturating_add(with.len()))?;
        Ok(match known.expand(value, with) {
            Some(value) => relabelled(series, to, &value),
            None => series,
        })
    };
    merged(context.vector(&arguments[0])?.into_iter().map(replaced).collect::<Result<_, Failure>>()?)
}

/// `label_join(v, to, between, from, ...)`
pub(crate) fn join(context: &Context, arguments: &[Expr]) -> Result<Vec<Series>, Failure> {
    let (to, between) = (text(&arguments[1])?, text(&arguments[2])?);
    let from = arguments[3..].iter().map(text).collect::<Result<Vec<_>, _>>()?;
    if let Some(wrong) = from.iter().find(|name| !is_label(name)) {
        return Failure::new(format!("invalid source label name in label_join(): {wrong}"));
    }
    if !is_label(to) {
        return Failure::new(format!("invalid destination label name in label_join(): {to}"));
    }
    let joined = |series: Series| {
        let values: Vec<&str> = from.iter().map(|name| series.labels.get(name)).collect();
        context.allowance.take(values.iter().map(|value| value.len() + between.len()).sum())?;
        let value = values.join(between);
        Ok(relabelled(series, to, &value))
    };
    merged(context.vector(&arguments[0])?.into_iter().map(joined).collect::<Result<_, Failure>>()?)
}

/// With another label. A name that is given stays.
fn relabelled(series: Series, to: &str, value: &str) -> Series {
    Series { labels: series.labels.with(to, value), drops_name: series.drops_name && to != NAME, ..series }
}
