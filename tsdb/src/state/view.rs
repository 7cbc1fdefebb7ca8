//! The view: what the store's data is at one instant. Replaced as a whole, read without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::day::Day;
use crate::base::ids::SegmentId;
use crate::catalog::deletion::Deletion;
use crate::catalog::rollup::Rollup;
use crate::log::head::{Head, frames_of};
use crate::rolled::file::RolledDay;
use crate::rollup::day::RollupDay;
use crate::segment::file::Segment;

/// Something of days of tables, by the table's number and the day.
pub(crate) type ByDay<T> = BTreeMap<(u32, Day), T>;

/// Rolled days, segments and heads, oldest first; together they hold every row once or more.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// By table and day. Of such a day, segments up to its `through` do not count.
    pub rolled: ByDay<Arc<RolledDay>>,
    /// Rolled days whose files cannot be read, with their `through`: what segments have of them still does not count.
    pub lost: ByDay<u64>,
    pub segments: Vec<Arc<Segment>>,
    /// Segments whose files cannot be read, in the order of age.
    pub lost_segments: Vec<SegmentId>,
    /// Heads that wait to be sealed, then the one that the writer adds to.
    pub heads: Vec<Arc<Head>>,
    /// Tables' first times that retention has left.
    pub floors: BTreeMap<u32, i64>,
    /// The rollups that are declared, by number.
    pub rollups: BTreeMap<u32, Arc<Rollup>>,
    /// Their days.
    pub rollup_days: ByDay<Vec<RollupDay>>,
}

impl View {
    /// Does what a segment has of a table's day count, or is it in a rolled day?
    pub(crate) fn counts(&self, segment: &Segment, table: u32, day: Day) -> bool {
        let key = (table, day);
        let through = self.rolled.get(&key).map(|rolled| rolled.id().through).or_else(|| self.lost.get(&key).copied());
        through.is_none_or(|through| segment.id().number > through)
    }

    /// Does a rolled day, read or not, wait for a deletion with this number, whose rows it still has?
    pub(crate) fn waits_for(&self, number: u64, deletion: &Deletion) -> bool {
        let days = (deletion.table, Day(i32::MIN))..=(deletion.table, Day(i32::MAX));
        let rolled = self.rolled.range(days.clone()).map(|(key, rolled)| (key.1, rolled.id().through));
        let mut all = rolled.chain(self.lost.range(days).map(|(key, through)| (key.1, *through)));
        all.any(|(day, through)| through < number && deletion.meets_times(day.first(), day.last()))
    }

    /// For each day of which a table has rows, the youngest log file that has rows or deletions of it: of those in a
    /// head, one that will never be.
    pub(crate) fn youngest(&self, table: u32) -> BTreeMap<Day, u64> {
        let mut days = self.youngest_sealed(table);
        let entries: Vec<_> = self.heads.iter().flat_map(|head| head.entries()).collect();
        let (frames, deletions) = frames_of(entries.into_iter(), table);
        for deletion in &deletions {
            days.range_mut(deletion.days()).for_each(|(_, youngest)| *youngest = u64::MAX);
        }
        let mut in_head = |day: Day| days.get_mut(&day).into_iter().for_each(|youngest| *youngest = u64::MAX);
        for (frame, _) in &frames {
            match Day::of(frame.min_time) == Day::of(frame.max_time) {
                true => in_head(Day::of(frame.min_time)),
                false => frame.times().iter().for_each(|time| in_head(Day::of(*time))),
            }
        }
        days
    }

    /// The same without heads.
    pub(crate) fn youngest_sealed(&self, table: u32) -> BTreeMap<Day, u64> {
        let mut days: BTreeMap<Day, u64> = BTreeMap::new();
        let all = (table, Day(i32::MIN))..=(table, Day(i32::MAX));
        days.extend(self.rolled.range(all.clone()).map(|((_, day), rolled)| (*day, rolled.id().through)));
        for segment in &self.segments {
            for day in segment.days_of(table).filter(|day| self.counts(segment, table, *day)) {
                let youngest = days.entry(day).or_default();
                *youngest = segment.id().number.max(*youngest);
            }
        }
        let deletions = self.segments.iter().flat_map(|segment| &segment.index().deletions);
        for (number, deletion) in deletions.filter(|(_, deletion)| deletion.table == table) {
            days.range_mut(deletion.days()).for_each(|(_, youngest)| *youngest = (*number).max(*youngest));
        }
        // What a lost day has is not known.
        days.extend(self.lost.range(all).map(|((_, day), _)| (*day, u64::MAX)));
        days
    }

    /// The first time of a table that retention has left.
    pub(crate) fn floor(&self, table: u32) -> i64 {
        self.floors.get(&table).copied().unwrap_or(i64::MIN)
    }
}
