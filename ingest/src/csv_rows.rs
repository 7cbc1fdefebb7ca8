//! Rows as CSV: a row of names, a row of types, then the rows.
//!
//! ```text
//! time,host,usage,cores
//! time,tag,float,integer
//! 2026-01-01T00:00:00Z,a,1.5,8
//! ```
//!
//! Types are `time`, `measurement`, `tag`, `float`, `integer`, `unsigned`, `boolean`, `string` and `ignored`, also as
//! InfluxDB's annotated CSV spells them. An empty cell is no value.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use csv::{ErrorKind, ReaderBuilder, StringRecord};
use tsdb::{Batch, FieldType, Row, Value};

use crate::report::{Reason, Report};
use crate::row_options::{RowOptions, instant};
use crate::rows::Rows;

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Time,
    Measurement,
    Tag,
    Field(FieldType),
    Ignored,
}

impl Column {
    fn parse(word: &str) -> Option<Column> {
        Some(match word.trim().trim_start_matches("dateTime:") {
            "time" | "dateTime" | "timestamp" | "RFC3339" | "RFC3339Nano" | "number" => Column::Time,
            "measurement" => Column::Measurement,
            "tag" => Column::Tag,
            "float" | "double" | "f64" => Column::Field(FieldType::F64),
            "integer" | "int" | "long" | "i64" => Column::Field(FieldType::I64),
            "unsigned" | "unsignedLong" | "u64" => Column::Field(FieldType::U64),
            "boolean" | "bool" => Column::Field(FieldType::Bool),
            "string" | "field" => Column::Field(FieldType::Str),
            "ignored" | "ignore" => Column::Ignored,
            _ => return None,
        })
    }
}

/// Takes the rows of `body` into `batch`; rows that are wrong are refused one by one.
///
/// # Errors
///
/// The rows of names and types are wrong: nothing was taken then.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = tsdb::Store::open(dir.path(), Default::default()).unwrap();
/// use ingest::row_options::RowOptions;
/// let body = b"time,host,usage\ntime,tag,float\n10,a,1.5\n20,a,oops\n";
/// let options = RowOptions { measurement: Some("cpu".into()), ..RowOptions::default() };
/// let mut batch = store.batch("public");
/// let report = ingest::csv_rows::parse(body, &options, 0, &mut batch)?;
/// assert_eq!((report.taken, report.reasons[0].line), (1, 4));
/// # Ok::<(), String>(())
/// ```
pub fn parse(body: &[u8], options: &RowOptions, now: i64, batch: &mut Batch) -> Result<Report, String> {
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(body);
    let mut head = |what: &str| {
        let mut record = StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(true) => Ok(record),
            Ok(false) => Err(format!("expected a row of {what}")),
            Err(error) => Err(format!("the row of {what}: {error}")),
        }
    };
    let (names, types) = (head("names")?, head("types, like time,tag,float")?);
    let columns = names.iter().zip(&types).map(|(name, word)| {
        let unknown = || {
            format!(
                "line 2: column '{name}' has the type '{word}'; expected time, measurement, tag, float, integer, unsigned, boolean, \
                 string or ignored"
            )
        };
        Column::parse(word).ok_or_else(unknown)
    });
    let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
    if options.measurement.is_none() && !columns.contains(&Column::Measurement) {
        return Err("expected a column of type measurement, or measurement=NAME with the request".into());
    }
    let mut report = Report::default();
    let mut rows = Rows::new(batch);
    let (mut record, mut copies) = (StringRecord::new(), Bump::new());
    loop {
        copies.reset();
        let (line, outcome) = match reader.read_record(&mut record) {
            Ok(false) => return Ok(report),
            Ok(true) => {
                let line = record.position().map_or(0, csv::Position::line);
                (line, take(&names, &columns, &record, options, now, &mut rows, &copies))
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                let reason = match error.kind() {
                    ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        format!("{len} cells, expected {expected_len} as in the row of names")
                    }
                    other => format!("{other:?}"),
                };
                (line, Err(reason.into()))
            }
        };
        match outcome {
            Ok(values) => report.take(values),
            Err(reason) => report.refuse(line as usize, reason, &record.iter().collect::<Vec<_>>().join(",")),
        }
    }
}

fn take(
    names: &StringRecord,
    columns: &[Column],
    record: &StringRecord,
    options: &RowOptions,
    now: i64,
    rows: &mut Rows<'_>,
    copies: &Bump,
) -> Result<usize, Reason> {
    let mut measurement = options.measurement.as_deref();
    let (mut tags, mut fields, mut time) = (BumpVec::new_in(copies), BumpVec::new_in(copies), now);
    let cells = names.iter().zip(columns).zip(record).filter(|(_, cell)| !cell.is_empty());
    for ((name, column), cell) in cells {
        match column {
            Column::Ignored => {}
            Column::Measurement => measurement = Some(cell),
            Column::Tag => tags.push((name, cell)),
            Column::Time => {
                time = match cell.parse() {
                    Ok(units) => options.precision.ns(units)?,
                    Err(_) => instant(cell)?,
                }
            }
            Column::Field(kind) => {
                let value = value(cell, *kind);
                fields.push((name, value.ok_or_else(|| format!("'{name}': expected {kind}, found '{cell}'"))?));
            }
        }
    }
    let measurement = measurement.ok_or("expected a measurement")?;
    rows.push(&Row { measurement, tags: &tags, time, fields: &fields })?;
    Ok(fields.len())
}

fn value(cell: &str, kind: FieldType) -> Option<Value<'_>> {
    match kind {
        FieldType::F64 => cell.parse().ok().map(Value::F64),
        FieldType::I64 => cell.parse().ok().map(Value::I64),
        FieldType::U64 => cell.parse().ok().map(Value::U64),
        FieldType::Str => Some(Value::Str(cell)),
        FieldType::Bool => match cell {
            "true" | "True" | "TRUE" | "t" | "1" => Some(Value::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
    }
}
