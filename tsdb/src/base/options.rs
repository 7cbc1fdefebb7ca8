//! How a store is opened.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::limits::Limits;
use crate::base::retention::Retention;

/// The most rows that a page has: a day of a series that has one every ten seconds.
pub const PAGE_ROWS_MAX: usize = 8640;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After the log is synced: acknowledged rows survive a power cut.
    #[default]
    Sync,
    /// Once the operating system has the rows, which survive a killed process; the log is synced every second.
    Process,
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// When a write is acknowledged.
    pub durability: Durability,
    /// The head is sealed when its frames reach this many bytes.
    pub head_bytes_max: usize,
    /// A page has at most this many rows, itself at most [`PAGE_ROWS_MAX`]. Smaller pages find the rows of one series
    /// faster and compress less.
    pub page_rows: usize,
    /// How many write requests may wait for the writer before [`Error::Busy`](crate::Error::Busy).
    pub ring_slots: usize,
    /// How many bytes their rows may have together before [`Error::Busy`](crate::Error::Busy).
    pub ring_bytes_max: usize,
    /// The newest rows of series are kept in memory up to this many bytes; a table with more is read each time.
    pub last_rows_bytes_max: usize,
    /// Tables, columns, tag values and series take about this many bytes of memory at the most; rows of new series are
    /// refused then. A store that has more already opens all the same.
    pub catalog_bytes_max: usize,
    /// How much rows, tables and batches may have.
    pub limits: Limits,
    /// Footers of rolled days are kept in memory up to this many bytes; others are parsed when they are needed.
    pub footers_bytes_max: usize,
    /// A merge of segments takes about this much memory at the most, where two segments allow.
    pub compact_bytes_max: usize,
    /// A day that ended longer ago than this is rolled to Parquet; `None` for never.
    pub roll_after: Option<Duration>,
    /// What is kept of every table.
    pub retention: Retention,
    /// What is kept of tables by themselves, by schema and name.
    pub table_retention: BTreeMap<(String, String), Retention>,
}

impl Default for Options {
    /// Synced acknowledgements, a head of 64 MiB, the largest pages, 1024 waiting requests of 256 MiB; nothing rolls,
    /// nothing leaves.
    fn default() -> Options {
        Options {
            durability: Durability::Sync,
            head_bytes_max: 64 * 1024 * 1024,
            page_rows: PAGE_ROWS_MAX,
            ring_slots: 1024,
            ring_bytes_max: 256 * 1024 * 1024,
            last_rows_bytes_max: 64 * 1024 * 1024,
            catalog_bytes_max: 1024 * 1024 * 1024,
            limits: Limits::default(),
            footers_bytes_max: 64 * 1024 * 1024,
            compact_bytes_max: 64 * 1024 * 1024,
            roll_after: None,
            retention: Retention::default(),
            table_retention: BTreeMap::new(),
        }
    }
}
