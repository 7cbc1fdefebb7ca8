//! Some rows of a table, by conditions: for statements that need no plan, if there is little to read.

use std::fmt;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use tsdb::{Scan, ScanRequest, Store};

use crate::exec::once_exec::Once;
use crate::exec::scan_exec::request_text;
use crate::tables::store_table::StoreTable;

/// More values are better read as a stream, by a plan.
const VALUES_MAX: usize = 1_000_000;

/// Which rows.
#[derive(Debug, Clone)]
pub(crate) struct SomeRows {
    pub store: Arc<Store>,
    pub schema_name: String,
    pub table: String,
    pub request: ScanRequest,
}

/// The rows in a snapshot of the table.
#[derive(Debug)]
pub(crate) struct SomeRowsRead {
    rows: SomeRows,
    scan: Scan,
}

impl SomeRows {
    pub(crate) fn new(table: &StoreTable, request: ScanRequest) -> SomeRows {
        SomeRows {
            store: table.store.clone(),
            schema_name: table.info.schema.clone(),
            table: table.info.name.clone(),
            request,
        }
    }

    /// A scan of the table.
    pub(crate) fn scan(&self, request: &ScanRequest) -> Result<Scan> {
        let scan = self.store.scan(&self.schema_name, &self.table, request);
        scan.map_err(|error| DataFusionError::External(error.into()))
    }

    /// Begins to read; nothing if there is too much to read.
    pub(crate) fn start(mut self) -> Result<Option<(SomeRowsRead, usize)>> {
        self.request.partitions = 1;
        let scan = self.scan(&self.request)?;
        let values = scan.rows_max().saturating_mul(scan.schema().fields().len().max(1));
        Ok((values <= VALUES_MAX).then(|| (SomeRowsRead { rows: self, scan }, values)))
    }
}

#[async_trait]
impl Once for SomeRowsRead {
    fn name(&self) -> &'static str {
        "SomeRows"
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table={}{}", self.rows.table, request_text(&self.rows.request))
    }

    fn schema(&self) -> SchemaRef {
        self.scan.schema()
    }

    async fn rows(&self, _: &TaskContext) -> Result<RecordBatch> {
        let mut batches = Vec::new();
        for batch in self.scan.read_all() {
            let batch = batch.map_err(|error| DataFusionError::External(error.into()))?;
            batches.push(batch);
        }
        Ok(concat_batches(&self.scan.schema(), &batches)?)
    }

    fn warnings(&self) -> Vec<String> {
        self.scan.warnings()
    }
}
