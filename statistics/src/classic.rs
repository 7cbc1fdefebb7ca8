//! Histograms of several series, a bucket each.

/// The upper bound of a bucket, and how many observations are up to it.
pub type Bucket = (f64, f64);

/// Differences as small as this, by their size, are what floats lose.
const TOLERANCE: f64 = 1e-12;

/// Buckets that did not grow, and were mended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mended {
    /// The first time, in milliseconds.
    pub first_ms: i64,
    /// The last.
    pub last_ms: i64,
    /// The smallest bound.
    pub low: f64,
    /// The largest bound.
    pub high: f64,
    /// The most that had to be added.
    pub difference: f64,
    /// How many samples.
    pub count: usize,
}

impl Mended {
    /// Both of them.
    #[must_use]
    pub fn merge(self, other: Mended) -> Mended {
        Mended {
            first_ms: self.first_ms.min(other.first_ms),
            last_ms: self.last_ms.max(other.last_ms),
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            difference: self.difference.max(other.difference),
            count: self.count + other.count,
        }
    }
}

/// Buckets by their bounds, those of one bound as one. `None` without a last one that has all.
fn whole(mut buckets: Vec<Bucket>) -> Option<Vec<Bucket>> {
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut merged: Vec<Bucket> = Vec::with_capacity(buckets.len());
    for (bound, count) in buckets {
        match merged.last_mut().filter(|last| last.0 == bound) {
            Some(last) => last.1 += count,
            None => merged.push((bound, count)),
        }
    }
    merged.last().is_some_and(|last| last.0 == f64::INFINITY).then_some(merged)
}

/// A quantile of buckets, and how they had to be mended for it.
pub fn quantile(q: f64, buckets: Vec<Bucket>, at_ms: i64) -> (f64, Option<Mended>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, None);
    }
    let Some(mut buckets) = whole(buckets) else { return (f64::NAN, None) };
    let mended = mend(&mut buckets, at_ms);
    let last = buckets.len() - 1;
    let all = buckets[last].1;
    if last == 0 || all == 0.0 || all.is_nan() {
        return (f64::NAN, mended);
    }
    let rank = q * all;
    let at = buckets[..last].partition_point(|(_, count)| *count < rank || count.is_nan() || rank.is_nan());
    if at == last {
        return (buckets[last - 1].0, mended);
    }
    let (end, count) = buckets[at];
    if at == 0 && end <= 0.0 {
        return (end, mended);
    }
    let (start, before) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    (start + (end - start) * ((rank - before) / (count - before)), mended)
}

/// The share of observations between two values.
pub fn fraction(lower: f64, upper: f64, buckets: Vec<Bucket>) -> f64 {
    let Some(buckets) = whole(buckets) else { return f64::NAN };
    let all = buckets[buckets.len() - 1].1;
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |value: f64| rank(&buckets, value).filter(|rank| *rank <= all).unwrap_or(all);
    (rank(upper) - rank(lower)) / all
}

/// How many observations lie below a value; nothing where all do.
fn rank(buckets: &[Bucket], value: f64) -> Option<f64> {
    let mut start = if buckets[0].0 <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut before = 0.0;
    for (end, count) in buckets {
        if start >= value {
            return Some(before);
        }
        if *end > value {
            return Some(match start {
                f64::NEG_INFINITY => *count,
                _ => before + (count - before) * (value - start) / (end - start),
            });
        }
        (start, before) = (*end, *count);
    }
    None
}

/// Counts that do not grow are made as large as the one before. What floats lose is no reason to say so.
fn mend(buckets: &mut [Bucket], at_ms: i64) -> Option<Mended> {
    let mut mended: Option<Mended> = None;
    let mut before = buckets[0].1;
    for (bound, count) in &mut buckets[1..] {
        if *count == before {
            continue;
        }
        let is_close = (before - *count).abs() / (before.abs() + count.abs()).min(f64::MAX) < TOLERANCE;
        if is_close {
            *count = before;
        } else if *count < before {
            let all = mended.get_or_insert(Mended {
                first_ms: at_ms,
                last_ms: at_ms,
                low: *bound,
                high: *bound,
                difference: 0.0,
                count: 1,
            });
            (all.low, all.high) = (all.low.min(*bound), all.high.max(*bound));
            all.difference = all.difference.max(before - *count);
            *count = before;
        } else {
            before = *count;
        }
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn quantiles_lie_on_lines_within_buckets() {
        let buckets = vec![(1.0, 2.0), (INF, 10.0), (2.0, 6.0)];
        assert_eq!(quantile(0.4, buckets.clone(), 0), (1.5, None));
        assert_eq!(quantile(0.9, buckets.clone(), 0), (2.0, None));
        assert_eq!(quantile(0.1, buckets.clone(), 0), (0.5, None));
        assert!(quantile(0.5, vec![(1.0, 2.0)], 0).0.is_nan());
        assert_eq!(quantile(-1.0, buckets.clone(), 0).0, -INF);
        assert_eq!(fraction(0.5, 2.0, buckets), 0.5);
    }

    #[test]
    fn buckets_that_shrink_are_mended_and_told() {
        let (value, mended) = quantile(0.5, vec![(1.0, 5.0), (2.0, 4.0), (INF, 5.0)], 7);
        let mended = mended.unwrap();
        assert_eq!((value, mended.low, mended.difference, mended.first_ms), (0.5, 2.0, 1.0, 7));
        assert_eq!(quantile(0.5, vec![(1.0, 5.0), (2.0, 5.0 - 1e-13), (INF, 5.0)], 0), (0.5, None));
    }
}
