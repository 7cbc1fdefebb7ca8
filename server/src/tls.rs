//! TLS for the server: a certificate and its key from files, taken anew when the files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::connections::HTTP2;

/// How often it looks whether the files have changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The certificate that new connections get.
#[derive(Debug)]
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads a chain of certificates and their key, both PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Certificate>> {
        let current = ArcSwap::from_pointee(read(certificate, key)?);
        Ok(Arc::new(Certificate { certificate: certificate.into(), key: key.into(), current }))
    }

    /// What takes connections with it.
    pub fn acceptor(self: &Arc<Certificate>) -> Result<TlsAcceptor> {
        let provider = Arc::new(default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Takes the files anew whenever they change, for ever. What is not right leaves the certificate as it is.
    pub async fn follow(self: Arc<Certificate>) {
        let mut seen = self.stamps();
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = self.stamps();
            if now == seen {
                continue;
            }
            match read(&self.certificate, &self.key) {
                Ok(new) => {
                    self.current.store(new.into());
                    tracing::info!("new connections get the new certificate of {}", self.certificate.display());
                    seen = now;
                }
                // A pair that is being replaced does not match for a moment; it is tried again.
                Err(error) => tracing::warn!("the certificate stays as it is: {error:#}"),
            }
        }
    }

    fn stamps(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| std::fs::metadata(path).and_then(|about| about.modified()).ok())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey> {
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.with_context(|| format!("read certificates from {} (server.tls_cert)", certificate.display()))?;
    anyhow::ensure!(!chain.is_empty(), "{} has no certificate (server.tls_cert)", certificate.display());
    let secret = PrivateKeyDer::from_pem_file(key);
    let secret = secret.with_context(|| format!("read a private key from {} (server.tls_key)", key.display()))?;
    let pair = CertifiedKey::from_der(chain, secret, &default_provider());
    pair.with_context(|| format!("{} and {} do not belong together", certificate.display(), key.display()))
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}
