//! The view: what the store's data is at one instant. Replaced as a whole, read without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::day::Day;
use crate::deletion::Deletion;
use crate::head::Head;
use crate::manifest::SegmentId;
use crate::rolled::RolledDay;
use crate::segment::Segment;

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

    /// The first time of a table that retention has left.
    pub(crate) fn floor(&self, table: u32) -> i64 {
        self.floors.get(&table).copied().unwrap_or(i64::MIN)
    }
}
