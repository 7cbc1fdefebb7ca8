//! Rows as columns, for programs that hold the series themselves: no name is looked up, nothing is parsed, values are
//! copied once.

use crate::base::series_ref::SeriesRef;
use crate::base::value::{FieldType, Value};

/// Rows of one table, column by column; all columns have as many values as there are rows.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// The series of each row, as [`Appender::series`](crate::Appender::series) gave it; all of one table.
    pub series: &'a [SeriesRef],
    /// The time of each row, ns since the epoch.
    pub times: &'a [i64],
    /// The fields, each with a value for every row.
    pub fields: &'a [(&'a str, Column<'a>)],
}

/// The values of a field.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// 64-bit floats.
    F64(&'a [f64]),
    /// 64-bit signed integers.
    I64(&'a [i64]),
    /// 64-bit unsigned integers.
    U64(&'a [u64]),
    /// Booleans.
    Bool(&'a [bool]),
    /// UTF-8 strings.
    Str(&'a [&'a str]),
}

impl Column<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Column::F64(values) => values.len(),
            Column::I64(values) => values.len(),
            Column::U64(values) => values.len(),
            Column::Bool(values) => values.len(),
            Column::Str(values) => values.len(),
        }
    }

    pub(crate) fn texts(&self) -> Option<&[&str]> {
        if let Column::Str(values) = self { Some(values) } else { None }
    }

    /// A value of its type.
    pub(crate) fn type_value(&self) -> Value<'static> {
        match self {
            Column::F64(_) => Value::F64(0.0),
            Column::I64(_) => Value::I64(0),
            Column::U64(_) => Value::U64(0),
            Column::Bool(_) => Value::Bool(false),
            Column::Str(_) => Value::Str(""),
        }
    }

    pub(crate) fn field_type(&self) -> FieldType {
        self.type_value().field_type()
    }
}
