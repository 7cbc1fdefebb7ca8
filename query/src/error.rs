//! Why a statement has no answer, in words for the one who asked.

use std::time::Duration;

use datafusion::error::DataFusionError;

/// Why a statement has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement is wrong, or asks for what is not there.
    #[error("{0}")]
    Statement(String),
    /// The statement would change something.
    #[error("{0} is not allowed: SQL can only read here; rows are written over HTTP (POST /write)")]
    ReadOnly(String),
    /// It took too long.
    #[error("the query was stopped after {limit:?} (query.timeout)")]
    Timeout {
        /// The limit that it hit.
        limit: Duration,
    },
    /// It needs more memory than it may have.
    #[error("the query needs more than its {limit_bytes} bytes of memory (query.memory): {reason}")]
    Memory {
        /// The limit that it hit.
        limit_bytes: usize,
        /// Which operator asked for more.
        reason: String,
    },
    /// Others ran for all the time that it may wait.
    #[error(
        "{limit} queries ran, and no more may at a time (query.concurrency); this one waited in vain for half of query.timeout"
    )]
    Busy {
        /// The limit that it hit.
        limit: usize,
    },
    /// There are too many rows.
    #[error("the answer has more than {limit} rows (query.rows_max); add a LIMIT or conditions")]
    Rows {
        /// The limit that it hit.
        limit: u64,
    },
    /// The store or the engine failed.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    pub(crate) fn from_datafusion(error: &DataFusionError, limit_bytes: usize) -> Error {
        let reason = error.strip_backtrace();
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Error::Memory { limit_bytes, reason },
            DataFusionError::External(_)
            | DataFusionError::IoError(_)
            | DataFusionError::Internal(_)
            | DataFusionError::ExecutionJoin(_) => Error::Failed(reason),
            _ => Error::Statement(reason),
        }
    }
}
