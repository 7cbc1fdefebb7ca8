//! Times as people write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A time like `2026-11-01T00:00:00Z`, in ns since the epoch. One without an offset is of UTC.
///
/// # Errors
///
/// It is none, or one that ns in 64 bits do not reach.
///
/// ```
/// use domain::instant::parse;
/// assert_eq!(parse("1970-01-01T00:00:01.5Z"), Ok(1_500_000_000));
/// assert_eq!(parse("1970-01-01 01:00:00+01:00"), Ok(0));
/// assert_eq!(parse("1970-01-01T00:00:02"), Ok(2_000_000_000));
/// assert!(parse("soon").unwrap_err().contains("2026-11-01T00:00:00Z"));
/// ```
pub fn parse(text: &str) -> Result<i64, String> {
    let of_utc = || text.parse::<DateTime>().and_then(|time| time.to_zoned(TimeZone::UTC)).map(|time| time.timestamp());
    let time = text.parse::<Timestamp>().or_else(|_| of_utc());
    let time = time.map_err(|_| format!("'{text}' is not a time like 2026-11-01T00:00:00Z"))?;
    i64::try_from(time.as_nanosecond()).map_err(|_| format!("'{text}' is beyond nanoseconds in 64 bits"))
}
