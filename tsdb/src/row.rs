//! A row by its names, and what can be wrong with it before any table is asked.

use std::collections::{HashMap, HashSet};

use crate::error::RowError;
use crate::value::Value;

/// Names (measurements, tags, fields) and tag values may be this long, in bytes.
pub const NAME_BYTES_MAX: usize = 64 * 1024 - 1;

/// A row as a decoder hands it over: names, not numbers.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The table's name.
    pub measurement: &'a str,
    /// Tag names and values, in any order, each name once.
    pub tags: &'a [(&'a str, &'a str)],
    /// Nanoseconds since the epoch, UTC.
    pub time: i64,
    /// Field names and values; at least one.
    pub fields: &'a [(&'a str, Value<'a>)],
}

/// What is wrong with a row by itself, whatever the table knows.
pub(crate) fn check_row(row: &Row<'_>) -> Result<(), RowError> {
    check_name("measurement", row.measurement)?;
    let mut tags = HashSet::new();
    for (name, value) in row.tags {
        check_name("tag", name)?;
        check_length("tag value", value)?;
        if !tags.insert(*name) {
            return Err(RowError::DuplicateTag { tag: (*name).into() });
        }
    }
    let mut kinds = HashMap::new();
    for (name, value) in row.fields {
        check_name("field", name)?;
        let (table, column, got) = (row.measurement, *name, value.field_type());
        if tags.contains(name) {
            return Err(RowError::ColumnKind {
                table: table.into(),
                column: column.into(),
                known: "tag",
                got: "field",
            });
        }
        let known = *kinds.entry(column).or_insert(got);
        if known != got {
            return Err(RowError::FieldType { table: table.into(), column: column.into(), known, got });
        }
    }
    if kinds.is_empty() { Err(RowError::NoFields) } else { Ok(()) }
}

pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), RowError> {
    match name {
        "time" if what != "measurement" => Err(RowError::ReservedName { kind: what }),
        _ => check_length(what, name),
    }
}

fn check_length(what: &'static str, text: &str) -> Result<(), RowError> {
    match text.len() {
        0 => Err(RowError::Empty { what }),
        bytes if bytes > NAME_BYTES_MAX => Err(RowError::TooLong { what, bytes, limit: NAME_BYTES_MAX }),
        _ => Ok(()),
    }
}
