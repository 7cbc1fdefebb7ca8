//! A measurement as a DataFusion table.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use tsdb::{FieldType, ScanRequest, Store, TIME_COLUMN, TableInfo};

use crate::exec::pushdown::{ColumnKind, push};
use crate::exec::scan_exec::ScanExec;

/// One table, with its columns as they were when the statement was planned.
#[derive(Debug)]
pub(crate) struct StoreTable {
    pub store: Arc<Store>,
    pub info: TableInfo,
}

impl StoreTable {
    pub(crate) fn is_tag(&self, name: &str) -> bool {
        self.info.tags.iter().any(|tag| tag == name)
    }

    /// What a scan of it asks the store for.
    pub(crate) fn request(&self, projection: Option<&Vec<usize>>, filters: &[Expr], partitions: usize) -> ScanRequest {
        let name = |index: &usize| self.info.columns.field(*index).name().clone();
        let all: Vec<usize> = (0..self.info.columns.fields().len()).collect();
        let columns = Some(projection.unwrap_or(&all).iter().map(name).collect());
        let mut request = ScanRequest { columns, partitions, ..ScanRequest::default() };
        for pushed in filters.iter().filter_map(|filter| push(filter, &|name| self.kind(name))) {
            pushed.narrow(&mut request);
        }
        request
    }

    /// What a column of this name is.
    pub(crate) fn kind(&self, name: &str) -> ColumnKind {
        match self.field_type(name) {
            _ if self.is_tag(name) => ColumnKind::Tag,
            Some(kind) => ColumnKind::Field(kind),
            None => ColumnKind::Other,
        }
    }

    /// The type of a field, if it is one.
    pub(crate) fn field_type(&self, name: &str) -> Option<FieldType> {
        let column =
            self.info.columns.field_with_name(name).ok().filter(|_| name != TIME_COLUMN && !self.is_tag(name))?;
        FieldType::of(column.data_type())
    }
}

#[async_trait]
impl TableProvider for StoreTable {
    fn schema(&self) -> SchemaRef {
        self.info.columns.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match push(filter, &|name| self.kind(name)) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let request = self.request(projection, filters, state.config().target_partitions());
        let scan = self.store.scan(&self.info.schema, &self.info.name, &request);
        let scan = scan.map_err(|error| DataFusionError::External(error.into()))?;
        Ok(Arc::new(ScanExec::new(self.info.name.clone(), request, limit, scan, None)))
    }
}
