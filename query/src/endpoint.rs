//! `GET` and `POST /api/v3/query_sql`: a statement in, rows out.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::Frame;
use runner::Refused;
use serde::Deserialize;
use tsdb::DEFAULT_SCHEMA;

use crate::answer::Encoded;
use crate::base::error::Error;
use crate::engine::Engine;
use crate::out::format::Format;
use crate::out::packing::Packer;

/// A statement may be this long, in bytes.
const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// So much of an answer is gathered before its head goes out, if it is ready.
const READY_BYTES_MAX: usize = 64 * 1024;

/// Says what is missing from an answer: a header, and behind the rows a trailer for what showed only then.
pub const WARNING_HEADER: &str = "x-fournines-warning";

fn headers<'a>(warnings: impl Iterator<Item = &'a String>) -> HeaderMap {
    let text = |warning: &String| HeaderValue::from_bytes(warning.escape_default().to_string().as_bytes()).ok();
    warnings.filter_map(text).map(|value| (HeaderName::from_static(WARNING_HEADER), value)).collect()
}

/// Answers come as a stream of bytes, so that a large one needs no memory for all of it.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// What a request asks: in the query string, or in a body of JSON or of a form.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The statement.
    #[serde(default)]
    q: String,
    /// The schema for names without one.
    db: Option<String>,
    /// `json` (default), `jsonl`, `csv`, `parquet`, `arrow` or `pretty`.
    format: Option<String>,
    /// Values for `$1` (a list) or `$name` (an object).
    params: Option<serde_json::Value>,
}

/// Answers a request for SQL.
///
/// An error before the first row is a `4xx` or `5xx` with `{"error": ...}`. One that comes later cuts the answer
/// off: the transfer ends without its last chunk, which every HTTP client reports.
pub async fn query_sql<B>(engine: &Arc<Engine>, request: Request<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match try_query(engine, request).await {
        Ok(response) => response,
        Err((status, reason)) => {
            let body = serde_json::json!({ "error": reason }).to_string();
            let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
            response(status, "application/json", body)
        }
    }
}

type Refusal = (StatusCode, String);

async fn try_query<B>(engine: &Arc<Engine>, request: Request<B>) -> Result<Response<Body>, Refusal>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let failed = |error: std::io::Error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let packer = Packer::asked(request.headers()).map_err(failed)?;
    let question = Question::read(request).await?;
    let format = question.format.as_deref().map_or(Some(Format::default()), Format::parse);
    let unknown = || (StatusCode::BAD_REQUEST, format!("format: expected one of {}", Format::names()));
    let format = format.ok_or_else(unknown)?;
    let schema = question.db.as_deref().filter(|db| !db.is_empty()).unwrap_or(DEFAULT_SCHEMA);
    let answer = match &question.params {
        Some(values) => engine.query_with(&question.q, values, schema).await,
        None => engine.query(&question.q, schema).await,
    };
    let mut answer = answer.and_then(|answer| answer.encode(format)).map_err(refusal)?;
    // The first bytes before the status: most errors show by then.
    let first = answer.next().await.transpose().map_err(refusal)?;
    let known = answer.warnings();
    let coding = packer.as_ref().map(Packer::name);
    let mut rest = Rest { answer: Some(answer), packer, known: known.clone(), first, ready: BytesMut::new() };
    let is_all = rest.gather().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let mut response = match is_all {
        Some(late) => {
            let body = Full::new(rest.ready.freeze()).map_err(|never| match never {}).boxed_unsync();
            let mut response = response(StatusCode::OK, format.media_type(), body);
            response.headers_mut().extend(late);
            response
        }
        None => {
            let all = futures::stream::unfold(rest, |mut rest| async move { Some((rest.next().await?, rest)) });
            let body = BodyExt::boxed_unsync(StreamBody::new(all));
            let mut response = response(StatusCode::OK, format.media_type(), body);
            response.headers_mut().insert(header::TRAILER, HeaderValue::from_static(WARNING_HEADER));
            response
        }
    };
    response.headers_mut().extend(headers(known.iter()));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    Ok(response)
}

/// An answer on its way: its bytes, packed or not, then what showed only on the way.
struct Rest {
    answer: Option<Encoded>,
    packer: Option<Packer>,
    known: BTreeSet<String>,
    first: Option<Bytes>,
    /// What was ready before the head went out.
    ready: BytesMut,
}

impl Rest {
    /// Takes what is ready, without waiting. If that is all, warnings that showed only now come back: a short answer
    /// needs no chunks and no trailer.
    fn gather(&mut self) -> Result<Option<HeaderMap>, std::io::Error> {
        let (mut ready, mut late) = (BytesMut::new(), HeaderMap::new());
        let is_all = loop {
            match self.next().now_or_never() {
                Some(Some(frame)) => match frame?.into_data() {
                    Ok(bytes) => ready.extend_from_slice(&bytes),
                    Err(frame) => late.extend(frame.into_trailers().unwrap_or_default()),
                },
                ended => break ended.is_some(),
            }
            if ready.len() > READY_BYTES_MAX {
                break false;
            }
        };
        self.ready = ready;
        Ok(is_all.then_some(late))
    }

    async fn next(&mut self) -> Option<Result<Frame<Bytes>, std::io::Error>> {
        if !self.ready.is_empty() {
            return Some(Ok(Frame::data(std::mem::take(&mut self.ready).freeze())));
        }
        loop {
            let bytes = match self.first.take() {
                Some(first) => Some(Ok(first)),
                None => self.answer.as_mut()?.next().await.map(|bytes| bytes.map_err(std::io::Error::other)),
            };
            let bytes = match (bytes, &mut self.packer) {
                (Some(Ok(bytes)), Some(packer)) => packer.pack(&bytes),
                (Some(bytes), _) => bytes,
                (None, packer @ Some(_)) => packer.take()?.finish(),
                (None, None) => {
                    let warnings = headers(self.answer.take()?.warnings().difference(&self.known));
                    return (!warnings.is_empty()).then_some(Ok(Frame::trailers(warnings)));
                }
            };
            match bytes {
                // What was packed so far waits for more.
                Ok(bytes) if bytes.is_empty() => {}
                bytes => return Some(bytes.map(Frame::data)),
            }
        }
    }
}

impl Question {
    async fn read<B>(request: Request<B>) -> Result<Question, Refusal>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let bad = |reason: String| (StatusCode::BAD_REQUEST, reason);
        let mut question = Question::default();
        question.set_form(request.uri().query().unwrap_or_default().as_bytes())?;
        if request.method() == Method::POST {
            let media = request.headers().get(header::CONTENT_TYPE);
            let json = media.is_none_or(|media| media.as_bytes().starts_with(b"application/json"));
            let body = Limited::new(request.into_body(), STATEMENT_BYTES_MAX).collect().await;
            let body = body.map_err(|error| match error.is::<LengthLimitError>() {
                true => {
                    let reason = format!("the statement is longer than {STATEMENT_BYTES_MAX} bytes");
                    (StatusCode::PAYLOAD_TOO_LARGE, reason)
                }
                false => bad(format!("the body could not be read: {error}")),
            })?;
            let body = body.to_bytes();
            match json {
                true if body.is_empty() => {}
                true => question = serde_json::from_slice(&body).map_err(|error| bad(format!("the body: {error}")))?,
                false => question.set_form(&body)?,
            }
        }
        match question.q.trim().is_empty() {
            false => Ok(question),
            true => Err(bad("expected a statement in the parameter q".into())),
        }
    }

    fn set_form(&mut self, form: &[u8]) -> Result<(), Refusal> {
        for (name, value) in url::form_urlencoded::parse(form) {
            match &*name {
                "q" => self.q = value.into_owned(),
                "db" => self.db = Some(value.into_owned()),
                "format" => self.format = Some(value.into_owned()),
                "params" => {
                    let bad = |error| (StatusCode::BAD_REQUEST, format!("params: expected JSON: {error}"));
                    self.params = Some(serde_json::from_str(&value).map_err(bad)?);
                }
                other => {
                    let reason = format!("parameter '{other}' is not known; there are q, db, format and params");
                    return Err((StatusCode::BAD_REQUEST, reason));
                }
            }
        }
        Ok(())
    }
}

fn refusal(error: Error) -> Refusal {
    let status = match error {
        Error::Statement(_) | Error::Unplanned(_) => StatusCode::BAD_REQUEST,
        Error::ReadOnly(_) => StatusCode::FORBIDDEN,
        Error::Rows { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::Stopped(Refused::Broken) | Error::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        Error::Stopped(_) | Error::Memory { .. } => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, error.to_string())
}

fn response(status: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
