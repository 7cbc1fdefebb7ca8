//! Rows as JSON, one object a line.
//!
//! `{"measurement":"cpu","tags":{"host":"a"},"fields":{"usage":1.5},"time":"2026-01-01T00:00:00Z"}`, or flat, as `format=jsonl` of a
//! query gives them, when the request says which measurement it is and which columns are tags.
//!
//! A number is a float, unless the field is an integer already, or the number is an integer that no float is.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use tsdb::{Batch, FieldType, Row, Value};

use crate::report::{Reason, Report};
use crate::row_options::{RowOptions, instant};
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
    let mut report = Report::default();
    let mut rows = Rows::new(batch);
    let (mut start, mut number) = (0, 0);
    while start < body.len() {
        let end = memchr(b'\n', &body[start..]).map_or(body.len(), |found| start + found);
        let line = body[start..end].trim_ascii();
        (start, number) = (end + 1, number + 1);
        if line.is_empty() {
            continue;
        }
        match take(line, options, now, &mut rows) {
            Ok(values) => report.take(values),
            Err(reason) => report.refuse(number, reason, &String::from_utf8_lossy(line)),
        }
    }
    report
}

fn take(line: &[u8], options: &RowOptions, now: i64, rows: &mut Rows<'_>) -> Result<usize, Reason> {
    let object: Object<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let mut measurement = options.measurement.as_deref();
    let (mut tags, mut fields) = (Vec::new(), Vec::new());
    let mut time = now;
    let is_nested = object.0.iter().any(|(name, value)| name == "fields" && matches!(value, Json::Object(_)));
    let mut texts = Vec::new();
    for (name, value) in &object.0 {
        match (name.as_ref(), value) {
            ("time", value) => time = value.time(options)?.unwrap_or(now),
            ("measurement", Json::Text(text)) if is_nested => measurement = Some(text),
            ("tags", Json::Object(object)) if is_nested => {
                texts.extend(object.0.iter().map(|(name, value)| (name, value)));
            }
            ("fields", Json::Object(object)) if is_nested => {
                fields.extend(object.0.iter().map(|(name, value)| (name.as_ref(), value)));
            }
            (name, _) if is_nested => {
                return Err(format!("'{name}' is not known; expected measurement, tags, fields and time").into());
            }
            (tag, value) if options.is_tag(tag) => texts.push((name, value)),
            (name, value) => fields.push((name, value)),
        }
    }
    let Some(measurement) = measurement else {
        return Err(
            "expected \"measurement\", and \"fields\" with the values; or measurement=NAME with the request".into()
        );
    };
    let values: Vec<Cow<'_, str>> = texts.iter().map(|(name, value)| value.tag(name)).collect::<Result<_, _>>()?;
    for ((name, _), value) in texts.iter().zip(&values).filter(|(_, value)| !value.is_empty()) {
        tags.push((name.as_ref(), value.as_ref()));
    }
    let mut typed = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        if let Some(value) = value.field(name, || rows.batch.field_type(measurement, name))? {
            typed.push((name, value));
        }
    }
    rows.push(&Row { measurement, tags: &tags, time, fields: &typed })?;
    Ok(typed.len())
}

/// A value of JSON; texts are borrowed where they have no escapes.
enum Json<'a> {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(Cow<'a, str>),
    Object(Object<'a>),
    List,
}

struct Object<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Json<'a> {
    fn time(&self, options: &RowOptions) -> Result<Option<i64>, String> {
        match self {
            Json::Null => Ok(None),
            Json::I64(units) => options.precision.ns(*units).map(Some),
            // Some programs write large whole numbers as 1.7672256e+18.
            Json::F64(units) if units.fract() == 0.0 && units.abs() < i64::MAX as f64 => {
                options.precision.ns(*units as i64).map(Some)
            }
            Json::Text(text) => instant(text).map(Some),
            _ => Err("time: expected a whole number or a text like \"2026-01-01T00:00:00Z\"".into()),
        }
    }

    fn tag(&self, name: &str) -> Result<Cow<'_, str>, String> {
        Ok(match self {
            Json::Null => "".into(),
            Json::Bool(bool) => bool.to_string().into(),
            Json::I64(number) => number.to_string().into(),
            Json::U64(number) => number.to_string().into(),
            Json::F64(number) => number.to_string().into(),
            Json::Text(text) => text.as_ref().into(),
            Json::Object(_) | Json::List => {
                return Err(format!("tag '{name}': expected a text, found {}", self.what()));
            }
        })
    }

    fn field(&'a self, name: &str, known: impl Fn() -> Option<FieldType>) -> Result<Option<Value<'a>>, String> {
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
        Ok(Some(match self {
            Json::Null => return Ok(None),
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Text(text) => Value::Str(text),
            Json::I64(exact) => exactly((*exact).into())?,
            Json::U64(exact) => exactly((*exact).into())?,
            Json::F64(float) if float.fract() == 0.0 && float.abs() < 1e15 => match known() {
                Some(FieldType::I64) => Value::I64(*float as i64),
                Some(FieldType::U64) if *float >= 0.0 => Value::U64(*float as u64),
                _ => Value::F64(*float),
            },
            Json::F64(float) => Value::F64(*float),
            Json::Object(_) | Json::List => {
                return Err(format!("field '{name}': expected a number, a text or a boolean, found {}", self.what()));
            }
        }))
    }

    fn what(&self) -> &'static str {
        match self {
            Json::Object(_) => "an object",
            Json::List => "a list",
            _ => "a value",
        }
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Object<'de>, D::Error> {
        match Json::deserialize(input)? {
            Json::Object(object) => Ok(object),
            _ => Err(D::Error::custom("expected an object a line")),
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Json<'de>, D::Error> {
        input.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::I64(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::U64(value), Json::I64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::F64(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(value.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<'de>, A::Error> {
        while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(Json::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(name) = map.next_key::<Json<'de>>()? {
            let Json::Text(name) = name else { unreachable!("the names of JSON's objects are texts") };
            pairs.push((name, map.next_value()?));
        }
        Ok(Json::Object(Object(pairs)))
    }
}
