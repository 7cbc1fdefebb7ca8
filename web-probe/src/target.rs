//! What is probed, how often, and what counts as up.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::cdn::{CdnAsk, CdnCheck};
use crate::check::{Check, Memory};
use crate::database::{Database, without_password};
use crate::dns::DnsCheck;
use crate::families::Families;
use crate::host::{self, HostCheck};
use crate::http::{Expect, HttpAsk, HttpCheck, HttpVersion};
use crate::icmp::IcmpCheck;
use crate::links::{LinksAsk, LinksCheck};
use crate::maintenance::Window;
use crate::mysql::MysqlCheck;
use crate::postgres::PostgresCheck;
use crate::redis::RedisCheck;
use crate::resolver::Resolver;
use crate::scrape::ScrapeCheck;
use crate::steps::{Step, StepsCheck};
use crate::tcp::TcpCheck;
use crate::tls::TlsCheck;

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
    /// A slot's probe fails after this long.
    pub timeout: Duration,
    /// So many times more it is tried within the slot if it is not up.
    pub retries: u32,
    /// An answer that takes longer than this is up, but slow.
    pub slow: Option<Duration>,
    /// An answer that takes longer than this is not up, although it came before the timeout.
    pub fail: Option<Duration>,
    /// When its slots are marked `maintenance`.
    pub maintenance: Vec<Arc<Window>>,
    /// Probe link-local and metadata addresses too, which a name should not lead to.
    pub allow_link_local: bool,
    /// Which address of a name is connected to; set by [`connecting_to`](Target::connecting_to).
    pub(crate) connect_to: ConnectTo,
    /// Who is asked for names, if not the system's resolver.
    pub(crate) resolver: Option<Resolver>,
}

/// Which address of a name is connected to. One a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConnectTo {
    /// The first one of IPv4, or of IPv6 if there is none.
    #[default]
    Any,
    /// The first one of IPv4.
    V4,
    /// The first one of IPv6.
    V6,
    /// The first one of IPv4 and the first one of IPv6, each an edge.
    Both,
    /// This one, and the name is not resolved; it stands in what is asked all the same.
    Pinned(IpAddr),
}

/// What a check is told beside its address. Each kind takes what it can use, and refuses the rest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// `http`: what is asked.
    pub http: HttpAsk,
    /// `http`: what counts as up.
    pub expect: Expect,
    /// `tcp`: what is sent once connected. Databases: the statement.
    pub send: Option<String>,
    /// Who is asked for names; the system's resolver if nobody is. `dns` and `cdn` ask each of them, others the first that answers.
    pub resolvers: Vec<SocketAddr>,
    /// `dns`: what has to be among the answers.
    pub answers: Vec<String>,
    /// `http://` and `https://`: each edge of the host is asked by itself.
    pub cdn: Option<CdnAsk>,
    /// `http://` and `https://`: these requests instead of one.
    pub steps: Option<Vec<Step>>,
    /// `http://` and `https://`: the site is read page by page, and its links tried.
    pub links: Option<LinksAsk>,
    /// `http://` and `https://`: it is a page of metrics, which is stored.
    pub scrape: bool,
    /// `icmp`: how many pings there are; 1 if it is not said.
    pub pings: Option<u16>,
}

impl Target {
    /// A target with the defaults: every 10 s, timeout 5 s, named after its address.
    ///
    /// The scheme of the address says what is done: `http://` and `https://`, `tcp://host:port`, `tls://host` (port 443), `dns:name?type=A`
    /// (RFC 4501 without its authority), `icmp:host`, `postgres://user:password@host/database`, `mysql://`, `redis://`, `host:` (this machine).
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
        let check = check(&url, ask).map_err(|reason| format!("'{shown}': {reason}"))?;
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
            timeout: Duration::from_secs(5),
            retries: 0,
            slow: None,
            fail: None,
            maintenance: Vec::new(),
            allow_link_local: false,
            connect_to: ConnectTo::default(),
            resolver: resolver.transpose()?,
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
        self.connect_to = connect_to;
        self
    }

    /// The tag `kind`.
    pub fn kind(&self) -> &'static str {
        self.check.kind()
    }
}

impl PartialEq for Target {
    /// Is the same done in the same way? What its check remembers is no part of that.
    fn eq(&self, other: &Target) -> bool {
        // The check and the resolver are made of `made_of` and `connect_to`.
        let Target { name, made_of, check: _, group, interval, timeout, retries, slow, fail, maintenance, .. } = self;
        let Target { allow_link_local, connect_to, resolver: _, .. } = self;
        (name, made_of, group, interval) == (&other.name, &other.made_of, &other.group, &other.interval)
            && (timeout, retries, slow, fail) == (&other.timeout, &other.retries, &other.slow, &other.fail)
            && (maintenance, allow_link_local) == (&other.maintenance, &other.allow_link_local)
            && connect_to == &other.connect_to
    }
}

fn check(url: &Url, ask: Ask) -> Result<Arc<dyn Check>, String> {
    let Ask { http, expect, send, resolvers, answers, cdn, steps, links, scrape, pings } = ask;
    let scheme = url.scheme();
    let only_for = |given: bool, key: &str, kinds: &[&str]| match given && !kinds.contains(&scheme) {
        true => {
            // Some are known by two names.
            let named: Vec<_> =
                kinds.iter().copied().filter(|kind| !matches!(*kind, "postgresql" | "rediss")).collect();
            let (last, others) = named.split_last().expect("everything is for something");
            let named = if others.is_empty() { (*last).into() } else { format!("{} and {last}", others.join(", ")) };
            Err(format!("{key} is for {named}, not for {scheme}"))
        }
        false => Ok(()),
    };
    let web = ["http", "https"];
    let databases = ["postgres", "postgresql", "mysql", "redis", "rediss"];
    let talking = [&["tcp"], &databases[..]].concat();
    only_for(
        http != HttpAsk::default(),
        "method, headers, body, authorization, redirects, http, proxy or a client certificate",
        &web,
    )?;
    only_for(expect.status != Expect::default().status, "expect.status", &web)?;
    only_for(!expect.headers.is_empty(), "expect.headers", &web)?;
    only_for(expect.final_url.is_some(), "expect.final_url", &web)?;
    only_for(expect.protocol.is_some(), "expect.protocol", &web)?;
    only_for(expect.bytes != (0..=u64::MAX), "expect.bytes_min or bytes_max", &web)?;
    only_for(!expect.json.is_empty(), "expect.json", &web)?;
    only_for(expect.hashes_body() || !expect.masks.is_empty(), "expect.sha256, masks or watch_content", &web)?;
    only_for(expect.body.is_some(), "expect.body", &[&web[..], &talking].concat())?;
    only_for(send.is_some(), "send", &talking)?;
    only_for(!answers.is_empty(), "expect.answers", &["dns"])?;
    only_for(pings.is_some(), "pings", &["icmp"])?;
    only_for(cdn.is_some(), "kind = \"cdn\"", &web)?;
    only_for(steps.is_some(), "kind = \"steps\"", &web)?;
    only_for(links.is_some(), "kind = \"links\"", &web)?;
    only_for(scrape, "kind = \"scrape\"", &web)?;
    if http.version == HttpVersion::Http3 {
        if !cfg!(feature = "http3") {
            return Err("http = \"3\" needs a build with the cargo feature http3 (cargo build --features http3)".into());
        }
        if scheme != "https" || http.proxy.is_some() {
            return Err("http = \"3\" is for https without a proxy".into());
        }
    }
    if web.contains(&scheme) && (!url.username().is_empty() || url.password().is_some()) {
        return Err("a user in the address is not sent; basic_auth is".into());
    }
    // Addresses without a web scheme have a path for a host.
    let host = || {
        let text = url.host_str().unwrap_or_else(|| url.path());
        url::Host::parse(text).map_err(|error| format!("'{text}' is not a host: {error}"))
    };
    Ok(match scheme {
        "http" | "https" if let Some(cdn) = cdn => Arc::new(CdnCheck::new(url.clone(), http, expect, cdn, &resolvers)?),
        "http" | "https" if let Some(links) = links => Arc::new(LinksCheck { url: url.clone(), ask: http, links }),
        "http" | "https" if let Some(steps) = steps => Arc::new(StepsCheck::new(url.clone(), steps)?),
        "http" | "https" if scrape => Arc::new(ScrapeCheck { url: url.clone(), ask: http }),
        "http" | "https" => {
            let ask = HttpAsk { hash_body: expect.hashes_body(), ..http };
            Arc::new(HttpCheck { url: url.clone(), ask, expect, content: Memory::default() })
        }
        "tcp" => {
            let port = url.port().ok_or("a port is missing, as in tcp://host:22")?;
            let expect = expect.body.map(|pattern| regex::bytes::Regex::new(pattern.as_str()));
            let expect = expect.transpose().map_err(|error| format!("expect.body: {error}"))?;
            Arc::new(TcpCheck { host: host()?, port, send, expect })
        }
        "tls" => Arc::new(TlsCheck { host: host()?, port: url.port().unwrap_or(443) }),
        "dns" => {
            let record = url.query_pairs().find(|(key, _)| key == "type").map_or("A".into(), |(_, value)| value);
            Arc::new(DnsCheck::new(url.path().trim_start_matches('/').to_owned(), &record, &resolvers, answers)?)
        }
        "icmp" => {
            let pings = pings.unwrap_or(1);
            if !(1..=100).contains(&pings) {
                return Err(format!("pings is {pings}, expected 1 to 100"));
            }
            Arc::new(IcmpCheck { host: host()?, pings })
        }
        "host" => match url.path().is_empty() {
            true => Arc::new(HostCheck::default()),
            false => return Err("only this machine can be measured, which is host: without a name".into()),
        },
        "postgres" | "postgresql" => Arc::new(PostgresCheck(Database::new(url, 5432, send, "SELECT 1", expect.body)?)),
        "mysql" => Arc::new(MysqlCheck(Database::new(url, 3306, send, "SELECT 1", expect.body)?)),
        "redis" | "rediss" => {
            let mut database = Database::new(url, 6379, send, "PING", expect.body)?;
            database.tls |= scheme == "rediss";
            Arc::new(RedisCheck::new(database)?)
        }
        other => {
            let known = "http, https, tcp, tls, dns, icmp, postgres, mysql, redis and host";
            return Err(format!("{other} cannot be probed; {known} can"));
        }
    })
}
