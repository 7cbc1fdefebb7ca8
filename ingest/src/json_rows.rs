//! Rows as JSON, one object a line.
//!
//! `{"measurement":"cpu","tags":{"host":"a"},"fields":{"usage":1.5},"time":"2026-01-01T00:00:00Z"}`, or flat, as
//! `format=jsonl` of a query gives them, when the request says which measurement it is and which columns are tags.
//!
//! A number is a float, unless the field is an integer already, or the number is an integer that no float is.

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use memchr::memchr;
use tsdb::{Batch, FieldType, Row, Value};

use crate::body::without_mark;
use crate::json::Json;
use crate::report::{Reason, Report};
use crate::row_options::RowOptions;
use crate::rows::Rows;

/// Takes the rows of `body` into `batch`; lines that are wrong are refused one by one.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = tsdb::Store::open(dir.path(), Default::default()).unwrap();
/// let body = br#"{"measurement":"cpu","tags":{"host":"a"},"fields":{"usage":1.5},"time":10}
/// {"measurement":"cpu","fields":{}}"#;
/// let mut batch = store.batch("public");
/// let report = ingest::json_rows::parse(body, &Default::default(), 0, &mut batch);
/// assert_eq!((report.taken, report.reasons[0].line), (1, 2));
/// ```
pub fn parse(body: &[u8], options: &RowOptions, now: i64, batch: &mut Batch) -> Report {
    let body = without_mark(body);
    let mut report = Report::default();
    let mut rows = Rows::new(batch);
    let mut room = Bump::new();
    let (mut start, mut number) = (0, 0);
    while start < body.len() {
        let end = memchr(b'\n', &body[start..]).map_or(body.len(), |found| start + found);
        let line = body[start..end].trim_ascii();
        (start, number) = (end + 1, number + 1);
        if line.is_empty() {
            continue;
        }
        room.reset();
        match take(line, options, now, &mut rows, &room) {
            Ok(values) => report.take(values),
            Err(reason) => report.refuse(number, reason, &String::from_utf8_lossy(line)),
        }
    }
    report
}

fn take(line: &[u8], options: &RowOptions, now: i64, rows: &mut Rows<'_>, room: &Bump) -> Result<usize, Reason> {
    let Json::Object(object) = Json::parse(line, room)? else { return Err("expected an object a line".into()) };
    let mut measurement = options.measurement.as_deref();
    let (mut tags, mut fields) = (BumpVec::new_in(room), BumpVec::new_in(room));
    let mut time = None;
    let is_nested = object.iter().any(|(name, value)| *name == "fields" && matches!(value, Json::Object(_)));
    for (name, value) in object {
        match (*name, *value) {
            ("time", value) => time = instant_of(value, options, room)?,
            ("measurement", Json::Text(text)) if is_nested => measurement = Some(text),
            ("tags", Json::Object(object)) if is_nested => tags.extend_from_slice_copy(object),
            ("fields", Json::Object(object)) if is_nested => fields.extend_from_slice_copy(object),
            (name, _) if is_nested => {
                return Err(format!("'{name}' is not known; expected measurement, tags, fields and time").into());
            }
            (tag, value) if options.is_tag(tag) => tags.push((tag, value)),
            (name, value) => fields.push((name, value)),
        }
    }
    let Some(measurement) = measurement else {
        return Err(
            "expected \"measurement\", and \"fields\" with the values; or measurement=NAME with the request".into()
        );
    };
    let time = options.time(time, now)?;
    let mut texts = BumpVec::with_capacity_in(tags.len(), room);
    for (name, value) in tags {
        let text = tag(name, value, room)?;
        if !text.is_empty() {
            texts.push((name, text));
        }
    }
    let mut typed = BumpVec::with_capacity_in(fields.len(), room);
    for (name, value) in fields {
        if let Some(value) = field(name, value, || rows.batch.field_type(measurement, name))? {
            typed.push((name, value));
        }
    }
    rows.push(&Row { measurement, tags: &texts, time, fields: &typed })?;
    Ok(typed.len())
}

fn instant_of(value: Json<'_>, options: &RowOptions, room: &Bump) -> Result<Option<i64>, String> {
    match value {
        Json::Null => Ok(None),
        Json::I64(units) => options.precision.ns(units).map(Some),
        // Some programs write large whole numbers as 1.7672256e+18, and seconds with a fraction: its shortest text is
        // what was written.
        Json::F64(units) if units.abs() < i64::MAX as f64 => {
            options.precision.ns_of_text(&bumpalo::format!(in room, "{}", units)).map(Some)
        }
        Json::Text("") => Ok(None),
        Json::Text(text) => options.instant(text).map(Some),
        _ => Err("time: expected a whole number or a text like \"2026-01-01T00:00:00Z\"".into()),
    }
}

fn tag<'a>(name: &str, value: Json<'a>, room: &'a Bump) -> Result<&'a str, String> {
    Ok(match value {
        Json::Null => "",
        Json::Bool(true) => "true",
        Json::Bool(false) => "false",
        Json::I64(number) => bumpalo::format!(in room, "{}", number).into_bump_str(),
        Json::U64(number) => bumpalo::format!(in room, "{}", number).into_bump_str(),
        Json::F64(number) => bumpalo::format!(in room, "{}", number).into_bump_str(),
        Json::Text(text) => text,
        Json::Object(_) | Json::List(_) => {
            return Err(format!("tag '{name}': expected a text, found {}", value.what()));
        }
    })
}

fn field<'a>(name: &str, value: Json<'a>, known: impl Fn() -> Option<FieldType>) -> Result<Option<Value<'a>>, String> {
    let number = |exact: i128| match known() {
        Some(FieldType::I64) => i64::try_from(exact).map(Value::I64).ok(),
        Some(FieldType::U64) => u64::try_from(exact).map(Value::U64).ok(),
        Some(FieldType::F64) => Some(exact as f64).filter(|float| *float as i128 == exact).map(Value::F64),
        _ if exact as f64 as i128 == exact => Some(Value::F64(exact as f64)),
        _ => i64::try_from(exact).map(Value::I64).or_else(|_| u64::try_from(exact).map(Value::U64)).ok(),
    };
    let exactly = |exact: i128| {
        number(exact).ok_or_else(|| format!("field '{name}': {exact} does not fit into the field's type"))
    };
    Ok(Some(match value {
        Json::Null => return Ok(None),
        Json::Bool(bool) => Value::Bool(bool),
        Json::Text(text) => Value::Str(text),
        Json::I64(exact) => exactly(exact.into())?,
        Json::U64(exact) => exactly(exact.into())?,
        Json::F64(float) if float.fract() == 0.0 && float.abs() < 1e15 => match known() {
            Some(FieldType::I64) => Value::I64(float as i64),
            Some(FieldType::U64) if float >= 0.0 => Value::U64(float as u64),
            _ => Value::F64(float),
        },
        Json::F64(float) => Value::F64(float),
        Json::Object(_) | Json::List(_) => {
            return Err(format!("field '{name}': expected a number, a text or a boolean, found {}", value.what()));
        }
    }))
}
