//! `POST /write` and `/api/v2/write`: line protocol in, durable at the 204.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use tsdb::{DEFAULT_SCHEMA, Store};

use crate::body::{self, Limits, Refusal};
use crate::line_protocol::{self, Precision, Report};

/// How many refused lines an answer lists; the others are counted.
const LISTED_LINES_MAX: usize = 1000;

/// Stores the lines of a request.
///
/// `204` when every line is in the log and synced. `400` when lines were refused: the others *are* stored, and the
/// body lists each refused line with its number and the reason. Nothing was stored on any other status.
///
/// Parameters: `precision` (ns, us, ms, s, m, h; default ns), `db` or `bucket` (the schema; default `public`).
pub async fn write<B>(store: &Arc<Store>, limits: Limits, request: Request<B>) -> Response<Full<Bytes>>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match try_write(store, limits, request).await {
        Ok(report) if report.refused.is_empty() => answer(StatusCode::NO_CONTENT, Bytes::new()),
        Ok(report) => answer(StatusCode::BAD_REQUEST, partial_body(&report)),
        Err(refusal) => refused(&refusal),
    }
}

/// The answer to a request of which nothing was stored.
fn refused(refusal: &Refusal) -> Response<Full<Bytes>> {
    let code = if refusal.status.is_client_error() { "invalid" } else { "unavailable" };
    let body = serde_json::json!({ "code": code, "error": refusal.reason, "message": refusal.reason });
    let mut answer = answer(refusal.status, body.to_string().into());
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    answer
}

async fn try_write<B>(store: &Arc<Store>, limits: Limits, request: Request<B>) -> Result<Report, Refusal>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let parameters = Parameters::parse(request.uri().query().unwrap_or_default())?;
    let (head, body) = request.into_parts();
    let body = body::read(&head.headers, body, limits).await?;
    let mut batch = store.batch(&parameters.schema);
    let report = line_protocol::parse(&body, parameters.precision, now_ns(), &mut batch);
    store.submit(batch).map_err(refusal)?.await.map_err(refusal)?;
    Ok(report)
}

/// What the query string says.
#[derive(Debug)]
struct Parameters {
    schema: String,
    precision: Precision,
}

impl Parameters {
    fn parse(query: &str) -> Result<Parameters, Refusal> {
        let mut parameters = Parameters { schema: DEFAULT_SCHEMA.into(), precision: Precision::default() };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                // An empty name means the default, as if it were not there.
                "db" | "bucket" if !value.is_empty() => parameters.schema = value.into_owned(),
                "precision" => {
                    let unknown = || {
                        let reason = format!("precision '{value}' is not known; use ns, us, ms, s, m or h");
                        Refusal::new(StatusCode::BAD_REQUEST, reason)
                    };
                    parameters.precision = Precision::parse(&value).ok_or_else(unknown)?;
                }
                // Clients send more (org, rp, u, p, consistency), which changes nothing here.
                _ => {}
            }
        }
        match parameters.schema.as_str() {
            "information_schema" | "system" => {
                let reason = format!("'{}' cannot be written to", parameters.schema);
                Err(Refusal::new(StatusCode::BAD_REQUEST, reason))
            }
            _ => Ok(parameters),
        }
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

fn partial_body(report: &Report) -> Bytes {
    let refused = report.refused.len();
    let first = &report.refused[0];
    let (lines, taken) = (refused + report.taken, report.taken);
    let summary = format!(
        "partial write: {taken} of {lines} lines stored, {refused} refused; line {}: {}",
        first.line, first.reason,
    );
    let lines = report.refused.iter().take(LISTED_LINES_MAX);
    let lines = lines.map(
        |bad| serde_json::json!({ "line_number": bad.line, "error_message": bad.reason, "original_line": bad.text }),
    );
    let body = serde_json::json!({
        "code": "invalid",
        "error": summary,
        "message": summary,
        "lines_written": report.taken,
        "lines_refused": refused,
        "data": lines.collect::<Vec<_>>(),
    });
    body.to_string().into()
}

fn answer(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let has_body = !body.is_empty();
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    if has_body {
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    response
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_the_store_has_its_status() {
        let path = std::path::PathBuf::from("wal");
        for (error, status) in [
            (tsdb::Error::Busy { capacity: 1 }, 503),
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
