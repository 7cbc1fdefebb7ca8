//! The HTTP API of Prometheus, without HTTP: parameters in, JSON out.

mod answered;
mod asked;
mod cardinality;
mod catalog;
mod error;
mod exemplars;
mod federate;
mod json;
mod parameters;
mod remote_read;
mod status;
mod tree;
mod xor;

pub use answered::{Answered, Pieces};
pub use asked::{Asked, Waiting, query, query_range};
pub use cardinality::status_tsdb;
pub use catalog::{labels, metadata, series, target_metadata, values};
pub use error::{ApiError, Kind};
pub use exemplars::query_exemplars;
pub use federate::{Names, federate};
pub use parameters::Parameters;
pub use remote_read::{ReadAnswer, ReadRequest, remote_read};
pub use status::{build_info, config, flags, runtime_info, scrape_pools, targets};
pub use tree::{format_query, parse_query};
