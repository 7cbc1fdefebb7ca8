//! Trends: `trend(value, time)` fits a line by least squares; `forecast` and `reaches` read it. `summary(value)`: a
//! group in one value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StructArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use tsdb::Sketch;

const DAY_NS: f64 = 86_400e9;

/// The aggregates of this file.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    [Fit::Line, Fit::Summary].map(|fit| FitAggregate::new(fit).into()).into()
}

/// The scalar functions of this file.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    [Read::At, Read::Reaches].map(|read| LineScalar::new(read).into()).into()
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// What `trend` gives: the line is `intercept + slope_per_day * days since start`.
fn line_fields() -> Fields {
    Fields::from(vec![
        Field::new("start", time_type(), true),
        Field::new("intercept", DataType::Float64, true),
        Field::new("slope_per_day", DataType::Float64, true),
        Field::new("r2", DataType::Float64, true),
        Field::new("count", DataType::Int64, true),
    ])
}

/// What `summary` gives.
fn summary_fields() -> Fields {
    let float = |name: &str| Field::new(name, DataType::Float64, true);
    let floats = ["min", "mean", "p50", "p95", "p99", "max"].map(float);
    Fields::from([vec![Field::new("count", DataType::Int64, true)], floats.into()].concat())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fit {
    Line,
    Summary,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FitAggregate {
    fit: Fit,
    signature: Signature,
}

impl FitAggregate {
    fn new(fit: Fit) -> FitAggregate {
        let types = match fit {
            Fit::Line => vec![DataType::Float64, time_type()],
            Fit::Summary => vec![DataType::Float64],
        };
        FitAggregate { fit, signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for FitAggregate {
    fn name(&self) -> &str {
        match self.fit {
            Fit::Line => "trend",
            Fit::Summary => "summary",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(if self.fit == Fit::Line { line_fields() } else { summary_fields() }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let parts: &[(&str, DataType)] = match self.fit {
            Fit::Line => &[
                ("start", DataType::Int64),
                ("count", DataType::Int64),
                ("mean_x", DataType::Float64),
                ("mean_y", DataType::Float64),
                ("xx", DataType::Float64),
                ("yy", DataType::Float64),
                ("xy", DataType::Float64),
            ],
            Fit::Summary => &[
                ("sketch", DataType::Binary),
                ("count", DataType::Int64),
                ("sum", DataType::Float64),
                ("min", DataType::Float64),
                ("max", DataType::Float64),
            ],
        };
        let field = |(name, kind): &(&str, DataType)| {
            Arc::new(Field::new(format_state_name(args.name, name), kind.clone(), true))
        };
        Ok(parts.iter().map(field).collect())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match self.fit {
            Fit::Line => Box::new(Line::default()),
            Fit::Summary => Box::new(Summarizing::default()),
        })
    }
}

/// A line under way: means and sums of squares about them, which merge (Chan, Golub and LeVeque, 1979). x is days since
/// 1970.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: i64,
    count: f64,
    mean: [f64; 2],
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Default for Line {
    fn default() -> Line {
        Line { start: i64::MAX, count: 0.0, mean: [0.0; 2], xx: 0.0, yy: 0.0, xy: 0.0 }
    }
}

impl Line {
    fn merge(&mut self, other: Line) {
        let count = self.count + other.count;
        if other.count == 0.0 {
            return;
        }
        let [dx, dy] = [0, 1].map(|at| other.mean[at] - self.mean[at]);
        let weight = self.count * other.count / count;
        self.xx += other.xx + dx * dx * weight;
        self.yy += other.yy + dy * dy * weight;
        self.xy += other.xy + dx * dy * weight;
        self.mean[0] += dx * other.count / count;
        self.mean[1] += dy * other.count / count;
        self.start = self.start.min(other.start);
        self.count = count;
    }
}

impl Accumulator for Line {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let times = values[1].as_primitive::<TimestampNanosecondType>();
        for (value, time) in values[0].as_primitive::<Float64Type>().iter().zip(times) {
            if let (Some(value), Some(time)) = (value.filter(|value| value.is_finite()), time) {
                self.merge(Line { start: time, count: 1.0, mean: [time as f64 / DAY_NS, value], ..Line::default() });
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // One instant has no slope.
        let slope = (self.xx > 0.0).then(|| self.xy / self.xx);
        let days = self.start as f64 / DAY_NS - self.mean[0];
        let r2 = slope.map(|slope| if self.yy > 0.0 { slope * self.xy / self.yy } else { 1.0 });
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampNanosecondArray::from(vec![slope.map(|_| self.start)]).with_timezone("UTC")),
            Arc::new(Float64Array::from(vec![slope.map(|slope| self.mean[1] + slope * days)])),
            Arc::new(Float64Array::from(vec![slope])),
            Arc::new(Float64Array::from(vec![r2])),
            ScalarValue::Int64(Some(self.count as i64)).to_array()?,
        ];
        Ok(ScalarValue::Struct(Arc::new(StructArray::new(line_fields(), columns, None))))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let floats = [self.mean[0], self.mean[1], self.xx, self.yy, self.xy];
        let counts = [self.start, self.count as i64].map(ScalarValue::from);
        Ok(counts.into_iter().chain(floats.map(ScalarValue::from)).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let whole = |at: usize| states[at].as_primitive::<Int64Type>();
        let float = |at: usize, row: usize| states[at].as_primitive::<Float64Type>().value(row);
        for row in 0..states[0].len() {
            self.merge(Line {
                start: whole(0).value(row),
                count: whole(1).value(row) as f64,
                mean: [float(2, row), float(3, row)],
                xx: float(4, row),
                yy: float(5, row),
                xy: float(6, row),
            });
        }
        Ok(())
    }
}

/// A summary under way.
#[derive(Debug, Default)]
struct Summarizing {
    sketch: Sketch,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Summarizing {
    fn widen(&mut self, min: Option<f64>, max: Option<f64>) {
        self.min = self.min.into_iter().chain(min).reduce(f64::min);
        self.max = self.max.into_iter().chain(max).reduce(f64::max);
    }
}

impl Accumulator for Summarizing {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten().filter(|value| !value.is_nan()) {
            self.sketch.add(value);
            self.sum += value;
            self.widen(Some(value), Some(value));
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let count = self.sketch.count();
        let mean = (count > 0).then(|| self.sum / count as f64);
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|part| self.sketch.quantile(part));
        let floats = [self.min, mean, p50, p95, p99, self.max];
        let floats = floats.map(|value| Arc::new(Float64Array::from(vec![value])) as ArrayRef);
        let columns = [vec![ScalarValue::Int64(Some(count as i64)).to_array()?], floats.into()].concat();
        Ok(ScalarValue::Struct(Arc::new(StructArray::new(summary_fields(), columns, None))))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sketch.memory()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Binary(Some(self.sketch.to_bytes())),
            ScalarValue::Int64(Some(self.sketch.count() as i64)),
            self.sum.into(),
            ScalarValue::Float64(self.min),
            ScalarValue::Float64(self.max),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let float = |at: usize, row: usize| {
            let column = states[at].as_primitive::<Float64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        for (row, bytes) in states[0].as_binary::<i32>().iter().enumerate() {
            if let Some(bytes) = bytes {
                self.sketch.merge(&super::sketch::sketch(bytes)?);
            }
            self.sum += float(2, row).unwrap_or(0.0);
            self.widen(float(3, row), float(4, row));
        }
        Ok(())
    }
}

/// What is read of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Read {
    /// The value at a time.
    At,
    /// The time of a value.
    Reaches,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LineScalar {
    read: Read,
    signature: Signature,
}

impl LineScalar {
    fn new(read: Read) -> LineScalar {
        let second = if read == Read::At { time_type() } else { DataType::Float64 };
        let types = vec![DataType::Struct(line_fields()), second];
        LineScalar { read, signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LineScalar {
    fn name(&self) -> &str {
        match self.read {
            Read::At => "forecast",
            Read::Reaches => "reaches",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.read == Read::At { DataType::Float64 } else { time_type() })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let lines = columns[0].as_struct();
        let starts = lines.column(0).as_primitive::<TimestampNanosecondType>();
        let float = |column: &ArrayRef, row: usize| {
            let column = column.as_primitive::<Float64Type>();
            column.is_valid(row).then(|| column.value(row))
        };
        let line = |row: usize| {
            let start = starts.is_valid(row).then(|| starts.value(row)).filter(|_| lines.is_valid(row))?;
            Some((start, float(lines.column(1), row)?, float(lines.column(2), row)?))
        };
        Ok(ColumnarValue::Array(match self.read {
            Read::At => {
                let times = columns[1].as_primitive::<TimestampNanosecondType>();
                let at = |row: usize| {
                    let (start, intercept, slope) = line(row)?;
                    let time = times.is_valid(row).then(|| times.value(row))?;
                    Some(intercept + slope * ((time as f64 - start as f64) / DAY_NS))
                };
                Arc::new((0..lines.len()).map(at).collect::<Float64Array>())
            }
            Read::Reaches => {
                let at = |row: usize| {
                    let ((start, intercept, slope), limit) = (line(row)?, float(&columns[1], row)?);
                    let ns = start as f64 + (limit - intercept) / slope * DAY_NS;
                    (ns.abs() < i64::MAX as f64).then_some(ns as i64)
                };
                Arc::new((0..lines.len()).map(at).collect::<TimestampNanosecondArray>().with_timezone("UTC"))
            }
        }))
    }
}
