//! What templates reckon with.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql::base::labels::Labels;

use statistics::float::show_general;

use super::format::{duration, instant};

/// A value in a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(Arc<str>),
    /// Values by name; one that is missing is an empty text.
    Map(Arc<BTreeMap<String, Value>>),
    /// A sample of an answer.
    Sample(Labels, f64),
    /// Several.
    List(Arc<[Value]>),
    /// A time, in seconds since the epoch.
    Instant(f64),
    /// A span, in nanoseconds.
    Duration(i64),
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl From<&Labels> for Value {
    fn from(labels: &Labels) -> Value {
        let all = labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        Value::Map(Arc::new(all.collect()))
    }
}

impl Value {
    /// Does it count as true?
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(own) => *own,
            Value::Int(own) => *own != 0,
            Value::Float(own) => *own != 0.0,
            Value::Text(own) => !own.is_empty(),
            Value::Map(own) => !own.is_empty(),
            Value::List(own) => !own.is_empty(),
            Value::Duration(own) => *own != 0,
            Value::Sample(..) | Value::Instant(_) => true,
        }
    }

    /// What kind it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "a truth",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Map(_) => "a map",
            Value::Sample(..) => "a sample",
            Value::List(_) => "a list",
            Value::Instant(_) => "a time",
            Value::Duration(_) => "a span",
        }
    }

    /// Something of it by its name.
    pub(super) fn field(&self, name: &str) -> Result<Value, String> {
        match (self, name) {
            (Value::Map(own), _) => Ok(own.get(name).cloned().unwrap_or_else(|| "".into())),
            (Value::Sample(labels, _), "Labels") => Ok(labels.into()),
            (Value::Sample(_, value), "Value") => Ok(Value::Float(*value)),
            (other, _) => Err(format!("{} has no .{name}", other.kind())),
        }
    }

    /// As `{{ }}` writes it.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Nil => "<no value>".into(),
            Value::Bool(own) => own.to_string(),
            Value::Int(own) => own.to_string(),
            Value::Float(own) => show_general(*own),
            Value::Text(own) => own.to_string(),
            Value::Map(own) => {
                let all: Vec<String> = own.iter().map(|(name, value)| format!("{name}:{}", value.text())).collect();
                format!("map[{}]", all.join(" "))
            }
            Value::Sample(labels, value) => format!("{{{} {}}}", Value::from(labels).text(), show_general(*value)),
            Value::List(own) => format!("[{}]", own.iter().map(Value::text).collect::<Vec<_>>().join(" ")),
            Value::Instant(seconds) => instant(*seconds).unwrap_or_else(|error| error),
            Value::Duration(ns) => duration(*ns),
        }
    }

    /// The number that it is, or says, as Prometheus' functions take it.
    pub(super) fn number(&self) -> Result<f64, String> {
        match self {
            Value::Float(own) => Ok(*own),
            Value::Int(own) => Ok(*own as f64),
            Value::Duration(ns) => Ok(*ns as f64 / 1e9),
            Value::Text(own) => {
                let plain = own.replace("Inf", "inf");
                plain.parse().map_err(|_| format!("{own:?} is no number"))
            }
            other => Err(format!("a number is expected, and not {}", other.kind())),
        }
    }
}
