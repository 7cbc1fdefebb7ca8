//! Rows on their way out: as JSON, CSV, Arrow, Parquet, text or line protocol, and packed. Where they come from is not
//! known here.

pub(crate) mod format;
pub mod line_protocol;
pub(crate) mod packing;
