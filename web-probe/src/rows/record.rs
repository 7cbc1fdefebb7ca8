//! A row on its way to the store, and to another server.

use crate::found::field::Field;

/// A row on its way to the store.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub table: &'static str,
    pub tags: Vec<(&'static str, String)>,
    pub time_ns: i64,
    pub fields: Vec<(&'static str, Field)>,
}
