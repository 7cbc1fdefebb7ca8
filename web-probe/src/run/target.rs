//! What is probed, how often, and what counts as up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderName};
use url::Url;

use crate::base::address::without_password;
use crate::base::maintenance::Window;
use crate::base::resolver::Resolver;
use crate::base::terms::{ConnectTo, Terms};
use crate::checks::ask::Ask;
use crate::checks::check::Check;
use crate::found::findings::Findings;
use crate::found::measurement::Measurement;
use crate::http::HttpAsk;
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
    /// What it is told and nobody else is: taken out of what is found.
    secrets: Arc<[String]>,
}

impl Target {
    /// A target with the defaults: every 10 s (a `domain:` every 6 h), timeout 5 s, named after its address.
    ///
    /// The scheme of the address says what is done: `http://` and `https://`, `tcp://host:port`, `tls://host` (port
    /// 443), `dns:name?type=A` (RFC 4501 without its authority), `domain:name`, `icmp:host`, `postgres://user:password@host/database`,
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
        let secrets = secrets(&url, &ask).into();
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
            group: None,
            interval: check.usual_interval(),
            check,
            terms: Terms { resolver: resolver.transpose()?, ..Terms::default() },
            retries: 0,
            maintenance: Vec::new(),
            secrets,
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

    /// The same with less time.
    pub(crate) fn within(&self, timeout: Duration) -> Target {
        Target { terms: Terms { timeout, ..self.terms.clone() }, ..self.clone() }
    }

    /// Checks it once. Takes at most its timeout.
    pub async fn probe(&self, network: &Network) -> Measurement {
        let (terms, start, mut findings) = (&self.terms, Instant::now(), Findings::begun());
        let checked = tokio::time::timeout(terms.timeout, self.check.run(terms, network, &mut findings)).await;
        let taken = start.elapsed();
        let failure = match checked {
            Ok(checked) => checked.err(),
            Err(_) => Some(findings.timeout(terms.timeout)),
        };
        let mut measurement = findings.measured(terms, taken, failure);
        measurement.hide(&self.secrets);
        measurement
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
        let Target { name, made_of, check: _, group, interval, terms, retries, maintenance, secrets: _ } = self;
        let Terms {
            timeout,
            slow,
            fail,
            allow_link_local,
            trust,
            upside_down,
            unsupported_is_missed,
            connect_to,
            resolver: _,
        } = terms;
        (name, made_of, group, interval) == (&other.name, &other.made_of, &other.group, &other.interval)
            && (retries, maintenance) == (&other.retries, &other.maintenance)
            && (timeout, slow, fail) == (&other.terms.timeout, &other.terms.slow, &other.terms.fail)
            && (allow_link_local, connect_to) == (&other.terms.allow_link_local, &other.terms.connect_to)
            && (trust, upside_down) == (&other.terms.trust, &other.terms.upside_down)
            && unsupported_is_missed == &other.terms.unsupported_is_missed
    }
}

/// A secret that is shorter stands in too much else.
const SECRET_BYTES_MIN: usize = 6;
/// Words in the names of headers whose values are secrets.
const SECRET_HEADERS: [&str; 5] = ["auth", "key", "token", "secret", "cookie"];

/// What an address and what is asked keep from others: passwords and tokens, as they are and as they are sent.
fn secrets(url: &Url, ask: &Ask) -> Vec<String> {
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let steps = ask.steps.iter().flatten().map(|step| &step.ask);
    let requests: Vec<&HttpAsk> = std::iter::once(&ask.http).chain(steps).collect();
    let proxies = requests.iter().filter_map(|ask| ask.proxy.as_ref());
    let passwords = std::iter::once(url).chain(proxies).filter_map(|url| url.password());
    let mut secrets: Vec<String> = passwords.flat_map(|password| [password.to_owned(), decoded(password)]).collect();
    let is_secret = |name: &HeaderName| SECRET_HEADERS.iter().any(|word| name.as_str().contains(word));
    for (name, value) in requests.iter().flat_map(|ask| &ask.headers).filter(|(name, _)| is_secret(name)) {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let (kind, secret) = text.split_once(' ').filter(|_| name == AUTHORIZATION).unwrap_or(("", &text));
        secrets.push(secret.to_owned());
        let pair = STANDARD.decode(secret).ok().filter(|_| kind.eq_ignore_ascii_case("basic"));
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
        secrets.extend(pair.and_then(|pair| Some(pair.split_once(':')?.1.to_owned())));
    }
    // The longer ones first, as one may stand in another.
    secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that shows what it was asked had the token in its banner, its message and the address that it led to.
    #[test]
    fn what_is_told_in_confidence_is_known() {
        let mut http = HttpAsk::default();
        for (name, value) in [
            ("authorization", format!("Basic {}", STANDARD.encode("me:pass word"))),
            ("x-api-key", "key-123456".into()),
            ("accept", "text/plain".into()),
        ] {
            http.headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        http.proxy = Some(Url::parse("http://me:pr%40xy-secret@proxy.example").unwrap());
        let url = Url::parse("postgres://me:s3cr3t%21@db.example/orders").unwrap();
        let found = secrets(&url, &Ask { http, ..Ask::default() });
        for secret in
            ["s3cr3t!", "s3cr3t%21", "pr@xy-secret", "pass word", "key-123456", &STANDARD.encode("me:pass word")]
        {
            assert!(found.iter().any(|own| own == secret), "{secret} of {found:?}");
        }
        assert!(!found.iter().any(|own| own == "text/plain"));
    }
}
