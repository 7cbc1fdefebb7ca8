//! Finds `time_bucket_gapfill` in plans, and puts a [`GapFill`] over its `GROUP BY`.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Aggregate, Expr, Extension, LogicalPlan, Projection};
use datafusion::optimizer::AnalyzerRule;

use super::filling::{Fill, Filling};
use super::node::GapFill;
use crate::functions::time_bucket::{INTERPOLATE, LOCF, buckets_of_call, gapfill_name, time_bucket_udf};

/// Finds `time_bucket_gapfill` in plans.
#[derive(Debug)]
pub(crate) struct FindGaps;

impl AnalyzerRule for FindGaps {
    fn name(&self) -> &str {
        "find_gaps"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let filled = plan.transform_up_with_subqueries(|node| match &node {
            LogicalPlan::Projection(projection) => Ok(match fill_projection(projection)? {
                Some(filled) => Transformed::yes(filled),
                None => Transformed::no(node),
            }),
            _ => Ok(Transformed::no(node)),
        })?;
        Ok(filled.data)
    }
}

/// A projection over an aggregate by gapless buckets, with conditions on groups between them or not.
fn fill_projection(projection: &Projection) -> Result<Option<LogicalPlan>> {
    let Some(aggregate) = aggregate_below(&projection.input) else { return Ok(None) };
    let Some(bucket) = aggregate.group_expr.iter().position(|expr| gapless_call(expr).is_some()) else {
        return Ok(None);
    };
    let mut copies: Vec<(usize, Fill, String)> = Vec::new();
    let schema = &aggregate.schema;
    let exprs = projection.expr.iter().map(|expr| {
        let filled = expr.clone().transform_up(|part| match fill_call(&part, schema)? {
            Some((column, fill)) => {
                let name = part.schema_name().to_string();
                if !copies.iter().any(|(.., known)| *known == name) {
                    copies.push((column, fill, name.clone()));
                }
                Ok(Transformed::yes(Expr::Column(Column::from_name(name))))
            }
            None => Ok(Transformed::no(part)),
        })?;
        Ok(filled.data)
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    let filled = fill_aggregate(aggregate, bucket, copies)?;
    let input = over(&projection.input, filled)?;
    Projection::try_new_with_schema(exprs, Arc::new(input), projection.schema.clone())
        .map(|projection| Some(LogicalPlan::Projection(projection)))
}

fn aggregate_below(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        LogicalPlan::Filter(filter) => aggregate_below(&filter.input),
        _ => None,
    }
}

/// The conditions of `plan` over another input than its aggregate.
fn over(plan: &LogicalPlan, filled: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Filter(filter) => {
            plan.with_new_exprs(vec![filter.predicate.clone()], vec![over(&filter.input, filled)?])
        }
        _ => Ok(filled),
    }
}

fn gapless_call(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Alias(alias) => gapless_call(&alias.expr),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == gapfill_name() => Some(args),
        _ => None,
    }
}

/// `locf` or `interpolate` of a column.
fn fill_call(expr: &Expr, schema: &DFSchema) -> Result<Option<(usize, Fill)>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return Ok(None) };
    let fill = match func.name() {
        LOCF => Fill::Last,
        INTERPOLATE => Fill::Line,
        _ => return Ok(None),
    };
    match args.as_slice() {
        [Expr::Column(column)] => Ok(schema.maybe_index_of_column(column).map(|column| (column, fill))),
        _ => plan_err!("{}: expected an aggregate as its argument, found {}", func.name(), expr),
    }
}

/// Gaps filled over the aggregate, whose buckets are plain ones now.
fn fill_aggregate(aggregate: &Aggregate, bucket: usize, copies: Vec<(usize, Fill, String)>) -> Result<LogicalPlan> {
    let mut groups = aggregate.group_expr.clone();
    let Some(args) = gapless_call(&groups[bucket]).map(<[Expr]>::to_vec) else {
        return plan_err!("there is no bucket");
    };
    let Some(buckets) = buckets_of_call(&args) else {
        return plan_err!("{}: width, origin and zone have to be literals", gapfill_name());
    };
    if !matches!(&args[1], Expr::Column(column) if column.name == tsdb::TIME_COLUMN) {
        return plan_err!("{}: expected the column time, found {}", gapfill_name(), args[1]);
    }
    groups[bucket] = Expr::ScalarFunction(ScalarFunction { func: time_bucket_udf(), args });
    let plain = Aggregate::try_new(aggregate.input.clone(), groups, aggregate.aggr_expr.clone())?;
    // The names stay those of the statement.
    let columns = (0..plain.schema.fields().len()).map(|at| {
        let own = Expr::Column(Column::from(plain.schema.qualified_field(at)));
        let (qualifier, field) = aggregate.schema.qualified_field(at);
        own.alias_qualified(qualifier.cloned(), field.name())
    });
    let columns = columns.collect();
    let named =
        Projection::try_new_with_schema(columns, Arc::new(LogicalPlan::Aggregate(plain)), aggregate.schema.clone())?;
    let mut fields: Vec<_> = aggregate
        .schema
        .iter()
        .enumerate()
        .map(|(at, (qualifier, field))| {
            let is_group = at < aggregate.group_expr.len();
            let field = field.as_ref().clone().with_nullable(!is_group || field.is_nullable());
            (qualifier.cloned(), Arc::new(field))
        })
        .collect();
    for (column, _, name) in &copies {
        let field = aggregate.schema.field(*column).as_ref().clone();
        fields.push((None, Arc::new(field.with_name(name).with_nullable(true))));
    }
    let filling = Filling {
        bucket,
        groups: (0..aggregate.group_expr.len()).filter(|at| *at != bucket).collect(),
        copies: copies.into_iter().map(|(column, fill, _)| (column, fill)).collect(),
        buckets,
        span: None,
    };
    let schema = Arc::new(DFSchema::new_with_metadata(fields, aggregate.schema.metadata().clone())?);
    let node = GapFill { input: Arc::new(LogicalPlan::Projection(named)), filling, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}
