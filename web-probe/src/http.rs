//! One HTTP or HTTPS probe, its phases timed one by one.
//!
//! Built on hyper's connection API: this file resolves, connects and shakes hands itself, because a client library
//! that did it would hide when each phase began and ended. The name is resolved for every probe; the connection goes
//! to the address that was resolved, and is closed after the answer. Redirects are not followed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

use crate::address::is_link_local_or_metadata;
use crate::measurement::{Measurement, Outcome, Phases};
use crate::target::{Expect, Target};

/// Probes over HTTP and HTTPS. Made once, used by all targets at the same time.
#[derive(Debug, Clone)]
pub struct HttpProbe {
    /// Or why names cannot be resolved.
    resolver: Result<Arc<TokioResolver>, String>,
    tls: Arc<ClientConfig>,
}

/// What is known of a probe so far: whatever ends it, this stays.
#[derive(Default)]
struct Findings {
    phases: Phases,
    status: Option<u16>,
    bytes: Option<u64>,
    cert_expires_s: Option<i64>,
    /// What it is doing, for the message when time is up.
    doing: &'static str,
}

impl HttpProbe {
    /// A probe with the system's resolver and root certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded).
    pub fn new() -> HttpProbe {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.cache_size = 0; // every slot measures the resolver too
            options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
            builder.build()
        });
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!("a root certificate was left out: {error}");
        }
        roots.add_parsable_certificates(found.certs);
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would show the handshake faster than a visitor's first one.
        tls.resumption = rustls::client::Resumption::disabled();
        HttpProbe { resolver: resolver.map(Arc::new).map_err(|error| error.to_string()), tls: Arc::new(tls) }
    }

    /// Probes a target once. Takes at most the target's timeout.
    pub async fn probe(&self, target: &Target) -> Measurement {
        let start = Instant::now();
        let mut findings = Findings::default();
        let outcome = tokio::time::timeout(target.timeout, self.run(target, &mut findings)).await;
        findings.phases.total = Some(start.elapsed());
        let error = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some(format!("timeout after {:?} while {}", target.timeout, findings.doing)),
        };
        let slow = target.slow.is_some_and(|limit| start.elapsed() > limit);
        let outcome = match (&error, slow) {
            (Some(_), _) => Outcome::Fail,
            (None, true) => Outcome::Slow,
            (None, false) => Outcome::Ok,
        };
        let Findings { phases, status, bytes, cert_expires_s, .. } = findings;
        Measurement { outcome, phases, status, bytes, error, cert_expires_s }
    }

    async fn run(&self, target: &Target, findings: &mut Findings) -> Result<(), String> {
        let port = target.url.port_or_known_default().ok_or("the address has no port")?;
        let address = self.resolve(target, findings).await?;
        let stream = connect(SocketAddr::new(address, port), findings).await?;
        match target.url.scheme() {
            "https" => {
                let stream = self.shake_hands(&target.url, stream, findings).await?;
                exchange(target, stream, findings).await
            }
            _ => exchange(target, stream, findings).await,
        }
    }

    async fn resolve(&self, target: &Target, findings: &mut Findings) -> Result<IpAddr, String> {
        let address = match target.url.host().ok_or("the address has no host")? {
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
            Host::Domain(name) => {
                findings.doing = "resolving the name";
                let start = Instant::now();
                let resolver = self.resolver.as_ref().map_err(|error| format!("dns: no resolver: {error}"))?;
                let found = resolver.lookup_ip(name).await;
                findings.phases.dns = Some(start.elapsed());
                let found = found.map_err(|error| format!("dns: {error}"))?;
                found.iter().next().ok_or_else(|| format!("dns: {name} has no address"))?
            }
        };
        match is_link_local_or_metadata(address) && !target.allow_link_local {
            true => Err(format!("{address} is a link-local or metadata address (allow_link_local = true probes it)")),
            false => Ok(address),
        }
    }

    async fn shake_hands(
        &self,
        url: &Url,
        stream: TcpStream,
        findings: &mut Findings,
    ) -> Result<TlsStream<TcpStream>, String> {
        findings.doing = "shaking hands (TLS)";
        let name = match url.host().ok_or("the address has no host")? {
            Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|error| format!("tls: {error}"))?,
            Host::Ipv4(address) => ServerName::from(IpAddr::V4(address)),
            Host::Ipv6(address) => ServerName::from(IpAddr::V6(address)),
        };
        let start = Instant::now();
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await;
        findings.phases.tls = Some(start.elapsed());
        let stream = stream.map_err(|error| format!("tls: {error}"))?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        findings.cert_expires_s = leaf.and_then(|leaf| expires_in_s(leaf));
        Ok(stream)
    }
}

impl Default for HttpProbe {
    fn default() -> HttpProbe {
        HttpProbe::new()
    }
}

async fn connect(address: SocketAddr, findings: &mut Findings) -> Result<TcpStream, String> {
    findings.doing = "connecting";
    let start = Instant::now();
    let stream = TcpStream::connect(address).await;
    findings.phases.connect = Some(start.elapsed());
    let stream = stream.map_err(|error| format!("connect to {address}: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("connect to {address}: {error}"))?;
    Ok(stream)
}

/// Ends hyper's connection task with the probe, however the probe ends.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the request and reads the answer.
async fn exchange<S>(target: &Target, stream: S, findings: &mut Findings) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    findings.doing = "waiting for the answer";
    let start = Instant::now();
    let answer = request(target, stream).await;
    findings.phases.wait = Some(start.elapsed());
    let (answer, _connection) = answer?;
    let status = answer.status().as_u16();
    findings.status = Some(status);

    findings.doing = "reading the body";
    let start = Instant::now();
    let body = read_body(answer.into_body(), findings).await;
    findings.phases.transfer = Some(start.elapsed());
    let body = body?;
    if !target.expect.status_is_up(status) {
        return Err(format!("status {status} is not expected"));
    }
    match &target.expect.body {
        Some(pattern) if !pattern.is_match(&String::from_utf8_lossy(&body)) => {
            Err(format!("the body does not contain '{pattern}'"))
        }
        _ => Ok(()),
    }
}

async fn request<S>(target: &Target, stream: S) -> Result<(Response<Incoming>, AbortOnDrop), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed = |error: hyper::Error| format!("http: {}", chain(&error));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = AbortOnDrop(tokio::spawn(async move {
        let _ = connection.await; // an error shows in the answer too
    }));
    let url = &target.url;
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let request = Request::get(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("fournines/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("http: {error}"))?;
    Ok((sender.send_request(request).await.map_err(failed)?, connection))
}

/// Reads the body to its end and returns as much of it as a pattern is looked for in.
async fn read_body(mut body: Incoming, findings: &mut Findings) -> Result<Vec<u8>, String> {
    let mut start = Vec::new();
    findings.bytes = Some(0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("http: {}", chain(&error)))?;
        if let Some(data) = frame.data_ref() {
            *findings.bytes.get_or_insert(0) += data.len() as u64;
            let room = Expect::BODY_BYTES_SEARCHED - start.len();
            start.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(start)
}

/// An error with its causes, which hyper keeps out of its own message.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// How long a certificate is still good for.
fn expires_in_s(der: &[u8]) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Some(certificate.validity().not_after.timestamp() - now.as_secs() as i64)
}
