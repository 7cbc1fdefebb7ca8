//! What a request says of rows that do not say it themselves: which measurement they are, which columns are tags, and
//! the unit of times that are numbers.

use jiff::Timestamp;

use crate::line_protocol::Precision;

/// How rows of JSON, CSV and Arrow are read.
#[derive(Debug, Clone, Default)]
pub struct RowOptions {
    /// The measurement of rows that do not name theirs (`measurement=`).
    pub measurement: Option<String>,
    /// The columns that are tags (`tags=host,region`).
    pub tags: Vec<String>,
    /// The unit of times that are numbers (`precision=`).
    pub precision: Precision,
}

impl RowOptions {
    pub(crate) fn is_tag(&self, column: &str) -> bool {
        self.tags.iter().any(|tag| tag == column)
    }
}

/// A time as RFC 3339 has it, in ns since the epoch.
pub(crate) fn instant(text: &str) -> Result<i64, String> {
    let time: Timestamp =
        text.parse().map_err(|error| format!("'{text}' is not a time like 2026-01-01T00:00:00Z: {error}"))?;
    i64::try_from(time.as_nanosecond()).map_err(|_| format!("time {text} is out of range"))
}
