//! The newest row of every series of a table, with what is known of it already.
//!
//! The first question reads the days of a table from the newest to the oldest, until every series was met. Later ones
//! add what has come since: entries of the heads, or segments if heads were sealed meanwhile. A deletion or a roll
//! starts anew.

use std::sync::Arc;

use arrow_array::ArrayRef;
use roaring::RoaringBitmap;

use crate::base::error::Result;
use crate::base::warnings::Warnings;
use crate::catalog::deletion::Deletion;
use crate::catalog::filter::Filter;
use crate::catalog::registry::Table;
use crate::log::head::Entry;
use crate::read::reading::Reading;
use crate::read::unit::Layers;
use crate::rows::frame::Frame;
use crate::rows::keyed::{Pick, Rows, gather};
use crate::state::last_rows::Known;
use crate::state::shared::Shared;
use crate::state::view::View;

/// The newest row of every series of a table, with all fields that the table has, in their order; and what was left
/// out.
pub(crate) fn newest_rows(shared: &Arc<Shared>, table: &Arc<Table>) -> Result<(Rows, Vec<String>)> {
    shared.last_rows.renew(table.id, |known| {
        let view = shared.view.load_full();
        let upto = view.heads.last().map_or((0, 0), |head| (head.number, head.entries().count()));
        let fields = table.columns().fields.len();
        let since = match known {
            Some(known) => since(known, shared, &view, table, fields, upto)?,
            None => None,
        };
        match since {
            Some(known) => Ok(known),
            None => from_scratch(shared, &view, table, fields, upto),
        }
    })
}

/// What is known and what has come since; nothing if something was deleted.
fn since(
    own: Known,
    shared: &Arc<Shared>,
    view: &View,
    table: &Arc<Table>,
    fields: usize,
    upto: (u64, usize),
) -> Result<Option<Known>> {
    let reading = Reading::of_answer(shared, &own.warnings);
    let mut parts = vec![own.rows.clone()];
    // Segments that were sealed since: their heads may have been in only in part.
    let first_head = view.heads.first().map_or(u64::MAX, |head| head.number);
    if own.upto.0 < first_head {
        let new: Vec<_> = view.segments.iter().filter(|segment| segment.id().number >= own.upto.0).cloned().collect();
        let deletes = |(number, deletion): &(u64, Arc<Deletion>)| deletion.table == table.id && *number >= own.upto.0;
        if new.iter().any(|segment| segment.index().deletions.iter().any(deletes)) {
            return Ok(None);
        }
        let layers = Layers { view, segments: &new, rolled: false, heads: false };
        let numbers: Vec<u32> = (0..fields as u32).collect();
        for unit in layers.units(table.id, &Filter::ALL) {
            for rows in unit.read(&numbers, true, &reading) {
                parts.push(last_of_runs(&rows?));
            }
        }
    }
    let entries = view.heads.iter().filter(|head| head.number >= own.upto.0).flat_map(|head| {
        let known = if head.number == own.upto.0 { own.upto.1 } else { 0 };
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
    Ok(Some(Known { rows: newest(&parts, fields), upto, warnings: own.warnings }))
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
        for rows in unit.read(&numbers, true, &reading) {
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
