//! Buckets of time: of a fixed length or of months, in UTC or on the clocks of a time zone.
//!
//! Days, weeks, months and what divides a day are cut where the zone's clocks say, so that a day of daylight saving has
//! 23 or 25 hours. An hour that clocks show twice is two buckets.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, Timestamp};
use tsdb::Calendar;

const DAY_NS: i64 = 86_400_000_000_000;
/// Where buckets start unless told otherwise: a Monday, so that weeks are ISO's; months count from the first of that
/// month. As in TimescaleDB.
const ORIGIN_NS: i64 = 946_857_600_000_000_000;
const MONTHS_ORIGIN_NS: i64 = 946_684_800_000_000_000;

/// How long a bucket is: months, or nanoseconds. Days are 24 hours of the zone's clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Width {
    pub months: i32,
    pub ns: i64,
}

/// Cuts time into buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buckets {
    width: Width,
    /// Where one of them starts, as what the zone's clocks show, in ns.
    origin: i64,
    /// None: UTC.
    zone: Option<TimeZone>,
}

impl Hash for Buckets {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Zones have no hash; those of one name are the same.
        let zone = self.zone.as_ref().map(TimeZone::iana_name);
        (self.width, self.origin, zone).hash(state);
    }
}

impl Width {
    /// One of months, days and nanoseconds.
    pub(crate) fn new(months: i32, days: i32, ns: i64) -> Result<Width, String> {
        let ns = i64::from(days).checked_mul(DAY_NS).and_then(|days| days.checked_add(ns));
        match (months, ns) {
            (1.., Some(0)) | (0, Some(1..)) => Ok(Width { months, ns: ns.unwrap_or(0) }),
            (0, None) => Err("expected a span of less than 292 years".into()),
            _ => {
                Err("expected a span that is longer than zero, of months or of days and shorter units, not of both"
                    .into())
            }
        }
    }

    /// `5m`, `60.000s`, `1h30m`, `1d`, `1w`, `1mo`, `1y`, `1 hour`, `PT5M`.
    pub(crate) fn parse(text: &str) -> Result<Width, String> {
        let wrong = |_| format!("expected a span of time like '5m', '60s', '1d' or '1mo', found '{text}'");
        let span: Span = text.trim().parse().map_err(wrong)?;
        let months = i32::from(span.get_years()) * 12 + span.get_months();
        let days = span.get_weeks() * 7 + span.get_days();
        let units = [
            (i64::from(span.get_hours()), 3_600_000_000_000),
            (span.get_minutes(), 60_000_000_000),
            (span.get_seconds(), 1_000_000_000),
            (span.get_milliseconds(), 1_000_000),
            (span.get_microseconds(), 1000),
            (span.get_nanoseconds(), 1),
        ];
        let ns = units.into_iter().try_fold(0i64, |sum, (count, unit)| sum.checked_add(count.checked_mul(unit)?));
        Width::new(months, days, ns.ok_or("expected a span of less than 292 years")?)
            .map_err(|error| format!("'{text}': {error}"))
    }
}

/// A time zone by its name (`Europe/Berlin`) or its distance from UTC (`+08:00`).
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_time_zone(name).map_err(|_| {
        format!("the time zone '{name}' is not known; expected a name like 'Europe/Berlin' or an offset like '+08:00'")
    })
}

fn timestamp(ns: i128) -> Timestamp {
    Timestamp::from_nanosecond(ns).expect("64 bits of ns and a day are within jiff's 10,000 years")
}

fn ns_of(offset: Offset) -> i128 {
    i128::from(offset.seconds()) * 1_000_000_000
}

fn clamp(ns: i128) -> i64 {
    ns.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

impl Buckets {
    /// Buckets that start at `origin`, which is what the zone's clocks show.
    pub(crate) fn new(width: Width, origin: Option<i64>, zone: Option<TimeZone>) -> Buckets {
        let default = if width.months > 0 { MONTHS_ORIGIN_NS } else { ORIGIN_NS };
        Buckets { width, origin: origin.unwrap_or(default), zone: zone.filter(|zone| *zone != TimeZone::UTC) }
    }

    /// Width and origin in ns, if all buckets are of one length wherever they are.
    pub(crate) fn fixed(&self) -> Option<(i64, i64)> {
        (self.width.months == 0 && self.zone.is_none()).then_some((self.width.ns, self.origin))
    }

    /// The same for the store.
    pub(crate) fn spans(self) -> Calendar {
        let Width { months, ns } = self.width;
        let zone = self.zone.as_ref().map_or_else(|| "UTC".into(), |zone| format!("{zone:?}"));
        let length =
            if months > 0 { format!("{months}mo") } else { format!("{:?}", Duration::from_nanos(ns.unsigned_abs())) };
        let name = format!("{length} from {} in {zone}", civil(self.origin.into()));
        let span = move |time| self.start(time)..self.steady_end(time);
        Calendar { name, span: Arc::new(span) }
    }

    /// The start of the bucket that a time is in, both in ns since the epoch: the first instant at which the clocks
    /// show the bucket's start, or, where they pass over it, the one at which they do. Of buckets that are shorter than
    /// a day, those whose start is shown twice are two.
    pub(crate) fn start(&self, time: i64) -> i64 {
        let Some(zone) = &self.zone else { return clamp(self.floor(time.into())) };
        let offset = zone.to_offset(timestamp(time.into()));
        clamp(self.instant(zone, self.floor(i128::from(time) + ns_of(offset)), offset))
    }

    /// The first start of a bucket after a time.
    pub(crate) fn next(&self, time: i64) -> i64 {
        let mut end = time;
        loop {
            end = self.steady_end(end);
            let start = self.start(end);
            if start > time {
                return start;
            }
            if end == i64::MAX {
                return end;
            }
        }
    }

    /// Until when, from `time` on, the bucket is the same and the clocks do not change.
    fn steady_end(&self, time: i64) -> i64 {
        let now = timestamp(time.into());
        let offset = self.zone.as_ref().map_or(0, |zone| ns_of(zone.to_offset(now)));
        let label = self.floor(i128::from(time) + offset);
        let turn = self.zone.as_ref().and_then(|zone| zone.following(now).next());
        let turn = turn.map_or(i64::MAX, |turn| clamp(turn.timestamp().as_nanosecond()));
        clamp(self.step(label) - offset).min(turn)
    }

    /// When the clocks show the start of a bucket that a time with this offset is in.
    fn instant(&self, zone: &TimeZone, label: i128, own: Offset) -> i128 {
        let is_short = self.width.months == 0 && self.width.ns < DAY_NS;
        let offset = match zone.to_ambiguous_timestamp(civil(label)).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            // The clocks pass over it: the instant at which they do is the first that they show later.
            AmbiguousOffset::Gap { before, after } => {
                let behind = timestamp(label - ns_of(after));
                let turn = zone.following(behind).next().map(|turn| turn.timestamp().as_nanosecond());
                return turn.unwrap_or(label - ns_of(before));
            }
            AmbiguousOffset::Fold { after, .. } if is_short && after == own => after,
            AmbiguousOffset::Fold { before, .. } => before,
        };
        label - ns_of(offset)
    }

    /// The bucket's start on the clock that shows `local`.
    fn floor(&self, local: i128) -> i128 {
        if self.width.months == 0 {
            return local - (local - i128::from(self.origin)).rem_euclid(self.width.ns.into());
        }
        let (date, origin) = (civil(local), civil(self.origin.into()));
        let months = |date: DateTime| i32::from(date.year()) * 12 + i32::from(date.month());
        let count = (months(date) - months(origin)).div_euclid(self.width.months);
        let start = self.months_after_origin(count);
        // The origin's day may come later in the month.
        if start > local { self.months_after_origin(count - 1) } else { start }
    }

    /// The start after the one that the clock shows at `local`.
    fn step(&self, local: i128) -> i128 {
        if self.width.months == 0 {
            return local + i128::from(self.width.ns);
        }
        let (date, origin) = (civil(local), civil(self.origin.into()));
        let months = |date: DateTime| i32::from(date.year()) * 12 + i32::from(date.month());
        self.months_after_origin((months(date) - months(origin)).div_euclid(self.width.months) + 1)
    }

    fn months_after_origin(&self, count: i32) -> i128 {
        let months = count.saturating_mul(self.width.months);
        let date = Span::new().try_months(months).and_then(|span| civil(self.origin.into()).checked_add(span));
        let edge = if months < 0 { DateTime::MIN } else { DateTime::MAX };
        TimeZone::UTC
            .to_timestamp(date.unwrap_or(edge))
            .map_or(if months < 0 { i64::MIN } else { i64::MAX }.into(), Timestamp::as_nanosecond)
    }
}

fn civil(local: i128) -> DateTime {
    TimeZone::UTC.to_datetime(timestamp(local))
}

/// Finds the buckets of many times, fast where neighbours share one.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    buckets: &'a Buckets,
    start: i64,
    /// From here up to there all is in that bucket.
    from: i64,
    end: i64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(buckets: &'a Buckets) -> Cursor<'a> {
        Cursor { buckets, start: 0, from: 0, end: 0 }
    }

    /// As [`Buckets::start`].
    pub(crate) fn start(&mut self, time: i64) -> i64 {
        if time < self.from || time >= self.end {
            (self.start, self.from, self.end) = (self.buckets.start(time), time, self.buckets.steady_end(time));
        }
        self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_nanosecond() as i64
    }

    fn buckets(width: &str, zone_name: &str) -> Buckets {
        Buckets::new(Width::parse(width).unwrap(), None, Some(zone(zone_name).unwrap()))
    }

    /// The starts of buckets from a time on.
    fn starts(buckets: &Buckets, from: &str, count: usize) -> Vec<String> {
        let first = buckets.start(at(from));
        let starts = std::iter::successors(Some(first), |start| Some(buckets.next(*start)));
        starts.take(count).map(|start| timestamp(start.into()).to_string()).collect()
    }

    #[test]
    fn widths_are_read_as_people_write_them() {
        let width = |text: &str| Width::parse(text).map(|width| (width.months, width.ns / 1_000_000));
        for (text, months, ms) in [
            ("60.000s", 0, 60_000),
            ("5m", 0, 300_000),
            ("1h30m", 0, 5_400_000),
            ("1d", 0, 86_400_000),
            ("1w", 0, 604_800_000),
            ("1 hour", 0, 3_600_000),
            ("1mo", 1, 0),
            ("1y", 12, 0),
            ("PT5M", 0, 300_000),
            ("250ms", 0, 250),
        ] {
            assert_eq!(width(text), Ok((months, ms)), "{text}");
        }
        for text in ["", "5", "-1m", "0s", "1mo 1d", "x", "900y 1d"] {
            assert!(width(text).unwrap_err().contains("expected a span"), "{text}");
        }
    }

    #[test]
    fn days_have_23_and_25_hours_when_clocks_change() {
        // Berlin: clocks go forward on 2026-03-29 at 01:00 UTC and back on 2026-10-25 at 01:00 UTC.
        let days = buckets("1d", "Europe/Berlin");
        let expected = ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z"];
        assert_eq!(starts(&days, "2026-03-29T12:00:00Z", 3), expected);
        let expected = ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"];
        assert_eq!(starts(&days, "2026-10-25T22:59:59Z", 2), expected);
        // An hour that comes twice is two; one that does not come is none.
        let hours = buckets("1h", "Europe/Berlin");
        let expected = ["2026-10-24T23:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"];
        assert_eq!(starts(&hours, "2026-10-24T23:30:00Z", 4), expected);
        assert_eq!(starts(&hours, "2026-03-29T00:59:00Z", 2), ["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"]);
        // Half an hour on Lord Howe Island; 45 minutes from UTC on the Chatham Islands.
        assert_eq!(
            starts(&buckets("1d", "Australia/Lord_Howe"), "2026-04-05T00:00:00Z", 2),
            ["2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"]
        );
        assert_eq!(starts(&buckets("1h", "Pacific/Chatham"), "2026-06-01T00:00:00Z", 1), ["2026-05-31T23:15:00Z"]);
    }

    #[test]
    fn months_years_and_weeks_are_the_calendars() {
        let months = buckets("1mo", "Asia/Shanghai");
        let expected = ["2028-01-31T16:00:00Z", "2028-02-29T16:00:00Z", "2028-03-31T16:00:00Z"];
        assert_eq!(starts(&months, "2028-02-29T15:59:59Z", 3), expected);
        assert_eq!(
            starts(&buckets("3mo", "UTC"), "2026-11-25T00:00:00Z", 2),
            ["2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"]
        );
        assert_eq!(
            starts(&buckets("1y", "UTC"), "1969-11-25T00:00:00Z", 2),
            ["1969-01-01T00:00:00Z", "1970-01-01T00:00:00Z"]
        );
        assert_eq!(starts(&buckets("1w", "UTC"), "2026-11-25T00:00:00Z", 1), ["2026-11-23T00:00:00Z"], "a Monday");
        let paydays = Buckets::new(Width::new(1, 0, 0).unwrap(), Some(at("2026-01-25T00:00:00Z")), None);
        let expected = ["2026-10-25T00:00:00Z", "2026-11-25T00:00:00Z"];
        assert_eq!(starts(&paydays, "2026-11-24T23:59:59Z", 2), expected);
        let ends = Buckets::new(Width::new(1, 0, 0).unwrap(), Some(at("2026-01-31T00:00:00Z")), None);
        assert_eq!(starts(&ends, "2026-03-01T00:00:00Z", 2), ["2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"]);
    }

    /// The start of a day may be in a gap (Cairo, Sao Paulo) or be shown twice (Havana, St. John's at one minute past
    /// midnight): days were cut in two, or began behind their first hour. Every zone of the tz database, each hour for
    /// a day around every change of its clocks from 1970 to 2037, against jiff.
    #[test]
    fn days_and_months_are_those_of_every_zone() {
        let (first, last) = (at("1970-01-02T00:00:00Z"), at("2037-12-30T00:00:00Z"));
        let (hour, mut looked_at) = (3_600_000_000_000i64, 0);
        let is_long = std::env::var_os("FOURNINES_LONG").is_some();
        let step: i64 = if is_long { hour / 4 } else { hour };
        // A fifth of the zones, others each time.
        let turn = Timestamp::now().as_second() % 5;
        let names = jiff::tz::db().available().enumerate();
        for (_, name) in names.filter(|(at, _)| is_long || *at as i64 % 5 == turn) {
            let Ok(zone) = TimeZone::get(name.as_str()) else { continue };
            let kinds = ["1d", "1mo", "1h", "6h"]
                .map(|width| Buckets::new(Width::parse(width).unwrap(), None, Some(zone.clone())));
            let turns = zone.following(timestamp(first.into())).map(|turn| turn.timestamp().as_nanosecond() as i64);
            let turns: Vec<i64> = turns.take_while(|turn| *turn < last).collect();
            for turn in turns {
                for time in (turn - 25 * hour..turn + 26 * hour).step_by(step as usize) {
                    looked_at += 1;
                    let zoned = timestamp(time.into()).to_zoned(zone.clone());
                    let day = zoned.start_of_day().unwrap().timestamp().as_nanosecond() as i64;
                    let month =
                        zoned.first_of_month().unwrap().start_of_day().unwrap().timestamp().as_nanosecond() as i64;
                    let place = || format!("{} {zoned}", name.as_str());
                    assert_eq!(kinds[0].start(time), day, "day of {}", place());
                    assert_eq!(kinds[1].start(time), month, "month of {}", place());
                    for buckets in &kinds {
                        let (start, next) = (buckets.start(time), buckets.next(time));
                        assert!(start <= time && time < next, "{}", place());
                        assert_eq!(buckets.start(start), start, "{}", place());
                        assert_eq!(buckets.start(next), next, "{}", place());
                        assert!(buckets.steady_end(time) > time, "{}", place());
                    }
                }
            }
        }
        assert!(looked_at > 20_000, "{looked_at} times were looked at");
    }

    /// Buckets follow each other without gap or overlap, and the cursor says the same as each one looked up, in any
    /// order.
    #[test]
    fn every_time_is_in_one_bucket() {
        for zone_name in
            ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "+05:45"]
        {
            for width in ["7m", "1h", "6h", "1d", "1w", "1mo"] {
                let buckets = buckets(width, zone_name);
                let mut cursor = Cursor::new(&buckets);
                let mut random = 42u64;
                for _ in 0..2000 {
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let time = at("2026-01-01T00:00:00Z") + (random >> 9) as i64 % (366 * DAY_NS);
                    let start = buckets.start(time);
                    assert!(start <= time && time < buckets.next(start), "{zone_name} {width} {time}");
                    assert_eq!(buckets.start(start), start, "{zone_name} {width} {time}");
                    assert_eq!(cursor.start(time), start, "{zone_name} {width} {time}");
                }
            }
        }
        let edges = buckets("1mo", "Europe/Berlin");
        assert_eq!(edges.start(i64::MIN), i64::MIN);
        assert!(edges.start(i64::MAX) < i64::MAX);
        assert_eq!(edges.next(i64::MAX), i64::MAX);
        assert_eq!(edges.next(edges.start(i64::MAX)), i64::MAX);
    }
}
