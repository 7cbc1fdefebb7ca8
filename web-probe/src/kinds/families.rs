//! A check over IPv4 and over IPv6 in each slot, as two edges: many sites are reachable by one and not by the other,
//! and nobody knows.

use std::sync::Arc;
use std::time::Instant;

use crate::base::terms::{ConnectTo, Terms};
use crate::checks::check::{Check, Checking};
use crate::found::findings::Findings;
use crate::net::network::Network;

/// Another check, once by each family.
#[derive(Debug)]
pub(crate) struct Families(pub Arc<dyn Check>);

impl Families {
    async fn by(&self, family: ConnectTo, terms: &Terms, network: &Network) -> crate::Measurement {
        let terms = Terms { connect_to: family, ..terms.clone() };
        let (start, mut findings) = (Instant::now(), Findings::begun());
        let run = self.0.run(&terms, network, &mut findings);
        // A little before the time of both is up.
        let timeout = terms.timeout.mul_f64(0.99);
        let checked = tokio::time::timeout(timeout, run).await;
        let failure = match checked {
            Ok(checked) => checked.err(),
            Err(_) => Some(findings.timeout(timeout)),
        };
        findings.measured(&terms, start.elapsed(), failure)
    }
}

impl Check for Families {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let four = self.by(ConnectTo::V4, terms, network);
            let (four, six) = tokio::join!(four, self.by(ConnectTo::V6, terms, network));
            let failure = four.failure.clone().or_else(|| six.failure.clone());
            findings.edges = vec![("v4".into(), four), ("v6".into(), six)];
            failure.map_or(Ok(()), Err)
        })
    }
}
