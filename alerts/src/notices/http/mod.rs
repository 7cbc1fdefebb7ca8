//! Channels that are a request: its address, headers and body are templates, and rules say what an answer means. All
//! services with a web API are told by one of these; for some the templates are here ([`READY`]).

mod ask;
mod context;
mod filters;
mod ready;

pub(super) use ask::Meaning;
pub use ask::{Each, HttpAsk};
pub use ready::{READY, ReadyMade};
