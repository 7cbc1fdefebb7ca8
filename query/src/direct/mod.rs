//! Questions that the store answers at once: groups folded in its scan, newest rows, rows from an edge, few rows; and
//! the statements that need no plan for them ([`subset`]). Plans are not known here: `rules` finds these questions in
//! them.

pub(crate) mod edge_rows;
pub(crate) mod latest;
pub(crate) mod newest;
pub(crate) mod some_rows;
pub(crate) mod subset;
pub(crate) mod summary;
pub(crate) mod wanted;
