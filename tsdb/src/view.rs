//! The view: what the store's data is at one instant. Replaced as a whole, read without a lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::day::Day;
use crate::head::Head;
use crate::rolled::RolledDay;
use crate::segment::Segment;

/// Rolled days, segments and heads, oldest first; together they hold every row once or more.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// By table and day. Of such a day, segments up to its `through` do not count.
    pub rolled: BTreeMap<(u32, Day), Arc<RolledDay>>,
    pub segments: Vec<Arc<Segment>>,
    /// Heads that wait to be sealed, then the one that the writer adds to.
    pub heads: Vec<Arc<Head>>,
    /// Tables' first times that retention has left.
    pub floors: BTreeMap<u32, i64>,
}

impl View {
    /// Does what a segment has of a table's day count, or is it in a rolled day?
    pub(crate) fn counts(&self, segment: &Segment, table: u32, day: Day) -> bool {
        self.rolled.get(&(table, day)).is_none_or(|rolled| segment.id().number > rolled.id().through)
    }

    /// The first time of a table that retention has left.
    pub(crate) fn floor(&self, table: u32) -> i64 {
        self.floors.get(&table).copied().unwrap_or(i64::MIN)
    }
}
