//! Rows on their way into the store, and to another server. What they say is not known here.

pub(crate) mod record;
pub(crate) mod recorder;
pub(crate) mod spool;
