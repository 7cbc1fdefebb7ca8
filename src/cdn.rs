//! `fournines cdn`: every edge of a host name asked at once, as a table.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};
use domain::duration;
use web_probe::{Ask, CdnAsk, Field, Measurement, Network, Progress, Subnet, Target};

use crate::config::resolver;
use crate::probe::{Format, as_json, text};
use crate::progress;

/// Columns of the table: heads, and the field that each shows.
const COLUMNS: [(&str, &str); 6] = [
    ("vendor", "vendor"),
    ("pop", "pop"),
    ("cache", "cache"),
    ("age", "age_s"),
    ("ttl", "ttl_s"),
    ("protocol", "protocol"),
];
/// So much of a hash tells one from another.
const HASH_CHARS: usize = 8;

/// Ask every edge of a CDN once, and compare what they give
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The exit code is 0 if all edges are up and have what the origin has, 1 if not, 2 if it could not be tried.

Examples:
  fournines cdn https://portal.example/logo.png
  fournines cdn --origin 192.0.2.80 --resolver 9.9.9.9 --resolver 223.5.5.5 https://portal.example/
  fournines cdn --resolver 9.9.9.9 --client-subnet 203.0.113.0/24 --format json https://portal.example/ | jq .edges"
)]
pub struct Args {
    /// The address that the edges are asked for, http:// or https://
    url: String,
    /// The address of the origin, which the edges are compared with
    #[arg(long, value_name = "ADDRESS")]
    origin: Option<IpAddr>,
    /// Ask this edge, too, whatever resolvers say; can be given several times
    #[arg(long = "edge", value_name = "ADDRESS")]
    edges: Vec<IpAddr>,
    /// Ask this resolver for edges [default: the system's]; can be given several times
    #[arg(long = "resolver", value_name = "ADDRESS[:PORT]", value_parser = resolver)]
    resolvers: Vec<SocketAddr>,
    /// Ask the resolvers on behalf of clients in this network, too; can be given several times
    #[arg(long = "client-subnet", value_name = "NETWORK", value_parser = |text: &str| text.parse::<Subnet>())]
    client_subnets: Vec<Subnet>,
    /// An edge that takes longer fails
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    timeout: Duration,
    /// A table for people, or JSON for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Probe link-local and metadata addresses too
    #[arg(long)]
    allow_link_local: bool,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let progress = Arc::new(Progress::default());
    let cdn = CdnAsk {
        edges: args.edges,
        origin: args.origin,
        client_subnets: args.client_subnets,
        progress: progress.clone(),
        ..CdnAsk::default()
    };
    let ask = Ask { cdn: Some(cdn), resolvers: args.resolvers, ..Ask::default() };
    let mut target = Target::new(&args.url, ask).map_err(anyhow::Error::msg)?;
    (target.terms.timeout, target.terms.allow_link_local) = (args.timeout, args.allow_link_local);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a thread")?;
    let measurement = runtime.block_on(measure(&target, &progress));
    match args.format {
        Format::Table => print_table(&measurement),
        Format::Json => outln!("{}", as_json(&target, &measurement)),
    }
    Ok(if measurement.failure.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Asks, and shows how far it is.
async fn measure(target: &Target, progress: &Progress) -> Measurement {
    let bar = progress::edges("asking edges");
    let network = Network::new();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let asking = target.probe(&network);
    tokio::pin!(asking);
    loop {
        tokio::select! {
            measurement = &mut asking => {
                bar.finish_and_clear();
                return measurement;
            }
            _ = tick.tick() => {
                let (done, all) = progress.get();
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            }
        }
    }
}

fn print_table(measurement: &Measurement) {
    let mut table = Table::new();
    let heads = COLUMNS.map(|(head, _)| head);
    let all = [&["edge", "status", "ms"][..], &heads, &["content", "certificate", "is up"]].concat();
    table.load_preset(presets::NOTHING).set_header(all);
    for (edge, own) in &measurement.edges {
        let field = |name: &str| {
            own.fields.iter().find(|(own, _)| *own == name).map_or_else(String::new, |(_, field)| text(field))
        };
        let hash = |name: &str| field(name).chars().take(HASH_CHARS).collect::<String>();
        let ms = own.phases.total.map_or(0.0, |total| total.as_secs_f64() * 1e3);
        let mut row =
            vec![edge.clone(), own.status.map_or_else(String::new, |status| status.to_string()), format!("{ms:.1}")];
        row.extend(COLUMNS.map(|(_, name)| field(name)));
        row.extend([hash("content_sha256"), hash("cert_sha256")]);
        row.push(own.failure.as_ref().map_or_else(|| own.outcome.name().into(), |failure| failure.class.name().into()));
        table.add_row(row);
    }
    for numbers in [1, 2, 6, 7] {
        table.column_mut(numbers).into_iter().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    }
    if !measurement.edges.is_empty() {
        outln!("{}\n", table.trim_fmt());
    }
    let failures = measurement.edges.iter().filter_map(|(edge, own)| Some((edge, own.failure.as_ref()?)));
    let mut count = 0;
    for (edge, failure) in failures {
        outln!("{edge}: {}", failure.message);
        count += 1;
    }
    if let (true, Some(failure)) = (measurement.edges.is_empty(), &measurement.failure) {
        outln!("{}: {}", failure.class.name(), failure.message);
    }
    outln!("{}", summary(measurement, count));
}

/// How it is, in a line.
fn summary(measurement: &Measurement, failures: usize) -> String {
    let number = |name: &str| match measurement.fields.iter().find(|(own, _)| *own == name) {
        Some((_, Field::I64(number))) => *number,
        _ => 0,
    };
    let counted = |count: i64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let edges = measurement.edges.len() as i64;
    format!(
        "{} of {} up, {}, {}, {}",
        edges - failures as i64,
        counted(edges, "edge"),
        counted(number("content_count"), "content"),
        counted(number("certificate_count"), "certificate"),
        counted(number("hit_count"), "hit")
    )
}
