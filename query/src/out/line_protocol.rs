//! Rows as line protocol, as `/write` takes it back.
//!
//! Syntax: <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>. Columns of dictionaries are tags,
//! `time` is the timestamp in nanoseconds, all others are fields. A row without a field has no line. Numbers that line
//! protocol has no way to write (NaN, infinities) are left out; [`Lines::left_out`] counts them.

use std::fmt::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt64Type};
use tsdb::TIME_COLUMN;

/// Writes the rows of one measurement.
#[derive(Debug)]
pub struct Lines {
    measurement: String,
    left_out: u64,
}

impl Lines {
    /// Lines of this measurement.
    pub fn new(measurement: &str) -> Lines {
        let escaped = escape(measurement, &[',', ' ']);
        // A line that starts with # is a comment.
        let measurement = if escaped.starts_with('#') { format!("\\{escaped}") } else { escaped };
        Lines { measurement, left_out: 0 }
    }

    /// Numbers that could not be written so far.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Appends the rows of a batch.
    pub fn write(&mut self, batch: &RecordBatch, out: &mut String) {
        let schema = batch.schema();
        let columns: Vec<_> = schema.fields().iter().map(|field| field.name()).zip(batch.columns()).collect();
        for row in 0..batch.num_rows() {
            let start = out.len();
            out.push_str(&self.measurement);
            for (name, column) in columns.iter().filter(|(_, column)| column.is_valid(row)) {
                if let DataType::Dictionary(..) = column.data_type() {
                    let column = column.as_dictionary::<Int32Type>();
                    let value = column.key(row).map(|key| column.values().as_string::<i32>().value(key));
                    let _ = write!(out, ",{}={}", key(name), key(value.unwrap_or_default()));
                }
            }
            let (mut separator, mut time) = (' ', None);
            for (name, column) in columns.iter().filter(|(_, column)| column.is_valid(row)) {
                let value = match column.data_type() {
                    DataType::Dictionary(..) => continue,
                    DataType::Timestamp(..) if *name == TIME_COLUMN => {
                        time = Some(column.as_primitive::<TimestampNanosecondType>().value(row));
                        continue;
                    }
                    DataType::Float64 => match column.as_primitive::<Float64Type>().value(row) {
                        value if value.is_finite() => format!("{value:?}"),
                        _ => {
                            self.left_out += 1;
                            continue;
                        }
                    },
                    DataType::Int64 => format!("{}i", column.as_primitive::<Int64Type>().value(row)),
                    DataType::UInt64 => format!("{}u", column.as_primitive::<UInt64Type>().value(row)),
                    DataType::Boolean => column.as_boolean().value(row).to_string(),
                    _ => format!("\"{}\"", escape(column.as_string::<i32>().value(row), &['"', '\\'])),
                };
                let _ = write!(out, "{separator}{}={value}", key(name));
                separator = ',';
            }
            match time.filter(|_| separator == ',') {
                Some(time) => {
                    let _ = writeln!(out, " {time}");
                }
                None => out.truncate(start),
            }
        }
    }
}

fn key(name: &str) -> String {
    escape(name, &[',', ' ', '='])
}

fn escape(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if special.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}
