//! The latest buckets of a summary: `GROUP BY` spans of time, the latest first, up to a limit.
//!
//! Spans of time are read from the end on, each as long as all before together and longer, until there are enough rows.
//! They begin where a bucket begins, so that what was read is whole.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use tsdb::{AggregateRequest, Bucket, Buckets};

use crate::direct::summary::{Folding, Summary};
use crate::exec::once_exec::Once;

/// By how much a span is longer than the one before.
const GROWTH: i64 = 16;

/// A summary of which the latest buckets are wanted.
#[derive(Debug)]
pub(crate) struct Latest {
    summary: Summary,
    bucket: Bucket,
    /// How many rows are enough.
    rows: usize,
    warnings: Mutex<Vec<String>>,
}

impl Latest {
    /// The latest buckets, with so many rows in all or more, if there are; nothing if the summary has no buckets of
    /// equal length.
    pub(crate) fn of(summary: &Summary, rows: usize) -> Option<Latest> {
        let Some(Buckets::Equal(bucket)) = summary.request.bucket else { return None };
        (rows > 0).then(|| Latest { summary: summary.clone(), bucket, rows, warnings: Mutex::default() })
    }

    /// The summary of what is in the latest buckets.
    fn within(&self, from: i64, to: i64) -> Result<Folding> {
        let mut summary = self.summary.clone();
        (summary.request.rows.from, summary.request.rows.to) = (from, to);
        let aggregation = Arc::new(summary.start()?);
        Ok(Folding { summary, aggregation })
    }

    /// The last time that there may be rows of.
    fn end(&self) -> Option<i64> {
        let Summary { store, schema_name, table, request, .. } = &self.summary;
        let parts = store.parts().into_iter().filter(|part| part.schema == *schema_name && part.table == *table);
        parts.map(|part| part.times.1).max().map(|newest| newest.min(request.rows.to))
    }
}

#[async_trait]
impl Once for Latest {
    fn name(&self) -> &'static str {
        "LatestExec"
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AggregateRequest { by, .. } = &self.summary.request;
        write!(f, "table={}, by=[{}], rows={}", self.summary.table, by.join(", "), self.rows)
    }

    fn schema(&self) -> SchemaRef {
        self.summary.schema.clone()
    }

    async fn rows(&self, context: &TaskContext) -> Result<RecordBatch> {
        let from = self.summary.request.rows.from;
        let Some(end) = self.end() else { return Ok(RecordBatch::new_empty(self.schema())) };
        let Bucket { width_ns, origin_ns } = self.bucket;
        let mut buckets = i64::try_from(self.rows).unwrap_or(i64::MAX);
        loop {
            let start = i128::from(end) - (i128::from(end) - i128::from(origin_ns)).rem_euclid(width_ns.into());
            let start = start - (i128::from(buckets) - 1) * i128::from(width_ns);
            let is_whole = start <= from.into();
            let folding = self.within(if is_whole { from } else { start as i64 }, end)?;
            let batch = folding.rows(context).await?;
            if is_whole || batch.num_rows() >= self.rows {
                *self.warnings.lock().unwrap_or_else(PoisonError::into_inner) = folding.warnings();
                return Ok(batch);
            }
            buckets = buckets.saturating_mul(GROWTH);
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
