//! gRPC, as far as one call goes that has a message and an answer: `OTLP/gRPC` of collectors and SDKs.
//!
//! A message is a byte that says whether it is packed, its length in four bytes, and the message. The answer is one,
//! too; how it went stands in the trailers `grpc-status` and `grpc-message`.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use query::endpoint::Body;

use crate::answer::failed;
use crate::call::Call;

/// Where it is called.
pub(crate) const OTLP: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const GRPC: &str = "application/grpc";
/// How a message is packed, if it is.
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// What a client may pack with.
const ACCEPTED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("grpc-accept-encoding"), HeaderValue::from_static("identity,gzip,deflate,zstd"));
/// What stands before a message.
const PREFIX_BYTES: usize = 5;
/// What a message for people cannot have as it is.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// Metrics: an `ExportMetricsServiceRequest`.
pub(crate) async fn otlp(call: Call) -> Response<Body> {
    let Call { services, granted, request, .. } = call;
    let (mut head, body) = request.into_parts();
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with(GRPC) {
        let reason = "this path takes application/grpc; OTLP over HTTP goes to /v1/metrics";
        return failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason);
    }
    let (is_packed, message) = match Message::begin(body, services.ingest.body_timeout()).await {
        Ok(begun) => begun,
        Err(reason) => return answer(Err((StatusCode::BAD_REQUEST, reason))),
    };
    let encoding = head.headers.remove(ENCODING).filter(|_| is_packed);
    head.headers.remove(CONTENT_ENCODING);
    head.headers.extend(encoding.map(|encoding| (CONTENT_ENCODING, encoding)));
    let outcome = services.ingest.otlp_message(granted.agent, Request::from_parts(head, message)).await;
    answer(outcome.map_err(|refusal| (refusal.status, refusal.reason)))
}

/// An answer with a message, or with a status of gRPC's and its reason.
fn answer(outcome: Result<Bytes, (StatusCode, String)>) -> Response<Body> {
    let (message, status, reason) = match outcome {
        Ok(message) => (Some(message), 0, String::new()),
        Err((status, reason)) => (None, code(status), reason),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    if let Ok(reason) = HeaderValue::from_str(&utf8_percent_encode(&reason, ESCAPED).to_string())
        && !reason.is_empty()
    {
        trailers.insert("grpc-message", reason);
    }
    let body = match message {
        Some(message) => {
            let length = u32::try_from(message.len()).expect("an answer is short").to_be_bytes();
            Full::from([&[0][..], &length, &message].concat())
        }
        None => Full::default(),
    };
    let body = body.with_trailers(async { Some(Ok(trailers)) }).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response.headers_mut().extend([ACCEPTED]);
    response
}

/// What a status of HTTP is in gRPC. Agents come again after 14 (unavailable) and drop what 3 (invalid) was about.
fn code(status: StatusCode) -> u16 {
    match status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => 12,
        StatusCode::PAYLOAD_TOO_LARGE => 8,
        StatusCode::REQUEST_TIMEOUT => 4,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::INSUFFICIENT_STORAGE => 14,
        status if status.is_server_error() => 14,
        _ => 3,
    }
}

/// The message of a call, as a body without what stands before it.
struct Message {
    first: Bytes,
    rest: Incoming,
    /// Bytes that have to come.
    left: usize,
}

impl Message {
    /// Reads what stands before it: is it packed?
    async fn begin(mut body: Incoming, timeout: std::time::Duration) -> Result<(bool, Message), String> {
        let mut first = Vec::new();
        while first.len() < PREFIX_BYTES {
            let frame = tokio::time::timeout(timeout, body.frame()).await;
            let frame = frame.map_err(|_| "the message does not come (server.body_timeout)")?;
            let frame = frame.ok_or("expected a message")?.map_err(|error| format!("the body: {error}"))?;
            first.extend(frame.into_data().unwrap_or_default());
        }
        let mut first = Bytes::from(first);
        let is_packed = match first.get_u8() {
            0 => false,
            1 => true,
            other => return Err(format!("a message begins with 0 or 1, not with {other}")),
        };
        let left = first.get_u32() as usize;
        Ok((is_packed, Message { first, rest: body, left }))
    }
}

impl hyper::body::Body for Message {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            let data = match std::mem::take(&mut self.first) {
                first if !first.is_empty() => first,
                _ => match std::task::ready!(Pin::new(&mut self.rest).poll_frame(context)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => data,
                        Err(_) => continue, // trailers
                    },
                    Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    None if self.left > 0 => return Poll::Ready(Some(Err("the message is cut off".into()))),
                    None => return Poll::Ready(None),
                },
            };
            if data.len() > self.left {
                return Poll::Ready(Some(Err("expected one message, there is more".into())));
            }
            self.left -= data.len();
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_says_in_its_trailers_how_it_went() {
        let response = answer(Ok(Bytes::from_static(b"ab")));
        assert_eq!((response.status(), response.headers()[CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, GRPC));
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), &b"\0\0\0\0\x02ab"[..]);
        let response = answer(Err((StatusCode::SERVICE_UNAVAILABLE, "50% full,\nlater".into())));
        let body = response.into_body().collect().await.unwrap();
        let trailers = body.trailers().unwrap().clone();
        assert_eq!(
            (&trailers["grpc-status"], &trailers["grpc-message"]),
            (&"14".parse().unwrap(), &"50%25 full,%0Alater".parse().unwrap())
        );
        assert!(body.to_bytes().is_empty());
    }
}
