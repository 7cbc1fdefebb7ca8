//! Prometheus' native histograms and OTLP's exponential ones as a row: what is in every bucket, as one text a side.
//!
//! Both have buckets that grow by the factor `2^(2^-schema)`. Prometheus' bucket `i` ends at that factor to the power
//! of `i`, and so do ours; OTLP's numbers are one smaller. Counts are absolute. `docs/http.md` has the columns.

use std::fmt::Write;

use bumpalo::Bump;
use bumpalo::collections::{String as BumpString, Vec as BumpVec};
use domain::metric::START;
use tsdb::Value;

/// A histogram of one series at one time. Counts are floats, which are exact up to 2^53.
#[derive(Debug)]
pub(crate) struct NativeHistogram<'a> {
    pub count: f64,
    pub sum: Option<f64>,
    pub schema: i64,
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub positive: Side<'a>,
    pub negative: Side<'a>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// The bounds of schema -53, whose buckets are chosen freely.
    pub custom_values: BumpVec<'a, f64>,
    /// Prometheus' hint: 0 unknown, 1 yes, 2 no, 3 gauge.
    pub reset_hint: i64,
    /// Since when it counts, in ms; 0 where that is not known.
    pub start_ms: i64,
}

/// The buckets above or below zero.
#[derive(Debug)]
pub(crate) struct Side<'a> {
    /// How many buckets to step over before those of the span, and how many these are.
    pub spans: BumpVec<'a, (i64, u64)>,
    /// The counts of all spans' buckets, one after the other.
    pub counts: BumpVec<'a, f64>,
}

impl<'a> Side<'a> {
    pub(crate) fn new_in(room: &'a Bump) -> Side<'a> {
        Side { spans: BumpVec::new_in(room), counts: BumpVec::new_in(room) }
    }

    /// `0:3,1,2 7:5`: the number of the first bucket of each span, and the counts from there on.
    fn text<'b>(&self, room: &'b Bump) -> Result<&'b str, String> {
        let length = self.spans.iter().try_fold(0u64, |sum, (_, length)| sum.checked_add(*length));
        if length != Some(self.counts.len() as u64) {
            return Err(format!("a histogram has {} counts for spans of {length:?} buckets", self.counts.len()));
        }
        let mut text = BumpString::new_in(room);
        let (mut bucket, mut counts) = (0i64, self.counts.iter());
        for (offset, length) in &self.spans {
            bucket = bucket.checked_add(*offset).ok_or("the numbers of a histogram's buckets overflow")?;
            let mut separator = ':';
            if *length > 0 {
                let space = if text.is_empty() { "" } else { " " };
                write!(text, "{space}{bucket}").expect("writing into memory does not fail");
            }
            for count in counts.by_ref().take(*length as usize) {
                write!(text, "{separator}{count}").expect("writing into memory does not fail");
                separator = ',';
            }
            bucket = bucket.checked_add(*length as i64).ok_or("the numbers of a histogram's buckets overflow")?;
        }
        Ok(text.into_bump_str())
    }
}

impl<'a> NativeHistogram<'a> {
    /// One without counts, whose lists grow in `room`.
    pub(crate) fn new_in(room: &'a Bump) -> NativeHistogram<'a> {
        NativeHistogram {
            count: 0.0,
            sum: None,
            schema: 0,
            zero_threshold: 0.0,
            zero_count: 0.0,
            positive: Side::new_in(room),
            negative: Side::new_in(room),
            min: None,
            max: None,
            custom_values: BumpVec::new_in(room),
            reset_hint: 0,
            start_ms: 0,
        }
    }

    /// Its fields, in a fixed order.
    pub(crate) fn fields<'b>(&self, room: &'b Bump) -> Result<BumpVec<'b, (&'static str, Value<'b>)>, String> {
        let mut fields = BumpVec::with_capacity_in(12, room);
        fields.push(("count", Value::F64(self.count)));
        fields.extend(self.sum.map(|sum| ("sum", Value::F64(sum))));
        fields.push(("schema", Value::I64(self.schema)));
        fields.push(("zero_threshold", Value::F64(self.zero_threshold)));
        fields.push(("zero_count", Value::F64(self.zero_count)));
        fields.push(("positive", Value::Str(self.positive.text(room)?)));
        fields.push(("negative", Value::Str(self.negative.text(room)?)));
        fields.extend(self.min.map(|min| ("min", Value::F64(min))));
        fields.extend(self.max.map(|max| ("max", Value::F64(max))));
        fields.push(("reset_hint", Value::I64(self.reset_hint)));
        if !self.custom_values.is_empty() {
            let mut text = BumpString::new_in(room);
            for (at, bound) in self.custom_values.iter().enumerate() {
                write!(text, "{}{bound}", if at == 0 { "" } else { "," }).expect("writing into memory does not fail");
            }
            fields.push(("custom_values", Value::Str(text.into_bump_str())));
        }
        if self.start_ms != 0 {
            fields.push((START, Value::I64(self.start_ms)));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_say_where_their_buckets_are() {
        let room = Bump::new();
        let text = |spans: &[(i64, u64)], counts: &[f64]| {
            let mut side = Side::new_in(&room);
            side.spans.extend_from_slice(spans);
            side.counts.extend_from_slice(counts);
            side.text(&room)
        };
        assert_eq!(text(&[(-2, 2), (3, 0), (1, 1)], &[3.0, 1.0, 2.5]).unwrap(), "-2:3,1 4:2.5");
        assert_eq!(text(&[], &[]).unwrap(), "");
        assert!(text(&[(0, u64::MAX), (0, 2)], &[1.0]).unwrap_err().contains("1 counts"));
        assert!(text(&[(i64::MAX, 1), (1, 0)], &[1.0]).unwrap_err().contains("overflow"));
    }
}
