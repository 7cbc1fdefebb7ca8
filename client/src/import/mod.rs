//! Files into a server, in pieces that are durable one by one. What was broken off goes on where it was.

mod pieces;
mod position;

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, StatusCode};
use serde_json::Value;

use crate::asking::{self, HttpClient};
use pieces::{Said, batches_of, csv_head, directive, is_annotation, open, piece_end, table_end};
use position::Position;

/// A piece is about this long, in bytes.
const PIECE_BYTES: usize = 4 << 20;
/// Rows of a piece of Arrow.
const PIECE_ROWS: usize = 65_536;
/// How long a server that does not answer, or says that it is busy, is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a file can be divided.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Lines.
    Lines,
    /// Lines, of which some may say which database those behind them are of, as in dumps of InfluxDB 1.
    Dump,
    /// Rows behind a row of names, which stands before every piece, and so does a row of types if there is one; or
    /// tables with annotations, as InfluxDB 2 writes them, with an empty line between two.
    Csv {
        /// Is this line a row of types?
        is_row_of_types: fn(&[u8]) -> bool,
    },
    /// Record batches of Arrow or Parquet.
    Batches,
}

/// What an import tells while it goes on.
pub trait Watch {
    /// So many bytes of the file are read.
    fn read(&self, bytes: u64);
    /// A line is refused; the others are stored.
    fn refused(&self, line: u64, reason: &str);
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Its lines, or rows.
    pub lines: u64,
    /// Those that were refused since it was begun or went on.
    pub refused: u64,
}

/// The import of one file.
pub struct Import<'a> {
    client: HttpClient,
    url: &'a str,
    path: String,
    shape: Shape,
    /// Where the file is; nothing for standard input.
    file: Option<&'a Path>,
    position: Position,
    refused: u64,
    /// Lines before the piece at hand that are no rows, but for the head that is sent with it.
    lines_before: u64,
    /// It has answered once.
    is_there: bool,
}

impl<'a> Import<'a> {
    /// Of a file, or of standard input, to a path of a server. Unless it is to begin anew, it goes on where an earlier
    /// one was broken off.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or changed since an import of it was broken off.
    pub fn new(
        url: &'a str,
        path_of_server: String,
        shape: Shape,
        file: Option<&'a Path>,
        anew: bool,
    ) -> Result<Import<'a>> {
        let position = match file {
            Some(path) => Position::of(path, &format!("{}{path_of_server}", url.trim_end_matches('/')), anew)?,
            None => Position::default(),
        };
        let (client, path) = (asking::new()?, path_of_server);
        Ok(Import { client, url, path, shape, file, position, refused: 0, lines_before: 0, is_there: false })
    }

    /// How long the file is, in bytes; 0 for standard input.
    pub fn length(&self) -> u64 {
        self.position.length
    }

    /// How many of its lines are stored.
    pub fn lines(&self) -> u64 {
        self.position.lines
    }

    /// Sends all pieces that are not stored yet.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the server takes no more; what it took is remembered.
    pub async fn run(mut self, watch: &impl Watch) -> Result<Imported> {
        let (source, read) = open(self.file)?;
        match self.shape {
            Shape::Batches => self.batches(source, watch, &read).await?,
            _ => self.lines_of(source, watch, &read).await?,
        }
        if let Some(path) = self.file {
            self.position.forget(path);
        }
        Ok(Imported { lines: self.position.lines, refused: self.refused })
    }

    async fn lines_of(&mut self, mut source: Box<dyn Read>, watch: &impl Watch, read: &AtomicU64) -> Result<()> {
        let (mut rest, mut said, mut at) = (Vec::new(), Said::default(), 0);
        let mut awaits_head = matches!(self.shape, Shape::Csv { .. });
        loop {
            let room = PIECE_BYTES.saturating_sub(rest.len()).max(PIECE_BYTES / 4);
            let is_all = source.by_ref().take(room as u64).read_to_end(&mut rest)? < room;
            if rest.is_empty() {
                ensure!(at >= self.position.done, "the file is shorter than what was imported of it; see --restart");
                // What there is no row behind may be wrong all the same.
                let is_empty = self.position.lines == 0 && !said.head.is_empty();
                return if is_empty { self.send(said.head.into(), None, watch).await } else { Ok(()) };
            }
            if let (true, Shape::Csv { is_row_of_types }) = (awaits_head, self.shape) {
                let Some(length) = csv_head(&rest, is_row_of_types, is_all) else { continue };
                self.lines_before += lines_in(&said.head);
                said.head = rest.drain(..length).collect();
                (at, awaits_head) = (at + length as u64, false);
                continue;
            }
            let mut end = if is_all { rest.len() } else { piece_end(&rest) };
            if end == 0 {
                continue; // one line that is longer than a piece
            }
            let mut spoken = None;
            match self.shape {
                Shape::Dump => {
                    spoken = directive(&rest[..end]);
                    end = spoken.as_ref().map_or(end, |(start, ..)| *start);
                }
                Shape::Csv { .. } if is_annotation(&said.head) => {
                    let table = table_end(&rest[..end]);
                    awaits_head = table.is_some();
                    end = table.unwrap_or(end);
                }
                _ => {}
            }
            let piece: Vec<u8> = rest.drain(..end).collect();
            at += end as u64;
            if at > self.position.done && !piece.trim_ascii().is_empty() {
                let lines = lines_in(&piece);
                let body = if said.head.is_empty() { piece } else { [&said.head[..], &piece].concat() };
                self.send(body.into(), said.database.as_deref(), watch).await?;
                self.done(at, lines)?;
                watch.read(read.load(Ordering::Relaxed));
            }
            if let Some((start, end, database)) = spoken {
                rest.drain(..end - start);
                at += (end - start) as u64;
                self.lines_before += 1;
                said.database = database.or(said.database);
            }
        }
    }

    async fn batches(&mut self, source: Box<dyn Read>, watch: &impl Watch, read: &AtomicU64) -> Result<()> {
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
                self.send(writer.into_inner()?.into(), None, watch).await?;
                self.done(number, piece.num_rows() as u64)?;
                watch.read(read.load(Ordering::Relaxed));
            }
        }
        Ok(())
    }

    /// Notes that a piece is stored, up to here.
    fn done(&mut self, done: u64, lines: u64) -> Result<()> {
        self.position.done = done;
        self.position.lines += lines;
        self.file.map_or(Ok(()), |path| self.position.keep(path))
    }

    /// Sends a piece until the server has it, and tells what of it was refused.
    async fn send(&mut self, body: Bytes, database: Option<&str>, watch: &impl Watch) -> Result<()> {
        let mut waited = Duration::ZERO;
        // What is said last counts.
        let of_database = |name: &str| format!("{}&{}", self.path, encoded("db", name));
        let path = database.map_or_else(|| self.path.clone(), of_database);
        loop {
            let request = asking::request(Method::POST, self.url, &path)?.body(Full::new(body.clone()))?;
            let why = match self.client.request(request).await {
                Ok(answer) => {
                    self.is_there = true;
                    let status = answer.status();
                    let body = answer.into_body().collect().await?.to_bytes();
                    match status {
                        _ if status.is_success() => return Ok(()),
                        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => {
                            asking::reason(&body).unwrap_or_else(|| status.to_string())
                        }
                        StatusCode::BAD_REQUEST => return self.tell(&body, watch),
                        _ => bail!("{}", asking::reason(&body).unwrap_or_else(|| status.to_string())),
                    }
                }
                Err(error) => {
                    let why = format!("{} does not answer: {:#}", self.url, anyhow::Error::from(error));
                    // Nobody is there, or somebody else: that does not pass by itself.
                    ensure!(self.is_there, "{why}");
                    why
                }
            };
            if waited >= PATIENCE {
                bail!("{why}; start the import again when that is mended, it goes on where it was");
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            waited += Duration::from_secs(1);
        }
    }

    /// Tells the lines of a piece that were refused; the others are stored.
    fn tell(&mut self, answer: &[u8], watch: &impl Watch) -> Result<()> {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let Some(refused) = answer["lines_refused"].as_u64() else {
            bail!("{}", answer["error"].as_str().unwrap_or("the server refused it"));
        };
        for line in answer["data"].as_array().into_iter().flatten() {
            let number = self.position.lines + self.lines_before + line["line_number"].as_u64().unwrap_or_default();
            watch.refused(number, line["error_message"].as_str().unwrap_or_default());
        }
        self.refused += refused;
        Ok(())
    }
}

/// The lines of a text, the last of which need not be ended.
fn lines_in(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64 + u64::from(!text.is_empty() && text.last() != Some(&b'\n'))
}

/// A pair as a query string has it.
fn encoded(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}
