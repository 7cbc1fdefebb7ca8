//! Statements as they come: parsed, and with arguments that table functions are given by name.

use std::ops::ControlFlow;

use datafusion::error::Result;
use datafusion::execution::context::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    Statement as SqlStatement, TableFactor, Value, VisitMut, VisitorMut,
};

/// Parses a statement.
pub(crate) fn parse(state: &SessionState, sql: &str) -> Result<Statement> {
    let dialect = state.config().options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(sql, &dialect)?;
    if let Some(statement) = sql_of(&mut statement) {
        let _: ControlFlow<()> = statement.visit(&mut NamedArguments);
    }
    Ok(statement)
}

fn sql_of(statement: &mut Statement) -> Option<&mut SqlStatement> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        Statement::Explain(explain) => sql_of(&mut explain.statement),
        _ => None,
    }
}

/// Turns `f(a, name => b)` in FROM into `f(a, named_struct('name', b))`: DataFusion takes values only, and a struct has a name.
struct NamedArguments;

impl VisitorMut for NamedArguments {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { args: Some(args), .. } = factor {
            args.args.iter_mut().for_each(wrap);
        }
        ControlFlow::Continue(())
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
