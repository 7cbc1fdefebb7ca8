//! A day, UTC: what segments are divided into and what rolls to Parquet.

use std::fmt;

use chrono::{DateTime, NaiveDate};
use serde::{Deserialize, Serialize};

const NS: i64 = 86_400_000_000_000;
const FORMAT: &str = "%Y-%m-%d";

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
        let days = NaiveDate::parse_from_str(date, FORMAT).ok()?.to_epoch_days();
        Some(Day(days))
    }
}

impl fmt::Display for Day {
    /// `2026-01-31`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = DateTime::from_timestamp(i64::from(self.0) * 86_400, 0).expect("a day of an i64 of ns");
        write!(f, "{}", date.format(FORMAT))
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
    }
}
