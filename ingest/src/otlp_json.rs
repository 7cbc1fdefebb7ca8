//! OTLP metrics as JSON, as the [protobuf JSON
//! mapping](https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding) of OTLP has it: names in lowerCamelCase,
//! 64-bit integers as strings (numbers are taken, too).

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use tsdb::Batch;

use crate::json::Json;
use crate::metadata::{MetricInfo, MetricKind};
use crate::native_histogram::{NativeHistogram, Side};
use crate::otlp::{
    Attributes, DELTA, Histogram, Number, Point, PointExemplar, SPAN_ID, SummaryPoint, TRACE_ID, Writer, as_text,
    histogram_kind, side, sum_kind,
};
use crate::report::Report;

/// As [`otlp::decode`](crate::otlp::decode), of a request as JSON.
///
/// # Errors
///
/// Where the text is no such request, or no data point in it can be read; the batch is to be thrown away then.
pub fn decode(
    bytes: &[u8],
    now: i64,
    batch: &mut Batch,
    mut describe: impl FnMut(MetricInfo<'_>),
) -> Result<Report, String> {
    // What is as long as the request, and what belongs to the data point at hand.
    let (arena, mut room) = (Bump::new(), Bump::new());
    let request = Json::parse(bytes, &arena)?;
    object(request, "a request")?;
    let mut writer = Writer::new(batch, now, &mut describe);
    for found in list(request, "resourceMetrics")? {
        let read = resource(*found, &mut writer, &arena, &mut room);
        writer.note_unread(read, || points_in(*found, &["scopeMetrics", "metrics"]), "");
    }
    writer.report.of_message()
}

/// How many data points there are below these lists, as far as that can be seen.
fn points_in(owner: Json<'_>, lists: &[&str]) -> usize {
    let items = |name: &str| list(owner, name).unwrap_or_default().iter();
    match lists.split_first() {
        Some((name, rest)) => items(name).map(|item| points_in(*item, rest)).sum(),
        None => KINDS
            .iter()
            .flat_map(|kind| list(get(owner, kind).unwrap_or(Json::Null), "dataPoints"))
            .map(<[_]>::len)
            .sum(),
    }
}

fn resource<'a>(found: Json<'a>, writer: &mut Writer<'_, '_>, arena: &'a Bump, room: &mut Bump) -> Result<(), String> {
    object(found, "resourceMetrics")?;
    let mut outer = Attributes::new_in(arena);
    attributes(found.get("resource"), "attributes", &mut outer, arena)?;
    for found in list(found, "scopeMetrics")? {
        let read = scope(*found, &outer, writer, arena, room);
        writer.note_unread(read, || points_in(*found, &["metrics"]), "");
    }
    Ok(())
}

fn scope<'a>(
    found: Json<'a>,
    outer: &Attributes<'a>,
    writer: &mut Writer<'_, '_>,
    arena: &'a Bump,
    room: &mut Bump,
) -> Result<(), String> {
    object(found, "scopeMetrics")?;
    let (mut texts, scope) = (outer.clone(), found.get("scope"));
    texts.push(("otel_scope_name", text(scope, "name")?));
    texts.push(("otel_scope_version", text(scope, "version")?));
    attributes(scope, "attributes", &mut texts, arena)?;
    for metric in list(found, "metrics")? {
        let read = take(*metric, &texts, writer, room);
        writer.note_unread(read, || points_in(*metric, &[]), "");
    }
    Ok(())
}

/// The kinds of data that a metric can have; it has one.
const KINDS: [&str; 5] = ["sum", "gauge", "histogram", "exponentialHistogram", "summary"];

fn take(metric: Json<'_>, scope: &Attributes<'_>, writer: &mut Writer<'_, '_>, room: &mut Bump) -> Result<(), String> {
    object(metric, "a metric")?;
    let name = text(metric, "name")?;
    let data = KINDS.into_iter().map(|kind| (kind, metric.get(kind))).find(|(_, data)| !matches!(data, Json::Null));
    let Some((kind, data)) = data else { return Ok(()) };
    object(data, kind)?;
    let is_delta = match data.get("aggregationTemporality") {
        // Enumerations are numbers in OTLP's JSON; protobuf's own mapping has names.
        Json::Text(name) => name == "AGGREGATION_TEMPORALITY_DELTA",
        number => integer(number, "aggregationTemporality")?.unwrap_or(0) as u64 == DELTA,
    };
    let described = match kind {
        "sum" => match data.get("isMonotonic") {
            Json::Bool(is_monotonic) => sum_kind(is_delta, is_monotonic),
            Json::Null => sum_kind(is_delta, false),
            other => return Err(format!("isMonotonic: expected a boolean, found {}", other.what())),
        },
        "gauge" => MetricKind::Gauge,
        "summary" => MetricKind::Summary,
        _ => histogram_kind(is_delta),
    };
    let (unit, help) = (text(metric, "unit")?, text(metric, "description")?);
    writer.describe(MetricInfo { metric: name, kind: described, unit, help });
    for found in list(data, "dataPoints")? {
        room.reset();
        let read = data_point(kind, *found, name, scope, writer, room);
        writer.note_unread(read, || 1, name);
    }
    Ok(())
}

/// Takes a data point of a metric of this kind.
fn data_point(
    kind: &str,
    found: Json<'_>,
    metric: &str,
    scope: &Attributes<'_>,
    writer: &mut Writer<'_, '_>,
    room: &Bump,
) -> Result<(), String> {
    let point = point(found, room)?;
    match kind {
        "sum" | "gauge" => writer.number(metric, scope, &point, number(found)?),
        "histogram" => writer.histogram(metric, scope, &point, &histogram(found, room)?),
        "summary" => writer.summary(metric, scope, &point, &summary(found, room)?),
        _ => {
            let histogram = NativeHistogram { start_ms: point.start_ms(), ..exponential(found, room)? };
            writer.exponential(metric, scope, &point, &histogram);
        }
    }
    Ok(())
}

fn point<'a>(found: Json<'a>, room: &'a Bump) -> Result<Point<'a>, String> {
    object(found, "a data point")?;
    let mut point = Point::new_in(room);
    attributes(found, "attributes", &mut point.attributes, room)?;
    point.time = count(found, "timeUnixNano")?;
    point.start = count(found, "startTimeUnixNano")?;
    point.flags = count(found, "flags")?;
    for own in list(found, "exemplars")? {
        point.exemplars.push(exemplar(*own, room)?);
    }
    Ok(point)
}

fn exemplar<'a>(found: Json<'a>, room: &'a Bump) -> Result<PointExemplar<'a>, String> {
    object(found, "an exemplar")?;
    let mut own = PointExemplar::new_in(room);
    attributes(found, "filteredAttributes", &mut own.attributes, room)?;
    own.time = count(found, "timeUnixNano")?;
    own.value = match number(found)? {
        Some(Number::Double(value)) => value,
        Some(Number::Int(int)) => int as f64,
        None => 0.0,
    };
    // Ids are in hexadecimal, as they are shown.
    own.attributes.extend([(SPAN_ID, text(found, "spanId")?), (TRACE_ID, text(found, "traceId")?)]);
    Ok(own)
}

fn number(found: Json<'_>) -> Result<Option<Number>, String> {
    match integer(found.get("asInt"), "asInt")? {
        Some(int) => Ok(Some(Number::Int(int))),
        None => Ok(double(found.get("asDouble"), "asDouble")?.map(Number::Double)),
    }
}

fn histogram<'a>(found: Json<'a>, room: &'a Bump) -> Result<Histogram<'a>, String> {
    let mut histogram = Histogram::new_in(room);
    histogram.count = count(found, "count")?;
    histogram.sum = double(found.get("sum"), "sum")?;
    histogram.min = double(found.get("min"), "min")?;
    histogram.max = double(found.get("max"), "max")?;
    for count in list(found, "bucketCounts")? {
        histogram.bucket_counts.push(integer(*count, "bucketCounts")?.unwrap_or(0) as u64);
    }
    for bound in list(found, "explicitBounds")? {
        histogram.bounds.push(double(*bound, "explicitBounds")?.unwrap_or(0.0));
    }
    Ok(histogram)
}

fn exponential<'a>(found: Json<'a>, room: &'a Bump) -> Result<NativeHistogram<'a>, String> {
    Ok(NativeHistogram {
        count: count(found, "count")? as f64,
        sum: double(found.get("sum"), "sum")?,
        schema: integer(found.get("scale"), "scale")?.unwrap_or(0),
        zero_threshold: double(found.get("zeroThreshold"), "zeroThreshold")?.unwrap_or(0.0),
        zero_count: count(found, "zeroCount")? as f64,
        positive: buckets(found.get("positive"), room)?,
        negative: buckets(found.get("negative"), room)?,
        min: double(found.get("min"), "min")?,
        max: double(found.get("max"), "max")?,
        ..NativeHistogram::new_in(room)
    })
}

fn buckets<'a>(found: Json<'a>, room: &'a Bump) -> Result<Side<'a>, String> {
    let offset = integer(get(found, "offset")?, "offset")?.unwrap_or(0);
    let mut counts = BumpVec::new_in(room);
    for count in list(found, "bucketCounts")? {
        counts.push(integer(*count, "bucketCounts")?.unwrap_or(0) as u64 as f64);
    }
    Ok(side(offset, counts, room))
}

fn summary<'a>(found: Json<'a>, room: &'a Bump) -> Result<SummaryPoint<'a>, String> {
    let mut quantiles = BumpVec::new_in(room);
    for pair in list(found, "quantileValues")? {
        object(*pair, "quantileValues")?;
        let half = |name| Ok::<_, String>(double(pair.get(name), name)?.unwrap_or(0.0));
        quantiles.push((half("quantile")?, half("value")?));
    }
    let sum = double(found.get("sum"), "sum")?.unwrap_or(0.0);
    Ok(SummaryPoint { count: count(found, "count")?, sum, quantiles })
}

/// Adds the attributes of a resource, a scope, a data point or an exemplar, which stand under this name.
fn attributes<'a>(owner: Json<'a>, name: &str, into: &mut Attributes<'a>, room: &'a Bump) -> Result<(), String> {
    for pair in list(owner, name)? {
        object(*pair, "an attribute")?;
        let value = pair.get("value");
        let value = match value.get("stringValue") {
            Json::Text(text) => text,
            _ => as_text(plain(value)?, room),
        };
        into.push((text(*pair, "key")?, value));
    }
    Ok(())
}

/// An attribute's value without OTLP's names of types; the parser has refused what is too deep.
fn plain(value: Json<'_>) -> Result<serde_json::Value, String> {
    let pairs = match value {
        Json::Object(pairs) => pairs,
        Json::Null => return Ok(serde_json::Value::Null),
        other => return Err(format!("an attribute's value: expected an object, found {}", other.what())),
    };
    let Some((kind, value)) = pairs.iter().rev().find(|(_, value)| !matches!(value, Json::Null)) else {
        return Ok(serde_json::Value::Null);
    };
    Ok(match (*kind, *value) {
        // Bytes are in base64.
        ("stringValue" | "bytesValue", Json::Text(text)) => text.into(),
        ("boolValue", Json::Bool(bool)) => bool.into(),
        ("intValue", number) => integer(number, "intValue")?.into(),
        ("doubleValue", number) => double(number, "doubleValue")?.into(),
        ("arrayValue", found) => {
            let values = list(found, "values")?.iter().map(|value| plain(*value));
            values.collect::<Result<Vec<_>, _>>()?.into()
        }
        ("kvlistValue", found) => {
            let pairs = list(found, "values")?.iter();
            let pairs = pairs.map(|pair| Ok((text(*pair, "key")?.to_owned(), plain(get(*pair, "value")?)?)));
            serde_json::Value::Object(pairs.collect::<Result<_, String>>()?)
        }
        (kind, other) => return Err(format!("an attribute's {kind} is {}", other.what())),
    })
}

fn object(value: Json<'_>, what: &str) -> Result<(), String> {
    match value {
        Json::Object(_) => Ok(()),
        other => Err(format!("{what}: expected an object, found {}", other.what())),
    }
}

/// What an object has under a name; an object that is left out has nothing.
fn get<'a>(owner: Json<'a>, name: &str) -> Result<Json<'a>, String> {
    match owner {
        Json::Object(_) | Json::Null => Ok(owner.get(name)),
        other => Err(format!("{name}: expected it in an object, found {}", other.what())),
    }
}

fn list<'a>(owner: Json<'a>, name: &str) -> Result<&'a [Json<'a>], String> {
    match get(owner, name)? {
        Json::List(list) => Ok(list),
        Json::Null => Ok(&[]),
        other => Err(format!("{name}: expected a list, found {}", other.what())),
    }
}

fn text<'a>(owner: Json<'a>, name: &str) -> Result<&'a str, String> {
    match get(owner, name)? {
        Json::Text(text) => Ok(text),
        Json::Null => Ok(""),
        other => Err(format!("{name}: expected a text, found {}", other.what())),
    }
}

/// A 64-bit number that is not negative, 0 if it is not said.
fn count(owner: Json<'_>, name: &str) -> Result<u64, String> {
    Ok(integer(owner.get(name), name)?.unwrap_or(0) as u64)
}

/// A 64-bit integer, signed or not, as a string or as a number; as its bits.
fn integer(value: Json<'_>, name: &str) -> Result<Option<i64>, String> {
    match value {
        Json::Null => Ok(None),
        Json::I64(number) => Ok(Some(number)),
        Json::U64(number) => Ok(Some(number as i64)),
        Json::Text(text) => {
            let number = text.parse().or_else(|_| text.parse::<u64>().map(|number| number as i64));
            number.map(Some).map_err(|error| format!("{name}: '{text}' is no 64-bit integer: {error}"))
        }
        other => Err(format!("{name}: expected a 64-bit integer, found {}", other.what())),
    }
}

/// A double, as a number or as one of the texts `NaN`, `Infinity`, `-Infinity`.
fn double(value: Json<'_>, name: &str) -> Result<Option<f64>, String> {
    match value {
        Json::Null => Ok(None),
        Json::I64(number) => Ok(Some(number as f64)),
        Json::U64(number) => Ok(Some(number as f64)),
        Json::F64(number) => Ok(Some(number)),
        Json::Text(text) => text.parse().map(Some).map_err(|error| format!("{name}: '{text}' is no double: {error}")),
        other => Err(format!("{name}: expected a double, found {}", other.what())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tsdb::Limits;

    /// Everything that is of another kind than OTLP says is refused by name, wherever it stands.
    #[test]
    fn what_is_no_request_is_refused() {
        let metric = |data: &str| {
            format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m",{data}}}]}}]}}]}}"#)
        };
        let point = |fields: &str| metric(&format!(r#""gauge":{{"dataPoints":[{{{fields}}}]}}"#));
        for (text, said) in [
            ("[]".to_owned(), "a request"),
            (r#"{"resourceMetrics":[5]}"#.into(), "resourceMetrics"),
            (r#"{"resourceMetrics":[{"resource":5}]}"#.into(), "attributes"),
            (r#"{"resourceMetrics":[{"scopeMetrics":["x"]}]}"#.into(), "scopeMetrics"),
            (r#"{"resourceMetrics":[{"scopeMetrics":[{"scope":5}]}]}"#.into(), "name"),
            (metric(r#""sum":{"isMonotonic":1}"#), "isMonotonic"),
            (metric(r#""gauge":5"#), "gauge"),
            (metric(r#""gauge":{"dataPoints":[null]}"#), "a data point"),
            (metric(r#""summary":{"dataPoints":[{"quantileValues":[1]}]}"#), "quantileValues"),
            (metric(r#""exponentialHistogram":{"dataPoints":[{"positive":[]}]}"#), "offset"),
            (point(r#""attributes":[7]"#), "an attribute"),
            (point(r#""attributes":[{"key":"a","value":7}]"#), "value"),
            (point(r#""attributes":[{"key":"a","value":{"stringValue":7}}]"#), "stringValue"),
            (point(r#""asInt":"x""#), "asInt"),
            (point(r#""asDouble":true"#), "asDouble"),
        ] {
            let mut batch = Batch::detached("public", Limits::default());
            let error = decode(text.as_bytes(), 7, &mut batch, |_| {}).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        let mut batch = Batch::detached("public", Limits::default());
        let good =
            point(r#""asInt":"3","attributes":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"}]}}}]"#);
        assert_eq!(decode(good.as_bytes(), 7, &mut batch, |_| {}).unwrap().taken, 1);
    }
}
