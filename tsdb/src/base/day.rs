//! A day, UTC: what segments are divided into and what rolls to Parquet.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

const NS: i64 = 86_400_000_000_000;

/// Days since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Day(pub i32);

impl Day {
    /// The day of a time in ns since the epoch.
    pub(crate) fn of(time: i64) -> Day {
        Day(time.div_euclid(NS) as i32)
    }

    /// The day's first instant.
    pub(crate) fn first(self) -> i64 {
        i64::from(self.0).saturating_mul(NS)
    }

    /// The day's last instant.
    pub(crate) fn last(self) -> i64 {
        // Behind the last day of all an i64 ends, not a day.
        i64::from(self.0 + 1).checked_mul(NS).map_or(i64::MAX, |next| next - 1)
    }
}

impl Day {
    /// The day of a date as it is displayed.
    pub(crate) fn parse(date: &str) -> Option<Day> {
        let midnight = date.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let day = Day(i32::try_from(midnight.as_second().div_euclid(86_400)).ok()?);
        // A date has one spelling here.
        (day.to_string() == date).then_some(day)
    }
}

impl fmt::Display for Day {
    /// `2026-01-31`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let midnight = Timestamp::from_second(i64::from(self.0) * 86_400).expect("a day of an i64 of ns");
        write!(f, "{}", midnight.to_zoned(TimeZone::UTC).date())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_cover_all_times_without_gaps() {
        for time in [i64::MIN, -NS - 1, -NS, -1, 0, NS - 1, NS, 1_767_225_600_000_000_000, i64::MAX] {
            let day = Day::of(time);
            assert!((day.first()..=day.last()).contains(&time), "{time}");
            assert_eq!(Day::parse(&day.to_string()), Some(day));
            if day.last() < i64::MAX {
                assert_eq!(Day::of(day.last() + 1), Day(day.0 + 1));
            }
        }
        assert_eq!(Day::of(1_767_225_600_000_000_000).to_string(), "2026-01-01");
        for other in ["20260101", "2026-1-1", "2026-01-01T00:00:00", "2026-02-30", ""] {
            assert_eq!(Day::parse(other), None, "{other}");
        }
    }
}
