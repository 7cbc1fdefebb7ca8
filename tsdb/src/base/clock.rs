//! The wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time, in ns since the epoch. Before the epoch it is 0.
///
/// ```
/// let (before, after) = (tsdb::now_ns(), tsdb::now_ns());
/// assert!(0 < before && before <= after);
/// ```
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
