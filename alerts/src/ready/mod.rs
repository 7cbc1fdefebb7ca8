//! What every target has without a file of rules: whether it is down, slow, or its certificate ends.

mod group;
mod judge;
mod slots;

pub use group::{GROUP, Kinds, group};
pub use slots::Slots;
