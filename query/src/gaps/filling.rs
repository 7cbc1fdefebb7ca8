//! Gaps filled: the rows of groups, sorted by group and bucket, with those of the gaps between them.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Float64Array, PrimitiveArray, RecordBatch, TimestampNanosecondArray,
    UInt32Array,
};
use arrow::compute::{cast, partition, take};
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimestampNanosecondType, UInt64Type};
use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};

use crate::base::calendar::Buckets;
use crate::functions::time_bucket::gapfill_name;

/// Rows of an answer with its gaps filled.
const ROWS_MAX: usize = 10_000_000;

/// What a gap gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub(super) enum Fill {
    Last,
    Line,
}

/// What is filled: the columns of the input, then a filled copy of some.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Filling {
    /// The column of the bucket's start, and those that rows of one group share.
    pub bucket: usize,
    pub groups: Vec<usize>,
    pub copies: Vec<(usize, Fill)>,
    pub buckets: Buckets,
    /// The first and the last time of the span.
    pub span: Option<(i64, i64)>,
}

/// Where the rows of an answer come from.
#[derive(Default)]
struct Places {
    starts: Vec<i64>,
    /// The row of the bucket, if it is no gap.
    rows: Vec<Option<u32>>,
    /// A row of the group.
    group_rows: Vec<Option<u32>>,
    /// Where each group begins in the answer.
    groups: Vec<usize>,
}

impl Filling {
    /// The rows, sorted by group and bucket, with those of the gaps between them.
    pub(super) fn fill(&self, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        let places = self.places(rows)?;
        let (own, of_group) = (UInt32Array::from(places.rows.clone()), UInt32Array::from(places.group_rows.clone()));
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for (at, column) in rows.columns().iter().enumerate() {
            columns.push(if at == self.bucket {
                let starts = TimestampNanosecondArray::from(places.starts.clone());
                cast(&starts, &DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None))
                    .and_then(|starts| cast(&starts, column.data_type()))?
            } else {
                take(column, if self.groups.contains(&at) { &of_group } else { &own }, None)?
            });
        }
        for (column, fill) in &self.copies {
            let given = columns[*column].clone();
            columns.push(match fill {
                Fill::Last => places.carry(&given)?,
                Fill::Line => places.line(&given)?,
            });
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }

    fn places(&self, rows: &RecordBatch) -> Result<Places> {
        let (from, to) = self.span.ok_or_else(|| DataFusionError::Internal("gaps without a span".into()))?;
        let starts = rows.column(self.bucket).as_primitive::<TimestampNanosecondType>().values();
        let groups: Vec<ArrayRef> = self.groups.iter().map(|at| rows.column(*at).clone()).collect();
        let ranges = match groups.as_slice() {
            // Without groups, there are buckets even where there is no row.
            [] => std::iter::once(0..rows.num_rows()).collect(),
            _ if rows.num_rows() == 0 => Vec::new(),
            groups => partition(groups)?.ranges(),
        };
        let mut places = Places::default();
        for range in ranges {
            places.groups.push(places.starts.len());
            let of_group = (!range.is_empty()).then_some(range.start as u32);
            let mut row = range.start;
            let mut bucket = self.buckets.start(from);
            loop {
                let wanted = (bucket <= to && from <= to).then_some(bucket);
                // A row counts wherever it is: one off the grid, or out of the span, stands between the others.
                let own =
                    (row < range.end).then(|| starts[row]).filter(|own| wanted.is_none_or(|wanted| *own <= wanted));
                let Some(start) = own.or(wanted) else { break };
                places.starts.push(start);
                places.rows.push(own.map(|_| row as u32));
                places.group_rows.push(of_group);
                row += usize::from(own.is_some());
                if places.starts.len() > ROWS_MAX {
                    return exec_err!(
                        "{}: there are over {ROWS_MAX} buckets; expected a shorter span, wider buckets or fewer groups",
                        gapfill_name()
                    );
                }
                if wanted == Some(start) {
                    match self.buckets.next(bucket) {
                        next if next > bucket => bucket = next,
                        // The end of time.
                        _ => break,
                    }
                }
            }
        }
        places.groups.push(places.starts.len());
        Ok(places)
    }
}

impl Places {
    /// The column with its last value before a gap in the gap.
    fn carry(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let mut sources: Vec<Option<u32>> = Vec::with_capacity(column.len());
        for group in self.groups.windows(2) {
            let mut last = None;
            for row in group[0]..group[1] {
                last = if column.is_valid(row) { Some(row as u32) } else { last };
                sources.push(last);
            }
        }
        Ok(take(column, &UInt32Array::from(sources), None)?)
    }

    /// The column with a straight line over each gap between two values. Whole numbers are exact, and rounded.
    fn line(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match column.data_type() {
            DataType::Int64 => Ok(self.whole_line(column.as_primitive::<Int64Type>())),
            DataType::UInt64 => Ok(self.whole_line(column.as_primitive::<UInt64Type>())),
            kind if kind.is_integer() => Ok(cast(&self.line(&cast(column, &DataType::Int64)?)?, kind)?),
            kind => {
                let numbers = cast(column, &DataType::Float64)?;
                let numbers = numbers.as_primitive::<Float64Type>();
                let line =
                    |low: f64, high: f64, part: i128, length: i128| low + (high - low) * (part as f64 / length as f64);
                let filled: Float64Array = self.drawn(numbers, line).into();
                Ok(cast(&filled, kind)?)
            }
        }
    }

    fn whole_line<P>(&self, numbers: &PrimitiveArray<P>) -> ArrayRef
    where
        P: ArrowPrimitiveType<Native: Into<i128> + TryFrom<i128>>,
    {
        let line = |low: P::Native, high: P::Native, part: i128, length: i128| {
            let (low, rise) = (low.into(), high.into() - low.into());
            // A half is rounded away from zero.
            let (whole, rest) = (rise / length * part, rise % length * part);
            let twice = 2 * rest;
            let rounded = (twice.abs() + length) / (2 * length) * twice.signum();
            P::Native::try_from(low + whole + rounded).unwrap_or_default()
        };
        Arc::new(self.drawn(numbers, line).into_iter().collect::<PrimitiveArray<P>>())
    }

    /// The values with those of gaps, from the two beside the gap, and which part of its length the gap has until
    /// there.
    fn drawn<P: ArrowPrimitiveType>(
        &self,
        numbers: &PrimitiveArray<P>,
        line: impl Fn(P::Native, P::Native, i128, i128) -> P::Native,
    ) -> Vec<Option<P::Native>> {
        let mut filled: Vec<Option<P::Native>> = numbers.iter().collect();
        for group in self.groups.windows(2) {
            let mut before: Option<usize> = None;
            for row in (group[0]..group[1]).filter(|row| numbers.is_valid(*row)) {
                if let Some(before) = before {
                    let since = |at: usize| i128::from(self.starts[at]) - i128::from(self.starts[before]);
                    let (low, high) = (numbers.value(before), numbers.value(row));
                    for (at, value) in filled[before + 1..row].iter_mut().enumerate() {
                        *value = Some(line(low, high, since(before + 1 + at), since(row)));
                    }
                }
                before = Some(row);
            }
        }
        filled
    }
}
