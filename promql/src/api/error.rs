//! Errors as clients of Prometheus read them.

use crate::engine::{Failure, FailureKind};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// What kind of error it is.
    pub kind: Kind,
    /// What it is.
    pub message: String,
}

/// The kinds of errors that clients tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The question is wrong.
    BadData,
    /// It has no answer.
    Execution,
    /// It took too long.
    Timeout,
    /// There is no such thing.
    NotFound,
    /// The server failed.
    Internal,
}

impl Kind {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::BadData => "bad_data",
            Kind::Execution => "execution",
            Kind::Timeout => "timeout",
            Kind::NotFound => "not_found",
            Kind::Internal => "internal",
        }
    }

    /// The status of HTTP that goes with it.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Kind::BadData => 400,
            Kind::Execution => 422,
            Kind::Timeout => 503,
            Kind::NotFound => 404,
            Kind::Internal => 500,
        }
    }
}

impl ApiError {
    /// A parameter is wrong.
    pub(crate) fn parameter(name: &str, message: impl std::fmt::Display) -> ApiError {
        ApiError {
            kind: Kind::BadData,
            message: format!("invalid parameter {}: {message}", crate::syntax::quote(name)),
        }
    }

    /// As it is answered.
    #[must_use]
    pub fn json(&self) -> String {
        let (kind, message) = (self.kind.name(), super::json::quoted(&self.message));
        format!(r#"{{"status":"error","errorType":"{kind}","error":{message}}}"#)
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> ApiError {
        let kind = match failure.kind {
            FailureKind::Question => return ApiError::parameter("query", failure.message),
            FailureKind::Execution => Kind::Execution,
            FailureKind::Timeout => Kind::Timeout,
            FailureKind::Storage => Kind::Internal,
        };
        ApiError { kind, message: failure.message }
    }
}
