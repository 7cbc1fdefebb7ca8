//! `http://` and `https://`: requests, their phases timed one by one.
//!
//! Built on hyper's connection API: this crate resolves, connects and shakes hands itself, because a client library
//! that did it would hide when each phase began and ended. The connection is closed after the answer; a redirect is
//! followed over a new one, with phases of its own.

mod ask;
pub(crate) mod charset;
mod coding;
mod content;
mod cookies;
mod exchange;
mod expect;
#[cfg(feature = "http3")]
mod http3;
mod watched;

use std::borrow::Cow;

use url::Url;

pub use ask::HttpAsk;
pub(crate) use cookies::Cookies;
pub(crate) use exchange::{Answer, hop};
pub use expect::Expect;

use crate::base::address::without_password;
use crate::base::terms::{ConnectTo, Terms};
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::Findings;
use crate::net::network::Network;

/// Asks, and follows redirects with the cookies of a visitor, if there are any; the last answer and where it came from.
pub(crate) async fn follow(
    terms: &Terms,
    network: &Network,
    url: &Url,
    ask: &HttpAsk,
    mut cookies: Option<&mut Cookies>,
    findings: &mut Findings,
) -> Result<(Answer, Url), Failure> {
    let (mut url, mut ask, mut terms) = (url.clone(), Cow::Borrowed(ask), Cow::Borrowed(terms));
    loop {
        let asked = cookies.as_ref().map(|cookies| cookies.added_to(&ask, &url));
        let answer = hop(&terms, network, &url, asked.as_ref().unwrap_or(&ask), findings).await?;
        if let Some(cookies) = &mut cookies {
            cookies.take(&answer.headers, &url);
        }
        let Some(next) = answer.leads_to(&url).filter(|_| ask.redirects_max > 0).transpose()? else {
            if !findings.hops.is_empty() {
                findings.end_hop(&url);
                findings.fields.push(("final_url", Field::Str(without_password(&url))));
            }
            return Ok((answer, url));
        };
        findings.end_hop(&url);
        if findings.hops.len() > ask.redirects_max as usize {
            return Err(Class::TooManyRedirects.because(format!(
                "more than {} redirects; the next one leads to {}",
                ask.redirects_max,
                without_password(&next)
            )));
        }
        ask.to_mut().follow(answer.status, &url, &next);
        if url.host() != next.host() && matches!(terms.connect_to, ConnectTo::Pinned(_)) {
            terms.to_mut().connect_to = ConnectTo::Any;
        }
        url = next;
    }
}
