//! The configuration file: every key with its unit and default. `docs/configuration.md` shows it whole.

mod alerts;
mod channels;
mod maintenance;
mod routes;
mod targets;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::alerts::notices::{Channel, Route};
use ::alerts::ready::{Kinds, Watch};
use ::alerts::rules::RuleFile;
use anyhow::{Context, Result, bail};
use bytesize::ByteSize;
use promql::syntax::Limits;
use query::{Declaration, SizeLimits};
use serde::{Deserialize, Deserializer};
use tsdb::Rollup;
use web_probe::Target;

use alerts::AlertConfig;
use channels::ChannelConfig;
use maintenance::MaintenanceConfig;
use routes::RouteConfig;
use targets::TargetConfig;
pub use targets::{Told, resolver};

/// The file that is read if none is named.
const DEFAULT_FILE: &str = "fournines.toml";

/// What can be configured.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: Server,
    pub store: Store,
    pub query: Query,
    pub promql: Promql,
    pub probe: Probe,
    pub rules: Rules,
    pub heartbeat: Heartbeat,
    /// Who is told. Default: nobody.
    #[serde(rename = "channel")]
    channels: Vec<ChannelConfig>,
    /// Of what. Default: everything to every channel.
    #[serde(rename = "route")]
    routes: Vec<RouteConfig>,
    /// What is alerted beside what every target has. Default: nothing.
    #[serde(rename = "alert")]
    alerts: Vec<AlertConfig>,
    /// Rule files of Prometheus, relative to this file; `*` and `?` stand for what they do in a shell. Default: none.
    rule_files: Vec<PathBuf>,
    #[serde(rename = "target")]
    targets: Vec<TargetConfig>,
    /// Planned work. Default: none.
    maintenance: Vec<MaintenanceConfig>,
    /// Buckets that are worked out ahead. Default: none.
    #[serde(rename = "rollup")]
    pub rollups: Vec<Declaration>,
}

/// `[server]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Where to listen. Default 127.0.0.1:9999.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// Requests may come under a path that begins so (`/fournines`), as from a proxy that does not take it off. Default
    /// none.
    pub base_path: String,
    /// Pages of these origins (`https://status.example.org`) may do what their users may. Default none.
    pub origins: Vec<String>,
    /// Names under which requests without a token may ask, beside `localhost` and addresses. Default none.
    pub hosts: Vec<String>,
    /// Addresses of proxies whose `X-Forwarded-Host` says which name was asked. Default none.
    pub trusted_proxies: Vec<IpAddr>,
    /// Listen on an address that others can reach although anybody may then read and write. Default false.
    pub allow_without_token: bool,
    /// The largest request body as it arrives. Default 32 MiB.
    pub body_max: ByteSize,
    /// The largest request body after decompression. Default 128 MiB.
    pub unpacked_max: ByteSize,
    /// The bodies of all requests may take this much memory together. Default 512 MiB.
    pub bodies_max: ByteSize,
    /// The head of a request may be this large. Default 64 KiB.
    pub header_max: ByteSize,
    /// How many connections may be open; further ones are told to come back. Default 1024.
    pub connections_max: usize,
    /// The certificate for TLS, PEM, and those that vouch for it. Taken anew when it changes. Default: no TLS.
    pub tls_cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub tls_key: Option<PathBuf>,
    /// How long a client may take to send a request's body. Default 30 s.
    #[serde(deserialize_with = "duration")]
    pub body_timeout: Duration,
    /// How long a client may take to send its request's head, once it has begun. Default 10 s.
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Duration,
    /// How long a connection may be idle between two requests. Default 2 min.
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Duration,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            listen: SocketAddr::from(([127, 0, 0, 1], 9999)),
            base_path: String::new(),
            origins: Vec::new(),
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            allow_without_token: false,
            body_max: ByteSize::mib(32),
            unpacked_max: ByteSize::mib(128),
            bodies_max: ByteSize::mib(512),
            header_max: ByteSize::kib(64),
            connections_max: 1024,
            tls_cert: None,
            tls_key: None,
            body_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(2),
        }
    }
}

/// `[store]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// Where the data is. Default `fournines-data`.
    pub data_dir: PathBuf,
    /// `sync` (default): acknowledged rows survive a power cut. `process`: they survive a killed process, and a power
    /// cut takes the last second.
    pub durability: Durability,
    /// The head is sealed into a segment when it reaches this size. Default 32 MiB.
    pub head_max: ByteSize,
    /// Pages of mapped files that may be in this process's memory, beside the program itself; past it they are let go of,
    /// and read from the system's cache when they are needed again. Default 64 MiB.
    pub mapped_max: ByteSize,
    /// The newest rows of series are kept in memory up to this size. Default 64 MiB.
    pub last_rows_max: ByteSize,
    /// The series that are known take about this much memory at the most; rows of new ones are refused then. Default 1
    /// GiB.
    pub catalog_max: ByteSize,
    /// How many requests may wait to be written; further ones are told to come back. Default 1024.
    pub ring_slots: usize,
    /// What these may have together. Default 256 MiB.
    pub ring_max: ByteSize,
    /// A table may have this many tags and fields together. Default 1024.
    pub columns_max: usize,
    /// A series may have this many tags. Default 128.
    pub tags_max: usize,
    /// A table may have this many series. Default 5 million.
    pub table_series_max: u32,
    /// A name of a measurement, tag or field may be this long. Default 65535 bytes, which is also the most.
    pub name_max: ByteSize,
    /// A tag's value may be this long. Default 65535 bytes, which is also the most.
    pub tag_value_max: ByteSize,
    /// A string field may be this long. Default 64 KiB.
    pub string_max: ByteSize,
    /// A request may have this many values, absent ones between others included. Default 67108864.
    pub batch_values_max: usize,
    /// The footers of rolled days are kept in memory up to this size. Default 64 MiB.
    pub footers_max: ByteSize,
    /// A merge of segments takes about this much memory at the most. Default 64 MiB.
    pub compact_memory: ByteSize,
    /// A day that ended longer ago than this rolls to Parquet. Default: never.
    #[serde(deserialize_with = "some_duration")]
    pub roll_after: Option<Duration>,
    /// Days that ended longer ago than this leave. Default: none does.
    #[serde(deserialize_with = "some_duration")]
    pub retention: Option<Duration>,
    /// The oldest days of a table leave while it has more than this. Default: none does.
    pub retention_bytes: Option<ByteSize>,
    /// What is kept of tables by themselves, by `table` or `schema.table`.
    pub table: BTreeMap<String, TableRetention>,
}

/// `[store.table.NAME]`
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TableRetention {
    /// As `store.retention`, which counts if this is not there.
    #[serde(deserialize_with = "some_duration")]
    pub retention: Option<Duration>,
    /// As `store.retention_bytes`, which counts if this is not there.
    pub retention_bytes: Option<ByteSize>,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            data_dir: "fournines-data".into(),
            durability: Durability::Sync,
            head_max: ByteSize::mib(32),
            mapped_max: ByteSize::mib(64),
            last_rows_max: ByteSize::mib(64),
            catalog_max: ByteSize::gib(1),
            ring_slots: 1024,
            ring_max: ByteSize::mib(256),
            columns_max: 1024,
            tags_max: 128,
            table_series_max: 5_000_000,
            name_max: ByteSize::b(65535),
            tag_value_max: ByteSize::b(65535),
            string_max: ByteSize::kib(64),
            batch_values_max: 64 << 20,
            footers_max: ByteSize::mib(64),
            compact_memory: ByteSize::mib(64),
            roll_after: None,
            retention: None,
            retention_bytes: None,
            table: BTreeMap::new(),
        }
    }
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    Sync,
    Process,
}

/// `[query]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Threads that run queries. Default: as many as the machine has.
    pub threads: usize,
    /// Memory that all running queries may use together before they spill to disk. Default 1 GiB.
    pub memory: ByteSize,
    /// How long a query may take, its last row included. Default 1 min.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How many queries run at a time; others wait, for half of `timeout` at the most. Default 32.
    pub concurrency: usize,
    /// Rows of an answer at the most. Default 10 million.
    pub rows_max: u64,
    /// How many levels deep a statement may be: chained operators, joins, parentheses. Default 1000.
    pub depth_max: usize,
    /// How many words and signs it may have, with named subqueries in the places where they are used. Default 50,000.
    pub terms_max: usize,
}

impl Default for Query {
    fn default() -> Query {
        Query {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: ByteSize::gib(1),
            timeout: Duration::from_mins(1),
            concurrency: 32,
            rows_max: 10_000_000,
            depth_max: SizeLimits::default().depth_max,
            terms_max: SizeLimits::default().terms_max,
        }
    }
}

/// `[promql]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Promql {
    /// So long a sample is the newest one of its series. Default 5 min.
    #[serde(deserialize_with = "duration")]
    pub lookback: Duration,
    /// Names of metrics go at the end of a question, so that functions see them. Default false.
    pub delayed_name_removal: bool,
    /// Rates heed the times since when samples count. Default false.
    pub start_timestamps: bool,
    /// Whether something is a counter is known by the label `__type__`, not by its name. Default false.
    pub type_and_unit_labels: bool,
}

impl Default for Promql {
    fn default() -> Promql {
        Promql {
            lookback: Duration::from_mins(5),
            delayed_name_removal: false,
            start_timestamps: false,
            type_and_unit_labels: false,
        }
    }
}

/// `[rules]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Which alerts every target and host has without a file: `down`, `slow`, `certificate`, `content`, `stale`, `disk`,
    /// `no_data`. Default: all.
    pub ready: Vec<ReadyRule>,
    /// From one evaluation of a group of rules to the next, where the group does not say it. Default 1 min.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// The address under which people find this server, which texts of alerts can name. Default: where it listens.
    pub external_url: Option<String>,
    /// Labels that texts of alerts can name as `$externalLabels`. Default: none.
    pub external_labels: BTreeMap<String, String>,
}

impl Default for Rules {
    fn default() -> Rules {
        use ReadyRule::{Certificate, Content, Disk, Down, NoData, Slow, Stale};
        let ready = vec![Down, Slow, Certificate, Content, Stale, Disk, NoData];
        Rules { ready, interval: Duration::from_mins(1), external_url: None, external_labels: BTreeMap::new() }
    }
}

/// Which rules these are.
pub fn kinds(rules: &[ReadyRule]) -> Kinds {
    let has = |kind| rules.contains(&kind);
    Kinds {
        down: has(ReadyRule::Down),
        slow: has(ReadyRule::Slow),
        certificate: has(ReadyRule::Certificate),
        content: has(ReadyRule::Content),
        stale: has(ReadyRule::Stale),
        disk: has(ReadyRule::Disk),
        no_data: has(ReadyRule::NoData),
    }
}

/// `[heartbeat]`: of the server itself.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeat {
    /// The address outside that is called while all is well. Default: none.
    pub url: Option<String>,
    /// From one call to the next. Default 1 min.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
}

impl Default for Heartbeat {
    fn default() -> Heartbeat {
        Heartbeat { url: None, interval: Duration::from_mins(1) }
    }
}

/// An alert that every target has without a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyRule {
    Down,
    Slow,
    Certificate,
    Content,
    Stale,
    Disk,
    NoData,
}

/// `[probe]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// The tag `location` of probe rows: from where this prober looks. Default `local`.
    pub location: String,
    /// How many probes may run at the same time. Default 1000.
    pub concurrency: usize,
    /// The server that everything measured here goes to, too. Default: none.
    pub forward: Option<String>,
    /// What waits for it on disk may have this size; what is more stays here alone. Default 1 GiB.
    pub forward_max: ByteSize,
}

impl Default for Probe {
    fn default() -> Probe {
        Probe { location: "local".into(), concurrency: 1000, forward: None, forward_max: ByteSize::gib(1) }
    }
}

impl Config {
    /// Reads the file, or `fournines.toml` if there is one, or the defaults.
    pub fn load(file: Option<&Path>) -> Result<Config> {
        let path = match file {
            Some(path) => path,
            None if Path::new(DEFAULT_FILE).exists() => Path::new(DEFAULT_FILE),
            None => return Ok(Config::default()),
        };
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let config: Config = toml::from_str(&text).with_context(|| format!("{} is not right", path.display()))?;
        config.check().with_context(|| format!("{} is not right", path.display()))?;
        Ok(config)
    }

    /// Refuses what would be taken, and then answer nothing or take all memory.
    fn check(&self) -> Result<()> {
        let Config { server, store, query, probe, .. } = self;
        const KIB: u64 = 1 << 10;
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        let counts = [
            ("server.connections_max", server.connections_max as u64, 1, 1 << 20),
            ("store.ring_slots", store.ring_slots as u64, 1, 1 << 20),
            ("query.threads", query.threads as u64, 1, 1024),
            ("query.concurrency", query.concurrency as u64, 1, 100_000),
            ("query.rows_max", query.rows_max, 1, u64::MAX),
            ("query.depth_max", query.depth_max as u64, 50, 2000),
            ("query.terms_max", query.terms_max as u64, 1000, 1_000_000),
            ("probe.concurrency", probe.concurrency as u64, 1, 1 << 20),
        ];
        for (key, value, min, max) in counts {
            if !(min..=max).contains(&value) {
                bail!("{key}: expected a number from {min} to {max}, found {value}");
            }
        }
        let sizes = [
            ("server.body_max", server.body_max, KIB, 16 * GIB),
            ("server.unpacked_max", server.unpacked_max, KIB, 64 * GIB),
            ("server.bodies_max", server.bodies_max, KIB, 1024 * GIB),
            ("server.header_max", server.header_max, KIB, 16 * MIB),
            ("store.head_max", store.head_max, 16 * KIB, 16 * GIB),
            ("store.mapped_max", store.mapped_max, 1024 * KIB, 1024 * GIB),
            ("store.ring_max", store.ring_max, 64 * KIB, 1024 * GIB),
            ("store.catalog_max", store.catalog_max, 32 * KIB, 1024 * GIB),
            ("store.string_max", store.string_max, 16, 16 * MIB),
            ("store.compact_memory", store.compact_memory, MIB, 1024 * GIB),
            ("query.memory", query.memory, MIB, 1024 * 1024 * GIB),
        ];
        for (key, value, min, max) in sizes {
            if !(min..=max).contains(&value.as_u64()) {
                let (min, max) = (ByteSize(min), ByteSize(max));
                bail!("{key}: expected a size from {min} to {max}, found {value}");
            }
        }
        let durations = [
            ("server.body_timeout", server.body_timeout),
            ("server.header_timeout", server.header_timeout),
            ("server.idle_timeout", server.idle_timeout),
            ("query.timeout", query.timeout),
            ("heartbeat.interval", self.heartbeat.interval),
        ];
        for (key, value) in durations {
            if value < Duration::from_millis(10) {
                bail!("{key}: expected 10ms or longer, found {value:?}");
            }
        }
        if !server.base_path.is_empty() && !server.base_path.starts_with('/') {
            bail!("server.base_path: expected a path like /fournines, found '{}'", server.base_path);
        }
        let is_web = |text: &&String| {
            url::Url::parse(text).is_ok_and(|url| url.has_host() && matches!(url.scheme(), "http" | "https"))
        };
        if let Some(text) = self.heartbeat.url.as_ref().filter(|text| !is_web(text)) {
            bail!("heartbeat.url: expected an address like https://watch.example.org/ping, found '{text}'");
        }
        let is_origin = |origin: &&String| {
            let url = url::Url::parse(origin);
            url.is_ok_and(|url| url.origin().is_tuple() && url.origin().ascii_serialization() == **origin)
        };
        if let Some(origin) = server.origins.iter().find(|origin| !is_origin(origin)) {
            bail!("server.origins: expected an origin like https://status.example.org, found '{origin}'");
        }
        let is_name = |host: &&String| !host.is_empty() && !host.contains(['/', ' ']);
        if let Some(host) = server.hosts.iter().find(|host| !is_name(host)) {
            bail!("server.hosts: expected a name like watch.example.org, found '{host}'");
        }
        Ok(())
    }

    /// The targets that are given and those of the file that are probed, each checked by itself, with the windows of
    /// planned work that they are in.
    pub fn targets(&self, given: &[Target]) -> Result<Vec<Target>> {
        let given = given.iter().cloned().map(Ok);
        let mut targets = given.chain(self.targets.iter().map(TargetConfig::target)).collect::<Result<Vec<_>>>()?;
        for (at, config) in self.maintenance.iter().enumerate() {
            let window = config.window().with_context(|| format!("maintenance number {}", at + 1))?;
            let window = Arc::new(window);
            let mut is_of_one = false;
            for target in targets.iter_mut().filter(|target| config.is_of(target)) {
                target.maintenance.push(window.clone());
                is_of_one = true;
            }
            if !is_of_one && !config.is_of_all() {
                bail!("maintenance number {} ('{}'): no target has these names and groups", at + 1, window.reason);
            }
        }
        Ok(targets)
    }

    /// Who is told.
    pub fn channels(&self) -> Result<Vec<Channel>> {
        let mut names = HashSet::new();
        if let Some(twice) = self.channels.iter().find(|channel| !names.insert(&channel.name)) {
            bail!("there are two channels with the name '{}': give one of them another", twice.name);
        }
        let fallback = self.channels.iter().filter_map(|channel| Some((channel, channel.fallback.as_ref()?)));
        for (channel, other) in fallback {
            if *other == channel.name || !self.channels.iter().any(|own| own.name == *other) {
                bail!("channel '{}': fallback: '{other}' is not the name of another channel", channel.name);
            }
        }
        self.channels.iter().map(ChannelConfig::channel).collect()
    }

    /// What goes to which channels.
    ///
    /// # Errors
    ///
    /// A route names a channel that there is not, or what it matches cannot be read.
    pub fn routes(&self) -> Result<Vec<Route>> {
        let is_channel = |name: &String| self.channels.iter().any(|channel| channel.name == *name);
        let route = |(at, own): (usize, &RouteConfig)| -> Result<Route> {
            let route = own.route().with_context(|| format!("route number {}", at + 1))?;
            match route.channels.iter().find(|name| !is_channel(name)) {
                Some(name) => bail!("route number {}: there is no channel '{name}'", at + 1),
                None => Ok(route),
            }
        };
        self.routes.iter().enumerate().map(route).collect()
    }

    /// The rule files that there are.
    pub fn rule_paths(&self, file: Option<&Path>) -> Result<Vec<PathBuf>> {
        let folder = file.unwrap_or(Path::new(DEFAULT_FILE)).parent().unwrap_or(Path::new(""));
        let paths = self.rule_files.iter().map(|pattern| crate::rules::paths_of(&folder.join(pattern)));
        Ok(paths.collect::<Result<Vec<_>>>().context("rule_files")?.concat())
    }

    /// What `[[alert]]` says, each by itself, as a file of rules; `file` is the configuration.
    ///
    /// # Errors
    ///
    /// One of them is not right, two have the same name, or one names a target that is not there.
    pub fn alerts(&self, file: Option<&Path>) -> Result<RuleFile> {
        let mut names = HashSet::new();
        if let Some(twice) = self.alerts.iter().find(|alert| !names.insert(&alert.name)) {
            bail!("there are two alerts with the name '{}': give one of them another", twice.name);
        }
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        // Wherever the server is started from: alerts belong to a group of a file.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let name: Arc<str> = path.to_string_lossy().into();
        let limits = Limits { depth_max: self.query.depth_max };
        let size = SizeLimits { depth_max: self.query.depth_max, terms_max: self.query.terms_max };
        let groups = self.alerts.iter().map(|alert| alert.group(&name, &limits, size)).collect::<Result<_>>()?;
        for alert in &self.alerts {
            self.check_named("alert", &alert.name, alert.depends_on())?;
        }
        Ok(RuleFile { path, groups })
    }

    /// How the targets of the file are watched that say it, by their names.
    ///
    /// # Errors
    ///
    /// One depends on a target that there is not, or on itself; or what it says is not right.
    pub fn watches(&self) -> Result<HashMap<String, Watch>> {
        let mut watches = HashMap::new();
        for own in &self.targets {
            let watch = own.watch().with_context(|| format!("target '{}'", own.name().unwrap_or(&own.address())))?;
            match own.name() {
                Some(name) => drop(watches.insert(name.to_owned(), watch)),
                None if watch == Watch::default() => {}
                None => bail!("depends_on, ready and confirm of the target {}: give it a name", own.address()),
            }
        }
        for (name, watch) in &watches {
            self.check_named("target", name, &watch.depends_on)?;
            let (mut left, mut seen) = (watch.depends_on.clone(), HashSet::new());
            while let Some(next) = left.pop() {
                if next == *name {
                    bail!("target '{name}': depends_on leads back to itself: of such a circle nobody would be told");
                }
                if seen.insert(next.clone()) {
                    left.extend(watches.get(&next).into_iter().flat_map(|watch| watch.depends_on.clone()));
                }
            }
        }
        Ok(watches)
    }

    fn check_named(&self, what: &str, own: &str, names: &[String]) -> Result<()> {
        let is_there = |name: &&String| self.targets.iter().any(|target| target.name() == Some(name.as_str()));
        match names.iter().find(|name| !is_there(name)) {
            Some(name) => bail!("{what} '{own}': depends_on: there is no target with the name '{name}'"),
            None => Ok(()),
        }
    }

    /// Does the file say how this machine is measured?
    pub fn measures_host(&self) -> bool {
        self.targets.iter().any(TargetConfig::is_host)
    }

    /// The rollups of the file, each checked by itself.
    pub fn rollups(&self) -> Result<Vec<Rollup>> {
        let mut names = HashSet::new();
        let rollups = self.rollups.iter().map(|declaration| Ok(declaration.clone().rollup()?));
        let rollups: Vec<Rollup> = rollups.collect::<Result<_>>()?;
        match rollups.iter().find(|rollup| !names.insert(&rollup.name)) {
            Some(rollup) => bail!("there are two rollups with the name '{}': give one of them another", rollup.name),
            None => Ok(rollups),
        }
    }
}

/// Where to listen: `127.0.0.1:9999`, `localhost:9999`, `[::1]:9999`; `:9999` is every address of this machine.
///
/// # Errors
///
/// It is no address with a port, or a name that has none.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::from(([0, 0, 0, 0], port)));
    }
    let expected = || format!("'{text}' is not an address with a port, like 127.0.0.1:9999, localhost:9999 or :9999");
    let found: Vec<SocketAddr> = text.to_socket_addrs().map_err(|error| format!("{}: {error}", expected()))?.collect();
    let four = found.iter().find(|address| address.is_ipv4()).or(found.first());
    four.copied().ok_or_else(expected)
}

fn listen<'de, D: Deserializer<'de>>(input: D) -> Result<SocketAddr, D::Error> {
    listen_address(&String::deserialize(input)?).map_err(serde::de::Error::custom)
}

/// `10s`, `1min 30s`, `400d`.
fn duration<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(input)?;
    domain::duration::parse(&text).map_err(serde::de::Error::custom)
}

fn some_duration<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    duration(input).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `--listen localhost:9999` and `:9999`, as users of Prometheus write them, were no addresses.
    #[test]
    fn a_place_to_listen_at_is_taken_as_people_write_it() {
        for (text, address) in [
            ("127.0.0.1:9999", "127.0.0.1:9999"),
            ("localhost:9998", "127.0.0.1:9998"),
            (":9997", "0.0.0.0:9997"),
            ("[::1]:9996", "[::1]:9996"),
        ] {
            assert_eq!(listen_address(text).map(|found| found.to_string()), Ok(address.to_owned()), "{text}");
        }
        for text in ["localhost", ":", ":port", "9999", "nobody.invalid:1", ""] {
            let said = listen_address(text).unwrap_err();
            assert!(said.contains("is not an address with a port, like 127.0.0.1:9999"), "{text}: {said}");
        }
    }
    use web_probe::Ask;

    #[test]
    fn the_manual_shows_every_key_with_its_default() {
        let manual = include_str!("../../docs/configuration.md");
        let (_, rest) = manual.split_once("```toml").unwrap();
        let shown: Config = toml::from_str(rest.split_once("```").unwrap().0).unwrap();
        let default = Config::default();
        assert_eq!(format!("{:?}", shown.server), format!("{:?}", default.server));
        assert_eq!(format!("{:?}", shown.store), format!("{:?}", default.store));
        assert_eq!(format!("{:?}", shown.promql), format!("{:?}", default.promql));
        assert_eq!(format!("{:?}", shown.probe), format!("{:?}", default.probe));
        assert_eq!(
            format!("{:?}", Query { threads: 0, ..shown.query }),
            format!("{:?}", Query { threads: 0, ..default.query })
        );
        let target = shown.targets(&[]).unwrap().remove(0);
        let fresh = Target::new("https://portal.example/", Ask::default()).unwrap();
        assert_eq!((target.interval, target.terms.timeout), (fresh.interval, fresh.terms.timeout));
    }

    #[test]
    fn the_targets_of_the_manual_of_checks_are_right() {
        let manual = include_str!("../../docs/probes.md");
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        std::fs::write(dir.path().join("client.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.path().join("client.key"), key.serialize_pem()).unwrap();
        std::fs::write(dir.path().join("firm.pem"), certificate.pem()).unwrap();
        let manual = manual.replace("/etc/fournines", dir.path().to_str().unwrap());
        let targets = |block: &str| {
            let shown: Config = toml::from_str(block.split_once("```").unwrap().0).unwrap();
            shown.targets(&[]).unwrap()
        };
        let all = || -> Vec<Target> { manual.split("```toml").skip(1).flat_map(targets).collect() };
        // A target of every kind, read again, is the one that is probed already: it goes on, and forgets nothing.
        assert!(all() == all());
        assert_eq!(
            all().iter().map(Target::kind).collect::<Vec<_>>().join(" "),
            "http http tls http http http http http http http http tcp http tcp tcp postgres redis mysql smtp websocket grpc dns \
             domain icmp steps links tcp tcp udp postgres dns heartbeat scrape host cdn"
        );
    }

    /// Channels, routes and alerts are shown in pieces, each of which can be taken as it stands but for its files.
    #[test]
    fn the_examples_of_the_manual_of_alerts_are_right() {
        let manual = include_str!("../../docs/alerts.md");
        let dir = tempfile::tempdir().unwrap();
        for file in ["mail-password", "dingtalk-key", "aliyun-key", "gateway-key"] {
            std::fs::write(dir.path().join(file), "secret\n").unwrap();
        }
        let manual = manual.replace("/etc/fournines", dir.path().to_str().unwrap());
        let blocks: Vec<&str> =
            manual.split("```toml\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect();
        let names = "[[channel]]\nname = \"shop\"\nkind = \"webhook\"\nurl = \"http://x/\"\n";
        let config: Config = toml::from_str(&(names.to_owned() + &blocks.concat())).unwrap();
        let kinds: Vec<_> = config.channels().unwrap().iter().map(|channel| channel.kind.name()).collect();
        assert_eq!(kinds.join(" "), "webhook webhook smtp dingtalk aliyun_sms http exec");
        assert_eq!(config.routes().unwrap().len(), 3);
        assert_eq!(config.alerts(None).unwrap().groups.len(), 2);
        assert_eq!(config.watches().unwrap()["branch"].depends_on, ["gateway"]);
    }

    /// Whatever a target is told makes it another one.
    #[test]
    fn a_target_that_is_told_something_else_is_another_one() {
        let target = |url: &str, told: &str| -> Target {
            let config: Config = toml::from_str(&format!("[[target]]\nname = 'a'\nurl = '{url}'\n{told}")).unwrap();
            config.targets(&[]).unwrap().remove(0)
        };
        let web = "https://a.example/";
        for (url, one, other) in [
            (web, "", "interval = '11s'"),
            (web, "", "timeout = '4s'"),
            (web, "", "slow = '1s'"),
            (web, "", "fail = '1s'"),
            (web, "", "retries = 1"),
            (web, "", "group = 'b'"),
            (web, "", "allow_link_local = true"),
            (web, "", "ip = 'v6'"),
            (web, "", "ip = 'both'"),
            (web, "", "resolvers = ['127.0.0.1:53']"),
            (web, "", "method = 'HEAD'"),
            (web, "", "headers = { a = 'b' }"),
            (web, "expect = { body = 'a' }", "expect = { body = 'b' }"),
            (web, "expect = { headers = { a = 'a' } }", "expect = { headers = { a = 'b' } }"),
            (web, "expect = { json = { '$.a' = 'a' } }", "expect = { json = { '$.b' = 'a' } }"),
            (web, "expect = { status = [200] }", "expect = { status = [201] }"),
            (web, "", "watch_content = true"),
            (web, "kind = 'cdn'", "kind = 'cdn'\ncdn = { keep = '3h' }"),
            (web, "kind = 'cdn'\ncdn = { mark = 'a' }", "kind = 'cdn'\ncdn = { mark = 'b' }"),
            (web, "kind = 'cdn'\ncdn = { edges = ['127.0.0.1'] }", "kind = 'cdn'\ncdn = { edges = ['127.0.0.2'] }"),
            (web, "kind = 'links'", "kind = 'links'\nlinks = { depth = 3 }"),
            (web, "", "kind = 'scrape'"),
            (web, "", "insecure = true"),
            (web, "", "upside_down = true"),
            (web, "", "tls_unsupported = 'missed'"),
            (web, "expect = { body_not = 'a' }", "expect = { body_not = 'b' }"),
            (web, "expect = { status = ['2xx'] }", "expect = { status = ['3xx'] }"),
            ("smtp://a.example", "", "expect = { body = 'b' }"),
            ("tcp://a.example:1", "send = 'a'", "send = 'b'"),
            ("tcp://a.example:1", "expect = { body = 'a' }", "expect = { body = 'b' }"),
            ("dns:a.example", "resolvers = ['127.0.0.1:53']", "resolvers = ['127.0.0.1:54']"),
            ("icmp:a.example", "pings = 2", "pings = 3"),
            ("redis://a.example", "send = 'PING'", "send = 'GET a'"),
            ("redis://a.example", "expect = { value_min = 1 }", "expect = { value_min = 2 }"),
            ("tcp://a.example:1", "send_hex = 'ff'", "send_hex = 'fe'"),
            ("tcp://a.example:1", "expect = { body_hex = 'ff' }", "expect = { body_hex = 'fe' }"),
            ("tcp://a.example:1", "exchange = [{ send = 'a' }]", "exchange = [{ send = 'a', starttls = true }]"),
            ("dns:a.example", "expect = { rcodes = ['NXDOMAIN'] }", "expect = { rcodes = ['REFUSED'] }"),
        ] {
            assert!(target(url, one) == target(url, one), "{url} {one}");
            assert!(target(url, one) != target(url, other), "{url} {one} {other}");
        }
        assert!(target(web, "") != target("https://b.example/", ""));
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, said) in [
            ("[server]\nlissen = '127.0.0.1:1'", "line 2"),
            ("[server]\nlissen = '127.0.0.1:1'", "lissen"),
            ("[[target]]\nurl = 'gopher://x/'", "gopher cannot be probed"),
            ("[[target]]\nurl = 'x'", "not an address like"),
            ("[[target]]\nurl = 'http://x/'\nmethod = 'G E T'", "method: 'G E T'"),
            ("[[target]]\nurl = 'http://x/'\nheaders = { 'a b' = 'c' }", "headers: 'a b'"),
            (
                "[[target]]\nurl = 'http://x/'\nbearer_token = 'a'\nbasic_auth = { user = 'a', password = 'b' }",
                "exclude each other",
            ),
            ("[[target]]\nurl = 'http://x/'\nexpect = { headers = { a = '(' } }", "expect.headers"),
            (
                "[[target]]\nurl = 'tcp://x:1'\nredirects = 1",
                "a client certificate is for http, https, ws and grpc, not for tcp",
            ),
            ("[[target]]\nurl = 'http://x/'\nhttp = '4'", "unknown variant `4`"),
            ("[[target]]\nurl = 'http://x/'\nhttp = '3'", "http = \"3\" "),
            (
                "[[target]]\nurl = 'http://x/'\nproxy = 'socks://p:1'",
                "is not an address like http://proxy.example:3128",
            ),
            ("[[target]]\nurl = 'http://x/'\nproxy = 'http://p:1'\naddress = '192.0.2.1'", "exclude each other"),
            ("[[target]]\nurl = 'http://x/'\nclient_cert = 'a'", "client_cert and client_key go together"),
            ("[[target]]\nurl = 'http://x/'\nexpect = { sha256 = 'ab' }", "64 hexadecimal digits"),
            ("[[target]]\nurl = 'http://x/'\nexpect = { masks = ['a'] }", "nothing is hashed"),
            ("[[target]]\nurl = 'http://x/'\nexpect = { json = { '$[' = 'a' } }", "'$[' is no JSONPath"),
            ("[[target]]\nurl = 'http://x/'\nexpect = { protocol = 'SPDY' }", "is not one of HTTP/1.0"),
            ("[[target]]\nurl = 'tcp://x:1'\nsend_hex = 'f'", "is not two hexadecimal digits a byte"),
            ("[[target]]\nurl = 'tcp://x:1'\nsend = 'a'\nsend_hex = 'ff'", "exclude each other"),
            ("[[target]]\nurl = 'tcp://x:1'\nexchange = [{ expect = '(' }]", "exchange: turn 1: expect"),
            ("[[target]]\nurl = 'tcp://x:1'\nsend = 'a'\nexchange = [{ send = 'b' }]", "belong to the turns"),
            ("[[target]]\nurl = 'http://x/'\nsend_hex = 'ff'", "send_hex is for tcp and udp, not for http"),
            ("[[target]]\nurl = 'redis://x'\nexpect = { value_min = 2, value_max = 1 }", "is above value_max"),
            ("[[target]]\nurl = 'dns:x'\nexpect = { rcodes = ['NOPE'] }", "'NOPE' is not one of NOERROR"),
            ("[[target]]\nurl = 'http://192.0.2.1/'\nkind = 'cdn'", "asked for by a name"),
            ("[[target]]\nurl = 'http://x/'\ncdn = {}", "cdn is for kind = \"cdn\""),
            (
                "[[target]]\nurl = 'http://x/'\nkind = 'cdn'\ncdn = { client_subnets = ['192.0.2.0/24'] }",
                "needs resolvers",
            ),
            (
                "[[target]]\nurl = 'http://x/'\nkind = 'cdn'\ncdn = { client_subnets = ['192.0.2.0'] }",
                "is not a network like",
            ),
            ("[[target]]\nurl = 'http://x/'\nkind = 'steps'", "needs [[target.step]]"),
            (
                "[[target]]\nurl = 'http://x/'\nkind = 'steps'\n[[target.step]]\nname = 'a'\nurl = '/{id}'",
                "step 'a': no step before it extracts 'id'",
            ),
            ("[[target]]\nurl = 'tcp://x:1'\nkind = 'links'", "kind = \"links\" is for http and https, not for tcp"),
            ("[[target]]\nurl = 'http://x/'\nkind = 'cdn'\nip = 'both'", "cdn asks both families anyway"),
            ("[[target]]\nurl = 'http://x/'\nkind = 'scrape'\nip = 'both'", "would store it twice"),
            ("[[target]]\nurl = 'http://x/'\nkind = 'scrape'\nexpect = { body = 'a' }", "are not for scrape"),
            ("[[target]]\nurl = 'tcp://x:1'\nkind = 'scrape'", "kind = \"scrape\" is for http and https, not for tcp"),
            ("[[target]]\nurl = 'host:other'", "only this machine"),
            ("[[target]]\nurl = 'host:'\nip = 'both'", "which connects to nobody"),
            ("[[target]]\nurl = 'tcp://x'", "a port is missing"),
            ("[[target]]\nurl = 'tcp://x:1'\nkind = 'tls'", "kind is 'tls', and 'tcp://x:1' is for tcp"),
            ("[[target]]\nurl = 'http://a:b@x/'", "'http://a@x/': a user in the address is not sent; basic_auth is"),
            ("[[target]]\nurl = 'mysql://a:b@x/'\nkind = 'redis'", "kind is 'redis', and 'mysql://a@x/' is for mysql"),
            (
                "[[target]]\nurl = 'tls://x'\nsend = 'hello'",
                "send is for tcp, udp, postgres, mysql and redis, not for tls",
            ),
            ("[[target]]\nurl = 'dns:x?type=Q'", "'Q' is no type of records"),
            ("[[target]]\nurl = 'dns:x'\nresolvers = ['nine']", "'nine' is not an address like"),
            ("[[target]]\nurl = 'icmp:x'\npings = 0", "expected 1 to 100"),
            ("[[target]]\nurl = 'dns:x'\nip = 'v4'", "ip and address are not for dns"),
            ("[[target]]\nurl = 'tls://x'\nip = 'v4'\naddress = '192.0.2.1'", "exclude each other"),
            ("[[target]]\nurl = 'tls://x'\nip = 'v5'", "v5"),
            ("[[target]]\nurl = 'https://127.0.0.1/'\nip = 'v4'", "ip is for names"),
            ("[[target]]\nurl = 'tcp://[::1]:1'\nip = 'v6'", "ip is for names"),
            ("[[target]]\nurl = 'https://x/'\nca = '/none.pem'", "ca: read /none.pem"),
            ("[[target]]\nurl = 'https://x/'\nca = 'a'\ninsecure = true", "ca and insecure exclude each other"),
            ("[[target]]\nurl = 'https://x/'\nexpect = { status = ['20x'] }", "'20x' is no status; expected 200"),
            ("[[target]]\nurl = 'tls://x'\nexpect = { body_not = 'a' }", "expect.body_not is for http"),
            ("[[target]]\nurl = 'udp://x:1'", "send is missing"),
            ("[[target]]\nurl = 'smtp://x?starttls=yes'", "'starttls=yes' is not known here"),
            ("[[target]]\nurl = 'tcp://x:1/path'", "'/path' in the address is not known to tcp"),
            ("[[target]]\nurl = 'icmp:x'\nexpect = { status = [200] }", "expect.status is for http"),
            ("[[target]]\nurl = 'http://x/'\ninterval = 'soon'", "is not a duration like"),
            ("[[target]]\nurl = 'http://x/'\ntimeout = '20s'", "longer than its interval"),
            ("[[target]]\nurl = 'http://x/'\nexpect = { body = '(' }", "expect.body"),
            ("[[target]]\nurl = 'http://x/'\ndepends_on = ['y']", "of the target http://x/: give it a name"),
            ("[[target]]\nname = 'x'\nurl = 'http://x/'\ndepends_on = ['y']", "there is no target with the name 'y'"),
            (
                "[[target]]\nname = 'x'\nurl = 'http://x/'\ndepends_on = ['y']\n[[target]]\nname = 'y'\nurl = 'http://y/'\ndepends_on = ['x']",
                "leads back to itself",
            ),
            ("[[target]]\nname = 'x'\nurl = 'http://x/'\nconfirm = '3 of 2'", "target 'x': confirm: expected"),
            ("[[target]]\nname = 'x'\nurl = 'http://x/'\nready = ['up']", "unknown variant `up`"),
            ("[[route]]\nchannels = ['x']", "route number 1: there is no channel 'x'"),
            ("[[route]]\nchannels = []", "route number 1: channels: expected one or more"),
            ("[[route]]\nmatch = ['target=~(']\nchannels = ['x']", "route number 1: match: "),
            ("[[route]]\nmatch = ['target']\nchannels = ['x']", "'target' is not like target=portal"),
            ("[[alert]]\nname = 'a'", "alert 'a': expected either sql"),
            ("[[alert]]\nname = ''\nsql = 'SELECT 1'", "an alert has no name"),
            ("[[alert]]\nname = 'a'\nsql = 'SELEC 1'\nwarning = { raise = '> 1' }", "alert 'a': sql: "),
            ("[[alert]]\nname = 'a'\nsql = 'DROP TABLE a'\nwarning = { raise = '> 1' }", "alert 'a': sql: "),
            ("[[alert]]\nname = 'a'\npromql = 'up =='\nwarning = { raise = '> 1' }", "promql: 1:6: "),
            ("[[alert]]\nname = 'a'\npromql = 'up'", "expected warning = { raise"),
            ("[[alert]]\nname = 'a'\npromql = 'up'\nwarning = { raise = '1' }", "warning.raise: '1' is not a bound"),
            (
                "[[alert]]\nname = 'a'\npromql = 'up'\ncritical = { raise = '> 1', clear = '< 2' }",
                "critical: a value can be over raise",
            ),
            (
                "[[alert]]\nname = 'a'\npromql = 'up'\nwarning = { raise = '> 1' }\nconfirm = '3 of 2'",
                "confirm: expected a text like",
            ),
            (
                "[[alert]]\nname = 'a'\npromql = 'up'\nwarning = { raise = '> 1' }\nconfirm = '2 of 3'\nfor = '1min'",
                "for and confirm exclude each other",
            ),
            (
                "[[alert]]\nname = 'a'\npromql = 'up'\nwarning = { raise = '> 1' }\nno_data = 'critical'",
                "needs a level critical",
            ),
            (
                "[[alert]]\nname = 'a'\npromql = 'up'\nwarning = { raise = '> 1' }\nlabels = { severity = 'x' }",
                "labels: severity is given by the server",
            ),
            (
                "[[alert]]\nname = 'a'\npromql = 'up'\nwarning = { raise = '> 1' }\ntexts = { summary = '{{ x }}' }",
                "texts: summary: line 1: there is no function",
            ),
            (
                "[[alert]]\nname = 'a'\npromql = 'up'\nwarning = { raise = '> 1' }\ndepends_on = ['x']",
                "alert 'a': depends_on: there is no target with the name 'x'",
            ),
            ("[[rollup]]\nmeasurement = 'probe'\ninterval = 'x'", "rollup 'probe_x': interval"),
            ("[[rollup]]\nmeasurement = 'probe'\nintervall = '1d'", "line 3"),
            ("[[maintenance]]\nreason = 'a'\nauthor = 'b'", "number 1: expected from and to, or one of times"),
            ("[[maintenance]]\nreason = ' '\nauthor = 'b'\ntimes = ['02:00-03:00']", "reason: expected a text"),
            ("[[maintenance]]\nreason = 'a'\nauthor = 'b'\ntimes = ['2-3']", "times: '2-3' is not two times like"),
            (
                "[[maintenance]]\nreason = 'a'\nauthor = 'b'\nfrom = '2026-12-01'\nto = '2026-12-02'\nmonths = ['may']",
                "for once",
            ),
            ("[[maintenance]]\nreason = 'a'\nauthor = 'b'\ntime_zone = 'Mars'\nmonths = ['may']", "time_zone: 'Mars'"),
            (
                "[[maintenance]]\nreason = 'a'\nauthor = 'b'\nmonths = ['may']\ntarget = ['x']",
                "('a'): no target has these",
            ),
        ] {
            let outcome = toml::from_str::<Config>(text).map_err(anyhow::Error::from).and_then(|config| {
                config.rollups()?;
                config.alerts(None)?;
                config.watches()?;
                config.routes()?;
                config.targets(&[])
            });
            let error = format!("{:#}", outcome.unwrap_err());
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
