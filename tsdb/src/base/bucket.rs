//! Spans of time that divide groups.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Spans of equal length, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Their length, ns; over zero.
    pub width_ns: i64,
    /// An instant at which one starts, ns since the epoch.
    pub origin_ns: i64,
}

/// Spans as a calendar has them, as months, or days on the clocks of a time zone.
#[derive(Clone)]
pub struct Calendar {
    /// What they are, in words: two calendars of one name are the same.
    pub name: String,
    /// The start of the span that holds a time, and until when that is so: to its end, or not as far. Ns since the
    /// epoch.
    #[allow(clippy::type_complexity)] // it is a function
    pub span: Arc<dyn Fn(i64) -> Range<i64> + Send + Sync>,
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What divides time.
#[derive(Debug, Clone)]
pub enum Buckets {
    /// Spans of equal length.
    Equal(Bucket),
    /// Spans of a calendar.
    Calendar(Calendar),
}

impl Bucket {
    /// The start of the bucket that holds a time.
    #[inline]
    fn start(self, time: i64) -> i64 {
        let since = (i128::from(time) - i128::from(self.origin_ns)).rem_euclid(i128::from(self.width_ns));
        time.saturating_sub(since as i64)
    }
}

impl Buckets {
    /// Does every bucket that meets a span, the last time included, start and end where one of this length does,
    /// counted from the epoch?
    pub(crate) fn are_made_of(&self, width_ns: i64, from: i64, to: i64) -> bool {
        match self {
            Buckets::Equal(bucket) => bucket.width_ns % width_ns == 0 && bucket.origin_ns % width_ns == 0,
            Buckets::Calendar(calendar) => {
                let mut time = from;
                loop {
                    let Range { end, .. } = (calendar.span)(time);
                    if end > to {
                        return true;
                    }
                    if end % width_ns != 0 || end <= time {
                        return false;
                    }
                    time = end;
                }
            }
        }
    }
}

/// Finds the buckets of many times, fast where neighbours share one.
#[derive(Debug)]
pub(crate) struct BucketCursor<'a> {
    buckets: &'a Buckets,
    /// Of a calendar, the start of a bucket and the times that are known to be in it.
    known: (i64, Range<i64>),
}

impl<'a> BucketCursor<'a> {
    pub(crate) fn new(buckets: &'a Buckets) -> BucketCursor<'a> {
        BucketCursor { buckets, known: (0, 0..0) }
    }

    /// The start of the bucket that holds a time, and the first time of the next one; the last bucket has none.
    #[inline]
    pub(crate) fn at(&mut self, time: i64) -> (i64, Option<i64>) {
        match self.buckets {
            Buckets::Equal(bucket) => {
                let start = bucket.start(time);
                (start, start.checked_add(bucket.width_ns))
            }
            Buckets::Calendar(calendar) => {
                if !self.known.1.contains(&time) {
                    let Range { start, end } = (calendar.span)(time);
                    self.known = (start, time..end);
                }
                (self.known.0, Some(self.known.1.end).filter(|end| *end > time))
            }
        }
    }
}
