//! `time_bucket(width, time [, origin] [, zone])`: the start of the bucket that a time is in.

use std::sync::Arc;

use arrow::array::{AsArray, TimestampNanosecondArray};
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit, TimestampNanosecondType};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::calendar::{Buckets, Cursor, Width, zone};

/// The function's name.
pub(crate) const TIME_BUCKET: &str = "time_bucket";
const USE: &str = "time_bucket(width, time [, origin] [, zone])";

/// The names of the functions that fill gaps.
pub(crate) const LOCF: &str = "locf";
pub(crate) const INTERPOLATE: &str = "interpolate";
const GAPFILL: &str = "time_bucket_gapfill";

/// The scalar functions of this file: the bucket, the bucket whose gaps are filled, and what fills them.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let fill = |name| Fill { name, signature: Signature::any(1, Volatility::Volatile) };
    vec![
        TimeBucket::new(TIME_BUCKET).into(),
        TimeBucket::new(GAPFILL).into(),
        fill(LOCF).into(),
        fill(INTERPOLATE).into(),
    ]
}

/// The name of the function whose gaps are filled.
pub(crate) fn gapfill_name() -> &'static str {
    GAPFILL
}

/// The plain function.
pub(crate) fn time_bucket_udf() -> Arc<ScalarUDF> {
    Arc::new(TimeBucket::new(TIME_BUCKET).into())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeBucket {
    name: &'static str,
    signature: Signature,
}

impl TimeBucket {
    fn new(name: &'static str) -> TimeBucket {
        TimeBucket { name, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// A function that is not called: where it may stand, a rule has put the filled column in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fill {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Fill {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.name, &types[0]) {
            (INTERPOLATE, kind) if !kind.is_numeric() => plan_err!("interpolate: expected a number, found {kind}"),
            (_, kind) => Ok(kind.clone()),
        }
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{}: expected around an aggregate, in the SELECT of a GROUP BY {GAPFILL}(...)", self.name)
    }
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let (2..=4, [width, time, others @ ..]) = (types.len(), types) else {
            return plan_err!("expected {USE}, found {} arguments", types.len());
        };
        let width = match width {
            DataType::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
            other => return plan_err!("{USE}: expected an interval or a text like '5m' as width, found {other}"),
        };
        let time = match time {
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()),
            DataType::Date32 | DataType::Date64 | DataType::Utf8 | DataType::Utf8View | DataType::Null => {
                DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
            }
            other => return plan_err!("{USE}: expected a timestamp as time, found {other}"),
        };
        let others = others.iter().map(|kind| match kind {
            DataType::Timestamp(..) | DataType::Date32 => Ok(DataType::Timestamp(TimeUnit::Nanosecond, None)),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Ok(DataType::Utf8),
            other => plan_err!("{USE}: expected a timestamp as origin or a text as zone, found {other}"),
        });
        let others: Vec<DataType> = others.collect::<Result<_>>()?;
        Ok([vec![width, time], others].concat())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[1].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.name == GAPFILL {
            return exec_err!("{GAPFILL}: expected in the GROUP BY of a SELECT");
        }
        let literals = args.args.iter().map(|arg| match arg {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        });
        let literals: Vec<Option<&ScalarValue>> = literals.collect();
        let buckets = buckets_of(&literals).map_err(DataFusionError::Execution)?;
        let Some(buckets) = buckets else { return exec_err!("{USE}: width, origin and zone have to be literals") };
        let mut cursor = Cursor::new(&buckets);
        match &args.args[1] {
            ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(time, zone)) => {
                let start = time.map(|time| cursor.start(time));
                Ok(ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(start, zone.clone())))
            }
            ColumnarValue::Scalar(other) => exec_err!("{USE}: expected a timestamp as time, found {other}"),
            ColumnarValue::Array(times) => {
                let times = times.as_primitive::<TimestampNanosecondType>();
                let starts: TimestampNanosecondArray = times.iter().map(|time| Some(cursor.start(time?))).collect();
                Ok(ColumnarValue::Array(Arc::new(starts.with_timezone_opt(times.timezone().map(Arc::<str>::from)))))
            }
        }
    }
}

/// The buckets that the arguments describe, that of the time left out; nothing if one of them is no literal.
pub(crate) fn buckets_of(args: &[Option<&ScalarValue>]) -> Result<Option<Buckets>, String> {
    let wrong = |error| format!("{USE}: {error}");
    let width = match args.first().copied().flatten() {
        Some(ScalarValue::IntervalMonthDayNano(Some(span))) => Width::new(span.months, span.days, span.nanoseconds),
        Some(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text))) => Width::parse(text),
        _ => return Ok(None),
    };
    let (mut origin, mut named) = (None, None);
    for arg in args.iter().skip(2) {
        match arg {
            Some(ScalarValue::TimestampNanosecond(ns, _)) => origin = *ns,
            Some(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text))) => match zone(text) {
                Ok(zone) => named = Some(zone),
                Err(_) if text.starts_with(|sign: char| sign.is_ascii_digit()) => {
                    origin = Some(string_to_timestamp_nanos(text).map_err(|error| wrong(error.to_string()))?);
                }
                Err(error) => return Err(wrong(error)),
            },
            Some(value) if value.is_null() => {}
            _ => return Ok(None),
        }
    }
    Ok(Some(Buckets::new(width.map_err(wrong)?, origin, named)))
}

/// The buckets of a call of `time_bucket`, if all but the time are literals that it takes.
pub(crate) fn buckets_of_call(args: &[Expr]) -> Option<Buckets> {
    let literal = |arg: &Expr| match arg {
        Expr::Literal(value, _) => Some(value.clone()),
        _ => None,
    };
    let literals: Vec<Option<ScalarValue>> = args.iter().map(literal).collect();
    buckets_of(&literals.iter().map(Option::as_ref).collect::<Vec<_>>()).ok()?
}
