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
    let mut prompt = Prompt { source, db, runtime, format, is_timed: true };
    let config = Config::builder().auto_add_history(false).build();
    let mut editor: Editor<Words, FileHistory> = Editor::with_config(config).context("the terminal")?;
    editor.set_helper(Some(Words(prompt.words())));
    let history = history_path();
    if let Some(path) = &history {
        let _ = editor.load_history(path);
    }
    let mut statement = String::new();
    loop {
        match editor.readline(if statement.is_empty() { "fournines> " } else { "        -> " }) {
            Ok(line) if statement.is_empty() && line.trim_start().starts_with('\\') => {
                let _ = editor.add_history_entry(&line);
                if !prompt.command(line.trim()) {
                    break;
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
        names.lines().skip(1).chain(KEYWORDS.split(' ')).map(str::to_owned).collect()
    }

    /// Does what a command says; false at the end.
    fn command(&mut self, command: &str) -> bool {
        let (name, argument) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        match (name, argument.trim()) {
            ("\\q", _) => return false,
            ("\\?" | "\\h", _) => crate::say::out(format_args!("{HELP}")),
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

    /// Prints the answer, or why there is none; was there one?
    fn answer(&self, statement: &str, format: Format) -> bool {
        let answered = self.runtime.block_on(async {
            let mut print = crate::sql::print;
            tokio::select! {
                answered = self.source.ask(statement, self.db, format, &mut print) => answered.map(|()| true),
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
