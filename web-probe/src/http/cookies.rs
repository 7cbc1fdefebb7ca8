//! The cookies of a visitor, from one request to the next.

use cookie_store::CookieStore;
use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};
use url::Url;

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

    /// Adds those that belong to an address.
    pub(super) fn give(&self, headers: &mut HeaderMap, to: &Url) {
        let own = self.0.get_request_values(to).map(|(name, value)| format!("{name}={value}"));
        let all = own.collect::<Vec<_>>().join("; ");
        if let Some(value) = HeaderValue::from_str(&all).ok().filter(|_| !all.is_empty()) {
            headers.insert(header::COOKIE, value);
        }
    }
}
