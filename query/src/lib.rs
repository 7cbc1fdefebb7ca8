//! SQL over the store: measurements are DataFusion tables, answers leave as JSON, CSV or text.
//!
//! [`Engine`] plans and runs statements on threads of its own, so that a heavy query delays no acknowledgement;
//! [`endpoint`] is its HTTP face. Statements from outside can only read: see `read_only.rs`.

mod arguments;
mod asof;
mod availability;
mod calendar;
mod catalog;
mod direct;
mod dynamic_filter;
mod edge_rows;
pub mod endpoint;
mod engine;
mod error;
mod exclusions;
mod format;
mod functions;
mod gapfill;
mod known;
mod lag;
mod latest;
pub mod line_protocol;
mod lists_apart;
mod newest;
mod once_exec;
mod operators;
mod packing;
mod parallel;
mod parameters;
mod pushdown;
mod read_only;
mod rollups;
mod running;
mod scan_exec;
mod size;
mod some_rows;
mod statement;
mod subqueries;
mod subset;
mod summary;
mod system;
mod table;
mod tell_apart;
mod unique_names;
mod views;

pub use engine::{Answer, Encoded, Engine, Options};
pub use error::Error;
pub use exclusions::{Entry, Kind};
pub use format::Format;
pub use rollups::Declaration;
pub use size::SizeLimits;
pub use system::SystemTable;
