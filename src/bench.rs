//! `fournines bench ingest`: a load for this machine, or for another server, and how it was borne.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use benches::load::{self, Load, Outcome, Progress};
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use domain::duration;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use crate::progress;

/// Measure what a server bears
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send rows, at a rate or as fast as they are taken, and show how long the answers take
    Ingest(Ingest),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines bench ingest                                   as fast as the server takes it, 10 s
  fournines bench ingest --rate 1000000 --duration 1min    a million values a second
  fournines bench ingest --protocol remote-write --url http://127.0.0.1:8428 --pid 4711

At a rate, times count from when a request was due, not from when it could be sent.")]
struct Ingest {
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:9999", env = "FOURNINES_URL")]
    url: String,
    /// Its path, if it is not the protocol's own
    #[arg(long)]
    path: Option<String>,
    /// The token that it asks for
    #[arg(long, env = "FOURNINES_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// What is sent
    #[arg(long, value_enum, default_value_t = Protocol::LineProtocol)]
    protocol: Protocol,
    /// Values a second [default: as many as it takes]
    #[arg(long)]
    rate: Option<u64>,
    /// Series: hosts, each with all fields
    #[arg(long, default_value_t = 2000)]
    series: usize,
    /// Fields of a row
    #[arg(long, default_value_t = 10)]
    fields: usize,
    /// Rows of a request
    #[arg(long, default_value_t = 500)]
    batch: usize,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// How long it takes
    #[arg(long, default_value = "10s", value_parser = duration::parse)]
    duration: Duration,
    /// Makes the same values again
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server's process on this machine, whose processor time and memory are told, too
    #[arg(long)]
    pid: Option<u32>,
    /// Write the times of all requests as an HDR log to this file
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// How to print the outcome
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Protocol {
    LineProtocol,
    RemoteWrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Pretty,
    Json,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let Command::Ingest(args) = args.command;
    let load = Load {
        url: args.url.clone(),
        path: args.path.clone(),
        token: args.token.clone(),
        protocol: match args.protocol {
            Protocol::LineProtocol => load::Protocol::LineProtocol,
            Protocol::RemoteWrite => load::Protocol::RemoteWrite,
        },
        rate: args.rate,
        series: args.series,
        fields: args.fields,
        batch: args.batch,
        connections: args.connections,
        duration: args.duration,
        seed: args.seed,
    };
    let before = args.pid.map(Usage::of).transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    let outcome = runtime.block_on(with_progress(&load))?;
    let used = match (args.pid, before) {
        (Some(pid), Some(before)) => Some(Usage::of(pid)?.since(&before)),
        _ => None,
    };
    if let Some(path) = &args.hdr {
        write_log(path, &outcome).with_context(|| format!("write {}", path.display()))?;
    }
    let text = match args.format {
        Format::Json => format!("{}\n", as_json(&outcome, used.as_ref())),
        Format::Pretty => table(&outcome, used.as_ref()),
    };
    let _ = std::io::stdout().write_all(text.as_bytes()); // nobody may read it any more
    if let Some(why) = &outcome.first_failure {
        errln!("fournines: {} requests failed, the first with {why}", outcome.failed);
    }
    Ok(if outcome.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn with_progress(load: &Load) -> Result<Outcome> {
    let progress = Arc::new(Progress::default());
    let bar = progress::seconds("sending", load.duration);
    let running = load::run(load, progress.clone());
    tokio::pin!(running);
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let start = tick.tick().await;
    loop {
        tokio::select! {
            outcome = &mut running => {
                bar.finish_and_clear();
                return outcome.map_err(|error| anyhow!("{error}"));
            }
            now = tick.tick() => {
                let elapsed = now.duration_since(start);
                bar.set_position(elapsed.min(load.duration).as_millis() as u64);
                let rate = progress.values.load(Ordering::Relaxed) as f64 / elapsed.as_secs_f64();
                bar.set_message(format!("{:.2} M values/s", rate / 1e6));
            }
        }
    }
}

/// What a process has used.
#[derive(Debug)]
struct Usage {
    cpu_s: f64,
    rss_bytes: u64,
}

impl Usage {
    /// As `/proc` says it, in ticks of 10 ms and pages of 4 KiB.
    fn of(pid: u32) -> Result<Usage> {
        let path = format!("/proc/{pid}/stat");
        let stat = std::fs::read_to_string(&path).with_context(|| format!("--pid: read {path}"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        let (Some(user), Some(system), Some(pages)) = (number(11), number(12), number(21)) else {
            anyhow::bail!("--pid: {path} is not what was expected");
        };
        Ok(Usage { cpu_s: (user + system) as f64 / 100.0, rss_bytes: pages * 4096 })
    }

    fn since(&self, before: &Usage) -> Usage {
        Usage { cpu_s: self.cpu_s - before.cpu_s, rss_bytes: self.rss_bytes }
    }
}

/// The quantiles that are shown.
const QUANTILES: [f64; 6] = [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0];

fn as_json(outcome: &Outcome, used: Option<&Usage>) -> serde_json::Value {
    let seconds = outcome.elapsed.as_secs_f64();
    let quantile = |share: f64| (format!("p{}", share * 100.0), ms(outcome, share).into());
    serde_json::json!({
        "requests": outcome.requests,
        "busy": outcome.busy,
        "failed": outcome.failed,
        "values": outcome.values,
        "bytes": outcome.bytes,
        "seconds": seconds,
        "values_per_s": outcome.values as f64 / seconds,
        "latency_ms": QUANTILES.map(quantile).into_iter().collect::<serde_json::Map<_, _>>(),
        "server_cpu_s": used.map(|used| used.cpu_s),
        "values_per_server_cpu_s": used.map(|used| outcome.values as f64 / used.cpu_s),
        "server_rss_bytes": used.map(|used| used.rss_bytes),
    })
}

fn ms(outcome: &Outcome, share: f64) -> f64 {
    outcome.latency_us.value_at_quantile(share) as f64 / 1000.0
}

fn table(outcome: &Outcome, used: Option<&Usage>) -> String {
    let seconds = outcome.elapsed.as_secs_f64();
    let (values, bytes) = (outcome.values as f64 / seconds / 1e6, outcome.bytes as f64 / seconds / 1e6);
    let (requests, busy, failed) = (outcome.requests, outcome.busy, outcome.failed);
    let mut text = format!(
        "{values:.2} M values/s, {bytes:.1} MB/s of bodies, over {seconds:.1} s\n\
         {requests} requests stored, {busy} told to come back, {failed} failed\n"
    );
    if let Some(used) = used {
        let rate = outcome.values as f64 / used.cpu_s / 1e6;
        let memory = bytesize::ByteSize::b(used.rss_bytes).display().iec_short();
        text += &format!(
            "server: {:.1} s of processor time, {rate:.2} M values per second of it, {memory} in memory\n",
            used.cpu_s
        );
    }
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["of the answers", "came within"]);
    for share in QUANTILES {
        table.add_row([format!("{} %", share * 100.0), format!("{:.2} ms", ms(outcome, share))]);
    }
    format!("{text}{table}\n")
}

fn write_log(path: &std::path::Path, outcome: &Outcome) -> Result<()> {
    let mut file = std::fs::File::create(path)?;
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("fournines bench ingest, times in us");
    let mut log = builder.begin_log_with(&mut file, &mut serializer)?;
    log.write_histogram(&outcome.latency_us, Duration::ZERO, outcome.elapsed, None)
        .map_err(|error| anyhow!("{error:?}"))?;
    Ok(())
}
