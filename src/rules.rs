//! `fournines rules`: rule files, checked and tested before a server reads them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use alerts::live::Sql;
use alerts::rules::{self, RuleFile};
use alerts::testing;
use anyhow::{Context, Result, bail};
use arrow::record_batch::RecordBatch;
use promql::syntax::Limits;
use query::Engine;
use tokio::runtime::Handle;
use tsdb::DEFAULT_SCHEMA;

use crate::config::Config;

/// Check and test rule files
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines rules check rules/*.yml
  fournines rules check --config /etc/fournines.toml
  fournines rules test tests/*.yml

Files of rules and of their tests are those of Prometheus. The exit code is 1 where something is wrong.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read rule files, and say what is wrong with them
    Check {
        /// The files
        #[arg(value_name = "FILE", required_unless_present = "config")]
        files: Vec<PathBuf>,
        /// Check those that this configuration names, too
        #[arg(long, value_name = "FILE", env = "FOURNINES_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Run test files, as `promtool test rules` takes them
    Test {
        /// The files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
}

pub fn run(args: Args) -> Result<ExitCode> {
    let is_right = match args.command {
        Command::Check { mut files, config } => {
            let mut of_config = None;
            if let Some(path) = config {
                let config = Config::load(Some(&path))?;
                files.extend(config.rule_paths(Some(&path))?);
                of_config = Some(config.alerts(Some(&path))?);
            }
            check(&files, of_config)
        }
        Command::Test { files } => files.iter().filter(|file| !test(file)).count() == 0,
    };
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(paths: &[PathBuf], of_config: Option<RuleFile>) -> bool {
    let (mut read, mut is_right) = (Vec::new(), true);
    if let Some(own) = of_config.filter(|own| !own.groups.is_empty()) {
        outln!("Checking [[alert]] of {}", own.path.display());
        outln!("  SUCCESS: {} alerts found", own.groups.len());
    }
    for path in paths {
        outln!("Checking {}", path.display());
        let problems = match std::fs::read_to_string(path) {
            Ok(text) => match rules::read(path, &text, &Limits::default()) {
                Ok(file) => {
                    let count: usize = file.groups.iter().map(|group| group.rules.len()).sum();
                    outln!("  SUCCESS: {count} rules found");
                    read.push(file);
                    continue;
                }
                Err(problems) => problems.iter().map(ToString::to_string).collect(),
            },
            Err(error) => vec![format!("{}: {error}", path.display())],
        };
        is_right = false;
        outln!("  FAILED:");
        problems.iter().for_each(|problem| outln!("  {problem}"));
    }
    for problem in rules::check(&read) {
        outln!("warning: {problem}");
    }
    is_right
}

fn test(path: &Path) -> bool {
    outln!("Testing {}", path.display());
    let failures = match std::fs::read_to_string(path) {
        Ok(text) => {
            let tested = testing::test(path, &text, &|pattern| paths_of(pattern).map_err(|error| format!("{error:#}")));
            if tested.failures.is_empty() {
                outln!("  SUCCESS: {} tests passed", tested.tests);
                return true;
            }
            tested.failures
        }
        Err(error) => vec![format!("{}: {error}", path.display())],
    };
    outln!("  FAILED:");
    for failure in failures {
        failure.lines().for_each(|line| outln!("    {line}"));
    }
    false
}

/// The files that a path with `*` and `?` stands for, in the order of their names. A path without these has to be there.
pub fn paths_of(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_str().with_context(|| format!("{} is no text", pattern.display()))?;
    if !text.contains(['*', '?', '[']) {
        if !pattern.exists() {
            bail!("there is no file {text}");
        }
        return Ok(vec![pattern.to_owned()]);
    }
    let found = glob::glob(text).with_context(|| format!("'{text}'"))?;
    found.map(|path| path.with_context(|| format!("'{text}'"))).collect()
}

/// Reads the rule files of a server.
///
/// # Errors
///
/// All that is wrong with them.
pub fn load(paths: &[PathBuf], limits: &Limits) -> Result<Vec<RuleFile>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        // Wherever the server is started from: alerts belong to a group of a file.
        let path = std::fs::canonicalize(path).with_context(|| format!("read {}", path.display()))?;
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        match rules::read(&path, &text, limits) {
            Ok(file) => files.push(file),
            Err(own) => problems.extend(own.iter().map(ToString::to_string)),
        }
    }
    match problems.is_empty() {
        true => Ok(files),
        false => bail!("{}", problems.join("\n")),
    }
}

/// Statements that rules ask, on the threads and within the limits of all others.
#[derive(Debug)]
pub struct Statements {
    engine: Arc<Engine>,
    runtime: Handle,
}

impl Statements {
    /// Those of an engine. Called within a runtime, whose threads answer them.
    pub fn new(engine: Arc<Engine>) -> Statements {
        Statements { engine, runtime: Handle::current() }
    }
}

impl Sql for Statements {
    fn rows(&self, statement: &str, at_ms: i64) -> Result<Vec<RecordBatch>, String> {
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
        self.runtime.block_on(async {
            let mut answer =
                self.engine.query_at(statement, DEFAULT_SCHEMA, now).await.map_err(|error| error.to_string())?;
            let mut rows = Vec::new();
            while let Some(batch) = answer.next().await {
                rows.push(batch.map_err(|error| error.to_string())?);
            }
            // Damaged rows are missing: an answer without them may be wrong.
            answer.warnings().into_iter().next().map_or(Ok(rows), Err)
        })
    }
}
