//! Parameters of requests: those of the body before those of the address.

use super::error::{ApiError, Kind};
use crate::syntax::{Matcher, parse_duration, parse_selector, quote};

/// Times that mean all time, in milliseconds.
pub(crate) const ALL_TIME: (i64, i64) = (i64::MIN / 2_000_000, i64::MAX / 2_000_000);
/// So many seconds are no time any more.
const SECONDS_MAX: f64 = (ALL_TIME.1 / 1000) as f64;

/// Names and values, in their order; a name may come again.
#[derive(Debug, Clone, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parameters of a form and of an address.
    #[must_use]
    pub fn new(pairs: Vec<(String, String)>) -> Parameters {
        Parameters(pairs)
    }

    /// The first of a name, if it says something.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// A time in milliseconds, if it is there.
    pub(crate) fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.get(name).map(|text| time(text).map_err(|message| ApiError::parameter(name, message))).transpose()
    }

    /// A time in milliseconds that has to be there.
    pub(crate) fn needed_time(&self, name: &str) -> Result<i64, ApiError> {
        let missing = || ApiError::parameter(name, format!("cannot parse {} to a valid timestamp", quote("")));
        self.time(name)?.ok_or_else(missing)
    }

    /// A duration in milliseconds, if it is there.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.get(name).map(|text| duration(text).map_err(|message| ApiError::parameter(name, message))).transpose()
    }

    /// How much is wanted at the most; nothing if it does not matter.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(limit) if limit >= 0 => Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0)),
            Ok(_) => Err(ApiError::parameter("limit", "limit must be non-negative")),
            Err(_) => Err(ApiError::parameter("limit", format!("cannot parse {} to a valid limit", quote(text)))),
        }
    }

    /// What `match[]` says, each for itself.
    pub(crate) fn matchers(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut lists = Vec::new();
        for text in self.all("match[]") {
            let matchers = parse_selector(text).map_err(|error| ApiError::parameter("match[]", error))?;
            if matchers.iter().all(|matcher| matcher.matches("")) {
                return Err(ApiError {
                    kind: Kind::BadData,
                    message: "match[] must contain at least one non-empty matcher".into(),
                });
            }
            lists.push(matchers);
        }
        Ok(lists)
    }

    /// From `start` to `end`; all time where they are missing. The first is one before the start: what is asked for lies
    /// behind it.
    pub(crate) fn span(&self) -> Result<(i64, i64), ApiError> {
        // Grafana tries whether there are exemplars with ms, where seconds are meant: times that are none are far away.
        let edge = |name: &str| match self.get(name).and_then(|text| text.parse::<f64>().ok()) {
            Some(seconds) if seconds.is_finite() && seconds.abs() >= SECONDS_MAX => {
                Ok(Some(if seconds < 0.0 { ALL_TIME.0 } else { ALL_TIME.1 }))
            }
            _ => self.time(name),
        };
        let (start, end) = (edge("start")?.unwrap_or(ALL_TIME.0), edge("end")?.unwrap_or(ALL_TIME.1));
        match start > end {
            true => Err(ApiError::parameter("end", "end timestamp must not be before start timestamp")),
            false => Ok((start.saturating_sub(1).max(ALL_TIME.0), end.min(ALL_TIME.1))),
        }
    }
}

/// Milliseconds of seconds, with a fraction, or of RFC 3339.
fn time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.abs() < SECONDS_MAX
    {
        // The fraction by itself, so that milliseconds are exact.
        let ms = (seconds.fract() * 1000.0).round();
        return Ok((seconds.trunc() * 1000.0 + ms) as i64);
    }
    let instant = text.parse::<jiff::Timestamp>();
    instant
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| format!("cannot parse {} to a valid timestamp", quote(text)))
}

/// Milliseconds of seconds, with a fraction, or of `5m`.
fn duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return match (seconds * 1e9).abs() < i64::MAX as f64 {
            true => Ok((seconds * 1000.0).round() as i64),
            false => Err(format!("cannot parse {} to a valid duration. It overflows int64", quote(text))),
        };
    }
    let ns = parse_duration(text);
    ns.map(|ns| ns / 1_000_000).map_err(|_| format!("cannot parse {} to a valid duration", quote(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_read_to_the_millisecond() {
        assert_eq!(time("1435781430.781"), Ok(1_435_781_430_781));
        assert_eq!(time("-1.5"), Ok(-1500));
        assert_eq!(time("2015-07-01T20:10:30.781Z"), Ok(1_435_781_430_781));
        assert_eq!(time("yesterday"), Err("cannot parse \"yesterday\" to a valid timestamp".into()));
        assert_eq!((duration("15"), duration("0.1"), duration("1m30s")), (Ok(15_000), Ok(100), Ok(90_000)));
        assert!(duration("1e30").unwrap_err().ends_with("It overflows int64"));
    }

    #[test]
    fn the_first_of_a_name_counts() {
        let pairs = [("limit", "5"), ("limit", "6"), ("match[]", "up"), ("match[]", "{a='b'}")];
        let own = Parameters::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        assert_eq!(own.limit().unwrap(), Some(5));
        assert_eq!(own.matchers().unwrap().len(), 2);
        let far = [("start", "1767225600000"), ("end", "1767225601000")];
        let far = Parameters::new(far.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec());
        assert_eq!(far.span().unwrap(), (ALL_TIME.1 - 1, ALL_TIME.1));
        assert!(far.time("start").is_err());
        let wrong = Parameters::new(vec![("match[]".into(), "{a!='b'}".into())]);
        assert!(wrong.matchers().unwrap_err().message.contains("at least one non-empty matcher"));
    }
}
