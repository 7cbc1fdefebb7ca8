//! What everything else may use: why a statement has no answer, calendars and their buckets, the arguments of table
//! functions. It knows the store at the most, and nothing of statements and plans.

pub(crate) mod arguments;
pub(crate) mod calendar;
pub(crate) mod error;
