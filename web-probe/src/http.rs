//! `http://` and `https://`: a request, its phases timed one by one.
//!
//! Built on hyper's connection API: this crate resolves, connects and shakes hands itself, because a client library
//! that did it would hide when each phase began and ended. The connection is closed after the answer; a redirect is followed over a new one, with phases of its own.

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use url::Url;

use crate::check::{Check, Checking, Findings, Phase};
use crate::failure::{Class, Failure, chain, of_exchange};
use crate::network::{Network, expires_in_s, shake_hands};
use crate::recorder::Field;
use crate::target::{ConnectTo, Expect, Target};

/// A request, and what its answer has to be.
#[derive(Debug)]
pub(crate) struct HttpCheck {
    pub url: Url,
    pub ask: HttpAsk,
    pub expect: Expect,
}

/// What is asked, beside the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAsk {
    /// The method of the first request.
    pub method: Method,
    /// Sent with every request. `Authorization` and `Cookie` go to the host of the address only.
    pub headers: HeaderMap,
    /// The body of the first request.
    pub body: Bytes,
    /// So many redirects are followed; more are a failure. With 0 a redirect is the answer.
    pub redirects_max: u32,
}

impl Default for HttpAsk {
    /// GET, up to 10 redirects as `curl -L` and blackbox_exporter follow them.
    fn default() -> HttpAsk {
        HttpAsk { method: Method::GET, headers: HeaderMap::new(), body: Bytes::new(), redirects_max: 10 }
    }
}

impl Check for HttpCheck {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn run<'a>(&'a self, target: &'a Target, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let (mut url, mut ask, mut target) = (self.url.clone(), self.ask.clone(), Cow::Borrowed(target));
            loop {
                let answer = hop(&target, network, &url, &ask, findings).await?;
                let Some(next) = answer.leads_to(&url).filter(|_| ask.redirects_max > 0).transpose()? else {
                    if !findings.hops.is_empty() {
                        findings.end_hop(&url);
                        findings.fields.push(("final_url", Field::Str(url.to_string())));
                    }
                    return self.judge(&answer, &url);
                };
                findings.end_hop(&url);
                if findings.hops.len() > ask.redirects_max as usize {
                    return Err(Class::TooManyRedirects
                        .because(format!("more than {} redirects; the next one leads to {next}", ask.redirects_max)));
                }
                ask.follow(answer.status, &url, &next);
                if url.host() != next.host() && matches!(target.connect_to, ConnectTo::Pinned(_)) {
                    target.to_mut().connect_to = ConnectTo::Any;
                }
                url = next;
            }
        })
    }
}

impl HttpCheck {
    /// Is the answer what is expected?
    fn judge(&self, answer: &Answer, url: &Url) -> Result<(), Failure> {
        let Expect { body, headers, final_url, .. } = &self.expect;
        if !self.expect.status_is_up(answer.status) {
            return Err(Class::Status.because(format!("status {} is not expected", answer.status)));
        }
        if let Some(pattern) = final_url.as_ref().filter(|pattern| !pattern.is_match(url.as_str())) {
            return Err(Class::FinalUrl.because(format!("it ends at {url}, which does not match '{pattern}'")));
        }
        for (name, pattern) in headers {
            let values = answer.headers.get_all(name);
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            if !values.iter().any(|value| pattern.is_match(&text(value))) {
                let found: Vec<String> = values.iter().map(text).collect();
                return Err(Class::Header
                    .because(format!("header {name} is '{}', which does not match '{pattern}'", found.join(", "))));
            }
        }
        match body {
            Some(pattern) if !pattern.is_match(&String::from_utf8_lossy(&answer.body)) => {
                Err(Class::Body.because(format!("the body does not contain '{pattern}'")))
            }
            _ => Ok(()),
        }
    }
}

impl HttpAsk {
    /// What the next request is behind a redirect, as the Fetch standard has it (section 4.4).
    fn follow(&mut self, status: u16, from: &Url, to: &Url) {
        if matches!(status, 301..=303) && self.method != Method::HEAD {
            (self.method, self.body) = (Method::GET, Bytes::new());
            self.headers.remove(header::CONTENT_TYPE);
        }
        if from.origin() != to.origin() {
            for secret in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION] {
                self.headers.remove(secret);
            }
            self.headers.remove(header::HOST);
        }
    }
}

/// What came back.
struct Answer {
    status: u16,
    headers: HeaderMap,
    /// The start of the body, as much as a pattern is looked for in.
    body: Vec<u8>,
}

impl Answer {
    /// Where a redirect leads.
    fn leads_to(&self, url: &Url) -> Option<Result<Url, Failure>> {
        let location =
            self.headers.get(header::LOCATION).filter(|_| matches!(self.status, 301 | 302 | 303 | 307 | 308))?;
        let location = String::from_utf8_lossy(location.as_bytes());
        let next = url.join(&location).ok().filter(|next| matches!(next.scheme(), "http" | "https"));
        Some(next.ok_or_else(|| {
            Class::Protocol.because(format!("http: a redirect leads to '{location}', which is no web address"))
        }))
    }
}

/// One request over a connection of its own.
async fn hop(
    target: &Target,
    network: &Network,
    url: &Url,
    ask: &HttpAsk,
    findings: &mut Findings,
) -> Result<Answer, Failure> {
    let incomplete = || Class::Protocol.because(format!("'{url}' has no host or no port"));
    let host = url.host().map(|host| host.to_owned()).ok_or_else(incomplete)?;
    let port = url.port_or_known_default().ok_or_else(incomplete)?;
    let stream = network.connect(target, &host, port, findings).await?;
    if url.scheme() != "https" {
        return exchange(url, ask, stream, findings).await;
    }
    let stream = shake_hands(network.http(), &host, stream, findings).await?;
    let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    findings.cert_expires_s = leaf.and_then(|leaf| expires_in_s(leaf));
    exchange(url, ask, stream, findings).await
}

/// What broke between two ends that were connected.
fn broken(error: &hyper::Error) -> Failure {
    let class = match error.is_incomplete_message() || error.is_canceled() {
        true => Class::ConnectionClosed,
        false => of_exchange(error).unwrap_or(Class::Protocol),
    };
    class.because(format!("http: {}", chain(error)))
}

/// Ends hyper's connection task with the probe, however the probe ends.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the request and reads the answer.
async fn exchange<S>(url: &Url, ask: &HttpAsk, stream: S, findings: &mut Findings) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (answer, _connection) = findings.time(Phase::Wait, request(url, ask, stream)).await?;
    let status = answer.status().as_u16();
    findings.status = Some(status);
    let (head, body) = answer.into_parts();
    let start = findings.begin(Phase::Transfer);
    let body = read_body(body, findings).await;
    findings.end(start);
    Ok(Answer { status, headers: head.headers, body: body? })
}

async fn request<S>(url: &Url, ask: &HttpAsk, stream: S) -> Result<(Response<Incoming>, AbortOnDrop), Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed = |error: hyper::Error| broken(&error);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = AbortOnDrop(tokio::spawn(async move {
        let _ = connection.await; // an error shows in the answer too
    }));
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("fournines/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Full::new(ask.body.clone()))
        .map_err(|error| Class::Protocol.because(format!("http: {error}")))?;
    for name in ask.headers.keys() {
        request.headers_mut().remove(name);
    }
    request.headers_mut().extend(ask.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok((sender.send_request(request).await.map_err(failed)?, connection))
}

/// Reads the body to its end and returns as much of it as a pattern is looked for in.
async fn read_body(mut body: Incoming, findings: &mut Findings) -> Result<Vec<u8>, Failure> {
    let mut start = Vec::new();
    findings.bytes = Some(0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        if let Some(data) = frame.data_ref() {
            *findings.bytes.get_or_insert(0) += data.len() as u64;
            let room = Expect::BODY_BYTES_SEARCHED - start.len();
            start.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    Ok(start)
}
