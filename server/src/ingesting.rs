//! Requests that bring rows, each as the agent whose token it has.

use hyper::Response;
use ingest::stats::Protocol;
use ingest::write::Influx;
use query::endpoint::Body;

use crate::answer::boxed;
use crate::call::Call;

pub(crate) async fn line_protocol(call: Call, influx: Influx) -> Response<Body> {
    call.services.ingest.line_protocol(call.agent, influx, call.request).await.map(boxed)
}

pub(crate) async fn remote_write(call: Call) -> Response<Body> {
    call.services.ingest.remote_write(call.agent, call.request).await.map(boxed)
}

pub(crate) async fn otlp(call: Call) -> Response<Body> {
    call.services.ingest.otlp(call.agent, call.request).await.map(boxed)
}

pub(crate) async fn prometheus(call: Call) -> Response<Body> {
    call.services.ingest.prometheus(call.agent, call.request).await.map(boxed)
}

pub(crate) async fn rows(call: Call, protocol: Protocol) -> Response<Body> {
    call.services.ingest.rows(call.agent, protocol, call.request).await.map(boxed)
}
