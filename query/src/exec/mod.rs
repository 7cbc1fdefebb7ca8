//! How rows are read while a plan runs: scans, what they leave out, partitions side by side, memory. Which table that
//! is, and what was asked, is not known here.

pub(crate) mod dynamic_filter;
pub(crate) mod lagging;
pub(crate) mod once_exec;
pub(crate) mod parallel;
pub(crate) mod pushdown;
pub(crate) mod reading;
pub(crate) mod scan_exec;
pub(crate) mod shared_pool;
pub(crate) mod zeros;
