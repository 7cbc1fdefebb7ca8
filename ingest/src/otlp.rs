//! OTLP metrics, as <https://opentelemetry.io/docs/specs/otlp/> has them: protobuf here, JSON in
//! [`otlp_json`](crate::otlp_json).
//!
//! Tags are the attributes of resource, scope and data point; of one name the innermost counts. The scope itself is
//! `otel_scope_name` and `otel_scope_version`. What becomes of the kinds of metrics is in [`Writer`].

use std::borrow::Cow;
use std::fmt::Write;

use bumpalo::Bump;
use bumpalo::collections::Vec as BumpVec;
use domain::metric::{START, VALUE, tag};
use tsdb::{Batch, STALE_MARK};
use wire::{Message, Wire};

use crate::exemplar::Exemplar;
use crate::metadata::{MetricInfo, MetricKind};
use crate::native_histogram::{NativeHistogram, Side};
use crate::report::{Reason, Report};
use crate::rows::Rows;

/// What Prometheus calls the trace and the span of an exemplar.
pub(crate) const TRACE_ID: &str = "trace_id";
pub(crate) const SPAN_ID: &str = "span_id";
/// How deep lists and maps may be in an attribute.
const DEPTH_MAX: usize = 16;

/// Attributes as texts, the outer ones first.
pub(crate) type Attributes<'a> = BumpVec<'a, (&'a str, &'a str)>;

/// What all kinds of data points have.
#[derive(Debug)]
pub(crate) struct Point<'a> {
    /// For what is made of the point.
    pub room: &'a Bump,
    pub attributes: Attributes<'a>,
    /// ns since the epoch; 0 if it is not said.
    pub time: u64,
    /// The time since when it counts, likewise.
    pub start: u64,
    pub flags: u64,
    pub exemplars: BumpVec<'a, PointExemplar<'a>>,
}

/// A value that a data point counts, and what it came from.
#[derive(Debug)]
pub(crate) struct PointExemplar<'a> {
    /// Those of it that its data point has not, the trace and the span.
    pub attributes: Attributes<'a>,
    /// ns since the epoch; 0 if it is not said.
    pub time: u64,
    pub value: f64,
}

impl<'a> PointExemplar<'a> {
    pub(crate) fn new_in(room: &'a Bump) -> PointExemplar<'a> {
        PointExemplar { attributes: Attributes::new_in(room), time: 0, value: 0.0 }
    }
}

impl<'a> Point<'a> {
    pub(crate) fn new_in(room: &'a Bump) -> Point<'a> {
        let (attributes, exemplars) = (Attributes::new_in(room), BumpVec::new_in(room));
        Point { room, attributes, time: 0, start: 0, flags: 0, exemplars }
    }

    /// Since when it counts, in ms; 0 if it is not said.
    pub(crate) fn start_ms(&self) -> i64 {
        (self.start / 1_000_000) as i64
    }
}

/// A number: of a gauge or a sum.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Double(f64),
    Int(i64),
}

/// A histogram with bounds of its own.
#[derive(Debug)]
pub(crate) struct Histogram<'a> {
    pub count: u64,
    pub sum: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub bucket_counts: BumpVec<'a, u64>,
    pub bounds: BumpVec<'a, f64>,
}

impl<'a> Histogram<'a> {
    pub(crate) fn new_in(room: &'a Bump) -> Histogram<'a> {
        let (bucket_counts, bounds) = (BumpVec::new_in(room), BumpVec::new_in(room));
        Histogram { count: 0, sum: None, min: None, max: None, bucket_counts, bounds }
    }
}

/// A summary: quantiles and their values.
#[derive(Debug)]
pub(crate) struct SummaryPoint<'a> {
    pub count: u64,
    pub sum: f64,
    pub quantiles: BumpVec<'a, (f64, f64)>,
}

/// Makes rows of data points.
///
/// - gauge, sum: the table of the metric's name with the field `value`, a float. An integer that a float cannot hold
///   exactly stands in `value_int` beside it.
/// - histogram: as Prometheus has it, tables `<name>_bucket` (tag `le`, cumulative), `<name>_count`, `<name>_sum`, and
///   if they are said `<name>_min` and `<name>_max`.
/// - exponential histogram: the columns of [`NativeHistogram`] in the table of the metric's name.
/// - summary: the metric's name with the tag `quantile`, `<name>_count`, `<name>_sum`.
pub(crate) struct Writer<'b, 'd> {
    rows: Rows<'b>,
    pub report: Report,
    describe: &'d mut dyn FnMut(MetricInfo<'_>),
    now: i64,
    /// Data points so far.
    number: usize,
}

impl<'b, 'd> Writer<'b, 'd> {
    pub(crate) fn new(batch: &'b mut Batch, now: i64, describe: &'d mut dyn FnMut(MetricInfo<'_>)) -> Writer<'b, 'd> {
        Writer { rows: Rows::new(batch), report: Report::default(), describe, now, number: 0 }
    }

    pub(crate) fn describe(&mut self, info: MetricInfo<'_>) {
        (self.describe)(info);
    }

    pub(crate) fn number(&mut self, metric: &str, scope: &Attributes<'_>, point: &Point<'_>, number: Option<Number>) {
        let of_metric = |_: f64| (metric, None);
        self.take(metric, scope, point, of_metric, |rows, tags, when| match number {
            _ if point.flags & 1 == 1 => sample(rows, metric, tags, when, STALE_MARK),
            None => Err(Reason("no_value", "the data point has neither as_double nor as_int".into())),
            Some(number) => number_sample(rows, metric, tags, when, number),
        });
    }

    pub(crate) fn histogram(&mut self, metric: &str, scope: &Attributes<'_>, point: &Point<'_>, found: &Histogram<'_>) {
        let room = point.room;
        let bucket: &str = bumpalo::format!(in room, "{}_bucket", metric).into_bump_str();
        let le = |at: usize| match found.bounds.get(at) {
            Some(bound) => bumpalo::format!(in room, "{}", bound).into_bump_str(),
            None => "+Inf",
        };
        let of_bucket = |value: f64| (bucket, Some(le(found.bounds.partition_point(|bound| *bound < value))));
        self.take(metric, scope, point, of_bucket, |rows, tags, when| {
            let (counts, bounds) = (&found.bucket_counts, &found.bounds);
            if !(counts.is_empty() && bounds.is_empty()) && counts.len() != bounds.len() + 1 {
                let (counts, bounds) = (counts.len(), bounds.len());
                return Err(
                    format!("a histogram has {counts} bucket counts for {bounds} bounds; expected one more").into()
                );
            }
            let (mut sum, mut values) = (0u64, 0);
            for (at, count) in counts.iter().enumerate() {
                sum = sum.saturating_add(*count);
                values += sample(rows, bucket, &with(tags, "le", le(at), room), when, sum as f64)?;
            }
            let count = if point.flags & 1 == 1 { STALE_MARK } else { found.count as f64 };
            values += sample(rows, &bumpalo::format!(in room, "{}_count", metric), tags, when, count)?;
            for (what, value) in [("sum", found.sum), ("min", found.min), ("max", found.max)] {
                if let Some(value) = value {
                    values += sample(rows, &bumpalo::format!(in room, "{}_{}", metric, what), tags, when, value)?;
                }
            }
            Ok(values)
        });
    }

    pub(crate) fn summary(
        &mut self,
        metric: &str,
        scope: &Attributes<'_>,
        point: &Point<'_>,
        found: &SummaryPoint<'_>,
    ) {
        let room = point.room;
        self.take(
            metric,
            scope,
            point,
            |_| (metric, None),
            |rows, tags, when| {
                let mut values = 0;
                for (quantile, value) in &found.quantiles {
                    let quantile = bumpalo::format!(in room, "{}", quantile);
                    values += sample(rows, metric, &with(tags, "quantile", &quantile, room), when, *value)?;
                }
                values += sample(rows, &bumpalo::format!(in room, "{}_count", metric), tags, when, found.count as f64)?;
                Ok(values + sample(rows, &bumpalo::format!(in room, "{}_sum", metric), tags, when, found.sum)?)
            },
        );
    }

    pub(crate) fn exponential(
        &mut self,
        metric: &str,
        scope: &Attributes<'_>,
        point: &Point<'_>,
        found: &NativeHistogram<'_>,
    ) {
        self.take(
            metric,
            scope,
            point,
            |_| (metric, None),
            |rows, tags, when| {
                let fields = found.fields(point.room)?;
                rows.metric(metric, tags, when.time, &fields)?;
                Ok(fields.len())
            },
        );
    }

    /// Goes on behind what cannot be read, which has about so many data points.
    pub(crate) fn note_unread(&mut self, read: Result<(), String>, points: impl FnOnce() -> usize, metric: &str) {
        if let Err(why) = read {
            let count = points().max(1);
            self.report.refuse_all(count, self.number + 1, Reason::unread(why), metric);
            self.number += count;
        }
    }

    /// Takes the rows of a data point: `write` says how many values these are. Its exemplars are of the metric, and of the
    /// bucket if it has some, that `home` gives for their values.
    fn take<'h>(
        &mut self,
        metric: &str,
        scope: &Attributes<'_>,
        point: &Point<'_>,
        home: impl Fn(f64) -> (&'h str, Option<&'h str>),
        write: impl FnOnce(&mut Rows<'_>, &[(&str, &str)], When) -> Result<usize, Reason>,
    ) {
        self.number += 1;
        let mut tags = Attributes::with_capacity_in(scope.len() + point.attributes.len(), point.room);
        for (name, value) in scope.iter().chain(&point.attributes).filter(|(_, value)| !value.is_empty()) {
            let name: &str = match tag(name) {
                Cow::Borrowed(name) => name,
                Cow::Owned(name) => point.room.alloc_str(&name),
            };
            match tags.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => tags.push((name, value)),
            }
        }
        let time = match i64::try_from(point.time) {
            Ok(0) => Ok(self.now),
            Ok(time) => Ok(time),
            Err(_) => Err(Reason::from(format!("time {} is out of range", point.time))),
        };
        let start_ms = point.start_ms();
        match time.and_then(|time| Ok((time, write(&mut self.rows, &tags, When { time, start_ms })?))) {
            Ok((time, values)) => {
                self.report.take(values);
                let labels = || scope.iter().chain(&point.attributes).copied();
                for own in &point.exemplars {
                    let (metric, le) = home(own.value);
                    let series = labels().chain(le.map(|le| ("le", le)));
                    let own_time = i64::try_from(own.time).ok().filter(|time| *time > 0).unwrap_or(time);
                    let made = Exemplar::new(metric, series, own.attributes.iter().copied(), own.value, own_time);
                    self.report.keep(made);
                }
            }
            Err(reason) => self.report.refuse(self.number, reason, metric),
        }
    }
}

/// When a data point is of, in ns, and since when it counts, in ms.
#[derive(Debug, Clone, Copy)]
struct When {
    time: i64,
    start_ms: i64,
}

/// Tags with one more, which takes the place of what has its name.
fn with<'a>(tags: &[(&'a str, &'a str)], name: &'a str, value: &'a str, room: &'a Bump) -> Attributes<'a> {
    let others = tags.iter().copied().filter(|(known, _)| *known != name);
    Attributes::from_iter_in(others.chain([(name, value)]), room)
}

/// Above 2^53 not every integer is a float; the largest i64 is none, and would look like one when it is compared.
fn number_sample(
    rows: &mut Rows<'_>,
    metric: &str,
    tags: &[(&str, &str)],
    when: When,
    number: Number,
) -> Result<usize, Reason> {
    match number {
        Number::Double(value) => sample(rows, metric, tags, when, value),
        Number::Int(int) if int as f64 as i128 == i128::from(int) => sample(rows, metric, tags, when, int as f64),
        Number::Int(int) => {
            let start = tsdb::Value::I64(when.start_ms);
            let fields = [(VALUE, tsdb::Value::F64(int as f64)), ("value_int", tsdb::Value::I64(int)), (START, start)];
            rows.metric(metric, tags, when.time, if when.start_ms == 0 { &fields[..2] } else { &fields })?;
            Ok(2)
        }
    }
}

fn sample(rows: &mut Rows<'_>, metric: &str, tags: &[(&str, &str)], when: When, value: f64) -> Result<usize, Reason> {
    rows.sample(metric, tags, when.time, when.start_ms, value)?;
    Ok(1)
}

/// What a sum is, by its temporality and whether it only grows.
pub(crate) fn sum_kind(is_delta: bool, is_monotonic: bool) -> MetricKind {
    match (is_delta, is_monotonic) {
        (false, true) => MetricKind::Counter,
        (false, false) => MetricKind::UpDownCounter,
        (true, true) => MetricKind::DeltaCounter,
        (true, false) => MetricKind::DeltaUpDownCounter,
    }
}

/// What a histogram is, by its temporality.
pub(crate) fn histogram_kind(is_delta: bool) -> MetricKind {
    if is_delta { MetricKind::DeltaHistogram } else { MetricKind::Histogram }
}

/// The number of "delta" among the temporalities.
pub(crate) const DELTA: u64 = 1;

/// Takes the data points of an `ExportMetricsServiceRequest` into `batch`; tells `describe` what is said of metrics.
/// What is wrong with one data point, metric, scope or resource concerns that one only.
///
/// # Errors
///
/// The bytes are no such message, or no data point in it can be read; the batch is to be thrown away then.
pub fn decode(
    bytes: &[u8],
    now: i64,
    batch: &mut Batch,
    mut describe: impl FnMut(MetricInfo<'_>),
) -> Result<Report, String> {
    let mut writer = Writer::new(batch, now, &mut describe);
    // What belongs to resources and scopes, and what to the data point at hand.
    let (copies, mut room) = (Bump::new(), Bump::new());
    let mut message = Message::new(bytes);
    while let Some((field, wire)) = message.next()? {
        if field == 1 {
            let read = wire.message("resource_metrics");
            let read = read.and_then(|message| resource_metrics(message, &mut writer, &copies, &mut room));
            writer.note_unread(read, || points_in(wire, RESOURCE), "");
        }
    }
    writer.report.of_message()
}

/// The fields that lead from a resource, a scope or a metric to its data points.
const RESOURCE: &[&[u32]] = &[&[2], SCOPE[0], METRIC[0], METRIC[1]];
const SCOPE: &[&[u32]] = &[&[2], METRIC[0], METRIC[1]];
const METRIC: &[&[u32]] = &[&[5, 7, 9, 10, 11], &[1]];

/// How many data points there are, as far as that can be seen.
fn points_in(wire: Wire<'_>, way: &[&[u32]]) -> usize {
    let Some((fields, rest)) = way.split_first() else { return 1 };
    let Ok(mut message) = wire.message("") else { return 0 };
    let mut points = 0;
    while let Ok(Some((field, wire))) = message.next() {
        points += if fields.contains(&field) { points_in(wire, rest) } else { 0 };
    }
    points
}

fn resource_metrics<'a>(
    message: Message<'a>,
    writer: &mut Writer<'_, '_>,
    copies: &'a Bump,
    room: &mut Bump,
) -> Result<(), String> {
    // The resource may stand behind its metrics.
    let mut resource = Attributes::new_in(copies);
    let mut fields = message.clone();
    while let Some((field, wire)) = fields.next()? {
        if field == 1 {
            attributes(wire.message("resource")?, 1, &mut resource, copies)?;
        }
    }
    let mut fields = message;
    while let Some((field, wire)) = fields.next()? {
        if field == 2 {
            let read = wire.message("scope_metrics");
            let read = read.and_then(|message| scope_metrics(message, &resource, writer, copies, room));
            writer.note_unread(read, || points_in(wire, SCOPE), "");
        }
    }
    Ok(())
}

fn scope_metrics<'a>(
    message: Message<'a>,
    resource: &Attributes<'a>,
    writer: &mut Writer<'_, '_>,
    copies: &'a Bump,
    room: &mut Bump,
) -> Result<(), String> {
    let mut scope = resource.clone();
    let mut fields = message.clone();
    while let Some((field, wire)) = fields.next()? {
        if field == 1 {
            let found = wire.message("scope")?;
            let mut fields = found.clone();
            while let Some((field, wire)) = fields.next()? {
                match field {
                    1 => scope.push(("otel_scope_name", wire.text("a scope's name")?)),
                    2 => scope.push(("otel_scope_version", wire.text("a scope's version")?)),
                    _ => {}
                }
            }
            attributes(found, 3, &mut scope, copies)?;
        }
    }
    let mut fields = message;
    while let Some((field, wire)) = fields.next()? {
        if field == 2 {
            let read = wire.message("a metric").and_then(|message| metric(message, &scope, writer, room));
            writer.note_unread(read, || points_in(wire, METRIC), "");
        }
    }
    Ok(())
}

fn metric(
    message: Message<'_>,
    scope: &Attributes<'_>,
    writer: &mut Writer<'_, '_>,
    room: &mut Bump,
) -> Result<(), String> {
    let mut info = MetricInfo::default();
    let mut data = None;
    let mut fields = message;
    while let Some((field, wire)) = fields.next()? {
        match field {
            1 => info.metric = wire.text("a metric's name")?,
            2 => info.help = wire.text("a metric's description")?,
            3 => info.unit = wire.text("a metric's unit")?,
            5 | 7 | 9 | 10 | 11 => data = Some((field, wire.message("a metric's data")?)),
            _ => {}
        }
    }
    let Some((field, data)) = data else { return Ok(()) };
    let (mut is_delta, mut is_monotonic) = (false, false);
    let mut fields = data.clone();
    while let Some((number, wire)) = fields.next()? {
        match number {
            2 => is_delta = wire.varint("aggregation_temporality")? == DELTA,
            3 => is_monotonic = wire.varint("is_monotonic")? != 0,
            _ => {}
        }
    }
    info.kind = match field {
        5 => MetricKind::Gauge,
        7 => sum_kind(is_delta, is_monotonic),
        9 | 10 => histogram_kind(is_delta),
        _ => MetricKind::Summary,
    };
    writer.describe(info);
    let mut fields = data;
    while let Some((number, wire)) = fields.next()? {
        if number == 1 {
            room.reset();
            let read = wire.message("a data point");
            let read = read.and_then(|message| data_point(field, message, info.metric, scope, writer, room));
            writer.note_unread(read, || 1, info.metric);
        }
    }
    Ok(())
}

/// Takes a data point of a metric whose data stands in this field.
fn data_point(
    field: u32,
    message: Message<'_>,
    metric: &str,
    scope: &Attributes<'_>,
    writer: &mut Writer<'_, '_>,
    room: &Bump,
) -> Result<(), String> {
    match field {
        5 | 7 => {
            let (point, number) = number_point(message, room)?;
            writer.number(metric, scope, &point, number);
        }
        9 => {
            let (point, histogram) = histogram_point(message, room)?;
            writer.histogram(metric, scope, &point, &histogram);
        }
        10 => {
            let (point, histogram) = exponential_point(message, room)?;
            writer.exponential(metric, scope, &point, &histogram);
        }
        _ => {
            let (point, summary) = summary_point(message, room)?;
            writer.summary(metric, scope, &point, &summary);
        }
    }
    Ok(())
}

/// Reads the fields of a data point: the attributes, and what `other` makes of all else.
fn point<'a>(
    message: Message<'a>,
    attributes_field: u32,
    room: &'a Bump,
    mut other: impl FnMut(&mut Point<'a>, u32, Wire<'a>) -> Result<(), String>,
) -> Result<Point<'a>, String> {
    let mut found = Point::new_in(room);
    attributes(message.clone(), attributes_field, &mut found.attributes, room)?;
    let mut fields = message;
    while let Some((field, wire)) = fields.next()? {
        match field {
            _ if field == attributes_field => {}
            2 => found.start = wire.fixed64("start_time_unix_nano")?,
            3 => found.time = wire.fixed64("time_unix_nano")?,
            _ => other(&mut found, field, wire)?,
        }
    }
    Ok(found)
}

fn number_point<'a>(message: Message<'a>, room: &'a Bump) -> Result<(Point<'a>, Option<Number>), String> {
    let mut number = None;
    let point = point(message, 7, room, |point, field, wire| {
        match field {
            4 => number = Some(Number::Double(wire.double("as_double")?)),
            5 => point.exemplars.push(exemplar(wire.message("an exemplar")?, room)?),
            6 => number = Some(Number::Int(wire.fixed64("as_int")? as i64)),
            8 => point.flags = wire.varint("flags")?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((point, number))
}

fn exemplar<'a>(message: Message<'a>, room: &'a Bump) -> Result<PointExemplar<'a>, String> {
    let mut found = PointExemplar::new_in(room);
    attributes(message.clone(), 7, &mut found.attributes, room)?;
    let mut fields = message;
    while let Some((field, wire)) = fields.next()? {
        match field {
            2 => found.time = wire.fixed64("an exemplar's time_unix_nano")?,
            3 => found.value = wire.double("an exemplar's as_double")?,
            4 => found.attributes.push((SPAN_ID, in_hex(wire.bytes("span_id")?, room))),
            5 => found.attributes.push((TRACE_ID, in_hex(wire.bytes("trace_id")?, room))),
            6 => found.value = wire.fixed64("an exemplar's as_int")? as i64 as f64,
            _ => {}
        }
    }
    Ok(found)
}

fn in_hex<'a>(bytes: &[u8], room: &'a Bump) -> &'a str {
    let mut text = bumpalo::collections::String::with_capacity_in(2 * bytes.len(), room);
    bytes.iter().for_each(|byte| write!(text, "{byte:02x}").expect("writing into memory does not fail"));
    text.into_bump_str()
}

fn histogram_point<'a>(message: Message<'a>, room: &'a Bump) -> Result<(Point<'a>, Histogram<'a>), String> {
    let mut found = Histogram::new_in(room);
    let point = point(message, 9, room, |point, field, wire| {
        match field {
            4 => found.count = wire.fixed64("count")?,
            5 => found.sum = Some(wire.double("sum")?),
            6 => wire.fixed64s("bucket_counts", |count| found.bucket_counts.push(count))?,
            7 => wire.fixed64s("explicit_bounds", |bound| found.bounds.push(f64::from_bits(bound)))?,
            8 => point.exemplars.push(exemplar(wire.message("an exemplar")?, room)?),
            10 => point.flags = wire.varint("flags")?,
            11 => found.min = Some(wire.double("min")?),
            12 => found.max = Some(wire.double("max")?),
            _ => {}
        }
        Ok(())
    })?;
    Ok((point, found))
}

fn exponential_point<'a>(message: Message<'a>, room: &'a Bump) -> Result<(Point<'a>, NativeHistogram<'a>), String> {
    let mut found = NativeHistogram::new_in(room);
    let point = point(message, 1, room, |point, field, wire| {
        match field {
            4 => found.count = wire.fixed64("count")? as f64,
            5 => found.sum = Some(wire.double("sum")?),
            6 => found.schema = wire.zigzag("scale")?,
            7 => found.zero_count = wire.fixed64("zero_count")? as f64,
            8 => found.positive = buckets(wire.message("positive")?, room)?,
            9 => found.negative = buckets(wire.message("negative")?, room)?,
            10 => point.flags = wire.varint("flags")?,
            11 => point.exemplars.push(exemplar(wire.message("an exemplar")?, room)?),
            12 => found.min = Some(wire.double("min")?),
            13 => found.max = Some(wire.double("max")?),
            14 => found.zero_threshold = wire.double("zero_threshold")?,
            _ => {}
        }
        Ok(())
    })?;
    found.start_ms = point.start_ms();
    Ok((point, found))
}

fn buckets<'a>(mut message: Message<'_>, room: &'a Bump) -> Result<Side<'a>, String> {
    let (mut offset, mut counts) = (0, BumpVec::new_in(room));
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => offset = wire.zigzag("offset")?,
            2 => wire.numbers("bucket_counts", |count| counts.push(count as f64))?,
            _ => {}
        }
    }
    Ok(side(offset, counts, room))
}

/// A side of one span. OTLP's buckets are numbered one less than Prometheus'.
pub(crate) fn side<'a>(offset: i64, counts: BumpVec<'a, f64>, room: &'a Bump) -> Side<'a> {
    let mut spans = BumpVec::new_in(room);
    if !counts.is_empty() {
        spans.push((offset.saturating_add(1), counts.len() as u64));
    }
    Side { spans, counts }
}

fn summary_point<'a>(message: Message<'a>, room: &'a Bump) -> Result<(Point<'a>, SummaryPoint<'a>), String> {
    let mut found = SummaryPoint { count: 0, sum: 0.0, quantiles: BumpVec::new_in(room) };
    let point = point(message, 7, room, |point, field, wire| {
        match field {
            4 => found.count = wire.fixed64("count")?,
            5 => found.sum = wire.double("sum")?,
            6 => {
                let (mut message, mut pair) = (wire.message("quantile_values")?, (0.0, 0.0));
                while let Some((field, wire)) = message.next()? {
                    match field {
                        1 => pair.0 = wire.double("quantile")?,
                        2 => pair.1 = wire.double("value")?,
                        _ => {}
                    }
                }
                found.quantiles.push(pair);
            }
            8 => point.flags = wire.varint("flags")?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((point, found))
}

/// The attributes that a message has in one of its fields.
fn attributes<'a>(
    mut message: Message<'a>,
    number: u32,
    into: &mut Attributes<'a>,
    copies: &'a Bump,
) -> Result<(), String> {
    while let Some((field, wire)) = message.next()? {
        if field == number {
            let (name, value) = key_value(wire.message("an attribute")?)?;
            let value = match value {
                Some(value) => text(value, copies)?,
                None => "",
            };
            into.push((name, value));
        }
    }
    Ok(())
}

fn key_value<'a>(mut message: Message<'a>) -> Result<(&'a str, Option<Message<'a>>), String> {
    let (mut name, mut value) = ("", None);
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => name = wire.text("an attribute's key")?,
            2 => value = Some(wire.message("an attribute's value")?),
            _ => {}
        }
    }
    Ok((name, value))
}

/// A value as text: a string as it is, everything else as JSON has it.
fn text<'a>(message: Message<'a>, copies: &'a Bump) -> Result<&'a str, String> {
    if let Some((1, wire)) = message.clone().next()? {
        return wire.text("an attribute's string");
    }
    Ok(as_text(json(message, 0)?, copies))
}

/// A value that is no plain string: as JSON has it.
pub(crate) fn as_text(value: serde_json::Value, room: &Bump) -> &str {
    match value {
        serde_json::Value::Null => "",
        serde_json::Value::String(text) => room.alloc_str(&text),
        other => bumpalo::format!(in room, "{}", other).into_bump_str(),
    }
}

fn json(mut message: Message<'_>, depth: usize) -> Result<serde_json::Value, String> {
    use base64::Engine;
    if depth > DEPTH_MAX {
        return Err(format!("an attribute is more than {DEPTH_MAX} lists deep"));
    }
    let Some((field, wire)) = message.next()? else { return Ok(serde_json::Value::Null) };
    Ok(match field {
        1 => wire.text("a string")?.into(),
        2 => (wire.varint("a boolean")? != 0).into(),
        3 => (wire.varint("an integer")? as i64).into(),
        4 => wire.double("a double")?.into(),
        5 | 6 => {
            let (mut values, mut pairs) = (Vec::new(), serde_json::Map::new());
            let mut list = wire.message("a list")?;
            while let Some((_, wire)) = list.next()? {
                let item = wire.message("a list's value")?;
                if field == 5 {
                    values.push(json(item, depth + 1)?);
                } else {
                    let (name, value) = key_value(item)?;
                    let value = value.map_or(Ok(serde_json::Value::Null), |value| json(value, depth + 1))?;
                    pairs.insert(name.into(), value);
                }
            }
            if field == 5 { values.into() } else { pairs.into() }
        }
        7 => base64::engine::general_purpose::STANDARD.encode(wire.bytes("bytes")?).into(),
        other => return Err(format!("an attribute's value has the unknown field {other}")),
    })
}
