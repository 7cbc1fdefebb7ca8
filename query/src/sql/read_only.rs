//! The gate: a statement that could change or reach anything but the store's rows is refused.
//!
//! Two locks, because each alone has holes. The parsed statement must be one of the few kinds that read; then the
//! plan, with all its subqueries, must hold no DDL, DML, COPY or session statement. Files and object stores are out
//! of reach besides: the session has no table functions or formats that open them, and no catalogue but the store's.

use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::base::error::Error;

/// Refuses a statement that is not of a kind that only reads.
pub(crate) fn check_statement(statement: &Statement) -> Result<(), Error> {
    match statement {
        Statement::Explain(explain) => check_statement(&explain.statement),
        Statement::Statement(sql) => match &**sql {
            SqlStatement::Query(_)
            | SqlStatement::ShowTables { .. }
            | SqlStatement::ShowColumns { .. }
            | SqlStatement::ShowVariable { .. }
            | SqlStatement::ShowFunctions { .. }
            | SqlStatement::ExplainTable { .. } => Ok(()),
            SqlStatement::Explain { statement, .. } => check_statement(&Statement::Statement(statement.clone())),
            other => Err(Error::ReadOnly(first_words(&other.to_string()))),
        },
        other => Err(Error::ReadOnly(first_words(&other.to_string()))),
    }
}

/// Refuses a plan that holds anything but reading, however deep.
pub(crate) fn check_plan(plan: &LogicalPlan) -> Result<(), Error> {
    let options = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(plan).map_err(|error| Error::ReadOnly(error.strip_backtrace()))
}

/// The two words that tell what kind of statement it is.
fn first_words(statement: &str) -> String {
    statement.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
