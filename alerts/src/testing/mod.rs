//! Files that test rules, as `promtool test rules` takes them.

mod file;
mod memory;
mod run;
mod series;

pub use run::{Tested, test};
