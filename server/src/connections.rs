//! Connections: how many, how long each may wait, over TLS or not; and a request's way from its connection to its
//! answer.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alerts::live::Live;
use anyhow::Result;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use ingest::write::Ingest;
use query::Engine;
use query::endpoint::Body;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tsdb::{Store, fault};

use crate::answer::respond;
use crate::call::{Call, Services};
use crate::door::{self, Door};
use crate::head_timed::{HeadTimed, Waits};
use crate::metrics::Metrics;
use crate::prometheus::PromqlOptions;
use crate::routes::{self, Route};
use crate::tls::Certificate;
use crate::tokens::Guard;

pub use crate::door::Neighbours;

/// What hyper needs for a head at the least, in bytes.
const HEADER_BYTES_MIN: usize = 8192;
/// What a client is told that is one too many; there is nobody to read its request.
const ONE_TOO_MANY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n";
/// So many are told at a time.
const REFUSALS_MAX: usize = 64;
/// How long that may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// What the two agree on for HTTP/2, under TLS.
pub(crate) const HTTP2: &[u8] = b"h2";
/// So many requests may be under way on a connection of HTTP/2.
const STREAMS_MAX: u32 = 100;
/// How long a client may take for the handshake of TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a server listens.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the data is: snapshots go there.
    pub data_dir: Arc<Path>,
    /// How long a head may take, once it has begun.
    pub header_timeout: Duration,
    /// How large a head may be, in bytes.
    pub header_bytes_max: usize,
    /// How long a connection may be idle between two requests.
    pub idle_timeout: Duration,
    /// How many connections may be open.
    pub connections_max: usize,
    /// Requests may come under a path that begins so (`/fournines`), as from a proxy that does not take it off; empty
    /// for none.
    pub base_path: String,
    /// Who is expected beside those who have a token.
    pub neighbours: Neighbours,
    /// How questions in PromQL are answered.
    pub promql: PromqlOptions,
}

/// A server of HTTP.
#[derive(Debug, Clone)]
pub struct Server {
    services: Arc<Services>,
    door: Arc<Door>,
    options: Arc<Options>,
    connections: Arc<Semaphore>,
    /// Connections that are told that they are too many.
    refusals: Arc<Semaphore>,
}

impl Server {
    /// Answers from a store, an engine over it, what takes rows for it, and the rules over it.
    pub fn new(
        store: Arc<Store>,
        engine: Arc<Engine>,
        ingest: Arc<Ingest>,
        rules: Arc<Live>,
        guard: Guard,
        options: Options,
    ) -> Server {
        let metrics = Metrics::new(store.clone(), ingest.clone(), rules.clone());
        let (data_dir, promql) = (options.data_dir.clone(), options.promql.clone());
        Server {
            services: Arc::new(Services {
                store,
                engine,
                ingest,
                promql,
                promql_metrics: promql::stored::Metrics::default(),
                rules,
                metrics,
                data_dir,
                started: jiff::Timestamp::now(),
                made: Mutex::default(),
            }),
            door: Arc::new(Door::new(guard, options.neighbours.clone())),
            connections: Arc::new(Semaphore::new(options.connections_max)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            options: Arc::new(options),
        }
    }

    /// Answers requests until `stop`; those under way then have `grace` to end.
    ///
    /// # Errors
    ///
    /// The certificate cannot be used.
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
                Ok((stream, peer)) => self.take(stream, peer.ip().to_canonical(), acceptor.as_ref(), &open),
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
    fn take(&self, mut stream: TcpStream, peer: IpAddr, acceptor: Option<&TlsAcceptor>, open: &GracefulShutdown) {
        let Ok(permit) = self.connections.clone().try_acquire_owned() else {
            self.services.metrics.connection_refused();
            let limit = self.options.connections_max;
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
                        Some(acceptor) => {
                            let mut stream = acceptor.accept(stream).await?;
                            match stream.get_ref().1.alpn_protocol() {
                                Some(HTTP2) => refuse_http2(stream, &reason).await,
                                _ => refuse(&mut stream, &answer).await,
                            }
                        }
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
            let Some(acceptor) = acceptor else { return server.serve(stream, peer, watcher).await };
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => server.serve(stream, peer, watcher).await,
                Ok(Err(error)) => tracing::debug!("a handshake failed: {error}"),
                Err(_) => tracing::debug!("a handshake took too long"),
            }
        });
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: IpAddr, watcher: Watcher) {
        let bytes_max = self.options.header_bytes_max;
        // Until a head is whole, from the end of the answer before: that is the time that a connection may be idle. A
        // head that has begun has its own.
        let idle_timeout = self.options.idle_timeout.max(self.options.header_timeout);
        let waits = Waits::new(self.options.header_timeout, idle_timeout);
        let stream = HeadTimed::new(stream, waits.clone());
        let service = service_fn(move |request| {
            let (server, waits) = (self.clone(), waits.clone());
            async move {
                let _answering = waits.head_is_whole();
                Ok::<_, Infallible>(server.answer(request, peer).await)
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        let bytes_max = bytes_max.max(HEADER_BYTES_MIN);
        builder.http1().timer(TokioTimer::new()).header_read_timeout(idle_timeout).max_buf_size(bytes_max);
        let head_bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        builder.http2().max_header_list_size(head_bytes_max).max_concurrent_streams(STREAMS_MAX);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!("a connection broke off: {error}");
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
        fault("request");
        let path = request.uri().path();
        let path = path.strip_prefix(&*self.options.base_path).filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let Some(route) = Route::of(path) else {
            self.services.metrics.answered("other", 404);
            return routes::nothing(path);
        };
        let shown_to = self.door.shown_to(request.headers());
        let mut response = match self.door.preflight(&request) {
            Some(response) => response,
            None => match self.door.let_in(&request, peer, route.scopes) {
                Ok(granted) => {
                    let services = self.services.clone();
                    route.answer(Call { services, granted, path: path.to_owned(), request }).await
                }
                Err(refusal) => *refusal,
            },
        };
        if let Some(origin) = shown_to {
            door::show(&mut response, origin);
        }
        self.services.metrics.answered(route.pattern, response.status().as_u16());
        response
    }
}

/// The same to a client that agreed on HTTP/2: every request has this answer, until the time for it is over.
async fn refuse_http2(stream: impl AsyncRead + AsyncWrite + Unpin, reason: &str) -> std::io::Result<()> {
    let service = service_fn(|_: Request<Incoming>| {
        let mut response = respond(StatusCode::SERVICE_UNAVAILABLE, "text/plain", reason.to_owned());
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    connection.await.map_err(std::io::Error::other)
}

/// Tells a client that it is one too many, in the protocol that it speaks, and takes what it sends meanwhile: a
/// connection that is closed with something unread is reset, and the answer may be lost.
async fn refuse(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &str) -> std::io::Result<()> {
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await.map(drop)
}
