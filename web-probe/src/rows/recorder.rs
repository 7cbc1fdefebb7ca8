//! Writes measurements into the store, many at a time, and does not give up.

use std::sync::Arc;
use std::time::Duration;

use domain::Column;
use tokio::sync::mpsc;
use tsdb::{Batch, DEFAULT_SCHEMA, Error, Row, Store};

use crate::rows::record::Record;
use crate::rows::spool::Spool;

/// Rows that may wait for the store; past that their makers wait.
const WAITING_ROWS_MAX: usize = 10_000;
/// How long a refused batch waits before it is handed over again.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// How long rows that go to another server, too, wait for others.
const GATHERING: Duration = Duration::from_millis(100);

/// Takes rows and stores them. Ends when all its handles are gone and every row is stored.
#[derive(Debug, Clone)]
pub struct Recorder {
    store: Arc<Store>,
    rows: mpsc::Sender<Record>,
}

impl Recorder {
    /// Starts the task that writes, into a spool, too, if there is one; it ends after the last clone of the recorder is
    /// dropped.
    pub fn start(store: Arc<Store>, mut spool: Option<Spool>) -> (Recorder, tokio::task::JoinHandle<()>) {
        let (rows, mut waiting) = mpsc::channel(WAITING_ROWS_MAX);
        let recorder = Recorder { store: store.clone(), rows };
        let task = tokio::spawn(async move {
            let mut records = Vec::new();
            while waiting.recv_many(&mut records, WAITING_ROWS_MAX).await > 0 {
                if let Some(spool) = &mut spool {
                    // A file for what comes in a moment, and not for each row.
                    tokio::time::sleep(GATHERING).await;
                    while let (true, Ok(record)) = (records.len() < WAITING_ROWS_MAX, waiting.try_recv()) {
                        records.push(record);
                    }
                    keep(spool, &records).await;
                }
                write(&store, &records).await;
                records.clear();
            }
        });
        (recorder, task)
    }

    /// The store that rows go to.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Makes a table with all the columns that rows may have, so that queries can name them from the first second.
    pub(crate) fn declare(&self, table: &str, tags: &[&str], fields: &[Column]) {
        let fields: Vec<_> = fields.iter().map(|field| (field.name, field.kind)).collect();
        if let Err(error) = self.store.declare(DEFAULT_SCHEMA, table, tags, &fields) {
            tracing::error!("the limits of the store have no room for the table {table}: {error}");
        }
    }

    /// Hands a row over; waits while too many wait.
    pub(crate) async fn record(&self, record: Record) {
        let _ = self.rows.send(record).await; // fails only if the task panicked, which was printed
    }
}

/// Keeps rows for another server; on a full disk tries until there is room.
async fn keep(spool: &mut Spool, records: &[Record]) {
    loop {
        // It waits for the disk: the thread hands its other tasks over meanwhile.
        match tokio::task::block_in_place(|| spool.keep(records)) {
            Ok(true) => return,
            Ok(false) => {
                let (count, dir) = (records.len(), spool.dir().display());
                return tracing::error!("{count} measured rows are not forwarded: {dir} has reached probe.forward_max");
            }
            Err(error) => {
                tracing::warn!("{} measured rows wait: {}: {error}", records.len(), spool.dir().display());
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Stores rows; on a store that is busy or full tries until it takes them.
async fn write(store: &Store, records: &[Record]) {
    loop {
        let outcome = match store.submit(batch(store, records)) {
            Ok(ack) => ack.await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => return,
            Err(error @ (Error::Busy { .. } | Error::DiskFull { .. })) => {
                tracing::warn!("{} measured rows wait: {error}", records.len());
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
            Err(error) => return tracing::error!("{} measured rows are lost: {error}", records.len()),
        }
    }
}

fn batch(store: &Store, records: &[Record]) -> Batch {
    let mut batch = store.batch(DEFAULT_SCHEMA);
    for record in records {
        let tags: Vec<_> = record.tags.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let fields: Vec<_> = record.fields.iter().map(|(name, field)| (*name, field.value())).collect();
        let row = Row { measurement: record.table, tags: &tags, time: record.time_ns, fields: &fields };
        if let Err(error) = batch.push(&row) {
            // Somebody wrote other types into a table of ours: their rows came first.
            tracing::error!("a measured row of table {} is refused: {error}", record.table);
        }
    }
    batch
}
