//! Rows in memory: columns, frames, samples, rows in the order of their keys and how they are merged, cells of
//! aggregates. They refer to tables and series by number. Nothing here knows what the numbers are called, or where the
//! rows come from.

pub(crate) mod cells;
pub(crate) mod columns;
pub(crate) mod frame;
pub(crate) mod keyed;
pub(crate) mod merge;
pub(crate) mod samples;
pub(crate) mod sketch;
