//! `heartbeat`: what jobs say of themselves when they call.

use tsdb::FieldType;

use crate::table::{Column, Table, Unit};

/// A row a call. `event` is `start`, `ok` or `fail`; `code` is the exit code of one that said it.
pub const HEARTBEAT: Table = Table {
    name: "heartbeat",
    tags: &["job", "event"],
    fields: &[Column::new("code", FieldType::I64, Unit::None), Column::text("message")],
};

/// The longest name of a job, in bytes.
const JOB_BYTES_MAX: usize = 100;

/// Is it a name that a job can have? It stands in an address as it is.
///
/// ```
/// use domain::tables::is_job;
/// assert!(is_job("nightly-backup"));
/// assert!(!is_job("nightly backup") && !is_job("") && !is_job("a/b"));
/// ```
pub fn is_job(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=JOB_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain)
}
