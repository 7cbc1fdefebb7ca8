//! What files are called by.

use serde::{Deserialize, Serialize};

use crate::base::day::Day;

/// Which segment: the number of the youngest log file that it holds, and how often that was compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SegmentId {
    pub number: u64,
    pub generation: u32,
}

/// A day of a table in a Parquet file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct RolledId {
    pub table: u32,
    pub day: Day,
    /// The youngest segment whose rows of that day are in it: rows of the day in it and older ones do not count.
    pub through: u64,
    /// Where the row groups end in the file; behind them are Parquet's own indexes and its footer.
    pub tail_at: u64,
    /// XXH3-64 of what is there.
    pub tail_checksum: u64,
}

/// A day of a rollup as the manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct RollupId {
    /// The number of the rollup.
    pub rollup: u32,
    pub table: u32,
    pub day: Day,
    /// The youngest log file at the time when it was made: part of the file's name.
    pub made: u64,
    /// The youngest log file of which it is known that it knows all about the day.
    pub through: u64,
}
