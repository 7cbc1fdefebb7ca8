//! Why a statement has no answer, in words for the one who asked.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use runner::Refused;

/// Why a statement has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement is wrong, or asks for what is not there.
    #[error("{0}")]
    Statement(String),
    /// The statement would change something.
    #[error("{0} is not allowed: SQL can only read here; rows are written over HTTP (POST /write)")]
    ReadOnly(String),
    /// It was stopped.
    #[error(transparent)]
    Stopped(#[from] Refused),
    /// It needs more memory than it may have.
    #[error("the query needs more than its {limit_bytes} bytes of memory (query.memory): {reason}")]
    Memory {
        /// The limit that it hit.
        limit_bytes: usize,
        /// Which operator asked for more.
        reason: String,
    },
    /// There are too many rows.
    #[error("the answer has more than {limit} rows (query.rows_max); add a LIMIT or conditions")]
    Rows {
        /// The limit that it hit.
        limit: u64,
    },
    /// There is no plan for it, although nothing in it is known to be wrong.
    #[error("the engine has no answer for this statement: {0}; expected it in other words")]
    Unplanned(String),
    /// The store or the engine failed.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    pub(crate) fn from_datafusion(error: &DataFusionError, limit_bytes: usize) -> Error {
        let root = error.find_root();
        let reason = root.strip_backtrace();
        match root {
            DataFusionError::ResourcesExhausted(reason) => Error::Memory { limit_bytes, reason: reason.clone() },
            DataFusionError::External(other) => match other.downcast_ref::<tsdb::Error>() {
                Some(error @ tsdb::Error::SumOverflow { .. }) => Error::Statement(error.to_string()),
                Some(error) => Error::Failed(error.to_string()),
                // What functions refuse: a regular expression, a time zone.
                None => Error::Statement(other.to_string()),
            },
            DataFusionError::Internal(reason) => Error::Unplanned(first_line(reason)),
            DataFusionError::IoError(_) | DataFusionError::ExecutionJoin(_) => Error::Failed(reason),
            DataFusionError::ArrowError(error, _) => match &**error {
                ArrowError::IoError(..) => Error::Failed(reason),
                _ => Error::Statement(reason),
            },
            _ => Error::Statement(reason),
        }
    }
}

/// The sentence, without what the engine asks its developers to do.
fn first_line(reason: &str) -> String {
    reason.lines().next().unwrap_or_default().to_owned()
}
