//! Statements as they come: measured, parsed, and with what DataFusion's parser and planner do not know or do wrong put
//! into words that they know.

use std::ops::ControlFlow;

use datafusion::error::{DataFusionError, Result};
use datafusion::sql::parser::{DFParserBuilder, ParserInput, Statement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Query, Select, SetExpr, SetOperator, SetQuantifier, Statement as SqlStatement, TableFactor,
    TableWithJoins, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{TokenWithSpan, Tokenizer};

use crate::sql::asof_join;
use crate::sql::size::{Size, SizeLimits, measure};

/// A statement, and how much it is.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub statement: Statement,
    pub size: Size,
}

/// How much a text is that is to be parsed.
///
/// # Errors
///
/// It is over a limit, or its quotes do not end.
pub(crate) fn size_of(sql: &str, limits: SizeLimits) -> Result<Size> {
    measure(tokens_of(sql)?.iter().map(|token| &token.token), limits)
}

fn tokens_of(sql: &str) -> Result<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
    tokens.map_err(|error| DataFusionError::Plan(error.to_string()))
}

/// How much a condition may be that stands by itself: it is read on any thread.
const CONDITION: SizeLimits = SizeLimits { depth_max: 200, terms_max: 10_000 };

/// Refuses a condition that is too much to be read on any thread.
///
/// # Errors
///
/// It is too deep or too long.
pub(crate) fn check_condition(text: &str) -> Result<()> {
    let SizeLimits { depth_max, terms_max } = CONDITION;
    size_of(text, CONDITION).map(drop).map_err(|_| {
        DataFusionError::Plan(format!(
            "expected a condition of at most {depth_max} chained operators and {terms_max} words; a list (x IN ('a', 'b', ...)) is as long as you like"
        ))
    })
}

/// Parses a statement that is within the limits.
///
/// # Errors
///
/// It is over a limit, wrong, or has what is not answered right.
pub(crate) fn parse(sql: &str, limits: SizeLimits) -> Result<Parsed> {
    let tokens = tokens_of(sql)?;
    let size = measure(tokens.iter().map(|token| &token.token), limits)?;
    // Parentheses and the like are levels, too: what was measured is let through.
    let parser = DFParserBuilder::new(ParserInput::Tokens(tokens))
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(limits.depth_max * 4);
    let mut statements = parser.build()?.parse_statements()?;
    let (Some(mut statement), None) = (statements.pop_front(), statements.pop_front()) else {
        return Err(DataFusionError::Plan("expected one statement".into()));
    };
    match sql_of(&mut statement).map(|statement| statement.visit(&mut Dialect)) {
        Some(ControlFlow::Break(error)) => Err(error),
        _ => Ok(Parsed { statement, size }),
    }
}

fn sql_of(statement: &mut Statement) -> Option<&mut SqlStatement> {
    match statement {
        Statement::Statement(sql) => Some(sql),
        Statement::Explain(explain) => sql_of(&mut explain.statement),
        _ => None,
    }
}

/// What DataFusion's planner does not have becomes what it has: `f(a, name => b)` in FROM becomes `f(a,
/// named_struct('name', b))`, as it takes values only, and a struct has a name; `ASOF JOIN` becomes a join on a
/// function. What its parser binds wrongly is bound right.
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

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<DataFusionError> {
        multisets(&query.body)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<DataFusionError> {
        bind(expr);
        ControlFlow::Continue(())
    }
}

/// `EXCEPT ALL` and `INTERSECT ALL` count how often a row is there, and DataFusion does not: it plans them as joins,
/// which give a row on the left side as often as it is there, or not at all.
fn multisets(body: &SetExpr) -> ControlFlow<DataFusionError> {
    let mut bodies = vec![body];
    while let Some(body) = bodies.pop() {
        let SetExpr::SetOperation { op, set_quantifier, left, right } = body else { continue };
        let counts = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
        if counts && *op != SetOperator::Union {
            return ControlFlow::Break(DataFusionError::Plan(format!(
                "{op} ALL is not available: {op} gives each row once; to count rows, add row_number() OVER (PARTITION BY ...) to both sides"
            )));
        }
        bodies.extend([&**left, &**right]);
    }
    ControlFlow::Continue(())
}

/// `a IS DISTINCT FROM b AND c` is `(a IS DISTINCT FROM b) AND c`; the parser takes all that follows for the right
/// side. Visited from below, an operator that should stand above is lifted by one place each time.
fn bind(expr: &mut Expr) {
    let is_loose = |expr: &Expr| matches!(expr, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. });
    let inner = match expr {
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) if is_loose(right) => right,
        Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } if is_loose(inner) => inner,
        // An OR below an AND without parentheses was not written so.
        Expr::BinaryOp { op: BinaryOperator::And, right, .. }
            if matches!(**right, Expr::BinaryOp { op: BinaryOperator::Or, .. }) =>
        {
            right
        }
        _ => return,
    };
    let hole = || Box::new(Expr::Value(Value::Null.into()));
    let mut lifted = std::mem::replace(inner, hole());
    // The first operand of the chain is what the expression is about.
    let mut first = &mut lifted;
    while is_loose(first) {
        let Expr::BinaryOp { left, .. } = &mut **first else { unreachable!("only those are loose") };
        first = left;
    }
    std::mem::swap(inner, first);
    let own = std::mem::replace(expr, *hole());
    let mut first = &mut lifted;
    while is_loose(first) {
        let Expr::BinaryOp { left, .. } = &mut **first else { unreachable!("only those are loose") };
        first = left;
    }
    **first = own;
    *expr = *lifted;
}

fn joins(tables: &mut TableWithJoins) -> ControlFlow<DataFusionError> {
    match tables.joins.iter_mut().try_for_each(asof_join::rewrite) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The parser took `up IS DISTINCT FROM false AND f > 0` for `up IS DISTINCT FROM (false AND f > 0)`.
    #[test]
    fn distinct_from_binds_as_tightly_as_is() {
        let text = |condition: &str| {
            let sql = format!("SELECT 1 FROM t WHERE {condition}");
            parse(&sql, SizeLimits::default())
                .unwrap()
                .statement
                .to_string()
                .split_once(" WHERE ")
                .unwrap()
                .1
                .to_owned()
        };
        // What it must mean, with parentheses, which are not printed where there were none: so trees are compared by
        // what they print with them.
        for (written, meant) in [
            ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
            ("a IS DISTINCT FROM b OR c", "(a IS DISTINCT FROM b) OR c"),
            ("x AND a IS DISTINCT FROM b OR c", "(x AND (a IS DISTINCT FROM b)) OR c"),
            ("x OR a IS DISTINCT FROM b AND c", "x OR ((a IS DISTINCT FROM b) AND c)"),
            ("NOT a IS NOT DISTINCT FROM b AND c", "(NOT (a IS NOT DISTINCT FROM b)) AND c"),
            ("NOT a IS NOT DISTINCT FROM b OR c AND d", "(NOT (a IS NOT DISTINCT FROM b)) OR (c AND d)"),
            (
                "a IS DISTINCT FROM b AND c IS DISTINCT FROM d OR e",
                "((a IS DISTINCT FROM b) AND (c IS DISTINCT FROM d)) OR e",
            ),
            (
                "a IS DISTINCT FROM b OR c IS DISTINCT FROM d AND e",
                "(a IS DISTINCT FROM b) OR ((c IS DISTINCT FROM d) AND e)",
            ),
            (
                "x AND NOT a IS DISTINCT FROM b + 1 OR c AND d",
                "(x AND (NOT (a IS DISTINCT FROM (b + 1)))) OR (c AND d)",
            ),
            ("a IS DISTINCT FROM (b AND c) AND d", "(a IS DISTINCT FROM (b AND c)) AND d"),
            ("a IS DISTINCT FROM b = c AND d", "(a IS DISTINCT FROM (b = c)) AND d"),
        ] {
            assert_eq!(strip(&tree(written)), strip(&tree(meant)), "{written}: {}", text(written));
        }
    }

    fn tree(condition: &str) -> Expr {
        let parsed = parse(&format!("SELECT 1 FROM t WHERE {condition}"), SizeLimits::default()).unwrap();
        let Statement::Statement(sql) = parsed.statement else { unreachable!() };
        let SqlStatement::Query(query) = *sql else { unreachable!() };
        let SetExpr::Select(select) = *query.body else { unreachable!() };
        select.selection.unwrap()
    }

    /// The shape of a tree, without places in the text.
    fn strip(expr: &Expr) -> String {
        match expr {
            Expr::Nested(inner) => strip(inner),
            Expr::BinaryOp { left, op, right } => format!("({} {op} {})", strip(left), strip(right)),
            Expr::UnaryOp { op, expr } => format!("({op} {})", strip(expr)),
            Expr::IsDistinctFrom(left, right) => format!("({} <~> {})", strip(left), strip(right)),
            Expr::IsNotDistinctFrom(left, right) => format!("({} <=> {})", strip(left), strip(right)),
            other => other.to_string(),
        }
    }
}
