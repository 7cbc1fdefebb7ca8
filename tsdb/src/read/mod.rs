//! Reading: scans and aggregations over a view, day by day, and what the store is made of.
//! Rolled days, segments and heads become one table here.
//! Nothing here changes the state.

pub(crate) mod aggregate;
pub(crate) mod cuts;
pub(crate) mod newest;
pub(crate) mod parts;
pub(crate) mod reading;
pub(crate) mod scan;
pub(crate) mod unit;
