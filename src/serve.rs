//! `fournines serve`: everything at once, until it is told to stop.

use std::io::ErrorKind;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use alerts::live::{self, Live, Plan};
use alerts::rules::RuleFile;
use alerts::state::Outside;
use anyhow::{Context, Result, bail};
use client::asking;
use hyper::Method;
use ingest::body::Limits;
use ingest::write::Ingest;
use promql::base::labels::Labels;
use promql::engine::Settings;
use query::Engine;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use server::metrics::system_ingest;
use server::tls::Certificate;
use server::tokens::Guard;
use server::{Neighbours, PromqlOptions, Server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tsdb::{DEFAULT_SCHEMA, Retention, Store};
use web_probe::{Ask, Changes, Prober, Probing, Recorder, Spool, Target};

use crate::config::{Config, Durability, TableRetention, kinds, listen_address};
use crate::forward;
use crate::heartbeat;
use crate::log;
use crate::memory;
use crate::rules;
use crate::scrape;

/// How often this machine and this server's own health are measured.
const OWN_INTERVAL: Duration = Duration::from_secs(10);
/// So long `/ready` says that a thread of the store has ended before the server stops for it.
const ENDED_SEEN: Duration = Duration::from_secs(2);
/// How long requests under way may take to end when the server stops.
const GRACE: Duration = Duration::from_millis(700);

/// Run the server: take metrics, probe targets, answer SQL
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines serve
  fournines serve --probe https://example.org/ --probe https://example.com/
  fournines serve --config /etc/fournines.toml --data-dir /var/lib/fournines
  fournines serve --config probes.toml --forward https://metrics.example --location hamburg")]
pub struct Args {
    /// Configuration file [default: fournines.toml if there is one]
    #[arg(long, value_name = "FILE", env = "FOURNINES_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:9999]
    #[arg(long, value_name = "ADDRESS:PORT", env = "FOURNINES_LISTEN", value_parser = listen_address)]
    listen: Option<SocketAddr>,
    /// Where the data is [default: fournines-data]
    #[arg(long, value_name = "DIR", env = "FOURNINES_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Probe this web address every 10 s, too; can be given several times
    #[arg(long, value_name = "URL")]
    probe: Vec<String>,
    /// Send what is measured here to this server, too; what it cannot take yet waits on disk. FOURNINES_TOKEN is its
    /// token
    #[arg(long, value_name = "URL", env = "FOURNINES_FORWARD")]
    forward: Option<String>,
    /// From where this prober looks: the tag location [default: local]
    #[arg(long, value_name = "NAME", env = "FOURNINES_LOCATION")]
    location: Option<String>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    log::start();
    raise_file_limit();
    let mut config = Config::load(args.config.as_deref())?;
    config.server.listen = args.listen.unwrap_or(config.server.listen);
    config.store.data_dir = args.data_dir.unwrap_or(config.store.data_dir);
    config.probe.location = args.location.unwrap_or(config.probe.location);
    config.probe.forward = args.forward.or(config.probe.forward);
    if let Some(url) = &config.probe.forward {
        asking::request(Method::POST, url, "/write").with_context(|| format!("probe.forward is '{url}'"))?;
    }
    let given = args.probe.iter().map(|address| Target::new(address, Ask::default()).map_err(anyhow::Error::msg));
    // It does not ask itself over TLS, whose certificate is for another name.
    let own = config.server.tls_cert.is_none().then_some(config.server.listen);
    let sources = Sources { file: args.config, given: given.collect::<Result<_>>()?, own };
    let targets = sources.targets(&config)?;
    sources.plan(&config, &targets)?;
    config.rollups()?;
    memory::set_up();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    // On a worker, which takes a connection and answers it: this thread would have to be woken for it first, and then
    // another one.
    let outcome = runtime.block_on(runtime.spawn(serve(config, sources)));
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome??;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, mut sources: Sources) -> Result<()> {
    // The signals first: from here on nothing ends the process half-way.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let guard = Guard::open(&config.store.data_dir)?;
    check_reach(&config, guard.has_tokens())?;
    let certificate = certificate(&config)?;
    let listener = TcpListener::bind(config.server.listen).await;
    let listener = listener.map_err(|error| not_listening(config.server.listen, &error))?;
    let address = listener.local_addr()?;
    sources.own = sources.own.map(|_| address);
    let targets = sources.targets(&config)?;

    let dir = config.store.data_dir.clone();
    let options = store_options(&config);
    let store = tokio::task::spawn_blocking(move || Store::open(dir, options)).await?;
    let store = Arc::new(store?);
    let (rollups, own) = (config.rollups()?, store.clone());
    tokio::task::spawn_blocking(move || own.configure_rollups(rollups)).await??;
    let ingest = Arc::new(Ingest::new(store.clone(), body_limits(&config)));
    let spill_dir = config.store.data_dir.join("spill");
    let engine = engine(&config, store.clone(), spill_dir, vec![system_ingest(&store, &ingest)])?;
    let engine = Arc::new(engine);
    let plan = sources.plan(&config, &targets)?;
    let (runner, rule_options) = (engine.runner().clone(), rule_options(&config, address));
    let sql = Arc::new(rules::Statements::new(engine.clone()));
    let rules = Live::start(store.clone(), runner, sql, rule_options, plan).await;
    let rules = Arc::new(rules.context("read what became of alerts")?);
    let server = Server::new(store.clone(), engine, ingest.clone(), rules.clone(), guard, server_options(&config));
    greet(address, certificate.is_some(), &config.store.data_dir, &targets);
    tell_supervisor(NotifyState::Ready);

    let spool = match &config.probe.forward {
        None => None,
        Some(_) => {
            let dir = config.store.data_dir.join("forward");
            let spool = Spool::open(dir.clone(), config.probe.forward_max.as_u64());
            Some(spool.with_context(|| format!("open {}", dir.display()))?)
        }
    };
    if let Some(spool) = &spool
        && let Err(error) = forward::store_newest(&ingest, spool.dir()).await
    {
        tracing::error!("the last rows that wait for the other server may be missing here: {error:#}");
    }
    let forwarding = config.probe.forward.clone().zip(spool.as_ref().map(|spool| spool.dir().to_owned()));
    let (recorder, recording) = Recorder::start(store.clone(), spool);
    let prober =
        Prober::new(recorder, config.probe.concurrency, config.probe.location.clone(), scrape::pages(ingest.clone()));
    let mut probing = Probing::start(prober, targets);
    let mut measuring: JoinSet<()> = JoinSet::new();
    measuring.spawn(memory::give_back(config.store.mapped_max.as_u64()));
    if let Some(url) = config.heartbeat.url.clone() {
        measuring.spawn(heartbeat::beat(url, config.heartbeat.interval, rules.clone(), store.clone()));
    }
    let evaluating = rules.clone();
    measuring.spawn(async move {
        while hangup.recv().await.is_some() {
            match sources.load() {
                Ok((targets, plan)) => {
                    let Changes { kept, begun, changed, ended } = probing.replace(targets).await;
                    tracing::info!("targets: {begun} are new, {changed} are changed, {ended} are gone, {kept} go on");
                    let live::Changes { kept, begun, changed, ended } = evaluating.replace(plan).await;
                    tracing::info!(
                        "groups of rules: {begun} are new, {changed} are changed, {ended} are gone, {kept} go on"
                    );
                }
                Err(error) => tracing::error!("targets, rules and channels stay as they were: {error:#}"),
            }
        }
    });
    if let Some((url, dir)) = forwarding {
        measuring.spawn(async move {
            if let Err(error) = client::forward::run(url, dir, web_probe::files).await {
                tracing::error!("nothing is forwarded: {error:#}");
            }
        });
    }

    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = ended(&store) => {}
        }
    };
    server.run(listener, certificate, stop, GRACE).await?;
    tell_supervisor(NotifyState::Stopping);
    // Probes under way are given up: their slots are not known. Rows that were measured are still stored.
    measuring.shutdown().await;
    let _ = tokio::time::timeout(GRACE, rules.stop()).await;
    let _ = tokio::time::timeout(GRACE, recording).await;
    let ended = store.ended();
    let closed = tokio::task::spawn_blocking(move || store.close()).await?;
    if let Some(name) = ended {
        bail!(
            "the store's thread '{name}' ended by a panic, which stands above; what was acknowledged is on disk: start again"
        );
    }
    closed?;
    say("stopped; everything acknowledged is on disk");
    Ok(())
}

/// Why it does not listen, and what helps.
fn not_listening(address: SocketAddr, error: &std::io::Error) -> anyhow::Error {
    let hint = match error.kind() {
        ErrorKind::AddrInUse => "another one is running there; --listen takes another address".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine does not have this address".to_owned(),
        ErrorKind::PermissionDenied => format!(
            "port {} is the system's: take one from 1024 on, or give the right to it (AmbientCapabilities=CAP_NET_BIND_SERVICE \
             in the systemd unit, or setcap cap_net_bind_service=+ep on the program)",
            address.port()
        ),
        _ => "--listen takes another address".to_owned(),
    };
    anyhow::anyhow!("listen on {address}: {error}; {hint}")
}

/// Waits for a thread of the store to end, which none does while it is open but by a panic. The process then ends with
/// an error, so that whoever watches over it starts it again.
async fn ended(store: &Store) {
    loop {
        if let Some(name) = store.ended() {
            tracing::error!("the store's thread '{name}' has ended: the server stops");
            return tokio::time::sleep(ENDED_SEEN).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Where targets come from.
struct Sources {
    file: Option<PathBuf>,
    /// By the command line.
    given: Vec<Target>,
    /// Where the server asks itself.
    own: Option<SocketAddr>,
}

impl Sources {
    /// The targets of the file as it is now, and the given ones; the rules, and who is told.
    fn load(&self) -> Result<(Vec<Target>, Plan)> {
        let config = Config::load(self.file.as_deref())?;
        let targets = self.targets(&config)?;
        let plan = self.plan(&config, &targets)?;
        Ok((targets, plan))
    }

    fn plan(&self, config: &Config, targets: &[Target]) -> Result<Plan> {
        let mut watches = config.watches()?;
        let mut of = |name: &String| (name.clone(), watches.remove(name).unwrap_or_default());
        let targets = targets.iter().map(|target| of(&target.name)).collect();
        let location = config.probe.location.clone();
        let mut files = self.rules(config)?;
        files.push(config.alerts(self.file.as_deref())?);
        let ready = kinds(&config.rules.ready);
        Ok(Plan { files, channels: config.channels()?, routes: config.routes()?, targets, ready, location })
    }

    fn rules(&self, config: &Config) -> Result<Vec<RuleFile>> {
        rules::load(&config.rule_paths(self.file.as_deref())?, &promql_options(config).limits)
    }

    fn targets(&self, config: &Config) -> Result<Vec<Target>> {
        let mut given: Vec<_> = self.own.map(own_health).transpose()?.into_iter().collect();
        given.extend_from_slice(&self.given);
        if !config.measures_host() {
            let mut host = Target::new("host:", Ask::default()).map_err(anyhow::Error::msg)?;
            host.interval = OWN_INTERVAL;
            given.push(host);
        }
        let targets = config.targets(&given)?;
        Prober::check_names(&targets).map_err(anyhow::Error::msg)?;
        Ok(targets)
    }
}

/// A connection is an open file, and so is a segment: the system's first limit is mostly 1024, and may be raised to its
/// second.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!("only {:?} files can be open: {error}", limit.current);
    }
}

/// Others can reach it only if they need a token, or if it was said twice that they need none.
fn check_reach(config: &Config, has_tokens: bool) -> Result<()> {
    let listen = config.server.listen;
    if listen.ip().is_loopback() {
        return Ok(());
    }
    if !has_tokens && !config.server.allow_without_token {
        bail!(
            "{listen} can be reached by others, who could read and write everything: make a token with \
             'fournines token create', listen on 127.0.0.1, or set server.allow_without_token = true"
        );
    }
    if config.server.tls_cert.is_none() {
        tracing::warn!("{listen} can be reached by others, and nothing is encrypted: see server.tls_cert");
    }
    Ok(())
}

fn certificate(config: &Config) -> Result<Option<Arc<Certificate>>> {
    match (&config.server.tls_cert, &config.server.tls_key) {
        (Some(certificate), Some(key)) => Certificate::load(certificate, key).map(Some),
        (None, None) => Ok(None),
        _ => bail!("server.tls_cert and server.tls_key belong together: one of them is missing"),
    }
}

fn server_options(config: &Config) -> server::Options {
    let server = &config.server;
    server::Options {
        data_dir: config.store.data_dir.as_path().into(),
        header_timeout: server.header_timeout,
        header_bytes_max: server.header_max.as_u64() as usize,
        idle_timeout: server.idle_timeout,
        connections_max: server.connections_max,
        base_path: server.base_path.trim_end_matches('/').to_owned(),
        neighbours: Neighbours {
            origins: server.origins.clone(),
            hosts: server.hosts.clone(),
            checks_hosts: server.listen.ip().is_loopback() || !server.hosts.is_empty(),
            trusted_proxies: server.trusted_proxies.clone(),
        },
        promql: promql_options(config),
    }
}

fn rule_options(config: &Config, address: SocketAddr) -> live::Options {
    let rules = &config.rules;
    let scheme = if config.server.tls_cert.is_some() { "https" } else { "http" };
    let url = rules.external_url.clone().unwrap_or_else(|| format!("{scheme}://{address}{}", config.server.base_path));
    let labels = Labels::new(rules.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    live::Options {
        interval: rules.interval,
        outside: Outside { labels, url },
        settings: promql_options(config).settings,
    }
}

fn promql_options(config: &Config) -> PromqlOptions {
    let promql = &config.promql;
    PromqlOptions {
        settings: Settings {
            lookback_ms: i64::try_from(promql.lookback.as_millis()).unwrap_or(i64::MAX),
            delayed_name_removal: promql.delayed_name_removal,
            start_timestamps: promql.start_timestamps,
            type_and_unit_labels: promql.type_and_unit_labels,
            ..Settings::default()
        },
        limits: promql::syntax::Limits { depth_max: config.query.depth_max },
    }
}

fn body_limits(config: &Config) -> Limits {
    Limits {
        body_bytes_max: config.server.body_max.as_u64() as usize,
        unpacked_bytes_max: config.server.unpacked_max.as_u64() as usize,
        bodies_bytes_max: config.server.bodies_max.as_u64() as usize,
        body_timeout: config.server.body_timeout,
    }
}

fn own_health(address: SocketAddr) -> Result<Target> {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let health = format!("http://{}/health", SocketAddr::new(ip, address.port()));
    let mut target = Target::new(&health, Ask::default()).map_err(anyhow::Error::msg)?;
    target.name = "fournines".into();
    target.interval = OWN_INTERVAL;
    Ok(target)
}

fn store_options(config: &Config) -> tsdb::Options {
    let general =
        Retention { age: config.store.retention, bytes: config.store.retention_bytes.map(|bytes| bytes.as_u64()) };
    let own = |(name, table): (&String, &TableRetention)| {
        let (schema, name) = name.split_once('.').unwrap_or((DEFAULT_SCHEMA, name));
        let bytes = table.retention_bytes.map(|bytes| bytes.as_u64());
        let retention = Retention { age: table.retention.or(general.age), bytes: bytes.or(general.bytes) };
        ((schema.to_owned(), name.to_owned()), retention)
    };
    tsdb::Options {
        durability: match config.store.durability {
            Durability::Sync => tsdb::Durability::Sync,
            Durability::Process => tsdb::Durability::Process,
        },
        head_bytes_max: config.store.head_max.as_u64() as usize,
        last_rows_bytes_max: config.store.last_rows_max.as_u64() as usize,
        catalog_bytes_max: config.store.catalog_max.as_u64() as usize,
        ring_slots: config.store.ring_slots.max(1),
        ring_bytes_max: config.store.ring_max.as_u64() as usize,
        limits: tsdb::Limits {
            columns_max: config.store.columns_max,
            tags_max: config.store.tags_max,
            table_series_max: config.store.table_series_max,
            name_bytes_max: config.store.name_max.as_u64() as usize,
            tag_value_bytes_max: config.store.tag_value_max.as_u64() as usize,
            string_bytes_max: config.store.string_max.as_u64() as usize,
            batch_values_max: config.store.batch_values_max,
        },
        footers_bytes_max: config.store.footers_max.as_u64() as usize,
        compact_bytes_max: config.store.compact_memory.as_u64() as usize,
        roll_after: config.store.roll_after,
        retention: general,
        table_retention: config.store.table.iter().map(own).collect(),
        ..tsdb::Options::default()
    }
}

/// SQL over a store, within the limits of the configuration.
pub fn engine(
    config: &Config,
    store: Arc<Store>,
    spill_dir: PathBuf,
    system: Vec<query::SystemTable>,
) -> Result<Engine> {
    let limits = runner::Limits {
        threads: config.query.threads.max(1),
        memory_bytes_max: config.query.memory.as_u64() as usize,
        timeout: config.query.timeout,
        concurrency: config.query.concurrency,
        rows_max: config.query.rows_max,
    };
    let runner = runner::Runner::new(limits).context("query threads cannot be started")?;
    let options = query::Options {
        size: query::SizeLimits { depth_max: config.query.depth_max, terms_max: config.query.terms_max },
        spill_dir,
    };
    Ok(Engine::new(store, Arc::new(runner), options, system)?)
}

/// Says to systemd, or whoever started it and wants to know, how far it is.
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("whoever started the server cannot be told how far it is: {error}");
    }
}

fn greet(address: SocketAddr, has_tls: bool, data_dir: &Path, targets: &[Target]) {
    let data = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
    let me = std::env::args().next().unwrap_or_else(|| "fournines".into());
    let sql = "SELECT time, target, outcome, total_ms FROM probe ORDER BY time DESC LIMIT 5";
    say(&format!("fournines {} is up", env!("CARGO_PKG_VERSION")));
    let scheme = if has_tls { "https" } else { "http" };
    say(&format!("  listens on  {scheme}://{address}"));
    say(&format!("  data in     {}", data.display()));
    say(&format!("  probes      {}", names.join(", ")));
    say(&format!("  try         {me} sql --url {scheme}://{address} \"{sql}\""));
}

/// A line on standard output, for who reads it; a server does not end because nobody does.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
