//! Who a client is in a TLS handshake, and which HTTP it offers there.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::crypto::{provider, sha256_hex};

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
        let own = rustls::sign::CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider());
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
        write!(f, "Identity({})", sha256_hex(&all))
    }
}
