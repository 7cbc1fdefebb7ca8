//! Zero buckets of different widths: the narrower one takes buckets in until both are alike.

use super::Histogram;
use super::iterate::side;
use crate::float::Sum;

impl Histogram {
    /// How many observations a wider zero bucket would have, and how wide it has to be so that it cuts none of the others.
    pub(crate) fn widened(&self, threshold: f64) -> (f64, f64) {
        let mut threshold = threshold;
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        'again: loop {
            let mut count = Sum::of(self.zero_count);
            for (positive, buckets) in [(true, &self.positive), (false, &self.negative)] {
                for bucket in side(buckets, self.schema, &[], true) {
                    if bucket.lower >= threshold {
                        break;
                    }
                    count.add(bucket.count);
                    if bucket.upper > threshold {
                        threshold = bucket.upper;
                        match positive {
                            // What is below zero is looked at with the new threshold anyway.
                            true => break,
                            false => continue 'again,
                        }
                    }
                }
            }
            return (count.total(), threshold);
        }
    }

    /// Makes its zero bucket as wide as the other's at least, and says how many observations the other's has then.
    pub(crate) fn reconcile_zero(&mut self, other: &Histogram) -> f64 {
        let (mut count, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if self.zero_threshold > threshold {
                (count, threshold) = other.widened(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.widened(threshold);
                self.drop_within_zero();
            }
        }
        count
    }

    /// Buckets that the zero bucket has taken in.
    fn drop_within_zero(&mut self) {
        let (schema, threshold) = (self.schema, self.zero_threshold);
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.retain(|(index, _)| super::bounds::exponential(index - 1, schema) >= threshold);
        }
    }
}
