//! Is it alive, is it ready, what does it count?

use hyper::{Response, StatusCode};
use query::endpoint::Body;

use crate::answer::{failed, json, respond};
use crate::call::Call;
use crate::metrics;

pub(crate) async fn health(_: Call) -> Response<Body> {
    alive()
}

/// `/`: who answers, and where to read on.
pub(crate) async fn greeting(_: Call) -> Response<Body> {
    let text = concat!(
        "fournines ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/api/v3/query_sql   questions in SQL\n/api/v1/query       questions in PromQL, as of Prometheus\n",
        "/metrics            what the server counts\n/health, /ready     is it alive, does it take rows\n"
    );
    respond(StatusCode::OK, "text/plain; charset=utf-8", text.to_owned())
}

pub(crate) async fn ready(call: Call) -> Response<Body> {
    let store = &call.services.store;
    match (store.ended(), store.stats().read_only) {
        (None, false) => alive(),
        (Some(name), _) => {
            let reason = format!("the store's thread '{name}' has ended; the server stops, and is to be started again");
            failed(StatusCode::SERVICE_UNAVAILABLE, &reason)
        }
        (None, true) => failed(StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes until it is started again"),
    }
}

pub(crate) async fn metrics(call: Call) -> Response<Body> {
    respond(StatusCode::OK, metrics::MEDIA_TYPE, call.services.metrics.text())
}

fn alive() -> Response<Body> {
    let body = serde_json::json!({ "name": "fournines", "status": "pass", "version": env!("CARGO_PKG_VERSION") });
    json(StatusCode::OK, &body)
}
