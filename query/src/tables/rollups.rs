//! Rollups as people write them: an interval, and conditions on fields as after WHERE; and the table `system.rollups`.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt64Array};
use arrow::error::ArrowError;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Ident, UnaryOperator, Value};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use serde::Deserialize;
use tsdb::{Comparison, FieldPredicate, Literal, Rollup, RollupState};

use crate::base::error::Error;
use crate::sql::statement::check_condition;

/// A rollup as it is declared.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// What it is called; if nothing is said, `MEASUREMENT_INTERVAL`.
    pub name: Option<String>,
    /// The schema of the measurement.
    #[serde(default = "default_schema")]
    pub db: String,
    /// The measurement.
    pub measurement: String,
    /// The length of a bucket: `1m`, `1h`, `1d`.
    pub interval: String,
    /// Only rows for which this holds: comparisons of fields with values, with AND between them.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// Only these fields.
    pub fields: Option<Vec<String>>,
}

fn default_schema() -> String {
    tsdb::DEFAULT_SCHEMA.into()
}

impl Declaration {
    /// The rollup that is meant.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn rollup(self) -> Result<Rollup, Error> {
        let name = self.name.unwrap_or_else(|| format!("{}_{}", self.measurement, self.interval));
        let wrong = |what: String| Error::Statement(format!("rollup '{name}': {what}"));
        let width = domain::duration::parse(&self.interval);
        let width = width.map_err(|error| wrong(format!("interval: expected one like 1m, 1h or 1d: {error}")))?;
        let conditions = match self.condition.as_deref().map(str::trim) {
            None | Some("") => Vec::new(),
            Some(text) => conditions(text).map_err(|error| wrong(format!("where: {error}")))?,
        };
        Ok(Rollup {
            name: name.clone(),
            schema: self.db,
            table: self.measurement,
            width_ns: i64::try_from(width.as_nanos()).unwrap_or(i64::MAX),
            conditions,
            fields: self.fields,
            configured: false,
        })
    }
}

/// Conditions on fields as after WHERE.
fn conditions(text: &str) -> Result<Vec<FieldPredicate>, String> {
    check_condition(text).map_err(|error| error.strip_backtrace())?;
    let mut parser = Parser::new(&GenericDialect).try_with_sql(text).map_err(|error| error.to_string())?;
    let expr = parser.parse_expr().map_err(|error| error.to_string())?;
    let rest = parser.peek_token();
    if rest.token != datafusion::sql::sqlparser::tokenizer::Token::EOF {
        return Err(format!("expected the end behind '{expr}', found '{rest}'"));
    }
    let mut all = Vec::new();
    add(&expr, &mut all)?;
    Ok(all)
}

fn add(expr: &Expr, all: &mut Vec<FieldPredicate>) -> Result<(), String> {
    if let Expr::BinaryOp { left, op: BinaryOperator::And, right } = expr {
        add(left, all)?;
        return add(right, all);
    }
    if let Expr::Nested(inner) = expr {
        return add(inner, all);
    }
    let unknown = || {
        format!(
            "expected comparisons of fields with values and AND between them, as \"up AND status < 400\", found '{expr}'"
        )
    };
    all.push(predicate(expr).ok_or_else(unknown)?);
    Ok(())
}

fn predicate(expr: &Expr) -> Option<FieldPredicate> {
    let is = |ident: &Ident, value: bool| FieldPredicate::Compares(field(ident), Comparison::Eq, Literal::Bool(value));
    let ident = |expr: &Expr| if let Expr::Identifier(ident) = expr { Some(field(ident)) } else { None };
    Some(match expr {
        Expr::Identifier(ident) => is(ident, true),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => match &**expr {
            Expr::Identifier(ident) => is(ident, false),
            _ => return None,
        },
        Expr::IsNull(expr) => FieldPredicate::IsNull(ident(expr)?),
        Expr::IsNotNull(expr) => FieldPredicate::IsNotNull(ident(expr)?),
        Expr::InList { expr, list, negated: false } => {
            FieldPredicate::In(ident(expr)?, list.iter().map(literal).collect::<Option<_>>()?)
        }
        Expr::BinaryOp { left, op, right } => {
            let comparison = match op {
                BinaryOperator::Eq => Comparison::Eq,
                BinaryOperator::NotEq => Comparison::NotEq,
                BinaryOperator::Lt => Comparison::Lt,
                BinaryOperator::LtEq => Comparison::LtEq,
                BinaryOperator::Gt => Comparison::Gt,
                BinaryOperator::GtEq => Comparison::GtEq,
                _ => return None,
            };
            FieldPredicate::Compares(ident(left)?, comparison, literal(right)?)
        }
        _ => return None,
    })
}

/// A name as SQL has it: in small letters unless it is quoted.
fn field(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

fn literal(expr: &Expr) -> Option<Literal> {
    let (expr, sign) = match expr {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => (&**expr, "-"),
        other => (other, ""),
    };
    let Expr::Value(value) = expr else { return None };
    match &value.value {
        Value::Number(text, _) => {
            let text = format!("{sign}{text}");
            let whole = text.parse().map(Literal::I64).or_else(|_| text.parse().map(Literal::U64));
            whole.ok().or_else(|| text.parse().map(Literal::F64).ok())
        }
        Value::SingleQuotedString(text) if sign.is_empty() => Some(Literal::Str(text.clone())),
        Value::Boolean(value) if sign.is_empty() => Some(Literal::Bool(*value)),
        _ => None,
    }
}

/// The length of a bucket as it is declared: `1d`, `6h`, `90s`.
fn interval(width_ns: i64) -> String {
    let seconds = width_ns / 1_000_000_000;
    let unit = [(86_400, "d"), (3600, "h"), (60, "m")].into_iter().find(|(length, _)| seconds % length == 0);
    let (length, unit) = unit.unwrap_or((1, "s"));
    format!("{}{unit}", seconds / length)
}

/// The rows of `system.rollups`.
pub(crate) fn rows(states: &[RollupState]) -> Result<RecordBatch, ArrowError> {
    let texts = |text: &dyn Fn(&RollupState) -> Option<String>| -> ArrayRef {
        Arc::new(states.iter().map(text).collect::<StringArray>())
    };
    let numbers = |number: fn(&RollupState) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(states.iter().map(number)))
    };
    let condition = |state: &RollupState| {
        let all: Vec<String> = state.rollup.conditions.iter().map(ToString::to_string).collect();
        (!all.is_empty()).then(|| all.join(" AND "))
    };
    let configured = states.iter().map(|state| Some(state.rollup.configured));
    RecordBatch::try_from_iter_with_nullable([
        ("name", texts(&|state| Some(state.rollup.name.clone())), false),
        ("table_schema", texts(&|state| Some(state.rollup.schema.clone())), false),
        ("table_name", texts(&|state| Some(state.rollup.table.clone())), false),
        ("interval", texts(&|state| Some(interval(state.rollup.width_ns))), false),
        ("condition", texts(&condition), true),
        ("fields", texts(&|state| Some(state.rollup.fields.as_ref()?.join(", "))), true),
        ("configured", Arc::new(configured.collect::<BooleanArray>()), false),
        ("days", numbers(|state| state.days as u64), false),
        ("days_behind", numbers(|state| state.days_behind as u64), false),
        ("bytes", numbers(|state| state.bytes), false),
        ("problem", texts(&|state| state.problem.clone()), true),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_sql_and_written_so_again() {
        for (text, written) in [
            ("up", "up"),
            ("NOT Up and status < 400", "NOT up AND status < 400"),
            ("(\"Up\") AND error IS NULL", "Up AND error IS NULL"),
            ("outcome IN ('ok', 'it''s')", "outcome IN ('ok', 'it''s')"),
            ("total_ms >= -1.5 AND n != 18446744073709551615", "total_ms >= -1.5 AND n != 18446744073709551615"),
            ("up = true AND note <> 'x'", "up AND note != 'x'"),
        ] {
            let read: Vec<String> = conditions(text).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(read.join(" AND "), written);
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_in_words() {
        let declaration = |interval: &str, condition: &str| Declaration {
            name: None,
            db: "public".into(),
            measurement: "probe".into(),
            interval: interval.into(),
            condition: Some(condition.into()),
            fields: None,
        };
        for (interval, condition, said) in [
            ("1d", "up OR slow", "found 'up OR slow'"),
            ("1d", "a = b", "expected comparisons of fields with values"),
            ("1d", "up; DROP TABLE probe", "expected the end behind 'up', found ';'"),
            ("1d", "(", "where"),
            ("soon", "up", "rollup 'probe_soon': interval: expected one like 1m, 1h or 1d"),
        ] {
            let error = declaration(interval, condition).rollup().unwrap_err().to_string();
            assert!(error.contains(said), "{condition}: {error}");
        }
        assert_eq!(declaration("1h", " ").rollup().unwrap().conditions, []);
    }
}
