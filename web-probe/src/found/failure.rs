//! Why a target is not up: a class to count by, and a sentence to read.

use std::io::ErrorKind;

use rustix::io::Errno;
use rustls::{AlertDescription, CertificateError};

/// What went wrong. Its name is the field `error` of a row, its sentence the field `message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it is counted by.
    pub class: Class,
    /// What happened, in words.
    pub message: String,
}

/// Classes of failures, by what they say about where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names and `docs/probes.md` say it")]
pub enum Class {
    DnsNoName,
    DnsNoRecords,
    DnsServer,
    DnsTimeout,
    DnsOther,
    DnsAnswers,
    AddressNotAllowed,
    ConnectRefused,
    ConnectUnreachable,
    ConnectTimeout,
    ConnectOther,
    TlsExpired,
    TlsNotYetValid,
    TlsUnknownIssuer,
    TlsWrongName,
    TlsRevoked,
    TlsCertificate,
    TlsTimeout,
    TlsUnsupported,
    TlsOther,
    WaitTimeout,
    TransferTimeout,
    ConnectionClosed,
    Protocol,
    TooManyRedirects,
    Status,
    Header,
    FinalUrl,
    HttpVersion,
    Size,
    Body,
    BodyTooLarge,
    Json,
    Content,
    Extract,
    Links,
    Page,
    Host,
    Prober,
    Login,
    ServerError,
    Proxy,
    Up,
    TooSlow,
    EdgeStale,
    EdgeContent,
    EdgePurge,
    EdgeCertificate,
    PingLost,
    PingNotAllowed,
    Heartbeat,
    JobFailed,
    DomainUnknown,
    DomainExpired,
    DomainStatus,
}

impl Class {
    /// Its name in the field `error`.
    pub fn name(self) -> &'static str {
        match self {
            Class::DnsNoName => "dns_no_name",
            Class::DnsNoRecords => "dns_no_records",
            Class::DnsServer => "dns_server",
            Class::DnsTimeout => "dns_timeout",
            Class::DnsOther => "dns_other",
            Class::DnsAnswers => "dns_answers",
            Class::AddressNotAllowed => "address_not_allowed",
            Class::ConnectRefused => "connect_refused",
            Class::ConnectUnreachable => "connect_unreachable",
            Class::ConnectTimeout => "connect_timeout",
            Class::ConnectOther => "connect_other",
            Class::TlsExpired => "tls_expired",
            Class::TlsNotYetValid => "tls_not_yet_valid",
            Class::TlsUnknownIssuer => "tls_unknown_issuer",
            Class::TlsWrongName => "tls_wrong_name",
            Class::TlsRevoked => "tls_revoked",
            Class::TlsCertificate => "tls_certificate",
            Class::TlsTimeout => "tls_timeout",
            Class::TlsUnsupported => "tls_unsupported",
            Class::TlsOther => "tls_other",
            Class::WaitTimeout => "wait_timeout",
            Class::TransferTimeout => "transfer_timeout",
            Class::ConnectionClosed => "connection_closed",
            Class::Protocol => "protocol",
            Class::TooManyRedirects => "too_many_redirects",
            Class::Status => "status",
            Class::Header => "header",
            Class::FinalUrl => "final_url",
            Class::HttpVersion => "http_version",
            Class::Size => "size",
            Class::Body => "body",
            Class::BodyTooLarge => "body_too_large",
            Class::Json => "json",
            Class::Content => "content",
            Class::Extract => "extract",
            Class::Links => "links",
            Class::Page => "page",
            Class::Host => "host",
            Class::Prober => "prober",
            Class::Login => "login",
            Class::ServerError => "server_error",
            Class::Proxy => "proxy",
            Class::Up => "up",
            Class::TooSlow => "too_slow",
            Class::EdgeStale => "edge_stale",
            Class::EdgeContent => "edge_content",
            Class::EdgePurge => "edge_purge",
            Class::EdgeCertificate => "edge_certificate",
            Class::PingLost => "ping_lost",
            Class::PingNotAllowed => "ping_not_allowed",
            Class::Heartbeat => "heartbeat",
            Class::JobFailed => "job_failed",
            Class::DomainUnknown => "domain_unknown",
            Class::DomainExpired => "domain_expired",
            Class::DomainStatus => "domain_status",
        }
    }

    /// A failure of this class.
    pub(crate) fn because(self, message: impl Into<String>) -> Failure {
        Failure { class: self, message: message.into() }
    }
}

/// Does the prober lack what it needs itself: files or memory?
pub(crate) fn is_own(error: &std::io::Error) -> bool {
    let own = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| own.contains(&code))
}

/// The class of a connection that cannot be made.
pub(crate) fn of_connect(error: &std::io::Error) -> Class {
    match error.kind() {
        _ if is_own(error) => Class::Prober,
        ErrorKind::ConnectionRefused => Class::ConnectRefused,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => {
            Class::ConnectUnreachable
        }
        ErrorKind::TimedOut => Class::ConnectTimeout,
        _ => Class::ConnectOther,
    }
}

/// Is it a handshake that failed?
pub(crate) fn is_tls(error: &std::io::Error) -> bool {
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some()
}

/// The class of a handshake that fails.
pub(crate) fn of_handshake(error: &std::io::Error) -> Class {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(error @ rustls::Error::InvalidCertificate(_)) => of_certificate(error),
        // The two found nothing that both speak; of the other side only its alert is known.
        Some(
            rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(
                AlertDescription::HandshakeFailure
                | AlertDescription::InsufficientSecurity
                | AlertDescription::ProtocolVersion,
            ),
        ) => Class::TlsUnsupported,
        _ => of_exchange(error).filter(|class| *class == Class::ConnectionClosed).unwrap_or(Class::TlsOther),
    }
}

/// The class of a certificate that is not trusted.
pub(crate) fn of_certificate(error: &rustls::Error) -> Class {
    let rustls::Error::InvalidCertificate(reason) = error else { return Class::TlsOther };
    match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Class::TlsExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Class::TlsNotYetValid,
        CertificateError::UnknownIssuer => Class::TlsUnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Class::TlsWrongName,
        _ => Class::TlsCertificate,
    }
}

/// The class of a connection that ends too early, if that is what an error or one of its causes says.
pub(crate) fn of_exchange(error: &(dyn std::error::Error + 'static)) -> Option<Class> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let is_closed = |kind: ErrorKind| {
        matches!(
            kind,
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
        )
    };
    causes
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| is_closed(cause.kind()))
        .then_some(Class::ConnectionClosed)
}

/// An error with its causes, which some keep out of their own message.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_prober_lacks_is_no_fault_of_a_target() {
        let of = |errno: Errno| of_connect(&errno.into());
        assert_eq!([Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(of), [Class::Prober; 4]);
        assert_eq!((of(Errno::CONNREFUSED), of(Errno::NETUNREACH)), (Class::ConnectRefused, Class::ConnectUnreachable));
    }
}
