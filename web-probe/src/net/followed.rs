//! The network as the system says it now: who is asked for names, and whom it trusts, change while a prober runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::net::network::Network;

/// How often it is looked whether the system's files have changed.
const INTERVAL: Duration = Duration::from_secs(5);
/// Where systems keep what is read: servers of names, hosts, and certificates.
const FILES: [&str; 6] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Where else certificates are, if these say so.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A network that is made anew when the system's files change.
#[derive(Debug, Clone)]
pub(crate) struct Followed(Arc<ArcSwap<Network>>);

impl Followed {
    /// Begins to follow, until the runtime ends.
    pub(crate) fn start() -> Followed {
        let followed = Followed(Arc::new(ArcSwap::from_pointee(Network::new())));
        let own = followed.0.clone();
        tokio::spawn(async move {
            let mut seen = stamps();
            loop {
                tokio::time::sleep(INTERVAL).await;
                let now = stamps();
                if now != std::mem::replace(&mut seen, now.clone()) {
                    // It reads and parses all certificates.
                    if let Ok(network) = tokio::task::spawn_blocking(Network::new).await {
                        tracing::info!(
                            "the system's resolvers, hosts or certificates have changed, and are read again"
                        );
                        own.store(Arc::new(network));
                    }
                }
            }
        });
        followed
    }

    /// The network as it is now.
    pub(crate) fn now(&self) -> Arc<Network> {
        self.0.load_full()
    }
}

/// When each of the files was written, and how long it is.
fn stamps() -> Vec<Option<(SystemTime, u64)>> {
    let named = VARIABLES.iter().filter_map(std::env::var_os).map(PathBuf::from);
    let stamp = |path: PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    FILES.iter().map(PathBuf::from).chain(named).map(stamp).collect()
}
