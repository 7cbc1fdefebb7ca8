//! Times as people write them.

use std::time::UNIX_EPOCH;

/// A time like `2026-11-01T00:00:00Z`, in ns since the epoch.
///
/// # Errors
///
/// It is none, or one that ns in 64 bits do not reach.
///
/// ```
/// use domain::instant::parse;
/// assert_eq!(parse("1970-01-01T00:00:01.5Z"), Ok(1_500_000_000));
/// assert!(parse("soon").unwrap_err().contains("2026-11-01T00:00:00Z"));
/// ```
pub fn parse(text: &str) -> Result<i64, String> {
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|error| format!("'{text}' is not a time like 2026-11-01T00:00:00Z: {error}"))?;
    let since = time.duration_since(UNIX_EPOCH).map_err(|_| "times before 1970 are written as nanoseconds")?;
    i64::try_from(since.as_nanos()).map_err(|_| "the time is too late for nanoseconds in 64 bits".to_owned())
}
