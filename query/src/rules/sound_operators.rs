//! Operators that mean what SQL says where DataFusion's do not.
//!
//! An analyzer rule goes over the expressions of a plan once types are known:
//!
//! - whole numbers that are added, subtracted, multiplied or negated beyond the end of their type are an error, as they
//!   wrap otherwise;
//! - `a || b` makes no text that is larger than a query may be (`functions/guarded.rs`);
//! - a tag is a text where it is matched with a pattern: the optimizer makes `tag = 'x'` of `tag LIKE 'x'`, with a
//!   literal of another type than that of `tag <> 'x'`, and takes both for true at once;
//! - two lists of values about one column are told apart (`lists_apart.rs`);

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Like, LogicalPlan, Operator, ScalarUDF, cast};
use datafusion::optimizer::AnalyzerRule;

use super::lists_apart::Lists;
use crate::functions::guarded::{Checked, operator};

/// Puts operators that mean what SQL says into plans.
#[derive(Debug)]
pub(crate) struct SoundOperators {
    /// `checked_add` and the like, by their operators.
    arithmetic: Vec<(Operator, Arc<ScalarUDF>)>,
    negation: Arc<ScalarUDF>,
    concat: Arc<ScalarUDF>,
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
    /// Texts that they make may have so many bytes at a time.
    pub(crate) fn new(bytes_max: usize) -> SoundOperators {
        let function = |checked| operator(checked, bytes_max);
        SoundOperators {
            arithmetic: vec![
                (Operator::Plus, function(Checked::Add)),
                (Operator::Minus, function(Checked::Subtract)),
                (Operator::Multiply, function(Checked::Multiply)),
            ],
            negation: function(Checked::Negate),
            concat: function(Checked::Concat),
        }
    }

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

pub(super) fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(..))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
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
