//! What every target and host has without a file of rules.

mod group;
mod judge;
mod slots;

pub use group::{Confirm, GROUP, Kinds, Watch, groups};
pub use slots::{KEPT_MAX, Slots};
