//! Groups of rules over a store, evaluated as time goes by.

mod grid;
mod groups;
mod ledger;
mod over_store;
mod show;
mod sql;
mod stats;

pub use grid::Grid;
pub use groups::{Changes, Live, Options, Plan};
pub use sql::Sql;
pub use stats::Stats;
