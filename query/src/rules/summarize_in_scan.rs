//! Takes `GROUP BY` over one table out of a plan, if the store can do all of it, and puts the scan of a
//! [`SummaryTable`] in its place: groups by tags and by spans of time of equal length; counts, sums, means, extremes
//! and percentiles of fields.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, NullTreatment};
use datafusion::logical_expr::{Aggregate as AggregateNode, Cast, Expr, LogicalPlan, TableType};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use tsdb::{Aggregate, AggregateRequest, FieldType, Function, TIME_COLUMN};

use super::plans::{in_place_of, rows_of, scan_below, schema_of};
use crate::direct::summary::{Folding, Summary};
use crate::exec::once_exec::OnceExec;
use crate::functions::bucket_calls::{bucket_of, is_time, unaliased};
use crate::tables::store_table::StoreTable;

/// A summary as a table.
#[derive(Debug)]
pub(crate) struct SummaryTable(pub Summary);

/// Puts summaries into plans.
#[derive(Debug)]
pub(crate) struct SummarizeInScan;

impl OptimizerRule for SummarizeInScan {
    fn name(&self) -> &'static str {
        "summarize_in_scan"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(node) = &plan else { return Ok(Transformed::no(plan)) };
        match summary_of(node) {
            Some(summary) => in_place_of(node, "summary", Arc::new(SummaryTable(summary))).map(Transformed::yes),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// The aggregate as a summary, if the store can do all of it.
fn summary_of(node: &AggregateNode) -> Option<Summary> {
    let scan = scan_below(&node.input)?;
    let provider = source_as_provider(&scan.source).ok()?;
    let table = provider.downcast_ref::<StoreTable>()?;
    let rows = rows_of(scan, table)?;
    let (mut bucket, mut by, mut places) = (None, Vec::new(), Vec::new());
    for expr in &node.group_expr {
        match unaliased(expr) {
            Expr::Column(column) if table.is_tag(&column.name) && !by.contains(&column.name) => {
                by.push(column.name.clone());
                places.push(Some(by.len() - 1));
            }
            other if bucket.is_none() => {
                bucket = Some(bucket_of(other)?);
                places.push(None);
            }
            _ => return None,
        }
    }
    let aggregates: Vec<Aggregate> =
        node.aggr_expr.iter().map(|expr| aggregate_of(unaliased(expr), table)).collect::<Option<_>>()?;
    // What the store gives: the bucket if there is one, the tags, the aggregates.
    let tags_at = usize::from(bucket.is_some());
    let places = places.into_iter().map(|place| place.map_or(0, |tag| tags_at + tag));
    let places: Vec<usize> = places.chain((0..aggregates.len()).map(|at| tags_at + by.len() + at)).collect();
    Some(Summary::new(table, AggregateRequest { rows, bucket, by, aggregates }, schema_of(node), places))
}

/// An aggregate of a field, as the store makes it.
fn aggregate_of(expr: &Expr, table: &StoreTable) -> Option<Aggregate> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    let AggregateFunctionParams { args, distinct: false, filter, order_by, null_treatment } = params else {
        return None;
    };
    if !filter.as_ref().is_none_or(|filter| is_true(filter)) {
        return None;
    }
    if null_treatment.is_some() {
        return edge_of(func.name(), params, table);
    }
    let of = |function, field: &str| Some(Aggregate { function, field: Some(field.to_owned()) });
    let first = args.first()?;
    match (func.name(), args.len()) {
        ("count", 1) => match first {
            Expr::Literal(value, _) if !value.is_null() => Some(Aggregate { function: Function::Count, field: None }),
            Expr::Column(column) if column.name == TIME_COLUMN => {
                Some(Aggregate { function: Function::Count, field: None })
            }
            Expr::Column(column) if table.field_type(&column.name).is_some() => of(Function::Count, &column.name),
            _ => None,
        },
        ("approx_percentile_cont", 2) => {
            let Expr::Literal(ScalarValue::Float64(Some(part)), _) = &args[1] else { return None };
            let part = match order_by.as_slice() {
                [sort] if !sort.asc => 1.0 - part,
                [_] | [] => *part,
                _ => return None,
            };
            // What is wrong is told by the function itself.
            let is_part = (0.0..=1.0).contains(&part);
            of(Function::Quantile(part), number(as_float(first), table)?).filter(|_| is_part)
        }
        (name, 1) if order_by.is_empty() => match name {
            "avg" => of(Function::Mean, number(as_float(first), table)?),
            "sum" => of(Function::Sum, number(first, table)?),
            "min" => of(Function::Min, number(first, table)?),
            "max" => of(Function::Max, number(first, table)?),
            "hdr_sketch" => of(Function::Sketch, number(as_float(first), table)?),
            _ => None,
        },
        _ => None,
    }
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

/// The first or the last value in the order of time, as `first(field, time)` and `last(field, time)` become it.
fn edge_of(name: &str, params: &AggregateFunctionParams, table: &StoreTable) -> Option<Aggregate> {
    let function = match name {
        "first_value" => Function::First,
        "last_value" => Function::Last,
        _ => return None,
    };
    let ([Expr::Column(field)], [sort], Some(NullTreatment::IgnoreNulls)) =
        (&params.args[..], &params.order_by[..], params.null_treatment)
    else {
        return None;
    };
    let is_edge = sort.asc && is_time(&sort.expr) && table.field_type(&field.name)? != FieldType::Str;
    is_edge.then(|| Aggregate { function, field: Some(field.name.clone()) })
}

/// Means and percentiles are of floats; the planner says so of integers.
fn as_float(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Float64 => expr,
        other => other,
    }
}

/// The numeric field that an expression is.
fn number<'a>(expr: &'a Expr, table: &StoreTable) -> Option<&'a str> {
    let Expr::Column(column) = expr else { return None };
    let kind = table.field_type(&column.name)?;
    matches!(kind, FieldType::F64 | FieldType::I64 | FieldType::U64).then_some(column.name.as_str())
}

#[async_trait]
impl TableProvider for SummaryTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut summary = self.0.clone();
        summary.request.rows.partitions = state.config().target_partitions();
        let aggregation = Arc::new(summary.start()?);
        Ok(Arc::new(OnceExec::new(Arc::new(Folding { summary, aggregation }), projection)?))
    }
}
