//! `fournines token`: make, list and revoke tokens.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;

use crate::config::Config;
use crate::tokens::{self, Scope};

/// Make, list and revoke the tokens that a server asks for
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines token create --name prometheus --scope write
  fournines token create --name grafana --scope read --data-dir /var/lib/fournines
  fournines token list
  fournines token revoke 5f3a9c01

A running server follows within a second. Clients send 'Authorization: Bearer TOKEN'.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Configuration file [default: fournines.toml if there is one]
    #[arg(long, value_name = "FILE", env = "FOURNINES_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Where the data is [default: fournines-data]
    #[arg(long, value_name = "DIR", env = "FOURNINES_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a token and show it, once
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it allows; can be given several times
        #[arg(long, required = true)]
        scope: Vec<Scope>,
    },
    /// List the tokens, without their secrets
    List {
        /// How to print them
        #[arg(long, value_enum, default_value_t = Format::Pretty)]
        format: Format,
    },
    /// Take a token back, by its number
    Revoke {
        /// The number, as 'list' shows it
        id: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Pretty,
    Json,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let config = Config::load(args.config.as_deref())?;
    let path = tokens::path(&args.data_dir.unwrap_or(config.store.data_dir));
    match args.command {
        Command::Create { name, scope } => {
            let (id, kept, token) = tokens::create(&name, &scope)?;
            tokens::change(&path, |table| Ok(table.insert(id.clone(), kept)))?;
            errln!("token {id} for '{name}'; this is the only time that it is shown:");
            outln!("{token}");
        }
        Command::List { format: Format::Json } => {
            let rows = tokens::load(&path)?.into_iter().map(|(id, kept)| {
                serde_json::json!({ "id": id, "name": kept.name, "scopes": kept.scopes, "created": kept.created })
            });
            outln!("{}", serde_json::Value::from_iter(rows));
        }
        Command::List { format: Format::Pretty } => {
            let mut table = Table::new();
            table.load_preset(UTF8_BORDERS_ONLY).set_header(["id", "name", "scopes", "created"]);
            for (id, kept) in tokens::load(&path)? {
                let scopes: Vec<_> = kept.scopes.iter().map(|scope| scope.name()).collect();
                table.add_row([id, kept.name, scopes.join(", "), kept.created]);
            }
            outln!("{table}");
        }
        Command::Revoke { id } => {
            let revoked = tokens::change(&path, |table| match table.remove(&id) {
                Some(kept) => Ok((kept.name, table.is_empty())),
                None => bail!("there is no token {id}; 'fournines token list' shows them"),
            });
            let (name, was_last) = revoked?;
            outln!("revoked {id} ('{name}')");
            if was_last {
                errln!("it was the last one: a server that runs lets nobody in; one that is started now asks for none");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
