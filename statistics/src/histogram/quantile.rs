//! Quantiles of a histogram: within a bucket by a power where its bounds grow by a factor, by a line elsewhere.

use super::Histogram;

/// What is to be said of a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing.
    None,
    /// It is NaN, as it falls among observations of NaN.
    IsNan,
    /// It is higher than without observations of NaN.
    IsHigher,
}

impl Histogram {
    /// A quantile, and what is doubtful of it.
    #[must_use]
    pub fn quantile(&self, q: f64) -> (f64, Doubt) {
        if q < 0.0 {
            return (f64::NEG_INFINITY, Doubt::None);
        }
        if q > 1.0 {
            return (f64::INFINITY, Doubt::None);
        }
        if self.count == 0.0 || q.is_nan() {
            return (f64::NAN, Doubt::None);
        }
        // From the nearer end. Observations of NaN are in no bucket, and count as if they were above all.
        let (has_nan, buckets) = (self.sum.is_nan(), self.buckets());
        let is_upwards = has_nan || q < 0.5;
        let mut rank = if is_upwards { q * self.count } else { (1.0 - q) * self.count };
        let order: Vec<_> = if is_upwards { buckets } else { buckets.into_iter().rev().collect() };
        let mut count = 0.0;
        let found = order.iter().position(|bucket| {
            count += bucket.count;
            count >= rank
        });
        let Some(mut bucket) = found.map_or(order.last(), |at| order.get(at)).copied() else {
            return (if has_nan { f64::NAN } else { 0.0 }, if has_nan { Doubt::IsNan } else { Doubt::None });
        };
        if self.is_custom() {
            if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper <= 0.0 {
                    return (bucket.upper, Doubt::None);
                }
                bucket.lower = 0.0;
            } else if bucket.upper == f64::INFINITY {
                return (bucket.lower, Doubt::None);
            }
        } else if bucket.lower < 0.0 && bucket.upper > 0.0 {
            (bucket.lower, bucket.upper) = self.zero_bounds(bucket.lower, bucket.upper);
        }
        let reached = count.min(self.count);
        if reached < rank {
            return if has_nan { (f64::NAN, Doubt::IsNan) } else { (bucket.upper, Doubt::None) };
        }
        rank = if is_upwards { rank - (reached - bucket.count) } else { reached - rank };
        let rest: f64 = order[found.map_or(order.len(), |at| at + 1)..].iter().map(|bucket| bucket.count).sum();
        let doubt = if has_nan && reached + rest < self.count { Doubt::IsHigher } else { Doubt::None };
        let share = rank / bucket.count;
        if self.is_custom() || bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            return (bucket.lower + (bucket.upper - bucket.lower) * share, doubt);
        }
        let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
        match bucket.lower > 0.0 {
            true => ((lower + (upper - lower) * share).exp2(), doubt),
            false => (-(upper + (lower - upper) * (1.0 - share)).exp2(), doubt),
        }
    }

    /// The bounds of the zero bucket: where nothing is below zero, or nothing above, it ends there.
    pub(crate) fn zero_bounds(&self, lower: f64, upper: f64) -> (f64, f64) {
        match (self.negative.is_empty(), self.positive.is_empty()) {
            (true, false) => (0.0, upper),
            (false, true) => (lower, 0.0),
            _ => (lower, upper),
        }
    }
}
