//! Aggregates that the store answers in its scan: no batch of rows is made, groups are folded where pages are decoded.
//!
//! Groups by tags and by spans of time; counts, sums, means, extremes, edges and percentiles of fields.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use tsdb::{Aggregate, AggregateRequest, Aggregation, Bucket, Buckets, Groups, Store};

use crate::exec::once_exec::Once;
use crate::exec::parallel::{Leave, read_partitions};
use crate::exec::scan_exec::request_text;
use crate::tables::store_table::StoreTable;

/// Groups of one table, as the store makes them.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub store: Arc<Store>,
    pub schema_name: String,
    pub table: String,
    pub request: AggregateRequest,
    /// The columns of the answer: those of the plan, called by their numbers.
    pub schema: SchemaRef,
    /// For each of them, its place in what the store gives: the bucket if there is one, the tags, the aggregates.
    places: Vec<usize>,
}

impl Summary {
    /// What is asked of a table, as columns in an order of their own.
    pub(crate) fn new(table: &StoreTable, request: AggregateRequest, schema: SchemaRef, places: Vec<usize>) -> Summary {
        let StoreTable { store, info } = table;
        let (store, schema_name, table) = (store.clone(), info.schema.clone(), info.name.clone());
        Summary { store, schema_name, table, request, schema, places }
    }

    /// Is this column the start of the bucket?
    pub(crate) fn is_bucket(&self, column: usize) -> bool {
        self.request.bucket.is_some() && self.places[column] == 0
    }

    /// Begins to read.
    pub(crate) fn start(&self) -> Result<Aggregation> {
        let aggregation = self.store.aggregate(&self.schema_name, &self.table, &self.request);
        aggregation.map_err(|error| DataFusionError::External(error.into()))
    }

    /// The groups as rows of the summary.
    pub(crate) fn batch(&self, aggregation: &Aggregation, groups: &Groups) -> Result<RecordBatch> {
        let given = aggregation.finish(groups).map_err(|error| DataFusionError::External(error.into()))?;
        let columns = self.places.iter().map(|place| given.column(*place).clone()).collect();
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// A summary over a snapshot of its table.
#[derive(Debug)]
pub(crate) struct Folding {
    pub summary: Summary,
    pub aggregation: Arc<Aggregation>,
}

#[async_trait]
impl Once for Folding {
    fn name(&self) -> &'static str {
        "SummaryExec"
    }

    /// `table=cpu, bucket=1m, by=[hostname], aggregates=[max(usage_user)], time=...`
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AggregateRequest { rows, bucket, by, aggregates } = &self.summary.request;
        write!(f, "table={}", self.summary.table)?;
        if let Some(bucket) = bucket {
            match bucket {
                Buckets::Equal(Bucket { width_ns, .. }) => {
                    write!(f, ", bucket={:?}", std::time::Duration::from_nanos(*width_ns as u64))?;
                }
                Buckets::Calendar(calendar) => write!(f, ", bucket={}", calendar.name)?,
            }
        }
        let text = |aggregate: &Aggregate| {
            format!("{:?}({})", aggregate.function, aggregate.field.as_deref().unwrap_or("*")).to_lowercase()
        };
        let aggregates: Vec<String> = aggregates.iter().map(text).collect();
        write!(f, ", by=[{}], aggregates=[{}]{}", by.join(", "), aggregates.join(", "), request_text(rows))?;
        let rollups = self.aggregation.rollups();
        let rollups =
            rollups.iter().map(|(name, days)| format!("{name} of {days} day{}", if *days == 1 { "" } else { "s" }));
        let rollups: Vec<String> = rollups.collect();
        if rollups.is_empty() { Ok(()) } else { write!(f, ", rollups=[{}]", rollups.join(", ")) }
    }

    fn schema(&self) -> SchemaRef {
        self.summary.schema.clone()
    }

    async fn rows(&self, context: &TaskContext) -> Result<RecordBatch> {
        let groups = fold_all(self.aggregation.clone(), context).await?;
        self.summary.batch(&self.aggregation, &groups)
    }

    fn warnings(&self) -> Vec<String> {
        self.aggregation.warnings()
    }
}

/// Folds all partitions of an aggregation, within the query's memory.
async fn fold_all(aggregation: Arc<Aggregation>, context: &TaskContext) -> Result<Groups> {
    let own = aggregation.clone();
    let fold = move |partition: usize, leave: &Leave| -> Result<Groups> {
        let refused = std::cell::Cell::new(None);
        let go_on = |bytes: usize| leave.ask(bytes).map_err(|error| refused.set(Some(error))).is_ok();
        let groups = own.fold(partition, go_on).map_err(|error| DataFusionError::External(error.into()))?;
        groups.ok_or_else(|| refused.take().expect("only a refusal ends it early"))
    };
    let parts = read_partitions((aggregation.partitions(), aggregation.rows_max()), context, fold).await?;
    let merged = parts.into_iter().reduce(|mut all, groups| {
        all.merge(groups);
        all
    });
    Ok(merged.expect("a scan has partitions"))
}
