//! The value of the row before, in the same series, as one column more of a scan (`rules/lag_in_scan.rs` says when).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array, new_null_array,
};
use arrow::compute::{filter_record_batch, interleave, prep_null_mask_filter, take, take_record_batch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, UInt32Type};
use datafusion::common::{exec_err, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use tsdb::{Scan, Untagged};

/// How rows become those of the answer.
#[derive(Debug)]
pub(crate) struct Lag {
    /// The tags that tell series apart.
    pub partition: Vec<String>,
    /// What has to hold of a row, as far as the one before has nothing to do with it; and the rest.
    pub on_row: Option<Arc<dyn PhysicalExpr>>,
    pub on_lag: Option<Arc<dyn PhysicalExpr>>,
    /// The columns that are read, of which the first is the one that lags behind, without tags; and the lagging one.
    pub with_lag: SchemaRef,
    /// The columns of the answer.
    pub schema: SchemaRef,
}

/// The last value of each series so far, in an array of last values; of each partition, the series that it is.
#[derive(Debug, Default)]
pub(crate) struct Before {
    values: HashMap<u32, (ArrayRef, usize)>,
    partitions: HashMap<Vec<Option<usize>>, u32>,
}

impl Lag {
    /// The answer's batch; rows of a series come in the order of time.
    pub(crate) fn apply(&self, scan: &Scan, rows: &Untagged, before: &mut Before) -> Result<RecordBatch> {
        let Untagged { series, batch } = rows;
        let picks: Vec<usize> = match &self.on_row {
            None => (0..batch.num_rows()).collect(),
            Some(condition) => holding(condition, batch)?.values().set_indices().collect(),
        };
        let lagging = self.lagging(scan, rows, &picks, before)?;
        let rows = UInt64Array::from_iter_values(picks.iter().map(|row| *row as u64));
        let mut columns = take_record_batch(batch, &rows)?.columns().to_vec();
        columns.extend([lagging, Arc::new(take(&UInt32Array::new(series.clone(), None), &rows, None)?)]);
        let with_series =
            self.with_lag.fields().iter().cloned().chain([Arc::new(Field::new("", DataType::UInt32, false))]);
        let mut whole = RecordBatch::try_new(Arc::new(Schema::new(with_series.collect::<Vec<_>>())), columns)?;
        if let Some(condition) = &self.on_lag {
            whole = filter_record_batch(&whole, &holding(condition, &whole)?)?;
        }
        let series = whole.column(whole.num_columns() - 1).as_primitive::<UInt32Type>().values();
        let column = |field: &Arc<Field>| match self.with_lag.index_of(field.name()) {
            Ok(place) => Some(whole.column(place).clone()),
            Err(_) => scan.tag(field.name(), series),
        };
        let columns: Option<Vec<ArrayRef>> = self.schema.fields().iter().map(column).collect();
        let columns =
            columns.ok_or_else(|| internal_datafusion_err!("a column that lags behind is not of the table"))?;
        let options = RecordBatchOptions::new().with_row_count(Some(whole.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// The values of the rows before some rows, which are in order.
    fn lagging(&self, scan: &Scan, rows: &Untagged, picks: &[usize], before: &mut Before) -> Result<ArrayRef> {
        let values = rows.batch.column(0);
        let ends = rows.runs().scan(0, |end, run| {
            *end += run.len() as u64;
            Some(*end)
        });
        let ends: Vec<u64> = ends.collect();
        let lasts = take(values, &UInt64Array::from_iter_values(ends.iter().map(|end| end - 1)), None)?;
        // What came before the first row of each run, and for each row which of these arrays has its value, and where.
        let mut firsts: Vec<ArrayRef> = vec![values.clone(), new_null_array(values.data_type(), 1)];
        let (mut places, mut rest, mut start) = (Vec::with_capacity(picks.len()), picks, 0);
        for (at, (run, end)) in rows.runs().zip(ends).enumerate() {
            let last = before.values.insert(run[0], (lasts.clone(), at));
            if last.is_none() {
                self.must_be_alone(scan, run[0], &mut before.partitions)?;
            }
            let (own, others) = rest.split_at(rest.partition_point(|row| *row < end as usize));
            rest = others;
            let first = own.first() == Some(&start);
            places.extend(first.then(|| match last {
                Some((values, at)) => {
                    firsts.push(values);
                    (firsts.len() - 1, at)
                }
                None => (1, 0),
            }));
            places.extend(own[usize::from(first)..].iter().map(|row| (0, row - 1)));
            start = end as usize;
        }
        Ok(interleave(&firsts.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &places)?)
    }

    /// Refuses a series that is not the only one in its partition.
    fn must_be_alone(&self, scan: &Scan, series: u32, known: &mut HashMap<Vec<Option<usize>>, u32>) -> Result<()> {
        let tags = self.partition.iter().filter_map(|tag| scan.tag(tag, &[series]));
        let values = tags.map(|tag| tag.as_dictionary::<Int32Type>().key(0)).collect();
        match known.insert(values, series) {
            None => Ok(()),
            Some(_) => exec_err!(
                "a series came to one that was alone in its PARTITION BY while the query was planned; ask again"
            ),
        }
    }
}

/// The rows of a batch for which something holds.
fn holding(condition: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let holds = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    let holds = holds.as_boolean();
    Ok(if holds.null_count() == 0 { holds.clone() } else { prep_null_mask_filter(holds) })
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("with the row before")?;
        let conditions: Vec<String> = self.on_row.iter().chain(&self.on_lag).map(ToString::to_string).collect();
        if conditions.is_empty() { Ok(()) } else { write!(f, " where {}", conditions.join(" AND ")) }
    }
}
