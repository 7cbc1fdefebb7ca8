//! `fournines probe`: one probe, its phases as a small picture.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use web_probe::{HttpProbe, Measurement, Outcome, Target};

use crate::config;

/// The longest bar, in characters.
const BAR_CHARS: f64 = 40.0;

/// Probe a web address once and show how long each phase took
#[derive(Debug, clap::Args)]
#[command(after_help = "The exit code is 0 if the target is up, 1 if it is down, 2 if it could not be tried.

Examples:
  fournines probe https://example.org/
  fournines probe --format json --timeout 2s https://example.org/ | jq .total_ms")]
pub struct Args {
    /// The address, with http:// or https://
    url: String,
    /// A probe that takes longer fails
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// A table for people, or JSON for programs
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Probe link-local and metadata addresses too
    #[arg(long)]
    allow_link_local: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Table,
    Json,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let target =
        Target { timeout: args.timeout, allow_link_local: args.allow_link_local, ..config::target(&args.url)? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a thread")?;
    let measurement = runtime.block_on(HttpProbe::new().probe(&target));
    match args.format {
        Format::Table => print_table(&target, &measurement),
        Format::Json => println!("{}", as_json(&target, &measurement)),
    }
    Ok(if measurement.outcome.up() == Some(true) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print_table(target: &Target, measurement: &Measurement) {
    let state = if measurement.outcome == Outcome::Fail { "down" } else { "up" };
    let mut line = format!("{} is {state}", target.url);
    if let Some(status) = measurement.status {
        line += &format!(": status {status}");
    }
    if let Some(bytes) = measurement.bytes {
        line += &format!(", {bytes} bytes");
    }
    if let Some(seconds) = measurement.cert_expires_s {
        line += &format!(", certificate good for {} days", seconds / 86_400);
    }
    println!("{line}");
    if let Some(error) = &measurement.error {
        println!("{error}");
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
    println!("\n{}", table.trim_fmt());
}

/// A bar from `start_ms`, `length_ms` long, on a line that stands for `total_ms`.
fn bar(start_ms: f64, length_ms: f64, total_ms: f64) -> String {
    let chars = |ms: f64| (ms / total_ms.max(f64::MIN_POSITIVE) * BAR_CHARS).round() as usize;
    let start = chars(start_ms).min(BAR_CHARS as usize - 1);
    " ".repeat(start) + &"█".repeat(chars(start_ms + length_ms).saturating_sub(start).max(1))
}

fn as_json(target: &Target, measurement: &Measurement) -> serde_json::Value {
    let mut row = serde_json::json!({
        "target": target.name,
        "outcome": measurement.outcome.name(),
        "up": measurement.outcome.up(),
        "status": measurement.status,
        "bytes": measurement.bytes,
        "error": measurement.error,
        "cert_expires_s": measurement.cert_expires_s,
    });
    for (name, ms) in measurement.phases.columns() {
        row[name] = ms.into();
    }
    row
}
