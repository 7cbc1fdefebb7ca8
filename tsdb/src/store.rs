//! The store: what a program that embeds `tsdb` holds in its hand.

use std::fs::File;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use arrow_schema::SchemaRef;
use crossbeam::channel::{Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use crate::batch::Batch;
use crate::catalog::Catalog;
use crate::compactor::{Compact, Compactor};
use crate::disk::{self, AppendFile};
use crate::error::{Error, IoContext, Result, RowError};
use crate::head::Head;
use crate::log;
use crate::manifest::{Manifest, ManifestFile};
use crate::scan::{Scan, ScanRequest, arrow_schema};
use crate::sealer::Sealer;
use crate::segment::{self, PAGE_ROWS_MAX, Segment};
use crate::stats::{Counters, Stats};
use crate::value::FieldType;
use crate::view::View;
use crate::writer::{Durability, Order, Writer};

/// The folders in a data directory.
const PARTS: [&str; 2] = ["wal", "segments"];
/// The schema of a write that names none.
pub const DEFAULT_SCHEMA: &str = "public";

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// When a write is acknowledged.
    pub durability: Durability,
    /// The head is sealed when its frames reach this many bytes.
    pub head_bytes_max: usize,
    /// A page has at most this many rows, itself at most [`PAGE_ROWS_MAX`]. Smaller pages find the rows of one series
    /// faster and compress less.
    pub page_rows: usize,
    /// How many write requests may wait for the writer before [`Error::Busy`].
    pub ring_slots: usize,
}

impl Default for Options {
    /// Synced acknowledgements, a head of 64 MiB, the largest pages, 1024 waiting requests.
    fn default() -> Options {
        Options {
            durability: Durability::Sync,
            head_bytes_max: 64 * 1024 * 1024,
            page_rows: PAGE_ROWS_MAX,
            ring_slots: 1024,
        }
    }
}

/// A time-series store in a directory of its own.
///
/// ```
/// use tsdb::{Options, Row, ScanRequest, Store, Value};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let store = Store::open(dir.path(), Options::default())?;
/// let mut batch = store.batch("public");
/// batch.push(&Row {
///     measurement: "cpu",
///     tags: &[("host", "web1")],
///     time: 1_767_225_600_000_000_000,
///     fields: &[("usage", Value::F64(12.5)), ("cores", Value::I64(8))],
/// })?;
/// store.write(batch)?; // returns when the row would survive a power cut
///
/// let scan = store.scan("public", "cpu", &ScanRequest::default())?;
/// let rows: usize = scan.read_all().map(|batch| batch.unwrap().num_rows()).sum();
/// assert_eq!(rows, 1);
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Store {
    catalog: Arc<Catalog>,
    view: Arc<ArcSwap<View>>,
    counters: Arc<Counters>,
    orders: Sender<Order>,
    ring_slots: usize,
    closing: Arc<AtomicBool>,
    /// Taken by the first close.
    threads: Mutex<Option<Threads>>,
    /// Held for as long as the store is open.
    _lock: File,
}

/// The threads of an open store.
#[derive(Debug)]
struct Threads {
    /// Ends with how the last sync went.
    writer: JoinHandle<Result<()>>,
    sealer: JoinHandle<()>,
    compactor: JoinHandle<()>,
    /// Ends the compactor when it and the sealer's are dropped.
    compact: Sender<Compact>,
}

/// A write under way. Await it, or [`wait`](Self::wait) for it on a thread.
#[derive(Debug)]
#[must_use = "a write is acknowledged only by its Ack"]
pub struct Ack(oneshot::Receiver<Result<()>>);

impl Ack {
    /// Blocks until the rows are durable and visible.
    ///
    /// # Errors
    ///
    /// Why the rows were not stored.
    pub fn wait(self) -> Result<()> {
        self.0.blocking_recv().unwrap_or(Err(Error::Closed))
    }
}

impl Future for Ack {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(Error::Closed)))
    }
}

/// A table's name and columns.
#[derive(Debug, Clone)]
pub struct TableInfo {
    /// The schema that it is in.
    pub schema: String,
    /// The measurement.
    pub name: String,
    /// Its columns: `time`, then the tags (dictionaries of strings), then the fields.
    pub columns: SchemaRef,
    /// Names of the tags.
    pub tags: Vec<String>,
}

impl Store {
    /// Opens the store in `dir`, made if it is not there. What was acknowledged before is there again.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process has it open, [`Error::Corrupt`] if a manifest, catalogue or segment
    /// cannot be read, [`Error::Io`] otherwise.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Store> {
        let dir = dir.as_ref().to_owned();
        disk::create_dir(&dir)?;
        let lock = disk::lock(&dir.join("LOCK"))?;
        for part in PARTS {
            disk::create_dir(&dir.join(part))?;
        }
        let manifest = Manifest::load(&dir)?;
        remove_leftovers(&dir, &manifest)?;

        let catalog = Arc::new(Catalog::new());
        let catalog_end = log::replay_catalog(&dir, &catalog)?;
        let segments = manifest.segments.iter().map(|id| Segment::open(&dir, *id).map(Arc::new));
        let segments = segments.collect::<Result<Vec<_>>>()?;
        segments.iter().try_for_each(|segment| segment.check(&catalog))?;
        let (heads, log) = recover_heads(&dir, &manifest, &catalog)?;
        let catalog_log = log::open_catalog(&dir, catalog_end)?;
        let head = heads.last().expect("there is always a head to write to").clone();
        let view = Arc::new(ArcSwap::from_pointee(View { segments, heads: heads.clone() }));

        let (orders, orders_in) = bounded(options.ring_slots);
        // One head may wait while another is sealed and a third is written to: that bounds the memory of heads.
        let (seals, seals_in) = bounded(1);
        let (compact, compact_in) = bounded(1);
        let page_rows = options.page_rows.clamp(1, PAGE_ROWS_MAX);
        let manifest = Arc::new(ManifestFile::new(&dir, manifest));
        let backlog = heads[..heads.len() - 1].to_vec();
        let closing = Arc::new(AtomicBool::new(false));
        let counters = Arc::new(Counters::default());
        let writer = Writer {
            dir: dir.clone(),
            durability: options.durability,
            head_bytes_max: options.head_bytes_max,
            catalog: catalog.clone(),
            catalog_log,
            log,
            head,
            view: view.clone(),
            counters: counters.clone(),
            orders: orders_in,
            seals,
            broken: None,
            unsynced_since: None,
        };
        let sealer = Sealer {
            dir: dir.clone(),
            page_rows,
            catalog: catalog.clone(),
            manifest: manifest.clone(),
            view: view.clone(),
            seals: seals_in,
            compactor: compact.clone(),
            closing: closing.clone(),
        };
        let compactor = Compactor {
            dir: dir.clone(),
            page_rows,
            manifest,
            view: view.clone(),
            orders: compact_in,
            closing: closing.clone(),
        };
        let threads = Threads {
            writer: spawn(&dir, "writer", || writer.run())?,
            sealer: spawn(&dir, "sealer", move || sealer.run(backlog))?,
            compactor: spawn(&dir, "compactor", || compactor.run())?,
            compact,
        };
        let threads = Mutex::new(Some(threads));
        Ok(Store { catalog, view, counters, orders, ring_slots: options.ring_slots, closing, threads, _lock: lock })
    }

    /// An empty batch of rows for a schema; the schema and what is in it are made by the first write to it.
    pub fn batch(&self, schema: &str) -> Batch {
        Batch::new(self.catalog.clone(), schema)
    }

    /// Makes a table with these columns before it has rows, so that queries can name them all. Columns that it has
    /// already stay as they are.
    ///
    /// # Errors
    ///
    /// A name is empty, too long, or `time`.
    pub fn declare(
        &self,
        schema: &str,
        table: &str,
        tags: &[&str],
        fields: &[(&str, FieldType)],
    ) -> Result<(), RowError> {
        self.catalog.declare(schema, table, tags, fields)
    }

    /// Hands a batch to the writer. The [`Ack`] tells when it is durable and visible.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if the writer is too far behind, [`Error::Closed`].
    ///
    /// # Panics
    ///
    /// If the batch was made by another store.
    pub fn submit(&self, batch: Batch) -> Result<Ack> {
        assert!(batch.belongs_to(&self.catalog), "a batch is written to the store that made it");
        let (answer, ack) = oneshot::channel();
        let frames = batch.into_frames();
        if frames.is_empty() {
            let _ = answer.send(Ok(()));
            return Ok(Ack(ack));
        }
        match self.orders.try_send(Order::Write { frames, answer }) {
            Ok(()) => Ok(Ack(ack)),
            Err(TrySendError::Full(_)) => Err(Error::Busy { capacity: self.ring_slots }),
            Err(TrySendError::Disconnected(_)) => Err(Error::Closed),
        }
    }

    /// Stores a batch; returns when it is durable (see [`Durability`]) and visible to scans.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit) and [`Ack::wait`].
    pub fn write(&self, batch: Batch) -> Result<()> {
        self.submit(batch)?.wait()
    }

    /// Reads a table: a snapshot of what is visible now.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`], [`Error::UnknownColumn`]. Damaged pages are errors of the batches.
    pub fn scan(&self, schema: &str, table: &str, request: &ScanRequest) -> Result<Scan> {
        let view = self.view.load_full();
        match self.catalog.find_table(schema, table) {
            Some(table) => Scan::new(&view, table, request),
            None => Err(Error::UnknownTable { schema: schema.into(), table: table.into() }),
        }
    }

    /// The schema and the name of every table.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.catalog.tables().map(|table| (table.schema.as_str(), table.name.as_str()))
    }

    /// One table, with its columns as they are now.
    pub fn table(&self, schema: &str, name: &str) -> Option<TableInfo> {
        let table = self.catalog.find_table(schema, name)?;
        Some(TableInfo {
            schema: table.schema.clone(),
            name: table.name.clone(),
            columns: arrow_schema(table),
            tags: table.columns().tags.iter().map(ToString::to_string).collect(),
        })
    }

    /// What the store has done since it was opened, and what it holds.
    pub fn stats(&self) -> Stats {
        let view = self.view.load();
        let mut stats = Stats {
            head_bytes: view.heads.iter().map(|head| head.bytes() as u64).sum(),
            segments: view.segments.len() as u64,
            segment_bytes: view.segments.iter().map(|segment| segment.file_bytes() as u64).sum(),
            tables: self.catalog.tables().count() as u64,
            series: self.catalog.tables().map(|table| table.series_count() as u64).sum(),
            ..Stats::default()
        };
        self.counters.fill(&mut stats);
        stats
    }

    /// Seals the head: everything acknowledged so far is in segments when this returns.
    ///
    /// # Errors
    ///
    /// Why sealing failed; it is tried again, the rows are in the log. [`Error::Closed`].
    pub fn flush(&self) -> Result<()> {
        let (answer, ack) = oneshot::channel();
        self.orders.send(Order::Flush { answer }).map_err(|_| Error::Closed)?;
        Ack(ack).wait()
    }

    /// Seals the head and merges all segments into one. The store does the like by itself, in smaller steps.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush); a page that cannot be read keeps its segments from being merged.
    pub fn compact(&self) -> Result<()> {
        self.flush()?;
        let (answer, ack) = oneshot::channel();
        let compact = self.threads().as_ref().map(|threads| threads.compact.clone());
        compact.ok_or(Error::Closed)?.send(Compact::All { answer }).map_err(|_| Error::Closed)?;
        Ack(ack).wait()
    }

    /// Ends the store: what was handed over is written and synced, a seal under way is left to the next start.
    /// Scans that have begun go on; writes are refused with [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// Why the last sync failed.
    pub fn close(&self) -> Result<()> {
        self.closing.store(true, Ordering::Relaxed);
        let _ = self.orders.send(Order::Close); // fails only if the writer has ended
        let threads = self.threads().take();
        let Some(Threads { writer, sealer, compactor, compact }) = threads else {
            return Ok(()); // closed before
        };
        let outcome = writer.join();
        let _ = sealer.join(); // a panic was printed when it happened
        drop(compact);
        let _ = compactor.join();
        outcome.unwrap_or(Err(Error::Closed))
    }

    fn threads(&self) -> MutexGuard<'_, Option<Threads>> {
        self.threads.lock().expect("nothing panics while it holds the threads")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!("closing the store: {error}");
        }
    }
}

fn spawn<T: Send + 'static>(
    dir: &Path,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().name(format!("tsdb-{name}")).spawn(work).on("start a thread for", dir)
}

/// Removes files of the store's own that the manifest does not name: a crash came between their making and their
/// counting, or between their replacement and their removal.
fn remove_leftovers(dir: &Path, manifest: &Manifest) -> Result<()> {
    let counts = |path: &Path| match log::number(path) {
        Some(number) => number >= manifest.first_log,
        None => manifest.segments.iter().any(|id| *path == segment::path(dir, *id)),
    };
    let ours = |path: &Path| path.extension().is_some_and(|kind| ["log", "seg", "tmp"].iter().any(|own| kind == *own));
    for part in PARTS {
        for path in disk::list(&dir.join(part))?.iter().filter(|path| ours(path) && !counts(path)) {
            disk::remove(path)?;
        }
    }
    Ok(())
}

/// The heads of all log files that are not sealed, and the last of those files, to be written on.
fn recover_heads(dir: &Path, manifest: &Manifest, catalog: &Catalog) -> Result<(Vec<Arc<Head>>, AppendFile)> {
    let mut numbers = Vec::new();
    for path in disk::list(&dir.join("wal"))? {
        if let Some(number) = log::number(&path)
            && log::exists(&path)?
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    let mut heads = Vec::new();
    let mut last = None;
    for number in numbers {
        let (frames, file) = log::recover(dir, number, catalog)?;
        heads.push(Arc::new(Head::new(number, frames)));
        last = Some(file);
    }
    let log = match last {
        Some(file) => file,
        None => {
            heads.push(Arc::new(Head::new(manifest.first_log, Vec::new())));
            log::create(dir, manifest.first_log)?
        }
    };
    Ok((heads, log))
}
