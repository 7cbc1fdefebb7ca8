//! `fournines token`: make, list and revoke tokens.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use server::tokens::{self, Limits};

use crate::config::Config;

/// Make, list and revoke the tokens that a server asks for
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines token create --name prometheus --scope write
  fournines token create --name grafana --scope read --data-dir /var/lib/fournines
  fournines token create --name hamburg --scope write --measurement probe --tag location=hamburg
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
        /// It may write to this schema only; can be given several times
        #[arg(long, value_name = "NAME")]
        schema: Vec<String>,
        /// It may write this measurement only, or all that begin like NAME*; can be given several times
        #[arg(long, value_name = "NAME")]
        measurement: Vec<String>,
        /// It may write series with this value of a tag only; can be given several times
        #[arg(long, value_name = "TAG=VALUE", value_parser = tag)]
        tag: Vec<(String, String)>,
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

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Scope {
    /// Send rows
    Write,
    /// Ask SQL, read metrics
    Read,
    /// Flush, compact, snapshot, delete
    Admin,
}

impl From<Scope> for tokens::Scope {
    fn from(scope: Scope) -> tokens::Scope {
        match scope {
            Scope::Write => tokens::Scope::Write,
            Scope::Read => tokens::Scope::Read,
            Scope::Admin => tokens::Scope::Admin,
        }
    }
}

/// `TAG=VALUE`
fn tag(text: &str) -> Result<(String, String)> {
    let (tag, value) = text.split_once('=').context("expected TAG=VALUE, as in location=hamburg")?;
    Ok((tag.to_owned(), value.to_owned()))
}

/// What the command line says that a token may write.
fn limits(
    scope: &[Scope],
    schemas: Vec<String>,
    measurements: Vec<String>,
    tags: Vec<(String, String)>,
) -> Result<Limits> {
    let mut limits = Limits { schemas, measurements, ..Limits::default() };
    for (tag, value) in tags {
        limits.tags.entry(tag).or_default().push(value);
    }
    if limits != Limits::default() && !scope.contains(&Scope::Write) {
        bail!("--schema, --measurement and --tag limit what is written: they need --scope write");
    }
    Ok(limits)
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
        Command::Create { name, scope, schema, measurement, tag } => {
            let limits = limits(&scope, schema, measurement, tag)?;
            let scopes: Vec<_> = scope.into_iter().map(tokens::Scope::from).collect();
            let (id, kept, token) = tokens::create(&name, &scopes, limits)?;
            tokens::change(&path, |table| Ok(table.insert(id.clone(), kept)))?;
            errln!("token {id} for '{name}'; this is the only time that it is shown:");
            outln!("{token}");
        }
        Command::List { format: Format::Json } => {
            let rows = tokens::load(&path)?.into_iter().map(|(id, kept)| {
                let (name, scopes, created, limits) = (kept.name, kept.scopes, kept.created, kept.limits);
                serde_json::json!({ "id": id, "name": name, "scopes": scopes, "created": created, "limits": limits })
            });
            outln!("{}", serde_json::Value::from_iter(rows));
        }
        Command::List { format: Format::Pretty } => {
            let mut table = Table::new();
            table.load_preset(UTF8_BORDERS_ONLY).set_header(["id", "name", "scopes", "created", "limits"]);
            for (id, kept) in tokens::load(&path)? {
                let scopes: Vec<_> = kept.scopes.iter().map(|scope| scope.name()).collect();
                let limits = kept.limits.summary();
                table.add_row([id, kept.name, scopes.join(", "), kept.created, limits]);
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
