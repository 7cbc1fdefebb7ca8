//! HTTP/3 (RFC 9114) over QUIC: connection and handshake are one, and a request has a stream of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::stream;
use h3::client::{RequestStream, SendRequest};
use h3::error::{ConnectionError, StreamError};
use http_body_util::StreamBody;
use hyper::body::Frame;
use hyper::http::response::Parts;
use hyper::{Method, Request, Version, header};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use url::Url;

use super::HttpAsk;
use super::exchange::{AbortOnDrop, Answer, incomplete, read_answer, request};
use crate::base::terms::Terms;
use crate::found::failure::{Class, Failure, chain, of_certificate, of_connect};
use crate::found::findings::{Findings, Phase};
use crate::net::crypto::sha256_hex;
use crate::net::network::{Network, client_config, expires_in_s};
use crate::net::witness::Witness;

/// What servers of HTTP/3 are told, and answer (RFC 9114, section 3.1).
const ALPN: &[u8] = b"h3";
/// The largest head of an answer.
const HEAD_BYTES_MAX: u64 = 256 << 10;
/// The alert of a server that speaks none of the protocols it is offered (RFC 7301), as QUIC carries it (RFC 9001,
/// section 4.8).
const NO_APPLICATION_PROTOCOL: u64 = 0x100 + 120;

/// One request over a connection of its own.
pub(super) async fn hop(
    terms: &Terms,
    network: &Network,
    url: &Url,
    ask: &HttpAsk,
    findings: &mut Findings,
) -> Result<Answer, Failure> {
    if url.scheme() != "https" {
        return Err(Class::HttpVersion.because(format!("{url} is without TLS, which HTTP/3 has always")));
    }
    let host = url.host().map(|host| host.to_owned()).ok_or_else(|| incomplete(url))?;
    let port = url.port_or_known_default().ok_or_else(|| incomplete(url))?;
    let address = SocketAddr::new(network.resolve(terms, &host, findings).await?, port);
    let witness = Witness::new(network.verifier(terms)?);
    let config = config(ask, &witness)?;
    let name = host.to_string();
    let connected = findings.time(Phase::Connect, connect(address, config, name.trim_matches(['[', ']']))).await;
    let shown = witness.shown();
    findings.cert_expires_s = shown.chain.first().and_then(|leaf| expires_in_s(leaf));
    let cert_sha256 = shown.chain.first().map(|leaf| sha256_hex(leaf));
    let connection = connected.map_err(|failure| match &shown.refused {
        Some(refused) => of_certificate(refused).because(format!("tls: {refused}")),
        None => failure,
    })?;

    let (parts, body) = request(url, ask, Version::HTTP_3)?.map(|_| ask.body.clone()).into_parts();
    let sent = send(connection.clone(), Request::from_parts(parts, ()), body);
    let Sent { head, stream, _sender, _driver } = findings.time(Phase::Wait, sent).await?;
    let chunks = stream::unfold(stream, |mut stream| async move {
        let chunk = stream.recv_data().await.transpose()?;
        Some((chunk.map(|mut data| Frame::data(data.copy_to_bytes(data.remaining()))), stream))
    });
    let length = head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let body = Box::pin(StreamBody::new(chunks));
    let answer = read_answer(head, body, ask, |error| broken(&error), findings).await?;
    connection.close(0x100u32.into(), b"");
    match length.filter(|length| *length != answer.bytes && ask.method != Method::HEAD) {
        Some(length) => {
            Err(Class::ConnectionClosed
                .because(format!("http: the body ends after {} of {length} bytes", answer.bytes)))
        }
        None => Ok(Answer { cert_sha256, ..answer }),
    }
}

/// How hands are shaken.
fn config(ask: &HttpAsk, witness: &Arc<Witness>) -> Result<ClientConfig, Failure> {
    let wrong = |error: String| Class::TlsOther.because(format!("tls: {error}"));
    let mut config = client_config(|builder| {
        let builder = builder.dangerous().with_custom_certificate_verifier(witness.clone());
        match ask.identity.as_ref().map(crate::net::identity::Identity::chain_and_key) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key),
            None => Ok(builder.with_no_client_auth()),
        }
    })
    .map_err(|error| wrong(error.to_string()))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    let config = QuicClientConfig::try_from(config).map_err(|error| wrong(error.to_string()))?;
    Ok(ClientConfig::new(Arc::new(config)))
}

/// A connection from a port of its own.
async fn connect(address: SocketAddr, config: ClientConfig, name: &str) -> Result<quinn::Connection, Failure> {
    let any = match address.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let endpoint = Endpoint::client(SocketAddr::new(any, 0))
        .map_err(|error| of_connect(&error).because(format!("connect to {address}: {error}")))?;
    let failed = |class: Class, why: String| class.because(format!("connect to {address} (QUIC): {why}"));
    let connecting =
        endpoint.connect_with(config, address, name).map_err(|error| failed(Class::ConnectOther, error.to_string()))?;
    connecting.await.map_err(|error| {
        let class = match &error {
            quinn::ConnectionError::TimedOut => Class::ConnectTimeout,
            quinn::ConnectionError::VersionMismatch => Class::HttpVersion,
            quinn::ConnectionError::ConnectionClosed(close)
                if u64::from(close.error_code) == NO_APPLICATION_PROTOCOL =>
            {
                Class::HttpVersion
            }
            _ => Class::TlsOther,
        };
        failed(class, chain(&error))
    })
}

/// A request whose answer has begun.
struct Sent {
    head: Parts,
    stream: RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>,
    /// The connection is closed when it is dropped.
    _sender: SendRequest<h3_quinn::OpenStreams, Bytes>,
    _driver: AbortOnDrop,
}

/// Sends a request, and waits for the head of its answer.
async fn send(connection: quinn::Connection, request: Request<()>, body: Bytes) -> Result<Sent, Failure> {
    let mut builder = h3::client::builder();
    builder.max_field_section_size(HEAD_BYTES_MAX);
    let made = builder.build::<_, _, Bytes>(h3_quinn::Connection::new(connection)).await;
    let (mut connection, mut sender) = made.map_err(|error| broken_connection(&error))?;
    // An error of the connection shows in the stream, too.
    let driver = AbortOnDrop(tokio::spawn(async move { drop(connection.wait_idle().await) }));
    let sent = async {
        let mut stream = sender.send_request(request).await?;
        if !body.is_empty() {
            stream.send_data(body).await?;
        }
        stream.finish().await?;
        let head = stream.recv_response().await?.into_parts().0;
        Ok((head, stream))
    };
    let (head, stream) = sent.await.map_err(|error| broken(&error))?;
    Ok(Sent { head, stream, _sender: sender, _driver: driver })
}

/// What broke between two ends that were connected.
fn broken(error: &StreamError) -> Failure {
    let class = match error {
        StreamError::HeaderTooBig { .. } | StreamError::StreamError { .. } => Class::Protocol,
        _ => Class::ConnectionClosed,
    };
    class.because(format!("http: {}", chain(error)))
}

fn broken_connection(error: &ConnectionError) -> Failure {
    Class::ConnectionClosed.because(format!("http: {}", chain(error)))
}
