//! One attempt to tell.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use client::asking::{self, HttpClient};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::{HeaderMap, Request, StatusCode, header};

use super::channel::{Channel, Kind};
use super::http::{HttpAsk, Meaning};
use super::outcome::Outcome;
use super::told::{Notice, Told};
use super::{body, exec, mail};
use crate::base::clock::now_ms;

/// Of an answer so much is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
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
        let webhook = || body::webhook(notice, channel, external_url).to_string();
        match &channel.kind {
            Kind::Smtp(mail) => mail::send(channel, mail, notice, external_url).await,
            Kind::Exec(program) => exec::send(program, &notice.id, webhook(), channel.timeout).await,
            Kind::Webhook => self.post(channel, &channel.url, &notice.id, webhook()).await,
            Kind::Alertmanager => self.alertmanager(channel, &notice.id, &notice.alerts, external_url).await,
            Kind::Http(_, ask) => self.ask(channel, ask, notice, external_url).await,
        }
    }

    /// Tells an Alertmanager of alerts.
    pub(super) async fn alertmanager(
        &self,
        channel: &Channel,
        id: &str,
        alerts: &[Told],
        external_url: &str,
    ) -> Outcome {
        let url = format!("{}/api/v2/alerts", channel.url.trim_end_matches('/'));
        self.post(channel, &url, id, body::alertmanager(alerts, external_url, now_ms()).to_string()).await
    }

    /// Posts JSON.
    async fn post(&self, channel: &Channel, url: &str, id: &str, body: String) -> Outcome {
        let json = [(header::CONTENT_TYPE.as_str(), "application/json")];
        let answer = match self.exchange(channel, ("POST", url, id), json, body.into_bytes()).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match (answer.status.is_success(), answer.is_passing()) {
            (true, _) => Outcome::Sent,
            (false, true) => answer.failed(),
            (false, false) => Outcome::refused(answer.said()),
        }
    }

    /// Sends the requests that tell a notice, until one is not taken.
    async fn ask(&self, channel: &Channel, ask: &HttpAsk, notice: &Notice, external_url: &str) -> Outcome {
        let filled = match ask.fill(channel, notice, external_url) {
            Ok(filled) => filled,
            Err(error) => return Outcome::refused(error),
        };
        for own in filled {
            let headers = own.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let answer = self.exchange(channel, (&ask.method, &own.url, &notice.id), headers, own.body).await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(outcome) => return outcome,
            };
            match ask.meaning(answer.status.is_success(), answer.is_passing(), &answer.body) {
                Meaning::Taken => {}
                Meaning::Again => return answer.failed(),
                Meaning::Never => return Outcome::refused(answer.said()),
            }
        }
        Outcome::Sent
    }

    async fn exchange(
        &self,
        channel: &Channel,
        (method, url, id): (&str, &str, &str),
        headers: impl IntoIterator<Item = (&str, &str)>,
        body: Vec<u8>,
    ) -> Result<Answer, Outcome> {
        let begun = Request::builder()
            .method(method)
            .uri(url)
            .header(header::USER_AGENT, concat!("fournines/", env!("CARGO_PKG_VERSION")))
            .header("Idempotency-Key", id);
        let request = headers.into_iter().fold(begun, |request, (name, value)| request.header(name, value));
        // Without its address, which may have a secret in it.
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|error| Outcome::refused(error.to_string()))?;
        match tokio::time::timeout(channel.timeout, self.answer(request)).await {
            Ok(answer) => answer.map_err(|error| Outcome::failed(format!("{error:#}"))),
            Err(_) => Err(Outcome::failed(format!("no answer within {:?}", channel.timeout))),
        }
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let answer = self.client()?.request(request).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let read = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(Answer { status, headers, body: read.map(Collected::to_bytes).unwrap_or_default() })
    }
}

/// What a receiver answered.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// May another time be better?
    fn is_passing(&self) -> bool {
        let is_later = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        self.status.is_server_error() || is_later
    }

    fn said(&self) -> String {
        format!("{}: {}", self.status, String::from_utf8_lossy(&self.body).trim())
    }

    fn failed(&self) -> Outcome {
        let after = self.headers.get(header::RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
        Outcome::failed_until(self.said(), after.map(Duration::from_secs))
    }
}
