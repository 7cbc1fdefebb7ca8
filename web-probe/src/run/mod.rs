//! Targets, and the prober that checks each in its slots and records what was found.

pub(crate) mod canary;
pub(crate) mod pages;
pub(crate) mod prober;
pub(crate) mod probing;
pub(crate) mod target;
