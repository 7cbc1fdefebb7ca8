//! Sums and means of many histograms that keep what each addition loses.

use super::arithmetic::{Incompatible, Reconciled};
use super::{Buckets, Histogram};
use crate::float::Sum;

/// A sum of histograms: the sum, and what it lost.
///
/// Buckets of the two are the same ones, as far as they have something.
#[derive(Debug, Clone)]
pub struct Accumulator {
    sum: Histogram,
    lost: Histogram,
    count: f64,
    is_moving: bool,
}

impl Accumulator {
    /// A sum of one.
    #[must_use]
    pub fn of(histogram: &Histogram) -> Accumulator {
        let lost = Histogram {
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
            ..histogram.clone()
        };
        Accumulator { sum: histogram.clone(), lost, count: 1.0, is_moving: false }
    }

    /// One more.
    ///
    /// # Errors
    ///
    /// Where only one has given bounds.
    pub fn add(&mut self, other: &Histogram) -> Result<Reconciled, Incompatible> {
        self.count += 1.0;
        self.plus(other)
    }

    fn plus(&mut self, other: &Histogram) -> Result<Reconciled, Incompatible> {
        let before = self.sum.clone();
        let reconciled = self.sum.add(other)?;
        // What was lost is what is missing of the exact sum: both sides are brought to the form of the sum, and compared.
        let (own, other) = (self.sum.like(&before), self.sum.like(other));
        self.lost = self.sum.like(&self.lost);
        for (lost, one, two) in [
            (&mut self.lost.zero_count, own.zero_count, other.zero_count),
            (&mut self.lost.count, own.count, other.count),
            (&mut self.lost.sum, own.sum, other.sum),
        ] {
            *lost = lost_by(*lost, one, two);
        }
        lost_of(&mut self.lost.positive, &own.positive, &other.positive);
        lost_of(&mut self.lost.negative, &own.negative, &other.negative);
        Ok(reconciled)
    }

    /// One more, for a mean: once the sum would be infinite, a mean that moves goes on.
    ///
    /// # Errors
    ///
    /// Where only one has given bounds.
    pub fn add_to_mean(&mut self, other: &Histogram) -> Result<Reconciled, Incompatible> {
        if !self.is_moving {
            let mut next = self.clone();
            let reconciled = next.add(other)?;
            if !next.sum.overflows() {
                *self = next;
                return Ok(reconciled);
            }
            self.is_moving = true;
            self.scale(1.0 / self.count);
        }
        self.count += 1.0;
        self.scale((self.count - 1.0) / self.count);
        self.plus(&other.clone().divided(self.count))
    }

    fn scale(&mut self, factor: f64) {
        self.sum = std::mem::take(&mut self.sum).scaled(factor);
        self.lost = std::mem::take(&mut self.lost).scaled(factor);
    }

    /// The sum.
    #[must_use]
    pub fn total(self) -> Histogram {
        let Accumulator { mut sum, lost, .. } = self;
        // Both are of one form.
        let _ = sum.add(&lost);
        sum
    }

    /// The mean.
    #[must_use]
    pub fn mean(mut self) -> Histogram {
        if !self.is_moving {
            let count = self.count;
            self.sum = self.sum.divided(count);
            self.lost = self.lost.divided(count);
        }
        self.total()
    }
}

impl Histogram {
    /// Another one with the zero bucket, the schema and the bounds of this one, which are as coarse as its own at least.
    fn like(&self, other: &Histogram) -> Histogram {
        let mut like = Histogram {
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Vec::new(),
            negative: Vec::new(),
            ..self.clone()
        };
        // Only one that has given bounds does not fit, and that was found before.
        let _ = like.add(other);
        like
    }
}

/// What is lost when two numbers are added, beside what was lost before.
fn lost_by(lost: f64, one: f64, two: f64) -> f64 {
    let mut sum = Sum { sum: one, lost };
    sum.add(two);
    sum.lost
}

fn lost_of(lost: &mut Buckets, own: &[(i32, f64)], other: &[(i32, f64)]) {
    let at = |buckets: &[(i32, f64)], index: i32| {
        buckets.binary_search_by_key(&index, |(own, _)| *own).map_or(0.0, |at| buckets[at].1)
    };
    let mut indices: Vec<i32> = own.iter().chain(other).chain(lost.iter()).map(|(index, _)| *index).collect();
    indices.sort_unstable();
    indices.dedup();
    let all = indices.into_iter().map(|index| (index, lost_by(at(lost, index), at(own, index), at(other, index))));
    *lost = all.filter(|(_, lost)| *lost != 0.0).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_addition_loses_is_kept() {
        let of =
            |number: f64| Histogram { count: number, sum: number, positive: vec![(1, number)], ..Histogram::default() };
        let mut sum = Accumulator::of(&of(1e100));
        sum.add(&of(1.0)).unwrap();
        sum.add(&of(-1e100)).unwrap();
        assert_eq!(sum.total(), of(1.0));
        let mut mean = Accumulator::of(&of(f64::MAX));
        mean.add_to_mean(&of(f64::MAX)).unwrap();
        assert_eq!(mean.mean(), of(f64::MAX));
    }
}
