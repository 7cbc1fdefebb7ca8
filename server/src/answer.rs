//! Answers in a few words.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use query::endpoint::Body;

pub(crate) fn boxed(body: Full<Bytes>) -> Body {
    body.map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn respond(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(boxed(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    respond(status, "application/json", body.to_string())
}

pub(crate) fn failed(status: StatusCode, reason: &str) -> Response<Body> {
    json(status, &serde_json::json!({ "error": reason }))
}

pub(crate) fn done() -> serde_json::Value {
    serde_json::json!({ "status": "done" })
}

pub(crate) fn not_allowed(allowed: &str) -> Response<Body> {
    let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, &format!("this path takes {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_str(allowed).expect("names of methods"));
    response
}
