//! Was a counter reset between two histograms?

use super::arithmetic::beyond;
use super::bounds::{bound, reduce};
use super::{CUSTOM, Hint, Histogram};

impl Histogram {
    /// Was it reset since the one before? As its hint says, otherwise where something of it is less.
    #[must_use]
    pub fn is_reset_since(&self, before: &Histogram) -> bool {
        match self.hint {
            Hint::Reset => return true,
            Hint::NotReset => return false,
            _ => {}
        }
        if self.count < before.count || self.is_custom() && !before.is_custom() {
            return true;
        }
        if self.is_custom() {
            return self.is_custom_reset(before);
        }
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = before.widened(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let is_less = |own: &[(i32, f64)], before: Vec<(i32, f64)>| {
            before.iter().any(|(index, count)| {
                let own = own.binary_search_by_key(index, |(own, _)| *own).map_or(0.0, |at| own[at].1);
                own < *count
            })
        };
        let coarse = |buckets: &[(i32, f64)]| {
            beyond(reduce(buckets, before.schema, self.schema), self.schema, self.zero_threshold)
        };
        is_less(&self.positive, coarse(&before.positive)) || is_less(&self.negative, coarse(&before.negative))
    }

    /// Of given bounds those are compared that both have: up to each, none has less.
    fn is_custom_reset(&self, before: &Histogram) -> bool {
        let ends = self.bounds.iter().filter(|end| before.bounds.contains(end)).copied().chain([f64::INFINITY]);
        let mut start = f64::NEG_INFINITY;
        for end in ends {
            let within = |histogram: &Histogram| -> f64 {
                let upper = |index: i32| bound(index, CUSTOM, &histogram.bounds);
                let all = histogram.positive.iter().filter(|(index, _)| start < upper(*index) && upper(*index) <= end);
                all.map(|(_, count)| count).sum()
            };
            if within(self) < within(before) {
                return true;
            }
            start = end;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_has_less_is_a_reset() {
        let of = |schema, positive: &[(i32, f64)]| Histogram {
            schema,
            count: 9.0,
            positive: positive.to_vec(),
            ..Histogram::default()
        };
        assert!(!of(0, &[(1, 2.0), (2, 1.0)]).is_reset_since(&of(0, &[(1, 2.0)])));
        assert!(of(0, &[(1, 1.0)]).is_reset_since(&of(0, &[(1, 2.0)])));
        assert!(of(0, &[(1, 1.0)]).is_reset_since(&of(0, &[(2, 1.0)])));
        assert!(!of(0, &[(1, 3.0)]).is_reset_since(&of(1, &[(1, 1.0), (2, 2.0)])));
        assert!(of(1, &[(1, 3.0)]).is_reset_since(&of(0, &[(1, 1.0)])));
        let custom = |bounds: &[f64], positive| Histogram { bounds: bounds.into(), ..of(CUSTOM, positive) };
        assert!(!custom(&[1.0, 2.0], &[(0, 1.0), (1, 2.0)]).is_reset_since(&custom(&[2.0], &[(0, 3.0)])));
        assert!(custom(&[1.0, 2.0], &[(0, 1.0), (1, 2.0)]).is_reset_since(&custom(&[2.0], &[(0, 4.0)])));
        let hinted = Histogram { hint: Hint::NotReset, ..of(0, &[]) };
        assert!(!hinted.is_reset_since(&of(0, &[(1, 1.0)])));
    }
}
