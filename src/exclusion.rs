//! `fournines maintenance` and `fournines exclusion`: time that does not count, over a running server.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use client::asking;
use query::Kind;
use serde_json::{Value, json};

/// Planned work: time that leaves availability, with who says so and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines maintenance add --targets \"target = 'portal'\" --from 2026-11-25T22:00:00Z --to 2026-11-26T02:00:00Z \\
    --author 'J. Doe' --reason 'database upgrade'
  fournines maintenance end 18ff3a9c01 --to 2026-11-26T01:10:00Z
  fournines maintenance list

Past spans count anew at once. The table 'maintenance' has all entries.")]
pub struct MaintenanceArgs {
    #[command(flatten)]
    args: Args,
}

/// Force majeure and the like: time that leaves availability, with who says so and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines exclusion add --from 2026-08-02T03:00:00Z --to 2026-08-02T09:30:00Z --author 'J. Doe' --reason 'flood of the data centre'
  fournines exclusion list --format json

Without --targets an entry is about all targets. The table 'exclusions' has all entries.")]
pub struct ExclusionArgs {
    #[command(flatten)]
    args: Args,
}

#[derive(Debug, clap::Args)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// The server to tell
    #[arg(long, value_name = "URL", env = "FOURNINES_URL", default_value = "http://127.0.0.1:9999", global = true)]
    url: String,
    /// The schema of the targets' rows
    #[arg(long, value_name = "SCHEMA", default_value = tsdb::DEFAULT_SCHEMA, global = true)]
    db: String,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add an entry and show its id
    Add {
        /// Which targets: a condition on tags, as after WHERE [default: all]
        #[arg(long, value_name = "CONDITION", default_value = "", hide_default_value = true)]
        targets: String,
        /// When it begins [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// When it ends [default: not yet known]
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
        /// Who says so
        #[arg(long)]
        author: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// End an entry, or give it another end
    End {
        /// The id, as 'list' shows it
        id: String,
        /// When it ends [default: now]
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
    },
    /// List the entries
    List {
        /// pretty, json, jsonl or csv
        #[arg(long, default_value = "pretty")]
        format: String,
    },
}

pub fn maintenance(args: MaintenanceArgs) -> Result<ExitCode> {
    run(Kind::Maintenance, args.args)
}

pub fn exclusion(args: ExclusionArgs) -> Result<ExitCode> {
    run(Kind::Exclusion, args.args)
}

fn run(kind: Kind, args: Args) -> Result<ExitCode> {
    let Args { command, url, db } = args;
    let table = kind.table();
    let path = format!("/api/v1/admin/{table}");
    match command {
        Command::Add { targets, from, to, author, reason } => {
            let entry =
                json!({ "db": db, "targets": targets, "from": from, "to": to, "author": author, "reason": reason });
            let answer: Value =
                serde_json::from_slice(&asking::ask_whole(&url, &path, &entry)?).context("the answer is no JSON")?;
            let Some(id) = answer["id"].as_str() else { bail!("{url} gave no id: {answer}") };
            outln!("{id}");
        }
        Command::End { id, to } => {
            asking::ask_whole(&url, &format!("{path}/end"), &json!({ "db": db, "id": id, "to": to }))?;
        }
        Command::List { format } => {
            let q = format!("SELECT id, time AS start, until, targets, author, reason FROM {table} ORDER BY start, id");
            let rows = asking::ask_whole(&url, "/api/v3/query_sql", &json!({ "q": q, "db": db, "format": format }))?;
            crate::say::out(format_args!("{}", String::from_utf8_lossy(&rows)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
