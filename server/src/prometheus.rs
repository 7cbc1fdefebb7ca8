//! Prometheus' HTTP API: questions in PromQL, and what there is to ask of. [`promql::api`] makes the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::{HeaderMap, Method, Response, StatusCode};
use promql::api::{self, Answered, ApiError, Asked, Kind, Names, Parameters, Pieces, ReadRequest, Waiting};
use promql::engine::Settings;
use promql::syntax::Limits;
use query::Packer;
use query::endpoint::Body;
use runner::{Language, Outlet, Refused};
use tsdb::DEFAULT_SCHEMA;

use crate::answer::boxed;
use crate::call::{Call, Services, whole};

/// How questions in PromQL are answered.
#[derive(Debug, Clone, Default)]
pub struct PromqlOptions {
    /// What they mean.
    pub settings: Settings,
    /// How large they may be.
    pub limits: Limits,
}

type Found = Result<String, ApiError>;
/// The bytes of an answer, and how they are packed.
type Sent = (Bytes, Option<&'static str>);

/// What remote read answers with.
const PROTOBUF: &str = "application/x-protobuf";
const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
/// Shorter answers are not worth it.
const PACKED_BYTES_MIN: usize = 1024;

/// `/api/v1/query`
pub(crate) async fn query(call: Call) -> Response<Body> {
    streamed(call, api::query).await
}

/// `/api/v1/query_range`
pub(crate) async fn query_range(call: Call) -> Response<Body> {
    streamed(call, api::query_range).await
}

/// `/api/v1/query_exemplars`
pub(crate) async fn query_exemplars(call: Call) -> Response<Body> {
    asked(call, api::query_exemplars).await
}

/// `/api/v1/series`
pub(crate) async fn series(call: Call) -> Response<Body> {
    asked(call, api::series).await
}

/// `/api/v1/labels`
pub(crate) async fn labels(call: Call) -> Response<Body> {
    asked(call, api::labels).await
}

/// `/api/v1/label/{name}/values`
pub(crate) async fn values(call: Call) -> Response<Body> {
    let name = call.path.trim_start_matches("/api/v1/label/").trim_end_matches("/values");
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    asked(call, move |asked| api::values(asked, &name)).await
}

/// `/api/v1/metadata`
pub(crate) async fn metadata(call: Call) -> Response<Body> {
    asked(call, api::metadata).await
}

/// `/api/v1/format_query`
pub(crate) async fn format_query(call: Call) -> Response<Body> {
    asked(call, api::format_query).await
}

/// `/api/v1/parse_query`
pub(crate) async fn parse_query(call: Call) -> Response<Body> {
    asked(call, api::parse_query).await
}

/// `/api/v1/status/tsdb`
pub(crate) async fn status_tsdb(call: Call) -> Response<Body> {
    asked(call, api::status_tsdb).await
}

/// `/api/v1/status/flags`
pub(crate) async fn flags(call: Call) -> Response<Body> {
    asked(call, api::flags).await
}

/// `/api/v1/targets`
pub(crate) async fn targets(call: Call) -> Response<Body> {
    asked(call, api::targets).await
}

/// `/api/v1/targets/metadata`
pub(crate) async fn target_metadata(call: Call) -> Response<Body> {
    asked(call, api::target_metadata).await
}

/// `/api/v1/scrape_pools`
pub(crate) async fn scrape_pools(call: Call) -> Response<Body> {
    asked(call, api::scrape_pools).await
}

/// `/federate`
pub(crate) async fn federate(call: Call) -> Response<Body> {
    let accept = call.request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let names = Names::accepted(accept);
    let mut response = asked(call, move |asked| api::federate(asked, names)).await;
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(names.media_type()));
    }
    response
}

/// `/api/v1/read`
pub(crate) async fn remote_read(call: Call) -> Response<Body> {
    let (services, database) = (call.services.clone(), call.parameter("db"));
    let request = whole(call.request.into_body()).await.and_then(|body| ReadRequest::decode(&body));
    let found = match request {
        Ok(request) => {
            let parameters = Parameters::new(database.into_iter().map(|name| ("db".to_owned(), name)).collect());
            let work = move |asked: &Asked<'_>| {
                let answer = api::remote_read(asked, &request)?;
                Ok((Bytes::from(answer.bytes), (!answer.is_streamed).then_some("snappy")))
            };
            worked_out(&services, parameters, work).await
        }
        Err(message) => Err(ApiError { kind: Kind::BadData, message }),
    };
    match found {
        Ok(sent) => {
            // One message is packed as a whole; a stream is not.
            let media_type = if sent.1.is_some() { PROTOBUF } else { STREAMED };
            let mut response = respond(StatusCode::OK, sent);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            response
        }
        Err(error) => failed(&error),
    }
}

/// `/api/v1/status/runtimeinfo`
pub(crate) async fn runtime_info(call: Call) -> Response<Body> {
    let started = call.services.started;
    fixed(call, api::runtime_info(started)).await
}

/// `/api/v1/rules`
pub(crate) async fn rules(call: Call) -> Response<Body> {
    let query = call.request.uri().query().unwrap_or_default();
    let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    match call.services.rules.rules(pairs.iter().map(|(name, value)| (&**name, &**value))) {
        Ok(data) => succeeded(&data),
        Err(message) => failed(&ApiError { kind: Kind::BadData, message }),
    }
}

/// `/api/v1/alerts`
pub(crate) async fn alerts(call: Call) -> Response<Body> {
    succeeded(&call.services.rules.alerts())
}

fn succeeded(data: &serde_json::Value) -> Response<Body> {
    let json = serde_json::json!({ "status": "success", "data": data }).to_string();
    respond(StatusCode::OK, (json.into(), None))
}

/// What is the same whatever is stored.
pub(crate) async fn fixed(_: Call, json: String) -> Response<Body> {
    respond(StatusCode::OK, (json.into(), None))
}

/// Works an answer out where questions of all languages run.
async fn asked(call: Call, work: impl FnOnce(&Asked<'_>) -> Found + Send + 'static) -> Response<Body> {
    let services = call.services.clone();
    let headers = call.request.headers().clone();
    let work = move |asked: &Asked<'_>| {
        let text = work(asked)?;
        packed(text, &headers).map_err(|error| ApiError { kind: Kind::Internal, message: error.to_string() })
    };
    let found = match parameters(call).await {
        Ok(parameters) => worked_out(&services, parameters, work).await,
        Err(message) => Err(ApiError { kind: Kind::BadData, message }),
    };
    match found {
        Ok(sent) => respond(StatusCode::OK, sent),
        Err(error) => failed(&error),
    }
}

/// What answers a question.
type Question = for<'a> fn(&Asked<'a>) -> Result<Answered<'a>, ApiError>;

/// How an answer begins.
struct Begun {
    sent: Sent,
    /// Are these all bytes of it?
    is_all: bool,
}

/// Works an answer out where questions of all languages run, and sends it piece by piece. What is wrong shows before the
/// first piece.
async fn streamed(call: Call, question: Question) -> Response<Body> {
    let services = call.services.clone();
    let headers = call.request.headers().clone();
    let parameters = match parameters(call).await {
        Ok(parameters) => parameters,
        Err(message) => return failed(&ApiError { kind: Kind::BadData, message }),
    };
    let runner = services.engine.runner().clone();
    let schema = parameters.get("db").unwrap_or(DEFAULT_SCHEMA).to_owned();
    let running = runner.queries().begin(Language::PromQl, parameters.get("query").unwrap_or_default(), &schema);
    let deadline = runner.deadline();
    // The work runs through: it looks itself whether somebody waits.
    let waiting = Waiting::default();
    let nobody_waits = waiting.sign();
    let work = move |outlet: Outlet<Result<Begun, ApiError>, std::io::Result<Bytes>>| async move {
        tsdb::fault("query");
        let PromqlOptions { settings, limits } = &services.promql;
        let (store, metrics, schema) = (&*services.store, &services.promql_metrics, schema.as_str());
        let memory = services.engine.runner().memory();
        let (parameters, is_given_up, deadline) = (&parameters, &*nobody_waits, deadline.into_std());
        let asked = Asked { store, metrics, schema, parameters, settings, limits, deadline, is_given_up, memory };
        let failed = |error: ApiError, outlet: Outlet<_, _>| {
            // Where nobody waits any more, it was given up; but out of time, which ends the waiting, too, it has failed.
            if !is_given_up.load(Ordering::Relaxed) || Instant::now() >= deadline {
                running.end(Some(error.message.clone()));
            }
            outlet.begin(Err(error));
        };
        let answered = match question(&asked) {
            Ok(answered) => answered,
            Err(error) => return failed(error, outlet),
        };
        let mut pieces = answered.pieces();
        let first = pieces.next().unwrap_or_default();
        if pieces.is_done() {
            let sent =
                packed(first, &headers).map_err(|error| ApiError { kind: Kind::Internal, message: error.to_string() });
            running.end(sent.as_ref().err().map(|error| error.message.clone()));
            return drop(outlet.begin(sent.map(|sent| Begun { sent, is_all: true })));
        }
        let packer = match Packer::asked(&headers) {
            Ok(packer) => packer,
            Err(error) => return failed(ApiError { kind: Kind::Internal, message: error.to_string() }, outlet),
        };
        let coding = packer.as_ref().map(Packer::name);
        let mut rest = Rest { first: Some(first), pieces, packer };
        let Some(Ok(first)) = rest.next() else { return };
        let Some(open) = outlet.begin(Ok(Begun { sent: (first, coding), is_all: false })) else { return };
        let is_through = AtomicBool::new(false);
        let end = std::iter::from_fn(|| {
            is_through.store(true, Ordering::Relaxed);
            None
        });
        open.send_all(futures::stream::iter(rest.chain(end))).await;
        if is_through.into_inner() {
            running.end(None);
        }
    };
    match runner.flow(deadline, work).await {
        Ok((Ok(Begun { sent, is_all: true }), _)) => respond(StatusCode::OK, sent),
        Ok((Ok(Begun { sent: (first, coding), .. }), flow)) => {
            let rest = futures::stream::unfold((flow, waiting), |(mut flow, waiting)| async move {
                let next = match flow.next().await? {
                    Ok(next) => next,
                    Err(refused) => Err(std::io::Error::other(refused.to_string())),
                };
                Some((next, (flow, waiting)))
            });
            let all = futures::stream::once(async { Ok(first) }).chain(rest).map_ok(Frame::data);
            with_body(StatusCode::OK, BodyExt::boxed_unsync(StreamBody::new(all)), coding)
        }
        Ok((Err(error), _)) => failed(&error),
        Err(refused) => failed(&refusal(&refused)),
    }
}

/// An answer on its way, packed or not.
struct Rest<'a> {
    first: Option<String>,
    pieces: Pieces<'a>,
    packer: Option<Packer>,
}

impl Iterator for Rest<'_> {
    type Item = std::io::Result<Bytes>;

    fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        loop {
            let bytes = match (self.first.take().or_else(|| self.pieces.next()), &mut self.packer) {
                (Some(piece), Some(packer)) => packer.pack(piece.as_bytes()),
                (Some(piece), None) => Ok(piece.into()),
                (None, packer) => packer.take()?.finish(),
            };
            match bytes {
                // What was packed so far waits for more.
                Ok(bytes) if bytes.is_empty() => {}
                bytes => return Some(bytes),
            }
        }
    }
}

fn refusal(refused: &Refused) -> ApiError {
    let kind = match refused {
        Refused::Timeout { .. } | Refused::Busy { .. } => Kind::Timeout,
        Refused::Broken => Kind::Internal,
    };
    ApiError { kind, message: refused.to_string() }
}

fn failed(error: &ApiError) -> Response<Body> {
    let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, (error.json().into(), None))
}

async fn worked_out(
    services: &Arc<Services>,
    parameters: Parameters,
    work: impl FnOnce(&Asked<'_>) -> Result<Sent, ApiError> + Send + 'static,
) -> Result<Sent, ApiError> {
    let runner = services.engine.runner();
    let schema = parameters.get("db").unwrap_or(DEFAULT_SCHEMA).to_owned();
    let running = runner.queries().begin(Language::PromQl, parameters.get("query").unwrap_or_default(), &schema);
    let deadline = Instant::now() + runner.limits().timeout;
    // The work runs through: it looks itself whether somebody waits.
    let waiting = Waiting::default();
    let nobody_waits = waiting.sign();
    let (services, owned_schema) = (services.clone(), schema.clone());
    let work = async move {
        tsdb::fault("query");
        let PromqlOptions { settings, limits } = &services.promql;
        let (store, metrics, schema) = (&*services.store, &services.promql_metrics, owned_schema.as_str());
        let memory = services.engine.runner().memory();
        let (parameters, is_given_up) = (&parameters, &*nobody_waits);
        let asked = Asked { store, metrics, schema, parameters, settings, limits, deadline, is_given_up, memory };
        work(&asked)
    };
    let found = runner.work_out(runner.deadline(), work).await.unwrap_or_else(|refused| Err(refusal(&refused)));
    running.end(found.as_ref().err().map(|error| error.message.clone()));
    found
}

fn packed(json: String, headers: &HeaderMap) -> std::io::Result<Sent> {
    if json.len() < PACKED_BYTES_MIN {
        return Ok((json.into(), None));
    }
    let Some(mut packer) = Packer::asked(headers)? else { return Ok((json.into(), None)) };
    let (coding, mut bytes) = (packer.name(), BytesMut::from(packer.pack(json.as_bytes())?));
    bytes.extend_from_slice(&packer.finish()?);
    Ok((bytes.freeze(), Some(coding)))
}

/// Those of a form in the body first, then those of the address.
async fn parameters(call: Call) -> Result<Parameters, String> {
    let read = |bytes: &[u8]| -> Vec<(String, String)> {
        url::form_urlencoded::parse(bytes).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    };
    let of_address = read(call.request.uri().query().unwrap_or_default().as_bytes());
    let mut pairs = match *call.request.method() {
        Method::POST => read(&whole(call.request.into_body()).await?),
        _ => Vec::new(),
    };
    pairs.extend(of_address);
    Ok(Parameters::new(pairs))
}

fn respond(status: StatusCode, (bytes, coding): Sent) -> Response<Body> {
    with_body(status, boxed(Full::new(bytes)), coding)
}

fn with_body(status: StatusCode, body: Body, coding: Option<&'static str>) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}
