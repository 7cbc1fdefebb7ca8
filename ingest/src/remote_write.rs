//! Prometheus remote write, [1.0](https://prometheus.io/docs/specs/prw/remote_write_spec/) and
//! [2.0](https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/): a protobuf message of series.
//!
//! A metric's name is its table, labels are tags, a sample is the field `value`, to the bit; a native histogram is a
//! row of the columns of [`NativeHistogram`]. The time since when either counts, which version 2 has, is
//! `start_timestamp_ms`. Series are found by their labels' bytes as they stand: in version 1 those
//! of the message, in version 2 the texts of the symbols.

use bumpalo::Bump;
use domain::metric::tag;
use tsdb::{Batch, SeriesRef};
use wire::Message;

use crate::exemplar::Exemplar;
use crate::metadata::{MetricInfo, MetricKind};
use crate::native_histogram::{NativeHistogram, Side};
use crate::report::{Reason, Report};
use crate::rows::{add_metric_series, push_fields, push_sample, spell};

/// The label with the metric's name.
const NAME: &str = "__name__";
/// The first byte of a label in version 1: field 1, with a length.
const LABEL: u8 = 0x0a;
/// ns in a ms, which timestamps come in.
const MS: i64 = 1_000_000;

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

/// Takes the samples and histograms of a message into `batch`; tells `describe` what is said of metrics.
///
/// What is wrong with one series concerns that one only: it is refused from where it cannot be read.
///
/// # Errors
///
/// The bytes are no such message, or no series in it can be read; the batch is to be thrown away then.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = tsdb::Store::open(dir.path(), Default::default()).unwrap();
/// use ingest::remote_write::{Version, decode};
/// // The series {__name__="up"} with the sample 1.0 at 1000 ms.
/// let message = b"\x0a\x1e\x0a\x0e\x0a\x08__name__\x12\x02up\x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xe8\x07";
/// let mut batch = store.batch("public");
/// let report = decode(message, Version::V1, &mut batch, |_| {})?;
/// assert_eq!((report.taken, batch.rows()), (1, 1));
/// # Ok::<(), String>(())
/// ```
pub fn decode(
    bytes: &[u8],
    version: Version,
    batch: &mut Batch,
    describe: impl FnMut(MetricInfo<'_>),
) -> Result<Report, String> {
    match version {
        Version::V1 => decode_1(bytes, batch, describe),
        Version::V2 => decode_2(bytes, batch, describe),
    }
}

type Label<'a> = (&'a str, &'a str);

fn decode_1(bytes: &[u8], batch: &mut Batch, mut describe: impl FnMut(MetricInfo<'_>)) -> Result<Report, String> {
    batch.spelled_as("remote write 1");
    let (mut report, mut copies) = (Report::default(), Bump::new());
    let mut message = Message::new(bytes);
    let mut number = 0;
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => {
                number += 1;
                let taken = wire.bytes("a series").and_then(|series| {
                    let (spelling, rest) = labels_of(series, &copies)?;
                    let labels = || labels_1(spelling);
                    let read = Labels { of_series: &labels, of_exemplar: &labels_1 };
                    take_series(rest, Numbers::V1, number, spelling, read, batch, &mut report, &copies)
                });
                note_unread(taken, number, &mut report);
                copies.reset();
            }
            3 => match wire.message("metadata").and_then(metadata_1) {
                Ok(info) => describe(info),
                Err(_) => report.count("metadata", 1),
            },
            _ => {}
        }
    }
    report.of_message()
}

/// A series that cannot be read to its end is refused from there on.
fn note_unread(taken: Result<(), String>, number: usize, report: &mut Report) {
    if let Err(why) = taken {
        report.refuse(number, Reason::unread(format!("series {number}: {why}")), "");
    }
}

/// The bytes of a series' labels, and the other fields behind them.
fn labels_of<'a>(series: &'a [u8], copies: &'a Bump) -> Result<(&'a [u8], &'a [u8]), String> {
    // Labels stand together at the start in all that senders write, each shorter than 128 bytes in nearly all.
    let mut end = 0;
    while let [LABEL, length @ 0..0x80, ..] = series[end..] {
        end += 2 + usize::from(length);
        if end > series.len() {
            return Err("a label is longer than its series".into());
        }
    }
    let (mut labels, rest) = series.split_at(end);
    let mut message = Message::new(rest);
    let mut gathered = bumpalo::collections::Vec::new_in(copies);
    let mut start = rest;
    while let Some((field, _)) = message.next()? {
        if field == 1 {
            gathered.extend_from_slice(&start[..start.len() - message.rest().len()]);
        }
        start = message.rest();
    }
    if !gathered.is_empty() {
        let mut all = bumpalo::collections::Vec::with_capacity_in(labels.len() + gathered.len(), copies);
        all.extend_from_slice(labels);
        all.extend_from_slice(&gathered);
        labels = all.into_bump_slice();
    }
    Ok((labels, rest))
}

/// The labels among the fields of a series, or of an exemplar.
fn labels_1(bytes: &[u8]) -> Result<Vec<Label<'_>>, String> {
    let mut labels = Vec::new();
    let mut message = Message::new(bytes);
    while let Some((field, wire)) = message.next()? {
        if field != 1 {
            continue;
        }
        let (mut label, mut found) = (wire.message("a label")?, ("", ""));
        while let Some((field, wire)) = label.next()? {
            match field {
                1 => found.0 = wire.text("a label's name")?,
                2 => found.1 = wire.text("a label's value")?,
                _ => {}
            }
        }
        labels.push(found);
    }
    Ok(labels)
}

fn metadata_1(mut message: Message<'_>) -> Result<MetricInfo<'_>, String> {
    let mut info = MetricInfo::default();
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => info.kind = kind(wire.varint("a metric's type")?),
            2 => info.metric = wire.text("a metric's name")?,
            4 => info.help = wire.text("a metric's help")?,
            5 => info.unit = wire.text("a metric's unit")?,
            _ => {}
        }
    }
    Ok(info)
}

/// Types have the same numbers in both versions.
fn kind(number: u64) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

fn decode_2(bytes: &[u8], batch: &mut Batch, mut describe: impl FnMut(MetricInfo<'_>)) -> Result<Report, String> {
    batch.spelled_as("remote write 2");
    let (mut report, mut copies) = (Report::default(), Bump::new());
    // Symbols may stand behind the series that use them.
    let mut symbols = Vec::new();
    let mut message = Message::new(bytes);
    while let Some((field, wire)) = message.next()? {
        if field == 4 {
            symbols.push(wire.text("a symbol"));
        }
    }
    if let Some(Ok(first)) = symbols.first()
        && !first.is_empty()
    {
        return Err(format!("the first symbol must be empty, it is '{first}'"));
    }
    let mut message = Message::new(bytes);
    let (mut number, mut spelling) = (0, Vec::new());
    let mut labels = Vec::new();
    while let Some((field, wire)) = message.next()? {
        if field != 5 {
            continue;
        }
        number += 1;
        let mut metadata = None;
        let taken = wire.bytes("a series").and_then(|series| {
            labels_2(series, &symbols, &mut labels, &mut metadata)?;
            spelling.clear();
            for (name, value) in &labels {
                spell(&mut spelling, name);
                spell(&mut spelling, value);
            }
            let given = || Ok(labels.clone());
            let of_exemplar = |exemplar| exemplar_labels_2(exemplar, &symbols);
            let read = Labels { of_series: &given, of_exemplar: &of_exemplar };
            take_series(series, Numbers::V2, number, &spelling, read, batch, &mut report, &copies)
        });
        copies.reset();
        let name = labels.iter().find(|(name, _)| *name == NAME).filter(|_| taken.is_ok());
        if let (Some(info), Some((_, name))) = (metadata, name) {
            describe(MetricInfo { metric: name, ..info });
        }
        note_unread(taken, number, &mut report);
    }
    report.of_message()
}

/// The labels of a series of version 2, and what it says of its metric if it does.
fn labels_2<'a>(
    series: &[u8],
    symbols: &[Result<&'a str, String>],
    labels: &mut Vec<Label<'a>>,
    metadata: &mut Option<MetricInfo<'a>>,
) -> Result<(), String> {
    let symbol = |number: u64| {
        let found = usize::try_from(number).ok().and_then(|number| symbols.get(number));
        found.cloned().ok_or_else(|| format!("symbol {number} is not there, there are {}", symbols.len())).flatten()
    };
    labels.clear();
    let mut message = Message::new(series);
    let (mut name, mut wrong) = (None, None);
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => wire.numbers("labels", |number| match (symbol(number), name.take()) {
                (Err(why), _) => wrong = Some(why),
                (Ok(text), None) => name = Some(text),
                (Ok(text), Some(name)) => labels.push((name, text)),
            })?,
            5 => {
                let (mut message, mut info) = (wire.message("metadata")?, MetricInfo::default());
                while let Some((field, wire)) = message.next()? {
                    match field {
                        1 => info.kind = kind(wire.varint("a metric's type")?),
                        3 => info.help = symbol(wire.varint("a metric's help")?)?,
                        4 => info.unit = symbol(wire.varint("a metric's unit")?)?,
                        _ => {}
                    }
                }
                *metadata = Some(info).filter(|info| *info != MetricInfo::default());
            }
            _ => {}
        }
    }
    match (wrong, name) {
        (Some(why), _) => Err(why),
        (None, Some(name)) => Err(format!("label '{name}' has no value")),
        (None, None) => Ok(()),
    }
}

/// How labels are read.
#[derive(Clone, Copy)]
struct Labels<'r, 'a> {
    of_series: &'r dyn Fn() -> Result<Vec<Label<'a>>, String>,
    /// Of the bytes of an exemplar.
    of_exemplar: &'r dyn Fn(&'a [u8]) -> Result<Vec<Label<'a>>, String>,
}

fn exemplar_labels_2<'a>(exemplar: &[u8], symbols: &[Result<&'a str, String>]) -> Result<Vec<Label<'a>>, String> {
    let mut labels = Vec::new();
    labels_2(exemplar, symbols, &mut labels, &mut None)?;
    Ok(labels)
}

/// The exemplar that a message is.
fn exemplar<'a>(bytes: &'a [u8], labels: Labels<'_, 'a>) -> Result<Option<Exemplar>, String> {
    let (mut value, mut time_ms) = (0.0, 0);
    let mut message = Message::new(bytes);
    while let Some((field, wire)) = message.next()? {
        match field {
            2 => value = wire.double("an exemplar's value")?,
            3 => time_ms = wire.varint("an exemplar's timestamp")? as i64,
            _ => {}
        }
    }
    let (series, own) = ((labels.of_series)()?, (labels.of_exemplar)(bytes)?);
    let metric = series.iter().find(|(name, _)| *name == NAME).map(|(_, metric)| *metric);
    let time = time_ms.checked_mul(MS);
    Ok(metric.zip(time).and_then(|(metric, time)| {
        Exemplar::new(metric, series.iter().copied().filter(|(name, _)| *name != NAME), own, value, time)
    }))
}

/// Which fields of a series hold what.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    exemplar: u32,
    histogram: u32,
}

impl Numbers {
    const V1: Numbers = Numbers { exemplar: 3, histogram: 4 };
    const V2: Numbers = Numbers { exemplar: 4, histogram: 3 };
}

/// Takes the rows of a series.
#[expect(clippy::too_many_arguments, reason = "what both versions share")]
fn take_series<'a>(
    series: &'a [u8],
    numbers: Numbers,
    number: usize,
    spelling: &[u8],
    labels: Labels<'_, 'a>,
    batch: &mut Batch,
    report: &mut Report,
    copies: &Bump,
) -> Result<(), String> {
    let found = match batch.find_series(spelling) {
        Some(series) => Ok(series),
        None => add_series(spelling, labels.of_series, batch)?,
    };
    let mut message = Message::new(series);
    while let Some((field, wire)) = message.next()? {
        let outcome = if field == 2 {
            let sample = sample(wire.bytes("a sample")?)?;
            match &found {
                Ok(series) => take_sample(*series, sample, batch, report),
                Err(reason) => Err(reason.clone()),
            }
        } else if field == numbers.histogram {
            let (time, histogram) = histogram(wire.message("a histogram")?, copies)?;
            let fields = histogram.fields(copies)?;
            let push = |series: &SeriesRef| Ok(push_fields(batch, *series, in_ns(time)?, &fields)?);
            found.as_ref().map_err(Reason::clone).and_then(push).map(|()| {
                report.take(fields.len());
                report.histograms += 1;
            })
        } else {
            if field == numbers.exemplar {
                // Of a series that is refused there are none.
                let exemplar = exemplar(wire.bytes("an exemplar")?, labels);
                report.keep(exemplar.ok().flatten().filter(|_| found.is_ok()));
            }
            Ok(())
        };
        if let Err(reason) = outcome {
            report.refuse(number, reason, &selector(&(labels.of_series)()?));
        }
    }
    Ok(())
}

#[inline]
fn take_sample(series: SeriesRef, sample: Sample, batch: &mut Batch, report: &mut Report) -> Result<(), Reason> {
    push_sample(batch, series, in_ns(sample.time_ms)?, sample.start_ms, sample.value)?;
    report.take(1);
    Ok(())
}

#[inline]
fn in_ns(time_ms: i64) -> Result<i64, Reason> {
    time_ms.checked_mul(MS).ok_or_else(|| format!("timestamp {time_ms} ms is out of range").into())
}

/// Makes the series with these labels, or says why there can be none. Labels that cannot be read are an error.
#[cold]
fn add_series<'a>(
    spelling: &[u8],
    labels: &dyn Fn() -> Result<Vec<Label<'a>>, String>,
    batch: &mut Batch,
) -> Result<Result<SeriesRef, Reason>, String> {
    let labels = labels()?;
    let Some((_, metric)) = labels.iter().find(|(name, _)| *name == NAME) else {
        return Ok(Err(format!("expected a label {NAME} with the metric's name").into()));
    };
    // A label without a value is as good as none.
    let tags = labels.iter().filter(|(name, value)| *name != NAME && !value.is_empty());
    let tags: Vec<_> = tags.map(|(name, value)| (tag(name), *value)).collect();
    let tags: Vec<(&str, &str)> = tags.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
    Ok(add_metric_series(batch, spelling, metric, &tags).map_err(Reason::from))
}

/// A series as Prometheus writes it.
fn selector(labels: &[Label<'_>]) -> String {
    let labels = labels.iter().map(|(name, value)| format!("{name}={value:?}"));
    format!("{{{}}}", labels.collect::<Vec<_>>().join(","))
}

/// A float of a series.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    time_ms: i64,
    /// Since when it counts; 0 where that is not known.
    start_ms: i64,
    value: f64,
}

#[inline]
fn sample(bytes: &[u8]) -> Result<Sample, String> {
    // As everybody writes it: field 1 with eight bytes, field 2 with a varint up to the end.
    if let [0x09, a, b, c, d, e, f, g, h, 0x10, time @ ..] = bytes
        && let Some(time) = wire::whole_varint(time)
    {
        let value = f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
        return Ok(Sample { time_ms: time as i64, start_ms: 0, value });
    }
    let mut sample = Sample::default();
    let mut message = Message::new(bytes);
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => sample.value = wire.double("a sample's value")?,
            2 => sample.time_ms = wire.varint("a sample's timestamp")? as i64,
            3 => sample.start_ms = wire.varint("a sample's start timestamp")? as i64,
            _ => {}
        }
    }
    Ok(sample)
}

fn histogram<'a>(mut message: Message<'_>, room: &'a Bump) -> Result<(i64, NativeHistogram<'a>), String> {
    let (mut time, mut found) = (0, NativeHistogram::new_in(room));
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => found.count = wire.varint("count")? as f64,
            2 => found.count = wire.double("count")?,
            3 => found.sum = Some(wire.double("sum")?),
            4 => found.schema = wire.zigzag("schema")?,
            5 => found.zero_threshold = wire.double("zero_threshold")?,
            6 => found.zero_count = wire.varint("zero_count")? as f64,
            7 => found.zero_count = wire.double("zero_count")?,
            8 => found.negative.spans.push(span(wire.message("negative_spans")?)?),
            9 => wire.numbers("negative_deltas", |delta| add_delta(&mut found.negative, delta))?,
            10 => wire.fixed64s("negative_counts", |count| found.negative.counts.push(f64::from_bits(count)))?,
            11 => found.positive.spans.push(span(wire.message("positive_spans")?)?),
            12 => wire.numbers("positive_deltas", |delta| add_delta(&mut found.positive, delta))?,
            13 => wire.fixed64s("positive_counts", |count| found.positive.counts.push(f64::from_bits(count)))?,
            14 => found.reset_hint = wire.varint("reset_hint")? as i64,
            15 => time = wire.varint("a histogram's timestamp")? as i64,
            16 => wire.fixed64s("custom_values", |bound| found.custom_values.push(f64::from_bits(bound)))?,
            17 => found.start_ms = wire.varint("a histogram's start timestamp")? as i64,
            _ => {}
        }
    }
    // Of zeros, protobuf leaves everything out.
    found.sum.get_or_insert(0.0);
    Ok((time, found))
}

fn span(mut message: Message<'_>) -> Result<(i64, u64), String> {
    let (mut offset, mut length) = (0, 0);
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => offset = wire.zigzag("a span's offset")?,
            2 => length = wire.varint("a span's length")?,
            _ => {}
        }
    }
    Ok((offset, length))
}

/// Counts come as differences to the bucket before.
fn add_delta(side: &mut Side<'_>, delta: u64) {
    let before = side.counts.last().copied().unwrap_or(0.0);
    side.counts.push(before + wire::zigzag(delta) as f64);
}
