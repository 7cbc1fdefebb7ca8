//! What is asked over HTTP, and how it changes on the way of redirects.

use bytes::Bytes;
use hyper::{HeaderMap, Method, header};
use url::Url;

use super::Expect;
use crate::net::identity::{HttpVersion, Identity};

/// What is asked, beside the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAsk {
    /// The method of the first request.
    pub method: Method,
    /// Sent with every request. `Authorization` and `Cookie` go to the host of the address only.
    pub headers: HeaderMap,
    /// The body of the first request.
    pub body: Bytes,
    /// So many redirects are followed; more are a failure. With 0 a redirect is the answer.
    pub redirects_max: u32,
    /// Which HTTP is spoken.
    pub version: HttpVersion,
    /// Who this client is to a server that asks in the handshake. Shown to the host of the address only.
    pub identity: Option<Identity>,
    /// The `http://host:port` that requests go through: as they are for `http`, in a tunnel (CONNECT) for `https`.
    pub proxy: Option<Url>,
    /// Hash the body.
    pub hash_body: bool,
    /// So much of the start of the body is kept, as it arrives.
    pub body_bytes_kept: usize,
}

impl Default for HttpAsk {
    /// GET, up to 10 redirects as `curl -L` and blackbox_exporter follow them.
    fn default() -> HttpAsk {
        HttpAsk {
            method: Method::GET,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            redirects_max: 10,
            version: HttpVersion::Any,
            identity: None,
            proxy: None,
            hash_body: false,
            body_bytes_kept: Expect::BODY_BYTES_SEARCHED,
        }
    }
}

impl HttpAsk {
    /// What the next request is behind a redirect, as the Fetch standard has it (section 4.4).
    pub(super) fn follow(&mut self, status: u16, from: &Url, to: &Url) {
        if matches!(status, 301..=303) && self.method != Method::HEAD {
            (self.method, self.body) = (Method::GET, Bytes::new());
            self.headers.remove(header::CONTENT_TYPE);
        }
        if from.origin() != to.origin() {
            self.leave();
        }
    }

    /// Takes out what is meant for one host alone.
    pub(crate) fn leave(&mut self) {
        for own in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION, header::HOST] {
            self.headers.remove(own);
        }
        self.identity = None;
    }
}
