//! One attempt to tell.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use client::asking::{self, HttpClient};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};

use super::channel::{Channel, Kind};
use super::told::Notice;
use super::{body, mail};
use crate::base::clock::now_ms;

/// Of an answer so much is read.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// Of an error so much is kept.
const ERROR_LETTERS_MAX: usize = 300;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Sent,
    /// It may be taken another time.
    Failed {
        /// Why not.
        error: String,
        /// Not before, if the receiver said so.
        after: Option<Duration>,
    },
    /// It will never be taken.
    Refused(String),
}

/// Posts what is to be told, and trusts whom the system trusts.
#[derive(Debug, Clone, Default)]
pub struct Sender(OnceLock<HttpClient>);

impl Sender {
    /// Made when it is needed: a system that trusts nobody may have nobody to tell.
    fn client(&self) -> anyhow::Result<&HttpClient> {
        match self.0.get() {
            Some(client) => Ok(client),
            None => {
                let client = asking::new()?;
                Ok(self.0.get_or_init(|| client))
            }
        }
    }

    /// Tells a channel.
    pub async fn send(&self, channel: &Channel, notice: &Notice, external_url: &str) -> Outcome {
        let body = match &channel.kind {
            Kind::Smtp(mail) => return mail::send(channel, mail, notice, external_url).await,
            Kind::Webhook => body::webhook(notice, channel, external_url),
            Kind::Alertmanager => body::alertmanager(&notice.alerts, external_url, now_ms()),
        };
        self.send_body(channel, &notice.id, body.to_string()).await
    }

    /// Posts a body to a channel.
    pub(super) async fn send_body(&self, channel: &Channel, id: &str, body: String) -> Outcome {
        match tokio::time::timeout(channel.timeout, self.post(channel, id, body)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::failed(format!("no answer within {:?}", channel.timeout)),
        }
    }

    async fn post(&self, channel: &Channel, id: &str, body: String) -> Outcome {
        let request = Request::builder()
            .method(Method::POST)
            .uri(channel.address())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("fournines/", env!("CARGO_PKG_VERSION")))
            .header("Idempotency-Key", id)
            .body(Full::new(Bytes::from(body)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(format!("{}: {error}", channel.url)),
        };
        let answer = match self.client() {
            Ok(client) => client.request(request).await,
            Err(error) => return Outcome::failed(format!("{error:#}")),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Outcome::failed(format!("{:#}", anyhow::Error::from(error))),
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status.is_success() {
            return Outcome::Sent;
        }
        let read = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let text = read.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        let error = shortened(format!("{status}: {}", text.trim()));
        let may_come =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if !may_come {
            return Outcome::Refused(error);
        }
        let after = headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        Outcome::Failed { error, after: after.map(Duration::from_secs) }
    }
}

impl Outcome {
    pub(super) fn failed(error: String) -> Outcome {
        Outcome::Failed { error: shortened(error), after: None }
    }
}

/// Without what would break a line of a log.
fn shortened(text: String) -> String {
    let plain = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(ERROR_LETTERS_MAX).collect::<String>().trim_end().trim_end_matches(':').to_owned()
}
