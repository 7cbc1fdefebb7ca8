//! Answers without a plan: what a statement of the subset (`subset.rs`) asks the store for, and what is done with what
//! it gives: columns put in order, rows sorted and cut off.

use std::sync::Arc;

use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use tsdb::ScanRequest;

use crate::direct::edge_rows::{Edge, EdgeRows};
use crate::direct::latest::Latest;
use crate::direct::newest::Newest;
use crate::direct::some_rows::SomeRows;
use crate::direct::summary::{Folding, Summary};
use crate::exec::once_exec::Once;
use crate::exec::zeros::key as key_of;

/// What the store is asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    Summary(Summary),
    Newest(Newest),
    Rows(SomeRows),
    Edge(SomeRows, Edge),
}

/// What a statement wants.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub asked: Asked,
    /// The columns of the answer, by their numbers in what is asked.
    pub columns: Vec<usize>,
    pub schema: SchemaRef,
    /// Numbers of columns of the answer.
    pub sort: Vec<(usize, SortOptions)>,
    pub skip: usize,
    /// How many rows are wanted, with those that are passed over.
    pub fetch: Option<usize>,
}

/// A statement that is ready to be answered.
#[derive(Debug)]
pub(crate) struct Direct {
    pub once: Arc<dyn Once>,
    /// How many values are read at the most.
    values_max: usize,
    columns: Vec<usize>,
    schema: SchemaRef,
    sort: Vec<(usize, SortOptions)>,
    skip: usize,
    fetch: Option<usize>,
}

impl Asked {
    fn rows(&mut self) -> &mut ScanRequest {
        match self {
            Asked::Summary(summary) => &mut summary.request.rows,
            Asked::Newest(newest) => &mut newest.rows,
            Asked::Rows(rows) | Asked::Edge(rows, _) => &mut rows.request,
        }
    }

    /// Begins to read: what gives the rows, and how many values are read for them at the most. Nothing if there are too
    /// many for this way.
    fn start(self) -> Result<Option<(Arc<dyn Once>, usize)>> {
        Ok(match self {
            Asked::Summary(summary) => {
                let aggregation = Arc::new(summary.start()?);
                let values = aggregation.rows_max() * (summary.request.aggregates.len() + 1);
                Some((Arc::new(Folding { summary, aggregation }), values))
            }
            Asked::Newest(newest) => Some((Arc::new(newest), 0)),
            Asked::Rows(rows) => rows.start()?.map(|(rows, values)| (Arc::new(rows) as _, values)),
            // How much there is to read shows on the way.
            Asked::Edge(rows, edge) => Some((Arc::new(EdgeRows::new(rows, edge)?), usize::MAX)),
        })
    }
}

impl Wanted {
    /// Begins to read; nothing if there is too much to read at once.
    pub(crate) fn start(mut self, partitions: usize) -> Result<Option<Direct>> {
        self.asked.rows().partitions = partitions;
        let latest = self.latest();
        let Wanted { asked, columns, schema, sort, skip, fetch } = self;
        let started = match latest {
            // How much there is to read shows on the way.
            Some(latest) => Some((Arc::new(latest) as _, usize::MAX)),
            None => asked.start()?,
        };
        Ok(started.map(|(once, values_max)| Direct { once, values_max, columns, schema, sort, skip, fetch }))
    }

    /// Of a summary, the latest buckets, if no more are wanted.
    fn latest(&self) -> Option<Latest> {
        let (Asked::Summary(summary), Some(rows), [(column, order), ..]) = (&self.asked, self.fetch, &self.sort[..])
        else {
            return None;
        };
        let is_latest_first = order.descending && summary.is_bucket(self.columns[*column]);
        is_latest_first.then(|| Latest::of(summary, rows))?
    }
}

impl Direct {
    /// The columns of the answer.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Is so little to read that another thread is not worth it?
    pub(crate) fn is_small(&self) -> bool {
        const VALUES_MAX: usize = 100_000;
        self.values_max <= VALUES_MAX
    }

    /// The answer.
    pub(crate) async fn run(&self, context: &TaskContext) -> Result<RecordBatch> {
        let Direct { columns, schema, sort, skip, fetch, .. } = self;
        let given = self.once.rows(context).await?;
        let columns = columns.iter().map(|at| given.column(*at).clone()).collect();
        let mut batch = RecordBatch::try_new(schema.clone(), columns)?;
        if !sort.is_empty() && batch.num_rows() > 1 {
            let key = |(at, options): &(usize, SortOptions)| SortColumn {
                values: key_of(batch.column(*at)),
                options: Some(*options),
            };
            let keys: Vec<SortColumn> = sort.iter().map(key).collect();
            batch = take_record_batch(&batch, &lexsort_to_indices(&keys, *fetch)?)?;
        }
        let first = (*skip).min(batch.num_rows());
        let last = fetch.unwrap_or(usize::MAX).min(batch.num_rows()).max(first);
        Ok(batch.slice(first, last - first))
    }
}
