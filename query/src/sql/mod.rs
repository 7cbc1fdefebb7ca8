//! Statements as texts: measured, parsed, put into words that DataFusion knows, with values in place of placeholders,
//! and refused if they would change something. What a statement is planned to is not known here.

pub(crate) mod asof_join;
pub(crate) mod parameters;
pub(crate) mod read_only;
pub(crate) mod size;
pub(crate) mod statement;
