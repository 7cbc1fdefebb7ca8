//! `GET` and `POST /api/v3/query_sql`: a statement in, rows out.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::Frame;
use serde::Deserialize;
use tsdb::DEFAULT_SCHEMA;

use crate::engine::Engine;
use crate::error::Error;
use crate::format::Format;

/// A statement may be this long, in bytes.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// Says what is missing from an answer: a header, and behind the rows a trailer for what showed only then.
pub const WARNING_HEADER: &str = "x-fournines-warning";

fn headers<'a>(warnings: impl Iterator<Item = &'a String>) -> HeaderMap {
    let text = |warning: &String| HeaderValue::from_bytes(warning.escape_default().to_string().as_bytes()).ok();
    warnings.filter_map(text).map(|value| (HeaderName::from_static(WARNING_HEADER), value)).collect()
}

/// Answers come as a stream of bytes, so that a large one needs no memory for all of it.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// What a request asks: in the query string, or in a body of JSON or of a form.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// The statement.
    #[serde(default)]
    q: String,
    /// The schema for names without one.
    db: Option<String>,
    /// `json` (default), `jsonl`, `csv` or `pretty`.
    format: Option<String>,
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
            let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed();
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
    let question = Question::read(request).await?;
    let format = question.format.as_deref().map_or(Some(Format::default()), Format::parse);
    let unknown = || (StatusCode::BAD_REQUEST, "format is json, jsonl, csv or pretty".to_string());
    let format = format.ok_or_else(unknown)?;
    let schema = question.db.as_deref().filter(|db| !db.is_empty()).unwrap_or(DEFAULT_SCHEMA);
    let mut answer = engine.query(&question.q, schema).await.map_err(refusal)?.encode(format);
    // The first bytes before the status: most errors show by then.
    let first = answer.next().await.transpose().map_err(refusal)?;
    let known = answer.warnings();
    let rest = futures::stream::unfold((Some(answer), known.clone()), |(answer, known)| async move {
        let mut answer = answer?;
        match answer.next().await {
            Some(bytes) => Some((bytes.map(Frame::data).map_err(std::io::Error::other), (Some(answer), known))),
            // What showed only on the way comes behind the rows.
            None => {
                let warnings = headers(answer.warnings().difference(&known));
                (!warnings.is_empty()).then_some((Ok(Frame::trailers(warnings)), (None, known)))
            }
        }
    });
    let all = futures::stream::iter(first.map(|bytes| Ok(Frame::data(bytes)))).chain(rest);
    let mut response = response(StatusCode::OK, format.media_type(), BodyExt::boxed(StreamBody::new(all)));
    response.headers_mut().extend(headers(known.iter()));
    response.headers_mut().insert(header::TRAILER, HeaderValue::from_static(WARNING_HEADER));
    Ok(response)
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
                other => {
                    let reason = format!("parameter '{other}' is not known; there are q, db and format");
                    return Err((StatusCode::BAD_REQUEST, reason));
                }
            }
        }
        Ok(())
    }
}

fn refusal(error: Error) -> Refusal {
    let status = match error {
        Error::Statement(_) => StatusCode::BAD_REQUEST,
        Error::ReadOnly(_) => StatusCode::FORBIDDEN,
        Error::Timeout { .. } | Error::Memory { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string())
}

fn response(status: StatusCode, media_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
