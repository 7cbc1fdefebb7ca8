//! `fournines sql`: one question, to a running server or to a data directory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use query::endpoint::WARNING_HEADER;
use query::{Engine, Format};
use tsdb::{DEFAULT_SCHEMA, Store};

use crate::client;
use crate::config::Config;
use crate::serve::engine_options;

/// Ask a server, or a data directory, a question in SQL
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines sql 'SHOW TABLES'
  fournines sql --format csv 'SELECT * FROM host ORDER BY time' > host.csv
  fournines sql --data-dir fournines-data 'SELECT count(*) FROM probe'
  echo 'DESCRIBE probe' | fournines sql -")]
pub struct Args {
    /// The statement; `-` reads it from standard input
    statement: String,
    /// The server to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9999", env = "FOURNINES_URL")]
    url: String,
    /// Open this data directory instead of asking a server; no server may be using it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The schema for tables named without one
    #[arg(long, value_name = "SCHEMA", default_value = DEFAULT_SCHEMA)]
    db: String,
    /// pretty, json, jsonl, csv, parquet or arrow
    #[arg(long, default_value = "pretty", value_parser = parse_format)]
    format: Format,
}

fn parse_format(name: &str) -> Result<Format, &'static str> {
    Format::parse(name).ok_or("expected pretty, json, jsonl, csv, parquet or arrow")
}

pub fn run(args: Args) -> Result<ExitCode> {
    let statement = match args.statement.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("read the statement from standard input")?,
        statement => statement.to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    runtime.block_on(async {
        match &args.data_dir {
            Some(dir) => ask_directory(dir, &statement, &args).await,
            None => ask_server(&statement, &args).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn ask_directory(dir: &Path, statement: &str, args: &Args) -> Result<()> {
    if !dir.is_dir() {
        bail!("{} is not there; --data-dir takes a folder that fournines serve has made", dir.display());
    }
    let mut config = Config::default();
    config.store.data_dir = dir.to_owned();
    let store = Arc::new(Store::open(dir, tsdb::Options::default())?);
    let engine = Engine::new(store, engine_options(&config), Vec::new())?;
    let mut answer = engine.query(statement, &args.db).await?.encode(args.format)?;
    while let Some(bytes) = answer.next().await {
        if !print(&bytes?)? {
            break;
        }
    }
    answer.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
    Ok(())
}

async fn ask_server(statement: &str, args: &Args) -> Result<()> {
    let question = serde_json::json!({ "q": statement, "db": args.db, "format": args.format.name() });
    let answer = client::ask(&args.url, "/api/v3/query_sql", &question).await?;
    warn(answer.headers());
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the answer broke off: the query failed after its first rows")?;
        frame.trailers_ref().into_iter().for_each(warn);
        if let Some(bytes) = frame.data_ref()
            && !print(bytes)?
        {
            break;
        }
    }
    Ok(())
}

/// Says on standard error what is missing from the answer.
fn warn(headers: &HeaderMap) {
    for warning in headers.get_all(WARNING_HEADER) {
        eprintln!("warning: {}", String::from_utf8_lossy(warning.as_bytes()));
    }
}

/// Writes to standard output; false when nobody reads it any more.
fn print(bytes: &[u8]) -> Result<bool> {
    match std::io::stdout().write_all(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("write the answer"),
    }
}
