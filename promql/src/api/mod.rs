//! The HTTP API of Prometheus, without HTTP: parameters in, JSON out.

mod asked;
mod catalog;
mod error;
mod json;
mod parameters;
mod status;

pub use asked::{Asked, query, query_range};
pub use catalog::{labels, metadata, series, values};
pub use error::{ApiError, Kind};
pub use parameters::Parameters;
pub use status::{build_info, empty_list, no_alerts, no_rules};
