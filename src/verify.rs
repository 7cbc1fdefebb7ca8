//! `fournines verify`: reads every byte of a data directory and says what is wrong.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use bytesize::ByteSize;

use crate::progress;

/// Verify every checksum of a data directory or snapshot
#[derive(Debug, clap::Args)]
#[command(after_help = "It only reads; a server may be at work in the directory.
Exit code: 0 if all is well, 1 if something is damaged or missing, 2 if it could not be read.

Examples:
  fournines verify fournines-data
  fournines verify --format json fournines-data/snapshots/2026-11-22T01-15-00Z")]
pub struct Args {
    /// Data directories or snapshots
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// text or json
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    format: String,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let mut damaged = false;
    for dir in &args.dirs {
        damaged |= verify(dir, &args.format)?;
    }
    Ok(ExitCode::from(u8::from(damaged)))
}

/// Verifies a directory and prints what was found; is anything damaged?
fn verify(dir: &Path, format: &str) -> Result<bool> {
    let bar = progress::bytes("verify");
    let found = tsdb::verify(dir, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let texts = |errors: &[tsdb::Error]| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (damage, missing, unfinished) = (texts(&found.damage), texts(&found.missing), texts(&found.unfinished));
    let quarantined: Vec<_> = found.quarantined.iter().map(|path| path.display().to_string()).collect();
    if format == "json" {
        let report = serde_json::json!({
            "files": found.files, "bytes": found.bytes, "rows": found.rows,
            "damage": damage, "missing": missing, "unfinished": unfinished, "quarantined": quarantined,
        });
        outln!("{report}");
    } else {
        damage.iter().for_each(|error| outln!("damaged     {error}"));
        missing.iter().for_each(|error| outln!("missing     {error}"));
        unfinished.iter().for_each(|error| outln!("unfinished  {error}"));
        quarantined.iter().for_each(|path| outln!("put aside   {path}"));
        let (files, bytes, rows) = (found.files, ByteSize(found.bytes), found.rows);
        outln!("{files} files, {bytes}, {rows} rows in segments and rolled days: {} damaged", damage.len());
        if !missing.is_empty() {
            outln!(
                "What is missing was lost before, or is in doubt: once it is dealt with, run 'fournines accept-damage'."
            );
        }
    }
    Ok(!damage.is_empty() || !missing.is_empty())
}
