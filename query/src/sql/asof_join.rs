//! `a ASOF JOIN b MATCH_CONDITION (a.time >= b.time) ON a.host = b.host`, as DataFusion's planner can take it: a left
//! join on [`MATCH`].

use datafusion::common::not_impl_err;
use datafusion::error::Result;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Join,
    JoinConstraint, JoinOperator, ObjectName, Value,
};

/// What stands for the match condition in a plan: the two times, and how they are compared.
pub(crate) const MATCH: &str = "asof_match";

/// Turns an `ASOF JOIN` into a join that DataFusion plans.
///
/// # Errors
///
/// What it should say.
pub(crate) fn rewrite(join: &mut Join) -> Result<()> {
    let JoinOperator::AsOf { match_condition, constraint } = &join.join_operator else { return Ok(()) };
    let (left, operator, right) = match match_condition {
        Expr::BinaryOp { left, op, right }
            if matches!(op, BinaryOperator::GtEq | BinaryOperator::Gt | BinaryOperator::LtEq | BinaryOperator::Lt) =>
        {
            (left, op, right)
        }
        other => {
            return not_impl_err!("ASOF JOIN: MATCH_CONDITION compares two times by >=, >, <= or <, found ({other})");
        }
    };
    let operator = Expr::Value(Value::SingleQuotedString(operator.to_string()).into());
    let args = [(**left).clone(), (**right).clone(), operator];
    let args = args.map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).into();
    let matches = Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(MATCH)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    });
    let on = match constraint {
        JoinConstraint::None => matches,
        JoinConstraint::On(on) => {
            Expr::BinaryOp { left: Box::new(on.clone()), op: BinaryOperator::And, right: Box::new(matches) }
        }
        _ => return not_impl_err!("ASOF JOIN: expected ON with equalities behind MATCH_CONDITION"),
    };
    join.join_operator = JoinOperator::LeftOuter(JoinConstraint::On(on));
    Ok(())
}
