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
//! cells in the body fit: float, boolean or string; integer where all are and one is none that a float says exactly.
//!
//! A text that begins with annotations (`#datatype`, `#group`, `#default`) is read as InfluxDB 2 writes it, table by
//! table ([`annotated_csv`](crate::annotated_csv)).
//!
//! Types are `time`, `measurement`, `tag`, `float`, `integer`, `unsigned`, `boolean`, `string` and `ignored`, also as
//! InfluxDB's annotated CSV spells them. An empty cell is no value.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use csv::{ErrorKind, Position, ReaderBuilder, StringRecord};
use tsdb::{Batch, FieldType, Row, TIME_COLUMN, Value};

use crate::annotated_csv;
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
    if annotated_csv::is_annotated(body) {
        return Ok(annotated_csv::parse(body, options, now, batch));
    }
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
                let line = line_at(body, record.position());
                (line, take(&names, &columns, &record, options, now, &mut rows, &copies))
            }
            Err(error) => {
                let line = line_at(body, error.position());
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
            Err(reason) => report.refuse(line, reason, &record.iter().collect::<Vec<_>>().join(",")),
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
    let mut fits: Vec<Vec<FieldType>> = vec![OPEN_TYPES.to_vec(); open.len()];
    let mut are_exact = vec![true; open.len()];
    let mut reader = ReaderBuilder::new().from_reader(body);
    for record in reader.records().filter_map(Result::ok) {
        for ((fits, at), are_exact) in fits.iter_mut().zip(&open).zip(&mut are_exact) {
            let Some(cell) = record.get(*at).filter(|cell| !cell.is_empty()) else { continue };
            fits.retain(|kind| value(cell, *kind).is_some());
            *are_exact &= cell.parse::<i128>().is_ok_and(|int| int as f64 as i128 == int) || !is_integer(cell);
        }
    }
    // What no float says exactly is an integer, if all cells are.
    for (fits, are_exact) in fits.iter_mut().zip(are_exact) {
        let is_whole = fits.iter().any(|kind| matches!(kind, FieldType::I64 | FieldType::U64));
        fits.retain(|kind| match kind {
            FieldType::F64 => are_exact || !is_whole,
            FieldType::I64 | FieldType::U64 => !are_exact,
            _ => true,
        });
    }
    for (fits, at) in fits.iter().zip(&open) {
        columns[*at] = Column::Field(fits.first().copied().unwrap_or(FieldType::Str));
    }
    Ok(columns)
}

/// What the cells of a column without a type may be, the first that all fit counts.
const OPEN_TYPES: [FieldType; 4] = [FieldType::F64, FieldType::I64, FieldType::U64, FieldType::Bool];

fn is_integer(cell: &str) -> bool {
    cell.trim_start_matches(['-', '+']).bytes().all(|byte| byte.is_ascii_digit())
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

/// The number of the line at which a record begins. The reader takes what ends lines before it for a part of it.
pub(crate) fn line_at(body: &[u8], position: Option<&Position>) -> usize {
    let Some(position) = position else { return 0 };
    let before = body.get(position.byte() as usize..).unwrap_or_default();
    let ends = before.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n');
    position.line() as usize + ends.count()
}

/// A cell as a value of a type.
pub(crate) fn value(cell: &str, kind: FieldType) -> Option<Value<'_>> {
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

#[cfg(test)]
mod tests {
    use tsdb::Limits;

    use super::*;

    /// In files with CRLF every line but the first was told as the one before it.
    #[test]
    fn refused_rows_are_told_by_their_lines_however_these_end() {
        for end in ["\n", "\r\n"] {
            let body = ["time,v", "time,float", "1,1", "", "2,x", "3,\"1\n", "\"", "4,y"].join(end);
            let options = RowOptions { measurement: Some("m".into()), ..RowOptions::default() };
            let mut batch = Batch::detached("public", Limits::default());
            let report = parse(body.as_bytes(), &options, 0, &mut batch).unwrap();
            let lines: Vec<usize> = report.reasons.iter().map(|bad| bad.line).collect();
            assert_eq!(lines, [5, 6, 9], "{end:?}");
        }
    }
}
