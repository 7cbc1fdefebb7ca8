//! `fournines snapshot` and `fournines restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use client::asking;
use server::snapshots;
use tsdb::Store;

use crate::data_dir::refuse_missing;
use crate::progress;

/// Make a snapshot: a second data directory of hard links, while the server goes on
#[derive(Debug, clap::Args)]
#[command(after_help = "The snapshot holds every row that was acknowledged before; its path is printed.

Examples:
  fournines snapshot
  fournines snapshot --data-dir fournines-data
  fournines restore fournines-data/snapshots/2026-11-22T01-15-00Z /mnt/backup/fournines-data")]
pub struct Args {
    /// The server to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9999", env = "FOURNINES_URL")]
    url: String,
    /// Open this data directory instead of asking a server; no server may be using it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Copy a snapshot, verified, to a new data directory
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines restore fournines-data/snapshots/2026-11-22T01-15-00Z restored-data
  fournines serve --data-dir restored-data")]
pub struct RestoreArgs {
    /// The snapshot, or the data directory of a server that is stopped
    from: PathBuf,
    /// The new data directory; it must not be there, or be empty
    to: PathBuf,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let path = match &args.data_dir {
        Some(dir) => {
            refuse_missing(dir)?;
            let store = Store::open(dir, tsdb::Options::default())?;
            snapshots::take(&store, dir)?.display().to_string()
        }
        None => {
            let answer = asking::post(&args.url, "/api/v1/admin/snapshot")?;
            answer["path"].as_str().context("the server did not say where the snapshot is")?.to_owned()
        }
    };
    outln!("{path}");
    Ok(ExitCode::SUCCESS)
}

pub fn restore(args: RestoreArgs) -> Result<ExitCode> {
    let bar = progress::bytes("restore");
    let restored = tsdb::restore(&args.from, &args.to, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    if let Err(tsdb::Error::Io { source, .. }) = &restored
        && source.kind() == std::io::ErrorKind::AlreadyExists
    {
        bail!(
            "{to} has something in it, which is not overwritten; restore to a new directory, stop the server if one is \
             at work in {to}, and start it with the new one: fournines serve --data-dir NEW",
            to = args.to.display()
        );
    }
    restored?;
    bar.finish_and_clear();
    outln!("{} is restored to {}", args.from.display(), args.to.display());
    Ok(ExitCode::SUCCESS)
}
