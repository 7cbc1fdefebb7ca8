//! The edges of a host name: what resolvers say, for the clients that they say it for, and what is configured.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures::future::join_all;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_resolver::proto::rr::{Name, Record, RecordType};

use crate::base::resolver::Resolver;
use crate::base::terms::ConnectTo;
use crate::checks::cdn_ask::Subnet;
use crate::found::failure::{Class, Failure};
use crate::net::network::of_lookup;

/// Who is asked for the edges of a name, and on whose behalf.
#[derive(Debug)]
pub(super) struct Asked {
    pub name: String,
    pub resolvers: Vec<SocketAddr>,
    pub subnets: Vec<Subnet>,
}

impl Asked {
    /// All addresses of a family that somebody says, and what went wrong with those who do not. It ends after this
    /// time.
    pub(super) async fn ask(&self, family: ConnectTo, timeout: Duration) -> (Vec<IpAddr>, Vec<Failure>) {
        let records = match family {
            ConnectTo::V4 => vec![RecordType::A],
            ConnectTo::V6 => vec![RecordType::AAAA],
            _ => vec![RecordType::A, RecordType::AAAA],
        };
        let resolvers = match &self.resolvers[..] {
            [] => vec![Resolver::system()],
            addresses => addresses.iter().map(|address| Resolver::at(&[*address])).collect(),
        };
        let mut answers = Vec::new();
        for record in records {
            answers.extend(resolvers.iter().map(|resolver| self.boxed(self.as_we_are(resolver, record), timeout)));
            let on_behalf =
                self.resolvers.iter().flat_map(|server| self.subnets.iter().map(move |subnet| (*server, *subnet)));
            answers
                .extend(on_behalf.map(|(server, subnet)| self.boxed(self.on_behalf(server, subnet, record), timeout)));
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for answer in join_all(answers).await {
            match answer {
                Ok(addresses) => found.extend(addresses),
                // A name may well have addresses of one family only.
                Err(Failure { class: Class::DnsNoRecords, .. }) => {}
                Err(failure) => failures.push(failure),
            }
        }
        found.sort();
        found.dedup();
        (found, failures)
    }

    fn boxed<'a>(
        &'a self,
        asking: impl Future<Output = Result<Vec<IpAddr>, Failure>> + Send + 'a,
        timeout: Duration,
    ) -> futures::future::BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async move {
            let late = |_| Class::DnsTimeout.because(format!("dns: no answer for {} after {timeout:?}", self.name));
            tokio::time::timeout(timeout, asking).await.map_err(late)?
        })
    }

    async fn as_we_are(&self, resolver: &Result<Resolver, String>, record: RecordType) -> Result<Vec<IpAddr>, Failure> {
        let resolver = resolver.as_ref().map_err(|reason| Class::DnsOther.because(format!("dns: {reason}")))?;
        let found = resolver.get().lookup(self.name.as_str(), record).await.map_err(|error| {
            let Failure { class, message } = of_lookup(&self.name, &error);
            class.because(format!("{message} (asked {})", resolver.name()))
        })?;
        Ok(addresses(found.answers()))
    }

    async fn on_behalf(&self, server: SocketAddr, subnet: Subnet, record: RecordType) -> Result<Vec<IpAddr>, Failure> {
        let failed = |error: NetError| {
            let Failure { class, message } = of_lookup(&self.name, &error);
            class.because(format!("{message} (asked {server} for {subnet})"))
        };
        let name = Name::from_utf8(&self.name).map_err(|error| failed(error.into()))?;
        let request = DnsRequest::from_query(Query::query(name, record), DnsRequestOptions::default());
        let (mut message, options) = request.into_parts();
        let own = EdnsOption::Subnet(ClientSubnet::new(subnet.address, subnet.prefix, 0));
        message.edns.get_or_insert_default().options_mut().insert(own);
        let exchange = UdpClientStream::builder(server, TokioRuntimeProvider::default()).exchange();
        let answer = exchange.send(DnsRequest::new(message, options)).first_answer().await.map_err(failed)?;
        match answer.metadata.response_code {
            ResponseCode::NoError => Ok(addresses(&answer.answers)),
            code => {
                Err(Class::DnsServer.because(format!("dns: {server} answers {code} for {} and {subnet}", self.name)))
            }
        }
    }
}

fn addresses(records: &[Record]) -> Vec<IpAddr> {
    records.iter().filter_map(|record| record.data.ip_addr()).collect()
}

/// The edges that are known, each with when somebody named it last.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<IpAddr, Instant>);

/// What became of the known edges.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub added: Vec<IpAddr>,
    pub gone: Vec<IpAddr>,
}

impl Known {
    /// Notes those that were named now, and forgets those that nobody named for so long. Resolvers name a few of many
    /// edges at a time.
    pub(super) fn note(&mut self, named: &[IpAddr], keep: Duration, now: Instant) -> Changes {
        let mut changes = Changes::default();
        for address in named {
            if self.0.insert(*address, now).is_none() {
                changes.added.push(*address);
            }
        }
        self.0.retain(|address, last| {
            let stays = now.duration_since(*last) <= keep;
            if !stays {
                changes.gone.push(*address);
            }
            stays
        });
        changes
    }

    pub(super) fn all(&self) -> Vec<IpAddr> {
        self.0.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_stay_known_while_they_are_named_now_and_then() {
        let [a, b, c] = [1, 2, 3].map(|last| IpAddr::from([192, 0, 2, last]));
        let (start, keep) = (Instant::now(), Duration::from_mins(1));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut known = Known::default();
        assert_eq!(known.note(&[a, b], keep, at(0)), Changes { added: vec![a, b], gone: vec![] });
        assert_eq!(known.note(&[b, c], keep, at(50)), Changes { added: vec![c], gone: vec![] });
        assert_eq!(known.note(&[b], keep, at(61)), Changes { added: vec![], gone: vec![a] });
        assert_eq!(known.all(), [b, c]);
        // Nobody answers: what is known stays for a while.
        assert_eq!(known.note(&[], keep, at(100)), Changes::default());
        assert_eq!(known.note(&[], keep, at(200)).gone, [b, c]);
    }

    #[test]
    fn networks_are_read() {
        assert_eq!("203.0.113.0/24".parse::<Subnet>().unwrap().to_string(), "203.0.113.0/24");
        assert_eq!("2001:db8::/56".parse::<Subnet>().unwrap().to_string(), "2001:db8::/56");
        for bad in ["203.0.113.0", "203.0.113.0/33", "203.0.113/24", "::/129", "a/1", "1.2.3.4/-1"] {
            assert!(bad.parse::<Subnet>().unwrap_err().contains(bad), "{bad}");
        }
    }
}
