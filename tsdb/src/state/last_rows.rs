//! The newest row of every series, kept in memory for the tables that were asked for it. What is read for that is read
//! by `newest.rs`.

use std::collections::HashMap;
use std::sync::Mutex;

use arrow_array::Array;

use crate::base::error::Result;
use crate::base::warnings::Warnings;
use crate::rows::keyed::Rows;

/// The newest rows of tables.
#[derive(Debug)]
pub(crate) struct LastRows {
    tables: Mutex<HashMap<u32, Known>>,
    bytes_max: usize,
}

/// The newest rows of one table, in the order of the series, as of some point of the log.
#[derive(Debug)]
pub(crate) struct Known {
    pub rows: Rows,
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

    /// Takes what is known of a table, has it become another, and keeps that if there is room. One at a time: what is
    /// kept never goes back behind what was answered.
    pub(crate) fn renew(
        &self,
        table: u32,
        renew: impl FnOnce(Option<Known>) -> Result<Known>,
    ) -> Result<(Rows, Vec<String>)> {
        let mut tables = self.tables();
        let known = renew(tables.remove(&table))?;
        let answer = (known.rows.clone(), known.warnings.list());
        let others: usize = tables.values().map(Known::bytes).sum();
        if others + known.bytes() <= self.bytes_max {
            tables.insert(table, known);
        }
        Ok(answer)
    }

    /// To be called before rows leave the segments for a rolled day, or a deletion is dropped: what has come since the
    /// last question could not be found any more, so the next one starts anew.
    pub(crate) fn forget(&self, table: u32) {
        self.tables().remove(&table);
    }

    /// The tables whose newest rows are kept.
    pub(crate) fn known(&self) -> Vec<u32> {
        self.tables().keys().copied().collect()
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.tables().values().map(Known::bytes).sum()
    }

    fn tables(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Known>> {
        self.tables.lock().expect("nothing panics while it holds the tables")
    }
}
