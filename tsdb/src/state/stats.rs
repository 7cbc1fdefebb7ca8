//! What a store has done since it was opened, and what it holds.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::base::histogram::{Histogram, Quantiles};

/// Counted by the threads of the store, read by everybody.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    rows: AtomicU64,
    bytes: AtomicU64,
    commits: AtomicU64,
    seals: AtomicU64,
    compactions: AtomicU64,
    rolls: AtomicU64,
    rollup_days: AtomicU64,
    read_only: AtomicBool,
    /// The thread that ended although the store is open.
    ended: OnceLock<&'static str>,
    /// Requests of a group commit.
    pub group_requests: Histogram,
    /// How long a sync of the log took, in ns.
    pub sync_ns: Histogram,
}

impl Counters {
    /// A group of rows was made durable.
    pub(crate) fn committed(&self, rows: usize, bytes: usize, requests: usize) {
        self.group_requests.record(requests as u64);
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// A head became a segment.
    pub(crate) fn sealed(&self) {
        self.seals.fetch_add(1, Ordering::Relaxed);
    }

    /// Segments were merged.
    pub(crate) fn compacted(&self) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
    }

    /// A day of a rollup was made.
    pub(crate) fn rollup_day(&self) {
        self.rollup_days.fetch_add(1, Ordering::Relaxed);
    }

    /// A day was rolled.
    pub(crate) fn rolled(&self) {
        self.rolls.fetch_add(1, Ordering::Relaxed);
    }

    /// A write or sync failed: there will be no more of them.
    pub(crate) fn thread_ended(&self, name: &'static str) {
        let _ = self.ended.set(name); // one is enough
    }

    /// The thread that ended although the store is open, if one did.
    pub(crate) fn ended(&self) -> Option<&'static str> {
        self.ended.get().copied()
    }

    pub(crate) fn set_read_only(&self) {
        self.read_only.store(true, Ordering::Relaxed);
    }

    /// What was counted, into `stats`.
    pub(crate) fn fill(&self, stats: &mut Stats) {
        stats.rows_written = self.rows.load(Ordering::Relaxed);
        stats.log_bytes_written = self.bytes.load(Ordering::Relaxed);
        stats.commits = self.commits.load(Ordering::Relaxed);
        stats.seals = self.seals.load(Ordering::Relaxed);
        stats.compactions = self.compactions.load(Ordering::Relaxed);
        stats.rolls = self.rolls.load(Ordering::Relaxed);
        stats.rollup_days_made = self.rollup_days.load(Ordering::Relaxed);
        stats.read_only = self.read_only.load(Ordering::Relaxed);
    }
}

/// What a store has done since it was opened, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows acknowledged.
    pub rows_written: u64,
    /// Bytes of their frames in the log.
    pub log_bytes_written: u64,
    /// Group commits: writes to the log, each for all requests that waited.
    pub commits: u64,
    /// Heads that became segments.
    pub seals: u64,
    /// Merges of segments.
    pub compactions: u64,
    /// Days that were rolled to Parquet.
    pub rolls: u64,
    /// Days of rollups that were made.
    pub rollup_days_made: u64,
    /// Bytes of frames in memory that are not sealed.
    pub head_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of their files.
    pub segment_bytes: u64,
    /// Days of tables that are in Parquet files.
    pub rolled_days: u64,
    /// Bytes of those files.
    pub rolled_bytes: u64,
    /// Days of rollups.
    pub rollup_days: u64,
    /// Bytes of their files.
    pub rollup_bytes: u64,
    /// Bytes of the newest rows of series that are kept in memory.
    pub last_rows_bytes: u64,
    /// About how many bytes of memory tables, columns, tag values and series take.
    pub catalog_bytes: u64,
    /// Bytes of footers of rolled days that are kept in memory.
    pub footers_bytes: u64,
    /// Damaged places that were found on disk since the store was opened.
    pub damaged: u64,
    /// Places at the end of a log that were found since, and may have been acknowledged.
    pub in_doubt: u64,
    /// Tables.
    pub tables: u64,
    /// Series of all tables.
    pub series: u64,
    /// A write or sync failed, and no more is written until the store is opened again.
    pub read_only: bool,
}

/// How the writer has worked since the store was opened.
#[derive(Debug, Clone)]
pub struct WriterStats {
    /// Requests that wait for the writer now.
    pub ring_depth: usize,
    /// Bytes of their rows.
    pub ring_bytes: usize,
    /// How many may wait.
    pub ring_slots: usize,
    /// Requests of each group commit.
    pub group_requests: Quantiles,
    /// How long each sync of the log took, in ns.
    pub sync_ns: Quantiles,
}
