//! `fournines probe`: one probe, its phases as a small picture.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use domain::duration;
use url::Url;
use web_probe::{Detail, Field, Hop, Measurement, Network, Outcome, Target};

use crate::config::{Config, Told};

/// The longest bar, in characters.
const BAR_CHARS: f64 = 40.0;

/// Probe an address once and show how long each phase took
#[derive(Debug, clap::Args)]
#[command(after_help = "The exit code is 0 if the target is up, 1 if it is down, 2 if it could not be tried.

Examples:
  fournines probe example.org
  fournines probe --target portal --config fournines.toml
  fournines probe --header 'Accept: application/json' --expect-status 2xx --expect-body green https://example.org/health
  fournines probe --format json --timeout 2s https://example.org/ | jq .total_ms
  fournines probe tls://example.org
  fournines probe 'dns:example.org?type=MX'
  fournines probe icmp:192.0.2.1
  fournines probe host:
  fournines probe 'postgres://probe:secret@db.example/orders'")]
pub struct Args {
    /// The address: http://, https://, tcp://host:port, tls://host, smtp://, imap://, pop3://, ftp://, ssh://,
    /// dns:name?type=A, icmp:host, postgres://, mysql://, redis://, or host: for this machine; a name alone is a web site
    #[arg(required_unless_present = "target", conflicts_with = "target")]
    url: Option<String>,
    /// A target of the configuration, as it is told there
    #[arg(long, value_name = "NAME", conflicts_with_all = ["method", "headers", "body", "expect_status", "expect_body"])]
    target: Option<String>,
    /// The configuration [default: fournines.toml]
    #[arg(long, value_name = "FILE", env = "FOURNINES_CONFIG")]
    config: Option<PathBuf>,
    /// The method of the request
    #[arg(long)]
    method: Option<String>,
    /// A header of the request; may be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body of the request
    #[arg(long)]
    body: Option<String>,
    /// Statuses that are up: 200, 2xx, 200-299
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    expect_status: Vec<String>,
    /// A regular expression that the body has to contain
    #[arg(long, value_name = "PATTERN")]
    expect_body: Option<String>,
    /// A probe that takes longer fails [default: 5s, or what the target has]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// A table for people, or JSON for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Probe link-local and metadata addresses too
    #[arg(long)]
    allow_link_local: bool,
}

/// How what was found is shown.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    Table,
    Json,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let mut target = match &args.target {
        Some(name) => configured(name, args.config.as_deref())?,
        None => told(&args)?,
    };
    target.terms.timeout = args.timeout.unwrap_or(target.terms.timeout);
    target.terms.allow_link_local |= args.allow_link_local;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a thread")?;
    let measurement = runtime.block_on(target.probe(&Network::new()));
    match args.format {
        Format::Table => print_table(&target, &measurement),
        Format::Json => outln!("{}", as_json(&target, &measurement)),
    }
    Ok(if measurement.outcome.up() == Some(true) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A target of the configuration.
fn configured(name: &str, file: Option<&Path>) -> Result<Target> {
    let targets = Config::load(file)?.targets(&[])?;
    let known: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let found = targets.into_iter().find(|target| target.name == name);
    found.with_context(|| format!("no target is called '{name}'; there are {}", known.join(", ")))
}

/// What the arguments say.
fn told(args: &Args) -> Result<Target> {
    let address = args.url.as_deref().unwrap_or_default();
    let header = |text: &String| {
        let (name, value) = text.split_once(':').with_context(|| format!("--header '{text}': expected NAME: VALUE"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    let table = Told {
        url: with_scheme(address),
        method: args.method.clone(),
        headers: args.headers.iter().map(header).collect::<Result<_>>()?,
        body: args.body.clone(),
        status: args.expect_status.clone(),
        pattern: args.expect_body.clone(),
    };
    table.target()
}

/// A name alone, with a port or a path or without, is a web site.
fn with_scheme(address: &str) -> String {
    let has_scheme = Url::parse(address).is_ok_and(|url| {
        let rest = &address[url.scheme().len() + 1..];
        // `example.org:8443` is no scheme, although it looks like one.
        !rest.starts_with(|first: char| first.is_ascii_digit()) || matches!(url.scheme(), "dns" | "icmp" | "host")
    });
    if has_scheme || address.is_empty() { address.to_owned() } else { format!("https://{address}") }
}

fn print_table(target: &Target, measurement: &Measurement) {
    let state = if measurement.outcome == Outcome::Fail { "down" } else { "up" };
    let mut line = format!("{} is {state}", target.name);
    if let Some(status) = measurement.status {
        line += &format!(": status {status}");
    }
    if let Some(address) = measurement.address {
        line += &format!(", at {address}");
    }
    if let Some(bytes) = measurement.bytes {
        line += &format!(", {bytes} bytes");
    }
    if let Some(seconds) = measurement.cert_expires_s {
        line += &format!(", certificate {}", good_for(seconds));
    }
    outln!("{line}");
    if let Some(failure) = &measurement.failure {
        outln!("{}: {}", failure.class.name(), failure.message);
    }
    for hop in &measurement.hops {
        let status = hop.status.map_or_else(String::new, |status| status.to_string());
        let ms = hop.phases.columns().iter().filter_map(|(_, ms)| *ms).sum::<f64>();
        outln!("{status} {} {ms:.3} ms", hop.url);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["phase", "ms", ""]);
    let total_ms = measurement.phases.total.map_or(0.0, |total| total.as_secs_f64() * 1e3);
    let mut before_ms = 0.0;
    for (name, ms) in measurement.phases.columns() {
        let phase = name.trim_end_matches("_ms");
        let Some(ms) = ms else { continue };
        // Each phase begins where the one before it ended; the total spans them all.
        let start_ms = if phase == "total" { 0.0 } else { before_ms };
        table.add_row([phase.to_owned(), format!("{ms:.3}"), bar(start_ms, ms, total_ms)]);
        before_ms += ms;
    }
    if let Some(numbers) = table.column_mut(1) {
        numbers.set_cell_alignment(CellAlignment::Right);
    }
    outln!("\n{}", table.trim_fmt());
    for (name, field) in all_fields(measurement) {
        outln!("{name}: {}", text(field));
    }
}

/// How long a certificate is good for, or since when it is not.
fn good_for(seconds: i64) -> String {
    let span = match seconds.unsigned_abs() {
        seconds @ 0..7_200 => format!("{} minutes", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    };
    if seconds < 0 { format!("expired {span} ago") } else { format!("good for {span}") }
}

/// The fields of its row, and of rows of other tables.
fn all_fields(measurement: &Measurement) -> impl Iterator<Item = &(&'static str, Field)> {
    measurement.fields.iter().chain(measurement.rows.iter().flat_map(|row| &row.fields))
}

/// A bar from `start_ms`, `length_ms` long, on a line that stands for `total_ms`.
fn bar(start_ms: f64, length_ms: f64, total_ms: f64) -> String {
    let chars = |ms: f64| (ms / total_ms.max(f64::MIN_POSITIVE) * BAR_CHARS).round() as usize;
    let start = chars(start_ms).min(BAR_CHARS as usize - 1);
    " ".repeat(start) + &"█".repeat(chars(start_ms + length_ms).saturating_sub(start).max(1))
}

/// What was found, as an object with the names of the columns.
pub fn as_json(target: &Target, measurement: &Measurement) -> serde_json::Value {
    let mut row = serde_json::json!({
        "target": target.name,
        "outcome": measurement.outcome.name(),
        "up": measurement.outcome.up(),
        "status": measurement.status,
        "bytes": measurement.bytes,
        "error": measurement.failure.as_ref().map(|failure| failure.class.name()),
        "message": measurement.failure.as_ref().map(|failure| &failure.message),
        "cert_expires_s": measurement.cert_expires_s,
        "address": measurement.address,
    });
    for (name, ms) in measurement.phases.columns() {
        row[name] = ms.into();
    }
    if !measurement.hops.is_empty() {
        let hop = |hop: &Hop| {
            let mut row = serde_json::json!({ "url": hop.url, "status": hop.status });
            for (name, ms) in hop.phases.columns().into_iter().filter(|(name, _)| *name != "total_ms") {
                row[name] = ms.into();
            }
            row
        };
        row["hops"] = measurement.hops.iter().map(hop).collect();
    }
    if !measurement.edges.is_empty() {
        let edge = |(edge, own): &(String, Measurement)| {
            let mut row = as_json(target, own);
            row["edge"] = edge.as_str().into();
            row
        };
        row["edges"] = measurement.edges.iter().map(edge).collect();
    }
    for Detail { of, name, found } in &measurement.details {
        let mut part = as_json(target, found);
        part[of.tag] = name.as_str().into();
        match row[of.list].as_array_mut() {
            Some(parts) => parts.push(part),
            None => row[of.list] = [part].into_iter().collect(),
        }
    }
    for (name, field) in all_fields(measurement) {
        row[*name] = match field {
            Field::F64(value) => (*value).into(),
            Field::I64(value) => (*value).into(),
            Field::Bool(value) => (*value).into(),
            Field::Str(value) => value.as_str().into(),
        };
    }
    row
}

/// A field as people read it.
pub fn text(field: &Field) -> String {
    match field {
        Field::F64(value) => value.to_string(),
        Field::I64(value) => value.to_string(),
        Field::Bool(value) => value.to_string(),
        Field::Str(value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_a_web_site() {
        for (address, expected) in [
            ("example.org", "https://example.org"),
            ("example.org:8443/health", "https://example.org:8443/health"),
            ("localhost:8080", "https://localhost:8080"),
            ("http://example.org", "http://example.org"),
            ("tcp://example.org:25", "tcp://example.org:25"),
            ("dns:example.org?type=MX", "dns:example.org?type=MX"),
            ("icmp:192.0.2.1", "icmp:192.0.2.1"),
            ("host:", "host:"),
        ] {
            assert_eq!(with_scheme(address), expected);
        }
    }

    /// A certificate that had expired an hour ago was "good for 0 days".
    #[test]
    fn a_certificate_is_good_or_it_is_not() {
        for (seconds, said) in [
            (-3_600, "expired 60 minutes ago"),
            (-172_800, "expired 2 days ago"),
            (0, "good for 0 minutes"),
            (86_400, "good for 24 hours"),
            (90 * 86_400 + 5, "good for 90 days"),
        ] {
            assert_eq!(good_for(seconds), said);
        }
    }
}
