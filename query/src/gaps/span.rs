//! From when until when gaps are filled: what the conditions below leave to the column of the bucket.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Extension, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use tsdb::ScanRequest;

use super::node::GapFill;
use crate::exec::pushdown::time;
use crate::functions::bucket_calls::{bucket_of, unaliased};
use crate::functions::time_bucket::TIME_BUCKET;

/// Tells gaps from when until when they are filled.
#[derive(Debug)]
pub(crate) struct BoundGaps;

impl OptimizerRule for BoundGaps {
    fn name(&self) -> &'static str {
        "bound_gaps"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Extension(Extension { node }) = &plan else { return Ok(Transformed::no(plan)) };
        let Some(gaps) = node.as_any().downcast_ref::<GapFill>().filter(|gaps| gaps.filling.span.is_none()) else {
            return Ok(Transformed::no(plan));
        };
        let (from, to) = span_below(&gaps.input);
        if from == i64::MIN || to == i64::MAX {
            return Ok(Transformed::no(plan));
        }
        let mut gaps = gaps.clone();
        gaps.filling.span = Some((from, to));
        Ok(Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(gaps) })))
    }
}

/// The first and the last time that the conditions below leave to the column of the bucket; without one, the ends of
/// time.
fn span_below(plan: &LogicalPlan) -> (i64, i64) {
    match plan {
        // The names of the statement over the aggregate.
        LogicalPlan::Projection(projection) => span_below(&projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            let time = aggregate.group_expr.iter().find_map(|expr| bucketed(unaliased(expr)));
            time.map_or(ALL_TIME, |time| span_of(time, &aggregate.input))
        }
        _ => ALL_TIME,
    }
}

const ALL_TIME: (i64, i64) = (i64::MIN, i64::MAX);

/// The column that a bucket is of.
fn bucketed(expr: &Expr) -> Option<&Column> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    match args.get(1) {
        Some(Expr::Column(column)) if func.name() == TIME_BUCKET => Some(column),
        _ => None,
    }
}

/// The times that a column of a plan can have, by the conditions on it and on what it is made of: another column, or a
/// bucket of one.
fn span_of(column: &Column, plan: &LogicalPlan) -> (i64, i64) {
    match plan {
        LogicalPlan::TableScan(scan) => narrowed(column, &scan.filters, ALL_TIME),
        LogicalPlan::Filter(filter) => {
            narrowed(column, std::slice::from_ref(&filter.predicate), span_of(column, &filter.input))
        }
        LogicalPlan::Projection(projection) => match projection.schema.maybe_index_of_column(column) {
            Some(at) => span_of_expr(&projection.expr[at], &projection.input),
            None => ALL_TIME,
        },
        LogicalPlan::Aggregate(aggregate) => match aggregate.schema.maybe_index_of_column(column) {
            Some(at) if at < aggregate.group_expr.len() => span_of_expr(&aggregate.group_expr[at], &aggregate.input),
            _ => ALL_TIME,
        },
        LogicalPlan::SubqueryAlias(alias) => match alias.schema.maybe_index_of_column(column) {
            Some(at) => span_of(&Column::from(alias.input.schema().qualified_field(at)), &alias.input),
            None => ALL_TIME,
        },
        // What gives the rows of one input, with all its columns, or those of several side by side.
        LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Join(_) => {
            let inputs = plan.inputs();
            let own = inputs.iter().find(|input| input.schema().maybe_index_of_column(column).is_some());
            own.map_or(ALL_TIME, |input| span_of(column, input))
        }
        _ => ALL_TIME,
    }
}

fn span_of_expr(expr: &Expr, input: &LogicalPlan) -> (i64, i64) {
    match unaliased(expr) {
        Expr::Column(column) => span_of(column, input),
        bucket @ Expr::ScalarFunction(ScalarFunction { args, .. }) => {
            let (Some(Expr::Column(column)), Some(buckets)) = (args.get(1), bucket_of(bucket)) else { return ALL_TIME };
            let (from, to) = span_of(column, input);
            let start = |time: i64| match &buckets {
                tsdb::Buckets::Equal(equal) => {
                    let (time, origin, width) =
                        (i128::from(time), i128::from(equal.origin_ns), i128::from(equal.width_ns));
                    (time - (time - origin).rem_euclid(width)).max(i64::MIN.into()) as i64
                }
                tsdb::Buckets::Calendar(calendar) => (calendar.span)(time).start,
            };
            (if from == i64::MIN { from } else { start(from) }, if to == i64::MAX { to } else { start(to) })
        }
        _ => ALL_TIME,
    }
}

/// A span narrowed by the conditions on a column.
fn narrowed(column: &Column, filters: &[Expr], span: (i64, i64)) -> (i64, i64) {
    let mut request = ScanRequest { from: span.0, to: span.1, ..ScanRequest::default() };
    for part in filters.iter().flat_map(|filter| datafusion::logical_expr::utils::split_conjunction(filter)) {
        if let Some((op, value)) = compared(column, part)
            && let Some(pushed) = time(op, value)
        {
            pushed.narrow(&mut request);
        }
    }
    (request.from, request.to)
}

/// A comparison of a column with a literal.
fn compared<'a>(column: &Column, expr: &'a Expr) -> Option<(Operator, &'a ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let is_it = |expr: &Expr| matches!(expr, Expr::Column(own) if own.name == column.name && (own.relation == column.relation || own.relation.is_none() || column.relation.is_none()));
    match (&**left, &**right) {
        (own, Expr::Literal(value, _)) if is_it(own) => Some((*op, value)),
        (Expr::Literal(value, _), own) if is_it(own) => Some((op.swap()?, value)),
        _ => None,
    }
}
