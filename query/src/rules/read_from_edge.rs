//! `ORDER BY time DESC LIMIT n` reads from the end on, and not everything: finds the sort with its limit, and puts a
//! table in the place of the scan below that gives no more than it takes. Sort and limit stay where they are.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Column;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableScan, TableType};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use tsdb::TIME_COLUMN;

use super::plans::rows_of;
use crate::direct::edge_rows::{Edge, EdgeRows, ROWS_MAX};
use crate::direct::some_rows::SomeRows;
use crate::exec::once_exec::OnceExec;
use crate::functions::bucket_calls::unaliased;
use crate::tables::store_table::StoreTable;

/// Puts tables of first or last rows into plans.
#[derive(Debug)]
pub(crate) struct ReadFromEdge;

impl OptimizerRule for ReadFromEdge {
    fn name(&self) -> &'static str {
        "read_from_edge"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Sort(sort) = &plan else { return Ok(Transformed::no(plan)) };
        let (Some(rows), Some(first)) = (sort.fetch.filter(|rows| *rows <= ROWS_MAX), sort.expr.first()) else {
            return Ok(Transformed::no(plan));
        };
        let Expr::Column(key) = &first.expr else { return Ok(Transformed::no(plan)) };
        let Some(input) = replaced(&sort.input, key, Edge { rows, last: !first.asc })? else {
            return Ok(Transformed::no(plan));
        };
        let sort = datafusion::logical_expr::Sort { input: Arc::new(input), ..sort.clone() };
        Ok(Transformed::yes(LogicalPlan::Sort(sort)))
    }
}

/// The plan with another table below, if the key is the time of the rows of a scan and nothing in between drops rows.
fn replaced(plan: &LogicalPlan, key: &Column, edge: Edge) -> Result<Option<LogicalPlan>> {
    let (below, key) = match plan {
        LogicalPlan::TableScan(scan) if key.name == TIME_COLUMN => return edge_scan(scan, edge),
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(at) = plan.schema().maybe_index_of_column(key) else { return Ok(None) };
            let (qualifier, field) = alias.input.schema().qualified_field(at);
            (&alias.input, Column::new(qualifier.cloned(), field.name()))
        }
        LogicalPlan::Projection(projection) => {
            let own = plan.schema().maybe_index_of_column(key).map(|at| unaliased(&projection.expr[at]));
            let Some(Expr::Column(key)) = own else { return Ok(None) };
            (&projection.input, key.clone())
        }
        _ => return Ok(None),
    };
    let Some(below) = replaced(below, &key, edge)? else { return Ok(None) };
    plan.with_new_exprs(plan.expressions(), vec![below]).map(Some)
}

fn edge_scan(scan: &TableScan, edge: Edge) -> Result<Option<LogicalPlan>> {
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.downcast_ref::<StoreTable>() else { return Ok(None) };
    if rows_of(scan, table).is_none() {
        return Ok(None);
    }
    let table = StoreTable { store: table.store.clone(), info: table.info.clone() };
    let source = provider_as_source(Arc::new(EdgeTable { table, edge }));
    let scan = TableScanBuilder::new(scan.table_name.clone(), source)
        .with_projection(scan.projection.clone())
        .with_filters(scan.filters.clone());
    Ok(Some(LogicalPlan::TableScan(scan.build()?)))
}

/// A table of which only the first or the last rows are given.
#[derive(Debug)]
pub(crate) struct EdgeTable {
    pub table: StoreTable,
    pub edge: Edge,
}

#[async_trait]
impl TableProvider for EdgeTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let request = self.table.request(projection, filters, state.config().target_partitions());
        let rows = SomeRows::new(&self.table, request);
        Ok(Arc::new(OnceExec::new(Arc::new(EdgeRows::new(rows, self.edge)?), None)?))
    }
}
