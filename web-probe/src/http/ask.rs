//! What is asked over HTTP, and how it changes on the way of redirects.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{HeaderMap, Method, header};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

use super::Expect;

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
    /// So much of the start of the body is looked at.
    pub body_bytes_kept: usize,
}

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/2 where a server of `https` takes it, otherwise HTTP/1.1: as browsers do.
    #[default]
    Any,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, and nothing else; with prior knowledge over `http`.
    Http2,
    /// HTTP/3 over QUIC, and nothing else; in builds with the cargo feature `http3`.
    Http3,
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

/// A client's certificate, those that vouch for it, and its key.
#[derive(Clone)]
pub struct Identity(Arc<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>);

impl Identity {
    /// The certificates and the key of these PEM texts.
    ///
    /// # Errors
    ///
    /// What cannot be read, or does not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Identity, String> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| format!("the certificate: {error}"))?;
        if chain.is_empty() {
            return Err("there is no certificate".into());
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| format!("the key: {error}"))?;
        let own = rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &crate::network::provider());
        own.map_err(|error| format!("the certificate and the key: {error}"))?;
        Ok(Identity(Arc::new((chain, key))))
    }

    pub(crate) fn chain_and_key(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (self.0.0.clone(), self.0.1.clone_key())
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.0.0 == other.0.0 && self.0.1.secret_der() == other.0.1.secret_der()
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    /// A digest of the certificate and the key: other ones show, and neither does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self.0.1.secret_der().to_vec();
        self.0.0.iter().for_each(|certificate| all.extend_from_slice(certificate));
        write!(f, "Identity({})", crate::network::sha256_hex(&all))
    }
}
