//! What all checks share: how names are resolved, connections made and hands shaken, each timed by itself.
//!
//! A name is resolved for every check; the connection goes to the address that was resolved.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RecordType;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tsdb::now_ns;
use url::Host;

use super::crypto::provider;
use super::identity::{HttpVersion, Identity};
use super::verifier::Verifier;
use crate::base::address::is_link_local_or_metadata;
use crate::base::resolver::Resolver;
use crate::base::terms::{ConnectTo, Terms};
use crate::base::trust::Trust;
use crate::found::failure::{Class, Failure, is_own, of_connect, of_handshake};
use crate::found::findings::{Findings, Phase};

/// The resolver and the root certificates. Made once, used by all checks at the same time.
#[derive(Debug, Clone)]
pub struct Network {
    /// Or why names cannot be resolved.
    resolver: Result<Resolver, String>,
    /// The same without the file of hosts.
    servers: Result<Resolver, String>,
    /// Believes whom the system trusts.
    system: Result<Arc<Verifier>, String>,
    /// For HTTP/1.1 and 2 in this order of preference, without an identity of the client.
    http: Option<[Arc<ClientConfig>; 3]>,
}

impl Network {
    /// The system's resolver and root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded).
    pub fn new() -> Network {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!("a root certificate was left out: {error}");
        }
        Network::trusting(found.certs)
    }

    /// The system's resolver, and who has a certificate of one of these.
    pub fn trusting(certificates: Vec<CertificateDer<'static>>) -> Network {
        let system = Verifier::new(&certificates);
        let http = system.as_ref().ok().map(|verifier| {
            [HttpVersion::Any, HttpVersion::Http1, HttpVersion::Http2].map(|version| {
                Arc::new(
                    http_config(verifier.clone(), version, None).expect("there is no identity that could be wrong"),
                )
            })
        });
        Network { resolver: Resolver::system(), servers: Resolver::system_servers(), system, http }
    }

    /// The system's servers of names, whatever its file of hosts says.
    pub(crate) fn servers(&self) -> Result<&Resolver, Failure> {
        self.servers.as_ref().map_err(|error| Class::DnsOther.because(format!("dns: no resolver: {error}")))
    }

    /// Who is believed by these terms.
    pub(crate) fn verifier(&self, terms: &Terms) -> Result<Arc<Verifier>, Failure> {
        let verifier = match &terms.trust {
            Trust::System => self.system.clone(),
            Trust::Only(certificates) => Verifier::new(certificates),
            Trust::Anybody => Ok(Verifier::of_everybody()),
        };
        verifier.map_err(|error| Class::TlsOther.because(format!("tls: {error}")))
    }

    /// How hands are shaken where nothing more is asked for than a certificate that is believed.
    pub(crate) fn tls(&self, terms: &Terms) -> Result<Arc<ClientConfig>, Failure> {
        believing(self.verifier(terms)?)
    }

    /// How hands are shaken for what is asked over HTTP.
    pub(crate) fn http(
        &self,
        terms: &Terms,
        version: HttpVersion,
        identity: Option<&Identity>,
    ) -> Result<Arc<ClientConfig>, Failure> {
        if let (Trust::System, None, Some(known)) = (&terms.trust, identity, &self.http) {
            return Ok(known[version as usize].clone());
        }
        let config = http_config(self.verifier(terms)?, version, identity);
        config.map(Arc::new).map_err(|error| Class::TlsOther.because(format!("tls: {error}")))
    }

    /// The address of a host, by name if it has one.
    pub(crate) async fn resolve(
        &self,
        terms: &Terms,
        host: &Host<String>,
        findings: &mut Findings,
    ) -> Result<IpAddr, Failure> {
        let address = match (host, terms.connect_to) {
            (_, ConnectTo::Pinned(address)) => address,
            (Host::Ipv4(address), _) => IpAddr::V4(*address),
            (Host::Ipv6(address), _) => IpAddr::V6(*address),
            (Host::Domain(name), family) => {
                let found = findings.time(Phase::Dns, self.first_address(terms, name, family)).await;
                found?.ok_or_else(|| Class::DnsNoRecords.because(format!("dns: {name} has no address")))?
            }
        };
        findings.address = Some(address);
        match is_link_local_or_metadata(address) && !terms.allow_link_local {
            true => Err(Class::AddressNotAllowed
                .because(format!("{address} is a link-local or metadata address (allow_link_local = true probes it)"))),
            false => Ok(address),
        }
    }

    /// The first address that a name has in a family.
    async fn first_address(&self, terms: &Terms, name: &str, family: ConnectTo) -> Result<Option<IpAddr>, Failure> {
        let resolver = terms.resolver.as_ref().map_or(self.resolver.as_ref(), Ok);
        let resolver = resolver.map_err(|error| Class::DnsOther.because(format!("dns: no resolver: {error}")))?.get();
        let failed = |error: NetError| of_lookup(name, &error);
        let record = match family {
            ConnectTo::V4 => RecordType::A,
            ConnectTo::V6 => RecordType::AAAA,
            ConnectTo::Any | ConnectTo::Both | ConnectTo::Pinned(_) => {
                return Ok(resolver.lookup_ip(name).await.map_err(failed)?.iter().next());
            }
        };
        let found = resolver.lookup(name, record).await.map_err(failed)?;
        Ok(found.answers().iter().find_map(|record| record.data.ip_addr()))
    }

    /// A connection to a port of a host.
    pub(crate) async fn connect(
        &self,
        terms: &Terms,
        host: &Host<String>,
        port: u16,
        findings: &mut Findings,
    ) -> Result<TcpStream, Failure> {
        let address = SocketAddr::new(self.resolve(terms, host, findings).await?, port);
        let failed = |error: std::io::Error| of_connect(&error).because(format!("connect to {address}: {error}"));
        let stream = findings.time(Phase::Connect, TcpStream::connect(address)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }
}

impl Default for Network {
    fn default() -> Network {
        Network::new()
    }
}

/// How hands are shaken with whom somebody believes.
pub(crate) fn believing(verifier: Arc<dyn ServerCertVerifier>) -> Result<Arc<ClientConfig>, Failure> {
    let config = client_config(|builder| {
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    });
    config.map(Arc::new).map_err(|error| Class::TlsOther.because(format!("tls: {error}")))
}

/// How hands are shaken for HTTP.
fn http_config(
    verifier: Arc<Verifier>,
    version: HttpVersion,
    identity: Option<&Identity>,
) -> Result<ClientConfig, rustls::Error> {
    let (http1, http2) = (b"http/1.1".to_vec(), b"h2".to_vec());
    let mut config = client_config(|builder| {
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        match identity.map(Identity::chain_and_key) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key),
            None => Ok(builder.with_no_client_auth()),
        }
    })?;
    config.alpn_protocols = match version {
        HttpVersion::Any => vec![http2, http1],
        HttpVersion::Http1 => vec![http1],
        HttpVersion::Http2 => vec![http2],
        HttpVersion::Http3 => Vec::new(), // shakes hands by itself
    };
    Ok(config)
}

/// TLS 1.2 and 1.3 as a visitor who comes for the first time: a resumed session would show the handshake faster.
pub(crate) fn client_config(
    trust: impl FnOnce(rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>) -> Result<ClientConfig, rustls::Error>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
    let mut config = trust(builder)?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// A TLS connection, shaken hands over a stream.
pub(crate) async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ClientConfig>,
    host: &Host<String>,
    stream: S,
    findings: &mut Findings,
) -> Result<TlsStream<S>, Failure> {
    let name = server_name(host)?;
    let stream = findings.time(Phase::Tls, TlsConnector::from(config).connect(name, stream)).await;
    stream.map_err(|error| of_handshake(&error).because(format!("tls: {error}")))
}

/// A host as a certificate has to name it.
pub(crate) fn server_name(host: &Host<String>) -> Result<ServerName<'static>, Failure> {
    Ok(match host {
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|error| Class::TlsOther.because(format!("tls: {name}: {error}")))?,
        Host::Ipv4(address) => ServerName::from(IpAddr::V4(*address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::V6(*address)),
    })
}

/// How long a certificate is still good for.
pub(crate) fn expires_in_s(der: &[u8]) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(certificate.validity().not_after.timestamp() - now_ns().div_euclid(1_000_000_000))
}

/// Why a name has no answer.
pub(crate) fn of_lookup(name: &str, error: &NetError) -> Failure {
    let class = match error {
        NetError::Io(error) if is_own(error) => Class::Prober,
        NetError::Timeout => Class::DnsTimeout,
        _ if error.is_nx_domain() => Class::DnsNoName,
        NetError::Dns(DnsError::NoRecordsFound(_)) => Class::DnsNoRecords,
        NetError::Dns(DnsError::ResponseCode(_)) => Class::DnsServer,
        _ => Class::DnsOther,
    };
    class.because(match class {
        Class::DnsNoName => format!("dns: there is no name {name}"),
        Class::DnsNoRecords => format!("dns: {name} has no such records"),
        _ => format!("dns: {name}: {error}"),
    })
}
