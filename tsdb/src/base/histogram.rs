//! A histogram that any number of threads record into without waiting for each other.
//!
//! Buckets as [HdrHistogram](http://hdrhistogram.org) has them: each power of two is divided into equally wide parts,
//! so that a value is known to within 1 % whatever its size, and recording is one atomic addition.

use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of a power of two: values are known to within 1/128.
const PARTS: u64 = 128;
const PART_BITS: u32 = PARTS.trailing_zeros();
/// Values up to 2^40 (as nanoseconds: 18 minutes) have buckets of their own; larger ones share the last.
const BITS_MAX: u32 = 40;
const BUCKETS: usize = ((BITS_MAX - PART_BITS + 1) as usize) * PARTS as usize;

/// How often values were recorded, by their size.
///
/// ```
/// let histogram = tsdb::Histogram::default();
/// (1..=1000).for_each(|value| histogram.record(value));
/// let summary = histogram.summary();
/// assert_eq!((summary.count, summary.sum, summary.max), (1000, 500_500, 1000));
/// assert!((495..=505).contains(&summary.quantile(0.5)));
/// ```
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        let counts = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Histogram { counts, sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }
}

fn bucket(value: u64) -> usize {
    if value < PARTS {
        return value as usize;
    }
    let power = (63 - value.leading_zeros()).min(BITS_MAX - 1);
    let part = (value >> (power - PART_BITS)).min(2 * PARTS - 1);
    (u64::from(power - PART_BITS) * PARTS + part) as usize
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let (power, part) = ((bucket as u64 / PARTS).saturating_sub(1), bucket as u64);
    if part < PARTS { part } else { ((part - power * PARTS + 1) << power) - 1 }
}

impl Histogram {
    /// Counts a value.
    pub fn record(&self, value: u64) {
        self.counts[bucket(value)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
        if value > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// What was recorded so far.
    pub fn summary(&self) -> Quantiles {
        let counts = self.counts.iter().enumerate().map(|(at, count)| (upper(at), count.load(Ordering::Relaxed)));
        let buckets: Vec<_> = counts.filter(|(_, count)| *count > 0).collect();
        Quantiles {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: self.sum.load(Ordering::Relaxed),
            max: self.max.load(Ordering::Relaxed),
            buckets,
        }
    }
}

/// What a histogram held at one instant.
#[derive(Debug, Clone, Default)]
pub struct Quantiles {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The largest.
    pub max: u64,
    /// The largest value of each bucket that has any, with how many it has.
    buckets: Vec<(u64, u64)>,
}

impl Quantiles {
    /// The value that this share (0 to 1) of all does not exceed; 0 of none.
    pub fn quantile(&self, share: f64) -> u64 {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (value, count) in &self.buckets {
            seen += count;
            if seen >= rank {
                return (*value).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_within_one_percent_of_those_of_the_sorted_values(
            mut values in prop::collection::vec(prop_oneof![0u64..300, 0u64..1 << 20, 0u64..(1 << 40) - 1], 1..200),
            share in 0.0f64..=1.0,
        ) {
            let histogram = Histogram::default();
            values.iter().for_each(|value| histogram.record(*value));
            values.sort_unstable();
            let rank = ((share * values.len() as f64).ceil() as usize).max(1);
            let (exact, got) = (values[rank - 1], histogram.summary().quantile(share));
            prop_assert!(got >= exact && got - exact <= exact / 100 + 1, "{} for {}", got, exact);
        }
    }

    #[test]
    fn values_past_the_last_bucket_count() {
        let histogram = Histogram::default();
        histogram.record(u64::MAX / 2);
        assert_eq!((histogram.summary().count, histogram.summary().max), (1, u64::MAX / 2));
    }
}
