//! The HTTP face: which path leads where.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use ingest::stats::Protocol;
use ingest::write::{Influx, Ingest};
use query::endpoint::Body;
use query::{Declaration, Engine, Entry, Kind};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tsdb::{DEFAULT_SCHEMA, Store, TagPredicate, fault};

use crate::config::{Config, instant};
use crate::head_timed::{HeadTimed, Waits};
use crate::metrics::{self, Metrics};
use crate::snapshot;
use crate::tls::Certificate;
use crate::tokens::{Denied, Guard, Scope};

/// Every path that there is.
const PATHS: [&str; 25] = [
    "/health",
    "/ping",
    "/ready",
    "/metrics",
    "/write",
    "/api/v2/write",
    "/api/v3/write_lp",
    "/api/v1/write",
    "/v1/metrics",
    "/api/v1/import/prometheus",
    "/api/v1/import/json",
    "/api/v1/import/csv",
    "/api/v1/import/arrow",
    "/api/v3/query_sql",
    "/api/v1/admin/flush",
    "/api/v1/admin/compact",
    "/api/v1/admin/snapshot",
    "/api/v1/admin/accept_damage",
    "/api/v1/admin/delete",
    "/api/v1/admin/maintenance",
    "/api/v1/admin/maintenance/end",
    "/api/v1/admin/exclusions",
    "/api/v1/admin/exclusions/end",
    "/api/v1/admin/rollups",
    "/api/v1/admin/rollups/remove",
];
/// What hyper needs for a head at the least, in bytes.
const HEADER_BYTES_MIN: usize = 8192;
/// The body of an administrative request may be this long, in bytes.
const ADMIN_BYTES_MAX: usize = 1 << 20;

/// What requests are answered from.
#[derive(Debug, Clone)]
pub struct Server {
    store: Arc<Store>,
    engine: Arc<Engine>,
    ingest: Arc<Ingest>,
    metrics: Arc<Metrics>,
    guard: Arc<Guard>,
    data_dir: Arc<Path>,
    header_timeout: Duration,
    header_bytes_max: usize,
    idle_timeout: Duration,
    connections: Arc<Semaphore>,
    connections_max: usize,
    /// Connections that are told that they are too many.
    refusals: Arc<Semaphore>,
}

/// Tells a client that it is one too many, in the protocol that it speaks, and takes what it sends meanwhile: a connection that is closed with something
/// unread is reset, and the answer may be lost.
async fn refuse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(drop)
}

/// What a client is told that is one too many; there is nobody to read its request.
const ONE_TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n";
/// So many are told at a time.
const REFUSALS_MAX: usize = 64;
/// How long that may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client may take for the handshake of TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

impl Server {
    pub fn new(store: Arc<Store>, engine: Arc<Engine>, ingest: Arc<Ingest>, guard: Guard, config: &Config) -> Server {
        let metrics = Arc::new(Metrics::new(store.clone(), ingest.clone()));
        let Config { server, store: of_store, .. } = config;
        Server {
            store,
            engine,
            ingest,
            metrics,
            guard: Arc::new(guard),
            data_dir: of_store.data_dir.as_path().into(),
            header_timeout: server.header_timeout,
            header_bytes_max: server.header_max.as_u64() as usize,
            connections: Arc::new(Semaphore::new(server.connections_max)),
            connections_max: server.connections_max,
            idle_timeout: server.idle_timeout,
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
        }
    }

    /// Answers requests until `stop`; those under way then have `grace` to end.
    pub async fn run(
        self,
        listener: TcpListener,
        certificate: Option<Arc<Certificate>>,
        stop: impl Future<Output = ()>,
        grace: Duration,
    ) -> Result<()> {
        let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let following = certificate.map(|certificate| tokio::spawn(certificate.follow()));
        let open = GracefulShutdown::new();
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, _)) => self.take(stream, acceptor.as_ref(), &open),
                Err(error) => {
                    // Mostly too many open files: others close theirs, so it is worth trying again.
                    tracing::warn!("a connection could not be taken: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        following.inspect(JoinHandle::abort);
        let _ = tokio::time::timeout(grace, open.shutdown()).await;
        Ok(())
    }

    /// Serves a connection on a task of its own, or tells it that it is one too many.
    fn take(&self, mut stream: TcpStream, acceptor: Option<&TlsAcceptor>, open: &GracefulShutdown) {
        let Ok(permit) = self.connections.clone().try_acquire_owned() else {
            self.metrics.connection_refused();
            let limit = self.connections_max;
            let reason = format!("{limit} connections are open (server.connections_max); try again shortly\n");
            let answer = format!("{ONE_TOO_MANY}content-length: {}\r\n\r\n{reason}", reason.len());
            // Those that are told so are bounded, too; what is more is closed at once.
            let Ok(permit) = self.refusals.clone().try_acquire_owned() else { return };
            let acceptor = acceptor.cloned();
            tokio::spawn(async move {
                let _permit = permit;
                let told = async {
                    match acceptor {
                        None => refuse(&mut stream, &answer).await,
                        Some(acceptor) => refuse(&mut acceptor.accept(stream).await?, &answer).await,
                    }
                };
                let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
            });
            return;
        };
        let _ = stream.set_nodelay(true);
        let (server, watcher, acceptor) = (self.clone(), open.watcher(), acceptor.cloned());
        tokio::spawn(async move {
            let _permit = permit;
            let Some(acceptor) = acceptor else { return server.serve(stream, watcher).await };
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => server.serve(stream, watcher).await,
                Ok(Err(error)) => tracing::debug!("a handshake failed: {error}"),
                Err(_) => tracing::debug!("a handshake took too long"),
            }
        });
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, watcher: Watcher) {
        let bytes_max = self.header_bytes_max;
        let waits = Waits::new(self.header_timeout);
        // Until a head is whole, from the end of the answer before: that is the time that a connection may be idle. A head that has begun has its own.
        let idle_timeout = self.idle_timeout.max(self.header_timeout);
        let stream = HeadTimed::new(stream, waits.clone());
        let service = service_fn(move |request| {
            let (server, waits) = (self.clone(), waits.clone());
            async move {
                waits.head_is_whole();
                let response = server.answer(request).await;
                waits.next();
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle_timeout)
            .max_buf_size(bytes_max.max(HEADER_BYTES_MIN))
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!("a connection broke off: {error}");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        fault("request");
        let path = PATHS.iter().find(|path| **path == request.uri().path());
        let response = self.route(request).await;
        self.metrics.answered(path.unwrap_or(&"other"), response.status().as_u16());
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let method = request.method().clone();
        if let Some(scope) = scope(request.uri().path())
            && let Err(denied) = self.guard.check(request.headers(), scope)
        {
            return denial(&denied, scope);
        }
        match (request.uri().path(), &method) {
            ("/health", &Method::GET | &Method::HEAD) => alive(),
            // What clients of InfluxDB ask first.
            ("/ping", &Method::GET | &Method::HEAD) => respond(StatusCode::NO_CONTENT, "text/plain", String::new()),
            ("/ready", &Method::GET | &Method::HEAD) => match (self.store.ended(), self.store.stats().read_only) {
                (None, false) => alive(),
                (Some(name), _) => {
                    let reason =
                        format!("the store's thread '{name}' has ended; the server stops, and is to be started again");
                    failed(StatusCode::SERVICE_UNAVAILABLE, &reason)
                }
                (None, true) => {
                    failed(StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes until it is started again")
                }
            },
            ("/metrics", &Method::GET | &Method::HEAD) => {
                respond(StatusCode::OK, metrics::MEDIA_TYPE, self.metrics.text())
            }
            ("/write" | "/api/v2/write", &Method::POST) => {
                self.ingest.line_protocol(Influx::V1V2, request).await.map(boxed)
            }
            ("/api/v3/write_lp", &Method::POST) => self.ingest.line_protocol(Influx::V3, request).await.map(boxed),
            ("/api/v1/write", &Method::POST) => self.ingest.remote_write(request).await.map(boxed),
            ("/v1/metrics", &Method::POST) => self.ingest.otlp(request).await.map(boxed),
            ("/api/v1/import/prometheus", &Method::POST) => self.ingest.prometheus(request).await.map(boxed),
            ("/api/v1/import/json", &Method::POST) => self.ingest.rows(Protocol::Json, request).await.map(boxed),
            ("/api/v1/import/csv", &Method::POST) => self.ingest.rows(Protocol::Csv, request).await.map(boxed),
            ("/api/v1/import/arrow", &Method::POST) => self.ingest.rows(Protocol::Arrow, request).await.map(boxed),
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
            ("/api/v1/admin/accept_damage", &Method::POST) => {
                let accept = |store: &Store| {
                    store.accept_damage().map(|accepted| serde_json::json!({ "status": "done", "accepted": accepted }))
                };
                self.administer(accept).await
            }
            ("/api/v1/admin/delete", &Method::POST) => self.delete(request).await,
            ("/api/v1/admin/maintenance", &Method::POST) => self.exclude(Kind::Maintenance, request).await,
            ("/api/v1/admin/maintenance/end", &Method::POST) => self.end_exclusion(Kind::Maintenance, request).await,
            ("/api/v1/admin/exclusions", &Method::POST) => self.exclude(Kind::Exclusion, request).await,
            ("/api/v1/admin/exclusions/end", &Method::POST) => self.end_exclusion(Kind::Exclusion, request).await,
            ("/api/v1/admin/rollups", &Method::POST) => self.declare_rollup(request).await,
            ("/api/v1/admin/rollups/remove", &Method::POST) => self.remove_rollup(request).await,
            ("/health" | "/ping" | "/ready" | "/metrics", _) => not_allowed("GET, HEAD"),
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
        let example =
            r#"{"table":"cpu","from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z","tags":{"host":["a"]}}"#;
        let deletion: Deletion = match told(request, example).await {
            Ok(deletion) => deletion,
            Err(refusal) => return *refusal,
        };
        if deletion.to.0 <= deletion.from.0 {
            let reason = "to: expected a time after from: rows from 'from' on and before 'to' are deleted";
            return failed(StatusCode::BAD_REQUEST, reason);
        }
        self.administer(move |store| {
            let tags: Vec<_> = deletion.tags.into_iter().map(|(tag, values)| TagPredicate::In(tag, values)).collect();
            let (from, to) = (deletion.from.0, deletion.to.0.saturating_sub(1));
            store.delete(&deletion.db, &deletion.table, from, to, &tags).map(|()| done())
        })
        .await
    }

    /// Adds time that does not count.
    async fn exclude(&self, kind: Kind, request: Request<Incoming>) -> Response<Body> {
        let example = r#"{"targets":"target = 'portal'","from":"2026-11-25T22:00:00Z","to":"2026-11-26T02:00:00Z","author":"J. Doe","reason":"upgrade"}"#;
        let told: Exclusion = match told(request, example).await {
            Ok(told) => told,
            Err(refusal) => return *refusal,
        };
        let from = told.from.map_or_else(now, |from| from.0);
        let until = told.to.map(|to| to.0);
        let entry = Entry { from, until, targets: told.targets, author: told.author, reason: told.reason };
        self.ask_engine(move |engine| engine.exclude(&told.db, kind, &entry).map(|id| serde_json::json!({ "id": id })))
            .await
    }

    /// Gives time that does not count another end.
    async fn end_exclusion(&self, kind: Kind, request: Request<Incoming>) -> Response<Body> {
        let told: End = match told(request, r#"{"id":"18ff3a9c01","to":"2026-11-26T01:10:00Z"}"#).await {
            Ok(told) => told,
            Err(refusal) => return *refusal,
        };
        let until = told.to.map_or_else(now, |to| to.0);
        self.ask_engine(move |engine| engine.end_exclusion(&told.db, kind, &told.id, until).map(|()| done())).await
    }

    /// Declares a rollup.
    async fn declare_rollup(&self, request: Request<Incoming>) -> Response<Body> {
        let told: Declaration = match told(request, r#"{"measurement":"probe","interval":"1d","where":"up"}"#).await {
            Ok(told) => told,
            Err(refusal) => return *refusal,
        };
        let rollup = match told.rollup() {
            Ok(rollup) => rollup,
            Err(error) => return failed(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let name = rollup.name.clone();
        let declare = move |store: &Store| store.declare_rollup(rollup);
        self.administer(move |store| declare(store).map(|()| serde_json::json!({ "name": name }))).await
    }

    /// Removes a rollup.
    async fn remove_rollup(&self, request: Request<Incoming>) -> Response<Body> {
        let told: Named = match told(request, r#"{"name":"probe_1d"}"#).await {
            Ok(told) => told,
            Err(refusal) => return *refusal,
        };
        self.administer(move |store| store.remove_rollup(&told.name).map(|()| done())).await
    }

    /// Has the engine do what blocks, and answers when it is done.
    async fn ask_engine(
        &self,
        work: impl FnOnce(&Engine) -> Result<serde_json::Value, query::Error> + Send + 'static,
    ) -> Response<Body> {
        let engine = self.engine.clone();
        match tokio::task::spawn_blocking(move || work(&engine)).await {
            Ok(Ok(answer)) => json(StatusCode::OK, &answer),
            Ok(Err(error @ query::Error::Statement(_))) => failed(StatusCode::BAD_REQUEST, &error.to_string()),
            Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
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
            Ok(Err(error @ tsdb::Error::Rollup { .. })) => failed(StatusCode::BAD_REQUEST, &error.to_string()),
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

/// What `/api/v1/admin/maintenance` and `exclusions` are told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    #[serde(default = "default_schema")]
    db: String,
    /// A condition on tags; none: all targets.
    #[serde(default)]
    targets: String,
    /// When it begins: now, unless told otherwise.
    from: Option<Instant>,
    /// When it ends, if that is known.
    to: Option<Instant>,
    author: String,
    reason: String,
}

/// Which entry ends when: now, unless told otherwise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    #[serde(default = "default_schema")]
    db: String,
    id: String,
    to: Option<Instant>,
}

/// Which rollup.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

/// What the body of an administrative request says, or why it cannot be read.
async fn told<T: DeserializeOwned>(request: Request<Incoming>, example: &str) -> Result<T, Box<Response<Body>>> {
    let refused = |reason: &str| Box::new(failed(StatusCode::BAD_REQUEST, reason));
    let body = Limited::new(request.into_body(), ADMIN_BYTES_MAX).collect().await;
    let body = body.map_err(|error| refused(&format!("the body could not be read: {error}")))?.to_bytes();
    serde_json::from_slice(&body)
        .map_err(|error| refused(&format!("the body: {error}; expected something like {example}")))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
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

/// What a path needs; the paths that say whether it is alive need nothing.
fn scope(path: &str) -> Option<Scope> {
    match path {
        "/health" | "/ping" | "/ready" => None,
        "/metrics" | "/api/v3/query_sql" => Some(Scope::Read),
        path if path.starts_with("/api/v1/admin/") => Some(Scope::Admin),
        path if PATHS.contains(&path) => Some(Scope::Write),
        _ => None,
    }
}

fn denial(denied: &Denied, scope: Scope) -> Response<Body> {
    let scope = scope.name();
    match denied {
        Denied::Unknown => {
            let reason = format!("this needs a token with the scope {scope}: send 'Authorization: Bearer TOKEN'");
            let mut response = failed(StatusCode::UNAUTHORIZED, &reason);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Denied::Scope => failed(StatusCode::FORBIDDEN, &format!("the token does not have the scope {scope}")),
    }
}

fn done() -> serde_json::Value {
    serde_json::json!({ "status": "done" })
}

fn boxed(body: Full<Bytes>) -> Body {
    body.map_err(|never| match never {}).boxed_unsync()
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
