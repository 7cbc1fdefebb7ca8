//! Why a question was stopped, whatever language it was asked in.

use std::time::Duration;

/// Why a question was stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It took too long.
    #[error("the query was stopped after {limit:?} (query.timeout)")]
    Timeout {
        /// The limit that it hit.
        limit: Duration,
    },
    /// Others ran for all the time that it may wait.
    #[error(
        "{limit} queries ran, and no more may at a time (query.concurrency); this one waited in vain for half of query.timeout"
    )]
    Busy {
        /// The limit that it hit.
        limit: usize,
    },
    /// The task that worked on it panicked.
    #[error("the query broke off; the server's log says why")]
    Broken,
}
