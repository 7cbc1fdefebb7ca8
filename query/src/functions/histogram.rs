//! `histogram_quantile(quantile, le, count)` over the buckets of a classic histogram, as Prometheus answers it; and
//! `native_histogram_quantile(quantile, ...)` of a native one, which is a row (`docs/http.md` has its columns).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    AggregateUDF, ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use statistics::classic::Bucket;
use statistics::histogram::{CUSTOM, Histogram, buckets_of};

use super::gather::Gather;

/// How fine the buckets of OTLP's histograms can be, which are Prometheus' up to 8.
const SCHEMAS: std::ops::RangeInclusive<i64> = -4..=20;

/// The aggregates of this file.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let types = vec![DataType::Float64, DataType::Utf8, DataType::Float64];
    let signature = Signature::exact(types, Volatility::Immutable);
    vec![Gather { name: "histogram_quantile", signature, output: DataType::Float64, finish: classic }.into()]
}

/// The scalar functions of this file.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let (float, text) = (DataType::Float64, DataType::Utf8);
    let types = vec![float.clone(), DataType::Int64, float.clone(), float, text.clone(), text.clone(), text];
    let signature = Signature::exact(types, Volatility::Immutable);
    vec![NativeQuantile { signature }.into()]
}

/// NULL without a bucket that has all, without another one, and without values; what is NaN in Prometheus otherwise is NaN.
fn classic(args: &[ArrayRef]) -> Result<ScalarValue> {
    let quantile = args[0].as_primitive::<Float64Type>().iter().flatten().next();
    let counts = args[2].as_primitive::<Float64Type>();
    let mut buckets: Vec<Bucket> = Vec::with_capacity(counts.len());
    for (le, count) in args[1].as_string::<i32>().iter().zip(counts) {
        let (Some(le), Some(count)) = (le, count) else { continue };
        // What is no bound is no bucket, as in Prometheus.
        if let Ok(upper) = le.trim().parse::<f64>() {
            buckets.push((upper, count));
        }
    }
    let (has_all, has_others) = (buckets.iter().any(is_last), !buckets.iter().all(is_last));
    let is_known = has_all && has_others && buckets.iter().any(|(_, count)| *count > 0.0);
    let quantile = quantile.filter(|quantile| is_known && !quantile.is_nan());
    Ok(ScalarValue::Float64(quantile.map(|quantile| statistics::classic::quantile(quantile, buckets, 0).0)))
}

fn is_last((upper, _): &Bucket) -> bool {
    *upper == f64::INFINITY
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NativeQuantile {
    signature: Signature,
}

impl ScalarUDFImpl for NativeQuantile {
    fn name(&self) -> &str {
        "native_histogram_quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let float = |at: usize, row: usize| {
            let column = columns[at].as_primitive::<Float64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        let text = |at: usize, row: usize| {
            let column = columns[at].as_string::<i32>();
            if column.is_valid(row) { column.value(row) } else { "" }
        };
        let schemas = columns[1].as_primitive::<Int64Type>();
        let one = |row: usize| {
            let (Some(quantile), true) = (float(0, row), schemas.is_valid(row)) else { return Ok(None) };
            let zero = [2, 3].map(|at| float(at, row).unwrap_or(0.0));
            match native(schemas.value(row), zero, [4, 5, 6].map(|at| text(at, row))) {
                Ok(native) => Ok(Some(native.quantile(quantile).0).filter(|value| !value.is_nan())),
                Err(error) => exec_err!("native_histogram_quantile: {error}"),
            }
        };
        Ok(ColumnarValue::Array(Arc::new((0..schemas.len()).map(one).collect::<Result<Float64Array>>()?)))
    }
}

/// A native histogram of what its row says.
fn native(
    schema: i64,
    [zero_threshold, zero_count]: [f64; 2],
    [positive, negative, custom]: [&str; 3],
) -> Result<Histogram, String> {
    let is_exponential = schema != i64::from(CUSTOM);
    if is_exponential && !SCHEMAS.contains(&schema) {
        let (first, last) = (SCHEMAS.start(), SCHEMAS.end());
        return Err(format!("expected a schema from {first} to {last} or {CUSTOM}, found {schema}"));
    }
    let bounds = custom.split(',').filter(|text| !text.is_empty()).map(number).collect::<Result<_, _>>()?;
    let (positive, negative) = (buckets_of(positive)?, buckets_of(negative)?);
    let counts = positive.iter().chain(&negative).map(|(_, count)| count);
    let count = counts.sum::<f64>() + zero_count;
    let schema = schema as i32;
    Ok(Histogram { schema, zero_threshold, zero_count, count, positive, negative, bounds, ..Histogram::default() })
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("expected a number, found '{text}'"))
}
