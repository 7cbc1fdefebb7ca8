//! What the rules that put questions to the store into plans have in common: which scan is below, and how a question
//! takes its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::error::Result;
use datafusion::logical_expr::{
    Aggregate as AggregateNode, Expr, LogicalPlan, LogicalPlanBuilder, Projection, TableScan,
};
use tsdb::ScanRequest;

use crate::exec::pushdown::push;
use crate::functions::bucket_calls::unaliased;
use crate::tables::store_table::StoreTable;

/// A name that nothing else has, for a scan that stands for what was asked of a table. The planner takes scans for one
/// that look the same, and does not look at where their rows come from.
pub(super) fn name_of(kind: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{kind}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A scan of a table in the place of an aggregate; the table's columns are those of the aggregate, called by their
/// numbers.
pub(super) fn in_place_of(node: &AggregateNode, kind: &str, table: Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    let (schema, name) = (node.schema.clone(), name_of(kind));
    let scan = LogicalPlanBuilder::scan(&name, provider_as_source(table), None)?.build()?;
    let column = |at: usize| {
        let (qualifier, field) = schema.qualified_field(at);
        let own = Expr::Column(Column::new(Some(TableReference::bare(name.as_str())), at.to_string()));
        own.alias_qualified(qualifier.cloned(), field.name())
    };
    let columns = (0..schema.fields().len()).map(column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(columns, Arc::new(scan), schema)?))
}

/// The columns of such a table.
pub(super) fn schema_of(node: &AggregateNode) -> SchemaRef {
    let fields = node.schema.fields().iter().enumerate();
    let fields = fields.map(|(at, field)| Field::new(at.to_string(), field.data_type().clone(), field.is_nullable()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The scan that gives a plan its columns, under their own names and unchanged.
pub(super) fn scan_below(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => scan_below(&alias.input),
        LogicalPlan::Projection(projection) => {
            let fields = projection.schema.fields().iter();
            let is_own = |(expr, name): (&Expr, &String)| matches!(unaliased(expr), Expr::Column(column) if column.name == *name);
            let all_own = projection.expr.iter().zip(fields.map(|field| field.name())).all(is_own);
            all_own.then(|| scan_below(&projection.input))?
        }
        _ => None,
    }
}

/// The rows that a scan reads, if the store applies all of its filters.
pub(super) fn rows_of(scan: &TableScan, table: &StoreTable) -> Option<ScanRequest> {
    let mut rows = ScanRequest::default();
    for filter in &scan.filters {
        push(filter, &|name| table.kind(name))?.narrow(&mut rows);
    }
    scan.fetch.is_none().then_some(rows)
}
