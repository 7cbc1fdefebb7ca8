//! `fournines import`: files into a server. What was broken off goes on where it was.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use client::import::{Import, Shape, Watch};
use indicatif::ProgressBar;
use tsdb::DEFAULT_SCHEMA;

use crate::progress;

/// How many refused lines are shown.
const SHOWN_MAX: usize = 20;

/// Read files into a server: line protocol, Prometheus text, JSON, CSV, Arrow or Parquet
#[derive(Debug, clap::Args)]
#[command(after_help = "Files may be packed with gzip or zstd. A '-' is standard input.
An import that was broken off goes on where it was: how far it came is kept beside the file.

Examples:
  fournines import rows.lp.gz
  fournines import --measurement cpu --tags host,region rows.csv
  fournines sql --format jsonl 'SELECT * FROM cpu' | fournines import --format json --measurement copy --tags host -")]
pub struct Args {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What is in them [default: as their names say]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9999", env = "FOURNINES_URL")]
    url: String,
    /// The schema [default: public, or the database that a dump of InfluxDB 1 names]
    #[arg(long, value_name = "SCHEMA")]
    db: Option<String>,
    /// The measurement of rows that do not name theirs (json, csv, arrow, parquet)
    #[arg(long)]
    measurement: Option<String>,
    /// The columns that are tags (json, arrow, parquet, csv without a row of types)
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// The unit of times that are numbers: ns, us, ms, s
    #[arg(long)]
    precision: Option<String>,
    /// Rows that say no time are of now
    #[arg(long)]
    now: bool,
    /// Begin at the start, whatever was imported before
    #[arg(long)]
    restart: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// InfluxDB line protocol (.lp, .line, .txt)
    LineProtocol,
    /// Prometheus text or OpenMetrics (.prom, .metrics)
    Prometheus,
    /// A JSON object a line (.json, .jsonl, .ndjson)
    Json,
    /// A row of names, a row of types or none, rows; or annotated, as InfluxDB 2 writes it (.csv)
    Csv,
    /// An Arrow IPC stream or file (.arrow, .arrows, .feather)
    Arrow,
    /// A Parquet file (.parquet)
    Parquet,
}

impl Format {
    /// What a file's name says.
    fn of(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?;
        let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(name);
        Some(match name.rsplit_once('.')?.1 {
            "lp" | "line" | "txt" | "influx" => Format::LineProtocol,
            "prom" | "metrics" => Format::Prometheus,
            "json" | "jsonl" | "ndjson" => Format::Json,
            "csv" => Format::Csv,
            "arrow" | "arrows" | "feather" | "ipc" => Format::Arrow,
            "parquet" => Format::Parquet,
            _ => return None,
        })
    }

    /// How a file is divided; `db` says that its rows go to one schema, whatever it says itself.
    fn shape(self, db: Option<&str>) -> Shape {
        match self {
            Format::Arrow | Format::Parquet => Shape::Batches,
            Format::LineProtocol if db.is_none() => Shape::Dump,
            Format::Csv => Shape::Csv { is_row_of_types: ingest::csv_rows::is_row_of_types },
            _ => Shape::Lines,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Format::LineProtocol => "/write",
            Format::Prometheus => "/api/v1/import/prometheus",
            Format::Json => "/api/v1/import/json",
            Format::Csv => "/api/v1/import/csv",
            Format::Arrow | Format::Parquet => "/api/v1/import/arrow",
        }
    }
}

pub fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    let mut refused = 0;
    for file in &args.files {
        let import = one(&args, file);
        refused += runtime.block_on(import).with_context(|| format!("import {}", file.display()))?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Imports a file; says how many rows were refused.
async fn one(args: &Args, file: &Path) -> Result<u64> {
    let format = args.format.or_else(|| Format::of(file)).with_context(|| {
        format!("what is in {}? say --format line-protocol, prometheus, json, csv, arrow or parquet", file.display())
    })?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("db", args.db.as_deref().unwrap_or(DEFAULT_SCHEMA)).append_pair("tags", &args.tags.join(","));
    if let Some(measurement) = &args.measurement {
        query.append_pair("measurement", measurement);
    }
    if let Some(precision) = &args.precision {
        query.append_pair("precision", precision);
    }
    if args.now {
        query.append_pair("time", "now");
    }
    let path = format!("{}?{}", format.path(), query.finish());
    let known = (file != Path::new("-")).then_some(file);
    let import = Import::new(&args.url, path, format.shape(args.db.as_deref()), known, args.restart)?;
    let shown = Shown { bar: progress::bytes("import"), left: Cell::new(SHOWN_MAX) };
    shown.bar.set_length(import.length());
    if import.lines() > 0 {
        errln!("going on where it was broken off, behind line {}", import.lines());
    }
    let imported = import.run(&shown).await?;
    shown.bar.finish_and_clear();
    let name = known.map_or("standard input".into(), |path| path.display().to_string());
    outln!("{name}: {} lines, {} refused", imported.lines, imported.refused);
    Ok(imported.refused)
}

/// What is seen of imports.
struct Shown {
    bar: ProgressBar,
    /// So many refused lines are still shown.
    left: Cell<usize>,
}

impl Watch for Shown {
    fn read(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    fn refused(&self, line: u64, reason: &str) {
        if let Some(left) = self.left.get().checked_sub(1) {
            self.left.set(left);
            errln!("line {line}: {reason}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_in_a_file() {
        for (name, format) in [
            ("x.lp.gz", Some(Format::LineProtocol)),
            ("y.prom", Some(Format::Prometheus)),
            ("z.jsonl.zst", Some(Format::Json)),
            ("z.parquet", Some(Format::Parquet)),
            ("dir.csv/x", None),
            ("x.gz", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
