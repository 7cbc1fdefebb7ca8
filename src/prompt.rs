//! The prompt of `fournines sql`: statements over several lines, history, completion of tables and columns, and a few
//! commands.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use query::Format;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, Helper};
use tokio::runtime::Runtime;

use crate::sql::Source;

const HELP: &str = "  SELECT ...;        a statement ends with a semicolon, and may have several lines
  \\promql            from here on each line is a question in PromQL; \\sql goes back
  \\range SPAN STEP   of the last SPAN, every STEP, like 1h 1m; \\range alone asks at one time again
  \\d                 the tables
  \\d NAME            the columns of a table
  \\format NAME       pretty, json, jsonl or csv
  \\timing            whether the time that a statement took is shown
  \\?                 this help
  \\q                 the end; so does Ctrl-D. Ctrl-C ends a statement that runs
";
const TABLES: &str = "SELECT table_schema AS schema, table_name AS name FROM information_schema.tables WHERE table_schema <> 'information_schema' ORDER BY schema, name";
const NAMES: &str = "SELECT DISTINCT table_name AS name FROM information_schema.columns UNION SELECT DISTINCT column_name FROM information_schema.columns UNION SELECT DISTINCT routine_name FROM information_schema.routines";
const KEYWORDS: &str = "AND AS ASC BETWEEN BY DESC DISTINCT EXPLAIN FROM GROUP HAVING IN INTERVAL IS JOIN LIKE LIMIT NOT NULL ON OR ORDER SELECT TIMESTAMP UNION WHERE WITH";

/// What the prompt knows.
struct Prompt<'a> {
    source: &'a Source,
    db: &'a str,
    runtime: &'a Runtime,
    format: Format,
    is_timed: bool,
    is_promql: bool,
    /// Of which span questions in PromQL are, and every what of it.
    range: Option<(i64, String)>,
}

/// Completes words.
struct Words(BTreeSet<String>);

impl Helper for Words {}
impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Validator for Words {}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let is_word = |sign: char| sign.is_alphanumeric() || sign == '_';
        let start = line[..at].rfind(|sign| !is_word(sign)).map_or(0, |before| before + 1);
        let word = line[start..at].to_lowercase();
        let starts = |known: &&String| !word.is_empty() && known.to_lowercase().starts_with(&word);
        Ok((start, self.0.iter().filter(starts).cloned().collect()))
    }
}

/// Asks until there is no more.
pub fn run(source: &Source, db: &str, format: Format, runtime: &Runtime) -> Result<()> {
    let mut prompt = Prompt { source, db, runtime, format, is_timed: true, is_promql: false, range: None };
    let config = Config::builder().auto_add_history(false).build();
    let mut editor: Editor<Words, FileHistory> = Editor::with_config(config).context("the terminal")?;
    editor.set_helper(Some(Words(prompt.words())));
    let history = history_path();
    if let Some(path) = &history {
        let _ = editor.load_history(path);
    }
    let mut statement = String::new();
    loop {
        let mark = match (statement.is_empty(), prompt.is_promql) {
            (true, true) => "promql> ",
            (true, false) => "fournines> ",
            (false, _) => "        -> ",
        };
        match editor.readline(mark) {
            Ok(line) if statement.is_empty() && line.trim_start().starts_with('\\') => {
                let _ = editor.add_history_entry(&line);
                if !prompt.command(line.trim()) {
                    break;
                }
            }
            Ok(line) if prompt.is_promql => {
                let question = line.trim().trim_end_matches(';');
                if !question.is_empty() {
                    let _ = editor.add_history_entry(&line);
                    prompt.ask_promql(question);
                }
            }
            Ok(line) => {
                statement.push_str(&line);
                statement.push('\n');
                if line.trim_end().ends_with(';') {
                    let _ = editor.add_history_entry(statement.trim());
                    prompt.ask(statement.trim().trim_end_matches(';'));
                    statement.clear();
                } else if statement.trim().is_empty() {
                    statement.clear();
                }
            }
            // What was begun is thrown away.
            Err(ReadlineError::Interrupted) => statement.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error).context("the terminal"),
        }
    }
    if let Some(path) = &history {
        editor.save_history(path).with_context(|| format!("{} could not be written", path.display()))?;
    }
    Ok(())
}

/// A span in ms, and a step.
fn parse_range(range: &str) -> Option<(i64, String)> {
    let (span, step) = range.split_once(char::is_whitespace)?;
    let ns = |text: &str| promql::syntax::parse_duration(text).ok().filter(|ns| *ns > 0);
    ns(step.trim())?;
    Some((ns(span)? / 1_000_000, step.trim().to_owned()))
}

/// Where the lines of before are kept.
fn history_path() -> Option<PathBuf> {
    Some(PathBuf::from(std::env::var_os("HOME")?).join(".fournines_history"))
}

impl Prompt<'_> {
    /// Names and keywords that can be completed; keywords only if the names cannot be had.
    fn words(&self) -> BTreeSet<String> {
        let mut names = Vec::new();
        let mut take = |bytes: &[u8]| {
            names.extend_from_slice(bytes);
            Ok(true)
        };
        let asked = self.runtime.block_on(self.source.ask(NAMES, self.db, Format::Csv, &mut take));
        if asked.is_err() {
            names.clear();
        }
        let names = String::from_utf8_lossy(&names).into_owned();
        let functions = promql::syntax::functions().iter().map(|function| function.name);
        names.lines().skip(1).chain(KEYWORDS.split(' ')).chain(functions).map(str::to_owned).collect()
    }

    /// Does what a command says; false at the end.
    fn command(&mut self, command: &str) -> bool {
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match (name, argument.trim()) {
            ("\\q", _) => return false,
            ("\\?" | "\\h", _) => crate::say::out(format_args!("{HELP}")),
            ("\\promql", _) => self.is_promql = true,
            ("\\sql", _) => self.is_promql = false,
            ("\\range", "") => self.range = None,
            ("\\range", range) => match parse_range(range) {
                Some(range) => self.range = Some(range),
                None => errln!("expected a span and a step, like 1h 1m, found '{range}'"),
            },
            ("\\d", "") => self.show(TABLES),
            ("\\d", table) => self.show(&format!("DESCRIBE {table}")),
            ("\\timing", _) => {
                self.is_timed = !self.is_timed;
                outln!("the time is {}", if self.is_timed { "shown" } else { "not shown" });
            }
            ("\\format", name) => match Format::parse(name) {
                Some(format) if !matches!(format, Format::Parquet | Format::Arrow) => self.format = format,
                _ => errln!("expected pretty, json, jsonl or csv, found '{name}'"),
            },
            (other, _) => errln!("'{other}' is not known; \\? shows what is"),
        }
        true
    }

    fn show(&self, statement: &str) {
        self.answer(statement, Format::Pretty);
    }

    fn ask(&self, statement: &str) {
        let start = Instant::now();
        if self.answer(statement, self.format) && self.is_timed {
            outln!("{:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        }
    }

    fn ask_promql(&self, question: &str) {
        let (start, now) = (Instant::now(), jiff::Timestamp::now());
        let when = match &self.range {
            None => vec![("time", now.to_string())],
            Some((span_ms, step)) => {
                let from = now.saturating_sub(jiff::SignedDuration::from_millis(*span_ms)).unwrap_or(now);
                vec![("start", from.to_string()), ("end", now.to_string()), ("step", step.clone())]
            }
        };
        let format = match self.format {
            Format::Csv => "csv",
            Format::Pretty => "table",
            _ => "json",
        };
        let asked = async {
            let answer = crate::promql::ask(self.source, question, self.db, &when).await?;
            crate::promql::print(&answer, format)
        };
        if self.is_answered(asked) && self.is_timed {
            outln!("{:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        }
    }

    /// Prints the answer, or why there is none; was there one?
    fn answer(&self, statement: &str, format: Format) -> bool {
        let mut print = crate::sql::print;
        self.is_answered(self.source.ask(statement, self.db, format, &mut print))
    }

    /// Waits for an answer until somebody gives it up, and says why there is none.
    fn is_answered(&self, asked: impl Future<Output = Result<()>>) -> bool {
        let answered = self.runtime.block_on(async {
            tokio::select! {
                answered = asked => answered.map(|()| true),
                _ = tokio::signal::ctrl_c() => Ok(false),
            }
        });
        match answered {
            Ok(true) => true,
            Ok(false) => {
                errln!("the statement was given up");
                false
            }
            Err(error) => {
                errln!("{error:#}");
                false
            }
        }
    }
}
