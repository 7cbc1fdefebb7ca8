//! When groups are evaluated.

use xxhash_rust::xxh64::xxh64;

/// The times of a group: they depend on nothing but its name and interval, so that a restart continues them, and groups
/// of one interval are not all evaluated at once.
///
/// ```
/// use alerts::live::Grid;
///
/// let grid = Grid::new("rules.yml;disks", 60_000);
/// let first = grid.after(1_777_593_600_000);
/// assert_eq!(grid.after(first), first + 60_000);
/// assert_eq!(grid.after(first - 1), first);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    offset_ms: i64,
    interval_ms: i64,
}

impl Grid {
    /// The grid of a group, by its key.
    #[must_use]
    pub fn new(group: &str, interval_ms: i64) -> Grid {
        let interval_ms = interval_ms.max(1);
        let hash = xxh64(group.as_bytes(), 0);
        Grid { offset_ms: (hash % interval_ms as u64) as i64, interval_ms }
    }

    /// The first of its times that is behind another one, in milliseconds since the epoch.
    #[must_use]
    pub fn after(&self, ms: i64) -> i64 {
        ms - (ms - self.offset_ms).rem_euclid(self.interval_ms) + self.interval_ms
    }
}
