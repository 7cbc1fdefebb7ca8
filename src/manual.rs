//! `fournines completions` and `fournines man`: what packages install beside the binary.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;

/// Print what a shell needs to complete commands
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines completions bash > /usr/share/bash-completion/completions/fournines
  fournines completions zsh > /usr/share/zsh/vendor-completions/_fournines")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Write the manual pages: one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines man /usr/share/man/man1
  fournines man . && man ./fournines-serve.1")]
pub struct ManArgs {
    /// Where to; the folder is made if it is not there
    folder: PathBuf,
}

pub fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fournines", &mut script);
    crate::say::out(format_args!("{}", String::from_utf8_lossy(&script)));
    ExitCode::SUCCESS
}

pub fn man(args: &ManArgs) -> Result<ExitCode> {
    let folder = &args.folder;
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(|| format!("write to {}", folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
