//! Times of rows that rise strictly.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// ns in a ms.
pub const NS_PER_MS: i64 = 1_000_000;

/// Now, in milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// RFC 3339; the year 1 where there is no time, as Go's zero time is written.
pub(crate) fn rfc3339(ms: Option<i64>) -> String {
    let time = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "0001-01-01T00:00:00Z".into(), |time| time.to_string())
}

/// Gives times that rise strictly, whatever the system's clock does.
///
/// ```
/// use alerts::base::clock::Clock;
///
/// let clock = Clock::default();
/// assert_eq!((clock.next(5), clock.next(5), clock.next(3), clock.next(9)), (5, 6, 7, 9));
/// ```
#[derive(Debug, Default)]
pub struct Clock(AtomicI64);

impl Clock {
    /// This time, or just behind the last one, in ns.
    pub fn next(&self, wanted: i64) -> i64 {
        let later = |last: i64| wanted.max(last.saturating_add(1));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last)));
        later(before.unwrap_or(wanted))
    }

    /// A row has this time: all that come are behind it.
    pub fn pass(&self, time: i64) {
        self.0.fetch_max(time, Ordering::Relaxed);
    }
}
