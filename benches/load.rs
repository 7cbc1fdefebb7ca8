//! The load harness: sends rows to a server, at a rate or as fast as it takes them, and says how that went.
//!
//! At a rate it is an open loop: each request has an intended start, and its time counts from there whether or not the
//! server was ready for it, so that a server that stalls is not spared the requests that it kept from being sent
//! (coordinated omission, <https://github.com/giltene/wrk2>). Each connection has its own series and sends them in the
//! order of time, so that Prometheus takes them, too.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// From one row of a series to the next, in ms.
const STEP_MS: i64 = 10_000;
/// Times are known to this many digits.
const DIGITS: u8 = 3;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// InfluxDB line protocol: a measurement with all fields.
    LineProtocol,
    /// Prometheus remote write 1.0: a metric for each field.
    RemoteWrite,
}

/// How it is sent.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server, like `http://127.0.0.1:9999`.
    pub url: String,
    /// The path, if it is not the protocol's own.
    pub path: Option<String>,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// What is sent.
    pub protocol: Protocol,
    /// Values a second; `None` for as many as the server takes.
    pub rate: Option<u64>,
    /// Series (hosts), shared among the connections.
    pub series: usize,
    /// Fields of a row.
    pub fields: usize,
    /// Rows of a request.
    pub batch: usize,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// How long it takes.
    pub duration: Duration,
    /// Makes the same values again.
    pub seed: u64,
}

/// How it went.
#[derive(Debug)]
pub struct Outcome {
    /// Requests that were answered with success.
    pub requests: u64,
    /// Requests that were told to come back (429, 503); their rows were not sent again.
    pub busy: u64,
    /// Requests that failed otherwise.
    pub failed: u64,
    /// What the first of those was told.
    pub first_failure: Option<String>,
    /// Values in requests that succeeded.
    pub values: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// From the first start to the last answer.
    pub elapsed: Duration,
    /// From intended start to answer, in us.
    pub latency_us: Histogram<u64>,
}

/// What has happened so far; for progress.
#[derive(Debug, Default)]
pub struct Progress {
    /// Values in requests that succeeded.
    pub values: AtomicU64,
}

/// Runs a load to its end.
///
/// # Errors
///
/// The address is none, or the client cannot be made.
pub async fn run(load: &Load, progress: Arc<Progress>) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
    let path = load.path.as_deref().unwrap_or(match load.protocol {
        Protocol::LineProtocol => "/write",
        Protocol::RemoteWrite => "/api/v1/write",
    });
    let uri: Uri = format!("{}{path}", load.url.trim_end_matches('/')).parse()?;
    let start = Instant::now() + Duration::from_millis(50);
    let mut workers = Vec::new();
    for number in 0..load.connections.max(1) {
        let worker = Worker {
            client: client()?,
            uri: uri.clone(),
            load: load.clone(),
            rows: Rows::new(load, number),
            progress: progress.clone(),
        };
        workers.push(tokio::spawn(worker.run(number, start)));
    }
    let mut outcome: Option<Outcome> = None;
    for worker in workers {
        let own = worker.await?;
        outcome = Some(match outcome {
            None => own,
            Some(mut all) => {
                all.latency_us.add(&own.latency_us)?;
                Outcome {
                    requests: all.requests + own.requests,
                    busy: all.busy + own.busy,
                    failed: all.failed + own.failed,
                    first_failure: all.first_failure.or(own.first_failure),
                    values: all.values + own.values,
                    bytes: all.bytes + own.bytes,
                    elapsed: all.elapsed.max(own.elapsed),
                    latency_us: all.latency_us,
                }
            }
        });
    }
    Ok(outcome.expect("there is a connection at the least"))
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

fn client() -> std::io::Result<HttpClient> {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.enforce_http(false);
    let connector =
        HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector))
}

/// One connection.
struct Worker {
    client: HttpClient,
    uri: Uri,
    load: Load,
    rows: Rows,
    progress: Arc<Progress>,
}

impl Worker {
    async fn run(mut self, number: usize, start: Instant) -> Outcome {
        let mut outcome = Outcome {
            requests: 0,
            busy: 0,
            failed: 0,
            first_failure: None,
            values: 0,
            bytes: 0,
            elapsed: Duration::ZERO,
            latency_us: Histogram::new(DIGITS).expect("three digits are allowed"),
        };
        let values = (self.load.batch * self.load.fields) as u64;
        // Each connection has every so many-th of the requests.
        let interval = self.load.rate.map(|rate| Duration::from_secs_f64(values as f64 / rate.max(1) as f64));
        let mut request = number as u32;
        let end = start + self.load.duration;
        loop {
            let intended = match interval {
                Some(interval) => start + interval * request,
                None => Instant::now().max(start),
            };
            if intended >= end {
                break;
            }
            let body = self.rows.next();
            tokio::time::sleep_until(intended.into()).await;
            let sent = if interval.is_some() { intended } else { Instant::now() };
            let length = body.len() as u64;
            match self.send(body).await {
                Ok(()) => {
                    outcome.requests += 1;
                    outcome.values += values;
                    outcome.bytes += length;
                    self.progress.values.fetch_add(values, Ordering::Relaxed);
                }
                Err(None) => outcome.busy += 1,
                Err(Some(why)) => {
                    outcome.failed += 1;
                    outcome.first_failure.get_or_insert(why);
                }
            }
            outcome.latency_us += sent.elapsed().as_micros() as u64; // it grows as it needs
            request += self.load.connections.max(1) as u32;
        }
        outcome.elapsed = start.elapsed();
        outcome
    }

    /// `Err(None)` if it is to come back later.
    async fn send(&self, body: Bytes) -> Result<(), Option<String>> {
        let mut request = Request::post(self.uri.clone());
        if let Some(token) = &self.load.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if self.load.protocol == Protocol::RemoteWrite {
            request = request
                .header(CONTENT_TYPE, "application/x-protobuf")
                .header(CONTENT_ENCODING, "snappy")
                .header("x-prometheus-remote-write-version", "0.1.0");
        }
        let failed = |why: &dyn std::fmt::Display| Some(why.to_string());
        let request = request.body(Full::new(body)).map_err(|error| failed(&error))?;
        let answer = self.client.request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        match status.as_u16() {
            200..300 => Ok(()),
            429 | 503 => Err(None),
            _ => Err(Some(format!("{status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)])))),
        }
    }
}

/// The rows of one connection: hosts whose fields wander between 0 and 100, as in TSBS.
struct Rows {
    protocol: Protocol,
    /// Labels or tags of each of its series, as they are written.
    series: Vec<Vec<Vec<u8>>>,
    values: Vec<Vec<u8>>,
    batch: usize,
    /// The series that comes next, and the time of its row.
    next: usize,
    time_ms: i64,
    random: fastrand::Rng,
    buffer: Vec<u8>,
}

impl Rows {
    fn new(load: &Load, connection: usize) -> Rows {
        let connections = load.connections.max(1);
        let hosts: Vec<usize> =
            (0..load.series.max(connections)).filter(|host| host % connections == connection).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        let series = hosts.iter().map(|host| match load.protocol {
            Protocol::LineProtocol => vec![tags(*host).into_bytes()],
            Protocol::RemoteWrite => (0..load.fields).map(|field| labels(*host, field)).collect(),
        });
        Rows {
            protocol: load.protocol,
            series: series.collect(),
            values: vec![vec![50; load.fields]; hosts.len()],
            batch: load.batch,
            next: 0,
            time_ms: now - now % STEP_MS,
            random: fastrand::Rng::with_seed(load.seed ^ connection as u64),
            buffer: Vec::new(),
        }
    }

    /// The next request's body.
    fn next(&mut self) -> Bytes {
        self.buffer.clear();
        for _ in 0..self.batch {
            let host = self.next;
            for value in &mut self.values[host] {
                *value = (*value + self.random.u8(0..3)).saturating_sub(1).min(100);
            }
            match self.protocol {
                Protocol::LineProtocol => self.line(host),
                Protocol::RemoteWrite => self.samples(host),
            }
            self.next += 1;
            if self.next == self.series.len() {
                self.next = 0;
                self.time_ms += STEP_MS;
            }
        }
        match self.protocol {
            Protocol::LineProtocol => Bytes::copy_from_slice(&self.buffer),
            Protocol::RemoteWrite => {
                snap::raw::Encoder::new().compress_vec(&self.buffer).expect("less than 4 GiB").into()
            }
        }
    }

    fn line(&mut self, host: usize) {
        self.buffer.extend_from_slice(&self.series[host][0]);
        let mut rest = String::new();
        for (field, value) in self.values[host].iter().enumerate() {
            let separator = if field == 0 { ' ' } else { ',' };
            let _ = write!(rest, "{separator}usage_{field}={value}i");
        }
        let _ = writeln!(rest, " {}000000", self.time_ms);
        self.buffer.extend_from_slice(rest.as_bytes());
    }

    fn samples(&mut self, host: usize) {
        for (labels, value) in self.series[host].iter().zip(&self.values[host]) {
            // Sample { value = 1, timestamp = 2 }
            let mut sample = vec![0x09];
            sample.extend(f64::from(*value).to_le_bytes());
            sample.push(0x10);
            put_varint(&mut sample, self.time_ms as u64);
            self.buffer.push(0x0a);
            put_varint(&mut self.buffer, (labels.len() + 2 + sample.len()) as u64);
            self.buffer.extend_from_slice(labels);
            self.buffer.extend([0x12, sample.len() as u8]);
            self.buffer.extend_from_slice(&sample);
        }
    }
}

/// The tags of a host, in TSBS' manner.
fn pairs(host: usize) -> [(&'static str, String); 10] {
    [
        ("arch", ["x64", "x86"][host % 2].into()),
        ("datacenter", format!("eu-west-1{}", ["a", "b", "c"][host % 3])),
        ("hostname", format!("host_{host}")),
        ("os", ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"][host % 3].into()),
        ("rack", (host % 100).to_string()),
        ("region", "eu-west-1".into()),
        ("service", (host % 20).to_string()),
        ("service_environment", ["production", "staging", "test"][host % 3].into()),
        ("service_version", (host % 2).to_string()),
        ("team", ["SF", "NYC", "LON", "CHI"][host % 4].into()),
    ]
}

fn tags(host: usize) -> String {
    pairs(host).iter().fold("cpu".into(), |text, (name, value)| format!("{text},{name}={value}"))
}

/// The labels of a field of a host as protobuf, sorted as Prometheus wants them.
fn labels(host: usize, field: usize) -> Vec<u8> {
    let mut labels = Vec::new();
    let name = [("__name__", format!("cpu_usage_{field}"))];
    for (name, value) in name.iter().chain(&pairs(host)) {
        let mut label = vec![0x0a, name.len() as u8];
        label.extend_from_slice(name.as_bytes());
        label.extend([0x12, value.len() as u8]);
        label.extend_from_slice(value.as_bytes());
        labels.extend([0x0a, label.len() as u8]);
        labels.extend(label);
    }
    labels
}

fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}
