//! What a check is, what it can be told, and what it remembers. Which kinds there are is not known here.

pub(crate) mod ask;
pub(crate) mod cdn_ask;
pub(crate) mod check;
pub(crate) mod kind;
pub(crate) mod links_ask;
pub(crate) mod memory;
pub(crate) mod step;
pub(crate) mod turn;
