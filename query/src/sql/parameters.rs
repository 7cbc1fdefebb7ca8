//! Values for the placeholders of a statement: `$1` from a list, `$name` from an object.
//!
//! A value takes the place of its placeholder as a literal, among the tokens of the statement, so that nothing in it
//! can be anything else; and statements that differ in their values only are of one shape.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use serde_json::Value;

use crate::base::error::Error;

/// The statement with its values.
///
/// # Errors
///
/// A placeholder has no value, a value no placeholder, or is no number, text, boolean or null.
pub(crate) fn bind(sql: &str, values: &Value) -> Result<String, Error> {
    let wrong = |what: String| Error::Statement(format!("params: {what}"));
    let count = match values {
        Value::Array(list) => list.len(),
        Value::Object(named) => named.len(),
        other => return Err(wrong(format!("expected a list or an object, found {other}"))),
    };
    // Texts stay as they are written, with their quotes doubled.
    let tokens = Tokenizer::new(&GenericDialect {}, sql).with_unescape(false).tokenize();
    let mut tokens = tokens.map_err(|error| Error::Statement(error.to_string()))?;
    let mut used: Vec<String> = Vec::new();
    for token in &mut tokens {
        let Token::Placeholder(placeholder) = token else { continue };
        let name = placeholder.trim_start_matches('$').to_owned();
        let value = match values {
            Value::Array(list) => name.parse::<usize>().ok().and_then(|number| list.get(number.checked_sub(1)?)),
            named => named.get(&name),
        };
        let value = value.ok_or_else(|| wrong(format!("there is no value for {placeholder}")))?;
        *token = literal(value).ok_or_else(|| {
            wrong(format!("{placeholder}: expected a number, a text, a boolean or null, found {value}"))
        })?;
        if !used.contains(&name) {
            used.push(name);
        }
    }
    if used.len() < count {
        return Err(wrong(format!("there are {count} values, and the statement uses {}", used.len())));
    }
    Ok(tokens.iter().map(Token::to_string).collect())
}

fn literal(value: &Value) -> Option<Token> {
    Some(match value {
        Value::Null => Token::make_keyword("NULL"),
        Value::Bool(true) => Token::make_keyword("TRUE"),
        Value::Bool(false) => Token::make_keyword("FALSE"),
        // In parentheses, so that a sign stays with its number.
        Value::Number(number) => Token::Number(format!("({number})"), false),
        // As the tokenizer keeps it: the quotes of a text are doubled.
        Value::String(text) => Token::SingleQuotedString(text.replace('\'', "''")),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_literals_and_nothing_else() {
        let bound = |sql: &str, values: Value| bind(sql, &values).map_err(|error| error.to_string());
        assert_eq!(
            bound("SELECT $1, '$1', \"$1\" -- $1\n", json!([-1])),
            Ok("SELECT (-1), '$1', \"$1\" -- $1\n".into())
        );
        assert_eq!(
            bound("SELECT $a FROM t WHERE x = $b", json!({"a": null, "b": "o'hara'; DROP TABLE t --\\"})),
            Ok("SELECT NULL FROM t WHERE x = 'o''hara''; DROP TABLE t --\\'".into())
        );
        assert_eq!(bound("SELECT $1 + $1 + $2", json!([1.5, true])), Ok("SELECT (1.5) + (1.5) + TRUE".into()));
        assert_eq!(bound("SELECT 'it''s', $1", json!(["x"])), Ok("SELECT 'it''s', 'x'".into()));
        assert_eq!(bound("SELECT $2", json!([1])), Err("params: there is no value for $2".into()));
        assert_eq!(bound("SELECT $0", json!([1])), Err("params: there is no value for $0".into()));
        assert_eq!(bound("SELECT 1", json!([1])), Err("params: there are 1 values, and the statement uses 0".into()));
        assert_eq!(
            bound("SELECT $1", json!([[1]])),
            Err("params: $1: expected a number, a text, a boolean or null, found [1]".into())
        );
        assert_eq!(bound("SELECT 1", json!("x")), Err("params: expected a list or an object, found \"x\"".into()));
    }
}
