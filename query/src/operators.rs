//! Operators that mean what SQL says where DataFusion's do not.
//!
//! An analyzer rule goes over the expressions of a plan once types are known:
//!
//! - whole numbers that are added, subtracted, multiplied or negated beyond the end of their type are an error, as they wrap otherwise;
//! - `a || b` makes no text that is larger than a query may be (`functions/guarded.rs`);
//! - a tag is a text where it is matched with a pattern: the optimizer makes `tag = 'x'` of `tag LIKE 'x'`, with a literal of another type than that of
//!   `tag <> 'x'`, and takes both for true at once;
//! - two lists of values about one column are told apart (`lists_apart.rs`);
//! - a zero with a sign is a zero where it is compared: the optimizer takes `v = 0.0 AND v <> -0.0` for `v = 0.0`.
//!
//! And [`PushDown`] is DataFusion's rule of that name without the way in which it simplifies conditions on one column, which drops some.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Between, InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Filter, Like, LogicalPlan, Operator, ScalarUDF, cast};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};

use crate::lists_apart::Lists;

/// Puts operators that mean what SQL says into plans.
#[derive(Debug)]
pub(crate) struct SoundOperators {
    /// `checked_add` and the like, by their operators.
    pub arithmetic: Vec<(Operator, Arc<ScalarUDF>)>,
    pub negation: Arc<ScalarUDF>,
    pub concat: Arc<ScalarUDF>,
}

impl AnalyzerRule for SoundOperators {
    fn name(&self) -> &str {
        "sound_operators"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut lists = Lists::default();
        let sound = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            let mut changed = false;
            let node = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|part| self.sound(part, &schema))?;
                changed |= expr.transformed;
                let expr = lists.tell_apart(expr.data)?;
                changed |= expr.transformed;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })?;
            if !changed {
                return Ok(node);
            }
            node.map_data(LogicalPlan::recompute_schema)
        })?;
        Ok(sound.data)
    }
}

impl SoundOperators {
    fn sound(&self, expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self.sound_binary(left, op, right, schema),
            Expr::Negative(inner) if inner.get_type(schema)?.is_signed_integer() && !is_literal(&inner) => {
                Ok(Transformed::yes(call(&self.negation, vec![*inner])))
            }
            Expr::Like(Like { negated, expr, pattern, escape_char, case_insensitive }) => Ok(as_text(expr, schema)?
                .update_data(|expr| Expr::Like(Like { negated, expr, pattern, escape_char, case_insensitive }))),
            Expr::SimilarTo(Like { negated, expr, pattern, escape_char, case_insensitive }) => {
                Ok(as_text(expr, schema)?.update_data(|expr| {
                    Expr::SimilarTo(Like { negated, expr, pattern, escape_char, case_insensitive })
                }))
            }
            Expr::Between(Between { expr, negated, low, high }) => {
                let (low, high) = (one_zero(low), one_zero(high));
                let changed = low.transformed || high.transformed;
                let between = Expr::Between(Between { expr, negated, low: low.data, high: high.data });
                Ok(Transformed::new_transformed(between, changed))
            }
            Expr::InList(InList { expr, list, negated }) => {
                let mut changed = false;
                let list = list.into_iter().map(|item| {
                    let item = one_zero(Box::new(item));
                    changed |= item.transformed;
                    *item.data
                });
                let list = list.collect();
                Ok(Transformed::new_transformed(Expr::InList(InList { expr, list, negated }), changed))
            }
            other => Ok(Transformed::no(other)),
        }
    }

    fn sound_binary(
        &self,
        left: Box<Expr>,
        op: Operator,
        right: Box<Expr>,
        schema: &DFSchema,
    ) -> Result<Transformed<Expr>> {
        let binary = |left, right| Expr::BinaryExpr(BinaryExpr { left, op, right });
        if is_comparison(op) {
            let (left, right) = (one_zero(left), one_zero(right));
            let changed = left.transformed || right.transformed;
            return Ok(Transformed::new_transformed(binary(left.data, right.data), changed));
        }
        if is_match(op) {
            return Ok(as_text(left, schema)?.update_data(|left| binary(left, right)));
        }
        let function = match op {
            Operator::StringConcat => Some(&self.concat),
            _ => self.arithmetic.iter().find(|(own, _)| *own == op).map(|(_, function)| function),
        };
        let Some(function) = function else { return Ok(Transformed::no(binary(left, right))) };
        let (kind, other) = (left.get_type(schema)?, right.get_type(schema)?);
        let is_own = match op {
            Operator::StringConcat => is_text(&kind) && is_text(&other),
            _ => kind.is_integer() && kind == other,
        };
        if is_own {
            Ok(Transformed::yes(call(function, vec![*left, *right])))
        } else {
            Ok(Transformed::no(binary(left, right)))
        }
    }
}

fn call(function: &Arc<ScalarUDF>, args: Vec<Expr>) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(function.clone(), args))
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_match(op: Operator) -> bool {
    use Operator::{
        ILikeMatch, LikeMatch, NotILikeMatch, NotLikeMatch, RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch,
    };
    matches!(
        op,
        RegexMatch
            | RegexIMatch
            | RegexNotMatch
            | RegexNotIMatch
            | LikeMatch
            | ILikeMatch
            | NotLikeMatch
            | NotILikeMatch
    )
}

/// A tag as a text.
fn as_text(expr: Box<Expr>, schema: &DFSchema) -> Result<Transformed<Box<Expr>>> {
    match expr.get_type(schema)? {
        DataType::Dictionary(_, value) => Ok(Transformed::yes(Box::new(cast(*expr, *value)))),
        _ => Ok(Transformed::no(expr)),
    }
}

/// A zero with a sign as one without.
fn one_zero(expr: Box<Expr>) -> Transformed<Box<Expr>> {
    let (value, is_negated) = match &*expr {
        Expr::Literal(value, _) => (value, false),
        Expr::Negative(inner) => match &**inner {
            Expr::Literal(value, _) => (value, true),
            _ => return Transformed::no(expr),
        },
        _ => return Transformed::no(expr),
    };
    match value {
        ScalarValue::Float64(Some(zero)) if *zero == 0.0 && (is_negated || zero.is_sign_negative()) => {
            Transformed::yes(Box::new(Expr::Literal(ScalarValue::Float64(Some(0.0)), None)))
        }
        _ => Transformed::no(expr),
    }
}

/// Puts the literal of a comparison with a column on the right, in every condition of a plan: `push_down_filter` makes one condition of two that stand one above
/// the other, and goes by the side.
#[derive(Debug)]
pub(crate) struct LiteralsRight;

impl OptimizerRule for LiteralsRight {
    fn name(&self) -> &str {
        "literals_right"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else { return Ok(Transformed::no(plan)) };
        let predicate = filter.predicate.transform_up(|part| {
            let right = literal_right(part.clone());
            Ok(Transformed::new_transformed(right.clone(), right != part))
        })?;
        let input = filter.input;
        Ok(predicate.update_data(|predicate| LogicalPlan::Filter(Filter::new(predicate, input))))
    }
}

/// DataFusion's `push_down_filter`. Before it pushes a condition, it drops what it takes for redundant among comparisons of one column with literals; it
/// goes by the side on which a literal stands, and by what literals are and not by what they mean. So it is given conditions of which none can be dropped:
/// literals on the right, none of them NULL, and of each column one comparison of a kind, the narrowest.
#[derive(Debug)]
pub(crate) struct PushDown(pub PushDownFilter);

impl OptimizerRule for PushDown {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = plan else { return self.0.rewrite(plan, config) };
        let Some(parts) = irreducible(split_conjunction_owned(filter.predicate.clone())) else {
            // It stays where it is.
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let Some(predicate) = conjunction(parts) else { return self.0.rewrite(LogicalPlan::Filter(filter), config) };
        self.0.rewrite(LogicalPlan::Filter(Filter::new(predicate, filter.input)), config)
    }
}

/// The same conditions with none that another one makes needless; nothing if that cannot be said.
fn irreducible(parts: Vec<Expr>) -> Option<Vec<Expr>> {
    let mut kept: Vec<Expr> = Vec::with_capacity(parts.len());
    for part in parts {
        let part = literal_right(part);
        let Some(own) = Bound::of(&part) else {
            kept.push(part);
            continue;
        };
        if own.value.is_null() {
            // Unknown is as good as false here.
            return Some(vec![Expr::Literal(ScalarValue::Boolean(Some(false)), None)]);
        }
        let other = kept.iter().position(|kept| Bound::of(kept).is_some_and(|kept| kept.is_kin(&own)));
        let Some(other) = other else {
            kept.push(part);
            continue;
        };
        let known = Bound::of(&kept[other]).expect("it was one just now");
        if known.value.data_type() != own.value.data_type() {
            return None;
        }
        match known.narrower(&own)? {
            Narrower::First => {}
            Narrower::Second => kept[other] = part,
            Narrower::Neither => return Some(vec![Expr::Literal(ScalarValue::Boolean(Some(false)), None)]),
        }
    }
    Some(kept)
}

/// `5 < x` as `x > 5`.
fn literal_right(expr: Expr) -> Expr {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(*left, Expr::Literal(..)) && matches!(*right, Expr::Column(_)) && op.swap().is_some() =>
        {
            let op = op.swap().expect("just looked at");
            Expr::BinaryExpr(BinaryExpr { left: right, op, right: left })
        }
        other => other,
    }
}

/// A column compared with a literal.
struct Bound<'a> {
    column: &'a datafusion::common::Column,
    op: Operator,
    value: &'a ScalarValue,
}

enum Narrower {
    First,
    Second,
    /// Nothing meets both.
    Neither,
}

impl<'a> Bound<'a> {
    fn of(expr: &'a Expr) -> Option<Bound<'a>> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
        let is_kind = matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
        match (&**left, &**right) {
            (Expr::Column(column), Expr::Literal(value, _)) if is_kind => Some(Bound { column, op: *op, value }),
            _ => None,
        }
    }

    fn is_upper(&self) -> bool {
        matches!(self.op, Operator::Lt | Operator::LtEq)
    }

    /// Do both bound the same column from the same side, or fix it?
    fn is_kin(&self, other: &Bound<'_>) -> bool {
        let is_same = |op: Operator| (self.op == op) == (other.op == op);
        self.column == other.column && is_same(Operator::Eq) && self.is_upper() == other.is_upper()
    }

    /// Of two kin, the one that lets less through; nothing if their values do not compare.
    fn narrower(&self, other: &Bound<'_>) -> Option<Narrower> {
        let order = one_zero_of(self.value).try_cmp(&one_zero_of(other.value)).ok()?;
        let is_strict = |op: Operator| matches!(op, Operator::Lt | Operator::Gt);
        Some(match (order, self.op) {
            (std::cmp::Ordering::Equal, Operator::Eq) => Narrower::First,
            (_, Operator::Eq) => Narrower::Neither,
            (std::cmp::Ordering::Equal, _) if is_strict(other.op) => Narrower::Second,
            (std::cmp::Ordering::Equal, _) => Narrower::First,
            (order, _) => {
                let first_is_greater = order == std::cmp::Ordering::Greater;
                if first_is_greater == self.is_upper() { Narrower::Second } else { Narrower::First }
            }
        })
    }
}

fn one_zero_of(value: &ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float64(Some(number)) if *number == 0.0 => ScalarValue::Float64(Some(0.0)),
        other => other.clone(),
    }
}
