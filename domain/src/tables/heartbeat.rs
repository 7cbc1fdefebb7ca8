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

/// Refuses what no job can be called: a name stands in an address as it is.
///
/// # Errors
///
/// What was expected.
///
/// ```
/// use domain::tables::check_job;
/// assert!(check_job("nightly-backup").is_ok());
/// assert!(check_job("nightly backup").is_err() && check_job("").is_err() && check_job("a/b").is_err());
/// ```
pub fn check_job(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match (1..=JOB_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(format!(
            "'{name}' is no job; expected letters, digits, '-', '_' and '.', up to {JOB_BYTES_MAX} of them"
        )),
    }
}
