//! Whose certificates are believed.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Whose certificates are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of whom the system trusts.
    #[default]
    System,
    /// Those of these, and of nobody else.
    Only(Arc<[CertificateDer<'static>]>),
    /// Anybody's. What is found says so.
    Anybody,
}

impl Trust {
    /// The certificates of a PEM text, and nobody else.
    ///
    /// # Errors
    ///
    /// There are none, or they cannot be read.
    pub fn only(pem: &[u8]) -> Result<Trust, String> {
        let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        match certificates {
            Ok(certificates) if certificates.is_empty() => Err("there is no certificate in it".into()),
            Ok(certificates) => Ok(Trust::Only(certificates.into())),
            Err(error) => Err(error.to_string()),
        }
    }
}
