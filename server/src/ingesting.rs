//! Requests that bring rows, each as the agent whose token it has.

use hyper::{Method, Response, StatusCode};
use ingest::stats::Protocol;
use ingest::write::Influx;
use query::endpoint::Body;

use crate::answer::{boxed, respond};
use crate::call::Call;

pub(crate) async fn line_protocol(call: Call, influx: Influx) -> Response<Body> {
    call.services.ingest.line_protocol(call.granted.agent, influx, call.request).await.map(boxed)
}

pub(crate) async fn remote_write(call: Call) -> Response<Body> {
    call.services.ingest.remote_write(call.granted.agent, call.request).await.map(boxed)
}

pub(crate) async fn otlp(call: Call) -> Response<Body> {
    call.services.ingest.otlp(call.granted.agent, call.request).await.map(boxed)
}

pub(crate) async fn prometheus(call: Call) -> Response<Body> {
    call.services.ingest.prometheus(call.granted.agent, call.request).await.map(boxed)
}

pub(crate) async fn rows(call: Call, protocol: Protocol) -> Response<Body> {
    call.services.ingest.rows(call.granted.agent, protocol, call.request).await.map(boxed)
}

/// `/metrics/job/JOB{/LABEL/VALUE}`, as clients push to the Pushgateway. What was pushed once stays, as rows do; to
/// delete a group says only that nothing more comes.
pub(crate) async fn push(call: Call) -> Response<Body> {
    if call.request.method() == Method::DELETE {
        return respond(StatusCode::ACCEPTED, "text/plain", String::new());
    }
    let group = call.path.strip_prefix("/metrics/").unwrap_or_default().to_owned();
    call.services.ingest.push(call.granted.agent, &group, call.request).await.map(boxed)
}
