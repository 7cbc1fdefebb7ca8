//! Rolled days: closed days of a table in Parquet files.
//! They are read here, and their footers kept.
//! They are written by upkeep.

pub(crate) mod file;
pub(crate) mod footer;
