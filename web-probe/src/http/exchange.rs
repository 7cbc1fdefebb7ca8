//! One request over a connection of its own, and its answer.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderValue;
use hyper::http::response::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use percent_encoding::{AsciiSet, percent_encode};
use ring::digest::{Context, SHA256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use url::{Position, Url};

use super::coding::{self, Coding, UNPACKED_BYTES_MAX};
use super::content::Content;
use super::watched::{HEAD_BYTES_MAX, Seen, Watched};
use super::{Expect, HttpAsk};
use crate::base::terms::Terms;
use crate::found::failure::{Class, Failure, chain, of_exchange};
use crate::found::findings::{Findings, Phase};
use crate::net::crypto::{hex, sha256_hex};
use crate::net::identity::HttpVersion;
use crate::net::network::{Network, expires_in_s, shake_hands};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// `HTTP/1.1`, `HTTP/2`.
    pub protocol: &'static str,
    pub headers: HeaderMap,
    /// Those behind the body.
    pub trailers: HeaderMap,
    /// Bytes of the body, as they arrived.
    pub bytes: u64,
    /// The start of the body, as much as is looked at.
    pub body: Vec<u8>,
    /// Of the whole body as it arrived, if it was asked for.
    pub sha256: Option<String>,
    /// Of the certificate that was shown.
    pub cert_sha256: Option<String>,
}

impl Answer {
    /// Where a redirect leads.
    pub(super) fn leads_to(&self, url: &Url) -> Option<Result<Url, Failure>> {
        let location =
            self.headers.get(header::LOCATION).filter(|_| matches!(self.status, 301 | 302 | 303 | 307 | 308))?;
        let location = as_address(location.as_bytes());
        let next = url.join(&location).ok().filter(|next| matches!(next.scheme(), "http" | "https"));
        Some(next.ok_or_else(|| {
            Class::Protocol.because(format!("http: a redirect leads to '{location}', which is no web address"))
        }))
    }

    /// What was kept of the body, unpacked.
    ///
    /// # Errors
    ///
    /// It cannot be unpacked.
    pub(crate) fn content(&self) -> Result<Content<'_>, Failure> {
        let bytes = coding::unpacked(&Coding::all(&self.headers), &self.body, self.is_cut())?;
        Ok(Content::new(&self.headers, bytes))
    }

    /// The body, unpacked, if all of it was kept.
    ///
    /// # Errors
    ///
    /// It cannot be unpacked, or it is larger than what is looked at.
    pub(crate) fn whole_content(&self) -> Result<Content<'_>, Failure> {
        if self.is_cut() {
            return Err(coding::too_large(self.bytes, " is larger than"));
        }
        self.content()
    }

    /// The start of the body as text, unpacked.
    ///
    /// # Errors
    ///
    /// It cannot be unpacked.
    pub(crate) fn text(&self) -> Result<String, Failure> {
        Ok(self.content()?.text(Expect::BODY_BYTES_SEARCHED))
    }

    /// The SHA-256 of the body as it is unpacked.
    ///
    /// # Errors
    ///
    /// It cannot be unpacked.
    pub(super) fn content_sha256(&self) -> Result<String, Failure> {
        match &self.sha256 {
            Some(sha256) if Coding::all(&self.headers).is_empty() => Ok(sha256.clone()),
            _ => Ok(sha256_hex(self.whole_content()?.bytes())),
        }
    }

    fn is_cut(&self) -> bool {
        self.bytes > self.body.len() as u64
    }
}

/// What a header says as the text of an address: bytes that are no UTF-8 are escaped as they are.
fn as_address(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| percent_encode(bytes, LETTERS_THAT_ARE_NONE).into(), Cow::Borrowed)
}

/// Everything that is no ASCII is always escaped.
const LETTERS_THAT_ARE_NONE: &AsciiSet = &AsciiSet::EMPTY;

/// One request over a connection of its own.
pub(crate) async fn hop(
    terms: &Terms,
    network: &Network,
    url: &Url,
    ask: &HttpAsk,
    findings: &mut Findings,
) -> Result<Answer, Failure> {
    #[cfg(feature = "http3")]
    if ask.version == HttpVersion::Http3 {
        return super::http3::hop(terms, network, url, ask, findings).await;
    }
    let answer = hop_over_tcp(terms, network, url, ask, findings).await;
    // A server may take HTTP/2 and send who comes by it back to HTTP/1.1 (RFC 9113, section 7).
    let is_sent_back = answer.is_err() && ask.version == HttpVersion::Any && findings.notes.contains(HTTP_1_1_REQUIRED);
    if !is_sent_back {
        return answer;
    }
    let before = std::mem::take(&mut findings.phases);
    let ask = HttpAsk { version: HttpVersion::Http1, ..ask.clone() };
    let answer = hop_over_tcp(terms, network, url, &ask, findings).await;
    findings.phases = before.plus(&findings.phases);
    answer
}

/// What is noted of a server that sends who comes by HTTP/2 back to HTTP/1.1.
const HTTP_1_1_REQUIRED: &str = "http_1_1_required";

async fn hop_over_tcp(
    terms: &Terms,
    network: &Network,
    url: &Url,
    ask: &HttpAsk,
    findings: &mut Findings,
) -> Result<Answer, Failure> {
    let host = url.host().map(|host| host.to_owned()).ok_or_else(|| incomplete(url))?;
    let stream = connect(terms, network, url, ask, findings).await?;
    if url.scheme() != "https" {
        return exchange(url, ask, stream, ask.version == HttpVersion::Http2, findings).await;
    }
    let config = network.http(terms, ask.version, ask.identity.as_ref())?;
    let stream = shake_hands(config, &host, stream, findings).await?;
    let session = stream.get_ref().1;
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    findings.cert_expires_s = leaf.and_then(|leaf| expires_in_s(leaf));
    let cert_sha256 = leaf.map(|leaf| sha256_hex(leaf));
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    if ask.version == HttpVersion::Http2 && !is_http2 {
        return Err(Class::HttpVersion.because("the server does not take HTTP/2"));
    }
    let answer = exchange(url, ask, stream, is_http2, findings).await?;
    Ok(Answer { cert_sha256, ..answer })
}

pub(super) fn incomplete(url: &Url) -> Failure {
    Class::Protocol.because(format!("'{url}' has no host or no port"))
}

/// Any stream of bytes in both directions.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection to where an address leads, or to the proxy on the way.
async fn connect(
    terms: &Terms,
    network: &Network,
    url: &Url,
    ask: &HttpAsk,
    findings: &mut Findings,
) -> Result<Box<dyn Stream>, Failure> {
    let to = ask.proxy.as_ref().unwrap_or(url);
    let host = to.host().map(|host| host.to_owned()).ok_or_else(|| incomplete(to))?;
    let port = to.port_or_known_default().ok_or_else(|| incomplete(to))?;
    findings.proxy = ask.proxy.as_ref().map(|proxy| name(proxy).to_owned());
    let stream = network.connect(terms, &host, port, findings).await.map_err(|failure| match &findings.proxy {
        // What the prober lacks itself is no trouble of the proxy.
        Some(proxy) if failure.class != Class::Prober => {
            Class::Proxy.because(format!("proxy {proxy}: {}", failure.message))
        }
        _ => failure,
    })?;
    let Some(proxy) = ask.proxy.as_ref().filter(|_| url.scheme() == "https") else {
        findings.proxy = None;
        return Ok(Box::new(stream));
    };
    let connected = findings.phases.connect;
    let tunnel = findings.time(Phase::Connect, tunnel(proxy, url, stream)).await;
    findings.phases.connect = connected.zip(findings.phases.connect).map(|(before, behind)| before + behind);
    let tunnel = tunnel?;
    findings.proxy = None;
    Ok(Box::new(tunnel))
}

/// Lets a proxy connect to where an address leads (RFC 9110, section 9.3.6).
async fn tunnel<S: Stream + 'static>(proxy: &Url, url: &Url, stream: S) -> Result<impl Stream + use<S>, Failure> {
    let failed = |error: hyper::Error| Class::Proxy.because(format!("proxy {}: {}", name(proxy), chain(&error)));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Not to be aborted when this ends: it hands the stream over.
    tokio::spawn(connection.with_upgrades());
    let authority =
        format!("{}:{}", &url[Position::BeforeHost..Position::AfterHost], url.port_or_known_default().unwrap_or(443));
    let mut request = Request::builder().method(Method::CONNECT).uri(&authority).header(header::HOST, &authority);
    if let Some(login) = login(proxy) {
        request = request.header(header::PROXY_AUTHORIZATION, login);
    }
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|error| Class::Proxy.because(format!("proxy {}: {error}", name(proxy))))?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(Class::Proxy.because(format!(
            "proxy {}: it answers {} to CONNECT {authority}",
            name(proxy),
            answer.status()
        )));
    }
    Ok(TokioIo::new(hyper::upgrade::on(answer).await.map_err(failed)?))
}

/// A proxy without its password.
fn name(proxy: &Url) -> &str {
    &proxy[Position::BeforeHost..Position::AfterPort]
}

/// What a proxy is told of who asks.
fn login(proxy: &Url) -> Option<String> {
    let text = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    let password = text(proxy.password().unwrap_or_default());
    let login = STANDARD.encode(format!("{}:{password}", text(proxy.username())));
    (!proxy.username().is_empty()).then(|| format!("Basic {login}"))
}

/// What broke between two ends that were connected.
fn broken(error: &hyper::Error) -> Failure {
    let class = match error.is_incomplete_message() || error.is_canceled() {
        true => Class::ConnectionClosed,
        false => of_exchange(error).unwrap_or(Class::Protocol),
    };
    class.because(format!("http: {}", chain(error)))
}

/// Ends a connection's task with the probe, however the probe ends.
pub(super) struct AbortOnDrop(pub JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the request and reads the answer.
async fn exchange<S: Stream + 'static>(
    url: &Url,
    ask: &HttpAsk,
    stream: S,
    is_http2: bool,
    findings: &mut Findings,
) -> Result<Answer, Failure> {
    let request = match is_http2 {
        true => request(url, ask, Version::HTTP_2),
        false => request(url, ask, Version::HTTP_11),
    }?;
    let seen = Arc::new(Seen::default());
    let stream = Watched::new(stream, seen.clone(), !is_http2);
    let sent = findings.time(Phase::Wait, send(request, stream, is_http2)).await;
    let (answer, _connection) = sent.map_err(|error| {
        findings.notes.extend(is_sent_back(&error).then_some(HTTP_1_1_REQUIRED));
        broken(&error)
    })?;
    let (head, body) = answer.into_parts();
    let mut is_refused = false;
    let failed = |error| {
        is_refused = is_sent_back(&error);
        broken(&error)
    };
    let answer = read_answer(head, body, ask, failed, findings).await;
    findings.notes.extend(seen.notes());
    findings.notes.extend(is_refused.then_some(HTTP_1_1_REQUIRED));
    let answer = answer?;
    match ask.proxy.as_ref().filter(|_| answer.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
        Some(proxy) => Err(Class::Proxy.because(format!("proxy {}: it answers {}", name(proxy), answer.status))),
        None => Ok(answer),
    }
}

/// Does a server want HTTP/1.1?
fn is_sent_back(error: &hyper::Error) -> bool {
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    let mut reasons = causes.filter_map(|cause| cause.downcast_ref::<h2::Error>()?.reason());
    reasons.any(|reason| reason == h2::Reason::HTTP_1_1_REQUIRED)
}

/// Reads the answer behind its head.
pub(super) async fn read_answer<B: Body<Data = Bytes> + Unpin>(
    head: Parts,
    body: B,
    ask: &HttpAsk,
    broken: impl FnMut(B::Error) -> Failure,
    findings: &mut Findings,
) -> Result<Answer, Failure> {
    findings.status = Some(head.status.as_u16());
    let mut answer = Answer {
        status: head.status.as_u16(),
        protocol: protocol(head.version),
        headers: head.headers,
        trailers: HeaderMap::new(),
        bytes: 0,
        body: Vec::new(),
        sha256: None,
        cert_sha256: None,
    };
    let start = findings.begin(Phase::Transfer);
    let read = read_body(body, &mut answer, ask, broken, findings).await;
    findings.end(start);
    read.map(|()| answer)
}

/// The name of a protocol, as ALPN and RFC 9110 have it.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/0.9",
    }
}

/// The request as its protocol has it: HTTP/1.1 names the host in a header, and an origin gets the path alone.
pub(super) fn request(url: &Url, ask: &HttpAsk, version: Version) -> Result<Request<Full<Bytes>>, Failure> {
    let invalid = |error: hyper::http::Error| Class::Protocol.because(format!("http: {error}"));
    let by_proxy = ask.proxy.as_ref().filter(|_| url.scheme() == "http");
    let has_authority = version != Version::HTTP_11;
    let uri = match has_authority || by_proxy.is_some() {
        true => &url[..Position::AfterQuery],
        false => &url[Position::BeforePath..Position::AfterQuery],
    };
    let uri: Uri = uri.parse().map_err(|error| invalid(hyper::http::Error::from(error)))?;
    let mut request = Request::builder()
        .method(ask.method.clone())
        .version(version)
        .uri(uri)
        .header(header::USER_AGENT, concat!("fournines/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "*/*");
    if !has_authority {
        let host = &url[Position::BeforeHost..Position::AfterPort];
        request = request.header(header::HOST, host).header(header::CONNECTION, "close");
    }
    if let Some(login) = by_proxy.and_then(login) {
        request = request.header(header::PROXY_AUTHORIZATION, login);
    }
    let mut request = request.body(Full::new(ask.body.clone())).map_err(invalid)?;
    for name in ask.headers.keys() {
        request.headers_mut().remove(name);
    }
    let own = ask.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
    request.headers_mut().extend(own);
    if has_authority && let Some(host) = request.headers_mut().remove(header::HOST) {
        set_authority(&mut request, &host)?;
    }
    Ok(request)
}

/// HTTP/2 and 3 name the host in the address.
fn set_authority(request: &mut Request<Full<Bytes>>, host: &HeaderValue) -> Result<(), Failure> {
    let invalid = |error: hyper::http::Error| Class::Protocol.because(format!("http: {error}"));
    let mut parts = request.uri().clone().into_parts();
    let authority = host.as_bytes().try_into().map_err(|error: hyper::http::uri::InvalidUri| invalid(error.into()))?;
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|error| invalid(error.into()))?;
    Ok(())
}

/// As lenient as browsers: what is odd is noted elsewhere.
async fn send<S: Stream + 'static>(
    request: Request<Full<Bytes>>,
    stream: S,
    is_http2: bool,
) -> Result<(Response<Incoming>, AbortOnDrop), hyper::Error> {
    let stream = TokioIo::new(stream);
    // An error of a connection shows in the answer, too.
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_header_list_size(HEAD_BYTES_MAX as u32);
        let (mut sender, connection) = builder.handshake(stream).await?;
        let connection = AbortOnDrop(tokio::spawn(async move { drop(connection.await) }));
        return Ok((sender.send_request(request).await?, connection));
    }
    let mut builder = http1::Builder::new();
    builder
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(stream).await?;
    let connection = AbortOnDrop(tokio::spawn(async move { drop(connection.await) }));
    Ok((sender.send_request(request).await?, connection))
}

/// More headers than an answer ever has.
const HEADERS_MAX: usize = 5000;

/// Reads the body to its end, and keeps as much of it as is looked at.
async fn read_body<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    answer: &mut Answer,
    ask: &HttpAsk,
    mut broken: impl FnMut(B::Error) -> Failure,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let mut digest = ask.hash_body.then(|| Context::new(&SHA256));
    // What is packed is unpacked before it is hashed.
    let is_hashed_later = ask.hash_body && !Coding::all(&answer.headers).is_empty();
    let kept_max = if is_hashed_later { ask.body_bytes_kept.max(UNPACKED_BYTES_MAX) } else { ask.body_bytes_kept };
    findings.bytes = Some(0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(&mut broken)?;
        answer.trailers.extend(frame.trailers_ref().cloned().unwrap_or_default());
        if let Some(data) = frame.data_ref() {
            answer.bytes += data.len() as u64;
            findings.bytes = Some(answer.bytes);
            let room = kept_max - answer.body.len();
            answer.body.extend_from_slice(&data[..data.len().min(room)]);
            digest.iter_mut().for_each(|digest| digest.update(data));
        }
    }
    answer.sha256 = digest.map(|digest| hex(digest.finish().as_ref()));
    Ok(())
}
