//! What there is: tables, tags, series and their spellings, and what is said about them: conditions, filters,
//! deletions, rollups. It turns names into numbers and back. Nothing here knows rows that are stored.

pub(crate) mod change;
pub(crate) mod deletion;
pub(crate) mod field_predicate;
pub(crate) mod filter;
pub(crate) mod registry;
pub(crate) mod rollup;
pub(crate) mod series_set;
pub(crate) mod spellings;
pub(crate) mod tag;
