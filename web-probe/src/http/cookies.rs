//! The cookies of a visitor, from one request to the next.

use cookie_store::CookieStore;
use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};
use url::Url;

use super::HttpAsk;

/// Cookies that servers set, and which requests take them along (RFC 6265).
#[derive(Debug, Default)]
pub(crate) struct Cookies(CookieStore);

impl Cookies {
    /// Takes those that an answer from an address sets.
    pub(super) fn take(&mut self, headers: &HeaderMap, from: &Url) {
        for value in headers.get_all(header::SET_COOKIE) {
            // What cannot be a cookie here is none, as in browsers.
            let _ = value.to_str().map(|text| self.0.parse(text, from));
        }
    }

    /// A request with those that belong to an address, behind the ones that are configured.
    pub(super) fn added_to(&self, ask: &HttpAsk, to: &Url) -> HttpAsk {
        let mut ask = ask.clone();
        let configured = ask.headers.get(header::COOKIE).map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        let own = self.0.get_request_values(to).map(|(name, value)| format!("{name}={value}"));
        let all = configured.into_iter().chain(own).collect::<Vec<_>>().join("; ");
        if let Some(value) = HeaderValue::from_str(&all).ok().filter(|_| !all.is_empty()) {
            ask.headers.insert(header::COOKIE, value);
        }
        ask
    }
}
