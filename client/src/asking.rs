//! Asking a running server, over HTTP or HTTPS, with the token in `FOURNINES_TOKEN` if there is one.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, Uri, header, http};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Where the token is that the server asks for.
const TOKEN_VARIABLE: &str = "FOURNINES_TOKEN";

/// Whoever does not take a connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of any server, which keeps its connections.
pub type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Makes a client. What vouches for servers is what the system trusts, or the file in `SSL_CERT_FILE`.
///
/// # Errors
///
/// The system trusts no certificate.
pub fn new() -> Result<HttpClient> {
    let connector = HttpsConnectorBuilder::new().with_native_roots().context("the system trusts no certificate")?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = connector.https_or_http().enable_http1().wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// Begins a request for a path of the server.
///
/// # Errors
///
/// The address is none.
pub fn request(method: Method, url: &str, path: &str) -> Result<http::request::Builder> {
    let uri: Uri = format!("{}{path}", url.trim_end_matches('/')).parse().context("--url")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        bail!("--url takes an address like http://127.0.0.1:9999");
    }
    let request = Request::builder().method(method).uri(uri);
    Ok(match std::env::var(TOKEN_VARIABLE) {
        Ok(token) => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
        Err(_) => request,
    })
}

/// Posts JSON to a path of the server; an answer that is no success becomes the error that the server gave as reason.
///
/// # Errors
///
/// The server does not answer, or answers otherwise.
pub async fn ask(url: &str, path: &str, question: &Value) -> Result<Response<Incoming>> {
    send(Method::POST, url, path, "application/json", question.to_string()).await
}

/// As [`ask`], of a form: names and values, as the Prometheus API takes them.
///
/// # Errors
///
/// As [`ask`].
pub async fn ask_form(url: &str, path: &str, form: String) -> Result<Response<Incoming>> {
    send(Method::POST, url, path, "application/x-www-form-urlencoded", form).await
}

async fn send(method: Method, url: &str, path: &str, kind: &'static str, body: String) -> Result<Response<Incoming>> {
    let request = request(method, url, path)?
        .header(header::CONTENT_TYPE, kind)
        .header(header::TE, "trailers") // warnings that show only behind the rows
        .body(Full::new(Bytes::from(body)))?;
    let answer = new()?.request(request).await.with_context(|| {
        format!("{url} does not answer; start it with 'fournines serve', or open a data directory with --data-dir")
    })?;
    if !answer.status().is_success() {
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        bail!("{}", reason(&body).unwrap_or_else(|| format!("{url} answered {status}")));
    }
    Ok(answer)
}

/// The reason that an answer gives.
pub fn reason(body: &[u8]) -> Option<String> {
    let body = serde_json::from_slice::<Value>(body).ok()?;
    body["error"].as_str().map(str::to_owned)
}

/// As [`ask`], and waits for the whole answer.
///
/// # Errors
///
/// As [`ask`].
pub fn ask_whole(url: &str, path: &str, question: &Value) -> Result<Bytes> {
    wait(ask(url, path, question))
}

/// Deletes what a path of the server stands for.
///
/// # Errors
///
/// As [`ask`].
pub fn delete(url: &str, path: &str) -> Result<()> {
    wait(send(Method::DELETE, url, path, "application/json", String::new())).map(drop)
}

fn wait(asked: impl Future<Output = Result<Response<Incoming>>>) -> Result<Bytes> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(async { Ok(asked.await?.into_body().collect().await?.to_bytes()) })
}

/// Posts to a path of the server and returns its answer, which is JSON.
///
/// # Errors
///
/// As [`ask`]; or the answer is no JSON.
pub fn post(url: &str, path: &str) -> Result<Value> {
    let body = ask_whole(url, path, &Value::Null)?;
    serde_json::from_slice(&body).with_context(|| format!("{url} did not answer with JSON"))
}
