//! Parts of dates, in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The function of this name; it takes seconds since the epoch. Out of the calendar it is NaN.
pub(crate) fn function(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "day_of_month" => |seconds| part(seconds, |time| f64::from(time.day())),
        "day_of_week" => |seconds| part(seconds, |time| f64::from(time.weekday().to_sunday_zero_offset())),
        "day_of_year" => |seconds| part(seconds, |time| f64::from(time.day_of_year())),
        "days_in_month" => |seconds| part(seconds, |time| f64::from(time.days_in_month())),
        "hour" => |seconds| part(seconds, |time| f64::from(time.hour())),
        "minute" => |seconds| part(seconds, |time| f64::from(time.minute())),
        "month" => |seconds| part(seconds, |time| f64::from(time.month())),
        "year" => |seconds| part(seconds, |time| f64::from(time.year())),
        _ => return None,
    })
}

fn part(seconds: f64, of: fn(DateTime) -> f64) -> f64 {
    Timestamp::from_second(seconds as i64).map_or(f64::NAN, |time| of(TimeZone::UTC.to_datetime(time)))
}
