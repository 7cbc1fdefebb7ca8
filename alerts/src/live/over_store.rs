//! Rules over a store: what they ask, and what they make.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ingest::samples::Samples;
use promql::base::labels::Labels;
use promql::engine::{Allowance, Settings};
use promql::model::samples::Sample;
use promql::stored::{HistogramRow, Metrics, Stored};
use promql::syntax::Expr;
use runner::Memory;
use tsdb::{Batch, DEFAULT_SCHEMA, Store, Value};

use super::ledger::Ledger;
use super::sql::{Sql, values_of};
use crate::base::clock::NS_PER_MS;
use crate::notices::{Going, Notice, Outbox, notices};
use crate::ready::Slots;
use crate::rules::Ready;
use crate::silences::Silences;
use crate::state::{Engine, Event, Hinders, Judgement, Made, instant};

/// A write that is told to come back comes back so often, after such a pause.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// A store, and what may be taken to ask it.
pub(super) struct OverStore<'a> {
    pub store: &'a Store,
    pub metrics: &'a Metrics,
    pub settings: &'a Settings,
    pub memory: &'a Memory,
    pub sql: &'a dyn Sql,
    pub ledger: &'a Ledger,
    pub outbox: &'a Outbox,
    pub silences: &'a Silences,
    pub slots: &'a Mutex<Slots>,
    /// Did it read what slots have come?
    pub has_read: Cell<bool>,
    pub deadline: Instant,
}

impl Engine for OverStore<'_> {
    fn ask(&self, expr: &Expr, at_ms: i64) -> Result<Vec<(Labels, Sample)>, String> {
        let allowance = Allowance::of(self.memory).until(self.deadline);
        let stored = Stored::new(self.store, self.metrics, DEFAULT_SCHEMA, &allowance);
        let found = instant(expr, at_ms, self.settings, &stored, &allowance)?;
        // Damaged rows are missing: an answer without them may be wrong, and nobody would see it in what is recorded.
        match stored.warnings().into_iter().next() {
            Some(warning) => Err(warning),
            None => Ok(found),
        }
    }

    fn ask_sql(&self, statement: &str, at_ms: i64) -> Result<Vec<(Labels, Option<f64>)>, String> {
        let batches = self.sql.rows(statement, at_ms)?;
        let mut rows = Vec::new();
        for batch in &batches {
            rows.extend(values_of(batch)?);
        }
        Ok(rows)
    }

    fn hindrance(&self, labels: &Labels, targets: Option<&Hinders<'_>>, at_ms: i64) -> Option<String> {
        // Where slots cannot be read, rather told than not.
        let explained = || self.slots(at_ms).ok()?.hindrance(targets?, at_ms);
        self.silences.of(labels, at_ms).or_else(explained)
    }

    fn judge(&self, ready: Ready, at_ms: i64, active: &[Labels]) -> Result<Judgement, String> {
        Ok(self.slots(at_ms)?.judge(ready, at_ms, active))
    }

    fn keep(&self, made: &Made) -> Result<(), String> {
        let events: Vec<(Event, Vec<Going>)> =
            made.events.iter().map(|event| (event.clone(), self.outbox.whom(event))).collect();
        let notices = notices(&events);
        let (mut written, mut refused) = (Ok(()), None);
        for _ in 0..TRIES {
            let batch;
            (batch, refused) = self.batch(&made.samples, &events, &notices);
            written = self.store.write(batch);
            // Others write more than the disk takes: what happened to alerts waits, and is not lost by it.
            match written {
                Err(tsdb::Error::Busy { .. }) => std::thread::sleep(PAUSE),
                _ => break,
            }
        }
        // Where nothing can be stored somebody is told all the same; only a restart may tell it again then.
        self.outbox.tell(notices);
        written.map_err(|error| error.to_string())?;
        refused.map_or(Ok(()), Err)
    }
}

impl OverStore<'_> {
    /// The slots that have come: read once for all rules of a group.
    fn slots(&self, at_ms: i64) -> Result<MutexGuard<'_, Slots>, String> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.has_read.replace(true) {
            slots.read(self.store, at_ms).map_err(|error| error.to_string())?;
        }
        Ok(slots)
    }

    /// The rows of what was made, and why one of them cannot be taken.
    fn batch(
        &self,
        made: &[(Labels, i64, Sample)],
        events: &[(Event, Vec<Going>)],
        notices: &[Notice],
    ) -> (Batch, Option<String>) {
        let mut batch = self.store.batch(DEFAULT_SCHEMA);
        let mut refused = None;
        let mut samples = Samples::new(&mut batch);
        for (labels, time_ms, sample) in made {
            if let Err(error) = push(&mut samples, labels, *time_ms, sample) {
                refused.get_or_insert_with(|| format!("{labels}: {error}"));
            }
        }
        for (event, channels) in events {
            if let Err(error) = self.ledger.push(event, channels, &mut batch) {
                refused.get_or_insert_with(|| format!("{}: {error}", event.rule));
            }
        }
        if let Err(error) = self.outbox.record(notices, &mut batch) {
            refused.get_or_insert_with(|| format!("notices: {error}"));
        }
        (batch, refused)
    }
}

fn push(samples: &mut Samples<'_>, labels: &Labels, time_ms: i64, sample: &Sample) -> Result<(), tsdb::RowError> {
    let time = time_ms.saturating_mul(NS_PER_MS);
    let own = labels.without_metric();
    match sample {
        Sample::Float(value) => samples.push(labels.metric(), own.iter(), time, &[("value", Value::F64(*value))]),
        Sample::Histogram(histogram) => {
            samples.push(labels.metric(), own.iter(), time, &HistogramRow::of(histogram).fields())
        }
    }
}
