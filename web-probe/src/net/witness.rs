//! A look at what a server shows in a handshake, also where it is not to be trusted.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::net::verifier::Verifier;

/// What a server showed.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Its certificate and those that vouch for it, in DER.
    pub chain: Vec<Vec<u8>>,
    /// The issuer's answer that was stapled to it, in DER; empty if there was none.
    pub ocsp: Vec<u8>,
    /// Why it is not trusted.
    #[cfg(feature = "http3")]
    pub refused: Option<rustls::Error>,
}

/// Believes whom another verifier believes, and remembers what there was to see.
#[derive(Debug)]
pub(crate) struct Witness {
    verifier: Arc<Verifier>,
    shown: Mutex<Shown>,
}

impl Witness {
    /// A witness of one handshake.
    pub(crate) fn new(verifier: Arc<Verifier>) -> Arc<Witness> {
        Arc::new(Witness { verifier, shown: Mutex::default() })
    }

    /// What it saw, once.
    pub(crate) fn shown(&self) -> Shown {
        std::mem::take(&mut *self.shown.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(leaf, intermediates, name, ocsp, now);
        let chain = std::iter::once(leaf).chain(intermediates).map(|der| der.to_vec()).collect();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Shown {
            chain,
            ocsp: ocsp.to_vec(),
            #[cfg(feature = "http3")]
            refused: verified.as_ref().err().cloned(),
        };
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
