//! `fournines import`: files into a server, in pieces that are durable one by one. What was broken off goes on where it was.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use arrow::ipc::reader::{FileReader, StreamReader};
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::{Method, StatusCode};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tsdb::DEFAULT_SCHEMA;

use crate::client::{self, HttpClient};
use crate::progress;

/// A piece is about this long, in bytes.
const PIECE_BYTES: usize = 4 << 20;
/// Rows of a piece of Arrow.
const PIECE_ROWS: usize = 65_536;
/// How long a server that does not answer, or says that it is busy, is tried again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many refused lines are shown.
const SHOWN_MAX: usize = 20;

/// Read files into a server: line protocol, Prometheus text, JSON, CSV or Arrow
#[derive(Debug, clap::Args)]
#[command(after_help = "Files may be packed with gzip or zstd. A '-' is standard input.
An import that was broken off goes on where it was: how far it came is kept beside the file.

Examples:
  fournines import rows.lp.gz
  fournines import --measurement cpu --tags host,region rows.csv
  fournines sql --format jsonl 'SELECT * FROM cpu' | fournines import --format json --measurement copy --tags host -")]
pub struct Args {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What is in them [default: as their names say]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9999", env = "FOURNINES_URL")]
    url: String,
    /// The schema
    #[arg(long, value_name = "SCHEMA", default_value = DEFAULT_SCHEMA)]
    db: String,
    /// The measurement of rows that do not name theirs (json, csv, arrow)
    #[arg(long)]
    measurement: Option<String>,
    /// The columns that are tags (json, arrow)
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
    /// The unit of times that are numbers: ns, us, ms, s
    #[arg(long)]
    precision: Option<String>,
    /// Begin at the start, whatever was imported before
    #[arg(long)]
    restart: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// InfluxDB line protocol (.lp, .line, .txt)
    LineProtocol,
    /// Prometheus text or OpenMetrics (.prom, .metrics)
    Prometheus,
    /// A JSON object a line (.json, .jsonl, .ndjson)
    Json,
    /// A row of names, a row of types, rows (.csv)
    Csv,
    /// An Arrow IPC stream or file (.arrow, .arrows, .feather)
    Arrow,
}

impl Format {
    /// What a file's name says.
    fn of(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?;
        let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(name);
        Some(match name.rsplit_once('.')?.1 {
            "lp" | "line" | "txt" | "influx" => Format::LineProtocol,
            "prom" | "metrics" => Format::Prometheus,
            "json" | "jsonl" | "ndjson" => Format::Json,
            "csv" => Format::Csv,
            "arrow" | "arrows" | "feather" | "ipc" => Format::Arrow,
            _ => return None,
        })
    }

    fn path(self) -> &'static str {
        match self {
            Format::LineProtocol => "/write",
            Format::Prometheus => "/api/v1/import/prometheus",
            Format::Json => "/api/v1/import/json",
            Format::Csv => "/api/v1/import/csv",
            Format::Arrow => "/api/v1/import/arrow",
        }
    }
}

pub fn run(args: Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    let mut refused = 0;
    for file in &args.files {
        let import = Import::new(&args, file)?;
        refused += runtime.block_on(import.run()).with_context(|| format!("import {}", file.display()))?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How far an import has come, as it is kept beside its file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// The file as it was: its length, and when it was written, in ms since the epoch.
    length: u64,
    written_ms: u64,
    /// What of its unpacked bytes is stored (of Arrow: of its pieces), and how many lines these are.
    done: u64,
    lines: u64,
}

/// The import of one file.
struct Import<'a> {
    client: HttpClient,
    url: &'a str,
    path: String,
    format: Format,
    /// Where the file is; nothing for standard input.
    file: Option<&'a Path>,
    position: Position,
    refused: usize,
}

impl<'a> Import<'a> {
    fn new(args: &'a Args, file: &'a Path) -> Result<Import<'a>> {
        let format = args.format.or_else(|| Format::of(file)).with_context(|| {
            format!("what is in {}? say --format line-protocol, prometheus, json, csv or arrow", file.display())
        })?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("db", &args.db).append_pair("tags", &args.tags.join(","));
        if let Some(measurement) = &args.measurement {
            query.append_pair("measurement", measurement);
        }
        if let Some(precision) = &args.precision {
            query.append_pair("precision", precision);
        }
        let path = format!("{}?{}", format.path(), query.finish());
        let file = (file != Path::new("-")).then_some(file);
        let mut position = Position::default();
        if let Some(path) = file {
            let about = std::fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
            let written = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            position = Position { length: about.len(), written_ms: written.as_millis() as u64, ..position };
            if !args.restart
                && let Ok(text) = std::fs::read_to_string(position_path(path))
                && let Ok(known) = serde_json::from_str::<Position>(&text)
            {
                let is_same = (known.length, known.written_ms) == (position.length, position.written_ms);
                ensure!(
                    is_same,
                    "{} has changed since its import was broken off; --restart begins at its start",
                    path.display()
                );
                position = known;
            }
        }
        Ok(Import { client: client::new()?, url: &args.url, path, format, file, position, refused: 0 })
    }

    /// Sends all pieces that are not stored yet; says how many rows were refused.
    async fn run(mut self) -> Result<usize> {
        let bar = progress::bytes("import");
        bar.set_length(self.position.length);
        let (source, read) = open(self.file)?;
        if self.position.done > 0 {
            errln!("going on where it was broken off, behind line {}", self.position.lines);
        }
        match self.format {
            Format::Arrow => self.batches(source, &bar, &read).await?,
            _ => self.lines(source, &bar, &read).await?,
        }
        bar.finish_and_clear();
        if let Some(path) = self.file {
            let _ = std::fs::remove_file(position_path(path)); // it is not there if it was one piece
        }
        let name = self.file.map_or("standard input".into(), |path| path.display().to_string());
        outln!("{name}: {} lines, {} refused", self.position.lines, self.refused);
        Ok(self.refused)
    }

    async fn lines(&mut self, source: Box<dyn Read>, bar: &ProgressBar, read: &AtomicU64) -> Result<()> {
        let mut source = BufReader::with_capacity(1 << 20, source);
        let mut head = Vec::new();
        if self.format == Format::Csv {
            // Every piece needs the rows of names and types.
            for _ in 0..2 {
                source.read_until(b'\n', &mut head)?;
            }
        }
        let skipped = std::io::copy(&mut source.by_ref().take(self.position.done), &mut std::io::sink())?;
        ensure!(skipped == self.position.done, "the file is shorter than what was imported of it; see --restart");
        let mut rest = Vec::new();
        loop {
            let room = PIECE_BYTES.saturating_sub(rest.len()).max(PIECE_BYTES / 4);
            let got = source.by_ref().take(room as u64).read_to_end(&mut rest)?;
            if rest.is_empty() {
                return Ok(());
            }
            let end = if got < room { rest.len() } else { piece_end(&rest) };
            if end == 0 {
                continue; // one line that is longer than a piece
            }
            let piece: Vec<u8> = rest.drain(..end).collect();
            let lines = memchr::memchr_iter(b'\n', &piece).count() as u64 + u64::from(piece.last() != Some(&b'\n'));
            let before = self.position.lines;
            let body = if head.is_empty() { piece } else { [&head[..], &piece].concat() };
            self.send(body.into(), before).await?;
            self.done(end as u64, lines)?;
            bar.set_position(read.load(Ordering::Relaxed));
        }
    }

    async fn batches(&mut self, source: Box<dyn Read>, bar: &ProgressBar, read: &AtomicU64) -> Result<()> {
        let mut number = 0;
        for batch in batches_of(source)? {
            let batch = batch?;
            for first in (0..batch.num_rows()).step_by(PIECE_ROWS) {
                let piece = batch.slice(first, PIECE_ROWS.min(batch.num_rows() - first));
                number += 1;
                if number <= self.position.done {
                    continue;
                }
                let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
                writer.write(&piece)?;
                let before = self.position.lines;
                self.send(writer.into_inner()?.into(), before).await?;
                self.done(1, piece.num_rows() as u64)?;
                bar.set_position(read.load(Ordering::Relaxed));
            }
        }
        Ok(())
    }

    /// Notes that a piece is stored.
    fn done(&mut self, done: u64, lines: u64) -> Result<()> {
        self.position.done += done;
        self.position.lines += lines;
        let Some(path) = self.file else { return Ok(()) };
        let (path, text) = (position_path(path), serde_json::to_string(&self.position)?);
        let draft = path.with_extension("new");
        let write = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &path));
        write.with_context(|| format!("note in {} how far the import has come", path.display()))
    }

    /// Sends a piece until the server has it, and shows what of it was refused.
    async fn send(&mut self, body: Bytes, lines_before: u64) -> Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            let request = client::request(Method::POST, self.url, &self.path)?.body(Full::new(body.clone()))?;
            let why = match self.client.request(request).await {
                Ok(answer) => {
                    let status = answer.status();
                    let body = answer.into_body().collect().await?.to_bytes();
                    match status {
                        _ if status.is_success() => return Ok(()),
                        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => {
                            client::reason(&body).unwrap_or_else(|| status.to_string())
                        }
                        StatusCode::BAD_REQUEST => return self.show(&body, lines_before),
                        _ => bail!("{}", client::reason(&body).unwrap_or_else(|| status.to_string())),
                    }
                }
                Err(error) => format!("{} does not answer: {error}", self.url),
            };
            if waited >= PATIENCE {
                bail!("{why}; start the import again when that is mended, it goes on where it was");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            waited += Duration::from_secs(1);
        }
    }

    /// Shows the lines of a piece that were refused; the others are stored.
    fn show(&mut self, answer: &[u8], lines_before: u64) -> Result<()> {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let Some(refused) = answer["lines_refused"].as_u64() else {
            bail!("{}", answer["error"].as_str().unwrap_or("the server refused it"));
        };
        let shown = SHOWN_MAX.saturating_sub(self.refused);
        for line in answer["data"].as_array().into_iter().flatten().take(shown) {
            let number = lines_before + line["line_number"].as_u64().unwrap_or_default();
            errln!("line {number}: {}", line["error_message"].as_str().unwrap_or_default());
        }
        self.refused += refused as usize;
        Ok(())
    }
}

/// Where it is kept how far an import has come.
fn position_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".import");
    name.into()
}

/// Unpacked bytes, and how many of the file's own were read for them.
fn open(file: Option<&Path>) -> Result<(Box<dyn Read>, Arc<AtomicU64>)> {
    let read = Arc::new(AtomicU64::new(0));
    let raw: Box<dyn Read> = match file {
        Some(path) => Box::new(File::open(path).with_context(|| format!("read {}", path.display()))?),
        None => Box::new(std::io::stdin()),
    };
    let mut counted = BufReader::with_capacity(1 << 16, Counted { inner: raw, read: read.clone() });
    let start = counted.fill_buf()?;
    let source: Box<dyn Read> = match start {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(counted)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(counted)?),
        _ => Box::new(counted),
    };
    Ok((source, read))
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Where a piece can end: at the last newline that does not stand in a quoted text, as far as quotes can be trusted.
fn piece_end(bytes: &[u8]) -> usize {
    let (mut last, mut last_outside, mut is_quoted) = (0, 0, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'"' if at == 0 || bytes[at - 1] != b'\\' => is_quoted = !is_quoted,
            b'\n' => {
                last = at + 1;
                if !is_quoted {
                    last_outside = last;
                }
            }
            _ => {}
        }
    }
    if last_outside > 0 { last_outside } else { last }
}

/// The batches of a stream, or of a file, which is told by its first bytes.
fn batches_of(mut source: Box<dyn Read>) -> Result<Box<dyn Iterator<Item = arrow::error::Result<RecordBatch>>>> {
    let mut start = Vec::new();
    source.by_ref().take(6).read_to_end(&mut start)?;
    if start == b"ARROW1" {
        // A file's end says where its batches are.
        source.read_to_end(&mut start)?;
        return Ok(Box::new(FileReader::try_new(Cursor::new(start), None)?));
    }
    Ok(Box::new(StreamReader::try_new(Cursor::new(start).chain(source), None)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_outside_of_quotes_if_it_can() {
        assert_eq!(piece_end(b"a\nb\nc"), 4);
        assert_eq!(piece_end(b"a s=\"x\ny\" 1\nb s=\"x\ny"), 12);
        assert_eq!(piece_end(b"a\\\"b\nc"), 5);
        assert_eq!(piece_end(b"a=\"b\nc"), 5, "quotes that are none");
        assert_eq!(piece_end(b"abc"), 0);
    }

    #[test]
    fn a_name_says_what_is_in_a_file() {
        for (name, format) in [
            ("x.lp.gz", Some(Format::LineProtocol)),
            ("y.prom", Some(Format::Prometheus)),
            ("z.jsonl.zst", Some(Format::Json)),
            ("dir.csv/x", None),
            ("x.gz", None),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }
}
