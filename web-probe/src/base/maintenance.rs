//! Planned work that is known ahead: windows of time, once or again and again, in which slots say `maintenance` while
//! probing goes on.
//!
//! Windows that recur are read as [Alertmanager's time
//! intervals](https://prometheus.io/docs/alerting/latest/configuration/#time_interval) are: every condition that is
//! given has to hold, on the clock of a time zone. What a clock skips in spring is in no window, what it shows twice in
//! autumn is in it twice.

use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// A window, and who answers for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// When it is.
    pub when: When,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub author: String,
}

/// When a window is.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// Between two instants, ns since the epoch.
    Once(Range<i64>),
    /// Again and again.
    Recurring(Recurrence),
}

/// Conditions on what a clock shows; an empty list is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    /// Whose clock.
    pub time_zone: TimeZone,
    /// Times of the day.
    pub times: Vec<Times>,
    /// Days of the week.
    pub weekdays: Vec<Weekdays>,
    /// Days of the month.
    pub days_of_month: Vec<DaysOfMonth>,
    /// Months.
    pub months: Vec<Months>,
}

/// From a time of the day to another, which is on the next day if it is not later: `22:00-02:00`. It belongs to the day
/// on which it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    start: Time,
    end: Time,
}

/// `sunday`, `monday:friday`, `saturday:monday`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weekdays(RangeInclusive<i8>);

/// `15`, `1:7`, and from the end of the month `-1`, `-7:-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaysOfMonth(RangeInclusive<i8>);

/// `january`, `november:february`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Months(RangeInclusive<i8>);

impl When {
    /// Once, between two times: RFC 3339, or without an offset on the clock of a time zone.
    ///
    /// # Errors
    ///
    /// What is no time, or is in the wrong order.
    ///
    /// # Examples
    ///
    /// ```
    /// use web_probe::When;
    ///
    /// let berlin = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    /// let when = When::once("2026-12-01T22:00", "2026-12-01T23:00:00Z", &berlin).unwrap();
    /// assert!(matches!(when, When::Once(span) if span.end - span.start == 2 * 3_600_000_000_000));
    /// ```
    pub fn once(from: &str, to: &str, time_zone: &TimeZone) -> Result<When, String> {
        let instant = |key: &str, text: &str| {
            let given = text.parse::<Timestamp>().ok().or_else(|| {
                let on_clock = text.parse::<DateTime>().ok()?;
                Some(time_zone.to_zoned(on_clock).ok()?.timestamp())
            });
            let given = given.and_then(|given| i64::try_from(given.as_nanosecond()).ok());
            given.ok_or_else(|| format!("{key}: '{text}' is not a time like 2026-12-01T22:00 or 2026-12-01T21:00:00Z"))
        };
        let span = instant("from", from)?..instant("to", to)?;
        match span.is_empty() {
            true => Err("to: expected a time after from".into()),
            false => Ok(When::Once(span)),
        }
    }

    /// Is it at this time, ns since the epoch?
    pub fn covers(&self, at_ns: i64) -> bool {
        match self {
            When::Once(span) => span.contains(&at_ns),
            When::Recurring(recurrence) => recurrence.covers(at_ns),
        }
    }
}

impl Recurrence {
    fn covers(&self, at_ns: i64) -> bool {
        let Ok(at) = Timestamp::from_nanosecond(at_ns.into()) else { return false };
        let at = self.time_zone.to_datetime(at);
        let (today, time) = (at.date(), at.time());
        if self.times.is_empty() {
            return self.is_day(today);
        }
        self.times.iter().any(|times| match times.start < times.end {
            true => (times.start..times.end).contains(&time) && self.is_day(today),
            false => {
                let since_yesterday = time < times.end && today.yesterday().is_ok_and(|day| self.is_day(day));
                since_yesterday || (times.start <= time && self.is_day(today))
            }
        })
    }

    fn is_day(&self, day: Date) -> bool {
        /// Is it in one of them, or are there none?
        fn is_in<T>(all: &[T], is_in: impl FnMut(&T) -> bool) -> bool {
            all.is_empty() || all.iter().any(is_in)
        }
        /// Ranges that may go round the end of a week or a year.
        fn holds(range: &RangeInclusive<i8>, number: i8) -> bool {
            match range.start() <= range.end() {
                true => range.contains(&number),
                false => *range.start() <= number || number <= *range.end(),
            }
        }
        let from_start = |number: i8| if number < 0 { day.days_in_month() + 1 + number } else { number };
        is_in(&self.weekdays, |days| holds(&days.0, day.weekday().to_monday_one_offset()))
            && is_in(&self.months, |months| holds(&months.0, day.month()))
            && is_in(&self.days_of_month, |days| {
                (from_start(*days.0.start())..=from_start(*days.0.end())).contains(&day.day())
            })
    }
}

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Times, String> {
        let time = |text: &str| match text {
            // The end of the day is the start of the next one.
            "24:00" => Some(Time::midnight()),
            _ => text.parse::<Time>().ok(),
        };
        let times = text.split_once('-').and_then(|(start, end)| Some(Times { start: time(start)?, end: time(end)? }));
        times.ok_or_else(|| format!("'{text}' is not two times like 02:00-04:00"))
    }
}

/// `a:b`, or `a` alone.
fn range(text: &str, number: impl Fn(&str) -> Option<i8>) -> Option<RangeInclusive<i8>> {
    let (start, end) = text.split_once(':').unwrap_or((text, text));
    Some(number(start)?..=number(end)?)
}

/// The number, from 1 on, of a name; three letters will do.
fn number_of(name: &str, names: &[&str]) -> Option<i8> {
    let name = name.to_lowercase();
    let is_it = |full: &&str| name == **full || (name.len() == 3 && full.starts_with(&name));
    names.iter().position(is_it).map(|at| at as i8 + 1)
}

impl FromStr for Weekdays {
    type Err = String;

    fn from_str(text: &str) -> Result<Weekdays, String> {
        const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let days = range(text, |name| number_of(name, &NAMES));
        days.map(Weekdays).ok_or_else(|| format!("'{text}' is no day of the week like sunday or monday:friday"))
    }
}

impl FromStr for DaysOfMonth {
    type Err = String;

    fn from_str(text: &str) -> Result<DaysOfMonth, String> {
        let day = |text: &str| text.parse().ok().filter(|day: &i8| (1..=31).contains(&day.abs()));
        // One from the start and one from the end of the month mean a span of another length in each month, which may
        // be what is wanted.
        let days =
            range(text, day).filter(|days| days.start().signum() != days.end().signum() || days.start() <= days.end());
        days.map(DaysOfMonth).ok_or_else(|| format!("'{text}' is no day of the month like 15, 1:7 or -1"))
    }
}

impl FromStr for Months {
    type Err = String;

    fn from_str(text: &str) -> Result<Months, String> {
        const NAMES: [&str; 12] = [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ];
        let months = range(text, |name| number_of(name, &NAMES));
        months.map(Months).ok_or_else(|| format!("'{text}' is no month like january or november:february"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list<T: FromStr<Err = String>>(texts: &[&str]) -> Vec<T> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn covers(recurrence: &Recurrence, at: &str) -> bool {
        recurrence.covers(at.parse::<Timestamp>().unwrap().as_nanosecond() as i64)
    }

    fn always(time_zone: &str) -> Recurrence {
        let time_zone = TimeZone::get(time_zone).unwrap();
        Recurrence { time_zone, times: vec![], weekdays: vec![], days_of_month: vec![], months: vec![] }
    }

    #[test]
    fn every_condition_has_to_hold_on_the_clock_of_the_zone() {
        // The first Sunday of a month, 02:00 to 04:00 in Berlin.
        let (times, weekdays, days_of_month) = (list(&["02:00-04:00"]), list(&["sunday"]), list(&["1:7"]));
        let window = Recurrence { times, weekdays, days_of_month, ..always("Europe/Berlin") };
        for (at, is_in) in [
            ("2026-11-01T00:59:59Z", false),
            ("2026-11-01T01:00:00Z", true),
            ("2026-11-01T02:59:59.999Z", true),
            ("2026-11-01T03:00:00Z", false),
            ("2026-07-05T00:00:00Z", true), // two hours ahead in summer
            ("2026-11-08T01:30:00Z", false),
            ("2026-11-02T01:30:00Z", false),
        ] {
            assert_eq!(covers(&window, at), is_in, "{at}");
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_starts() {
        let window = Recurrence { times: list(&["22:00-02:00"]), weekdays: list(&["sat"]), ..always("UTC") };
        for (at, is_in) in [
            ("2026-11-28T01:00:00Z", false),
            ("2026-11-28T21:59:59Z", false),
            ("2026-11-28T22:00:00Z", true),
            ("2026-11-29T01:59:59Z", true),
            ("2026-11-29T02:00:00Z", false),
            ("2026-11-29T22:00:00Z", false),
        ] {
            assert_eq!(covers(&window, at), is_in, "{at}");
        }
        let evening = Recurrence { times: list(&["22:00-24:00"]), ..always("UTC") };
        assert!(covers(&evening, "2026-11-29T23:59:59.999Z") && !covers(&evening, "2026-11-30T00:00:00Z"));
    }

    #[test]
    fn what_a_clock_skips_is_in_no_window_and_what_it_repeats_is_in_it_twice() {
        let window = Recurrence { times: list(&["02:00-03:00"]), ..always("Europe/Berlin") };
        let minutes = |day: &str| {
            let start = day.parse::<Timestamp>().unwrap().as_second();
            (0..24 * 60).filter(|minute| window.covers((start + minute * 60) * 1_000_000_000)).count()
        };
        assert_eq!([minutes("2026-03-29T00:00:00Z"), minutes("2026-10-25T00:00:00Z")], [0, 120]);
        assert_eq!(minutes("2026-11-25T00:00:00Z"), 60);
    }

    #[test]
    fn days_count_from_both_ends_of_a_month_and_months_go_round_the_year() {
        let last = Recurrence { days_of_month: list(&["-1"]), ..always("UTC") };
        let days = ["2028-02-28", "2028-02-29", "2026-02-28", "2026-04-30", "2026-04-29"];
        let is_last = days.map(|day| covers(&last, &format!("{day}T12:00:00Z")));
        assert_eq!(is_last, [false, true, true, true, false]);
        let winter = Recurrence { months: list(&["november:february"]), ..always("UTC") };
        let is_winter = [1, 2, 3, 10, 11, 12].map(|month| covers(&winter, &format!("2026-{month:02}-10T00:00:00Z")));
        assert_eq!(is_winter, [true, true, false, false, true, true]);
    }

    #[test]
    fn mistakes_are_told() {
        assert!("02:00".parse::<Times>().unwrap_err().contains("02:00-04:00"));
        assert!("sonntag".parse::<Weekdays>().unwrap_err().contains("'sonntag'"));
        for wrong in ["0", "32", "7:1", "-1:-7", "1:x"] {
            assert!(wrong.parse::<DaysOfMonth>().unwrap_err().contains(wrong), "{wrong}");
        }
        assert!("13".parse::<Months>().is_err());
        let utc = TimeZone::UTC;
        assert!(When::once("2026-12-01", "soon", &utc).unwrap_err().starts_with("to: 'soon'"));
        assert!(When::once("2026-12-01", "2026-12-01", &utc).unwrap_err().contains("after from"));
    }
}
