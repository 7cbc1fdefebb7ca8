//! Who is believed in a handshake: whoever has a certificate of somebody who is trusted, or is trusted himself.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage};

use crate::net::crypto::provider;

/// Believes whom some certificates vouch for, those who have one of them themselves, or everybody.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// Nothing where everybody is believed.
    inner: Option<Arc<WebPkiServerVerifier>>,
    roots: Arc<RootCertStore>,
    /// The same in DER.
    trusted: Arc<[CertificateDer<'static>]>,
}

impl Verifier {
    /// Believes whom these certificates vouch for.
    ///
    /// # Errors
    ///
    /// There is none that can vouch for anybody.
    pub(crate) fn new(certificates: &[CertificateDer<'static>]) -> Result<Arc<Verifier>, String> {
        let mut roots = RootCertStore::empty();
        let trusted = certificates.iter().filter(|der| roots.add((*der).clone()).is_ok()).cloned().collect();
        let roots = Arc::new(roots);
        let inner = WebPkiServerVerifier::builder_with_provider(roots.clone(), Arc::new(provider())).build();
        let inner = Some(inner.map_err(|error| error.to_string())?);
        Ok(Arc::new(Verifier { inner, roots, trusted }))
    }

    /// Believes everybody.
    pub(crate) fn of_everybody() -> Arc<Verifier> {
        Arc::new(Verifier { inner: None, roots: Arc::new(RootCertStore::empty()), trusted: Arc::new([]) })
    }

    /// The certificates that are trusted, in DER.
    pub(crate) fn trusted(&self) -> &[CertificateDer<'static>] {
        &self.trusted
    }

    /// The certificates on the way from a leaf to somebody who is trusted, the leaf first: a server may send more, and
    /// some that have nothing to do with it. Nothing if there is no such way.
    pub(crate) fn path(&self, chain: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
        let ders: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let (leaf, intermediates) = ders.split_first()?;
        if self.trusted.iter().any(|own| own == leaf) {
            return Some(vec![leaf.to_vec()]);
        }
        let algorithms = provider().signature_verification_algorithms.all;
        let leaf = EndEntityCert::try_from(leaf).ok()?;
        let usage = KeyUsage::server_auth();
        let anchors = &self.roots.roots;
        let path =
            leaf.verify_for_usage(algorithms, anchors, intermediates, UnixTime::now(), usage, None, None).ok()?;
        let between = path.intermediate_certificates().map(|certificate| certificate.der().to_vec());
        Some(std::iter::once(chain[0].clone()).chain(between).collect())
    }
}

/// Is a certificate that is trusted itself good now, for this name?
fn is_good_itself(leaf: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
    let parsed = x509_parser::parse_x509_certificate(leaf).map_err(|_| CertificateError::BadEncoding)?.1;
    let (now_s, validity) = (now.as_secs() as i64, parsed.validity());
    match (now_s < validity.not_before.timestamp(), now_s > validity.not_after.timestamp()) {
        (true, _) => Err(CertificateError::NotValidYet.into()),
        (_, true) => Err(CertificateError::Expired.into()),
        _ => Ok(()),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        // As browsers and OpenSSL have it: one that is trusted itself needs nobody to vouch for it.
        if self.trusted.iter().any(|own| own == leaf) {
            return is_good_itself(leaf, name, now).map(|()| ServerCertVerified::assertion());
        }
        inner.verify_server_cert(leaf, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, leaf, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
