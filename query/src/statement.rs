//! Statements as they come: parsed, and with what DataFusion's planner does not know put into words that it knows.

use std::ops::ControlFlow;

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Select,
    Statement as SqlStatement, TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};

use crate::asof;

/// Parses a statement.
pub(crate) fn parse(state: &SessionState, sql: &str) -> Result<Statement> {
    let dialect = state.config().options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(sql, &dialect)?;
    match sql_of(&mut statement).map(|statement| statement.visit(&mut Dialect)) {
        Some(ControlFlow::Break(error)) => Err(error),
        _ => Ok(statement),
    }
}

fn sql_of(statement: &mut Statement) -> Option<&mut SqlStatement> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        Statement::Explain(explain) => sql_of(&mut explain.statement),
        _ => None,
    }
}

/// What DataFusion's planner does not have becomes what it has: `f(a, name => b)` in FROM becomes `f(a, named_struct('name', b))`, as it takes values only,
/// and a struct has a name; `ASOF JOIN` becomes a join on a function.
struct Dialect;

impl VisitorMut for Dialect {
    type Break = DataFusionError;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<DataFusionError> {
        match factor {
            TableFactor::Table { args: Some(args), .. } => args.args.iter_mut().for_each(wrap),
            TableFactor::NestedJoin { table_with_joins, .. } => return joins(table_with_joins),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        select.from.iter_mut().try_for_each(joins)
    }
}

fn joins(tables: &mut TableWithJoins) -> ControlFlow<DataFusionError> {
    match tables.joins.iter_mut().try_for_each(asof::rewrite) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

fn wrap(argument: &mut FunctionArg) {
    let (name, value) = match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => (name.value.clone(), value.clone()),
        FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), .. } => {
            (name.value.clone(), value.clone())
        }
        _ => return,
    };
    let name = Expr::Value(Value::SingleQuotedString(name.to_lowercase()).into());
    let args = [name, value].map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).into();
    let list = FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    *argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("named_struct")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })));
}
