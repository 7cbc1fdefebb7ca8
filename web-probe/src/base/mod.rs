//! What stands by itself: patterns, schedules, times of maintenance, resolvers, and the terms of a check.

pub(crate) mod address;
pub(crate) mod maintenance;
pub(crate) mod pattern;
pub(crate) mod resolver;
pub(crate) mod schedule;
pub(crate) mod terms;
pub(crate) mod trust;
