//! Native histograms as rows have them: buckets of a side as one text, `0:3,1,2 7:5`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef};

use super::places::HistogramColumn;
use statistics::histogram::{Hint, Histogram, buckets_of, text_of};
use tsdb::Value;

/// What of a histogram is read, in this order.
const READ: [&str; 9] =
    ["count", "sum", "schema", "zero_threshold", "zero_count", "positive", "negative", "reset_hint", "custom_values"];

/// The columns of histograms in a batch of rows.
pub(crate) struct Columns<'a>(Vec<Option<&'a ArrayRef>>);

impl<'a> Columns<'a> {
    /// These columns, which stand in a batch in this order.
    pub(crate) fn new(known: &[HistogramColumn], columns: &'a [ArrayRef]) -> Columns<'a> {
        let of = |what: &&str| known.iter().position(|own| own.what == *what).and_then(|at| columns.get(at));
        Columns(READ.iter().map(of).collect())
    }

    fn float(&self, at: usize, row: usize) -> Option<f64> {
        let column = self.0[at]?.as_primitive_opt::<Float64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    fn integer(&self, at: usize, row: usize) -> Option<i64> {
        let column = self.0[at]?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    }

    fn text(&self, at: usize, row: usize) -> Option<&str> {
        let column = self.0[at]?;
        if column.is_null(row) {
            return None;
        }
        column
            .as_string_opt::<i32>()
            .map(|column| column.value(row))
            .or_else(|| column.as_string_view_opt().map(|column| column.value(row)))
    }

    /// The histogram of a row, if it is one.
    pub(crate) fn histogram(&self, row: usize) -> Option<Arc<Histogram>> {
        let count = self.float(0, row)?;
        let schema = i32::try_from(self.integer(2, row)?).ok()?;
        let hint = match self.integer(7, row) {
            Some(1) => Hint::Reset,
            Some(2) => Hint::NotReset,
            Some(3) => Hint::Gauge,
            _ => Hint::Unknown,
        };
        let bounds = self.text(8, row).unwrap_or_default();
        Some(Arc::new(Histogram {
            hint,
            schema,
            zero_threshold: self.float(3, row).unwrap_or_default(),
            zero_count: self.float(4, row).unwrap_or_default(),
            count,
            sum: self.float(1, row).unwrap_or(f64::NAN),
            positive: buckets_of(self.text(5, row).unwrap_or_default()).ok()?,
            negative: buckets_of(self.text(6, row).unwrap_or_default()).ok()?,
            bounds: bounds.split(',').filter(|text| !text.is_empty()).filter_map(|text| text.parse().ok()).collect(),
        }))
    }
}

/// A histogram as a row has it.
///
/// ```
/// use promql::stored::HistogramRow;
/// use statistics::histogram::Histogram;
/// use tsdb::Value;
///
/// let histogram = Histogram { count: 3.0, positive: vec![(1, 2.0), (2, 1.0)], ..Histogram::default() };
/// let row = HistogramRow::of(&histogram);
/// assert!(row.fields().contains(&("positive", Value::Str("1:2,1"))));
/// ```
#[derive(Debug)]
pub struct HistogramRow<'a> {
    of: &'a Histogram,
    positive: String,
    negative: String,
    bounds: String,
}

impl<'a> HistogramRow<'a> {
    /// That of a histogram.
    #[must_use]
    pub fn of(of: &'a Histogram) -> HistogramRow<'a> {
        let bounds = of.bounds.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        HistogramRow { of, positive: text_of(&of.positive), negative: text_of(&of.negative), bounds }
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, Value<'_>)> {
        let of = self.of;
        let mut fields = vec![
            ("count", Value::F64(of.count)),
            ("sum", Value::F64(of.sum)),
            ("schema", Value::I64(of.schema.into())),
            ("zero_threshold", Value::F64(of.zero_threshold)),
            ("zero_count", Value::F64(of.zero_count)),
            ("positive", Value::Str(&self.positive)),
            ("negative", Value::Str(&self.negative)),
            ("reset_hint", Value::I64(of.hint.number().into())),
        ];
        if !self.bounds.is_empty() {
            fields.push(("custom_values", Value::Str(&self.bounds)));
        }
        fields
    }
}
