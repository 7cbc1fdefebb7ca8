//! `fournines silence`: of which alerts nobody is told for a while, over a running server.

use std::process::ExitCode;

use alerts::silences::Matching;
use anyhow::{Context, Result, bail};
use client::asking;
use serde_json::{Value, json};

/// Silence alerts for a while, with who says so and why
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines silence add --match target=portal --for 2h --author 'J. Doe' --reason 'database upgrade'
  fournines silence add --match 'target=~shop.*' --match severity=warning --for 1d --author ops --reason 'known, see #4711'
  fournines silence list
  fournines silence end 6b1c2d3e-0a1b-8c2d-8e3f-0123456789ab

What is silenced is measured all the same, and the end of what was told is told. A planned outage that is not to count
is a maintenance window: 'fournines maintenance'. Alertmanager's amtool works, too.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// The server to tell
    #[arg(long, value_name = "URL", env = "FOURNINES_URL", default_value = "http://127.0.0.1:9999", global = true)]
    url: String,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add a silence and show its id
    Add {
        /// What a label is: LABEL=VALUE, LABEL!=VALUE, LABEL=~REGEX or LABEL!~REGEX; several have to hold together
        #[arg(long = "match", value_name = "LABEL=VALUE", required = true)]
        matching: Vec<String>,
        /// How long [default: 1h]
        #[arg(long = "for", value_name = "DURATION", default_value = "1h", hide_default_value = true, value_parser = domain::duration::parse)]
        span: std::time::Duration,
        /// When it begins [default: now]
        #[arg(long, value_name = "TIME")]
        from: Option<jiff::Timestamp>,
        /// Who says so
        #[arg(long)]
        author: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// End a silence
    End {
        /// The id, as 'list' shows it
        id: String,
    },
    /// List the silences that are not over
    List {
        /// Those that are over, too
        #[arg(long)]
        all: bool,
        /// pretty, json, jsonl or csv
        #[arg(long, default_value = "pretty")]
        format: String,
    },
}

pub fn run(args: Args) -> Result<ExitCode> {
    let Args { command, url } = args;
    match command {
        Command::Add { matching, span, from, author, reason } => {
            let matchers = matching.iter().map(|text| text.parse()).collect::<Result<Vec<Matching>, String>>();
            let matchers = matchers.map_err(anyhow::Error::msg)?;
            let from = from.unwrap_or_else(jiff::Timestamp::now);
            let until = from.checked_add(span).context("--for is too long")?;
            let posted = json!({
                "matchers": matchers,
                "startsAt": from.to_string(),
                "endsAt": until.to_string(),
                "createdBy": author,
                "comment": reason,
            });
            let answer = asking::ask_whole(&url, "/api/v2/silences", &posted)?;
            let answer: Value = serde_json::from_slice(&answer).context("the answer is no JSON")?;
            let Some(id) = answer["silenceID"].as_str() else { bail!("{url} gave no id: {answer}") };
            outln!("{id}");
        }
        Command::End { id } => asking::delete(&url, &format!("/api/v2/silence/{id}"))?,
        Command::List { all, format } => {
            let which = if all { "" } else { "WHERE until > now()" };
            let q = format!(
                "SELECT * FROM (SELECT DISTINCT ON (silence) silence AS id, start, until, matchers, author, reason FROM silences \
                 ORDER BY silence, time DESC) {which} ORDER BY until, id"
            );
            let rows = asking::ask_whole(&url, "/api/v3/query_sql", &json!({ "q": q, "format": format }))?;
            crate::say::out(format_args!("{}", String::from_utf8_lossy(&rows)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
