//! `tls://host:port`: a handshake, and what the server showed in it - also where it is not to be trusted.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tsdb::now_ns;
use url::Host;

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, host_of, only_host};
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::Findings;
use crate::net::crypto::sha256_hex;
use crate::net::network::{Network, believing, expires_in_s, shake_hands};
use crate::net::ocsp::{self, Status};
use crate::net::verifier::Verifier;
use crate::net::witness::{Shown, Witness};

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["tls"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[],
    make: |url, _| {
        only_host(&url)?;
        Ok(Arc::new(TlsCheck { host: host_of(&url)?, port: url.port().unwrap_or(443) }))
    },
};

/// A handshake with a port.
#[derive(Debug)]
pub(crate) struct TlsCheck {
    pub host: Host<String>,
    pub port: u16,
}

impl Check for TlsCheck {
    fn kind(&self) -> &'static str {
        "tls"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let stream = network.connect(terms, &self.host, self.port, findings).await?;
            shake_hands_and_report(terms, network, &self.host, stream, findings).await.map(drop)
        })
    }
}

/// Shakes hands over a stream, and notes what was shown and agreed upon, also where it is not to be trusted.
pub(super) async fn shake_hands_and_report(
    terms: &Terms,
    network: &Network,
    host: &Host<String>,
    stream: TcpStream,
    findings: &mut Findings,
) -> Result<TlsStream<TcpStream>, Failure> {
    let verifier = network.verifier(terms)?;
    let witness = Witness::new(verifier.clone());
    let stream = shake_hands(believing(witness.clone())?, host, stream, findings).await;
    // What was shown counts even where the handshake failed because of it.
    let answer = report(&witness.shown(), &verifier, findings);
    let stream = stream?;
    let connection = stream.get_ref().1;
    let version = connection.protocol_version().and_then(|version| version.as_str().map(str::to_owned));
    let cipher = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str().map(str::to_owned));
    findings.fields.extend(version.map(|version| ("tls_version", Field::Str(version))));
    findings.fields.extend(cipher.map(|cipher| ("tls_cipher", Field::Str(cipher))));
    match answer {
        Some(ocsp::Stapled { status: Status::Revoked, .. }) => {
            Err(Class::TlsRevoked.because("tls: its issuer says that the certificate is revoked (OCSP)"))
        }
        _ => Ok(stream),
    }
}

/// Notes what a server showed; what its issuer says of it comes back.
fn report(shown: &Shown, verifier: &Verifier, findings: &mut Findings) -> Option<ocsp::Stapled> {
    let leaf = shown.chain.first()?;
    findings.cert_expires_s = expires_in_s(leaf);
    // Of those that are needed, if it is trusted; others that it sends break nothing when they end.
    let path = verifier.path(&shown.chain);
    let chain_expires_s = path.as_ref().unwrap_or(&shown.chain).iter().filter_map(|der| expires_in_s(der)).min();
    findings.fields.extend(chain_expires_s.map(|seconds| ("chain_expires_s", Field::I64(seconds))));
    findings.fields.push(("cert_sha256", Field::Str(sha256_hex(leaf))));
    findings.fields.push(("ocsp_stapled", Field::Bool(!shown.ocsp.is_empty())));
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
    findings.fields.push(("cert_issuer", Field::Str(certificate.issuer().to_string())));
    let answer = ocsp::read(&shown.ocsp, certificate.raw_serial())?;
    findings.fields.push(("ocsp_status", Field::Str(answer.status.name().into())));
    let expires_s = answer.next_update_s.map(|next_s| next_s - now_ns() / 1_000_000_000);
    findings.fields.extend(expires_s.map(|seconds| ("ocsp_expires_s", Field::I64(seconds))));
    Some(answer)
}
