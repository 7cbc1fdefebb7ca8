//! Sums, differences and multiples.

use super::bounds::{common, exponential, rebound};
use super::{Buckets, Hint, Histogram};

/// A histogram with given bounds and one without have no sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incompatible;

/// What had to be done before two could be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// One says that there was a reset, the other that there was none.
    pub hints_collide: bool,
    /// Their bounds were not the same.
    pub bounds_differ: bool,
}

impl Histogram {
    /// Times a number.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Histogram {
        let hint = if factor < 0.0 { Hint::Gauge } else { self.hint };
        Histogram { hint, ..self.mapped(|number| number * factor) }
    }

    /// Through a number. Through 0 no bucket is left.
    #[must_use]
    pub fn divided(self, divisor: f64) -> Histogram {
        let hint = if divisor < 0.0 { Hint::Gauge } else { self.hint };
        let mut divided = Histogram { hint, ..self.mapped(|number| number / divisor) };
        if divisor == 0.0 {
            divided.positive.clear();
            divided.negative.clear();
        }
        divided
    }

    fn mapped(mut self, make: impl Fn(f64) -> f64) -> Histogram {
        for count in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *count = make(*count);
        }
        for buckets in [&mut self.positive, &mut self.negative] {
            buckets.iter_mut().for_each(|(_, count)| *count = make(*count));
            buckets.retain(|(_, count)| *count != 0.0);
        }
        self
    }

    /// Adds another one.
    ///
    /// # Errors
    ///
    /// Where only one has given bounds.
    pub fn add(&mut self, other: &Histogram) -> Result<Reconciled, Incompatible> {
        self.combine(other, 1.0)
    }

    /// Takes another one off.
    ///
    /// # Errors
    ///
    /// Where only one has given bounds.
    pub fn sub(&mut self, other: &Histogram) -> Result<Reconciled, Incompatible> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Histogram, sign: f64) -> Result<Reconciled, Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        let mut reconciled = Reconciled { hints_collide: self.take_hint(other.hint), bounds_differ: false };
        if !self.is_custom() {
            let zero_count = self.reconcile_zero(other);
            self.zero_count += sign * zero_count;
        }
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        if self.is_custom() {
            reconciled.bounds_differ = self.combine_custom(other, sign);
            return Ok(reconciled);
        }
        let schema = self.schema.min(other.schema);
        if schema < self.schema {
            *self = self.at_schema(schema);
        }
        let other = other.at_schema(schema);
        let outside = |buckets: Buckets| beyond(buckets, schema, self.zero_threshold);
        let (positive, negative) = (outside(other.positive), outside(other.negative));
        merge(&mut self.positive, &positive, sign);
        merge(&mut self.negative, &negative, sign);
        Ok(reconciled)
    }

    /// Of other bounds those are left that both have. Were they different?
    fn combine_custom(&mut self, other: &Histogram, sign: f64) -> bool {
        let differ = self.bounds != other.bounds;
        if differ {
            let bounds = common(&self.bounds, &other.bounds);
            self.positive = rebound(&self.positive, &self.bounds, &bounds);
            let positive = rebound(&other.positive, &other.bounds, &bounds);
            self.bounds = bounds.into();
            merge(&mut self.positive, &positive, sign);
        } else {
            merge(&mut self.positive, &other.positive, sign);
        }
        differ
    }

    /// The hint of a sum. Do the two collide?
    pub(crate) fn take_hint(&mut self, other: Hint) -> bool {
        match (self.hint, other) {
            (own, other) if own == other => false,
            (Hint::Gauge | Hint::Unknown, _) if self.hint == Hint::Gauge || other != Hint::Gauge => false,
            (_, Hint::Gauge) => {
                self.hint = Hint::Gauge;
                false
            }
            (_, Hint::Unknown) => {
                self.hint = Hint::Unknown;
                false
            }
            _ => {
                self.hint = Hint::Unknown;
                true
            }
        }
    }
}

/// Buckets that lie outside of the zero bucket, which has the others already.
pub(crate) fn beyond(mut buckets: Buckets, schema: i32, threshold: f64) -> Buckets {
    let within = buckets.iter().take_while(|(index, _)| exponential(*index, schema) <= threshold).count();
    buckets.drain(..within);
    buckets
}

/// Adds buckets to others, times a number.
fn merge(buckets: &mut Buckets, others: &[(i32, f64)], factor: f64) {
    let mut merged = Vec::with_capacity(buckets.len().max(others.len()));
    let (mut own, mut others) = (buckets.iter().copied().peekable(), others.iter().copied().peekable());
    loop {
        let next = match (own.peek(), others.peek()) {
            (Some(one), Some(other)) if one.0 == other.0 => {
                let next = (one.0, one.1 + factor * other.1);
                own.next();
                others.next();
                next
            }
            (Some(one), other) if other.is_none_or(|other| one.0 < other.0) => {
                let next = *one;
                own.next();
                next
            }
            (_, Some(other)) => {
                let next = (other.0, factor * other.1);
                others.next();
                next
            }
            _ => break,
        };
        merged.push(next);
    }
    merged.retain(|(_, count)| *count != 0.0);
    *buckets = merged;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(schema: i32, positive: &[(i32, f64)]) -> Histogram {
        let count = positive.iter().map(|(_, count)| count).sum();
        Histogram { schema, count, positive: positive.to_vec(), ..Histogram::default() }
    }

    #[test]
    fn the_coarser_schema_is_taken() {
        let mut sum = histogram(1, &[(1, 1.0), (2, 2.0)]);
        sum.add(&histogram(0, &[(1, 4.0), (3, 8.0)])).unwrap();
        assert_eq!((sum.schema, sum.count, &sum.positive[..]), (0, 15.0, &[(1, 7.0), (3, 8.0)][..]));
        sum.sub(&histogram(1, &[(5, 8.0)])).unwrap();
        assert_eq!(sum.positive, [(1, 7.0)]);
    }

    #[test]
    fn the_wider_zero_bucket_takes_others_in() {
        let mut sum = Histogram { zero_threshold: 0.5, zero_count: 1.0, ..histogram(0, &[(0, 2.0), (1, 4.0)]) };
        let other = Histogram { zero_threshold: 0.7, zero_count: 8.0, ..histogram(0, &[(1, 16.0)]) };
        sum.add(&other).unwrap();
        assert_eq!((sum.zero_threshold, sum.zero_count, &sum.positive[..]), (1.0, 11.0, &[(1, 20.0)][..]));
    }

    #[test]
    fn bounds_that_both_have_are_left() {
        let custom =
            |bounds: &[f64], positive| Histogram { bounds: bounds.into(), ..histogram(super::super::CUSTOM, positive) };
        let mut sum = custom(&[1.0, 2.0, 3.0], &[(0, 1.0), (1, 2.0), (3, 4.0)]);
        let reconciled = sum.add(&custom(&[2.0, 3.0], &[(0, 8.0)])).unwrap();
        assert!(reconciled.bounds_differ);
        assert_eq!((&sum.bounds[..], &sum.positive[..]), (&[2.0, 3.0][..], &[(0, 11.0), (2, 4.0)][..]));
        assert_eq!(sum.add(&histogram(0, &[])), Err(Incompatible));
    }

    #[test]
    fn hints_that_contradict_each_other_collide() {
        for (one, other, expected) in [
            (Hint::Reset, Hint::NotReset, (Hint::Unknown, true)),
            (Hint::Reset, Hint::Gauge, (Hint::Gauge, false)),
            (Hint::Gauge, Hint::Reset, (Hint::Gauge, false)),
            (Hint::Unknown, Hint::Reset, (Hint::Unknown, false)),
            (Hint::Unknown, Hint::Gauge, (Hint::Gauge, false)),
            (Hint::NotReset, Hint::Unknown, (Hint::Unknown, false)),
        ] {
            let mut histogram = Histogram { hint: one, ..Histogram::default() };
            let collides = histogram.take_hint(other);
            assert_eq!((histogram.hint, collides), expected, "{one:?} {other:?}");
        }
    }
}
