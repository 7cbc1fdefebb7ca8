//! A row by its names, and what can be wrong with it before any table is asked.

use std::collections::{HashMap, HashSet};

use crate::base::error::RowError;
use crate::base::limits::Limits;
use crate::base::value::Value;

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
pub(crate) fn check_row(row: &Row<'_>, limits: &Limits) -> Result<(), RowError> {
    check_name("measurement", row.measurement, limits)?;
    if row.tags.len() > limits.tags_max {
        return Err(RowError::TooManyTags {
            table: row.measurement.into(),
            tags: row.tags.len(),
            limit: limits.tags_max,
        });
    }
    let mut tags = HashSet::new();
    for (name, value) in row.tags {
        check_name("tag", name, limits)?;
        check_length("tag value", value, limits.tag_value_bytes_max, "store.tag_value_max")?;
        if !tags.insert(*name) {
            return Err(RowError::DuplicateTag { tag: (*name).into() });
        }
    }
    let mut kinds = HashMap::new();
    for (name, value) in row.fields {
        check_name("field", name, limits)?;
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
    Ok(())
}

pub(crate) fn check_name(what: &'static str, name: &str, limits: &Limits) -> Result<(), RowError> {
    match name {
        "time" if what != "measurement" => Err(RowError::ReservedName { kind: what }),
        name if name.chars().any(char::is_control) => Err(RowError::ControlCharacter { what, name: name.into() }),
        _ => check_length(what, name, limits.name_bytes_max, "store.name_max"),
    }
}

fn check_length(what: &'static str, text: &str, limit: usize, knob: &'static str) -> Result<(), RowError> {
    match text.len() {
        0 => Err(RowError::Empty { what }),
        bytes if bytes > limit => Err(RowError::TooLong { what, bytes, limit, knob }),
        _ => Ok(()),
    }
}
