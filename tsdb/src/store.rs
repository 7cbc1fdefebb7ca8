//! The store: what a program that embeds `tsdb` holds in its hand.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use crossbeam::channel::{Sender, bounded};
use tokio::sync::oneshot;

use crate::appender::Appender;
use crate::base::clock::now_ns;
use crate::base::error::{Error, IoContext, Result, RowError};
use crate::base::options::Options;
use crate::base::options::PAGE_ROWS_MAX;
use crate::base::value::FieldType;
use crate::catalog::change::Change;
use crate::catalog::deletion::Deletion;
use crate::catalog::registry::{ColumnRef, Table};
use crate::catalog::rollup::{Rollup, RollupState};
use crate::catalog::series_set::{SeriesSet, TagPredicate};
use crate::files::data_dir::DataDir;
use crate::files::disk::{Disk, RealDisk};
use crate::files::read_only_disk::ReadOnlyDisk;
use crate::log::closed::Closed;
use crate::log::manifest::Manifest;
use crate::log::wal::CatalogLog;
use crate::open::recovery::{self, Recovered};
use crate::open::snapshot;
use crate::read::aggregate::{AggregateRequest, Aggregation};
use crate::read::newest::Newest;
use crate::read::parts::{self, Part};
use crate::read::scan::{Scan, ScanRequest};
use crate::state::shared::Shared;
use crate::state::stats::{Stats, WriterStats};
use crate::upkeep::keeper::{self, Task};
use crate::upkeep::retainer;
use crate::upkeep::rollup_maker::{self, Which};
use crate::upkeep::sealer::Sealer;
use crate::upkeep::sweeper;
use crate::write::batch::Batch;
use crate::write::log_writer::{LogWriter, Order};
use crate::write::ring::{Full, Ring};

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
    shared: Arc<Shared>,
    orders: Ring<Order>,
    /// Taken by the first close; nothing in a store that is only read.
    threads: Mutex<Option<Threads>>,
    is_read_only: bool,
    /// Held for as long as the store is open.
    _lock: Box<dyn Any + Send + Sync>,
}

/// The threads of an open store.
#[derive(Debug)]
struct Threads {
    /// Ends with how the last sync went.
    writer: JoinHandle<Result<()>>,
    sealer: JoinHandle<()>,
    /// Ends when the sealer does.
    sweeper: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// Ends the keeper when it and the sealer's are dropped.
    tasks: Sender<Task>,
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
    /// How many series it has.
    pub series: u32,
}

impl Store {
    /// Opens the store in `dir`, made if it is not there. What was acknowledged before is there again. What is damaged
    /// is left out, kept in `quarantine/`, and reported: see [`Scan::warnings`].
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process has it open, [`Error::Newer`] if a later version wrote it,
    /// [`Error::Corrupt`] if the catalogue is missing together with its copy, [`Error::Io`] otherwise.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Store> {
        Store::open_on(Arc::new(RealDisk), dir, options)
    }

    /// As [`open`](Self::open), on a disk of the caller's.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_on(disk: Arc<dyn Disk>, dir: impl AsRef<Path>, mut options: Options) -> Result<Store> {
        let dir = DataDir::new(disk, dir.as_ref());
        dir.create_dir(dir.path())?;
        let lock = dir.lock()?;
        options.page_rows = options.page_rows.clamp(1, PAGE_ROWS_MAX);
        let Recovered { shared, log, catalog_log } = recovery::recover(dir, options)?;

        let (orders, orders_in) = Ring::new(shared.options.ring_slots, shared.options.ring_bytes_max);
        // One head may wait while another is sealed and a third is written to: that bounds the memory of heads.
        let (seals, seals_in) = bounded(1);
        let (tasks, tasks_in) = bounded(1);
        let mut backlog = shared.view.load().heads.clone();
        let head = backlog.pop().expect("there is always a head to write to");
        let writer = LogWriter {
            shared: shared.clone(),
            catalog_log,
            log,
            head,
            orders: orders_in,
            seals,
            broken: None,
            unsynced_since: None,
        };
        let (sweeps, sweeps_in) = bounded(sweeper::WAITING_MAX);
        let sealer = Sealer { shared: shared.clone(), seals: seals_in, sweeps, keeper: tasks.clone() };
        let sweeping = shared.clone();
        let keeper = shared.clone();
        let path = shared.dir.path();
        let threads = Threads {
            writer: spawn(path, "writer", &shared, || writer.run())?,
            sealer: spawn(path, "sealer", &shared, move || sealer.run(backlog))?,
            sweeper: spawn(path, "sweeper", &shared, move || sweeper::run(&sweeping, &sweeps_in))?,
            keeper: spawn(path, "keeper", &shared, move || keeper::run(&keeper, &tasks_in))?,
            tasks,
        };
        let threads = Mutex::new(Some(threads));
        Ok(Store { shared, orders, threads, is_read_only: false, _lock: lock })
    }

    /// Opens the store in `dir` for reading: nothing in the folder is changed, which may be on a medium that cannot be
    /// written, or belong to somebody else. What [`open`](Self::open) would mend or finish is so in memory only.
    /// Several may read at the same time.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`Error::Corrupt`] if there is no store. What would write later gets
    /// [`Error::ReadOnly`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use tsdb::{Options, Store};
    ///
    /// Store::open(dir.path(), Options::default())?.close()?;
    /// let store = Store::open_read_only(dir.path(), Options::default())?;
    /// assert!(store.flush().is_err());
    /// # Ok::<(), tsdb::Error>(())
    /// ```
    pub fn open_read_only(dir: impl AsRef<Path>, mut options: Options) -> Result<Store> {
        let dir = DataDir::new(Arc::new(ReadOnlyDisk), dir.as_ref());
        let manifests = Manifest::paths(&dir);
        let catalogs = CatalogLog::paths(&dir);
        let is_there = |path: &PathBuf| dir.length(path).map(|length| length.is_some());
        if !manifests.iter().chain(&catalogs).map(is_there).collect::<Result<Vec<bool>>>()?.contains(&true) {
            return Err(Error::corrupt(&manifests[0], 0, "there is no manifest: this is no data directory"));
        }
        let lock = dir.lock()?;
        options.page_rows = options.page_rows.clamp(1, PAGE_ROWS_MAX);
        let Recovered { shared, .. } = recovery::recover(dir, options)?;
        let (orders, _) = Ring::new(1, 0);
        orders.end();
        Ok(Store { shared, orders, threads: Mutex::new(None), is_read_only: true, _lock: lock })
    }

    /// Refuses what a store that is only read cannot do.
    fn writable(&self) -> Result<()> {
        match self.is_read_only {
            true => Err(Error::ReadOnly { reason: "it was opened for reading only".into() }),
            false => Ok(()),
        }
    }

    /// An empty batch of rows for a schema; the schema and what is in it are made by the first write to it.
    pub fn batch(&self, schema: &str) -> Batch {
        Batch::new(self.shared.catalog.clone(), schema)
    }

    /// What appends columns to a schema.
    pub fn appender(self: &Arc<Store>, schema: &str) -> Appender {
        Appender::new(self.clone(), schema)
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
        self.shared.catalog.declare(schema, table, tags, fields)
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
        assert!(batch.belongs_to(&self.shared.catalog), "a batch is written to the store that made it");
        self.writable()?;
        let (answer, ack) = oneshot::channel();
        let entries = batch.into_entries();
        if entries.is_empty() {
            let _ = answer.send(Ok(()));
            return Ok(Ack(ack));
        }
        let bytes = entries.iter().map(|entry| entry.block().len()).sum();
        self.orders.try_push(Order::Write { entries, answer }, bytes).map_err(|full| self.refusal(full))?;
        Ok(Ack(ack))
    }

    fn refusal(&self, full: Full) -> Error {
        let Options { ring_slots: slots, ring_bytes_max: bytes, .. } = self.shared.options;
        let reason = match full {
            Full::Ended => return Error::Closed,
            Full::Slots => format!("{slots} requests wait to be written (store.ring_slots)"),
            Full::Bytes(waiting) => format!("{waiting} bytes wait to be written, {bytes} may (store.ring_max)"),
        };
        Error::Busy { reason }
    }

    /// Gives the writer an order; waits while the ring is full.
    fn order(&self, order: Order) -> Result<()> {
        self.writable()?;
        self.orders.push(order).map_err(|full| self.refusal(full))
    }

    /// Stores a batch; returns when it is durable (see [`Durability`](crate::Durability)) and visible to scans.
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
        Scan::new(&self.shared, self.find_table(schema, table)?, request)
    }

    /// Aggregates rows of a table: a snapshot of what is visible now.
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan); [`Error::NoNumber`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = tsdb::Store::open(dir.path(), Default::default())?;
    /// use tsdb::{Aggregate, AggregateRequest, Function, Row, ScanRequest, Value};
    /// let mut batch = store.batch("public");
    /// for time in 0..4 {
    ///     batch.push(&Row { measurement: "m", tags: &[], time, fields: &[("v", Value::F64(time as f64))] })?;
    /// }
    /// store.write(batch)?;
    /// let mean = Aggregate { function: Function::Mean, field: Some("v".into()) };
    /// let request = AggregateRequest { rows: ScanRequest::default(), bucket: None, by: vec![], aggregates: vec![mean] };
    /// let aggregation = store.aggregate("public", "m", &request)?;
    /// let groups = aggregation.fold(0, |_| true)?.unwrap();
    /// let mean = aggregation.finish(&groups)?;
    /// assert_eq!(mean.column(0).as_any().downcast_ref::<arrow_array::Float64Array>().unwrap().value(0), 1.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate(&self, schema: &str, table: &str, request: &AggregateRequest) -> Result<Aggregation> {
        Aggregation::new(&self.shared, self.find_table(schema, table)?, request)
    }

    /// The newest row of every series of a table that meets all predicates, in the columns wanted (`None` for all).
    /// Once asked for, it is kept up to date in memory and touches no page, unless there are too many series for
    /// [`Options::last_rows_bytes_max`]. With it comes what is known to be missing, as of [`Scan::warnings`].
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan).
    pub fn last_rows(
        &self,
        schema: &str,
        table: &str,
        columns: Option<&[String]>,
        tags: &[TagPredicate],
    ) -> Result<(RecordBatch, Vec<String>)> {
        let table = self.find_table(schema, table)?;
        let newest = Newest::read(&self.shared, table, columns, tags, i64::MIN)?;
        Ok((newest.batch()?, newest.warnings))
    }

    /// The newest row of every series of a table that meets all predicates and has one at a time (ns since the epoch) or
    /// behind it, in these columns, with [`STALE_MARK`](crate::STALE_MARK)s as they are stored. Kept in memory as
    /// [`last_rows`](Self::last_rows); the first time, no row before that time is read. `None` where there is no room to keep
    /// them: a scan of what is wanted reads less then.
    ///
    /// # Errors
    ///
    /// As [`scan`](Self::scan).
    pub fn newest(
        &self,
        schema: &str,
        table: &str,
        columns: &[String],
        tags: &[TagPredicate],
        from: i64,
    ) -> Result<Option<Newest>> {
        let table = self.find_table(schema, table)?;
        let has_room = self.shared.last_rows.has_room(table.id);
        has_room.then(|| Newest::read(&self.shared, table, Some(columns), tags, from)).transpose()
    }

    /// The values of a tag, sorted.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`], [`Error::UnknownColumn`].
    pub fn tag_values(&self, schema: &str, table: &str, tag: &str) -> Result<Vec<String>> {
        let table = self.find_table(schema, table)?;
        let Some(ColumnRef::Tag(tag)) = table.columns().find(tag) else {
            return Err(Error::UnknownColumn { table: table.name.clone(), column: tag.into() });
        };
        let mut values: Vec<String> = table.tag(tag).values().iter().map(str::to_owned).collect();
        values.sort_unstable();
        Ok(values)
    }

    /// How many series each value of a tag has. Values that no series has any more are among them, with 0.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`], [`Error::UnknownColumn`].
    pub fn series_by_tag_value(&self, schema: &str, table: &str, tag: &str) -> Result<Vec<(String, u64)>> {
        let table = self.find_table(schema, table)?;
        let Some(ColumnRef::Tag(tag)) = table.columns().find(tag) else {
            return Err(Error::UnknownColumn { table: table.name.clone(), column: tag.into() });
        };
        let values = table.tag(tag).values();
        Ok((0..).zip(values.iter()).map(|(code, value)| (value.to_owned(), values.series_count(code))).collect())
    }

    fn find_table(&self, schema: &str, table: &str) -> Result<&Arc<Table>> {
        let found = self.shared.catalog.find_table(schema, table);
        found.ok_or_else(|| Error::UnknownTable { schema: schema.into(), table: table.into() })
    }

    /// Deletes the rows of a table that are there now, in a range of times (both ends included), of the series that
    /// meet all predicates. They are gone when this returns, and stay so; rows that are written later are not touched.
    /// Their bytes go away with the next compaction or roll.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`], [`Error::UnknownColumn`]; as [`submit`](Self::submit) and [`Ack::wait`].
    pub fn delete(&self, schema: &str, table: &str, from: i64, to: i64, tags: &[TagPredicate]) -> Result<()> {
        let table = self.find_table(schema, table)?;
        let series = SeriesSet::choose(table, tags)?.map(|set| set.iter().collect());
        let (answer, ack) = oneshot::channel();
        let deletion = Deletion { table: table.id, from, to, series };
        self.order(Order::Delete { deletion, answer })?;
        Ack(ack).wait()
    }

    /// Drops a table with its rows. It is gone when this returns, and stays so; whoever writes to its name later makes
    /// another one, whose columns begin anew. Rolled days go at once if the disk lets them, the bytes in segments with the next compaction,
    /// what its series take in memory when the store is opened again.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`]; as [`submit`](Self::submit) and [`Ack::wait`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = tsdb::Store::open(dir.path(), Default::default())?;
    /// use tsdb::{FieldType, Row, Value};
    /// let write = |value| {
    ///     let mut batch = store.batch("public");
    ///     batch.push(&Row { measurement: "m", tags: &[], time: 0, fields: &[("v", value)] })?;
    ///     Ok::<_, Box<dyn std::error::Error>>(store.write(batch)?)
    /// };
    /// write(Value::F64(1.5))?;
    /// assert!(write(Value::Str("text")).is_err());
    /// store.drop_table("public", "m")?;
    /// write(Value::Str("text"))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drop_table(&self, schema: &str, table: &str) -> Result<()> {
        self.writable()?;
        let table = self.find_table(schema, table)?;
        self.drop_durably(Change::TableDropped { table: table.id })?;
        // Dropped it is, whatever becomes of its files: the keeper comes by again.
        if let Err(error) = retainer::let_go(&self.shared, table.id) {
            tracing::warn!("the rolled days of {} that was dropped go later: {error}", table.name);
        }
        Ok(())
    }

    /// Drops a field of a table with its values; the rows stay. Whoever writes to its name later makes another one, of
    /// whatever type. Its bytes go when their segments are compacted and their days are rolled anew, which begins now.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTable`], [`Error::UnknownColumn`], [`Error::IsTag`]; [`Error::Rollup`] if a rollup names the
    /// field; as [`submit`](Self::submit) and [`Ack::wait`].
    pub fn drop_field(&self, schema: &str, table: &str, field: &str) -> Result<()> {
        self.writable()?;
        let table = self.find_table(schema, table)?;
        let number = match table.columns().find(field) {
            Some(ColumnRef::Field(number, _)) => number,
            Some(ColumnRef::Tag(_)) => return Err(Error::IsTag { table: table.name.clone(), tag: field.into() }),
            None => return Err(Error::UnknownColumn { table: table.name.clone(), column: field.into() }),
        };
        rollup_maker::refuse_to_drop(&self.shared, table, field)?;
        self.drop_durably(Change::FieldDropped { table: table.id, field: number })?;
        self.shared.last_rows.forget(table.id);
        if let Some(threads) = &*self.threads() {
            let _ = threads.tasks.try_send(Task::Look(Which::All)); // it has something to do, or comes by itself
        }
        Ok(())
    }

    fn drop_durably(&self, change: Change<'static>) -> Result<()> {
        let (answer, ack) = oneshot::channel();
        self.order(Order::Drop { change, answer })?;
        Ack(ack).wait()
    }

    /// The schema and the name of every table.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.shared.catalog.live_tables().map(|table| (table.schema.as_str(), table.name.as_str()))
    }

    /// How often tables and columns have changed. What was known of them before this was asked holds as long as it says the
    /// same.
    pub fn catalog_version(&self) -> u64 {
        self.shared.catalog.version()
    }

    /// One table, with its columns as they are now.
    pub fn table(&self, schema: &str, name: &str) -> Option<TableInfo> {
        let table = self.shared.catalog.find_table(schema, name)?;
        Some(TableInfo {
            schema: table.schema.clone(),
            name: table.name.clone(),
            columns: table.columns().arrow().clone(),
            tags: table.columns().tags.iter().map(ToString::to_string).collect(),
            series: table.series_count(),
        })
    }

    /// The thread of the store that ended by a panic, if one did. The store then takes no writes, and has to be opened
    /// anew.
    pub fn ended(&self) -> Option<&'static str> {
        self.shared.counters.ended()
    }

    /// What the store has done since it was opened, and what it holds.
    pub fn stats(&self) -> Stats {
        let view = self.shared.view.load();
        let mut stats = Stats {
            head_bytes: view.heads.iter().map(|head| head.bytes() as u64).sum(),
            segments: view.segments.len() as u64,
            segment_bytes: view.segments.iter().map(|segment| segment.file_bytes() as u64).sum(),
            rolled_days: view.rolled.len() as u64,
            rolled_bytes: view.rolled.values().map(|rolled| rolled.file_bytes() as u64).sum(),
            rollup_days: view.rollup_days.values().flatten().count() as u64,
            rollup_bytes: view.rollup_days.values().flatten().map(|day| day.file.file_bytes() as u64).sum(),
            damaged: self.shared.health.count() as u64,
            in_doubt: self.shared.health.count_in_doubt() as u64,
            catalog_bytes: self.shared.catalog.bytes() as u64,
            footers_bytes: self.shared.footers.bytes() as u64,
            last_rows_bytes: self.shared.last_rows.bytes() as u64,
            tables: self.shared.catalog.live_tables().count() as u64,
            series: self.shared.catalog.live_tables().map(|table| u64::from(table.series_count())).sum(),
            ..Stats::default()
        };
        self.shared.counters.fill(&mut stats);
        stats
    }

    /// How the writer has worked since the store was opened.
    pub fn writer_stats(&self) -> WriterStats {
        let counters = &self.shared.counters;
        WriterStats {
            ring_depth: self.orders.depth(),
            ring_bytes: self.orders.bytes(),
            ring_slots: self.shared.options.ring_slots,
            group_requests: counters.group_requests.summary(),
            sync_ns: counters.sync_ns.summary(),
        }
    }

    /// Seals the head: everything acknowledged so far is in segments when this returns.
    ///
    /// # Errors
    ///
    /// Why sealing failed; it is tried again, the rows are in the log. [`Error::Closed`].
    pub fn flush(&self) -> Result<()> {
        let (answer, ack) = oneshot::channel();
        self.order(Order::Flush { answer })?;
        Ack(ack).wait()
    }

    /// Does all background work that can be done: seals the head, lets go what retention has left, rolls the days
    /// that are due, and merges all segments into one. The store does the like by itself, in smaller steps.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush), and why a step failed: it is tried again later. Damaged pages are no failure: their
    /// segments stay as they are.
    pub fn compact(&self) -> Result<()> {
        self.flush()?;
        let (answer, ack) = oneshot::channel();
        let tasks = self.threads().as_ref().map(|threads| threads.tasks.clone());
        tasks.ok_or(Error::Closed)?.send(Task::All { answer }).map_err(|_| Error::Closed)?;
        Ack(ack).wait()
    }

    /// Somebody knows of what was lost from logs, or is in doubt: answers do not warn of it any more, now and after
    /// every opening. Returns what it was. What is damaged in files that are still there goes on being told.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]: nothing has changed.
    pub fn accept_damage(&self) -> Result<Vec<String>> {
        self.writable()?;
        self.shared.health.accept()
    }

    /// Makes a snapshot in the folder `to`, which must not be there: a data directory with every row that was
    /// acknowledged before the call, and a few that came during it. Segments and rolled days are hard links, so it
    /// takes hardly any room or time. To use it, copy it with [`restore`](crate::restore).
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush); [`Error::Io`] if `to` is there.
    pub fn snapshot(&self, to: impl AsRef<Path>) -> Result<()> {
        self.flush()?;
        snapshot::snapshot(&self.shared, to.as_ref())
    }

    /// Declares a rollup: aggregations that its buckets can be put together to are answered from them, as far as these
    /// are made, and with the same outcome. Its days are made in the background, and kept up to date. Declared once
    /// more, nothing happens.
    ///
    /// # Errors
    ///
    /// [`Error::Rollup`] if it is wrong, or another one has the name; [`Error::Io`].
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = tsdb::Store::open(dir.path(), Default::default())?;
    /// use tsdb::{Aggregate, AggregateRequest, Function, Rollup, Row, ScanRequest, Value};
    /// store.declare_rollup(Rollup {
    ///     name: "m_1h".into(),
    ///     schema: "public".into(),
    ///     table: "m".into(),
    ///     width_ns: 3600_000_000_000,
    ///     conditions: vec![],
    ///     fields: None,
    ///     configured: false,
    /// })?;
    /// let mut batch = store.batch("public");
    /// batch.push(&Row { measurement: "m", tags: &[], time: 0, fields: &[("v", Value::F64(1.5))] })?;
    /// store.write(batch)?;
    /// store.compact()?; // seals, merges, and makes what is behind
    /// assert_eq!(store.rollups()[0].days, 1);
    /// let sum = Aggregate { function: Function::Sum, field: Some("v".into()) };
    /// let request = AggregateRequest { rows: ScanRequest::default(), bucket: None, by: vec![], aggregates: vec![sum] };
    /// let aggregation = store.aggregate("public", "m", &request)?;
    /// assert_eq!(aggregation.rollups()["m_1h"], 1);
    /// # store.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn declare_rollup(&self, rollup: Rollup) -> Result<()> {
        self.writable()?;
        rollup_maker::declare(&self.shared, rollup)?;
        if let Some(threads) = &*self.threads() {
            let _ = threads.tasks.try_send(Task::Look(Which::All)); // it has something to do, or comes by itself
        }
        Ok(())
    }

    /// Declares the rollups of a configuration; those that it had before and does not have any more go.
    ///
    /// # Errors
    ///
    /// As [`declare_rollup`](Self::declare_rollup).
    pub fn configure_rollups(&self, rollups: Vec<Rollup>) -> Result<()> {
        let names: Vec<&str> = rollups.iter().map(|rollup| rollup.name.as_str()).collect();
        rollup_maker::keep_configured(&self.shared, &names)?;
        rollups.into_iter().try_for_each(|rollup| self.declare_rollup(Rollup { configured: true, ..rollup }))
    }

    /// Removes a rollup.
    ///
    /// # Errors
    ///
    /// [`Error::Rollup`] if there is none of that name, or it is one of the configuration; [`Error::Io`].
    pub fn remove_rollup(&self, name: &str) -> Result<()> {
        self.writable()?;
        rollup_maker::remove(&self.shared, name)
    }

    /// The rollups that are declared, by name, and how far they are.
    pub fn rollups(&self) -> Vec<RollupState> {
        rollup_maker::states(&self.shared, now_ns())
    }

    /// What the store is made of: where the rows of each table and day are.
    pub fn parts(&self) -> Vec<Part> {
        parts::parts(&self.shared)
    }

    /// Ends the store: what was handed over is written and synced, a seal under way is left to the next start.
    /// Scans that have begun go on; writes are refused with [`Error::Closed`].
    ///
    /// # Errors
    ///
    /// Why the last sync failed.
    pub fn close(&self) -> Result<()> {
        self.shared.closing.store(true, Ordering::Relaxed);
        let threads = self.threads().take();
        let Some(Threads { writer, sealer, sweeper, keeper, tasks }) = threads else {
            return Ok(()); // closed before
        };
        let _ = self.orders.push(Order::Close); // fails only if the writer has ended
        let outcome = writer.join();
        self.orders.end();
        let _ = sealer.join(); // a panic was printed when it happened
        let _ = sweeper.join();
        drop(tasks);
        let _ = keeper.join();
        let outcome = outcome.unwrap_or(Err(Error::Closed));
        // After an end that was not clean nothing is known, and nothing is said.
        if outcome.is_ok() && self.ended().is_none() && !self.stats().read_only {
            // Without it the next one knows less; everything is on disk all the same.
            if let Err(error) = Closed::write(&self.shared.dir) {
                tracing::warn!("the mark of a clean end is missing: {error}");
            }
        }
        outcome
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

/// Starts a thread. One that panics is seen (`Store::ended`): nobody waits for it before the store closes.
fn spawn<T: Send + 'static>(
    dir: &Path,
    name: &'static str,
    shared: &Arc<Shared>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let shared = shared.clone();
    let seen = move || match catch_unwind(AssertUnwindSafe(work)) {
        Ok(outcome) => outcome,
        Err(panic) => {
            shared.counters.thread_ended(name);
            resume_unwind(panic)
        }
    };
    std::thread::Builder::new().name(format!("tsdb-{name}")).spawn(seen).on("start a thread for", dir)
}
