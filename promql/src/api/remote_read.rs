//! Remote read: samples as they are stored, for another Prometheus. A message is [decoded](ReadRequest::decode) and
//! [answered](remote_read), in one message or as a stream of chunks, as `prompb/remote.proto` of Prometheus has both.

use std::collections::BTreeMap;

use wire::{Message, Writer};

use super::asked::Asked;
use super::error::{ApiError, Kind};
use super::xor;
use crate::base::labels::Labels;
use crate::engine::{Source, Wanted};
use crate::model::samples::Samples;
use crate::stored::Stored;
use crate::syntax::{MatchOp, Matcher};
use statistics::histogram::{Buckets, Histogram};

/// A frame of a stream has about so many bytes at the most, as with Prometheus.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// A request has so many bytes at the most, once it is unpacked: it is believed only up to here how many these are.
const REQUEST_BYTES_MAX: usize = 16 << 20;
/// The number of a stream of chunks among the kinds of answers.
const STREAMED: u64 = 1;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadRequest {
    queries: Vec<ReadQuery>,
    is_streamed: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct ReadQuery {
    start_ms: i64,
    end_ms: i64,
    matchers: Vec<Matcher>,
}

/// An answer, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadAnswer {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// A stream of chunks; otherwise one message, packed with Snappy.
    pub is_streamed: bool,
}

impl ReadRequest {
    /// The request that a message is, packed with Snappy.
    ///
    /// # Errors
    ///
    /// It is none, in words.
    pub fn decode(packed: &[u8]) -> Result<ReadRequest, String> {
        let unpacked = || {
            let length = snap::raw::decompress_len(packed)?;
            Ok::<_, snap::Error>(
                (length <= REQUEST_BYTES_MAX).then(|| snap::raw::Decoder::new().decompress_vec(packed)),
            )
        };
        let bytes = match unpacked() {
            Ok(Some(Ok(bytes))) => bytes,
            Ok(None) => {
                return Err(format!("the message is larger than {} MiB, once it is unpacked", REQUEST_BYTES_MAX >> 20));
            }
            Ok(Some(Err(error))) | Err(error) => return Err(format!("expected a message packed with Snappy: {error}")),
        };
        let (mut queries, mut kinds) = (Vec::new(), Vec::new());
        let mut message = Message::new(&bytes);
        while let Some((field, wire)) = message.next()? {
            match field {
                1 => queries.push(query(wire.message("a query")?)?),
                2 => wire.numbers("kinds of answers", |kind| kinds.push(kind))?,
                _ => {}
            }
        }
        // The first that we know counts; whoever names none takes one message.
        let is_streamed = kinds.into_iter().find(|kind| *kind <= STREAMED) == Some(STREAMED);
        Ok(ReadRequest { queries, is_streamed })
    }
}

fn query(mut message: Message<'_>) -> Result<ReadQuery, String> {
    let mut query = ReadQuery::default();
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => query.start_ms = wire.varint("start")? as i64,
            2 => query.end_ms = wire.varint("end")? as i64,
            3 => query.matchers.push(matcher(wire.message("a matcher")?)?),
            _ => {}
        }
    }
    Ok(query)
}

fn matcher(mut message: Message<'_>) -> Result<Matcher, String> {
    let (mut kind, mut label, mut value) = (0, String::new(), String::new());
    while let Some((field, wire)) = message.next()? {
        match field {
            1 => kind = wire.varint("the kind of a matcher")?,
            2 => label = wire.text("a matcher's label")?.to_owned(),
            3 => value = wire.text("a matcher's value")?.to_owned(),
            _ => {}
        }
    }
    let pattern = || value.parse().map_err(|error| format!("the pattern {value:?} of {label}: {error}"));
    let op = match kind {
        0 => MatchOp::Equal(value),
        1 => MatchOp::NotEqual(value),
        2 => MatchOp::Matches(pattern()?),
        3 => MatchOp::MatchesNot(pattern()?),
        other => return Err(format!("{other} is no kind of a matcher")),
    };
    Ok(Matcher { label, op })
}

/// `read`
///
/// # Errors
///
/// Samples cannot be read, or not in time.
pub fn remote_read(asked: &Asked<'_>, request: &ReadRequest) -> Result<ReadAnswer, ApiError> {
    let allowance = asked.allowance();
    let stored = Stored::new(asked.store, asked.metrics, asked.schema, &allowance);
    let mut results = Vec::new();
    for query in &request.queries {
        // In the order of their labels, which is what readers merge by.
        let mut all: BTreeMap<Labels, Samples> = BTreeMap::new();
        let after_ms = query.start_ms.saturating_sub(1);
        let wanted = Wanted::all(&query.matchers, after_ms, query.end_ms);
        stored.select(wanted, &mut |labels, samples| {
            stored.room()?;
            allowance.take(16 * samples.times.len() + size_of::<Histogram>() * samples.histograms.len())?;
            all.insert(labels, samples);
            Ok(())
        })?;
        results.push(all);
    }
    // What is missing has no place in these answers: none is better than one with holes.
    if let Some(missing) = stored.warnings().into_iter().next() {
        return Err(ApiError { kind: Kind::Internal, message: missing });
    }
    // Chunks of histograms are not written: who asks for a stream takes one message, too.
    let has_histograms = results.iter().flat_map(BTreeMap::values).any(|samples| !samples.histograms.is_empty());
    if request.is_streamed && !has_histograms {
        return Ok(ReadAnswer { bytes: streamed(&results), is_streamed: true });
    }
    let mut message = Writer::default();
    for all in &results {
        message.message(1, |result| {
            for (labels, samples) in all {
                result.message(1, |series| sampled(labels, samples, series));
            }
        });
    }
    let packed = snap::raw::Encoder::new().compress_vec(&message.finish());
    let bytes = packed.map_err(|error| ApiError { kind: Kind::Internal, message: error.to_string() })?;
    Ok(ReadAnswer { bytes, is_streamed: false })
}

fn write_labels(labels: &Labels, series: &mut Writer) {
    for (name, value) in labels.iter() {
        series.message(1, |label| {
            label.bytes(1, name.as_bytes());
            label.bytes(2, value.as_bytes());
        });
    }
}

/// A series with its samples.
fn sampled(labels: &Labels, samples: &Samples, series: &mut Writer) {
    write_labels(labels, series);
    for (time, value) in samples.times.iter().zip(&samples.values) {
        series.message(2, |sample| {
            sample.double(1, *value);
            sample.varint(2, *time as u64);
        });
    }
    for (time, own) in &samples.histograms {
        series.message(4, |message| write_histogram(*time, own, message));
    }
}

/// A histogram, whose counts are floats.
fn write_histogram(time: i64, own: &Histogram, message: &mut Writer) {
    message.double(2, own.count);
    message.double(3, own.sum);
    message.zigzag(4, own.schema.into());
    message.double(5, own.zero_threshold);
    message.double(7, own.zero_count);
    for (spans, counts, buckets) in [(8, 10, &own.negative), (11, 13, &own.positive)] {
        for (offset, length) in spans_of(buckets) {
            message.message(spans, |span| {
                span.zigzag(1, offset);
                span.varint(2, length);
            });
        }
        message.doubles(counts, &buckets.iter().map(|(_, count)| *count).collect::<Vec<_>>());
    }
    message.varint(14, own.hint.number().into());
    message.varint(15, time as u64);
    message.doubles(16, &own.bounds);
}

/// How many buckets are stepped over, and how many follow each other then.
fn spans_of(buckets: &Buckets) -> Vec<(i64, u64)> {
    let mut spans: Vec<(i64, u64)> = Vec::new();
    let mut next = 0;
    for (index, _) in buckets {
        let index = i64::from(*index);
        match spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            _ => spans.push((index - next, 1)),
        }
        next = index + 1;
    }
    spans
}

/// Frames of series with chunks, each with its length and its checksum.
fn streamed(results: &[BTreeMap<Labels, Samples>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, all) in results.iter().enumerate() {
        for (labels, samples) in all {
            let chunks = samples.times.chunks(xor::SAMPLES_MAX).zip(samples.values.chunks(xor::SAMPLES_MAX));
            let mut series = None;
            for (times, values) in chunks {
                let own = series.get_or_insert_with(|| {
                    let mut own = Writer::default();
                    write_labels(labels, &mut own);
                    own
                });
                own.message(2, |chunk| {
                    chunk.varint(1, times[0] as u64);
                    chunk.varint(2, times[times.len() - 1] as u64);
                    chunk.varint(3, 1);
                    chunk.bytes(4, &xor::chunk(times, values));
                });
                if own.len() >= FRAME_BYTES_MAX {
                    put_frame(series.take(), number, &mut bytes);
                }
            }
            put_frame(series, number, &mut bytes);
        }
    }
    bytes
}

fn put_frame(series: Option<Writer>, query: usize, bytes: &mut Vec<u8>) {
    let Some(series) = series else { return };
    let mut frame = Writer::default();
    frame.bytes(1, &series.finish());
    frame.varint(2, query as u64);
    let frame = frame.finish();
    wire::put_varint(bytes, frame.len() as u64);
    bytes.extend_from_slice(&crc32c::crc32c(&frame).to_be_bytes());
    bytes.extend_from_slice(&frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut message = Writer::default();
        write(&mut message);
        snap::raw::Encoder::new().compress_vec(&message.finish()).unwrap()
    }

    #[test]
    fn a_request_says_what_is_wanted_and_how() {
        let request = |kinds: &[u64], kind: u64, value: &str| {
            packed(|message| {
                message.message(1, |query| {
                    query.varint(1, 1000);
                    query.varint(2, 2000);
                    query.message(3, |matcher| {
                        matcher.varint(1, kind);
                        matcher.bytes(2, b"job");
                        matcher.bytes(3, value.as_bytes());
                    });
                });
                kinds.iter().for_each(|kind| message.varint(2, *kind));
            })
        };
        let read = ReadRequest::decode(&request(&[1, 0], 2, "a|b")).unwrap();
        assert!(read.is_streamed && !ReadRequest::decode(&request(&[0, 1], 0, "a")).unwrap().is_streamed);
        assert!(!ReadRequest::decode(&request(&[], 0, "a")).unwrap().is_streamed);
        let query = &read.queries[0];
        assert_eq!((query.start_ms, query.end_ms, query.matchers[0].to_string()), (1000, 2000, "job=~\"a|b\"".into()));
        for (bad, said) in [
            (request(&[], 9, "a"), "9 is no kind of a matcher"),
            (request(&[], 2, "("), "the pattern \"(\" of job"),
            (b"no".to_vec(), "packed with Snappy"),
            // Ten bytes that claim to be 4 GiB.
            (vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0], "larger than 16 MiB"),
        ] {
            let error = ReadRequest::decode(&bad).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn spans_are_counted_from_the_one_before() {
        assert_eq!(spans_of(&vec![(-2, 1.0), (-1, 1.0), (3, 1.0), (4, 1.0), (6, 1.0)]), [(-2, 2), (3, 2), (1, 1)]);
        assert_eq!(spans_of(&vec![]), []);
    }
}
