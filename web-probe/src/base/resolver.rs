//! Who is asked for names: the system's resolver, or those that a target names.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// A resolver that keeps no answers: every slot measures it, too.
#[derive(Clone)]
pub(crate) struct Resolver {
    /// Who is asked; nobody stands for the system's.
    addresses: Vec<SocketAddr>,
    inner: Arc<TokioResolver>,
}

impl Resolver {
    /// The system's, with its search domains and its file of hosts.
    ///
    /// # Errors
    ///
    /// The system's settings cannot be read.
    pub(crate) fn system() -> Result<Resolver, String> {
        Resolver::of_system(ResolveHosts::Auto)
    }

    /// The system's, without its file of hosts: what is asked is asked of servers.
    ///
    /// # Errors
    ///
    /// The system's settings cannot be read.
    pub(crate) fn system_servers() -> Result<Resolver, String> {
        Resolver::of_system(ResolveHosts::Never)
    }

    fn of_system(hosts: ResolveHosts) -> Result<Resolver, String> {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            builder.options_mut().cache_size = 0;
            builder.options_mut().use_hosts_file = hosts;
            builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
            builder.build()
        });
        let inner = resolver.map_err(|error| error.to_string())?;
        Ok(Resolver { addresses: Vec::new(), inner: Arc::new(inner) })
    }

    /// These, one if another one does not answer; over UDP, and over TCP where an answer is too long for that.
    ///
    /// # Errors
    ///
    /// The resolver cannot be made.
    pub(crate) fn at(addresses: &[SocketAddr]) -> Result<Resolver, String> {
        let server = |address: &SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = address.port();
                connection
            });
            NameServerConfig::new(address.ip(), true, connections.into())
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), addresses.iter().map(server).collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        let inner = builder.build().map_err(|error| format!("resolver {addresses:?}: {error}"))?;
        Ok(Resolver { addresses: addresses.to_vec(), inner: Arc::new(inner) })
    }

    /// What asks.
    pub(crate) fn get(&self) -> &TokioResolver {
        &self.inner
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        match &self.addresses[..] {
            [] => "the system's resolver".into(),
            addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
        }
    }
}

impl fmt::Debug for Resolver {
    /// Who is asked, without the state of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver {:?}", self.addresses)
    }
}
