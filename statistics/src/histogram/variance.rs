//! The variance of observations, which are taken to be in the middle of their buckets.

use super::Histogram;
use crate::float::Sum;

impl Histogram {
    /// The variance around the mean.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let mean = self.sum / self.count;
        let mut squares = Sum::default();
        for bucket in self.buckets() {
            let middle = match bucket.lower <= 0.0 && bucket.upper >= 0.0 {
                _ if self.is_custom() => f64::midpoint(bucket.lower, bucket.upper),
                true => 0.0,
                false => (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper),
            };
            let distance = middle - mean;
            squares.add(bucket.count * distance * distance);
        }
        (squares.sum + squares.lost) / self.count
    }
}
