//! `fournines notify`: whether somebody would be told.

use std::path::PathBuf;
use std::process::ExitCode;

use alerts::notices::{self, Outcome};
use anyhow::{Context, Result, bail};

use crate::config::Config;

/// Try the channels by which people are told
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines notify test
  fournines notify test --channel ops --config /etc/fournines.toml

The exit code is 1 where a channel does not take it.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Tell channels of a test alert that is over at once, and show what they answer
    Test {
        /// Only this one [default: all]
        #[arg(long, value_name = "NAME")]
        channel: Option<String>,
        /// Configuration file [default: fournines.toml if there is one]
        #[arg(long, value_name = "FILE", env = "FOURNINES_CONFIG")]
        config: Option<PathBuf>,
    },
}

pub fn run(args: Args) -> Result<ExitCode> {
    let Command::Test { channel: wanted, config } = args.command;
    let config = Config::load(config.as_deref())?;
    let all = config.channels()?;
    let channels: Vec<_> = all.iter().filter(|own| wanted.as_ref().is_none_or(|name| *name == own.name)).collect();
    if channels.is_empty() {
        let names: Vec<&str> = all.iter().map(|own| own.name.as_str()).collect();
        match wanted {
            Some(name) => bail!("there is no channel '{name}'; there are: {}", names.join(", ")),
            None => bail!("the configuration has no [[channel]]"),
        }
    }
    let url = config.rules.external_url.clone().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let mut is_taken = true;
    for channel in channels {
        match runtime.block_on(notices::test(channel, &url)) {
            Outcome::Sent => outln!("{} ({}): taken", channel.name, channel.kind.name()),
            Outcome::Failed { error, .. } | Outcome::Refused(error) => {
                outln!("{} ({}): {error}", channel.name, channel.kind.name());
                is_taken = false;
            }
        }
    }
    Ok(if is_taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
