//! `fournines sql`: a question, or a prompt for many, to a running server or to a data directory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use client::asking;
use http_body_util::BodyExt;
use hyper::HeaderMap;
use query::endpoint::WARNING_HEADER;
use query::{Engine, Format};
use tsdb::{DEFAULT_SCHEMA, Store};

use crate::config::Config;
use crate::data_dir::refuse_missing;
use crate::serve;
use crate::{progress, prompt};

/// Ask a server, or a data directory, in SQL: a statement, or a prompt
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines sql
  fournines sql 'SHOW TABLES'
  fournines sql --format csv 'SELECT * FROM host ORDER BY time' > host.csv
  fournines sql --data-dir fournines-data 'SELECT count(*) FROM probe'
  echo 'DESCRIBE probe' | fournines sql -")]
pub struct Args {
    /// The statement; `-` reads it from standard input; without one there is a prompt
    statement: Option<String>,
    /// The server to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9999", env = "FOURNINES_URL")]
    url: String,
    /// Read this data directory instead of asking a server; no server may be using it, and nothing in it is changed
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The schema for tables named without one
    #[arg(long, value_name = "SCHEMA", default_value = DEFAULT_SCHEMA)]
    db: String,
    /// pretty, json, jsonl, csv, parquet or arrow
    #[arg(long, default_value = "pretty", value_parser = parse_format)]
    format: Format,
}

fn parse_format(name: &str) -> Result<Format, String> {
    Format::parse(name).ok_or_else(|| format!("expected one of {}", Format::names()))
}

pub fn run(args: Args) -> Result<ExitCode> {
    let statement = match args.statement.as_deref() {
        Some("-") => Some(std::io::read_to_string(std::io::stdin()).context("read the statement from standard input")?),
        statement => statement.map(str::to_owned),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    let source = Source::of(&args.url, args.data_dir.as_deref())?;
    let answered = match statement {
        Some(statement) => runtime.block_on(source.ask(&statement, &args.db, args.format, &mut print)),
        None => prompt::run(&source, &args.db, args.format, &runtime),
    };
    source.close();
    answered.map(|()| ExitCode::SUCCESS)
}

/// Where questions to a directory spill to: nothing in the directory is changed, which may be somebody else's.
fn spill_dir() -> PathBuf {
    std::env::temp_dir().join(format!("fournines-spill-{}", std::process::id()))
}

/// Who answers.
pub enum Source {
    /// A server, by its address.
    Server(String),
    /// A data directory, and an engine over it.
    Directory(Arc<Store>, Box<Engine>),
}

/// Takes the bytes of an answer; false when no more are wanted.
type Take<'a> = &'a mut (dyn FnMut(&[u8]) -> Result<bool> + Send);

impl Source {
    /// A server, or a data directory if one is named.
    pub fn of(url: &str, data_dir: Option<&Path>) -> Result<Source> {
        data_dir.map_or_else(|| Ok(Source::Server(url.to_owned())), Source::open)
    }

    /// Leaves nothing behind.
    pub fn close(self) {
        if let Source::Directory(_, engine) = self {
            drop(engine);
            let _ = std::fs::remove_dir_all(spill_dir()); // it is there only if something was spilled
        }
    }

    fn open(dir: &Path) -> Result<Source> {
        refuse_missing(dir)?;
        let store = Arc::new(Store::open_read_only(dir, tsdb::Options::default())?);
        let engine = serve::engine(&Config::default(), store.clone(), spill_dir(), Vec::new())?;
        Ok(Source::Directory(store, Box::new(engine)))
    }

    /// Asks, and shows on a terminal that it takes a while.
    pub async fn ask(&self, statement: &str, db: &str, format: Format, take: Take<'_>) -> Result<()> {
        let waiting = progress::waiting();
        let mut take = |bytes: &[u8]| {
            waiting.finish_and_clear();
            take(bytes)
        };
        let answered = match self {
            Source::Server(url) => ask_server(url, statement, db, format, &mut take).await,
            Source::Directory(_, engine) => ask_engine(engine, statement, db, format, &mut take).await,
        };
        waiting.finish_and_clear();
        answered
    }
}

async fn ask_engine(engine: &Engine, statement: &str, db: &str, format: Format, take: Take<'_>) -> Result<()> {
    let mut answer = engine.query(statement, db).await?.encode(format)?;
    while let Some(bytes) = answer.next().await {
        if !take(&bytes?)? {
            break;
        }
    }
    answer.warnings().iter().for_each(|warning| errln!("warning: {warning}"));
    Ok(())
}

async fn ask_server(url: &str, statement: &str, db: &str, format: Format, take: Take<'_>) -> Result<()> {
    let question = serde_json::json!({ "q": statement, "db": db, "format": format.name() });
    let answer = asking::ask(url, "/api/v3/query_sql", &question).await?;
    warn(answer.headers());
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the answer broke off: the query failed after its first rows")?;
        frame.trailers_ref().into_iter().for_each(warn);
        if let Some(bytes) = frame.data_ref()
            && !take(bytes)?
        {
            break;
        }
    }
    Ok(())
}

/// Says on standard error what is missing from the answer.
fn warn(headers: &HeaderMap) {
    for warning in headers.get_all(WARNING_HEADER) {
        errln!("warning: {}", String::from_utf8_lossy(warning.as_bytes()));
    }
}

/// Writes to standard output; false when nobody reads it any more.
pub fn print(bytes: &[u8]) -> Result<bool> {
    match std::io::stdout().write_all(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("write the answer"),
    }
}
