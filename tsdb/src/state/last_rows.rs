//! The newest row of every series, kept in memory for the tables that were asked for it. What is read for that is read
//! by `newest.rs`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::Array;

use crate::base::error::Result;
use crate::base::warnings::Warnings;
use crate::rows::keyed::Rows;

/// The newest rows of tables.
#[derive(Debug)]
pub(crate) struct LastRows {
    tables: Mutex<HashMap<u32, Arc<Place>>>,
    bytes_max: usize,
}

/// What is kept of a table.
#[derive(Debug, Default)]
struct Place {
    known: Mutex<Option<Known>>,
    /// Of what is kept.
    bytes: AtomicUsize,
    /// Of what could not be kept, when there was no room.
    missed_bytes: AtomicUsize,
}

/// The newest rows of one table, in the order of the series, as of some point of the log.
#[derive(Debug)]
pub(crate) struct Known {
    /// All fields of the table, in their order.
    pub rows: Rows,
    /// Rows before this time are not among them.
    pub from: i64,
    /// The head, and how many of its entries are in.
    pub upto: (u64, usize),
    /// What was left out.
    pub warnings: Warnings,
}

impl Known {
    fn bytes(&self) -> usize {
        let columns: usize = self.rows.columns.iter().flatten().map(Array::get_array_memory_size).sum();
        self.rows.len() * (size_of::<u32>() + size_of::<i64>()) + columns
    }
}

impl LastRows {
    /// At most so many bytes are kept between questions.
    pub(crate) fn new(bytes_max: usize) -> LastRows {
        LastRows { tables: Mutex::default(), bytes_max }
    }

    /// Takes what is known of a table, has it become another, and keeps that if there is room. One at a time of each
    /// table: what is kept never goes back behind what was answered.
    pub(crate) fn renew(
        &self,
        table: u32,
        renew: impl FnOnce(Option<Known>) -> Result<Known>,
    ) -> Result<(Rows, Vec<String>)> {
        let place = self.tables().entry(table).or_default().clone();
        let mut kept = place.known.lock().unwrap_or_else(PoisonError::into_inner);
        place.bytes.store(0, Ordering::Relaxed);
        let known = renew(kept.take())?;
        let answer = (known.rows.clone(), known.warnings.list());
        let bytes = known.bytes().max(1);
        let has_room = self.bytes() + bytes <= self.bytes_max;
        place.missed_bytes.store(if has_room { 0 } else { bytes }, Ordering::Relaxed);
        if has_room {
            place.bytes.store(bytes, Ordering::Relaxed);
            *kept = Some(known);
        }
        Ok(answer)
    }

    /// Is there room for what there is of a table, as far as is known? Where there is none, it is read for nothing.
    pub(crate) fn has_room(&self, table: u32) -> bool {
        let missed = self.tables().get(&table).map_or(0, |place| place.missed_bytes.load(Ordering::Relaxed));
        missed == 0 || self.bytes() + missed <= self.bytes_max
    }

    /// To be called before rows leave the segments for a rolled day, or a deletion is dropped: what has come since the
    /// last question could not be found any more, so the next one starts anew. Whoever reads meanwhile keeps nothing.
    pub(crate) fn forget(&self, table: u32) {
        self.tables().remove(&table);
    }

    /// The tables whose newest rows are kept.
    pub(crate) fn known(&self) -> Vec<u32> {
        let tables = self.tables();
        tables.iter().filter(|(_, place)| place.bytes.load(Ordering::Relaxed) > 0).map(|(table, _)| *table).collect()
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.tables().values().map(|place| place.bytes.load(Ordering::Relaxed)).sum()
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<u32, Arc<Place>>> {
        self.tables.lock().expect("nothing panics while it holds the tables")
    }
}
