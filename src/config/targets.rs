//! `[[target]]`: what is probed, from its keys to what does it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use alerts::ready::{Confirm, KEPT_MAX, Watch};
use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json_path::JsonPath;
use url::{Host, Url};
use web_probe::{
    Ask, CdnAsk, ConnectTo, Expect, HttpAsk, HttpVersion, Identity, LinksAsk, Mark, Pattern, Step, Target, Trust, Turn,
    without_password,
};

use super::alerts::confirm;
use super::{ReadyRule, kinds, some_duration};

/// `[[target]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetConfig {
    /// The tag `target`. Default: the address.
    name: Option<String>,
    /// `scrape` fetches a page of metrics, `cdn` asks every edge of a web address, `steps` makes several requests one
    /// behind the other, `links` reads a site and tries its links; otherwise the address says what is done, and this
    /// has to say the same. Default: what the address says.
    kind: Option<String>,
    /// The address: `http://` or `https://`, `tcp://host:port`, `tls://host`, `dns:name?type=A`, `domain:name`, `icmp:host`,
    /// `postgres://`, `mysql://`, `redis://`, `heartbeat:job?within=25h`, `host:`.
    url: String,
    /// The tag `group`. Default: none.
    group: Option<String>,
    /// From one slot to the next. Default 10 s, of `domain:` 6 h.
    #[serde(default, deserialize_with = "some_duration")]
    interval: Option<Duration>,
    /// A probe that takes longer fails. Default 5 s, or the interval if that is shorter.
    #[serde(default, deserialize_with = "some_duration")]
    timeout: Option<Duration>,
    /// So many times more it is tried within a slot if it is not up. Default 0.
    #[serde(default)]
    retries: u32,
    /// An answer that takes longer is up, but slow. Default: none.
    #[serde(default, deserialize_with = "some_duration")]
    slow: Option<Duration>,
    /// An answer that takes longer is not up, although it came before the timeout. Default: none.
    #[serde(default, deserialize_with = "some_duration")]
    fail: Option<Duration>,
    /// What counts as up.
    #[serde(default)]
    expect: ExpectConfig,
    /// `v4` or `v6` connects to addresses of that family only; `both` does each in every slot, as two edges. Default:
    /// IPv4, or IPv6 where there is none.
    ip: Option<IpFamily>,
    /// The address that is connected to, whatever the name has. Default: what the name has.
    address: Option<IpAddr>,
    /// `http`: the method. Default `GET`.
    method: Option<String>,
    /// `http`: headers of the request, by name. Default: none but what every request has.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// `http`: the body of the request. Default: none.
    body: Option<String>,
    /// `http`: name and password of Basic authorization. Default: none.
    basic_auth: Option<BasicAuth>,
    /// `http`: a bearer token. Default: none.
    bearer_token: Option<String>,
    /// `http`: so many redirects are followed, more are a failure; with 0 a redirect is the answer. Default 10.
    redirects: Option<u32>,
    /// `http`: `auto` speaks HTTP/2 where the server takes it; `1.1`, `2` and, in builds with the cargo feature
    /// `http3`, `3` speak nothing else. Default `auto`.
    #[serde(default)]
    http: HttpConfig,
    /// `http`: the proxy that is gone through, `http://[user:password@]host:port`. Default: none.
    proxy: Option<String>,
    /// `http`: the certificate that is shown to a server that asks for one, PEM, and those that vouch for it. Default:
    /// none.
    client_cert: Option<PathBuf>,
    /// `http`: its private key, PEM.
    client_key: Option<PathBuf>,
    /// `http`: record the SHA-256 of the body, and whether it changed. Default false.
    #[serde(default)]
    watch_content: bool,
    /// `tcp`: what is sent once connected. Default: nothing. Databases: the statement. Default `SELECT 1`, or `PING`.
    send: Option<String>,
    /// `tcp`, `udp`: the same as hexadecimal digits, two a byte; spaces may stand between them.
    send_hex: Option<String>,
    /// `tcp`: a conversation, turn by turn. Default: `send`, then `expect.body`.
    #[serde(default)]
    exchange: Vec<TurnConfig>,
    /// Who is asked for names, `address` or `address:port`: each of them by `dns` and `cdn`, the first that answers by
    /// others. Default: the system's.
    #[serde(default)]
    resolvers: Vec<String>,
    /// `steps`: the requests, one behind the other.
    #[serde(default, rename = "step")]
    steps: Vec<StepConfig>,
    /// `links`: how far the site is read.
    links: Option<LinksConfig>,
    /// `cdn`: the edges of the host, and what they are compared with.
    cdn: Option<CdnConfig>,
    /// `icmp`: how many pings. Default 1.
    pings: Option<u16>,
    /// The certificates, PEM, that are trusted here instead of the system's. Default: the system's.
    ca: Option<PathBuf>,
    /// Believe whatever certificate there is, and note it. Default false.
    #[serde(default)]
    insecure: bool,
    /// A handshake in which the two find nothing that both speak says nothing about the target (`missed`), or that it is
    /// down (`fail`). Default `fail`.
    #[serde(default)]
    tls_unsupported: UnsupportedConfig,
    /// It is to be down. Default false.
    #[serde(default)]
    upside_down: bool,
    /// Probe link-local and metadata addresses too. Default false.
    #[serde(default)]
    allow_link_local: bool,
    /// Which ready rules it has: as `rules.ready`. Default: those.
    ready: Option<Vec<ReadyRule>>,
    /// How many of how many slots have to be bad for an alert: `2 of 3`. Default: that.
    confirm: Option<String>,
    /// Targets that this one stands behind, by name: while one of them is down nobody is told that this one is. Default:
    /// none.
    #[serde(default)]
    depends_on: Vec<String>,
}

/// `tls_unsupported = "missed"`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UnsupportedConfig {
    #[default]
    Fail,
    Missed,
}

/// `ip = "v4"`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum IpFamily {
    V4,
    V6,
    Both,
}

/// `http = "2"`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
enum HttpConfig {
    #[default]
    #[serde(rename = "auto")]
    Any,
    #[serde(rename = "1.1")]
    Http1,
    #[serde(rename = "2")]
    Http2,
    #[serde(rename = "3")]
    Http3,
}

/// `basic_auth = { user, password }`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BasicAuth {
    user: String,
    password: String,
}

/// The kinds that an address does not say.
const SCRAPE: &str = "scrape";
const CDN: &str = "cdn";
const STEPS: &str = "steps";
const LINKS: &str = "links";

/// `links = { ... }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LinksConfig {
    /// How many links lead from the address to a page that is still read. Default 2.
    depth: Option<u32>,
    /// So many pages are read at the most. Default 100.
    pages_max: Option<usize>,
    /// From the end of one request to the start of the next. Default 100 ms.
    #[serde(deserialize_with = "some_duration")]
    pause: Option<Duration>,
    /// A link fails after this long. Default 10 s.
    #[serde(deserialize_with = "some_duration")]
    timeout: Option<Duration>,
    /// Try links to other hosts, too. Default true.
    elsewhere: Option<bool>,
}

/// `[[target.step]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepConfig {
    /// The tag `step`.
    name: String,
    /// Where it goes, from the address of the target on. `{name}` is what an earlier step extracted, here, in headers
    /// and in the body.
    url: String,
    /// The method. Default `GET`.
    method: Option<String>,
    /// Headers beside those of the target.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body. Default: none.
    body: Option<String>,
    /// What counts as up.
    #[serde(default)]
    expect: ExpectConfig,
    /// Regular expressions whose first group, or all of it, is kept by a name. Default: none.
    #[serde(default)]
    extract: BTreeMap<String, String>,
}

impl StepConfig {
    fn step(&self, mut ask: HttpAsk) -> Result<Step> {
        set_request(&mut ask, self.method.as_ref(), &self.headers, self.body.as_ref())?;
        let pattern = |(name, text): (&String, &String)| {
            let pattern = text.parse().with_context(|| format!("extract: {name}"))?;
            Ok((name.clone(), pattern))
        };
        Ok(Step {
            name: self.name.clone(),
            url: self.url.clone(),
            ask,
            expect: self.expect.expect(false)?,
            extract: self.extract.iter().map(pattern).collect::<Result<_>>()?,
        })
    }
}

/// `[[target.exchange]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnConfig {
    /// A regular expression of what has to come first. Default: nothing.
    expect: Option<String>,
    /// The same as bytes, in hexadecimal digits.
    expect_hex: Option<String>,
    /// What is said then. Default: nothing.
    send: Option<String>,
    /// The same as bytes, in hexadecimal digits.
    send_hex: Option<String>,
    /// TLS begins behind it. Default false.
    #[serde(default)]
    starttls: bool,
}

impl TurnConfig {
    fn turn(&self) -> Result<Turn> {
        let send = match (&self.send, &self.send_hex) {
            (Some(_), Some(_)) => bail!("send and send_hex exclude each other"),
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(digits)) => bytes(digits).context("send_hex")?,
            (None, None) => Vec::new(),
        };
        Ok(Turn {
            expect: self.expect.as_deref().map(str::parse).transpose().context("expect")?,
            expect_bytes: self.expect_hex.as_deref().map(bytes).transpose().context("expect_hex")?,
            send,
            starttls: self.starttls,
        })
    }
}

/// Bytes in hexadecimal digits.
fn bytes(digits: &str) -> Result<Vec<u8>> {
    let own: String = digits.split_whitespace().collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = own.as_bytes().chunks(2).map(byte).collect();
    let is_whole = own.len().is_multiple_of(2) && own.bytes().all(|digit| digit.is_ascii_hexdigit());
    bytes
        .filter(|_| is_whole)
        .with_context(|| format!("'{digits}' is not two hexadecimal digits a byte, as in \"ff 0a\""))
}

/// `cdn = { ... }`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CdnConfig {
    /// Edges that are asked whatever resolvers say. Default: none.
    edges: Vec<IpAddr>,
    /// The address of what the edges fetch from; they are compared with it. Default: they are compared with one
    /// another.
    origin: Option<IpAddr>,
    /// Networks of clients that `resolvers` are asked on behalf of, too. Default: none.
    client_subnets: Vec<String>,
    /// So long an edge is asked after it was named last. Default 1 h.
    #[serde(deserialize_with = "some_duration")]
    keep: Option<Duration>,
    /// How long edges may keep an answer that does not say it itself. Default: they may.
    #[serde(deserialize_with = "some_duration")]
    lifetime: Option<Duration>,
    /// A regular expression whose first group, or all of it, shows of a write: a number that grows, or a text. Default:
    /// none.
    mark: Option<String>,
    /// So long after the origin every edge has to have its mark. Default 5 min.
    #[serde(deserialize_with = "some_duration")]
    mark_within: Option<Duration>,
    /// An edge with another certificate than the origin, or than most, is not up. Default false.
    same_certificate: bool,
}

/// `expect = { ... }`
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExpectConfig {
    /// Statuses that are up: `200`, `"2xx"`, `"200-299"`. Default 200 to 399.
    status: Option<Vec<StatusConfig>>,
    /// A regular expression that the body must contain, or what comes back over TCP. Default: none.
    body: Option<String>,
    /// A regular expression that the body must not contain. Default: none.
    body_not: Option<String>,
    /// Regular expressions that headers of the answer must contain, by name. Default: none.
    headers: BTreeMap<String, String>,
    /// A regular expression that the address of the last answer must contain. Default: none.
    final_url: Option<String>,
    /// The protocol of the last answer: `HTTP/1.1`, `HTTP/2`. Default: any.
    protocol: Option<String>,
    /// Bytes that the body must have at least and at the most, as they arrive. Default: any.
    bytes_min: Option<u64>,
    bytes_max: Option<u64>,
    /// Regular expressions that a JSON body must have at places (JSONPath, RFC 9535). Default: none.
    json: BTreeMap<String, String>,
    /// The SHA-256 of the body. Default: any.
    sha256: Option<String>,
    /// Regular expressions of parts of the body that may change: they are taken out before it is hashed. Default: none.
    masks: Vec<String>,
    /// What has to be among the records that every resolver answers. Default: anything.
    answers: Vec<String>,
    /// `dns`: how every resolver may answer, `NXDOMAIN` for one. Default: with records.
    rcodes: Vec<String>,
    /// `tcp`, `udp`: bytes that have to come back, in hexadecimal digits. Default: any.
    body_hex: Option<String>,
    /// Databases: what the first value of the answer has to be at least and at the most. Default: anything.
    value_min: Option<f64>,
    value_max: Option<f64>,
}

/// One status, or several.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum StatusConfig {
    One(u16),
    Several(String),
}

impl StatusConfig {
    fn range(&self) -> Result<RangeInclusive<u16>> {
        let text = match self {
            StatusConfig::One(status) => return Ok(*status..=*status),
            StatusConfig::Several(text) => text.trim(),
        };
        let class = text.to_ascii_lowercase().strip_suffix("xx").and_then(|class| class.parse::<u16>().ok());
        let ends = text.split_once(['-', ':', '.']).map(|(first, last)| (first, last.trim_start_matches('.')));
        let (first, last) = ends.unwrap_or((text, text));
        let range = match (class, first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            (Some(class @ 1..=9), ..) => Some(class * 100..=class * 100 + 99),
            (_, Ok(first), Ok(last)) if first <= last => Some(first..=last),
            _ => None,
        };
        range.with_context(|| format!("expect.status: '{text}' is no status; expected 200, \"2xx\" or \"200-299\""))
    }
}

impl ExpectConfig {
    /// What an answer has to be.
    fn expect(&self, watch_content: bool) -> Result<Expect> {
        let pattern = |text: &str, key: &str| text.parse::<Pattern>().with_context(|| format!("expect.{key}"));
        let some_pattern = |text: &Option<String>, key| text.as_deref().map(|text| pattern(text, key)).transpose();
        let mut expect = Expect {
            body: some_pattern(&self.body, "body")?,
            body_not: some_pattern(&self.body_not, "body_not")?,
            final_url: some_pattern(&self.final_url, "final_url")?,
            protocol: self.protocol.clone(),
            bytes: self.bytes_min.unwrap_or(0)..=self.bytes_max.unwrap_or(u64::MAX),
            sha256: self.sha256.clone(),
            masks: self.masks.iter().map(|text| pattern(text, "masks")).collect::<Result<_>>()?,
            watch_content,
            ..Expect::default()
        };
        if let Some(status) = &self.status {
            expect.status = status.iter().map(StatusConfig::range).collect::<Result<_>>()?;
        }
        for (name, text) in &self.headers {
            let known = HeaderName::from_bytes(name.as_bytes());
            let known = known.with_context(|| format!("expect.headers: '{name}'"))?;
            expect.headers.push((known, pattern(text, "headers")?));
        }
        for (path, text) in &self.json {
            let known = JsonPath::parse(path).with_context(|| format!("expect.json: '{path}' is no JSONPath"))?;
            expect.json.push((known, pattern(text, "json")?));
        }
        match self.protocol.as_deref() {
            None | Some("HTTP/1.0" | "HTTP/1.1" | "HTTP/2" | "HTTP/3") => {}
            Some(other) => bail!("expect.protocol: '{other}' is not one of HTTP/1.0, HTTP/1.1, HTTP/2 and HTTP/3"),
        }
        let is_sha256 = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(other) = self.sha256.as_ref().filter(|text| !is_sha256(text)) {
            bail!("expect.sha256: '{other}' does not have 64 hexadecimal digits");
        }
        if !self.masks.is_empty() && self.sha256.is_none() && !watch_content {
            bail!("expect.masks: nothing is hashed without expect.sha256 or watch_content");
        }
        Ok(expect)
    }

    /// The numbers that the first value of an answer may be.
    fn value(&self) -> Result<Option<RangeInclusive<f64>>> {
        if let (Some(min), Some(max)) = (self.value_min, self.value_max)
            && min > max
        {
            bail!("expect.value_min: {min} is above value_max, which is {max}");
        }
        let is_said = self.value_min.is_some() || self.value_max.is_some();
        let range = self.value_min.unwrap_or(f64::NEG_INFINITY)..=self.value_max.unwrap_or(f64::INFINITY);
        Ok(is_said.then_some(range))
    }
}

impl TargetConfig {
    pub(super) fn is_host(&self) -> bool {
        Url::parse(&self.url).is_ok_and(|url| url.scheme() == "host")
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its address, without a password.
    pub(super) fn address(&self) -> String {
        Url::parse(&self.url).map_or_else(|_| self.url.clone(), |url| without_password(&url))
    }

    /// How it is watched.
    pub(super) fn watch(&self) -> Result<Watch> {
        let confirm = self.confirm.as_deref().map(confirm).transpose()?;
        let confirm = confirm.map(|(needed, of)| Confirm { needed, of });
        if confirm.is_some_and(|own| own.of > KEPT_MAX || !(1..=own.of).contains(&own.needed)) {
            bail!("confirm: expected a text like \"2 of 3\", with at most {KEPT_MAX}");
        }
        let ready = self.ready.as_deref().map(kinds);
        Ok(Watch { depends_on: self.depends_on.clone(), ready, confirm })
    }

    pub(super) fn target(&self) -> Result<Target> {
        let address = self.address();
        let called = self.name.as_ref().unwrap_or(&address);
        let resolvers = self.resolvers.iter().map(|text| resolver(text));
        let in_target = |key: &str| format!("target '{called}': {key}");
        let ask = Ask {
            http: self.http_ask().with_context(|| format!("target '{called}'"))?,
            expect: self.expect.expect(self.watch_content).with_context(|| format!("target '{called}'"))?,
            steps: self.steps().with_context(|| format!("target '{called}'"))?,
            links: self.links_ask().with_context(|| format!("target '{called}'"))?,
            send: self.send.clone(),
            resolvers: resolvers.collect::<Result<_>>().with_context(|| format!("target '{called}': resolvers"))?,
            answers: self.expect.answers.clone(),
            rcodes: self.expect.rcodes.clone(),
            send_bytes: self.send_hex.as_deref().map(bytes).transpose().with_context(|| in_target("send_hex"))?,
            body_bytes: self
                .expect
                .body_hex
                .as_deref()
                .map(bytes)
                .transpose()
                .with_context(|| in_target("body_hex"))?,
            exchange: self.turns().with_context(|| in_target("exchange"))?,
            value: self.expect.value().with_context(|| format!("target '{called}'"))?,
            cdn: self.cdn_ask().with_context(|| format!("target '{called}'"))?,
            scrape: self.scrape().with_context(|| format!("target '{called}'"))?,
            pings: self.pings,
        };
        let mut target = Target::new(&self.url, ask).map_err(|reason| anyhow!("target '{called}': {reason}"))?;
        if let Some(kind) = self.kind.as_ref().filter(|kind| *kind != target.kind()) {
            bail!("target '{called}': kind is '{kind}', and '{address}' is for {}", target.kind());
        }
        target.name = self.name.clone().unwrap_or(target.name);
        target.group = self.group.clone();
        (target.interval, target.terms.timeout) = self.times(&target.name, target.interval, target.terms.timeout)?;
        (target.terms.slow, target.terms.fail, target.retries) = (self.slow, self.fail, self.retries);
        target.terms.allow_link_local = self.allow_link_local;
        target.terms.trust = self.trust().with_context(|| format!("target '{called}'"))?;
        target.terms.upside_down = self.upside_down;
        target.terms.unsupported_is_missed = self.tls_unsupported == UnsupportedConfig::Missed;
        let is_literal = || Url::parse(&self.url).is_ok_and(|url| url.host().is_some_and(|host| is_address(&host)));
        if self.ip.is_some() && is_literal() {
            bail!("target '{called}': ip is for names, and '{address}' has an address, which is of one family");
        }
        let connect_to = match (self.ip, self.address) {
            (_, Some(_)) | (Some(_), _) if matches!(target.kind(), "host" | "heartbeat") => {
                bail!("target '{called}': ip and address are not for {}, which connects to nobody", target.kind())
            }
            (_, Some(_)) | (Some(_), _) if target.kind() == "dns" => {
                bail!("target '{called}': ip and address are not for dns, which connects to resolvers")
            }
            (Some(_), Some(_)) => bail!("target '{called}': ip and address exclude each other"),
            (_, Some(address)) => ConnectTo::Pinned(address),
            (Some(IpFamily::V4), None) => ConnectTo::V4,
            (Some(IpFamily::V6), None) => ConnectTo::V6,
            (Some(IpFamily::Both), None) if target.kind() == SCRAPE => {
                bail!("target '{called}': a page is scraped once a slot, ip = \"both\" would store it twice")
            }
            (Some(IpFamily::Both), None) if target.kind() == CDN => {
                bail!("target '{called}': cdn asks both families anyway")
            }
            (Some(IpFamily::Both), None) => ConnectTo::Both,
            (None, None) => ConnectTo::Any,
        };
        Ok(target.connecting_to(connect_to))
    }

    /// What is asked of the edges of a CDN.
    fn cdn_ask(&self) -> Result<Option<CdnAsk>> {
        let is_cdn = self.kind.as_deref() == Some(CDN);
        let own = match &self.cdn {
            Some(_) if !is_cdn => bail!("cdn is for kind = \"cdn\""),
            None if is_cdn => &CdnConfig::default(),
            Some(own) => own,
            None => return Ok(None),
        };
        if self.address.is_some() || self.proxy.is_some() || self.redirects.is_some() {
            bail!("address, proxy and redirects are not for cdn, which asks each edge at its own address");
        }
        let subnets = own
            .client_subnets
            .iter()
            .map(|text| text.parse().map_err(|error: String| anyhow!("cdn.client_subnets: {error}")));
        let mark = own.mark.as_deref().map(str::parse).transpose().context("cdn.mark")?;
        if mark.is_none() && own.mark_within.is_some() {
            bail!("cdn.mark_within: there is no cdn.mark");
        }
        let within = own.mark_within.unwrap_or(Duration::from_mins(5));
        let default = CdnAsk::default();
        Ok(Some(CdnAsk {
            edges: own.edges.clone(),
            origin: own.origin,
            client_subnets: subnets.collect::<Result<_>>()?,
            keep: own.keep.unwrap_or(default.keep),
            lifetime: own.lifetime,
            mark: mark.map(|pattern| Mark { pattern, within }),
            same_certificate: own.same_certificate,
            ..default
        }))
    }

    /// How far a site is read.
    fn links_ask(&self) -> Result<Option<LinksAsk>> {
        let is_links = self.kind.as_deref() == Some(LINKS);
        let own = match &self.links {
            Some(_) if !is_links => bail!("links is for kind = \"links\""),
            None if is_links => &LinksConfig::default(),
            Some(own) => own,
            None => return Ok(None),
        };
        if self.is_held() || self.method.is_some() || self.body.is_some() || self.watch_content {
            bail!("expect, method, body and watch_content are not for links");
        }
        let default = LinksAsk::default();
        Ok(Some(LinksAsk {
            depth: own.depth.unwrap_or(default.depth),
            pages_max: own.pages_max.unwrap_or(default.pages_max),
            pause: own.pause.unwrap_or(default.pause),
            timeout: own.timeout.unwrap_or(default.timeout),
            elsewhere: own.elsewhere.unwrap_or(default.elsewhere),
        }))
    }

    /// Is it a page of metrics?
    fn scrape(&self) -> Result<bool> {
        let is_scrape = self.kind.as_deref() == Some(SCRAPE);
        if is_scrape && (self.is_held() || self.watch_content) {
            bail!("expect and watch_content are not for scrape: a page of metrics is what counts as up");
        }
        Ok(is_scrape)
    }

    /// Does the target itself say what an answer has to be?
    fn is_held(&self) -> bool {
        self.expect != ExpectConfig::default()
    }

    /// The requests of a scenario.
    fn steps(&self) -> Result<Option<Vec<Step>>> {
        let is_steps = self.kind.as_deref() == Some(STEPS);
        match (is_steps, self.steps.is_empty()) {
            (false, true) => return Ok(None),
            (false, false) => bail!("step is for kind = \"steps\""),
            (true, true) => bail!("kind = \"steps\" needs [[target.step]]"),
            (true, false) => {}
        }
        if self.is_held() || self.method.is_some() || self.body.is_some() || self.watch_content {
            bail!("expect, method, body and watch_content belong to the steps");
        }
        let step = |step: &StepConfig| step.step(self.http_ask()?).with_context(|| format!("step '{}'", step.name));
        self.steps.iter().map(step).collect::<Result<_>>().map(Some)
    }

    /// The turns of a conversation.
    fn turns(&self) -> Result<Vec<Turn>> {
        let turn = |(at, turn): (usize, &TurnConfig)| turn.turn().with_context(|| format!("turn {}", at + 1));
        self.exchange.iter().enumerate().map(turn).collect()
    }

    /// Whose certificates are believed.
    fn trust(&self) -> Result<Trust> {
        match (&self.ca, self.insecure) {
            (Some(_), true) => bail!("ca and insecure exclude each other"),
            (None, true) => Ok(Trust::Anybody),
            (None, false) => Ok(Trust::System),
            (Some(path), false) => {
                let pem = std::fs::read(path).with_context(|| format!("ca: read {}", path.display()))?;
                Trust::only(&pem).map_err(|reason| anyhow!("ca: {}: {reason}", path.display()))
            }
        }
    }

    /// Who the client is to a server that asks.
    fn identity(&self) -> Result<Option<Identity>> {
        let (cert, key) = match (&self.client_cert, &self.client_key) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert, key),
            _ => bail!("client_cert and client_key go together"),
        };
        let read = |path: &PathBuf| std::fs::read(path).with_context(|| format!("read {}", path.display()));
        let identity = Identity::from_pem(&read(cert)?, &read(key)?);
        identity.map(Some).map_err(|reason| anyhow!("client_cert and client_key: {reason}"))
    }

    /// What is asked over HTTP.
    fn http_ask(&self) -> Result<HttpAsk> {
        let mut ask = HttpAsk::default();
        let mut headers = self.headers.clone();
        let authorization = match (&self.basic_auth, &self.bearer_token) {
            (Some(_), Some(_)) => bail!("basic_auth and bearer_token exclude each other"),
            (Some(BasicAuth { user, password }), None) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            (None, Some(token)) => Some(format!("Bearer {token}")),
            (None, None) => None,
        };
        headers.extend(authorization.map(|value| ("authorization".to_owned(), value)));
        set_request(&mut ask, self.method.as_ref(), &headers, self.body.as_ref())?;
        ask.redirects_max = self.redirects.unwrap_or(ask.redirects_max);
        ask.version = match self.http {
            HttpConfig::Any => HttpVersion::Any,
            HttpConfig::Http1 => HttpVersion::Http1,
            HttpConfig::Http2 => HttpVersion::Http2,
            HttpConfig::Http3 => HttpVersion::Http3,
        };
        ask.identity = self.identity()?;
        if self.proxy.is_some() && self.address.is_some() {
            bail!("proxy and address exclude each other: a proxy resolves the name itself");
        }
        ask.proxy = self.proxy.as_deref().map(proxy).transpose()?;
        Ok(ask)
    }

    /// The interval and the timeout, or these.
    fn times(&self, name: &str, interval: Duration, timeout: Duration) -> Result<(Duration, Duration)> {
        let interval = self.interval.unwrap_or(interval);
        let timeout = self.timeout.unwrap_or(timeout.min(interval));
        if interval < Duration::from_millis(100) {
            bail!("target '{name}': interval is {interval:?}, the shortest is 100ms");
        }
        if timeout > interval {
            bail!("target '{name}': timeout {timeout:?} is longer than its interval {interval:?}");
        }
        Ok((interval, timeout))
    }
}

/// Sets the method, headers and body of a request.
fn set_request(
    ask: &mut HttpAsk,
    method: Option<&String>,
    headers: &BTreeMap<String, String>,
    body: Option<&String>,
) -> Result<()> {
    if let Some(method) = method {
        ask.method = Method::from_bytes(method.as_bytes()).with_context(|| format!("method: '{method}'"))?;
    }
    for (name, value) in headers {
        let known = HeaderName::from_bytes(name.as_bytes()).with_context(|| format!("headers: '{name}'"))?;
        let value = HeaderValue::from_str(value).with_context(|| format!("headers: the value of {name}"))?;
        ask.headers.insert(known, value);
    }
    ask.body = body.cloned().unwrap_or_default().into();
    Ok(())
}

/// A proxy's address.
fn proxy(text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "http" && url.has_host());
    url.with_context(|| format!("proxy: '{text}' is not an address like http://proxy.example:3128"))
}

/// A resolver's address, on port 53 if it does not say another.
pub fn resolver(text: &str) -> Result<SocketAddr> {
    let address = text.parse::<SocketAddr>().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
    address.with_context(|| format!("'{text}' is not an address like 9.9.9.9 or 127.0.0.1:5353"))
}

/// A target as the arguments of a command say it.
#[derive(Debug)]
pub struct Told {
    pub url: String,
    pub method: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
    pub status: Vec<String>,
    pub pattern: Option<String>,
}

impl Told {
    /// The same as a table of the configuration would make it.
    pub fn target(self) -> Result<Target> {
        let statuses = self.status.into_iter().map(StatusConfig::Several).collect::<Vec<_>>();
        let status = Some(statuses).filter(|statuses| !statuses.is_empty());
        let expect = ExpectConfig { status, body: self.pattern, ..ExpectConfig::default() };
        let address = toml::Table::from_iter([("url".to_owned(), self.url.into())]);
        let mut config: TargetConfig = address.try_into().context("the address")?;
        (config.method, config.headers, config.body) = (self.method, self.headers, self.body);
        config.expect = expect;
        config.target()
    }
}

/// Is it an address, and no name? Schemes that the standard of URLs does not know keep addresses as names.
fn is_address(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.parse::<IpAddr>().is_ok(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::maintenance::MaintenanceConfig;
    use super::*;

    /// Whoever looks a key up finds it in an example, and every example is run (`tests/manual.rs`).
    #[test]
    fn the_manual_of_checks_has_an_example_of_every_key() {
        let manual = include_str!("../../docs/probes.md");
        let mut shown = BTreeMap::new();
        for block in manual.split("```toml").skip(1) {
            note_keys("", &toml::from_str(block.split_once("```").unwrap().0).unwrap(), &mut shown);
        }
        for (place, keys) in [
            ("target", keys::<TargetConfig>()),
            ("basic_auth", keys::<BasicAuth>()),
            ("expect", keys::<ExpectConfig>()),
            ("exchange", keys::<TurnConfig>()),
            ("step", keys::<StepConfig>()),
            ("links", keys::<LinksConfig>()),
            ("cdn", keys::<CdnConfig>()),
            ("maintenance", keys::<MaintenanceConfig>()),
        ] {
            assert!(!keys.is_empty());
            let missing: Vec<_> = keys.iter().filter(|key| !shown[place].contains(*key)).collect();
            assert!(missing.is_empty(), "no example in docs/probes.md has {missing:?} in {place}");
        }
    }

    /// The keys of a table and of the tables in it, by the key that they stand at.
    fn note_keys(place: &str, table: &toml::Table, shown: &mut BTreeMap<String, BTreeSet<String>>) {
        shown.entry(place.into()).or_default().extend(table.keys().cloned());
        for (key, value) in table {
            let inner = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            inner.iter().filter_map(toml::Value::as_table).for_each(|inner| note_keys(key, inner, shown));
        }
    }

    /// The keys of a part of the file, by what is said of one that is none.
    fn keys<T: serde::de::DeserializeOwned>() -> Vec<String> {
        let error = toml::from_str::<T>("none = 0").err().unwrap().to_string();
        let (_, keys) = error.split_once("expected").unwrap();
        keys.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }
}
