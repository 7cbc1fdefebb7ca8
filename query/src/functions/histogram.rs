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

use super::gather::Gather;

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

/// A bucket: what it has values up to, and how many these are, those of the buckets before included.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    upper: f64,
    count: f64,
}

fn classic(args: &[ArrayRef]) -> Result<ScalarValue> {
    let quantile = args[0].as_primitive::<Float64Type>().iter().flatten().next();
    let counts = args[2].as_primitive::<Float64Type>();
    let mut buckets = Vec::with_capacity(counts.len());
    for (le, count) in args[1].as_string::<i32>().iter().zip(counts) {
        let (Some(le), Some(count)) = (le, count) else { continue };
        // What is no bound is no bucket, as in Prometheus.
        if let Ok(upper) = le.trim().parse::<f64>() {
            buckets.push(Bucket { upper, count });
        }
    }
    Ok(ScalarValue::Float64(quantile.and_then(|quantile| bucket_quantile(quantile, buckets))))
}

/// As `bucketQuantile` of Prometheus: values are spread evenly in their bucket; the first one begins at zero.
fn bucket_quantile(quantile: f64, mut buckets: Vec<Bucket>) -> Option<f64> {
    buckets.sort_by(|one, other| one.upper.total_cmp(&other.upper));
    // Buckets of several series are added up.
    buckets.dedup_by(|next, kept| {
        let is_same = next.upper == kept.upper;
        kept.count += if is_same { next.count } else { 0.0 };
        is_same
    });
    // Buckets are read one after the other while they change: what cannot be is set right.
    let mut highest = 0.0_f64;
    for bucket in &mut buckets {
        highest = highest.max(bucket.count);
        bucket.count = highest;
    }
    let total = buckets.last().filter(|last| last.upper == f64::INFINITY && last.count > 0.0)?.count;
    if buckets.len() < 2 || quantile.is_nan() {
        return None;
    }
    if !(0.0..=1.0).contains(&quantile) {
        return Some(if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let rank = quantile * total;
    let last = buckets.len() - 1;
    let at = buckets[..last].partition_point(|bucket| bucket.count < rank);
    if at == last {
        return Some(buckets[last - 1].upper);
    }
    let Bucket { upper, count } = buckets[at];
    if at == 0 && upper <= 0.0 {
        return Some(upper);
    }
    let below = at.checked_sub(1).map_or(Bucket { upper: 0.0, count: 0.0 }, |before| buckets[before]);
    Some(below.upper + (upper - below.upper) * ((rank - below.count) / (count - below.count)))
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
            let native = Native::read(schemas.value(row), zero, [4, 5, 6].map(|at| text(at, row)));
            match native {
                Ok(native) => Ok(native.quantile(quantile)),
                Err(error) => exec_err!("native_histogram_quantile: {error}"),
            }
        };
        Ok(ColumnarValue::Array(Arc::new((0..schemas.len()).map(one).collect::<Result<Float64Array>>()?)))
    }
}

/// A native histogram: its buckets in the order of their values, as lower bound, upper bound and count.
struct Native {
    buckets: Vec<(f64, f64, f64)>,
    /// Values in a bucket of growing width lie as their logarithms do, others evenly.
    is_exponential: bool,
    zero_threshold: f64,
}

impl Native {
    fn read(
        schema: i64,
        [zero_threshold, zero_count]: [f64; 2],
        [positive, negative, custom]: [&str; 3],
    ) -> Result<Native, String> {
        let is_exponential = schema != -53;
        if is_exponential && !(-4..=20).contains(&schema) {
            return Err(format!("expected a schema from -4 to 20 or -53, found {schema}"));
        }
        let bounds: Vec<f64> =
            custom.split(',').filter(|text| !text.is_empty()).map(number).collect::<Result<_, _>>()?;
        let upper = |bucket: i64| match is_exponential {
            true => (bucket as f64 * (-schema as f64).exp2()).exp2(),
            false if bucket < 0 => f64::NEG_INFINITY,
            false => bounds.get(bucket as usize).copied().unwrap_or(f64::INFINITY),
        };
        let side = |text: &str| -> Result<Vec<(f64, f64, f64)>, String> {
            let counts = counts(text)?.into_iter();
            Ok(counts.map(|(bucket, count)| (upper(bucket - 1), upper(bucket), count)).collect())
        };
        let mut buckets: Vec<_> =
            side(negative)?.into_iter().rev().map(|(low, high, count)| (-high, -low, count)).collect();
        if zero_count > 0.0 {
            // Without values on one side, those about zero are on the other.
            let low = if buckets.is_empty() { 0.0 } else { -zero_threshold };
            let high = if positive.is_empty() && !buckets.is_empty() { 0.0 } else { zero_threshold };
            buckets.push((low, high, zero_count));
        }
        buckets.extend(side(positive)?);
        buckets.retain(|(_, _, count)| *count > 0.0);
        Ok(Native { buckets, is_exponential, zero_threshold })
    }

    /// As `histogramQuantile` of Prometheus.
    fn quantile(&self, quantile: f64) -> Option<f64> {
        let total: f64 = self.buckets.iter().map(|(_, _, count)| count).sum();
        if quantile.is_nan() || total == 0.0 {
            return None;
        }
        if !(0.0..=1.0).contains(&quantile) {
            return Some(if quantile < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        let (rank, mut below) = (quantile * total, 0.0);
        for (at, (low, high, count)) in self.buckets.iter().copied().enumerate() {
            if below + count < rank && at + 1 < self.buckets.len() {
                below += count;
                continue;
            }
            let part = ((rank - below) / count).clamp(0.0, 1.0);
            let is_about_zero = low.abs() <= self.zero_threshold && high.abs() <= self.zero_threshold;
            return Some(match (low, high) {
                // Freely chosen buckets that are open on one side, as in a classic histogram.
                (f64::NEG_INFINITY, high) if high > 0.0 => high * part,
                (f64::NEG_INFINITY, high) => high,
                (low, f64::INFINITY) => low,
                (low, high) if !self.is_exponential || is_about_zero => low + (high - low) * part,
                (low, high) if low < 0.0 => -2f64.powf((-low).log2() + ((-high).log2() - (-low).log2()) * part),
                (low, high) => 2f64.powf(low.log2() + (high.log2() - low.log2()) * part),
            });
        }
        None
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("expected a number, found '{text}'"))
}

/// Buckets and their counts of a text like `0:3,1,2 7:5`.
fn counts(text: &str) -> Result<Vec<(i64, f64)>, String> {
    let mut all = Vec::new();
    for span in text.split_whitespace() {
        let (first, list) = span.split_once(':').ok_or_else(|| format!("expected BUCKET:COUNT,..., found '{span}'"))?;
        let first: i64 = number(first)?;
        for (bucket, count) in (first..).zip(list.split(',')) {
            all.push((bucket, number(count)?));
        }
    }
    Ok(all)
}
