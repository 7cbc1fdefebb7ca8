//! `fournines accept-damage`: what was lost, or is in doubt, is known, and answers need not warn of it any more.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use client::asking;
use tsdb::Store;

use crate::data_dir::refuse_missing;

/// Say that you know of lost rows: answers do not warn of them any more
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What was damaged in a log is gone from it once it is sealed, so that each answer goes on warning until somebody says that they know:
that the rows were sent again, were never acknowledged, or are lost. What was damaged is printed; its bytes stay in quarantine/. Damage in
files that are still there goes on being told.

Examples:
  fournines accept-damage
  fournines accept-damage --data-dir fournines-data"
)]
pub struct Args {
    /// The server to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9999", env = "FOURNINES_URL")]
    url: String,
    /// Open this data directory instead of asking a server; no server may be using it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let accepted = match &args.data_dir {
        Some(dir) => {
            refuse_missing(dir)?;
            Store::open(dir, tsdb::Options::default())?.accept_damage()?
        }
        None => {
            let answer = asking::post(&args.url, "/api/v1/admin/accept_damage")?;
            let accepted = answer["accepted"].as_array().context("the server did not say what was accepted")?;
            accepted.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
        }
    };
    accepted.iter().for_each(|text| outln!("{text}"));
    if accepted.is_empty() {
        errln!("nothing was lost that answers warn of");
    }
    Ok(ExitCode::SUCCESS)
}
