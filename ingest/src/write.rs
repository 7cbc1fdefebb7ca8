//! The requests that bring rows: read, decoded, stored, answered in the words of each protocol. A 2xx means durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use tsdb::{Batch, DEFAULT_SCHEMA, Store, now_ns};

use crate::admission::Agents;
use crate::body::{self, Arriving, Body, Budget, Encoding, Limits, Refusal};
use crate::line_protocol::{self, Precision};
use crate::metadata::{Metadata, MetricInfo, Said};
use crate::remote_write::{self, Version};
use crate::report::Report;
use crate::row_options::RowOptions;
use crate::scraped_series::ScrapedSeries;
use crate::stats::{Protocol, Stats};
use crate::{arrow_rows, csv_rows, exposition, json_rows, otlp, otlp_json, push_group};

/// A body that is longer takes long: about a millisecond where all series are known, a hundred where all are new.
const LONG_BYTES: usize = 256 << 10;

/// Takes requests that bring rows, on a runtime of several threads.
#[derive(Debug)]
pub struct Ingest {
    store: Arc<Store>,
    limits: Limits,
    budget: Arc<Budget>,
    stats: Stats,
    metadata: Metadata,
    scraped: ScrapedSeries,
}

/// Which InfluxDB's words a request for line protocol uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Influx {
    /// `/write` and `/api/v2/write`.
    V1V2,
    /// `/api/v3/write_lp`.
    V3,
}

/// A page of metrics.
#[derive(Debug)]
pub struct Page {
    body: Body,
    is_open_metrics: bool,
}

/// What was made of a request so far.
struct Taken {
    batch: Batch,
    report: Report,
    said: Vec<Said>,
}

impl Ingest {
    /// Takes rows for a store.
    pub fn new(store: Arc<Store>, limits: Limits) -> Ingest {
        Ingest {
            store,
            limits,
            budget: Arc::default(),
            stats: Stats::default(),
            metadata: Metadata::default(),
            scraped: ScrapedSeries::default(),
        }
    }

    /// From one piece of a body to the next.
    pub fn body_timeout(&self) -> Duration {
        self.limits.body_timeout
    }

    /// What was counted since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// `POST /write`, `/api/v2/write`, `/api/v3/write_lp`: line protocol.
    ///
    /// `204` when every line is stored. `400` when lines were refused: the others *are* stored, unless the request says
    /// `accept_partial=false`, and the body lists each refused line with its number and the reason. Nothing was stored
    /// on any other status. With `no_sync=true` the answer does not wait for the disk.
    pub async fn line_protocol(
        &self,
        agent: Arc<Agents>,
        influx: Influx,
        request: Request<impl Arriving>,
    ) -> Response<Full<Bytes>> {
        let outcome = self
            .request(agent, Protocol::LineProtocol, request, Encoding::Identity, |query, _, body, taken| {
                let unset = if influx == Influx::V3 { Precision::AUTO } else { Precision::default() };
                let precision = query.precision(unset)?;
                taken.report = line_protocol::parse(body, precision, now_ns(), &mut taken.batch);
                Ok(())
            })
            .await;
        match outcome {
            Ok(report) if report.refused == 0 => empty(),
            Ok(report) if influx == Influx::V3 => {
                let error = "partial write of line protocol occurred";
                json(StatusCode::BAD_REQUEST, &serde_json::json!({ "error": error, "data": lines(&report) }))
            }
            Ok(report) => partial(&report, "line"),
            Err(refusal) => refused(&refusal),
        }
    }

    /// `POST /api/v1/write`: Prometheus remote write, 1.0 and 2.0.
    ///
    /// `204` when every sample is stored. `400` when some were refused: the others *are* stored. The headers
    /// `X-Prometheus-Remote-Write-...-Written` say how many, as 2.0 has them.
    pub async fn remote_write(&self, agent: Arc<Agents>, request: Request<impl Arriving>) -> Response<Full<Bytes>> {
        let version = match version(request.headers()) {
            Ok(version) => version,
            Err(refusal) => return text(refusal.status, &refusal.reason),
        };
        let outcome = self
            .request(agent, Protocol::RemoteWrite, request, Encoding::Snappy, |query, _, body, taken| {
                self.described(&query.schema, taken, |batch, describe| {
                    remote_write::decode(body, version, batch, describe)
                })
                .map_err(|why| Refusal::bad(format!("the body is no remote write request: {why}")))
            })
            .await;
        let (mut response, written) = match outcome {
            Ok(report) => {
                let written = [report.taken - report.histograms, report.histograms, report.exemplars_written];
                (samples_answer(&report), written)
            }
            Err(refusal) => (retry_later(text(refusal.status, &refusal.reason)), [0; 3]),
        };
        for (what, count) in ["samples", "histograms", "exemplars"].into_iter().zip(written) {
            let name = format!("x-prometheus-remote-write-{what}-written");
            let name = HeaderName::try_from(name).expect("letters and dashes");
            response.headers_mut().insert(name, HeaderValue::from(count));
        }
        response
    }

    /// `POST /v1/metrics`: OTLP over HTTP, as protobuf or JSON.
    ///
    /// `200`, with `partial_success` in the answer if data points were refused.
    pub async fn otlp(&self, agent: Arc<Agents>, request: Request<impl Arriving>) -> Response<Full<Bytes>> {
        let kind = media_type(request.headers());
        let is_json = match kind.as_str() {
            "application/json" => true,
            "" | "application/x-protobuf" => false,
            other => {
                let reason =
                    format!("Content-Type {other} is not known; send application/x-protobuf or application/json");
                return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, &reason);
            }
        };
        otlp_answer(self.otlp_request(agent, request, is_json).await, is_json)
    }

    /// OTLP as one message of protobuf, as gRPC brings it; the answer is one, too.
    ///
    /// # Errors
    ///
    /// Why nothing was taken.
    pub async fn otlp_message(&self, agent: Arc<Agents>, request: Request<impl Arriving>) -> Result<Bytes, Refusal> {
        let report = self.otlp_request(agent, request, false).await?;
        Ok(partial_success(&report).into())
    }

    async fn otlp_request(
        &self,
        agent: Arc<Agents>,
        request: Request<impl Arriving>,
        is_json: bool,
    ) -> Result<Report, Refusal> {
        self.request(agent, Protocol::Otlp, request, Encoding::Identity, |query, _, body, taken| {
            self.described(&query.schema, taken, |batch, describe| match is_json {
                true => otlp_json::decode(body, now_ns(), batch, describe),
                false => otlp::decode(body, now_ns(), batch, describe),
            })
            .map_err(|why| Refusal::bad(format!("the body is no OTLP request for metrics: {why}")))
        })
        .await
    }

    /// `POST /api/v1/import/prometheus`: text exposition or OpenMetrics. Answers as
    /// [`line_protocol`](Self::line_protocol).
    pub async fn prometheus(&self, agent: Arc<Agents>, request: Request<impl Arriving>) -> Response<Full<Bytes>> {
        let outcome = self
            .request(agent, Protocol::Prometheus, request, Encoding::Identity, |query, head, body, taken| {
                self.pushed_page(query, &head.headers, &[], body, taken)
            })
            .await;
        import_answer(outcome, "line")
    }

    /// `POST`, `PUT /metrics/job/JOB{/LABEL/VALUE}`: the same, as it is pushed to the Pushgateway: `200`. The group,
    /// from `job/` on, has labels of all series; `push_time_seconds` is written beside them.
    pub async fn push(
        &self,
        agent: Arc<Agents>,
        group: &str,
        request: Request<impl Arriving>,
    ) -> Response<Full<Bytes>> {
        let labels = match push_group::labels(group) {
            Ok(labels) => labels,
            Err(reason) => return refused(&Refusal::bad(reason)),
        };
        let outcome = self
            .request(agent, Protocol::Prometheus, request, Encoding::Identity, |query, head, body, taken| {
                self.pushed_page(query, &head.headers, &labels, body, taken)?;
                let time = now_ns();
                let own = format!("push_time_seconds {}\n", time as f64 / 1e9);
                let tags: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let options = exposition::Options { now: time, tags: &tags, ..exposition::Options::default() };
                exposition::parse(own.as_bytes(), options, &mut taken.batch, |_| {});
                Ok(())
            })
            .await;
        match outcome {
            Ok(report) if report.refused == 0 => Response::new(Full::default()),
            outcome => import_answer(outcome, "line"),
        }
    }

    /// Takes a page whose series all have these labels, and those of the request.
    fn pushed_page(
        &self,
        query: &Query,
        headers: &HeaderMap,
        labels: &[(String, String)],
        body: &[u8],
        taken: &mut Taken,
    ) -> Result<(), Refusal> {
        let all = labels.iter().chain(&query.extra_labels);
        let tags: Vec<_> = all.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let options = exposition::Options {
            now: query.timestamp.unwrap_or_else(now_ns),
            is_open_metrics: media_type(headers) == "application/openmetrics-text",
            tags: &tags,
            clash: exposition::Clash::Replaced,
        };
        self.described(&query.schema, taken, |batch, describe| {
            Ok::<_, Refusal>(exposition::parse(body, options, batch, describe))
        })
    }

    /// `POST /api/v1/import/json`, `/csv`, `/arrow`: rows. Parameters are `measurement`, `tags` and `precision`.
    /// Answers as [`line_protocol`](Self::line_protocol).
    pub async fn rows(
        &self,
        agent: Arc<Agents>,
        protocol: Protocol,
        request: Request<impl Arriving>,
    ) -> Response<Full<Bytes>> {
        let unpacked_max = self.limits.unpacked_bytes_max;
        let outcome = self
            .request(agent, protocol, request, Encoding::Identity, |query, _, body, taken| {
                let options = query.row_options()?;
                let batch = &mut taken.batch;
                taken.report = match protocol {
                    Protocol::Json => Ok(json_rows::parse(body, &options, now_ns(), batch)),
                    Protocol::Csv => csv_rows::parse(body, &options, now_ns(), batch),
                    _ => arrow_rows::parse(body, &options, unpacked_max, batch),
                }
                .map_err(Refusal::bad)?;
                Ok(())
            })
            .await;
        import_answer(outcome, if protocol == Protocol::Arrow { "row" } else { "line" })
    }

    /// A page of metrics that was fetched, within the limits of bodies.
    ///
    /// # Errors
    ///
    /// Why it cannot be taken.
    pub async fn page(&self, headers: &HeaderMap, body: impl Arriving) -> Result<Page, Refusal> {
        let is_open_metrics = media_type(headers) == "application/openmetrics-text";
        let body = body::read(headers, body, self.limits, &self.budget, Encoding::Identity).await?;
        Ok(Page { body, is_open_metrics })
    }

    /// Stores a page that was fetched in so many seconds, or that none could be, with `up` and what else Prometheus
    /// says of a scrape, and marks for the series that have ended.
    ///
    /// # Errors
    ///
    /// Why the store did not take it.
    pub async fn scraped(
        &self,
        page: Option<&Page>,
        seconds: f64,
        options: exposition::Options<'_>,
    ) -> Result<Report, tsdb::Error> {
        let start = Instant::now();
        let mut batch = self.store.batch(DEFAULT_SCHEMA);
        // Whoever is scraped does not say what counts either.
        batch.admit_by(Arc::<Agents>::default());
        let mut taken = Taken { batch, report: Report::default(), said: Vec::new() };
        let mut series = Vec::new();
        if let Some(page) = page {
            self.stats.body(Protocol::Scrape, page.body.arrived, page.body.bytes.len());
            let options = exposition::Options { is_open_metrics: page.is_open_metrics, ..options };
            let parse = |batch: &mut Batch, describe: &mut dyn FnMut(MetricInfo<'_>)| {
                let note = |own| series.push(own);
                let report = exposition::parse_noting(&page.body.bytes, options, batch, describe, note);
                Ok::<_, std::convert::Infallible>(report)
            };
            let Ok(()) = self.described(DEFAULT_SCHEMA, &mut taken, parse);
        }
        let up = u8::from(page.is_some() && !taken.report.took_nothing());
        let samples = taken.report.taken;
        let own = format!("up {up}\nscrape_duration_seconds {seconds}\nscrape_samples_scraped {samples}\n");
        exposition::parse(own.as_bytes(), options, &mut taken.batch, |_| {});
        self.scraped.mark_ended(options.tags, &series, options.now, &mut taken.batch);
        self.store.submit(taken.batch)?.await?;
        self.scraped.keep(options.tags, series);
        self.metadata.remember(&taken.said);
        self.stats.stored(Protocol::Scrape, &taken.report);
        self.stats.answered(Protocol::Scrape, start.elapsed());
        Ok(taken.report)
    }

    /// Decodes what may say something of metrics, and adds rows with what is new.
    fn described<E>(
        &self,
        schema: &str,
        taken: &mut Taken,
        decode: impl FnOnce(&mut Batch, &mut dyn FnMut(MetricInfo<'_>)) -> Result<Report, E>,
    ) -> Result<(), E> {
        let (mut descriptions, now) = (Vec::new(), now_ns());
        taken.report = decode(&mut taken.batch, &mut |info| {
            if let Some(said) = self.metadata.news(schema, &info, now) {
                descriptions.push((said, info.kind, [info.metric, info.unit, info.help].map(str::to_owned)));
            }
        })?;
        // From here on the server speaks.
        taken.batch.admit_all();
        for exemplar in std::mem::take(&mut taken.report.exemplars) {
            match exemplar.write(&mut taken.batch) {
                Ok(()) => taken.report.exemplars_written += 1,
                Err(error) => taken.report.count(error.kind(), 1),
            }
        }
        for (said, kind, [metric, unit, help]) in descriptions {
            let info = MetricInfo { metric: &metric, kind, unit: &unit, help: &help };
            match Metadata::write(&info, now, &mut taken.batch) {
                Ok(()) => taken.said.push(said),
                Err(error) => taken.report.count(error.kind(), 1),
            }
        }
        Ok(())
    }

    /// One request from its head to what is stored of it.
    async fn request(
        &self,
        agent: Arc<Agents>,
        protocol: Protocol,
        request: Request<impl Arriving>,
        implied: Encoding,
        decode: impl FnOnce(&Query, &Parts, &[u8], &mut Taken) -> Result<(), Refusal>,
    ) -> Result<Report, Refusal> {
        let start = Instant::now();
        let outcome = self.try_request(agent, protocol, request, implied, decode).await;
        match &outcome {
            Ok(report) => self.stats.stored(protocol, report),
            Err(refusal) => self.stats.refused(protocol, word(refusal.status), 1),
        }
        self.stats.answered(protocol, start.elapsed());
        outcome
    }

    async fn try_request(
        &self,
        agent: Arc<Agents>,
        protocol: Protocol,
        request: Request<impl Arriving>,
        implied: Encoding,
        decode: impl FnOnce(&Query, &Parts, &[u8], &mut Taken) -> Result<(), Refusal>,
    ) -> Result<Report, Refusal> {
        let query = Query::parse(request.uri().query().unwrap_or_default())?;
        let (head, body) = request.into_parts();
        let body = body::read(&head.headers, body, self.limits, &self.budget, implied).await?;
        let Body { bytes, arrived, .. } = &body;
        self.stats.body(protocol, *arrived, bytes.len());
        let mut batch = self.store.batch(&query.schema);
        batch.admit_by(agent);
        let mut taken = Taken { batch, report: Report::default(), said: Vec::new() };
        // What takes long gives its thread's other requests to another thread.
        match bytes.len() > LONG_BYTES {
            true => tokio::task::block_in_place(|| decode(&query, &head, bytes, &mut taken))?,
            false => decode(&query, &head, bytes, &mut taken)?,
        }
        drop(body); // its part of the budget is free while the rows wait for the disk
        let Taken { batch, report, said } = taken;
        if report.refused > 0 && !query.accept_partial {
            return Err(Refusal::nothing_stored(&report));
        }
        let ack = self.store.submit(batch).map_err(refusal)?;
        if !query.no_sync {
            ack.await.map_err(refusal)?;
            self.metadata.remember(&said);
        }
        Ok(report)
    }
}

impl Refusal {
    /// A request that is taken as a whole or not at all.
    fn nothing_stored(report: &Report) -> Refusal {
        let reason = "parsing failed for write_lp endpoint";
        let details = serde_json::json!({ "error": reason, "data": lines(report)[0] });
        Refusal { details: Some(details), ..Refusal::bad(reason) }
    }
}

/// One word for counting.
fn word(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "busy",
        StatusCode::INSUFFICIENT_STORAGE => "disk_full",
        StatusCode::INTERNAL_SERVER_ERROR => "store",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::REQUEST_TIMEOUT => "timeout",
        _ => "request",
    }
}

/// What the query string says.
#[derive(Debug)]
struct Query {
    schema: String,
    precision: Option<String>,
    accept_partial: bool,
    no_sync: bool,
    measurement: Option<String>,
    tags: Vec<String>,
    now_is_meant: bool,
    /// Tags of all series of a page (`extra_label=name=value`, as VictoriaMetrics has it).
    extra_labels: Vec<(String, String)>,
    /// The time of samples that say none (`timestamp=`, in ms), ns since the epoch.
    timestamp: Option<i64>,
}

/// May rows be written to a schema of this name?
///
/// # Errors
///
/// Why not.
pub fn check_schema(name: &str) -> Result<(), String> {
    match name {
        "" => Err("a database needs a name".into()),
        "information_schema" | "system" => Err(format!("'{name}' cannot be written to")),
        _ => Ok(()),
    }
}

impl Query {
    fn parse(text: &str) -> Result<Query, Refusal> {
        let mut query = Query {
            schema: DEFAULT_SCHEMA.into(),
            precision: None,
            accept_partial: true,
            no_sync: false,
            measurement: None,
            tags: Vec::new(),
            now_is_meant: false,
            extra_labels: Vec::new(),
            timestamp: None,
        };
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            let bool = || {
                let expected = || Refusal::bad(format!("{name}={value}: expected true or false"));
                match value.to_ascii_lowercase().as_str() {
                    "true" | "t" | "1" => Ok(true),
                    "false" | "f" | "0" => Ok(false),
                    _ => Err(expected()),
                }
            };
            match &*name {
                // An empty name means the default, as if it were not there.
                "db" | "bucket" if !value.is_empty() => query.schema = value.into_owned(),
                "precision" if !value.is_empty() => query.precision = Some(value.into_owned()),
                "accept_partial" if !value.is_empty() => query.accept_partial = bool()?,
                "no_sync" if !value.is_empty() => query.no_sync = bool()?,
                "extra_label" => query.extra_labels.push(extra_label(&value)?),
                "timestamp" if !value.is_empty() => query.timestamp = Some(timestamp(&value)?),
                "measurement" if !value.is_empty() => query.measurement = Some(value.into_owned()),
                "tags" => query.tags = value.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
                "time" if value == "now" => query.now_is_meant = true,
                "time" => return Err(Refusal::bad(format!("time={value}: expected now, for rows that say no time"))),
                // Clients send more (org, rp, u, p, consistency), which changes nothing here.
                _ => {}
            }
        }
        check_schema(&query.schema).map_err(Refusal::bad)?;
        Ok(query)
    }

    fn precision(&self, unset: Precision) -> Result<Precision, Refusal> {
        let Some(name) = &self.precision else { return Ok(unset) };
        let unknown = || Refusal::bad(format!("precision '{name}' is not known; use ns, us, ms, s, m, h or auto"));
        Precision::parse(name).ok_or_else(unknown)
    }

    fn row_options(&self) -> Result<RowOptions, Refusal> {
        let precision = self.precision(Precision::default())?;
        Ok(RowOptions {
            measurement: self.measurement.clone(),
            tags: self.tags.clone(),
            precision,
            now_is_meant: self.now_is_meant,
        })
    }
}

fn extra_label(text: &str) -> Result<(String, String), Refusal> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or_else(|| Refusal::bad(format!("extra_label={text}: expected name=value")))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A time in ms as ns since the epoch.
fn timestamp(text: &str) -> Result<i64, Refusal> {
    let ns = text.parse::<i64>().ok().and_then(|ms| ms.checked_mul(1_000_000));
    ns.ok_or_else(|| Refusal::bad(format!("timestamp={text}: expected a whole number of ms since 1970")))
}

/// The media type of a body, without its parameters.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Which message of remote write a body is.
fn version(headers: &HeaderMap) -> Result<Version, Refusal> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let message = value.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("proto="));
    match (media_type(headers).as_str(), message) {
        ("" | "application/x-protobuf", None | Some("prometheus.WriteRequest")) => Ok(Version::V1),
        ("application/x-protobuf", Some("io.prometheus.write.v2.Request")) => Ok(Version::V2),
        _ => Err(Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "Content-Type {value} is not known; send application/x-protobuf with proto=prometheus.WriteRequest or \
                 proto=io.prometheus.write.v2.Request"
            ),
        )),
    }
}

fn refusal(error: tsdb::Error) -> Refusal {
    let status = match &error {
        tsdb::Error::Busy { .. } | tsdb::Error::Closed => StatusCode::SERVICE_UNAVAILABLE,
        tsdb::Error::DiskFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal::new(status, error.to_string())
}

/// The answer to a request of which nothing was stored.
fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let code = if refusal.status.is_client_error() { "invalid" } else { "unavailable" };
    let error = serde_json::json!({ "code": code, "error": refusal.reason, "message": refusal.reason });
    retry_later(json(refusal.status, refusal.details.as_ref().unwrap_or(&error)))
}

/// Only what passes by itself is worth another try.
fn retry_later(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn import_answer(outcome: Result<Report, Refusal>, what: &str) -> Response<Full<Bytes>> {
    match outcome {
        Ok(report) if report.refused == 0 => empty(),
        Ok(report) => partial(&report, what),
        Err(refusal) => refused(&refusal),
    }
}

/// The answer to a request of which only a part was stored.
fn partial(report: &Report, what: &str) -> Response<Full<Bytes>> {
    let summary = report.summary(what).unwrap_or_default();
    let body = serde_json::json!({
        "code": "invalid",
        "error": summary,
        "message": summary,
        "lines_written": report.taken,
        "lines_refused": report.refused,
        "data": lines(report),
    });
    json(StatusCode::BAD_REQUEST, &body)
}

/// The answer to a request of remote write; senders put it into their logs.
fn samples_answer(report: &Report) -> Response<Full<Bytes>> {
    let Some(first) = report.reasons.first() else { return empty() };
    let (refused, all) = (report.refused, report.taken + report.refused);
    let (series, selector, reason) = (first.line, &first.text, &first.reason);
    let said = format!(
        "{refused} of {all} samples were refused, the others are stored; series {series} {selector}: {reason}\n"
    );
    text(StatusCode::BAD_REQUEST, &said)
}

fn lines(report: &Report) -> Vec<serde_json::Value> {
    let line = |bad: &crate::report::Refused| serde_json::json!({ "line_number": bad.line, "error_message": bad.reason, "original_line": bad.text });
    report.reasons.iter().map(line).collect()
}

/// `ExportMetricsServiceResponse`, or `google.rpc.Status` for a failure.
fn otlp_answer(outcome: Result<Report, Refusal>, is_json: bool) -> Response<Full<Bytes>> {
    match outcome {
        Ok(report) => {
            let body = match (report.refused, is_json) {
                (_, false) => partial_success(&report),
                (0, true) => "{}".into(),
                (refused, true) => {
                    let reason = report.summary("data point").unwrap_or_default();
                    let partial =
                        serde_json::json!({ "rejectedDataPoints": refused.to_string(), "errorMessage": reason });
                    serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
                }
            };
            let kind = if is_json { "application/json" } else { "application/x-protobuf" };
            respond(StatusCode::OK, kind, body)
        }
        Err(refusal) => {
            let response = if is_json {
                json(refusal.status, &serde_json::json!({ "message": refusal.reason }))
            } else {
                let mut status = Vec::new();
                put_text(&mut status, 2, &refusal.reason);
                respond(refusal.status, "application/x-protobuf", status)
            };
            retry_later(response)
        }
    }
}

/// `ExportMetricsServiceResponse`: what was refused, if something was.
fn partial_success(report: &Report) -> Vec<u8> {
    let mut body = Vec::new();
    if report.refused > 0 {
        let mut partial = vec![0x08];
        put_varint(&mut partial, report.refused as u64);
        put_text(&mut partial, 2, &report.summary("data point").unwrap_or_default());
        put_bytes(&mut body, 1, &partial);
    }
    body
}

fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn put_bytes(into: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    into.push(field << 3 | 2);
    put_varint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

fn put_text(into: &mut Vec<u8>, field: u8, text: &str) {
    put_bytes(into, field, text.as_bytes());
}

fn empty() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    respond(status, "application/json", body.to_string())
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body.to_owned())
}

fn respond(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_the_store_has_its_status() {
        let path = std::path::PathBuf::from("wal");
        for (error, status) in [
            (tsdb::Error::Busy { reason: "the write ring is full".into() }, 503),
            (tsdb::Error::Closed, 503),
            (tsdb::Error::DiskFull { path }, 507),
            (tsdb::Error::ReadOnly { reason: "EIO".into() }, 500),
        ] {
            let reason = error.to_string();
            let answer = refused(&refusal(error));
            assert_eq!(answer.status(), status, "{reason}");
            // Only what passes by itself is worth another try.
            assert_eq!(answer.headers().contains_key(header::RETRY_AFTER), status == 503, "{reason}");
        }
    }
}
