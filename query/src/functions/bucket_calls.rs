//! Which buckets a call of `time_bucket`, `date_bin` or `date_trunc` means, as the store takes them.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;
use tsdb::{Bucket, Buckets, TIME_COLUMN};

use crate::base::calendar::{self, Width};
use crate::functions::time_bucket::{TIME_BUCKET, buckets_of_call};

/// An expression without the names that it is given.
pub(crate) fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Is it the time of the rows?
pub(crate) fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == TIME_COLUMN)
}

/// `time_bucket`, `date_bin` and `date_trunc` of the time.
pub(crate) fn bucket_of(expr: &Expr) -> Option<Buckets> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    let literal = |at: usize| match args.get(at) {
        Some(Expr::Literal(value, _)) => Some(value),
        _ => None,
    };
    if !args.get(1).is_some_and(is_time) {
        return None;
    }
    match func.name() {
        TIME_BUCKET => Some(store_buckets(buckets_of_call(args)?)),
        "date_bin" => {
            let ScalarValue::IntervalMonthDayNano(Some(interval)) = literal(0)? else { return None };
            let days = i64::from(interval.days).checked_mul(DAY_NS)?;
            let origin = match (args.get(2), literal(2)) {
                (None, _) => 0,
                (_, Some(ScalarValue::TimestampNanosecond(Some(origin), _))) => *origin,
                _ => return None,
            };
            bin_buckets(days.checked_add(interval.nanoseconds).filter(|_| interval.months == 0)?, origin)
        }
        "date_trunc" => trunc_buckets(literal(0)?.try_as_str()??),
        _ => None,
    }
}

const DAY_NS: i64 = 86_400 * SECOND_NS;
const SECOND_NS: i64 = 1_000_000_000;

/// The buckets of `date_bin`.
pub(crate) fn bin_buckets(width_ns: i64, origin_ns: i64) -> Option<Buckets> {
    (width_ns > 0).then_some(Buckets::Equal(Bucket { width_ns, origin_ns }))
}

/// The buckets of `date_trunc`, by their unit.
pub(crate) fn trunc_buckets(unit: &str) -> Option<Buckets> {
    match unit {
        "second" => bin_buckets(SECOND_NS, 0),
        "minute" => bin_buckets(60 * SECOND_NS, 0),
        "hour" => bin_buckets(3600 * SECOND_NS, 0),
        "day" => bin_buckets(DAY_NS, 0),
        // The first Monday.
        "week" => bin_buckets(7 * DAY_NS, 4 * DAY_NS),
        longer => {
            let months = [("month", 1), ("quarter", 3), ("year", 12)].into_iter().find(|(name, _)| *name == longer)?.1;
            let width = Width::new(months, 0, 0).ok()?;
            Some(store_buckets(calendar::Buckets::new(width, None, None)))
        }
    }
}

/// Buckets as the store takes them.
pub(crate) fn store_buckets(buckets: calendar::Buckets) -> Buckets {
    match buckets.fixed() {
        Some((width_ns, origin_ns)) => Buckets::Equal(Bucket { width_ns, origin_ns }),
        None => Buckets::Calendar(buckets.spans()),
    }
}
