//! SQL over the store: measurements are DataFusion tables, answers leave as JSON, CSV or text.
//!
//! A statement's way is [`Engine::query`]: parsed (`sql`), answered at once if it is one of a subset (`direct`), else
//! planned (`planner.rs`, `rules`) and run on the threads of a [`runner::Runner`], so that a heavy query delays no
//! acknowledgement. [`endpoint`] is the HTTP face. Statements from outside can only read (`sql/read_only.rs`).
//!
//! The folders, each of which knows those above it in this list only:
//!
//! | folder | what lives there |
//! | --- | --- |
//! | `base` | errors, calendars, the arguments of table functions |
//! | `sql` | statements as texts |
//! | `out` | rows on their way out |
//! | `exec` | how rows are read while a plan runs |
//! | `functions` | functions that DataFusion does not have, or not safe |
//! | `tables` | what names mean |
//! | `direct` | questions that the store answers at once, and the statements that need no plan |
//! | `availability` | timelines of targets and the figures from them |
//! | `rules` | rules that change plans |
//! | `asof`, `gaps` | joins by the nearest time, and buckets without rows: a node, its rules and how it runs |

mod answer;
mod asof;
mod availability;
mod base;
mod direct;
pub mod endpoint;
mod engine;
mod exec;
mod functions;
mod gaps;
mod out;
mod planner;
mod rules;
mod sql;
mod tables;

pub use answer::{Answer, Encoded};
pub use availability::exclusions::{Entry, Kind};
pub use base::error::Error;
pub use engine::{Engine, Options, check};
pub use out::format::Format;
pub use out::line_protocol;
pub use out::packing::Packer;
pub use sql::size::SizeLimits;
pub use tables::rollups::Declaration;
pub use tables::system::SystemTable;
