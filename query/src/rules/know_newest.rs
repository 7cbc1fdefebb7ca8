//! Finds the newest row of every group of tags in plans, as `DISTINCT ON (tag) ... ORDER BY tag, time DESC` becomes it,
//! and as `first_value(.. ORDER BY time DESC)` or `last_value(.. ORDER BY time)` of each column says it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Sort};
use datafusion::logical_expr::{Aggregate as AggregateNode, Expr, LogicalPlan, TableType};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use tsdb::TIME_COLUMN;

use super::plans::{in_place_of, rows_of, scan_below, schema_of};
use crate::direct::newest::Newest;
use crate::exec::once_exec::OnceExec;
use crate::functions::bucket_calls::unaliased;
use crate::tables::store_table::StoreTable;

/// Newest rows as a table.
#[derive(Debug)]
pub(crate) struct NewestTable(pub Newest);

/// Puts newest rows into plans.
#[derive(Debug)]
pub(crate) struct KnowNewest;

impl OptimizerRule for KnowNewest {
    fn name(&self) -> &'static str {
        "know_newest"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(node) = &plan else { return Ok(Transformed::no(plan)) };
        match newest_of(node) {
            Some(newest) => in_place_of(node, "newest", Arc::new(NewestTable(newest))).map(Transformed::yes),
            None => Ok(Transformed::no(plan)),
        }
    }
}

fn newest_of(node: &AggregateNode) -> Option<Newest> {
    let scan = scan_below(&node.input)?;
    let provider = source_as_provider(&scan.source).ok()?;
    let table = provider.downcast_ref::<StoreTable>()?;
    let rows =
        rows_of(scan, table).filter(|rows| (rows.from, rows.to) == (i64::MIN, i64::MAX) && rows.fields.is_empty())?;
    let mut columns = vec![TIME_COLUMN.to_owned()];
    let mut places = Vec::new();
    for expr in &node.group_expr {
        let Expr::Column(column) = unaliased(expr) else { return None };
        if !table.is_tag(&column.name) || columns.contains(&column.name) {
            return None;
        }
        columns.push(column.name.clone());
        places.push(columns.len() - 1);
    }
    let by = columns.len() - 1;
    for expr in &node.aggr_expr {
        let name = of_newest(unaliased(expr), &columns[1..=by])?;
        let place = columns.iter().position(|known| known == name).unwrap_or_else(|| {
            columns.push(name.to_owned());
            columns.len() - 1
        });
        places.push(place);
    }
    let newest = Newest::reading(table, rows, columns, by, schema_of(node), places);
    (newest.places.len() > by).then_some(newest)
}

/// The column whose value in the newest row an aggregate is, in groups of these tags.
fn of_newest<'a>(expr: &'a Expr, by: &[String]) -> Option<&'a str> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    let AggregateFunctionParams { args, distinct: false, filter: None, order_by, null_treatment: None } = params else {
        return None;
    };
    let (newest_first, [Expr::Column(column)]) = (func.name() == "first_value", &args[..]) else { return None };
    if !newest_first && func.name() != "last_value" {
        return None;
    }
    // Within a group its tags are all the same.
    let is_tag = |sort: &&Sort| matches!(&sort.expr, Expr::Column(column) if by.contains(&column.name));
    match order_by.iter().filter(|sort| !is_tag(sort)).collect::<Vec<_>>()[..] {
        [Sort { expr: Expr::Column(time), asc, .. }] if time.name == TIME_COLUMN && *asc != newest_first => {
            Some(&column.name)
        }
        _ => None,
    }
}

#[async_trait]
impl TableProvider for NewestTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(OnceExec::new(Arc::new(self.0.clone()), projection)?))
    }
}
