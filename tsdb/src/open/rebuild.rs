//! What is made anew when the manifest or the catalogue is damaged together with its copy, so that the store opens all
//! the same. Files that turn out not to count are put aside, not removed.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_schema::DataType;

use crate::base::error::{Error, Result};
use crate::base::ids::RolledId;
use crate::base::ids::SegmentId;
use crate::base::value::FieldType;
use crate::catalog::change::Change;
use crate::catalog::registry::{Catalog, ColumnRef, Table};
use crate::catalog::tag::ABSENT;
use crate::files::data_dir::DataDir;
use crate::log::head::Entry;
use crate::log::manifest::Manifest;
use crate::log::wal;
use crate::rolled::file::{self as rolled, RolledDay};
use crate::segment::file::{self as segment, Segment};
use crate::state::health::Health;
use crate::state::view::ByDay;

/// The schema of tables whose names are lost, and what lost columns are called.
const LOST_SCHEMA: &str = "lost";
const LOST_SERIES: &str = "lost_series";

/// The manifest that the files speak of. Segments whose logs are all in another of a later generation were merged into
/// that one; of the rolled files of a day the youngest counts. What retention has left may be back until it looks
/// again.
pub(crate) fn manifest(dir: &DataDir, catalog: &Catalog, health: &Health) -> Result<Manifest> {
    let segments = segments(dir)?;
    let covered = |id: SegmentId, first_log: u64| {
        let covers = |(other, first): &(SegmentId, Option<u64>)| {
            let holds = first.is_some_and(|first| first <= first_log && id.number <= other.number);
            holds && other.generation > id.generation
        };
        segments.iter().any(covers)
    };
    let newest =
        segments.iter().filter(|(_, first_log)| first_log.is_some()).map(|(id, _)| id.number).max().unwrap_or(0);
    let has_log = |number: u64| dir.length(&wal::path(dir, number)).is_ok_and(|length| length.is_some());
    let counts = |(id, first_log): &(SegmentId, Option<u64>)| match first_log {
        Some(first_log) => !covered(*id, *first_log),
        // What cannot be read counts, unless it is known to be elsewhere.
        None => !covered(*id, id.number) && (id.generation > 0 || id.number < newest || !has_log(id.number)),
    };
    let segments = segments.iter().filter(|segment| counts(segment)).map(|(id, _)| *id);
    let mut manifest = Manifest { segments: segments.collect(), ..Manifest::default() };
    manifest.segments.sort_unstable();

    let mut days: ByDay<RolledId> = ByDay::new();
    let mut files = dir.list_all(&dir.join("parquet"))?;
    files.retain(|path| path.extension().is_some_and(|kind| kind == "parquet"));
    for path in &files {
        match RolledDay::find(dir, catalog, path) {
            Ok(id) => {
                let youngest = days.entry((id.table, id.day)).or_insert(id);
                *youngest = if id.through > youngest.through { id } else { *youngest };
            }
            Err(error @ Error::Corrupt { .. }) => health.lost_once(&error),
            Err(error) => return Err(error),
        }
    }
    manifest.rolled = days.into_values().collect();
    // Behind everything that is sealed: a number that a rolled day goes up to would hide what gets it once more.
    let logs = dir.list(&dir.join("wal"))?;
    let oldest_log = logs.iter().filter_map(|path| wal::number(path)).min().unwrap_or(1);
    let sealed = manifest.segments.iter().map(|id| id.number).chain(manifest.rolled.iter().map(|id| id.through)).max();
    manifest.first_log = sealed.map_or(oldest_log, |number| number + 1);

    let named: Vec<_> = manifest.segments.iter().map(|id| segment::path(dir, *id)).collect();
    for path in dir.list(&dir.join("segments"))?.iter().filter(|path| segment::id(path).is_some()) {
        if !named.contains(path) {
            dir.put_aside(path)?;
        }
    }
    let rolled = manifest.rolled.iter().filter_map(|id| Some(rolled::path(dir, catalog.table(id.table)?, *id)));
    let named: Vec<_> = rolled.collect();
    files.iter().filter(|path| !named.contains(path)).try_for_each(|path| dir.put_aside(path))?;
    Ok(manifest)
}

/// The segments that there are, each with the oldest log whose rows are in it; none if it cannot be read.
fn segments(dir: &DataDir) -> Result<Vec<(SegmentId, Option<u64>)>> {
    let mut segments = Vec::new();
    for id in dir.list(&dir.join("segments"))?.iter().filter_map(|path| segment::id(path)) {
        match Segment::open(dir, id, |_| {}) {
            // Those of version 1 do not say it.
            Ok(segment) if segment.index().first_log == 0 => segments.push((id, Some(id.number))),
            Ok(segment) => segments.push((id, Some(segment.index().first_log))),
            Err(Error::Corrupt { .. }) => segments.push((id, None)),
            Err(error) => return Err(error),
        }
    }
    Ok(segments)
}

/// What stored rows refer to, and what of it a catalogue has to be given.
#[derive(Debug, Default)]
pub(crate) struct References {
    tables: BTreeMap<u32, TableReferences>,
    /// The changes that were made to the catalogue, as its log has them.
    pub changes: Vec<u8>,
}

#[derive(Debug, Default)]
struct TableReferences {
    /// Schema and name, if a file says them.
    name: Option<(String, String)>,
    tags: Vec<String>,
    fields: BTreeMap<u32, (FieldType, Option<String>)>,
    series: u32,
}

impl References {
    fn table(&mut self, table: u32, fields: impl IntoIterator<Item = (u32, FieldType)>, last_series: Option<u32>) {
        let known = self.tables.entry(table).or_default();
        for (field, kind) in fields {
            known.fields.entry(field).or_insert((kind, None));
        }
        known.series = known.series.max(last_series.map_or(0, |last| last.saturating_add(1)));
    }

    pub(crate) fn segment(&mut self, segment: &Segment) {
        for section in &segment.index().sections {
            self.table(section.table, section.fields.iter().copied(), section.last_series);
        }
        segment.index().deletions.iter().for_each(|(_, deletion)| self.table(deletion.table, [], None));
    }

    pub(crate) fn entry(&mut self, entry: &Entry) {
        match entry {
            Entry::Deletion(deletion) => self.table(deletion.table, [], None),
            rows => rows.frames().for_each(|frame| {
                self.table(frame.table, frame.fields(), frame.series().iter().copied().max());
            }),
        }
    }

    /// Rolled days are found by the names of their tables, which their files say, too.
    pub(crate) fn rolled_name(&mut self, dir: &DataDir, catalog: &Catalog, id: RolledId) -> Result<()> {
        self.table(id.table, [], None);
        if catalog.table(id.table).is_none() {
            let name = RolledDay::names(dir, id)?;
            let known = self.tables.entry(id.table).or_default();
            known.name = name.or(known.name.take());
        }
        Ok(())
    }

    /// The columns of a rolled day have names, and are in the order of their numbers.
    pub(crate) fn rolled(&mut self, day: &RolledDay, catalog: &Catalog) -> Result<()> {
        let table = day.id().table;
        self.table(table, [], day.last_series());
        let known = catalog.table(table).expect("the tables were added before").columns();
        let has_all_fields = day.fields().iter().all(|field| (*field as usize) < known.fields.len());
        if day.tag_count() <= known.tags.len() && has_all_fields {
            return Ok(()); // nothing is missing: the footer need not be parsed once more
        }
        let known = self.tables.entry(table).or_default();
        let columns = day.columns()?;
        let columns = columns.fields().iter().skip(1);
        let (tags, fields): (Vec<_>, Vec<_>) =
            columns.partition(|column| matches!(column.data_type(), DataType::Dictionary(..)));
        let tags = tags.into_iter().map(|tag| tag.name().clone()).collect::<Vec<_>>();
        if tags.len() > known.tags.len() {
            known.tags = tags;
        }
        for (number, field) in day.fields().iter().zip(fields) {
            if let Some(kind) = FieldType::ALL.into_iter().find(|kind| kind.arrow() == *field.data_type()) {
                known.fields.insert(*number, (kind, Some(field.name().clone())));
            }
        }
        Ok(())
    }

    /// Adds to a catalogue the tables that it does not have.
    pub(crate) fn add_tables(&mut self, catalog: &Catalog) {
        let last = self.tables.keys().last().map_or(0, |last| last + 1);
        for table in catalog.tables().count() as u32..last {
            let unnamed = || (LOST_SCHEMA.to_owned(), format!("table_{table}"));
            let name = self.tables.get(&table).and_then(|known| known.name.clone());
            let (schema, name) = name.unwrap_or_else(unnamed);
            grow(catalog, &mut self.changes, Change::Table { schema: &schema, name: &name });
        }
    }

    /// Adds to a catalogue the columns and series that it does not have: every row can be read then, every series is
    /// one of its own, and no number is given twice.
    pub(crate) fn add_columns_and_series(&mut self, catalog: &Catalog) {
        let References { tables, changes } = self;
        for (id, wanted) in tables {
            let table = catalog.table(*id).expect("the tables were added before");
            for name in wanted.tags.iter().skip(table.columns().tags.len()) {
                grow(catalog, changes, Change::Tag { table: *id, name: &free_name(table, name) });
            }
            for field in table.columns().fields.len() as u32..wanted.fields.keys().last().map_or(0, |last| last + 1) {
                let (kind, name) = wanted.fields.get(&field).cloned().unwrap_or((FieldType::F64, None));
                let name = name.unwrap_or_else(|| format!("lost_field_{field}"));
                grow(catalog, changes, Change::Field { table: *id, kind, name: &free_name(table, &name) });
            }
            add_series(catalog, table, wanted.series, changes);
        }
    }
}

/// Series whose tags are not known have a tag that tells them apart.
fn add_series(catalog: &Catalog, table: &Table, wanted: u32, changes: &mut Vec<u8>) {
    if table.series_count() >= wanted {
        return;
    }
    let tag = match table.columns().find(LOST_SERIES) {
        Some(ColumnRef::Tag(tag)) => tag,
        _ => {
            grow(catalog, changes, Change::Tag { table: table.id, name: &free_name(table, LOST_SERIES) });
            table.columns().tags.len() as u32 - 1
        }
    };
    for series in table.series_count()..wanted {
        let mut codes = vec![ABSENT; tag as usize + 1];
        codes[tag as usize] = table.tag(tag).values().len() as u32;
        grow(catalog, changes, Change::TagValue { table: table.id, tag, value: &series.to_string() });
        grow(catalog, changes, Change::Series { table: table.id, codes: &codes });
    }
}

/// Makes a change, and notes it as the catalogue's log has it.
fn grow(catalog: &Catalog, changes: &mut Vec<u8>, change: Change<'_>) {
    change.encode(changes);
    catalog.replay(change).expect("a change that is made for the catalogue fits it");
}

/// A column name that a table does not have.
fn free_name(table: &Table, name: &str) -> String {
    let mut name = name.to_owned();
    while table.columns().find(&name).is_some() {
        name.push('_');
    }
    name
}

/// Keeps the bytes of damaged files that are going to be replaced.
pub(crate) fn keep(dir: &DataDir, paths: &[impl AsRef<Path>]) -> Result<()> {
    for path in paths.iter().map(AsRef::as_ref) {
        if dir.length(path)?.is_some() {
            dir.quarantine(path, 0, &dir.read(path)?);
        }
    }
    Ok(())
}
