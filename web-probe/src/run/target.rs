//! What is probed, how often, and what counts as up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use crate::base::maintenance::Window;
use crate::base::resolver::Resolver;
use crate::base::terms::{ConnectTo, Terms};
use crate::checks::ask::Ask;
use crate::checks::check::Check;
use crate::found::findings::Findings;
use crate::found::measurement::Measurement;
use crate::kinds::database::without_password;
use crate::kinds::families::Families;
use crate::kinds::{host, list};
use crate::net::network::Network;

/// Something that is probed on a schedule.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the tag `target`.
    pub name: String,
    /// What it was made of.
    pub(crate) made_of: Arc<(Url, Ask)>,
    /// What is done.
    pub(crate) check: Arc<dyn Check>,
    /// The tag `group`.
    pub group: Option<String>,
    /// From one slot to the next.
    pub interval: Duration,
    /// How it is done.
    pub terms: Terms,
    /// So many times more it is tried within the slot if it is not up.
    pub retries: u32,
    /// When its slots are marked `maintenance`.
    pub maintenance: Vec<Arc<Window>>,
}

impl Target {
    /// A target with the defaults: every 10 s, timeout 5 s, named after its address.
    ///
    /// The scheme of the address says what is done: `http://` and `https://`, `tcp://host:port`, `tls://host` (port
    /// 443), `dns:name?type=A` (RFC 4501 without its authority), `icmp:host`, `postgres://user:password@host/database`,
    /// `mysql://`, `redis://`, `host:` (this machine).
    ///
    /// # Errors
    ///
    /// What is wrong with the address or what is asked.
    ///
    /// # Examples
    ///
    /// ```
    /// use web_probe::{Ask, Target};
    ///
    /// let target = Target::new("tls://portal.example", Ask::default()).unwrap();
    /// assert_eq!((target.kind(), target.name.as_str()), ("tls", "tls://portal.example"));
    /// assert!(Target::new("tcp://portal.example", Ask::default()).unwrap_err().contains("port"));
    /// ```
    pub fn new(address: &str, ask: Ask) -> Result<Target, String> {
        let url = Url::parse(address)
            .map_err(|error| format!("'{address}' is not an address like https://example.org/: {error}"))?;
        let resolver = (!ask.resolvers.is_empty() && url.scheme() != "dns").then(|| Resolver::at(&ask.resolvers));
        let shown = if url.password().is_some() { without_password(&url) } else { address.to_owned() };
        let made_of = Arc::new((url.clone(), ask.clone()));
        let check = list::check(url.clone(), ask).map_err(|reason| format!("'{shown}': {reason}"))?;
        let name = match url.scheme() {
            "http" | "https" => url.to_string(),
            "host" => format!("host:{}", host::name()),
            _ => shown,
        };
        Ok(Target {
            name,
            made_of,
            check,
            group: None,
            interval: Duration::from_secs(10),
            terms: Terms { resolver: resolver.transpose()?, ..Terms::default() },
            retries: 0,
            maintenance: Vec::new(),
        })
    }

    /// Connects to this address of a name.
    ///
    /// # Examples
    ///
    /// ```
    /// use web_probe::{Ask, ConnectTo, Target};
    ///
    /// let target = Target::new("https://portal.example/", Ask::default()).unwrap();
    /// assert_eq!(target.connecting_to(ConnectTo::V6).kind(), "http");
    /// ```
    pub fn connecting_to(mut self, connect_to: ConnectTo) -> Target {
        if connect_to == ConnectTo::Both {
            self.check = Arc::new(Families(self.check));
        }
        self.terms.connect_to = connect_to;
        self
    }

    /// Checks it once. Takes at most its timeout.
    pub async fn probe(&self, network: &Network) -> Measurement {
        let (terms, start, mut findings) = (&self.terms, Instant::now(), Findings::default());
        let checked = tokio::time::timeout(terms.timeout, self.check.run(terms, network, &mut findings)).await;
        let taken = start.elapsed();
        let failure = match checked {
            Ok(checked) => checked.err(),
            Err(_) => Some(findings.phase.timeout(terms.timeout)),
        };
        findings.measured(terms, taken, failure)
    }

    /// The tag `kind`.
    pub fn kind(&self) -> &'static str {
        self.check.kind()
    }
}

impl PartialEq for Target {
    /// Is the same done in the same way? What its check remembers is no part of that.
    fn eq(&self, other: &Target) -> bool {
        // The check and the resolver are made of `made_of` and where it connects.
        let Target { name, made_of, check: _, group, interval, terms, retries, maintenance } = self;
        let Terms { timeout, slow, fail, allow_link_local, connect_to, resolver: _ } = terms;
        (name, made_of, group, interval) == (&other.name, &other.made_of, &other.group, &other.interval)
            && (retries, maintenance) == (&other.retries, &other.maintenance)
            && (timeout, slow, fail) == (&other.terms.timeout, &other.terms.slow, &other.terms.fail)
            && (allow_link_local, connect_to) == (&other.terms.allow_link_local, &other.terms.connect_to)
    }
}
