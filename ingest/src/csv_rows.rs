//! Rows as CSV: a row of names, a row of types, then the rows.
//!
//! ```text
//! time,host,usage,cores
//! time,tag,float,integer
//! 2026-01-01T00:00:00Z,a,1.5,8
//! ```
//!
//! Without a row of types, as `fournines export` and most programs write CSV: `time` is the time, the request says which
//! columns are tags (`tags=host`), and a field has the type that it has in the store, otherwise the one that all its
//! cells in the body fit: float, boolean or string.
//!
//! Types are `time`, `measurement`, `tag`, `float`, `integer`, `unsigned`, `boolean`, `string` and `ignored`, also as
//! InfluxDB's annotated CSV spells them. An empty cell is no value.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use csv::{ErrorKind, ReaderBuilder, StringRecord};
use tsdb::{Batch, FieldType, Row, TIME_COLUMN, Value};

use crate::body::without_mark;
use crate::report::{Reason, Report};
use crate::row_options::RowOptions;
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

/// Is this line a row of types?
///
/// ```
/// assert!(ingest::csv_rows::is_row_of_types(b"time,tag,float\r\n"));
/// assert!(!ingest::csv_rows::is_row_of_types(b"2026-01-01T00:00:00Z,a,1.5\n"));
/// ```
pub fn is_row_of_types(line: &[u8]) -> bool {
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(line);
    let row = reader.records().next().and_then(Result::ok);
    row.is_some_and(|row| row.iter().all(|word| Column::parse(word).is_some()))
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
    let body = without_mark(body);
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(body);
    let mut next = || {
        let mut record = StringRecord::new();
        reader.read_record(&mut record).map(|found| found.then_some(record))
    };
    let names = next().map_err(|error| format!("the row of names: {error}"))?.ok_or("expected a row of names")?;
    let types = next().map_err(|error| format!("the row of types, or the first row: {error}"))?;
    let types = types.ok_or("expected rows behind the row of names")?;
    let typed: Option<Vec<Column>> = types.iter().map(Column::parse).collect();
    let (columns, mut first) = match typed {
        Some(columns) => (columns, None),
        None => (untyped(&names, &types, options, body, batch)?, Some(types)),
    };
    if options.measurement.is_none() && !columns.contains(&Column::Measurement) {
        return Err("expected a column of type measurement, or measurement=NAME with the request".into());
    }
    let mut report = Report::default();
    let mut rows = Rows::new(batch);
    let (mut record, mut copies) = (StringRecord::new(), Bump::new());
    loop {
        copies.reset();
        let read = match first.take() {
            Some(row) => {
                record = row;
                Ok(true)
            }
            None => reader.read_record(&mut record),
        };
        let (line, outcome) = match read {
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

/// The columns of rows without types.
///
/// # Errors
///
/// It looks like a row of types, and one of them is none; or it is not known which measurement it is, or when.
fn untyped(
    names: &StringRecord,
    second: &StringRecord,
    options: &RowOptions,
    body: &[u8],
    batch: &Batch,
) -> Result<Vec<Column>, String> {
    let known = |word: &&str| Column::parse(word).is_some();
    if second.iter().filter(known).count() * 2 > second.len() {
        let (at, word) = second.iter().enumerate().find(|(_, word)| !known(word)).unwrap_or_default();
        let name = names.get(at).unwrap_or_default();
        return Err(format!(
            "line 2: column '{name}' has the type '{word}'; expected time, measurement, tag, float, integer, unsigned, \
             boolean, string or ignored"
        ));
    }
    let Some(measurement) = &options.measurement else {
        return Err(
            "there is no row of types; expected one, like time,tag,float, or measurement=NAME and tags=... with \
                    the request"
                .into(),
        );
    };
    if !names.iter().any(|name| name == TIME_COLUMN) && !options.now_is_meant {
        return Err("there is neither a row of types nor a column 'time'; expected one of them, or time=now with the \
                    request if now is meant"
            .into());
    }
    let is_tag = |name: &str| options.is_tag(name) || batch.is_tag(measurement, name);
    let column = |name: &str| match name {
        TIME_COLUMN => Column::Time,
        tag if is_tag(tag) => Column::Tag,
        // What cells it has is looked at below.
        field => Column::Field(batch.field_type(measurement, field).unwrap_or(FieldType::F64)),
    };
    let mut columns: Vec<Column> = names.iter().map(column).collect();
    let is_open = |name: &str| name != TIME_COLUMN && !is_tag(name) && batch.field_type(measurement, name).is_none();
    let open: Vec<usize> = names.iter().enumerate().filter(|(_, name)| is_open(name)).map(|(at, _)| at).collect();
    if open.is_empty() {
        return Ok(columns);
    }
    let mut fits: Vec<Vec<FieldType>> = vec![vec![FieldType::F64, FieldType::Bool]; open.len()];
    let mut reader = ReaderBuilder::new().from_reader(body);
    for record in reader.records().filter_map(Result::ok) {
        for (fits, at) in fits.iter_mut().zip(&open) {
            let cell = record.get(*at).filter(|cell| !cell.is_empty());
            fits.retain(|kind| cell.is_none_or(|cell| value(cell, *kind).is_some()));
        }
    }
    for (fits, at) in fits.iter().zip(&open) {
        columns[*at] = Column::Field(fits.first().copied().unwrap_or(FieldType::Str));
    }
    Ok(columns)
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
    let (mut tags, mut fields, mut time) = (BumpVec::new_in(copies), BumpVec::new_in(copies), None);
    let cells = names.iter().zip(columns).zip(record).filter(|(_, cell)| !cell.is_empty());
    for ((name, column), cell) in cells {
        match column {
            Column::Ignored => {}
            Column::Measurement => measurement = Some(cell),
            Column::Tag => tags.push((name, cell)),
            Column::Time => time = Some(options.instant(cell)?),
            Column::Field(kind) => {
                let value = value(cell, *kind);
                fields.push((name, value.ok_or_else(|| format!("'{name}': expected {kind}, found '{cell}'"))?));
            }
        }
    }
    let measurement = measurement.ok_or("expected a measurement")?;
    let time = options.time(time, now)?;
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
