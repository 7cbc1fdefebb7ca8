//! The first or the last rows by time: spans of time are read from the edge on, each longer than the one before, until
//! there are enough rows.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{SchemaRef, TimestampNanosecondType};
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use tsdb::{Scan, ScanRequest, TIME_COLUMN};

use crate::direct::some_rows::SomeRows;
use crate::exec::once_exec::Once;
use crate::exec::parallel::{Leave, read_partitions};
use crate::exec::scan_exec::request_text;

/// For more rows than this the plan streams and sorts.
pub(crate) const ROWS_MAX: usize = 100_000;
/// As few rows are read at once, without looking for an edge.
const ALL_ROWS_MAX: usize = 20_000;
/// When more rows than this, and than four times those that are wanted, have been read, those that cannot be among them
/// are dropped.
const PRUNE_ROWS: usize = 64 * 1024;
/// By how much a span is longer than the one before.
const GROWTH: i64 = 16;

/// How many rows are wanted, the last by time or the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub rows: usize,
    pub last: bool,
}

/// The first or the last rows of a table.
#[derive(Debug)]
pub(crate) struct EdgeRows {
    rows: SomeRows,
    edge: Edge,
    schema: SchemaRef,
    warnings: Mutex<Vec<String>>,
}

impl EdgeRows {
    pub(crate) fn new(rows: SomeRows, edge: Edge) -> Result<EdgeRows> {
        let schema = rows.scan(&rows.request)?.schema();
        Ok(EdgeRows { rows, edge, schema, warnings: Mutex::default() })
    }

    /// The earliest and the latest time that there may be rows of.
    fn times(&self) -> Option<(i64, i64)> {
        let SomeRows { store, schema_name, table, request, .. } = &self.rows;
        let parts = store.parts().into_iter().filter(|part| part.schema == *schema_name && part.table == *table);
        let times: Vec<(i64, i64)> = parts.map(|part| part.times).collect();
        let first = times.iter().map(|(first, _)| *first).min()?.max(request.from);
        let last = times.iter().map(|(_, last)| *last).max()?.min(request.to);
        (first <= last).then_some((first, last))
    }

    /// So much time from the edge on.
    fn span(&self, (first, last): (i64, i64), length: i64) -> (i64, i64) {
        match self.edge.last {
            true => (last.saturating_sub(length).max(first), last),
            false => (first, first.saturating_add(length).min(last)),
        }
    }
}

impl Edge {
    /// Drops rows that cannot be among those that are wanted; rows of one time stay together, as more than the time may
    /// be sorted by.
    fn prune(self, batches: &mut Vec<RecordBatch>) -> Result<()> {
        let time = |batch: &RecordBatch| {
            let column = batch.column_by_name(TIME_COLUMN).expect("rows are sorted by it");
            column.as_primitive::<TimestampNanosecondType>().clone()
        };
        let mut times: Vec<i64> = batches.iter().flat_map(|batch| time(batch).values().to_vec()).collect();
        let Some(place) = self.rows.checked_sub(1).filter(|place| *place < times.len()) else { return Ok(()) };
        let edge = match self.last {
            true => *times.select_nth_unstable_by(place, |a, b| b.cmp(a)).1,
            false => *times.select_nth_unstable(place).1,
        };
        let is_wanted = |time: &i64| if self.last { *time >= edge } else { *time <= edge };
        for batch in batches.iter_mut() {
            let wanted: BooleanArray = time(batch).values().iter().map(|time| Some(is_wanted(time))).collect();
            *batch = filter_record_batch(batch, &wanted)?;
        }
        batches.retain(|batch| batch.num_rows() > 0);
        Ok(())
    }
}

/// Reads a scan as far as an edge needs it, within the query's memory.
async fn read(scan: Scan, edge: Edge, context: &TaskContext) -> Result<(Vec<RecordBatch>, Vec<String>)> {
    let scan = Arc::new(scan);
    let own = scan.clone();
    let read = move |partition: usize, leave: &Leave| -> Result<Vec<RecordBatch>> {
        let (mut batches, mut rows) = (Vec::new(), 0);
        for batch in own.read(partition) {
            let batch = batch.map_err(|error| DataFusionError::External(error.into()))?;
            rows += batch.num_rows();
            batches.push(batch);
            if rows > 4 * edge.rows + PRUNE_ROWS {
                edge.prune(&mut batches)?;
                rows = batches.iter().map(RecordBatch::num_rows).sum();
            }
            leave.ask(batches.iter().map(RecordBatch::get_array_memory_size).sum())?;
        }
        Ok(batches)
    };
    let batches = read_partitions((scan.partitions(), scan.rows_max()), context, read).await?;
    Ok((batches.into_iter().flatten().collect(), scan.warnings()))
}

#[async_trait]
impl Once for EdgeRows {
    fn name(&self) -> &'static str {
        "EdgeRowsExec"
    }

    /// `table=probe, last=10, tags=[...]`
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Edge { rows, last }, SomeRows { table, request, .. }) = (self.edge, &self.rows);
        let columns = request.columns.as_deref().unwrap_or_default().join(", ");
        let edge = if last { "last" } else { "first" };
        write!(f, "table={table}, {edge}={rows}, columns=[{columns}]{}", request_text(request))
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn rows(&self, context: &TaskContext) -> Result<RecordBatch> {
        let Some(times) = self.times() else { return Ok(RecordBatch::new_empty(self.schema())) };
        let all = times.1.saturating_sub(times.0);
        let rows_max =
            self.rows.scan(&ScanRequest { from: times.0, to: times.1, ..self.rows.request.clone() })?.rows_max();
        // As if rows were spread evenly; they are not, so somewhat more.
        let part = (self.edge.rows as f64 * 2.0 + 1.0) / rows_max.max(1) as f64;
        let mut length = if rows_max <= ALL_ROWS_MAX { all } else { (all as f64 * part).min(all as f64) as i64 };
        loop {
            let (from, to) = self.span(times, length);
            let scan = self.rows.scan(&ScanRequest { from, to, ..self.rows.request.clone() })?;
            let (batches, warnings) = read(scan, self.edge, context).await?;
            let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
            if found >= self.edge.rows || length >= all {
                *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = warnings;
                return Ok(concat_batches(&self.schema, &batches)?);
            }
            length = length.saturating_mul(GROWTH).max(1_000_000_000).min(all);
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
