//! Rules that change plans: what makes them mean what SQL says, and what puts questions to the store
//! ([`direct`](crate::direct)) into them. The order in which they run, and why, stands in `planner.rs`.

pub(crate) mod know_newest;
pub(crate) mod lag_in_scan;
mod lists_apart;
pub(crate) mod one_zero;
mod plans;
pub(crate) mod push_down;
pub(crate) mod read_from_edge;
pub(crate) mod sound_operators;
pub(crate) mod subqueries;
pub(crate) mod summarize_in_scan;
pub(crate) mod tell_apart;
pub(crate) mod unique_names;
