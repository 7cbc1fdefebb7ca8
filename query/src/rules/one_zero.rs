//! A zero is a zero, whether it has a sign or not. Values keep their signs, as they were written; where they are
//! compared, grouped, joined, sorted or told apart, -0.0 and 0.0 are the same, as SQL has it.
//!
//! Arrow and DataFusion go by bits there: `count(DISTINCT v)` counted two, `v = 0` was false for one of them, and rows
//! with the other sign did not meet in a join. So this rule
//!
//! - gives the literal of a comparison with zero the sign that makes the comparison right by bits, as `v < 0` and `v >=
//!   0` are with -0.0; `v = 0` becomes `v >= -0.0 AND v <= 0.0`, and `v <> 0` the contrary. The store, which goes by
//!   value, answers them all as it did;
//! - adds 0.0 to whatever else is a key: -0.0 + 0.0 is 0.0, and nothing else changes.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, Case, InList, InSubquery, Sort, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Distinct, Expr, ExprSchemable, Filter, GroupingSet, LogicalPlan, LogicalPlanBuilder,
    Operator, Subquery, lit,
};
use datafusion::optimizer::AnalyzerRule;

/// Aggregates whose answer depends on the order of rows.
const ORDERED: [&str; 5] = ["first_value", "last_value", "nth_value", "array_agg", "string_agg"];

/// Makes zeros equal.
#[derive(Debug)]
pub(crate) struct OneZero;

impl AnalyzerRule for OneZero {
    fn name(&self) -> &str {
        "one_zero"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let node = match node {
                LogicalPlan::Distinct(distinct) => LogicalPlan::Distinct(told_apart(distinct)?),
                LogicalPlan::Filter(filter) => correlated(filter)?,
                other => other,
            };
            let schema = merge_schema(&node.inputs());
            let (names, mut changed) = (NamePreserver::new(&node), false);
            let has_keys = matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Sort(_) | LogicalPlan::Join(_));
            let node = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|part| compared(part, &schema))?;
                if let Expr::GroupingSet(sets) = expr.data {
                    changed = true;
                    return grouping(sets, &schema).map(Transformed::yes);
                }
                let expr = match has_keys && !is_aggregate(&expr.data) {
                    true => expr.transform_data(|expr| key(expr, &schema))?,
                    false => expr,
                };
                changed |= expr.transformed;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })?;
            if changed { node.map_data(LogicalPlan::recompute_schema) } else { Ok(node) }
        })
        .map(|plan| plan.data)
    }
}

/// How the name of a key begins that is a column of its own, with a letter that nobody types.
const KEY: &str = "\u{1}key of ";

/// Conditions of a subquery that are equalities with what is outside of it. The planner takes them out of the subquery
/// only if the side within is a column: so the key is made one, below the condition.
fn correlated(filter: Filter) -> Result<LogicalPlan> {
    let schema = filter.input.schema().clone();
    let (mut parts, mut made) = (Vec::new(), Vec::new());
    for part in split_conjunction_owned(filter.predicate.clone()) {
        parts.push(match part {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right })
                if left.contains_outer() != right.contains_outer() && is_float(&left, &schema)? =>
            {
                let (within, outside) = if left.contains_outer() { (right, left) } else { (left, right) };
                if constant(&within).is_some() || within.column_refs().is_empty() || !outside.column_refs().is_empty() {
                    (*within).eq(*outside).transform_up(|part| compared(part, &schema))?.data
                } else {
                    let name = format!("{KEY}{}", within.schema_name());
                    made.push(without_sign(*within).alias(&name));
                    Expr::Column(Column::new_unqualified(name)).eq(without_sign(*outside))
                }
            }
            // What is made here is not looked at once more: a list in such a subquery kept its -0.0, and found no zero.
            other => other.transform_up(|part| compared(part, &schema))?.data,
        });
    }
    let Some(predicate) = conjunction(parts).filter(|_| !made.is_empty()) else {
        return Ok(LogicalPlan::Filter(filter));
    };
    let own: Vec<Expr> = schema.iter().map(|column| Expr::Column(column.into())).collect();
    LogicalPlanBuilder::from((*filter.input).clone())
        .project(own.iter().cloned().chain(made))?
        .filter(predicate)?
        .project(own)?
        .build()
}

/// `DISTINCT`, by the rows of its input or by some expressions of them.
fn told_apart(distinct: Distinct) -> Result<Distinct> {
    Ok(match distinct {
        Distinct::All(input) => Distinct::All(Arc::new(keyed((*input).clone())?)),
        Distinct::On(mut on) => {
            let schema = on.input.schema();
            on.on_expr = keys(on.on_expr, schema)?.data;
            for sort in on.sort_expr.iter_mut().flatten() {
                sort_key(sort, schema)?;
            }
            Distinct::On(on)
        }
    })
}

/// The sets of `ROLLUP`, `CUBE` and `GROUPING SETS`, whose expressions keep their names.
fn grouping(sets: GroupingSet, schema: &DFSchema) -> Result<Expr> {
    let named = |expr: Expr| {
        let (qualifier, name) = expr.qualified_name();
        let own = key(expr, schema)?;
        Ok(if own.transformed { own.data.alias_qualified(qualifier, name) } else { own.data })
    };
    let all = |exprs: Vec<Expr>| exprs.into_iter().map(named).collect::<Result<Vec<Expr>>>();
    Ok(Expr::GroupingSet(match sets {
        GroupingSet::Rollup(exprs) => GroupingSet::Rollup(all(exprs)?),
        GroupingSet::Cube(exprs) => GroupingSet::Cube(all(exprs)?),
        GroupingSet::GroupingSets(sets) => GroupingSet::GroupingSets(sets.into_iter().map(all).collect::<Result<_>>()?),
    }))
}

/// A plan whose columns of floats are keys.
fn keyed(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = plan.schema().clone();
    if !schema.fields().iter().any(|field| *field.data_type() == DataType::Float64) {
        return Ok(plan);
    }
    let columns = schema.iter().map(|(qualifier, field)| {
        let column = Expr::Column((qualifier, field).into());
        match field.data_type() {
            DataType::Float64 => without_sign(column).alias_qualified(qualifier.cloned(), field.name()),
            _ => column,
        }
    });
    LogicalPlanBuilder::from(plan).project(columns.collect::<Vec<_>>())?.build()
}

fn is_aggregate(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_aggregate(&alias.expr),
        other => matches!(other, Expr::AggregateFunction(_)),
    }
}

fn is_float(expr: &Expr, schema: &DFSchema) -> Result<bool> {
    Ok(expr.get_type(schema)? == DataType::Float64)
}

fn without_sign(expr: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(expr), op: Operator::Plus, right: Box::new(lit(0.0)) })
}

fn is_key(expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => column.name.starts_with(KEY),
        Expr::BinaryExpr(BinaryExpr { op: Operator::Plus, right, .. }) => is_zero(right),
        _ => false,
    }
}

/// An expression that is a key.
fn key(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        expr if constant(&expr).is_some() || is_key(&expr) || matches!(expr, Expr::GroupingSet(_)) => {
            Ok(Transformed::no(expr))
        }
        expr if is_float(&expr, schema)? => Ok(Transformed::yes(without_sign(expr))),
        other => Ok(Transformed::no(other)),
    }
}

fn keys(exprs: Vec<Expr>, schema: &DFSchema) -> Result<Transformed<Vec<Expr>>> {
    let mut changed = false;
    let keys = exprs.into_iter().map(|expr| {
        let own = key(expr, schema)?;
        changed |= own.transformed;
        Ok(own.data)
    });
    let keys = keys.collect::<Result<_>>()?;
    Ok(Transformed::new_transformed(keys, changed))
}

/// Makes what rows are sorted by a key.
fn sort_key(sort: &mut Sort, schema: &DFSchema) -> Result<bool> {
    let own = key(std::mem::replace(&mut sort.expr, lit(0.0)), schema)?;
    sort.expr = own.data;
    Ok(own.transformed)
}

/// What is the same for every row, as a float.
pub(super) fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(value, _) if value.data_type().is_numeric() => match value.cast_to(&DataType::Float64).ok()? {
            ScalarValue::Float64(value) => value,
            _ => None,
        },
        Expr::Cast(Cast { expr, field }) if field.data_type().is_numeric() => constant(expr),
        Expr::Negative(inner) => constant(inner).map(|value| -value),
        Expr::Alias(alias) => constant(&alias.expr),
        _ => None,
    }
}

fn is_zero(expr: &Expr) -> bool {
    constant(expr) == Some(0.0)
}

/// A zero among literals, with this sign.
fn signed(expr: Box<Expr>, zero: f64) -> Box<Expr> {
    if is_zero(&expr) { Box::new(lit(zero)) } else { expr }
}

fn compared(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) && is_float(&left, schema)? => {
            comparison(left, op, right, schema)
        }
        Expr::Between(Between { expr, negated, low, high }) if is_float(&expr, schema)? => {
            // From the smaller zero to the larger one.
            let (low, high) = (signed(low, -0.0), signed(high, 0.0));
            let is_plain = constant(&low).is_some() && constant(&high).is_some();
            let expr = if is_plain { expr } else { Box::new(key(*expr, schema)?.data) };
            let [low, high] = [low, high].map(|bound| match is_plain {
                true => Ok(bound),
                false => Ok::<_, datafusion::error::DataFusionError>(Box::new(key(*bound, schema)?.data)),
            });
            Ok(Transformed::yes(Expr::Between(Between { expr, negated, low: low?, high: high? })))
        }
        Expr::InList(InList { expr, list, negated }) if is_float(&expr, schema)? => {
            let list: Vec<Expr> = list.into_iter().map(|item| *signed(Box::new(item), 0.0)).collect();
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if is_float(&expr, schema)? => {
            let Subquery { subquery, outer_ref_columns, spans } = subquery;
            let subquery = Subquery { subquery: Arc::new(keyed((*subquery).clone())?), outer_ref_columns, spans };
            let expr = Box::new(key(*expr, schema)?.data);
            Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })))
        }
        Expr::Case(Case { expr: Some(base), when_then_expr, else_expr }) if is_float(&base, schema)? => {
            let base = Some(Box::new(key(*base, schema)?.data));
            let when = when_then_expr.into_iter().map(|(when, then)| {
                let when = signed(when, 0.0);
                Ok((Box::new(key(*when, schema)?.data), then))
            });
            let when_then_expr = when.collect::<Result<_>>()?;
            Ok(Transformed::yes(Expr::Case(Case { expr: base, when_then_expr, else_expr })))
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) => {
            let mut changed = false;
            if params.distinct || func.name() == "approx_distinct" {
                let args = keys(std::mem::take(&mut params.args), schema)?;
                (params.args, changed) = (args.data, args.transformed);
            }
            // Of others what they sort by is what they are of (`WITHIN GROUP`).
            if ORDERED.contains(&func.name()) {
                for sort in &mut params.order_by {
                    changed |= sort_key(sort, schema)?;
                }
            }
            let function = Expr::AggregateFunction(AggregateFunction { func, params });
            Ok(Transformed::new_transformed(function, changed))
        }
        // It compares within.
        Expr::ScalarFunction(ref function)
            if function.func.name() == "nullif"
                && let [value, other] = &function.args[..]
                && is_float(value, schema)? =>
        {
            let is_same = comparison(Box::new(value.clone()), Operator::Eq, Box::new(other.clone()), schema)?.data;
            let when_then_expr = vec![(Box::new(is_same), Box::new(lit(ScalarValue::Float64(None))))];
            let case = Case { expr: None, when_then_expr, else_expr: Some(Box::new(value.clone())) };
            Ok(Transformed::yes(Expr::Case(case)))
        }
        Expr::WindowFunction(function) => {
            let WindowFunction { fun, mut params } = *function;
            let partition_by = keys(std::mem::take(&mut params.partition_by), schema)?;
            let mut changed = partition_by.transformed;
            params.partition_by = partition_by.data;
            for sort in &mut params.order_by {
                changed |= sort_key(sort, schema)?;
            }
            let function = Expr::WindowFunction(Box::new(WindowFunction { fun, params }));
            Ok(Transformed::new_transformed(function, changed))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn comparison(left: Box<Expr>, op: Operator, right: Box<Expr>, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let binary = |left: Box<Expr>, op, right: Box<Expr>| Expr::BinaryExpr(BinaryExpr { left, op, right });
    match (constant(&left), constant(&right)) {
        (Some(_), Some(_)) => Ok(Transformed::no(binary(left, op, right))),
        (Some(_), None) => match op.swap() {
            Some(op) => comparison(right, op, left, schema),
            None => Ok(Transformed::no(binary(left, op, right))),
        },
        (None, Some(value)) if value != 0.0 => Ok(Transformed::no(binary(left, op, right))),
        (None, Some(_)) => {
            let with = |op, zero: f64| binary(left.clone(), op, Box::new(lit(zero)));
            Ok(Transformed::yes(match op {
                Operator::Lt => with(Operator::Lt, -0.0),
                Operator::GtEq => with(Operator::GtEq, -0.0),
                Operator::Gt => with(Operator::Gt, 0.0),
                Operator::LtEq => with(Operator::LtEq, 0.0),
                Operator::Eq => with(Operator::GtEq, -0.0).and(with(Operator::LtEq, 0.0)),
                Operator::NotEq => with(Operator::Lt, -0.0).or(with(Operator::Gt, 0.0)),
                // Those that know NULL.
                op => binary(Box::new(without_sign(*left)), op, Box::new(lit(0.0))),
            }))
        }
        (None, None) => {
            let (left, right) = (key(*left, schema)?, key(*right, schema)?);
            let changed = left.transformed || right.transformed;
            Ok(Transformed::new_transformed(binary(Box::new(left.data), op, Box::new(right.data)), changed))
        }
    }
}
