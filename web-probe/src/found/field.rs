//! A value of a field that a check found.

use std::time::Duration;

use tsdb::Value;

/// A field's own value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "named after what they hold")]
pub enum Field {
    F64(f64),
    I64(i64),
    Bool(bool),
    Str(String),
}

impl Field {
    /// How long something took, in ms.
    pub(crate) fn ms(taken: Duration) -> Field {
        Field::F64(taken.as_secs_f64() * 1e3)
    }

    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Field::F64(value) => Value::F64(*value),
            Field::I64(value) => Value::I64(*value),
            Field::Bool(value) => Value::Bool(*value),
            Field::Str(value) => Value::Str(value),
        }
    }
}
