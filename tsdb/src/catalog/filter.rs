//! Which rows are wanted, in the store's own numbers.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::base::day::Day;
use crate::base::series_runs::series_runs;
use crate::catalog::deletion::Deletion;
use crate::catalog::series_set::SeriesSet;

/// A range of times, a set of series, and what was deleted since the rows were written.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    from: i64,
    to: i64,
    /// `None` for all series.
    series: Option<Arc<SeriesSet>>,
    /// Series from the first to the last.
    reach: (u32, u32),
    without: Vec<Arc<Deletion>>,
}

impl Filter {
    /// Every row there is.
    pub(crate) const ALL: Filter =
        Filter { from: i64::MIN, to: i64::MAX, series: None, reach: (0, u32::MAX), without: Vec::new() };

    pub(crate) fn new(from: i64, to: i64, series: Option<Arc<SeriesSet>>) -> Filter {
        Filter { from, to, series, ..Filter::ALL }
    }

    /// The first and the last time that it may want.
    pub(crate) fn times(&self) -> (i64, i64) {
        (self.from, self.to)
    }

    /// Can there be rows at all?
    pub(crate) fn is_empty(&self) -> bool {
        self.from > self.to
    }

    /// The same within a day.
    pub(crate) fn on(&self, day: Day) -> Filter {
        self.within(day.first(), day.last())
    }

    /// The times that are wanted of a day, the first and the last; `None` if there are none.
    pub(crate) fn span_on(&self, day: Day) -> Option<(i64, i64)> {
        let (from, to) = (self.from.max(day.first()), self.to.min(day.last()));
        (from <= to).then_some((from, to))
    }

    /// The same between two times, both included.
    pub(crate) fn within(&self, from: i64, to: i64) -> Filter {
        Filter { from: self.from.max(from), to: self.to.min(to), ..self.clone() }
    }

    /// The same from a series to another.
    pub(crate) fn reaching(&self, series: &RangeInclusive<u32>) -> Filter {
        let reach = (self.reach.0.max(*series.start()), self.reach.1.min(*series.end()));
        Filter { reach, ..self.clone() }
    }

    /// The wanted ones of so many series, in so many ranges that have about as many each; the last one is open.
    pub(crate) fn series_ranges(&self, count: u32, ranges: usize) -> Vec<RangeInclusive<u32>> {
        let wanted: Vec<u32> = match &self.series {
            Some(set) => set.iter().collect(),
            None => (0..count).collect(),
        };
        let mut starts: Vec<u32> = wanted.chunks(wanted.len().div_ceil(ranges).max(1)).map(|chunk| chunk[0]).collect();
        starts.first_mut().into_iter().for_each(|first| *first = 0);
        if starts.is_empty() {
            starts.push(0);
        }
        let ends = starts[1..].iter().map(|next| next - 1).chain([u32::MAX]);
        starts.iter().zip(ends).map(|(start, end)| *start..=end).collect()
    }

    /// Of how many series there can be rows, out of so many.
    pub(crate) fn series_max(&self, count: u32) -> usize {
        self.series.as_ref().map_or(count as usize, |set| set.iter().count())
    }

    /// The same without what these delete.
    pub(crate) fn without(&self, deletions: Vec<Arc<Deletion>>) -> Filter {
        Filter { without: deletions, ..self.clone() }
    }

    pub(crate) fn meets_times(&self, first: i64, last: i64) -> bool {
        first <= self.to && last >= self.from
    }

    pub(crate) fn meets_series(&self, first: u32, last: u32) -> bool {
        let (first, last) = (first.max(self.reach.0), last.min(self.reach.1));
        first <= last && self.series.as_ref().is_none_or(|set| set.meets(first, last))
    }

    /// About which share of rows it wants that are of these series and times.
    pub(crate) fn share(&self, series: &RangeInclusive<u32>, times: &RangeInclusive<i64>) -> f64 {
        let span = |from: i64, to: i64| (i128::from(to) - i128::from(from) + 1).max(0) as f64;
        let (first, last) = (*times.start(), *times.end());
        let of_times = span(first.max(self.from), last.min(self.to)) / span(first, last).max(1.0);
        let (low, high) = (*series.start(), *series.end());
        let wanted = (low.max(self.reach.0), high.min(self.reach.1));
        let count = match &self.series {
            Some(set) if wanted.0 <= wanted.1 => f64::from(set.count(wanted.0, wanted.1)),
            _ => span(wanted.0.into(), wanted.1.into()),
        };
        of_times * count / span(low.into(), high.into()).max(1.0)
    }

    /// Is a row wanted?
    pub(crate) fn wants(&self, series: u32, time: i64) -> bool {
        (self.from..=self.to).contains(&time)
            && self.wants_series(series)
            && !self.without.iter().any(|deletion| deletion.deletes(series, time))
    }

    /// Can rows of this series be wanted?
    pub(crate) fn wants_series(&self, series: u32) -> bool {
        (self.reach.0..=self.reach.1).contains(&series) && self.series.as_ref().is_none_or(|set| set.contains(series))
    }

    /// Does it want a row at every time between these, if it wants one of its series?
    pub(crate) fn wants_all_times(&self, first: i64, last: i64) -> bool {
        self.from <= first && last <= self.to && self.without.is_empty()
    }

    /// The ranges of rows wanted among rows in key order at times of which it wants all.
    pub(crate) fn ranges_of_series(&self, series: &[u32]) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for run in series_runs(series) {
            let end = start + run.len();
            match ranges.last_mut() {
                _ if !self.wants_series(run[0]) => {}
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
            start = end;
        }
        ranges
    }

    /// The ranges of rows wanted among rows in key order.
    pub(crate) fn ranges(&self, series: &[u32], times: &[i64]) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut add = |range: Range<usize>| match ranges.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        };
        let mut start = 0;
        for run in series_runs(series) {
            let run_times = &times[start..start + run.len()];
            if self.wants_series(run[0]) {
                let at = |time: i64| start + run_times.partition_point(|own| *own < time);
                let behind = |time: i64| start + run_times.partition_point(|own| *own <= time);
                let (first, last) = (at(self.from), behind(self.to));
                // What is deleted, in order, cuts holes into that.
                let deletions = self.without.iter().filter(|deletion| deletion.has_series(run[0]));
                let mut holes: Vec<Range<usize>> = deletions.map(|own| at(own.from)..behind(own.to)).collect();
                holes.retain(|hole| !hole.is_empty());
                holes.sort_unstable_by_key(|hole| hole.start);
                let mut next = first;
                for hole in holes {
                    add(next..hole.start.min(last).max(next));
                    next = next.max(hole.end);
                }
                add(next.min(last)..last);
            }
            start += run.len();
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_the_rows_that_are_wanted(
            mut keys in prop::collection::vec((0u32..4, 0i64..20), 1..60),
            (from, to) in prop_oneof![(0i64..20, 0i64..20), Just((0, 19))],
            deletions in prop::collection::vec((0i64..20, 0i64..20, prop::option::of(prop::collection::vec(0u32..4, 0..3))), 0..4),
        ) {
            keys.sort_unstable();
            keys.dedup();
            let (series, times): (Vec<u32>, Vec<i64>) = keys.iter().copied().unzip();
            let deletion = |(from, to, series): (i64, i64, Option<Vec<u32>>)| {
                Arc::new(Deletion { table: 0, from, to, series: series.map(|set| set.into_iter().collect()) })
            };
            let filter = Filter::new(from, to, None).without(deletions.into_iter().map(deletion).collect());
            let expected: Vec<usize> = (0..keys.len()).filter(|at| filter.wants(series[*at], times[*at])).collect();
            let ranges = filter.ranges(&series, &times);
            if filter.wants_all_times(0, 19) {
                prop_assert_eq!(&filter.ranges_of_series(&series), &ranges);
            }
            prop_assert!(ranges.iter().all(|range| !range.is_empty()));
            prop_assert_eq!(ranges.into_iter().flatten().collect::<Vec<_>>(), expected);
        }
    }
}
