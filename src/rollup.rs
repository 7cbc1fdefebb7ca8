//! `fournines rollup`: buckets that are worked out ahead, over a running server.

use std::process::ExitCode;

use anyhow::{Context, Result};
use client::asking;
use serde_json::{Value, json};

/// Buckets that are worked out ahead, so that queries over long spans need not read every row
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines rollup add probe --interval 1d --where up --field total_ms
  fournines rollup add cpu --interval 1h
  fournines rollup list
  fournines rollup remove probe_1d

Answers are the same with a rollup and without; EXPLAIN says where one is used. Rollups can be declared in the configuration, too.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The server to tell
    #[arg(long, value_name = "URL", env = "FOURNINES_URL", default_value = "http://127.0.0.1:9999", global = true)]
    url: String,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Declare a rollup and show its name; its days are made in the background
    Add {
        /// The measurement
        measurement: String,
        /// The length of a bucket: whole seconds that divide a day
        #[arg(long, value_name = "DURATION")]
        interval: String,
        /// Only rows for which this holds: comparisons of fields with values, as "up AND status < 400"
        #[arg(long = "where", value_name = "CONDITION")]
        condition: Option<String>,
        /// Only this field; can be given several times [default: all]
        #[arg(long = "field", value_name = "FIELD")]
        fields: Vec<String>,
        /// What it is called [default: MEASUREMENT_INTERVAL]
        #[arg(long)]
        name: Option<String>,
        /// The schema of the measurement
        #[arg(long, value_name = "SCHEMA", default_value = tsdb::DEFAULT_SCHEMA)]
        db: String,
    },
    /// Remove a rollup
    Remove {
        /// The name, as 'list' shows it
        name: String,
    },
    /// List the rollups and how far they are
    List {
        /// pretty, json, jsonl or csv
        #[arg(long, default_value = "pretty")]
        format: String,
    },
}

pub fn run(args: Args) -> Result<ExitCode> {
    let Args { command, url } = args;
    match command {
        Command::Add { measurement, interval, condition, fields, name, db } => {
            let fields = (!fields.is_empty()).then_some(fields);
            let declaration = json!({
                "name": name, "db": db, "measurement": measurement, "interval": interval, "where": condition, "fields": fields,
            });
            let answer = asking::ask_whole(&url, "/api/v1/admin/rollups", &declaration)?;
            let answer: Value = serde_json::from_slice(&answer).context("the answer is no JSON")?;
            outln!("{}", answer["name"].as_str().context("the answer has no name")?);
        }
        Command::Remove { name } => {
            asking::ask_whole(&url, "/api/v1/admin/rollups/remove", &json!({ "name": name }))?;
        }
        Command::List { format } => {
            let q = "SELECT * FROM system.rollups ORDER BY name";
            let rows = asking::ask_whole(&url, "/api/v3/query_sql", &json!({ "q": q, "format": format }))?;
            crate::say::out(format_args!("{}", String::from_utf8_lossy(&rows)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
