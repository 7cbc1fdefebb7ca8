//! The HTTP face: which path leads where.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use ingest::body::Limits;
use query::Engine;
use query::endpoint::Body;
use serde::Deserialize;
use tokio::net::TcpListener;
use tsdb::{DEFAULT_SCHEMA, Store, TagPredicate};

use crate::config::instant;
use crate::metrics::{self, Metrics};
use crate::snapshot;

/// Every path that there is.
const PATHS: [&str; 10] = [
    "/health",
    "/ready",
    "/metrics",
    "/write",
    "/api/v2/write",
    "/api/v3/query_sql",
    "/api/v1/admin/flush",
    "/api/v1/admin/compact",
    "/api/v1/admin/snapshot",
    "/api/v1/admin/delete",
];
/// The body of an administrative request may be this long, in bytes.
const ADMIN_BYTES_MAX: usize = 1 << 20;

/// What requests are answered from.
#[derive(Debug, Clone)]
pub struct Server {
    store: Arc<Store>,
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    data_dir: Arc<Path>,
    limits: Limits,
    header_timeout: Duration,
}

impl Server {
    pub fn new(
        store: Arc<Store>,
        engine: Arc<Engine>,
        data_dir: PathBuf,
        limits: Limits,
        header_timeout: Duration,
    ) -> Server {
        let metrics = Arc::new(Metrics::new(store.clone()));
        Server { store, engine, metrics, data_dir: data_dir.into(), limits, header_timeout }
    }

    /// Answers requests until `stop`; those under way then have `grace` to end.
    pub async fn run(self, listener: TcpListener, stop: impl Future<Output = ()>, grace: Duration) {
        let open = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let server = self.clone();
                    let service = service_fn(move |request| {
                        let server = server.clone();
                        async move { Ok::<_, Infallible>(server.answer(request).await) }
                    });
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(self.header_timeout)
                        .serve_connection(TokioIo::new(stream), service);
                    let connection = open.watch(connection);
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!("a connection broke off: {error}");
                        }
                    });
                }
                Err(error) => {
                    // Mostly too many open files: others close theirs, so it is worth trying again.
                    tracing::warn!("a connection could not be taken: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        let _ = tokio::time::timeout(grace, open.shutdown()).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = PATHS.iter().find(|path| **path == request.uri().path());
        let response = self.route(request).await;
        self.metrics.answered(path.unwrap_or(&"other"), response.status().as_u16());
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let method = request.method().clone();
        match (request.uri().path(), &method) {
            ("/health", &Method::GET | &Method::HEAD) => alive(),
            ("/ready", &Method::GET | &Method::HEAD) => match self.store.stats().read_only {
                false => alive(),
                true => failed(StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes until it is started again"),
            },
            ("/metrics", &Method::GET | &Method::HEAD) => {
                respond(StatusCode::OK, metrics::MEDIA_TYPE, self.metrics.text())
            }
            ("/write" | "/api/v2/write", &Method::POST) => {
                ingest::write::write(&self.store, self.limits, request).await.map(boxed)
            }
            ("/api/v3/query_sql", &Method::GET | &Method::POST) => {
                query::endpoint::query_sql(&self.engine, request).await
            }
            ("/api/v1/admin/flush", &Method::POST) => self.administer(|store| store.flush().map(|()| done())).await,
            ("/api/v1/admin/compact", &Method::POST) => self.administer(|store| store.compact().map(|()| done())).await,
            ("/api/v1/admin/snapshot", &Method::POST) => {
                let dir = self.data_dir.clone();
                let take = move |store: &Store| {
                    let path = snapshot::take(store, &dir)?;
                    Ok(serde_json::json!({ "status": "done", "path": path.display().to_string() }))
                };
                self.administer(take).await
            }
            ("/api/v1/admin/delete", &Method::POST) => self.delete(request).await,
            ("/health" | "/ready" | "/metrics", _) => not_allowed("GET, HEAD"),
            ("/api/v3/query_sql", _) => not_allowed("GET, POST"),
            (path, _) if PATHS.contains(&path) => not_allowed("POST"),
            (path, _) => {
                let reason = format!("there is nothing at {path}; there are {}", PATHS.join(", "));
                failed(StatusCode::NOT_FOUND, &reason)
            }
        }
    }

    /// Deletes rows: which ones stands in the body.
    async fn delete(&self, request: Request<Incoming>) -> Response<Body> {
        let body = Limited::new(request.into_body(), ADMIN_BYTES_MAX).collect().await;
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) => return failed(StatusCode::BAD_REQUEST, &format!("the body could not be read: {error}")),
        };
        let deletion = match serde_json::from_slice::<Deletion>(&body) {
            Ok(deletion) => deletion,
            Err(error) => {
                let example = r#"{"table":"cpu","from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z","tags":{"host":["a"]}}"#;
                return failed(
                    StatusCode::BAD_REQUEST,
                    &format!("the body: {error}; expected something like {example}"),
                );
            }
        };
        self.administer(move |store| {
            let tags: Vec<_> = deletion.tags.into_iter().map(|(tag, values)| TagPredicate::In(tag, values)).collect();
            let (from, to) = (deletion.from.0, deletion.to.0.saturating_sub(1));
            store.delete(&deletion.db, &deletion.table, from, to, &tags).map(|()| done())
        })
        .await
    }

    /// Does work of the store's that blocks, and answers when it is done.
    async fn administer(
        &self,
        work: impl FnOnce(&Store) -> tsdb::Result<serde_json::Value> + Send + 'static,
    ) -> Response<Body> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(Ok(answer)) => json(StatusCode::OK, &answer),
            Ok(Err(error @ (tsdb::Error::UnknownTable { .. } | tsdb::Error::UnknownColumn { .. }))) => {
                failed(StatusCode::NOT_FOUND, &error.to_string())
            }
            Ok(Err(error @ tsdb::Error::DiskFull { .. })) => {
                failed(StatusCode::INSUFFICIENT_STORAGE, &error.to_string())
            }
            Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }
}

/// What `/api/v1/admin/delete` is told. The times must be said: nobody deletes everything by leaving something out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    #[serde(default = "default_schema")]
    db: String,
    table: String,
    /// The first time.
    from: Instant,
    /// Up to this time, which is not deleted itself.
    to: Instant,
    /// The values of each tag that all must have; no tags: all series.
    #[serde(default)]
    tags: BTreeMap<String, Vec<String>>,
}

fn default_schema() -> String {
    DEFAULT_SCHEMA.into()
}

/// A time, written as `2026-11-01T00:00:00Z` or as nanoseconds since the epoch.
#[derive(Debug, Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Instant(i64);

impl TryFrom<serde_json::Value> for Instant {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Instant, String> {
        let expected = || format!("{value} is neither a time like 2026-11-01T00:00:00Z nor nanoseconds");
        match &value {
            serde_json::Value::String(text) => instant(text).map(Instant).map_err(|_| expected()),
            other => other.as_i64().map(Instant).ok_or_else(expected),
        }
    }
}

fn done() -> serde_json::Value {
    serde_json::json!({ "status": "done" })
}

fn boxed(body: Full<Bytes>) -> Body {
    body.map_err(|never| match never {}).boxed()
}

fn respond(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(boxed(Full::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    respond(status, "application/json", body.to_string())
}

fn failed(status: StatusCode, reason: &str) -> Response<Body> {
    json(status, &serde_json::json!({ "error": reason }))
}

fn alive() -> Response<Body> {
    let body = serde_json::json!({ "name": "fournines", "status": "pass", "version": env!("CARGO_PKG_VERSION") });
    json(StatusCode::OK, &body)
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = failed(StatusCode::METHOD_NOT_ALLOWED, &format!("this path takes {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}
