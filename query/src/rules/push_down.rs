//! DataFusion's rule `push_down_filter` without the way in which it simplifies conditions on one column, which drops
//! some.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Puts the literal of a comparison with a column on the right, in every condition of a plan: `push_down_filter` makes
/// one condition of two that stand one above the other, and goes by the side.
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

/// DataFusion's `push_down_filter`. Before it pushes a condition, it drops what it takes for redundant among
/// comparisons of one column with literals; it goes by the side on which a literal stands, and by what literals are and
/// not by what they mean. So it is given conditions of which none can be dropped: literals on the right, none of them
/// NULL, and of each column one comparison of a kind, the narrowest.
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
