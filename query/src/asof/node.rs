//! The logical plan node of an `ASOF JOIN`, and the rules that make it and push conditions below it.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DFSchemaRef, JoinType, ScalarValue, internal_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::binary::comparison_coercion;
use datafusion::logical_expr::builder::build_join_schema;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Extension, Filter, Join, LogicalPlan, Operator, UserDefinedLogicalNode,
    UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::Nearest;
use super::exec::AsOfExec;
use crate::sql::asof_join::MATCH;

/// Each row of the left input with the nearest of the right one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AsOf {
    left: Arc<LogicalPlan>,
    right: Arc<LogicalPlan>,
    /// Pairs of an expression over the left and one over the right input, of one type each: those that are equal, and
    /// the times last.
    pairs: Vec<(Expr, Expr)>,
    nearest: Nearest,
    schema: DFSchemaRef,
}

impl PartialOrd for AsOf {
    fn partial_cmp(&self, other: &AsOf) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl AsOf {
    fn new(
        left: Arc<LogicalPlan>,
        right: Arc<LogicalPlan>,
        pairs: Vec<(Expr, Expr)>,
        nearest: Nearest,
    ) -> Result<AsOf> {
        let schema = build_join_schema(left.schema(), right.schema(), &JoinType::Left)?;
        Ok(AsOf { left, right, pairs, nearest, schema: Arc::new(schema) })
    }

    /// The node that a join stands for, if it is one with a match condition.
    fn of(join: &Join) -> Result<Option<AsOf>> {
        let conditions = join.filter.iter().cloned().flat_map(split_conjunction_owned);
        let (matches, equal): (Vec<Expr>, Vec<Expr>) = conditions.partition(|part| match_of(part).is_some());
        let [matches] = &matches[..] else { return Ok(None) };
        let Some((times, nearest)) = match_of(matches) else { return Ok(None) };
        let mut pairs: Vec<(Expr, Expr)> = join.on.clone();
        for part in &equal {
            let pair = match part {
                Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
                    find_valid_equijoin_key_pair(left, right, join.left.schema(), join.right.schema())?
                }
                _ => None,
            };
            let Some(pair) = pair else {
                return plan_err!("ASOF JOIN: ON takes equalities between its two sides, joined by AND; found {part}");
            };
            pairs.push(pair);
        }
        let (one, other) = times;
        let Some(times) = find_valid_equijoin_key_pair(one, other, join.left.schema(), join.right.schema())? else {
            return plan_err!(
                "ASOF JOIN: MATCH_CONDITION compares a time of the left side with one of the right; found {one} and {other}"
            );
        };
        // Written the other way around it means the same.
        let nearest = match (times.0 == *one, nearest) {
            (true, nearest) => nearest,
            (false, Nearest::AtOrBefore) => Nearest::AtOrBehind,
            (false, Nearest::Before) => Nearest::Behind,
            (false, Nearest::AtOrBehind) => Nearest::AtOrBefore,
            (false, Nearest::Behind) => Nearest::Before,
        };
        pairs.push(times);
        let pairs = pairs.into_iter().map(|pair| of_one_type(pair, join)).collect::<Result<_>>()?;
        AsOf::new(join.left.clone(), join.right.clone(), pairs, nearest).map(Some)
    }
}

/// The two times of a match condition.
fn match_of(expr: &Expr) -> Option<((&Expr, &Expr), Nearest)> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    let ([one, other, Expr::Literal(ScalarValue::Utf8(Some(operator)), _)], true) = (&args[..], func.name() == MATCH)
    else {
        return None;
    };
    Some(((one, other), Nearest::of(operator)?))
}

fn of_one_type((left, right): (Expr, Expr), join: &Join) -> Result<(Expr, Expr)> {
    let (own, other) = (left.get_type(join.left.schema())?, right.get_type(join.right.schema())?);
    let Some(common) = comparison_coercion(&own, &other) else {
        return plan_err!("ASOF JOIN: {left} ({own}) cannot be compared with {right} ({other})");
    };
    Ok((left.cast_to(&common, join.left.schema())?, right.cast_to(&common, join.right.schema())?))
}

impl UserDefinedLogicalNodeCore for AsOf {
    fn name(&self) -> &str {
        "AsOf"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.pairs.iter().flat_map(|(left, right)| [left.clone(), right.clone()]).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsOf: ")?;
        let last = self.pairs.len() - 1;
        for (at, (left, right)) in self.pairs.iter().enumerate() {
            let (operator, end) = if at == last { (self.nearest.operator(), "") } else { ("=", " AND ") };
            write!(f, "{left} {operator} {right}{end}")?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<AsOf> {
        let Ok([left, right]) = <[LogicalPlan; 2]>::try_from(inputs) else {
            return internal_err!("AsOf has two inputs");
        };
        let pairs = exprs.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        AsOf::new(Arc::new(left), Arc::new(right), pairs, self.nearest)
    }

    /// Columns that nobody wants are not read.
    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let (left, right) = (self.left.schema(), self.right.schema());
        let columns = left.fields().len();
        let mut wanted: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
        for at in output_columns {
            if *at < columns { wanted[0].push(*at) } else { wanted[1].push(at - columns) }
        }
        for (own, other) in &self.pairs {
            wanted[0].extend(own.column_refs().into_iter().filter_map(|column| left.maybe_index_of_column(column)));
            wanted[1].extend(other.column_refs().into_iter().filter_map(|column| right.maybe_index_of_column(column)));
        }
        for side in &mut wanted {
            side.sort_unstable();
            side.dedup();
        }
        Some(wanted.into())
    }
}

/// Finds `ASOF JOIN` in plans.
#[derive(Debug)]
pub(crate) struct FindAsOf;

impl AnalyzerRule for FindAsOf {
    fn name(&self) -> &str {
        "find_asof"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let found = plan.transform_up_with_subqueries(|node| {
            let LogicalPlan::Join(join) = &node else { return Ok(Transformed::no(node)) };
            Ok(match AsOf::of(join)? {
                Some(node) => Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(node) })),
                None => Transformed::no(node),
            })
        })?;
        Ok(found.data)
    }
}

/// Conditions on the left side alone choose the same rows below the join.
#[derive(Debug)]
pub(crate) struct PushBelowAsOf;

impl OptimizerRule for PushBelowAsOf {
    fn name(&self) -> &'static str {
        "push_below_asof"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(Filter { predicate, input, .. }) = &plan else { return Ok(Transformed::no(plan)) };
        let Some(own) = asof_below(input) else { return Ok(Transformed::no(plan)) };
        let is_left = |column: &Column| own.left.schema().has_column(column);
        let (below, above): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(predicate.clone())
            .into_iter()
            .partition(|part| !part.is_volatile() && part.column_refs().into_iter().all(is_left));
        let Some(below) = conjunction(below) else { return Ok(Transformed::no(plan)) };
        let left = LogicalPlan::Filter(Filter::try_new(below, own.left.clone())?);
        let node = AsOf { left: Arc::new(left), ..own.clone() };
        let mut joined = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        if let LogicalPlan::Projection(_) = &**input {
            joined = input.with_new_exprs(input.expressions(), vec![joined])?;
        }
        Ok(Transformed::yes(match conjunction(above) {
            Some(above) => LogicalPlan::Filter(Filter::try_new(above, Arc::new(joined))?),
            None => joined,
        }))
    }
}

/// The join itself, or the one that these columns are picked from.
fn asof_below(plan: &LogicalPlan) -> Option<&AsOf> {
    match plan {
        LogicalPlan::Extension(Extension { node }) => node.as_any().downcast_ref(),
        LogicalPlan::Projection(picked) if picked.expr.iter().all(|expr| matches!(expr, Expr::Column(_))) => {
            match &*picked.input {
                LogicalPlan::Extension(_) => asof_below(&picked.input),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Plans [`AsOf`].
#[derive(Debug)]
pub(crate) struct AsOfPlanner;

#[async_trait]
impl ExtensionPlanner for AsOfPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(own) = node.as_any().downcast_ref::<AsOf>() else { return Ok(None) };
        let [left, right] = inputs else { return internal_err!("AsOf has two inputs") };
        let physical = |(one, other): &(Expr, Expr)| {
            let one = session.create_physical_expr(one.clone(), own.left.schema())?;
            Ok((one, session.create_physical_expr(other.clone(), own.right.schema())?))
        };
        let pairs = own.pairs.iter().map(physical).collect::<Result<_>>()?;
        let schema = own.schema.inner().clone();
        Ok(Some(Arc::new(AsOfExec::new(left.clone(), right.clone(), pairs, own.nearest, schema))))
    }
}
