//! The silences that there are, and their rows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};

use domain::tables::SILENCES;
use promql::base::labels::Labels;
use tsdb::{DEFAULT_SCHEMA, Row, Store, TIME_COLUMN, Value};

use super::silence::{Silence, Wrong};
use crate::base::clock::{Clock, NS_PER_MS, now_ms};
use crate::base::rows::{Rows, columns_there};
use crate::base::text::id;

/// One that is over is shown for so long.
const SHOWN_MS: i64 = 5 * 86_400_000;

/// The silences that there are.
#[derive(Debug, Default)]
pub struct Silences {
    all: RwLock<BTreeMap<String, Silence>>,
    clock: Clock,
    /// Held by whoever writes one.
    writing: Mutex<()>,
}

impl Silences {
    /// Reads what the store has.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn open(&self, store: &Store) -> Result<(), tsdb::Error> {
        let wanted = [TIME_COLUMN, "silence", "start_ns", "until_ns", "matchers", "author", "reason"];
        let Some(columns) = columns_there(store, SILENCES.name, &wanted) else { return Ok(()) };
        let (rows, _) = store.last_rows(DEFAULT_SCHEMA, SILENCES.name, Some(&columns), &[])?;
        let rows = Rows::new(&rows);
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        for at in 0..rows.len() {
            let text = |column: &str| rows.text(column, at).unwrap_or_default();
            let ms = |column: &str| rows.whole(column, at).unwrap_or(0) / NS_PER_MS;
            self.clock.pass(rows.whole(TIME_COLUMN, at).unwrap_or(0));
            let span = (ms("start_ns"), ms("until_ns"));
            if span.1 < now_ms() - SHOWN_MS {
                continue;
            }
            let matching = serde_json::from_str(&text("matchers")).unwrap_or_default();
            // One that cannot be read silences nothing.
            if let Ok(own) = Silence::new(text("silence"), matching, span, &text("author"), &text("reason")) {
                all.insert(own.id.clone(), Silence { updated_ms: ms(TIME_COLUMN), ..own });
            }
        }
        Ok(())
    }

    /// What silences an alert with these labels at a time.
    #[must_use]
    pub fn of(&self, labels: &Labels, at_ms: i64) -> Option<String> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.values().find(|own| own.covers(labels, at_ms)).map(Silence::explain)
    }

    /// All that there are, and those that were over not long ago.
    #[must_use]
    pub fn list(&self) -> Vec<Silence> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds a silence, or changes the one with its id; its id comes back. It is durable then.
    ///
    /// # Errors
    ///
    /// There is none with this id, or it cannot be stored.
    pub fn set(&self, store: &Store, silence: Silence) -> Result<String, Wrong> {
        let _held = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = now_ms();
        let known = self.all.read().unwrap_or_else(PoisonError::into_inner).get(&silence.id).cloned();
        let own = match (silence.id.as_str(), known) {
            ("", _) => Silence { id: self.new_id(), ..silence },
            // One that is over is history: what is silenced now is another one.
            (_, Some(before)) if before.until_ms <= now_ms => Silence { id: self.new_id(), ..silence },
            // What has begun has begun.
            (_, Some(before)) if before.from_ms <= now_ms => Silence { from_ms: before.from_ms, ..silence },
            (_, Some(_)) => silence,
            (id, None) => return Err(Wrong::Nowhere(format!("there is no silence {id}"))),
        };
        self.write(store, Silence { updated_ms: now_ms, ..own })
    }

    /// Ends a silence now.
    ///
    /// # Errors
    ///
    /// There is none with this id, or it cannot be stored.
    pub fn end(&self, store: &Store, id: &str) -> Result<(), Wrong> {
        let _held = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.all.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let Some(own) = known else { return Err(Wrong::Nowhere(format!("there is no silence {id}"))) };
        let now_ms = now_ms();
        if own.until_ms <= now_ms {
            return Ok(());
        }
        let from_ms = own.from_ms.min(now_ms - 1);
        self.write(store, Silence { from_ms, until_ms: now_ms, updated_ms: now_ms, ..own }).map(drop)
    }

    fn write(&self, store: &Store, own: Silence) -> Result<String, Wrong> {
        let matchers = serde_json::to_string(&own.matching).expect("matchers always become JSON");
        let fields = [
            ("start_ns", Value::I64(own.from_ms.saturating_mul(NS_PER_MS))),
            ("until_ns", Value::I64(own.until_ms.saturating_mul(NS_PER_MS))),
            ("matchers", Value::Str(&matchers)),
            ("author", Value::Str(&own.author)),
            ("reason", Value::Str(&own.reason)),
        ];
        let tags = [("silence", own.id.as_str())];
        let time = self.clock.next(own.updated_ms.saturating_mul(NS_PER_MS));
        let mut batch = store.batch(DEFAULT_SCHEMA);
        let row = Row { measurement: SILENCES.name, tags: &tags, time, fields: &fields };
        batch.push(&row).map_err(|error| Wrong::Asked(error.to_string()))?;
        store.write(batch).map_err(|error| Wrong::Store(error.to_string()))?;
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, before| before.until_ms >= own.updated_ms - SHOWN_MS);
        let id = own.id.clone();
        all.insert(id.clone(), own);
        Ok(id)
    }

    /// In the form of a UUID of version 8: clients of Alertmanager expect one.
    fn new_id(&self) -> String {
        let time = self.clock.next(now_ms().saturating_mul(NS_PER_MS)).to_string();
        let digits = [id(["silence", &time]), id([time.as_str()])].concat();
        let part = |from: usize, to: usize| &digits[from..to];
        format!("{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
    }
}
