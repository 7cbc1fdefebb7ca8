//! What lies on one side of a value is cut off.

use super::Histogram;
use super::iterate::Bucket;

/// Which side stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Below the value.
    Below,
    /// Above it.
    Above,
}

impl Histogram {
    /// Without the observations on the other side of a value. Count and sum are made anew of what stays, if anything goes.
    #[must_use]
    pub fn trimmed(&self, value: f64, side: Side) -> Histogram {
        let (mut count, mut sum, mut is_cut) = (0.0, 0.0, false);
        let mut trimmed = self.clone();
        let is_custom = self.is_custom();
        for (buckets, bounds, is_positive) in [
            (&mut trimmed.positive, self.above().collect::<Vec<_>>(), true),
            (&mut trimmed.negative, self.below().collect(), false),
        ] {
            for ((_, own), bucket) in buckets.iter_mut().zip(bounds) {
                let (kept, middle) = keep(&bucket, value, side, is_positive, is_custom);
                count += kept;
                sum += middle * kept;
                is_cut |= kept != *own;
                *own = kept;
            }
            buckets.retain(|(_, count)| *count != 0.0);
        }
        if self.zero_count > 0.0 {
            let (kept, middle) = self.keep_of_zero(value, side);
            is_cut |= kept != self.zero_count;
            trimmed.zero_count = kept;
            count += kept;
            sum += middle * kept;
        }
        match is_cut {
            true => Histogram { count, sum, ..trimmed },
            false => self.clone(),
        }
    }

    /// What stays of the zero bucket, and where its middle is.
    fn keep_of_zero(&self, value: f64, side: Side) -> (f64, f64) {
        let zero = self.zero();
        let (lower, upper) = self.zero_bounds(zero.lower, zero.upper);
        let (all, nothing) = ((zero.count, (lower + upper) / 2.0), (0.0, 0.0));
        match side {
            Side::Below if value <= lower => nothing,
            Side::Below if value >= upper => all,
            Side::Below => (zero.count * (value - lower) / (upper - lower), (lower + value) / 2.0),
            Side::Above if value <= lower => all,
            Side::Above if value >= upper => nothing,
            Side::Above => (zero.count * (upper - value) / (upper - lower), (value + upper) / 2.0),
        }
    }
}

/// What stays of a bucket, and where its middle is.
fn keep(bucket: &Bucket, value: f64, side: Side, is_positive: bool, is_custom: bool) -> (f64, f64) {
    let all = (bucket.count, middle(bucket.lower, bucket.upper, is_positive, is_custom));
    match side {
        Side::Below if bucket.upper <= value => return all,
        Side::Below if bucket.lower >= value => return (0.0, 0.0),
        Side::Above if bucket.lower >= value => return all,
        Side::Above if bucket.upper <= value => return (0.0, 0.0),
        _ => {}
    }
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return keep_of_endless(bucket, value, side);
    }
    let below = bucket.count * bucket.share_below(value, is_custom);
    match side {
        Side::Below => (below, middle(bucket.lower, value, is_positive, is_custom)),
        Side::Above => (bucket.count - below, middle(value, bucket.upper, is_positive, is_custom)),
    }
}

/// The same of a bucket that has no lower or no upper bound, and has the value in it.
fn keep_of_endless(bucket: &Bucket, value: f64, side: Side) -> (f64, f64) {
    let finite = |bound: f64| if bound.is_infinite() { 0.0 } else { bound };
    let (upper, count) = (bucket.upper, bucket.count);
    if bucket.lower == f64::NEG_INFINITY {
        return match side {
            Side::Below if value > 0.0 && upper > 0.0 && upper.is_finite() => (count * value / upper, value / 2.0),
            Side::Below if upper <= 0.0 => (count, value),
            Side::Above if value >= 0.0 && upper > value && upper.is_finite() => {
                (count * (1.0 - value / upper), (value + upper) / 2.0)
            }
            _ => (0.0, finite(upper)),
        };
    }
    match side {
        Side::Above if value >= bucket.lower => (count, value),
        _ => (0.0, finite(bucket.lower)),
    }
}

/// Where observations of a bucket are taken to be.
fn middle(lower: f64, upper: f64, is_positive: bool, is_linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        _ if is_linear => (lower + upper) / 2.0,
        _ if is_positive => (lower * upper).abs().sqrt(),
        _ => -(lower * upper).abs().sqrt(),
    }
}
