//! Upkeep: sealing heads, merging segments, rolling days, making rollups, letting days leave, removing files.
//! It works in the background, gives way to writers and queries, and changes the state at one instant.
//! Nothing here answers a question.

pub(crate) mod compactor;
mod hurried;
pub(crate) mod keeper;
pub(crate) mod outliving;
pub(crate) mod retainer;
pub(crate) mod roller;
pub(crate) mod rollup_maker;
pub(crate) mod sealer;
pub(crate) mod sweeper;
