//! What names in a statement mean: measurements, tables that are known without rows, views, and the schema `system`.
//! How questions are answered faster than by a scan is not known here.

pub(crate) mod catalog;
pub(crate) mod known;
pub(crate) mod queries;
pub(crate) mod rollups;
pub(crate) mod store_table;
pub(crate) mod system;
pub(crate) mod views;
