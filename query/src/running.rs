//! The queries that run and the last ones that ended, with what they cost: `system.queries`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array};
use arrow::error::ArrowError;

/// How many queries that ended are kept.
const ENDED_MAX: usize = 200;
/// So much of a statement is kept, in bytes.
const STATEMENT_BYTES_MAX: usize = 2000;

/// The queries of an engine.
#[derive(Debug, Default)]
pub(crate) struct Queries(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    next: u64,
    running: BTreeMap<u64, Query>,
    ended: VecDeque<(u64, Query)>,
}

/// A query and what it has cost so far.
#[derive(Debug, Clone)]
struct Query {
    statement: String,
    schema: String,
    /// ns since the epoch.
    started: i64,
    since: Instant,
    /// Until the plan was there, if there is one.
    planned_ms: Option<f64>,
    total_ms: Option<f64>,
    rows: u64,
    bytes: u64,
    state: &'static str,
    error: Option<String>,
}

/// A query while it runs. Dropped before it has ended, it was given up.
#[derive(Debug)]
pub(crate) struct Running {
    queries: Arc<Queries>,
    id: u64,
}

impl Queries {
    fn lock(&self) -> MutexGuard<'_, All> {
        // What a panic left half done are figures of one query.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A query begins.
    pub(crate) fn begin(self: &Arc<Queries>, statement: &str, schema: &str) -> Running {
        let mut end = statement.len().min(STATEMENT_BYTES_MAX);
        while !statement.is_char_boundary(end) {
            end -= 1;
        }
        let query = Query {
            statement: statement[..end].into(),
            schema: schema.into(),
            started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64),
            since: Instant::now(),
            planned_ms: None,
            total_ms: None,
            rows: 0,
            bytes: 0,
            state: "running",
            error: None,
        };
        let mut all = self.lock();
        let id = all.next;
        all.next += 1;
        all.running.insert(id, query);
        Running { queries: self.clone(), id }
    }

    /// All of them as a table, the newest first.
    pub(crate) fn rows(&self) -> Result<RecordBatch, ArrowError> {
        let all = self.lock();
        let running = all.running.iter().rev().map(|(id, query)| (*id, query.clone()));
        let queries: Vec<(u64, Query)> = running.chain(all.ended.iter().rev().cloned()).collect();
        drop(all);
        let texts = |text: fn(&Query) -> Option<&str>| -> ArrayRef {
            Arc::new(queries.iter().map(|(_, query)| text(query)).collect::<StringArray>())
        };
        let numbers = |number: fn(&Query) -> u64| -> ArrayRef {
            Arc::new(UInt64Array::from_iter_values(queries.iter().map(|(_, query)| number(query))))
        };
        let times = |ms: fn(&Query) -> Option<f64>| -> ArrayRef {
            Arc::new(queries.iter().map(|(_, query)| ms(query)).collect::<Float64Array>())
        };
        let started = TimestampNanosecondArray::from_iter_values(queries.iter().map(|(_, query)| query.started));
        let so_far = |query: &Query| query.total_ms.or_else(|| Some(ms(query.since)));
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(UInt64Array::from_iter_values(queries.iter().map(|(id, _)| *id))) as ArrayRef, false),
            ("started", Arc::new(started.with_timezone("UTC")), false),
            ("state", texts(|query| Some(query.state)), false),
            ("db", texts(|query| Some(&query.schema)), false),
            ("statement", texts(|query| Some(&query.statement)), false),
            ("planned_ms", times(|query| query.planned_ms), true),
            ("total_ms", times(so_far), true),
            ("rows", numbers(|query| query.rows), false),
            ("bytes", numbers(|query| query.bytes), false),
            ("error", texts(|query| query.error.as_deref()), true),
        ])
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

impl Running {
    fn change(&self, change: impl FnOnce(&mut Query)) {
        if let Some(query) = self.queries.lock().running.get_mut(&self.id) {
            change(query);
        }
    }

    /// The plan is there.
    pub(crate) fn planned(&self) {
        self.change(|query| query.planned_ms = Some(ms(query.since)));
    }

    /// Rows are there; their size is what they take in memory. How many there are so far comes back.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> u64 {
        let mut rows = 0;
        self.change(|query| {
            query.rows += batch.num_rows() as u64;
            query.bytes += batch.get_array_memory_size() as u64;
            rows = query.rows;
        });
        rows
    }

    /// All rows are there, or it failed.
    pub(crate) fn end(&self, error: Option<String>) {
        self.finish(if error.is_some() { "failed" } else { "done" }, error);
    }

    fn finish(&self, state: &'static str, error: Option<String>) {
        let mut all = self.queries.lock();
        let Some(mut query) = all.running.remove(&self.id) else { return };
        query.total_ms = Some(ms(query.since));
        (query.state, query.error) = (state, error);
        if all.ended.len() == ENDED_MAX {
            all.ended.pop_front();
        }
        all.ended.push_back((self.id, query));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish("given up", None);
    }
}
