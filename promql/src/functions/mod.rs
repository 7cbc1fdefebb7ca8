//! What functions do with numbers, with windows of samples, and with buckets. Nothing here knows of steps or of the tree.

pub(crate) mod dates;
pub(crate) mod extended;
pub(crate) mod instant;
pub(crate) mod math;
pub(crate) mod over_time;
pub(crate) mod rates;
pub(crate) mod regression;
pub(crate) mod resets;
pub(crate) mod window;
