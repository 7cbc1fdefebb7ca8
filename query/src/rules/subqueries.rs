//! Subqueries whose answer would be wrong are refused.
//!
//! The planner makes joins of them, and loses something on the way: `NOT IN` of a correlated subquery and `IN` below
//! `IS NULL`, `NOT` and the like know no "unknown"; a correlated aggregate, limit or set operation is taken out of its
//! subquery as if there were none (`EXISTS (SELECT max(..) ...)` is always true, and was not). `tests/figures.rs` has
//! one of each kind.

use datafusion::common::config::ConfigOptions;
use datafusion::common::plan_err;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{InSubquery, SetComparison};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

/// Refuses what is planned wrongly.
#[derive(Debug)]
pub(crate) struct CheckSubqueries;

impl AnalyzerRule for CheckSubqueries {
    fn name(&self) -> &str {
        "check_subqueries"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| {
            let place = if matches!(node, LogicalPlan::Filter(_)) { Place::Condition } else { Place::Value };
            node.apply_expressions(|expr| {
                check(expr, place)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(plan)
    }
}

/// Where an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A condition on rows, or one of several with AND and OR: unknown is as good as false.
    Condition,
    /// Anywhere else.
    Value,
}

fn check(expr: &Expr, place: Place) -> Result<()> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            check(left, place)?;
            check(right, place)
        }
        Expr::Not(inner) if matches!(**inner, Expr::InSubquery(_)) => {
            let Expr::InSubquery(InSubquery { expr, subquery, negated }) = &**inner else { return Ok(()) };
            check_in(expr, subquery, !negated, place)
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => check_in(expr, subquery, *negated, place),
        Expr::Exists(exists) => check_correlated(&exists.subquery, false),
        Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            check(expr, Place::Value)?;
            check_correlated(subquery, false)
        }
        Expr::ScalarSubquery(subquery) => check_correlated(subquery, true),
        other => {
            other.apply_children(|child| {
                check(child, Place::Value)?;
                Ok(TreeNodeRecursion::Continue)
            })?;
            Ok(())
        }
    }
}

fn check_in(expr: &Expr, subquery: &Subquery, negated: bool, place: Place) -> Result<()> {
    check(expr, Place::Value)?;
    let word = if negated { "NOT IN" } else { "IN" };
    if place != Place::Condition {
        return plan_err!(
            "{word} (SELECT ...) is answered as a condition of WHERE or HAVING, by itself or with AND and OR: expected it there, or a join"
        );
    }
    if negated && !subquery.outer_ref_columns.is_empty() {
        return plan_err!(
            "NOT IN (SELECT ...) with columns of the outer query inside is not available: expected NOT EXISTS (SELECT ... WHERE inner = outer), \
             which says what NULL means"
        );
    }
    check_correlated(subquery, false)
}

/// A subquery with columns of the outer query has them in its WHERE, over tables that do without them.
fn check_correlated(subquery: &Subquery, is_scalar: bool) -> Result<()> {
    if subquery.outer_ref_columns.is_empty() || is_plain(&subquery.subquery, is_scalar)? {
        return Ok(());
    }
    plan_err!(
        "a subquery with columns of the outer query may have them in its WHERE only, without LIMIT, GROUP BY, window functions or set operations{}: \
         expected a join with a subquery that is grouped by these columns",
        if is_scalar { "" } else { ", and here without aggregates" }
    )
}

fn is_plain(plan: &LogicalPlan, may_aggregate: bool) -> Result<bool> {
    let is_free = |plan: &LogicalPlan| -> Result<bool> {
        let mut free = true;
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                free &= !expr.contains_outer();
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(free)
    };
    let own_is_free = || !plan.expressions().iter().any(Expr::contains_outer);
    match plan {
        LogicalPlan::Projection(projection) => Ok(own_is_free() && is_plain(&projection.input, may_aggregate)?),
        LogicalPlan::SubqueryAlias(alias) => is_plain(&alias.input, may_aggregate),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => Ok(own_is_free() && is_plain(&sort.input, may_aggregate)?),
        LogicalPlan::Distinct(_) => match plan.inputs().as_slice() {
            [input] if !may_aggregate => Ok(own_is_free() && is_plain(input, false)?),
            _ => is_free(plan),
        },
        LogicalPlan::Aggregate(aggregate) if may_aggregate && aggregate.group_expr.is_empty() => {
            Ok(own_is_free() && is_plain(&aggregate.input, false)?)
        }
        LogicalPlan::Filter(filter) => is_plain(&filter.input, false),
        other => is_free(other),
    }
}
