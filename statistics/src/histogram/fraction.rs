//! The share of observations between two values.

use super::Histogram;

impl Histogram {
    /// The share of observations from one value to another one, and whether some of NaN are left out.
    #[must_use]
    pub fn fraction(&self, lower: f64, upper: f64) -> (f64, bool) {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return (f64::NAN, false);
        }
        if lower >= upper {
            return (0.0, false);
        }
        let buckets = self.buckets();
        let in_buckets: f64 = buckets.iter().map(|bucket| bucket.count).sum();
        let has_nan = self.sum.is_nan();
        let count = if has_nan { in_buckets } else { self.count };
        let rank = |value: f64| self.rank(&buckets, value).filter(|rank| *rank <= count).unwrap_or(count);
        let leaves_out = has_nan && in_buckets < self.count;
        ((rank(upper) - rank(lower)) / self.count, leaves_out)
    }

    /// How many observations lie below a value; nothing where all buckets do.
    fn rank(&self, buckets: &[super::Bucket], value: f64) -> Option<f64> {
        let mut rank = 0.0;
        for bucket in buckets {
            let mut bucket = *bucket;
            let is_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
            if is_zero {
                (bucket.lower, bucket.upper) = self.zero_bounds(bucket.lower, bucket.upper);
            }
            if bucket.lower >= value {
                return Some(rank);
            }
            if bucket.upper > value {
                let is_linear = self.is_custom() || is_zero;
                return Some(match is_linear && bucket.lower == f64::NEG_INFINITY {
                    true => bucket.count,
                    false => rank + bucket.count * bucket.share_below(value, is_linear),
                });
            }
            rank += bucket.count;
        }
        None
    }
}
