//! What rules are; rule files of Prometheus, read and checked.

mod check;
mod file;
mod level;
mod ready;
mod rule;

pub use check::{Problem, check};
pub use file::read;
pub(crate) use file::{of_yaml, options};
pub use level::{Bound, Level, Levels, NoData};
pub use ready::Ready;
pub use rule::{Asks, Group, Kind, Rule, RuleFile, Severity, Text};
