//! The bounds of buckets.

use super::{Buckets, CUSTOM, Histogram};

/// The upper bound of a bucket above zero; the one before it is its lower bound.
pub fn bound(index: i32, schema: i32, bounds: &[f64]) -> f64 {
    if schema == CUSTOM {
        return match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(at) => bounds.get(at).copied().unwrap_or(f64::INFINITY),
        };
    }
    exponential(index, schema)
}

/// `2^(index / 2^schema)`. The last bucket before that of the infinite ends with the largest number.
pub(crate) fn exponential(index: i32, schema: i32) -> f64 {
    let exponent = if schema < 0 {
        f64::from(index) * f64::from(1_u32 << -schema)
    } else {
        f64::from(index) / f64::from(1_u32 << schema)
    };
    if exponent == 1024.0 { f64::MAX } else { exponent.exp2() }
}

/// Buckets of a coarser schema; those that become one are added.
pub(crate) fn reduce(buckets: &[(i32, f64)], from: i32, to: i32) -> Buckets {
    let mut reduced: Buckets = Vec::with_capacity(buckets.len());
    for (index, count) in buckets {
        let index = coarser(*index, from, to);
        match reduced.last_mut().filter(|last| last.0 == index) {
            Some(last) => last.1 += count,
            None => reduced.push((index, *count)),
        }
    }
    reduced
}

/// The index of the bucket of a coarser schema that has this one in it.
pub(crate) fn coarser(index: i32, from: i32, to: i32) -> i32 {
    ((index - 1) >> (from - to)) + 1
}

impl Histogram {
    /// With the buckets of a coarser schema, or the same.
    #[must_use]
    pub fn at_schema(&self, schema: i32) -> Histogram {
        if schema >= self.schema || self.is_custom() {
            return self.clone();
        }
        Histogram {
            schema,
            positive: reduce(&self.positive, self.schema, schema),
            negative: reduce(&self.negative, self.schema, schema),
            ..self.clone()
        }
    }
}

/// The bounds that both have.
pub(crate) fn common(one: &[f64], other: &[f64]) -> Vec<f64> {
    let mut common = Vec::new();
    let (mut at, mut other_at) = (0, 0);
    while let (Some(bound), Some(other_bound)) = (one.get(at), other.get(other_at)) {
        if bound == other_bound {
            common.push(*bound);
        }
        at += usize::from(bound <= other_bound);
        other_at += usize::from(other_bound <= bound);
    }
    common
}

/// Buckets with fewer bounds, in order: each count goes to the bucket that has all of it.
pub(crate) fn rebound(buckets: &[(i32, f64)], bounds: &[f64], common: &[f64]) -> Buckets {
    let to = |index: i32| match usize::try_from(index).ok().and_then(|at| bounds.get(at)) {
        Some(bound) => common.partition_point(|own| own < bound),
        None => common.len(),
    };
    let mut rebound: Buckets = Vec::with_capacity(buckets.len());
    for (index, count) in buckets {
        let index = to(*index) as i32;
        match rebound.last_mut().filter(|last| last.0 == index) {
            Some(last) => last.1 += count,
            None => rebound.push((index, *count)),
        }
    }
    rebound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_by_a_factor() {
        assert_eq!([0, 1, 2, -1].map(|index| exponential(index, 0)), [1.0, 2.0, 4.0, 0.5]);
        assert_eq!([4, -2].map(|index| exponential(index, 2)), [2.0, 0.5_f64.sqrt()]);
        assert_eq!([1, -1].map(|index| exponential(index, -2)), [16.0, 0.0625]);
        assert_eq!(exponential(1024, 0), f64::MAX);
        assert_eq!([-1, 0, 2].map(|index| bound(index, CUSTOM, &[1.0, 2.0])), [f64::NEG_INFINITY, 1.0, f64::INFINITY]);
    }

    #[test]
    fn what_becomes_one_bucket_is_added() {
        assert_eq!(reduce(&[(-1, 1.0), (0, 2.0), (1, 4.0), (3, 8.0)], 1, 0), [(0, 3.0), (1, 4.0), (2, 8.0)]);
        assert_eq!(common(&[1.0, 2.0, 3.0], &[2.0, 3.0, 4.0]), [2.0, 3.0]);
        assert_eq!(rebound(&[(0, 1.0), (1, 2.0), (3, 4.0)], &[1.0, 2.0, 3.0], &[2.0]), [(0, 3.0), (1, 4.0)]);
    }
}
