//! `a ASOF JOIN b MATCH_CONDITION (a.time >= b.time) ON a.host = b.host`: with each row of `a` the row of `b` that is nearest to it in time, as
//! Snowflake writes it. A row of `a` without one stays, with NULLs.
//!
//! The statement's parser knows the words, DataFusion's planner does not: the join becomes a left join on [`MATCH`] ([`rewrite`]), and
//! an analyzer rule puts an [`AsOf`](node::AsOf) in its place before anything else can look at it.

mod exec;
mod node;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{exec_err, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Join,
    JoinConstraint, JoinOperator, ObjectName, Value,
};

pub(crate) use node::{AsOfPlanner, FindAsOf, PushBelowAsOf};

/// What stands for the match condition in a plan: the two times, and how they are compared.
const MATCH: &str = "asof_match";

/// How the row that is looked for lies in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
enum Nearest {
    /// The last one up to the time (`>=`), or before it (`>`).
    AtOrBefore,
    Before,
    /// The first one from the time on (`<=`), or behind it (`<`).
    AtOrBehind,
    Behind,
}

impl Nearest {
    const ALL: [(Nearest, &str); 4] =
        [(Nearest::AtOrBefore, ">="), (Nearest::Before, ">"), (Nearest::AtOrBehind, "<="), (Nearest::Behind, "<")];

    fn of(operator: &str) -> Option<Nearest> {
        Nearest::ALL.into_iter().find(|(_, own)| *own == operator).map(|(nearest, _)| nearest)
    }

    fn operator(self) -> &'static str {
        Nearest::ALL.into_iter().find(|(own, _)| *own == self).map_or("", |(_, operator)| operator)
    }
}

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

/// The function that holds the place of a match condition.
pub(crate) fn scalars() -> Vec<ScalarUDF> {
    vec![ScalarUDF::new_from_impl(Match { signature: Signature::any(3, Volatility::Immutable) })]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Match {
    signature: Signature,
}

impl ScalarUDFImpl for Match {
    fn name(&self) -> &str {
        MATCH
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{MATCH} has a meaning in ASOF JOIN only")
    }
}
