//! What the other folders need: a clock, rows of batches, tasks that go on.

pub mod clock;
pub(crate) mod keep_on;
pub mod rows;
pub(crate) mod text;
