//! Rows as an Arrow IPC stream: columns as tables have them.
//!
//! `time` is a timestamp, or a whole number in the request's precision. Dictionaries of strings are tags, and so are
//! strings that the request calls so; all else are fields: integers, unsigned integers, floats, booleans and strings of
//! any width.

use std::io::Cursor;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{DataType, Field, TimeUnit};
use tsdb::{Batch, Row, Value};

use crate::report::Report;
use crate::row_options::RowOptions;
use crate::rows::Rows;

/// The column of times.
const TIME: &str = "time";

/// Takes the rows of a stream into `batch`, which may unpack to so many bytes. Rows that the store refuses are refused
/// one by one.
///
/// # Errors
///
/// The stream breaks off, has no column `time` or one that no table can have: the batch is to be thrown away then.
pub fn parse(body: &[u8], options: &RowOptions, bytes_max: usize, batch: &mut Batch) -> Result<Report, String> {
    check_sizes(body, bytes_max)?;
    let reader = StreamReader::try_new(Cursor::new(body), None).map_err(|error| error.to_string())?;
    let schema = reader.schema();
    let named = schema.metadata().get("measurement").map(String::as_str);
    let measurement = options.measurement.as_deref().or(named);
    let measurement = measurement.ok_or("expected measurement=NAME with the request, or in the schema's metadata")?;
    let columns: Vec<Kind> = schema.fields().iter().map(|field| Kind::of(field, options)).collect::<Result<_, _>>()?;
    if !columns.contains(&Kind::Time) {
        return Err("expected a column 'time' of timestamps or whole numbers".into());
    }
    let mut report = Report::default();
    let mut rows = Rows::new(batch);
    for rows_in in reader {
        let rows_in = rows_in.map_err(|error| error.to_string())?;
        take(&rows_in, &columns, measurement, options, &mut rows, &mut report)?;
    }
    Ok(report)
}

/// What a column is, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Time,
    Tag,
    F64,
    I64,
    U64,
    Bool,
    Str,
}

impl Kind {
    fn of(field: &Field, options: &RowOptions) -> Result<Kind, String> {
        let kind = field.data_type();
        let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        Ok(match kind {
            _ if field.name() == TIME => match kind {
                DataType::Timestamp(..) | DataType::Int64 => Kind::Time,
                other => return Err(format!("column 'time' is {other}; expected timestamps or Int64")),
            },
            DataType::Dictionary(_, value) if is_text(value) => Kind::Tag,
            kind if is_text(kind) && options.is_tag(field.name()) => Kind::Tag,
            kind if is_text(kind) => Kind::Str,
            DataType::Boolean => Kind::Bool,
            kind if kind.is_signed_integer() => Kind::I64,
            kind if kind.is_unsigned_integer() => Kind::U64,
            kind if kind.is_floating() => Kind::F64,
            other => {
                let name = field.name();
                return Err(format!("column '{name}' is {other}; expected numbers, booleans or strings"));
            }
        })
    }

    fn arrow(self, given: &DataType) -> DataType {
        match self {
            Kind::Time if matches!(given, DataType::Timestamp(..)) => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Kind::Time | Kind::I64 => DataType::Int64,
            Kind::Tag | Kind::Str => DataType::Utf8,
            Kind::F64 => DataType::Float64,
            Kind::U64 => DataType::UInt64,
            Kind::Bool => DataType::Boolean,
        }
    }
}

/// A column's values.
enum Column {
    Time(Int64Array),
    Tag(StringArray),
    F64(Float64Array),
    I64(Int64Array),
    U64(UInt64Array),
    Bool(BooleanArray),
    Str(StringArray),
}

impl Column {
    fn new(array: &ArrayRef, kind: Kind, options: &RowOptions) -> Result<Column, String> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let is_number = array.data_type() == &DataType::Int64;
        let array =
            cast_with_options(array, &kind.arrow(array.data_type()), &strict).map_err(|error| error.to_string())?;
        Ok(match kind {
            Kind::Time if is_number => {
                let units = array.as_primitive::<Int64Type>();
                Column::Time(units.try_unary(|units| options.precision.ns(units)).map_err(|error: String| error)?)
            }
            Kind::Time => {
                Column::Time(array.as_primitive::<arrow_array::types::TimestampNanosecondType>().reinterpret_cast())
            }
            Kind::Tag => Column::Tag(array.as_string().clone()),
            Kind::Str => Column::Str(array.as_string().clone()),
            Kind::F64 => Column::F64(array.as_primitive::<Float64Type>().clone()),
            Kind::I64 => Column::I64(array.as_primitive::<Int64Type>().clone()),
            Kind::U64 => Column::U64(array.as_primitive::<UInt64Type>().clone()),
            Kind::Bool => Column::Bool(array.as_boolean().clone()),
        })
    }

    fn field(&self, row: usize) -> Option<Value<'_>> {
        match self {
            Column::F64(values) => values.is_valid(row).then(|| Value::F64(values.value(row))),
            Column::I64(values) => values.is_valid(row).then(|| Value::I64(values.value(row))),
            Column::U64(values) => values.is_valid(row).then(|| Value::U64(values.value(row))),
            Column::Bool(values) => values.is_valid(row).then(|| Value::Bool(values.value(row))),
            Column::Str(values) => values.is_valid(row).then(|| Value::Str(values.value(row))),
            Column::Time(_) | Column::Tag(_) => None,
        }
    }
}

fn take(
    batch: &RecordBatch,
    kinds: &[Kind],
    measurement: &str,
    options: &RowOptions,
    rows: &mut Rows<'_>,
    report: &mut Report,
) -> Result<(), String> {
    let columns = batch.columns().iter().zip(kinds).map(|(array, kind)| Column::new(array, *kind, options));
    let columns: Vec<Column> = columns.collect::<Result<_, _>>()?;
    let schema = batch.schema();
    let named: Vec<(&str, &Column)> = schema.fields().iter().map(|field| field.name().as_str()).zip(&columns).collect();
    let (mut tags, mut fields) = (Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        tags.clear();
        fields.clear();
        let mut time = None;
        for (name, column) in &named {
            match column {
                Column::Time(times) => time = times.is_valid(row).then(|| times.value(row)),
                Column::Tag(values) if values.is_valid(row) && !values.value(row).is_empty() => {
                    tags.push((*name, values.value(row)));
                }
                other => fields.extend(other.field(row).map(|value| (*name, value))),
            }
        }
        let number = report.taken + report.refused + 1;
        match time.map(|time| rows.push(&Row { measurement, tags: &tags, time, fields: &fields })) {
            Some(Ok(())) => report.take(fields.len()),
            Some(Err(error)) => report.refuse(number, error, ""),
            None => report.refuse(number, "the row has no time", ""),
        }
    }
    Ok(())
}

/// Walks over the messages of a stream before anything makes room for what they claim: each must be there as a whole,
/// and what compressed buffers say of their length must fit.
fn check_sizes(body: &[u8], bytes_max: usize) -> Result<(), String> {
    const CONTINUATION: [u8; 4] = [0xff; 4];
    let breaks_off = || "a message breaks off".to_owned();
    let mut rest = body.strip_prefix(&CONTINUATION[..]).unwrap_or(body);
    let mut sum = 0u64;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or_else(breaks_off)?;
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 {
            return Ok(());
        }
        let (head, after) = after.split_at_checked(length).ok_or_else(breaks_off)?;
        let message = arrow_ipc::root_as_message(head).map_err(|error| format!("a message's head: {error}"))?;
        let length = usize::try_from(message.bodyLength()).map_err(|_| breaks_off())?;
        let (data, next) = after.split_at_checked(length).ok_or_else(breaks_off)?;
        let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
        if let Some(batch) = message.header_as_record_batch().or(dictionary)
            && batch.compression().is_some()
        {
            for buffer in batch.buffers().into_iter().flatten() {
                let at = usize::try_from(buffer.offset()).unwrap_or(usize::MAX);
                let start = data.get(at..).and_then(|data| data.first_chunk());
                sum = sum.saturating_add(start.map_or(0, |bytes| i64::from_le_bytes(*bytes)).max(0) as u64);
            }
        }
        if sum > bytes_max as u64 {
            return Err(format!("the stream unpacks to more than {bytes_max} bytes (server.unpacked_max)"));
        }
        rest = next.strip_prefix(&CONTINUATION[..]).unwrap_or(next);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsdb::Limits;

    /// Four bytes once made the reader fill two gigabytes with zeros.
    #[test]
    fn a_message_that_claims_more_than_there_is_is_refused() {
        for claim in [&[0xff, 0xff, 0xff, 0x7f][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &[1, 0, 0]] {
            let mut batch = Batch::detached("public", Limits::default());
            let refused = parse(claim, &RowOptions::default(), 1 << 20, &mut batch).unwrap_err();
            assert_eq!(refused, "a message breaks off");
        }
    }
}
