//! Asking a running server.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Posts JSON to a path of the server; an answer that is no success becomes the error that the server gave as reason.
pub async fn ask(url: &str, path: &str, question: &Value) -> Result<Response<Incoming>> {
    let uri: Uri = format!("{}{path}", url.trim_end_matches('/')).parse().context("--url")?;
    if uri.scheme_str() != Some("http") {
        bail!("--url takes an address like http://127.0.0.1:9999");
    }
    let request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::TE, "trailers") // warnings that show only behind the rows
        .body(Full::new(Bytes::from(question.to_string())))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.with_context(|| {
        format!("{url} does not answer; start it with 'fournines serve', or open a data directory with --data-dir")
    })?;
    if !answer.status().is_success() {
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let reason = serde_json::from_slice::<Value>(&body).ok();
        let reason = reason.as_ref().and_then(|body| body["error"].as_str());
        bail!("{}", reason.map_or_else(|| format!("{url} answered {status}"), str::to_owned));
    }
    Ok(answer)
}

/// Posts to a path of the server and returns its answer, which is JSON.
pub fn post(url: &str, path: &str) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(async {
        let body = ask(url, path, &Value::Null).await?.into_body().collect().await?.to_bytes();
        serde_json::from_slice(&body).with_context(|| format!("{url} did not answer with JSON"))
    })
}
