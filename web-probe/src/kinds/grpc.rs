//! `grpc://host:port/service` and `grpcs://`: gRPC's own question whether a service is healthy
//! ([health checking protocol](https://github.com/grpc/grpc/blob/master/doc/health-checking.md)).

use std::sync::Arc;

use hyper::Method;
use hyper::header::{self, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting, host_of};
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::Findings;
use crate::http::{Answer, HttpAsk, hop};
use crate::net::identity::HttpVersion;
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["grpc"],
    aliases: &["grpcs"],
    is_asked: |_| true,
    takes: &[Setting::Request],
    make: |url, ask| {
        let scheme = if url.scheme() == "grpcs" { "https" } else { "http" };
        let port = url.port().ok_or("a port is missing, as in grpc://host:50051/service")?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("expected grpc://host:port/service and nothing else".into());
        }
        let service = percent_decode_str(url.path().trim_start_matches('/')).decode_utf8();
        let service = service.map_err(|_| "the name of a service is UTF-8")?;
        let service = u8::try_from(service.len()).ok().filter(|length| *length < 0x80).map(|_| service.into_owned());
        let service = service.ok_or("the name of a service has at most 127 bytes")?;
        let address = format!("{scheme}://{}:{port}/grpc.health.v1.Health/Check", host_of(&url)?);
        let url = Url::parse(&address).map_err(|error| error.to_string())?;
        if ask.http.proxy.is_some() || ask.http.method != Method::GET || !ask.http.body.is_empty() {
            return Err("method, body and proxy are not for grpc".into());
        }
        let mut ask = HttpAsk { version: HttpVersion::Http2, redirects_max: 0, method: Method::POST, ..ask.http };
        ask.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        ask.headers.insert(header::TE, HeaderValue::from_static("trailers"));
        ask.body = message(&service).into();
        Ok(Arc::new(GrpcCheck { url, ask, service }))
    },
};

/// A `HealthCheckRequest` behind its length.
fn message(service: &str) -> Vec<u8> {
    let mut request = Vec::new();
    if !service.is_empty() {
        request.extend([0x0a, service.len() as u8]);
        request.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend((request.len() as u32).to_be_bytes());
    framed.append(&mut request);
    framed
}

/// A service, or the server as a whole without a name.
#[derive(Debug)]
struct GrpcCheck {
    url: Url,
    ask: HttpAsk,
    service: String,
}

impl Check for GrpcCheck {
    fn kind(&self) -> &'static str {
        "grpc"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let answer = hop(terms, network, &self.url, &self.ask, findings).await?;
            if answer.status != 200 {
                return Err(Class::Status.because(format!("the status is {}, expected 200", answer.status)));
            }
            let state = state(&answer)?;
            findings.fields.push(("answer", Field::Str(state.into())));
            match state {
                "SERVING" => Ok(()),
                _ => Err(Class::Body.because(format!("grpc: the service '{}' is {state}", self.service))),
            }
        })
    }
}

/// What a server says of a service.
fn state(answer: &Answer) -> Result<&'static str, Failure> {
    // An error without a message has its status in the head, others behind the message.
    let value = |name: &str| answer.trailers.get(name).or_else(|| answer.headers.get(name));
    let text = |name: &str| value(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if let Some(status) = text("grpc-status").filter(|status| status != "0") {
        let message = text("grpc-message").unwrap_or_default();
        return Err(Class::ServerError.because(format!("grpc: status {status} {message}").trim_end().to_owned()));
    }
    match &answer.body[..] {
        // Without a value it is 0.
        [0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 2, 0x08, 0, ..] => Ok("UNKNOWN"),
        [0, 0, 0, 0, 2, 0x08, 1, ..] => Ok("SERVING"),
        [0, 0, 0, 0, 2, 0x08, 2, ..] => Ok("NOT_SERVING"),
        [0, 0, 0, 0, 2, 0x08, 3, ..] => Ok("SERVICE_UNKNOWN"),
        _ => Err(Class::Protocol.because("grpc: the answer is none to a question of health")),
    }
}
