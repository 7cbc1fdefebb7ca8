//! The phases of a check.

use std::time::Duration;

use super::failure::{Class, Failure};

/// What a check is at: what it times, and what it was doing when time was up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Dns,
    Connect,
    Tls,
    Wait,
    Transfer,
}

impl Phase {
    /// What it fails with when time is up.
    pub(crate) fn timeout(self, after: Duration) -> Failure {
        let (class, doing) = match self {
            Phase::Dns => (Class::DnsTimeout, "resolving the name"),
            Phase::Connect => (Class::ConnectTimeout, "connecting"),
            Phase::Tls => (Class::TlsTimeout, "shaking hands (TLS)"),
            Phase::Wait => (Class::WaitTimeout, "waiting for the answer"),
            Phase::Transfer => (Class::TransferTimeout, "reading the body"),
        };
        class.because(format!("timeout after {after:?} while {doing}"))
    }
}
