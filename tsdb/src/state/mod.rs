//! The state of an open store: the view that queries read, its health, its counters, the newest rows that are kept.
//! It is what the threads share, and changes at one instant.
//! Nothing here reads rows or starts work.

pub(crate) mod health;
pub(crate) mod last_rows;
pub(crate) mod shared;
pub(crate) mod stats;
pub(crate) mod view;
