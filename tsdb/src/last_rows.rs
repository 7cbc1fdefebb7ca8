//! The newest row of every series, kept in memory for the tables that were asked for it.
//!
//! The first question reads the days of a table from the newest to the oldest, until every series was met. Later ones
//! add what has come since: entries of the heads, or segments if heads were sealed meanwhile. A deletion or a roll
//! starts anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use arrow_array::{Array, ArrayRef};
use roaring::RoaringBitmap;

use crate::catalog::Table;
use crate::deletion::Deletion;
use crate::error::Result;
use crate::filter::Filter;
use crate::frame::Frame;
use crate::head::Entry;
use crate::reading::{Reading, Warnings};
use crate::rows::{Pick, Rows, gather};
use crate::shared::Shared;
use crate::unit::Layers;
use crate::view::View;

/// The newest rows of tables.
#[derive(Debug)]
pub(crate) struct LastRows {
    tables: Mutex<HashMap<u32, Known>>,
    bytes_max: usize,
}

/// The newest rows of one table, in the order of the series, as of some point of the log.
#[derive(Debug)]
struct Known {
    rows: Rows,
    /// The head, and how many of its entries are in.
    upto: (u64, usize),
    /// What was left out.
    warnings: Warnings,
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

    /// The newest row of every series of a table, with all fields that the table has, in their order; and what was left
    /// out.
    ///
    /// One question at a time: what is kept never goes back behind what was answered.
    pub(crate) fn read(&self, shared: &Arc<Shared>, table: &Arc<Table>) -> Result<(Rows, Vec<String>)> {
        let mut tables = self.tables();
        let view = shared.view.load_full();
        let upto = view.heads.last().map_or((0, 0), |head| (head.number, head.entries().count()));
        let fields = table.columns().fields.len();
        let since = match tables.remove(&table.id) {
            Some(known) => known.since(shared, &view, table, fields, upto)?,
            None => None,
        };
        let known = match since {
            Some(known) => known,
            None => from_scratch(shared, &view, table, fields, upto)?,
        };
        let answer = (known.rows.clone(), known.warnings.list());
        let others: usize = tables.values().map(Known::bytes).sum();
        if others + known.bytes() <= self.bytes_max {
            tables.insert(table.id, known);
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

impl Known {
    /// These rows and what has come since; nothing if something was deleted.
    fn since(
        self,
        shared: &Arc<Shared>,
        view: &View,
        table: &Arc<Table>,
        fields: usize,
        upto: (u64, usize),
    ) -> Result<Option<Known>> {
        let reading = Reading::of_answer(shared, &self.warnings);
        let mut parts = vec![self.rows.clone()];
        // Segments that were sealed since: their heads may have been in only in part.
        let first_head = view.heads.first().map_or(u64::MAX, |head| head.number);
        if self.upto.0 < first_head {
            let new: Vec<_> =
                view.segments.iter().filter(|segment| segment.id().number >= self.upto.0).cloned().collect();
            let deletes =
                |(number, deletion): &(u64, Arc<Deletion>)| deletion.table == table.id && *number >= self.upto.0;
            if new.iter().any(|segment| segment.index().deletions.iter().any(deletes)) {
                return Ok(None);
            }
            let layers = Layers { view, segments: &new, rolled: false, heads: false };
            let numbers: Vec<u32> = (0..fields as u32).collect();
            for unit in layers.units(table.id, &Filter::ALL) {
                for rows in unit.read(table, &numbers, true, &reading) {
                    parts.push(last_of_runs(&rows?));
                }
            }
        }
        let entries = view.heads.iter().filter(|head| head.number >= self.upto.0).flat_map(|head| {
            let known = if head.number == self.upto.0 { self.upto.1 } else { 0 };
            let until = if head.number == upto.0 { upto.1 } else { usize::MAX };
            head.entries().take(until).skip(known)
        });
        let mut frames = Vec::new();
        for entry in entries {
            match entry {
                Entry::Deletion(deletion) if deletion.table == table.id => return Ok(None),
                rows => frames.extend(rows.frames_of(table.id)),
            }
        }
        parts.push(last_of_frames(&frames, fields));
        Ok(Some(Known { rows: newest(&parts, fields), upto, warnings: self.warnings }))
    }
}

/// Reads days from the newest to the oldest until every series was met.
fn from_scratch(
    shared: &Arc<Shared>,
    view: &View,
    table: &Arc<Table>,
    fields: usize,
    upto: (u64, usize),
) -> Result<Known> {
    let warnings = Warnings::default();
    let reading = Reading::of_answer(shared, &warnings);
    let numbers: Vec<u32> = (0..fields as u32).collect();
    let layers = Layers { view, segments: &view.segments, rolled: true, heads: true };
    let days = layers.units(table.id, &Filter::new(view.floor(table.id), i64::MAX, None));
    let mut met = RoaringBitmap::new();
    let mut parts = Vec::new();
    for unit in days.into_iter().rev() {
        if met.len() == u64::from(table.series_count()) {
            break;
        }
        let mut day = Vec::new();
        for rows in unit.read(table, &numbers, true, &reading) {
            day.push(last_of_runs(&rows?));
        }
        // A series can go on from one batch to the next.
        let day = newest(&day, fields);
        let new: Vec<Pick> =
            (0..day.len()).filter(|row| !met.contains(day.series[*row])).map(|row| day.at(0, row)).collect();
        met.extend(new.iter().map(|pick| pick.key.0));
        parts.push(Rows::gathered(&new, std::slice::from_ref(&day), fields));
    }
    Ok(Known { rows: newest(&parts, fields), upto, warnings })
}

/// The last row of each series of rows in key order.
fn last_of_runs(rows: &Rows) -> Rows {
    let is_last = |row: &usize| row + 1 == rows.len() || rows.series[row + 1] != rows.series[*row];
    let picks: Vec<Pick> = (0..rows.len()).filter(is_last).map(|row| rows.at(0, row)).collect();
    Rows::gathered(&picks, std::slice::from_ref(rows), rows.columns.len())
}

/// The newest row of each series of frames, the oldest frame first.
fn last_of_frames(frames: &[Frame], fields: usize) -> Rows {
    let mut picks = Vec::new();
    for (source, frame) in frames.iter().enumerate() {
        let keys = frame.series().iter().copied().zip(frame.times().iter().copied());
        picks.extend(keys.enumerate().map(|(row, key)| Pick { key, source: source as u32, row: row as u32 }));
    }
    let column =
        |field: usize| -> Vec<Option<ArrayRef>> { frames.iter().map(|frame| frame.column(field as u32)).collect() };
    gather(&only_newest(picks), &(0..fields).map(column).collect::<Vec<_>>())
        .expect("columns of one field have one type")
}

/// The newest row of each series of several, the oldest first.
fn newest(parts: &[Rows], fields: usize) -> Rows {
    let picks =
        parts.iter().enumerate().flat_map(|(source, part)| (0..part.len()).map(move |row| part.at(source, row)));
    Rows::gathered(&only_newest(picks.collect()), parts, fields)
}

/// Of each series the picks with the latest time, in order.
fn only_newest(mut picks: Vec<Pick>) -> Vec<Pick> {
    picks.sort_unstable();
    let runs = picks.chunk_by(|a, b| a.key.0 == b.key.0);
    let last = |run: &[Pick]| -> Vec<Pick> {
        let time = run[run.len() - 1].key.1;
        run[run.partition_point(|pick| pick.key.1 < time)..].to_vec()
    };
    runs.flat_map(last).collect()
}
