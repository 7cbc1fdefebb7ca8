//! The rows of heads as ordered sources, one a day: what queries read of them, and what a seal writes.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow_array::ArrayRef;

use crate::base::day::Day;
use crate::base::error::Result;
use crate::catalog::filter::Filter;
use crate::rows::frame::Frame;
use crate::rows::keyed::{Key, Pick, Rows, gather, sort_picks};

/// Rows of some frames of one table, sorted by day and key; of equal keys the youngest comes last.
#[derive(Debug, Default)]
pub(crate) struct HeadRows {
    frames: Vec<Frame>,
    days: BTreeMap<Day, Vec<Pick>>,
}

impl HeadRows {
    /// The rows of frames, oldest first, that each frame's filter wants.
    pub(crate) fn new(frames: Vec<(Frame, Filter)>) -> HeadRows {
        let mut days: BTreeMap<Day, Vec<Pick>> = BTreeMap::new();
        for (source, (frame, filter)) in frames.iter().enumerate() {
            let rows = frame.series().iter().zip(frame.times()).enumerate();
            let rows = rows.filter(|(_, (series, time))| filter.wants(**series, **time));
            let picks = rows.map(|(row, (series, time))| {
                let key: Key = (*series, *time);
                Pick { key, source: source as u32, row: row as u32 }
            });
            if Day::of(frame.min_time) == Day::of(frame.max_time) {
                days.entry(Day::of(frame.min_time)).or_default().extend(picks);
            } else {
                picks.for_each(|pick| days.entry(Day::of(pick.key.1)).or_default().push(pick));
            }
        }
        days.retain(|_, picks| !picks.is_empty());
        days.values_mut().for_each(sort_picks);
        HeadRows { frames: frames.into_iter().map(|(frame, _)| frame).collect(), days }
    }

    /// The days of which there are rows.
    pub(crate) fn days(&self) -> impl Iterator<Item = Day> + '_ {
        self.days.keys().copied()
    }

    fn picks(&self, day: Day) -> &[Pick] {
        self.days.get(&day).map_or(&[], Vec::as_slice)
    }

    /// The places of the rows of a day that are of some series.
    fn places(&self, day: Day, series: &RangeInclusive<u32>) -> Range<usize> {
        let picks = self.picks(day);
        let first = picks.partition_point(|pick| pick.key.0 < *series.start());
        let last = picks.partition_point(|pick| pick.key.0 <= *series.end());
        first..last.max(first)
    }

    /// How many rows there are of a day and of some series, those that others will replace included.
    pub(crate) fn len(&self, day: Day, series: &RangeInclusive<u32>) -> usize {
        self.places(day, series).len()
    }

    /// The rows of a day in key order, each key once, the later frame's values winning; of the series in `reach`,
    /// at most about `rows_max` at a time.
    pub(crate) fn read(
        self: &Arc<HeadRows>,
        day: Day,
        reach: &RangeInclusive<u32>,
        fields: Vec<u32>,
        rows_max: usize,
    ) -> impl Iterator<Item = Result<Rows>> + Send + use<> {
        let (picks, rest) = (self.picks(day), self.places(day, reach));
        // Only the frames that these rows are in.
        let mut is_used = vec![false; self.frames.len()];
        picks[rest.clone()].iter().for_each(|pick| is_used[pick.source as usize] = true);
        let frames = || self.frames.iter().zip(&is_used);
        let column = |field: &u32| frames().map(|(frame, is_used)| is_used.then(|| frame.column(*field))?).collect();
        let columns = fields.iter().map(column).collect();
        DayRows { rows: self.clone(), day, columns, rest, rows_max }
    }
}

/// The rows of one day under way.
struct DayRows {
    rows: Arc<HeadRows>,
    day: Day,
    /// By field, then by frame.
    columns: Vec<Vec<Option<ArrayRef>>>,
    rest: Range<usize>,
    rows_max: usize,
}

impl Iterator for DayRows {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Result<Rows>> {
        let rest = &self.rows.picks(self.day)[self.rest.clone()];
        if rest.is_empty() {
            return None;
        }
        // All picks of the last key go with it.
        let mut end = rest.len().min(self.rows_max);
        while end < rest.len() && rest[end].key == rest[end - 1].key {
            end += 1;
        }
        self.rest.start += end;
        Some(Ok(gather(&rest[..end], &self.columns).expect("columns of one field have one type, and its offsets fit")))
    }
}
