//! Retention: how long the rows of a table are kept, and how many bytes of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::day::Day;

/// What is kept of a table; the default is everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days that ended longer ago than this leave.
    pub age: Option<Duration>,
    /// The oldest days leave while the table's segments and rolled days have more bytes than this. The newest stays.
    pub bytes: Option<u64>,
}

/// What is kept of each table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retentions {
    pub general: Retention,
    /// Of tables by themselves, by schema and name.
    pub tables: BTreeMap<(String, String), Retention>,
}

impl Retentions {
    pub(crate) fn of(&self, schema: &str, table: &str) -> Retention {
        let own = self.tables.get(&(schema.to_owned(), table.to_owned()));
        own.copied().unwrap_or(self.general)
    }
}

impl Retention {
    /// The first time that the age leaves at some instant: whole days leave.
    pub(crate) fn floor(self, now: i64) -> i64 {
        let oldest = |age: Duration| now.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        self.age.map_or(i64::MIN, |age| Day::of(oldest(age)).first())
    }
}
