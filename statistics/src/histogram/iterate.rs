//! Buckets with their bounds, from the lowest up.

use super::bounds::bound;
use super::{CUSTOM, Histogram};

/// A bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// From here.
    pub lower: f64,
    /// To here.
    pub upper: f64,
    /// Is the lower bound in it?
    pub has_lower: bool,
    /// Is the upper bound in it?
    pub has_upper: bool,
    /// How many observations it has.
    pub count: f64,
}

impl Bucket {
    /// The share of it that lies below a value, by a line or by a power.
    pub(crate) fn share_below(&self, value: f64, is_linear: bool) -> f64 {
        if is_linear {
            return (value - self.lower) / (self.upper - self.lower);
        }
        let [lower, upper, at] = [self.lower, self.upper, value].map(|number| number.abs().log2());
        match value > 0.0 {
            true => (at - lower) / (upper - lower),
            false => 1.0 - (at - upper) / (lower - upper),
        }
    }
}

/// The buckets of one side, from zero outwards, with their bounds as those above zero have them.
pub(crate) fn side<'a>(
    buckets: &'a [(i32, f64)],
    schema: i32,
    bounds: &'a [f64],
    is_positive: bool,
) -> impl DoubleEndedIterator<Item = Bucket> + 'a {
    buckets.iter().map(move |(index, count)| {
        let (inner, outer) = (bound(index - 1, schema, bounds), bound(*index, schema, bounds));
        let (lower, upper) = if is_positive { (inner, outer) } else { (-outer, -inner) };
        let (has_lower, has_upper) = match schema {
            CUSTOM => (*index == 0, true),
            _ => (lower < 0.0, upper > 0.0),
        };
        Bucket { lower, upper, has_lower, has_upper, count: *count }
    })
}

impl Histogram {
    /// Buckets above zero, from the lowest up.
    pub(crate) fn above(&self) -> impl DoubleEndedIterator<Item = Bucket> {
        side(&self.positive, self.schema, &self.bounds, true)
    }

    /// Buckets below zero, from the highest down.
    pub(crate) fn below(&self) -> impl DoubleEndedIterator<Item = Bucket> {
        side(&self.negative, self.schema, &[], false)
    }

    /// The zero bucket.
    pub(crate) fn zero(&self) -> Bucket {
        let width = self.zero_threshold;
        Bucket { lower: -width, upper: width, has_lower: true, has_upper: true, count: self.zero_count }
    }

    /// All buckets that have observations, from the lowest up; none reaches into the zero bucket.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let width = self.zero_threshold;
        let cut = |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -width {
                bucket.upper = -width;
            } else if bucket.lower > 0.0 && bucket.lower < width {
                bucket.lower = width;
            }
            bucket
        };
        let zero = (self.zero_count > 0.0).then(|| self.zero());
        self.below().rev().map(cut).chain(zero).chain(self.above().map(cut)).collect()
    }
}
