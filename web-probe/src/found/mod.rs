//! What checks find: fields, phases and their times, failures, pages, and what it all comes to. How it is found is not
//! known here.

pub(crate) mod failure;
pub(crate) mod field;
pub(crate) mod findings;
pub(crate) mod measurement;
pub(crate) mod page;
pub(crate) mod phase;
