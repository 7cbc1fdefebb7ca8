//! `http://` and `https://`: requests, their phases timed one by one.
//!
//! Built on hyper's connection API: this crate resolves, connects and shakes hands itself, because a client library
//! that did it would hide when each phase began and ended. The connection is closed after the answer; a redirect is followed over a new one, with phases of its own.

mod ask;
mod cookies;
mod exchange;
mod expect;
#[cfg(feature = "http3")]
mod http3;

use std::borrow::Cow;

use url::Url;

pub use ask::{HttpAsk, HttpVersion, Identity};
pub(crate) use cookies::Cookies;
pub(crate) use exchange::{Answer, hop};
pub use expect::Expect;

use crate::check::{Check, Checking, Findings, Memory};
use crate::failure::{Class, Failure};
use crate::network::Network;
use crate::recorder::Field;
use crate::target::{ConnectTo, Target};

/// A request, and what its answer has to be.
#[derive(Debug)]
pub(crate) struct HttpCheck {
    pub url: Url,
    pub ask: HttpAsk,
    pub expect: Expect,
    /// The hash of the content in the slot before.
    pub content: Memory<Option<String>>,
}

impl Check for HttpCheck {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn run<'a>(&'a self, target: &'a Target, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let (answer, url) = follow(target, network, &self.url, &self.ask, None, findings).await?;
            findings.fields.push(("protocol", Field::Str(answer.protocol.into())));
            if self.expect.watch_content && self.expect.status_is_up(answer.status) {
                let sha256 = self.expect.content_sha256(&answer)?;
                let before = self.content.with(|content| content.replace(sha256.clone()));
                findings.fields.extend(before.map(|before| ("content_changed", Field::Bool(before != sha256))));
                findings.fields.push(("content_sha256", Field::Str(sha256)));
            }
            self.expect.judge(&answer, &url)
        })
    }
}

/// Asks, and follows redirects with the cookies of a visitor, if there are any; the last answer and where it came from.
pub(crate) async fn follow(
    target: &Target,
    network: &Network,
    url: &Url,
    ask: &HttpAsk,
    mut cookies: Option<&mut Cookies>,
    findings: &mut Findings,
) -> Result<(Answer, Url), Failure> {
    let (mut url, mut ask, mut target) = (url.clone(), Cow::Borrowed(ask), Cow::Borrowed(target));
    loop {
        let asked = cookies.as_ref().map(|cookies| cookies.added_to(&ask, &url));
        let answer = hop(&target, network, &url, asked.as_ref().unwrap_or(&ask), findings).await?;
        if let Some(cookies) = &mut cookies {
            cookies.take(&answer.headers, &url);
        }
        let Some(next) = answer.leads_to(&url).filter(|_| ask.redirects_max > 0).transpose()? else {
            if !findings.hops.is_empty() {
                findings.end_hop(&url);
                findings.fields.push(("final_url", Field::Str(url.to_string())));
            }
            return Ok((answer, url));
        };
        findings.end_hop(&url);
        if findings.hops.len() > ask.redirects_max as usize {
            return Err(Class::TooManyRedirects
                .because(format!("more than {} redirects; the next one leads to {next}", ask.redirects_max)));
        }
        ask.to_mut().follow(answer.status, &url, &next);
        if url.host() != next.host() && matches!(target.connect_to, ConnectTo::Pinned(_)) {
            target.to_mut().connect_to = ConnectTo::Any;
        }
        url = next;
    }
}
