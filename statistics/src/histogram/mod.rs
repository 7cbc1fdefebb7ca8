//! Native histograms: counts of observations in buckets whose bounds grow by a factor, or are given.
//!
//! Buckets are kept as sorted pairs of index and count; one that has nothing is not kept. The arithmetic is Prometheus':
//! schemas are reduced to the coarser one, zero buckets widened to the wider one, given bounds to those that both have.

mod accumulate;
mod arithmetic;
mod bounds;
mod fraction;
mod iterate;
pub mod quantile;
mod reset;
mod show;
mod text;
pub mod trim;
mod variance;
mod zero;

use std::sync::Arc;

pub use accumulate::Accumulator;
pub use arithmetic::{Incompatible, Reconciled};
pub use iterate::Bucket;
pub use text::{buckets_of, text_of};

/// The schema of histograms whose bounds are given.
pub const CUSTOM: i32 = -53;

/// Indices and counts, by index.
pub type Buckets = Vec<(i32, f64)>;

/// A native histogram.
///
/// ```
/// use statistics::histogram::Histogram;
///
/// // Between 1 and 2 three observations, between 2 and 4 one.
/// let histogram = Histogram { count: 4.0, sum: 8.0, positive: vec![(1, 3.0), (2, 1.0)], ..Histogram::default() };
/// assert_eq!(histogram.to_string(), "{count:4, sum:8, (1,2]:3, (2,4]:1}");
/// assert_eq!(histogram.clone().scaled(0.5).count, 2.0);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// What is known of resets before it.
    pub hint: Hint,
    /// How fine it is: 2^schema buckets from one power of two to the next; [`CUSTOM`] where bounds are given.
    pub schema: i32,
    /// Observations from minus this to this are in the zero bucket.
    pub zero_threshold: f64,
    /// How many those are.
    pub zero_count: f64,
    /// How many observations there are.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Buckets above zero.
    pub positive: Buckets,
    /// Buckets below zero, by the index that the same bucket above has.
    pub negative: Buckets,
    /// The upper bounds that are given; the last bucket has none.
    pub bounds: Arc<[f64]>,
}

/// What is known of a reset between a histogram and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hint {
    /// Nothing.
    #[default]
    Unknown,
    /// There was one.
    Reset,
    /// There was none.
    NotReset,
    /// It goes up and down as it likes.
    Gauge,
}

impl Hint {
    /// Its number in rows and in Prometheus' messages.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Hint::Unknown => 0,
            Hint::Reset => 1,
            Hint::NotReset => 2,
            Hint::Gauge => 3,
        }
    }
}

impl Histogram {
    /// Are its bounds given?
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM
    }

    /// Is something of it infinite?
    #[must_use]
    pub fn overflows(&self) -> bool {
        let own = [self.zero_count, self.count, self.sum].into_iter();
        let buckets = self.positive.iter().chain(&self.negative).map(|(_, count)| *count);
        own.chain(buckets).any(f64::is_infinite)
    }

    /// The same to the bit, but for the hint?
    #[must_use]
    pub fn is_same(&self, other: &Histogram) -> bool {
        let bits = |number: f64| number.to_bits();
        let same = |one: &Buckets, other: &Buckets| {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && bits(one.1) == bits(other.1))
        };
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && [self.count, self.sum, self.zero_count].map(bits) == [other.count, other.sum, other.zero_count].map(bits)
            && (!self.is_custom() || self.bounds == other.bounds)
            && same(&self.positive, &other.positive)
            && same(&self.negative, &other.negative)
    }
}
