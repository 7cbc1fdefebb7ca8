//! What a request says of rows that do not say it themselves: which measurement they are, which columns are tags, and
//! the unit of times that are numbers.

use domain::instant;

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
    /// Rows without a time are of now (`time=now`). Otherwise they are refused: a time that is called otherwise than
    /// `time` would make all rows one.
    pub now_is_meant: bool,
}

impl RowOptions {
    pub(crate) fn is_tag(&self, column: &str) -> bool {
        self.tags.iter().any(|tag| tag == column)
    }
}

impl RowOptions {
    /// The time of a row, in ns since the epoch, from what it says.
    ///
    /// # Errors
    ///
    /// It says nothing, and nobody said that now is meant.
    pub(crate) fn time(&self, said: Option<i64>, now: i64) -> Result<i64, String> {
        said.or_else(|| self.now_is_meant.then_some(now)).ok_or_else(|| {
            "there is no time; expected one called 'time', or time=now with the request if now is meant".into()
        })
    }

    /// A time as people and programs write it: `2026-01-01T00:00:00Z`, `2026-01-01 00:00:00` (UTC), or a number in the
    /// request's unit, which may have a fraction.
    pub(crate) fn instant(&self, text: &str) -> Result<i64, String> {
        let is_number = text.strip_prefix('-').unwrap_or(text).starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().skip(1).all(|byte| byte.is_ascii_digit() || byte == b'.');
        if is_number { self.precision.ns_of_text(text) } else { instant::parse(text.trim()) }
    }
}
