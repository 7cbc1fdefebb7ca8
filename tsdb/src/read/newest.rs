//! The newest row of every series of a table, with what is known of it already.
//!
//! The first question reads the days of a table from the newest to the oldest, until every series was met, or no further
//! back than it is about. Later ones add what has come since: entries of the heads, or segments if heads were sealed
//! meanwhile. A deletion or a roll starts anew.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use roaring::RoaringBitmap;

use crate::base::error::Result;
use crate::base::warnings::Warnings;
use crate::catalog::deletion::Deletion;
use crate::catalog::filter::Filter;
use crate::catalog::registry::Table;
use crate::catalog::series_set::{SeriesSet, TagPredicate};
use crate::log::head::Entry;
use crate::read::reading::Reading;
use crate::read::scan::{Projection, Untagged};
use crate::read::unit::Layers;
use crate::rows::frame::Frame;
use crate::rows::keyed::{Pick, Rows, gather};
use crate::segment::file::Segment;
use crate::state::last_rows::Known;
use crate::state::shared::Shared;
use crate::state::view::View;

/// The newest row of each of some series.
#[derive(Debug)]
pub struct Newest {
    projection: Projection,
    rows: Rows,
    pub(crate) warnings: Vec<String>,
}

impl Newest {
    pub(crate) fn read(
        shared: &Arc<Shared>,
        table: &Arc<Table>,
        columns: Option<&[String]>,
        tags: &[TagPredicate],
        from: i64,
    ) -> Result<Newest> {
        let series = SeriesSet::choose(table, tags)?.map(Arc::new);
        let (rows, left_out) = newest_rows(shared, table, from)?;
        let projection = Projection::new(table, columns)?;
        let filter = Filter::new(from.max(shared.view.load().floor(table.id)), i64::MAX, series);
        let wanted = |row: &usize| rows.times[*row] >= filter.times().0 && filter.wants_series(rows.series[*row]);
        let picks: Vec<Pick> = (0..rows.len()).filter(wanted).map(|row| rows.at(0, row)).collect();
        let rows = Rows::of_fields(&picks, &rows, &projection.fields);
        let mut warnings = shared.health.general();
        warnings.extend(left_out);
        Ok(Newest { projection, rows, warnings })
    }

    /// All columns that were asked for, with nulls for marks.
    pub(crate) fn batch(&self) -> Result<RecordBatch> {
        self.projection.batch(&self.rows.clone().without_marks())
    }

    /// The rows without their tags, by series.
    ///
    /// # Errors
    ///
    /// None that is known of.
    pub fn untagged(&self) -> Result<Untagged> {
        let batch = self.projection.without_tags().batch(&self.rows)?;
        Ok(Untagged { series: self.rows.series.clone(), batch })
    }

    /// The values of a tag that these series have, as of [`Scan::tag`](crate::Scan::tag).
    pub fn tag(&self, name: &str, series: &[u32]) -> Option<ArrayRef> {
        self.projection.tag(name, series)
    }

    /// What is known to be missing, as of [`Scan::warnings`](crate::Scan::warnings).
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// The newest row of every series of a table that has one at a time or behind it, with all fields that the table has, in
/// their order; and what was left out.
pub(crate) fn newest_rows(shared: &Arc<Shared>, table: &Arc<Table>, from: i64) -> Result<(Rows, Vec<String>)> {
    shared.last_rows.renew(table.id, |known| {
        let view = shared.view.load_full();
        let upto = view.heads.last().map_or((0, 0), |head| (head.number, head.entries().count()));
        let fields = table.columns().fields.len();
        let asked = Asked { shared, view: &view, table, fields, upto };
        let since = match known {
            Some(known) => asked.since(known)?,
            None => None,
        };
        match since {
            Some(known) if known.from <= from => Ok(known),
            since => asked.before(since, from),
        }
    })
}

/// The rows that are visible when it is asked.
struct Asked<'a> {
    shared: &'a Arc<Shared>,
    view: &'a View,
    table: &'a Arc<Table>,
    /// How many the table has.
    fields: usize,
    /// The last head, and how many entries it has.
    upto: (u64, usize),
}

impl Asked<'_> {
    /// What is known and what has come since; nothing if something was deleted.
    fn since(&self, own: Known) -> Result<Option<Known>> {
        let Asked { shared, view, table, fields, upto } = *self;
        let first_head = view.heads.first().map_or(u64::MAX, |head| head.number);
        if own.upto == upto && first_head <= upto.0 && own.rows.columns.len() == fields {
            return Ok(Some(own));
        }
        let reading = Reading::of_answer(shared, &own.warnings);
        let mut parts = vec![own.rows.clone()];
        // Segments that were sealed since: their heads may have been in only in part.
        if own.upto.0 < first_head {
            let is_new = |segment: &&Arc<Segment>| segment.id().number >= own.upto.0;
            let new: Vec<_> = view.segments.iter().filter(is_new).cloned().collect();
            let deletes =
                |(number, deletion): &(u64, Arc<Deletion>)| deletion.table == table.id && *number >= own.upto.0;
            if new.iter().any(|segment| segment.index().deletions.iter().any(deletes)) {
                return Ok(None);
            }
            let layers = Layers { view, segments: &new, rolled: false, heads: false };
            for unit in layers.units(table.id, &Filter::new(own.from, i64::MAX, None)) {
                for rows in unit.read(&self.numbers(), true, &reading) {
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
        // A late row is the newest known one of a series only where all behind it are known.
        let rows = newest(&parts, fields, own.from);
        Ok(Some(Known { rows, upto, ..own }))
    }

    /// What is known, and what lies before that: reads days from the newest to the oldest until every series was met.
    fn before(&self, known: Option<Known>, from: i64) -> Result<Known> {
        let Asked { shared, view, table, fields, upto } = *self;
        let (mut parts, until, warnings) = match known {
            Some(known) => (vec![known.rows], known.from - 1, known.warnings),
            None => (Vec::new(), i64::MAX, Warnings::default()),
        };
        let mut met: RoaringBitmap = parts.iter().flat_map(|rows| rows.series.iter().copied()).collect();
        let reading = Reading::of_answer(shared, &warnings);
        let layers = Layers { view, segments: &view.segments, rolled: true, heads: true };
        let days = layers.units(table.id, &Filter::new(from.max(view.floor(table.id)), until, None));
        for unit in days.into_iter().rev() {
            if met.len() == u64::from(table.series_count()) {
                break;
            }
            let mut day = Vec::new();
            for rows in unit.read(&self.numbers(), true, &reading) {
                day.push(last_of_runs(&rows?));
            }
            // A series can go on from one batch to the next.
            let day = newest(&day, fields, i64::MIN);
            let new: Vec<Pick> =
                (0..day.len()).filter(|row| !met.contains(day.series[*row])).map(|row| day.at(0, row)).collect();
            met.extend(new.iter().map(|pick| pick.key.0));
            parts.push(Rows::gathered(&new, std::slice::from_ref(&day), fields));
        }
        Ok(Known { rows: newest(&parts, fields, i64::MIN), from, upto, warnings })
    }

    fn numbers(&self) -> Vec<u32> {
        (0..self.fields as u32).collect()
    }
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

/// The newest row of each series of several, the oldest first, that has one at a time or behind it.
fn newest(parts: &[Rows], fields: usize, from: i64) -> Rows {
    let picks =
        parts.iter().enumerate().flat_map(|(source, part)| (0..part.len()).map(move |row| part.at(source, row)));
    let picks = picks.filter(|pick| pick.key.1 >= from);
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
