//! Durations as people write them.

use std::time::Duration;

use jiff::Span;

/// The lengths that a year and a month have on average.
const YEAR_S: f64 = 31_557_600.0;
const MONTH_S: f64 = 2_630_016.0;

/// A duration like `500ms`, `10s`, `1min 30s`, `6h`, `400d`, `1y`. A day has 24 hours, a month 30.44 days, a year
/// 365.25.
///
/// # Errors
///
/// It is none, or a negative one.
///
/// ```
/// use std::time::Duration;
/// use domain::duration::parse;
/// assert_eq!(parse("1min 30s"), Ok(Duration::from_secs(90)));
/// assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
/// assert_eq!(parse("400d"), Ok(Duration::from_secs(400 * 86_400)));
/// assert_eq!(parse("1 year"), Ok(Duration::from_secs(31_557_600)));
/// assert!(parse("10").unwrap_err().contains("500ms, 10s or 5min"));
/// assert!(parse("-1s").is_err());
/// ```
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = |why: &str| format!("'{text}' is not a duration like 500ms, 10s or 5min{why}");
    let span: Span = text.trim().parse().map_err(|error| wrong(&format!(": {error}")))?;
    if span.is_negative() {
        return Err(wrong(": it is negative"));
    }
    let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
    let seconds = (days * 24 + i64::from(span.get_hours())) * 3600 + span.get_minutes() * 60 + span.get_seconds();
    let below = Duration::from_millis(span.get_milliseconds().unsigned_abs())
        + Duration::from_micros(span.get_microseconds().unsigned_abs())
        + Duration::from_nanos(span.get_nanoseconds().unsigned_abs());
    let calendar = f64::from(span.get_years()) * YEAR_S + f64::from(span.get_months()) * MONTH_S;
    Ok(Duration::from_secs(seconds.unsigned_abs()) + below + Duration::from_secs_f64(calendar))
}
