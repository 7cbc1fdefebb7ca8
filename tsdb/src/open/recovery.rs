//! Recovery: what a data directory says when it is opened, made whole again after a crash or damage.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::base::clock::now_ns;
use crate::base::error::{Error, Result};
use crate::base::ids::SegmentId;
use crate::base::options::Options;
use crate::base::retention::Retentions;
use crate::catalog::registry::{Catalog, DROPPED};
use crate::catalog::rollup::Rollup;
use crate::files::block::{self, FILE_HEADER_BYTES, Kind};
use crate::files::data_dir::{AppendFile, DataDir};
use crate::log::closed::Closed;
use crate::log::head::Head;
use crate::log::manifest::Manifest;
use crate::log::wal::{self, CatalogLog, Fault, ReadLog, Replayed};
use crate::open::rebuild::{self, References};
use crate::rolled::file::{self as rolled, RolledDay};
use crate::rolled::footer::Footers;
use crate::rollup::day::RollupDay;
use crate::rollup::file::{self as rollup_file, RollupFile};
use crate::segment::file::{self as segment, Segment};
use crate::state::health::Health;
use crate::state::last_rows::LastRows;
use crate::state::shared::Shared;
use crate::state::stats::Counters;
use crate::state::view::{ByDay, View};

/// The folders that the store's own files are in.
const PARTS: [&str; 4] = ["wal", "segments", "parquet", "rollups"];

/// What the threads of a store start from.
pub(crate) struct Recovered {
    pub shared: Arc<Shared>,
    /// The log file of the last head.
    pub log: AppendFile,
    pub catalog_log: CatalogLog,
}

/// Reads a data directory, which is locked; an empty one becomes that of an empty store.
pub(crate) fn recover(dir: DataDir, options: Options) -> Result<Recovered> {
    dir.create_dir(&dir.join("wal"))?;
    dir.create_dir(&dir.join("segments"))?;
    for part in PARTS.iter().filter(|part| dir.is_dir(&dir.join(part))) {
        // A killed process may have left names to the system only, on which the rest is going to count.
        dir.sync_dir(&dir.join(part))?;
    }
    dir.sync_dir(dir.path())?;
    let health = Health::load(dir.clone())?;
    let retentions = Retentions { general: options.retention, tables: options.table_retention.clone() };
    let catalog = Arc::new(Catalog::limited(retentions, options.catalog_bytes_max, options.limits));
    refuse_missing_catalog(&dir)?;
    let closed = Closed::read(&dir, |error| health.mended(error))?;
    let changed = closed.changed(&dir)?;
    let replayed = CatalogLog::replay(&dir, &catalog, &closed, |error| health.mended(error))?;
    let mut manifest = Manifest::load(&dir, |error| health.mended(error), || make_manifest(&dir, &catalog, &health))?;
    let (segments, lost_segments) = open_segments(&dir, &manifest, &health)?;
    let heads = read_heads(&dir, &manifest, &closed, &health)?;
    let mut references = References::default();
    segments.iter().for_each(|segment| references.segment(segment));
    heads.iter().flat_map(|head| &head.log.entries).for_each(|entry| references.entry(entry));
    manifest.rolled.iter().try_for_each(|id| references.rolled_name(&dir, &catalog, *id))?;
    references.add_tables(&catalog);
    let footers = Footers::new(options.footers_bytes_max);
    let (rolled, lost) = open_rolled(&dir, &manifest, &catalog, &footers, &health)?;
    rolled.values().try_for_each(|day| references.rolled(day, &catalog))?;
    references.add_columns_and_series(&catalog);
    let catalog_contents = complete_catalog(&dir, replayed, &references.changes, &health)?;
    // Numbers that the catalogue does not have would be given to others: rather no store than a mixed-up one.
    segments.iter().try_for_each(|segment| segment.check(&catalog))?;
    rolled.values().try_for_each(|day| {
        let fits = catalog.check(day.id().table, &[], day.last_series());
        fits.map_err(|reason| Error::corrupt(day.path(), 0, reason))
    })?;
    heads.iter().try_for_each(|head| wal::check(&dir, head.number, head.log.entries.iter(), &catalog))?;
    // What the readers found they told with what it means; this is for bytes that mean nothing.
    let means_nothing = |error: &&Error| matches!(error, Error::Corrupt { path, .. } if !health.knows(path));
    changed.iter().filter(means_nothing).for_each(|error| health.mended(error));
    // Before what shows it goes away.
    health.keep()?;
    Closed::remove(&dir)?;
    let (heads, log) = open_heads(&dir, &manifest, heads)?;
    let catalog_log = CatalogLog::open(&dir, &catalog_contents)?;
    remove_leftovers(&dir, &manifest, &catalog)?;
    let (rollups, rollup_days) = open_rollups(&dir, &mut manifest);
    // A floor that is above what retention leaves now is of a clock that was ahead, or of a shorter retention.
    let floor_now = |(table, floor): (&u32, &i64)| {
        let known = catalog.table(*table)?;
        let retention = catalog.retentions().of(&known.schema, &known.name);
        let floor = if retention.bytes.is_none() { retention.floor(now_ns()).min(*floor) } else { *floor };
        Some((*table, floor))
    };
    let dropped = catalog.tables().filter(|table| table.is_dropped()).map(|table| (table.id, DROPPED));
    let floors = manifest.floors.iter().filter_map(floor_now).chain(dropped).collect();
    let view = View { rolled, lost, segments, lost_segments, heads, floors, rollups, rollup_days };
    let last_rows = LastRows::new(options.last_rows_bytes_max);
    let shared = Shared {
        dir,
        options,
        catalog,
        manifest: Mutex::new(manifest),
        view: ArcSwap::from_pointee(view),
        health,
        last_rows,
        footers,
        counters: Counters::default(),
        closing: AtomicBool::new(false),
    };
    Ok(Recovered { shared: Arc::new(shared), log, catalog_log })
}

/// The segments that the manifest names, and those of them that cannot be read.
fn open_segments(dir: &DataDir, manifest: &Manifest, health: &Health) -> Result<(Vec<Arc<Segment>>, Vec<SegmentId>)> {
    let (mut segments, mut lost) = (Vec::new(), Vec::new());
    for id in &manifest.segments {
        match whole(health, Segment::open(dir, *id, |error| health.mended(&error)))? {
            Some(segment) => segments.push(segment),
            None => lost.push(*id),
        }
    }
    Ok((segments, lost))
}

/// The rolled days that the manifest names, and those of them that cannot be read, with their `through`.
fn open_rolled(
    dir: &DataDir,
    manifest: &Manifest,
    catalog: &Catalog,
    footers: &Arc<Footers>,
    health: &Health,
) -> Result<(ByDay<Arc<RolledDay>>, ByDay<u64>)> {
    let (mut rolled, mut lost) = (ByDay::new(), ByDay::new());
    for id in &manifest.rolled {
        let table = catalog.table(id.table).expect("its table was added if it was not there");
        match whole(health, RolledDay::open(dir, table, *id, footers))? {
            Some(day) => drop(rolled.insert((id.table, id.day), day)),
            None => drop(lost.insert((id.table, id.day), id.through)),
        }
    }
    Ok((rolled, lost))
}

/// The rollups that the manifest names, and their days. Those whose files cannot be read are made anew: they hold
/// nothing of their own.
fn open_rollups(dir: &DataDir, manifest: &mut Manifest) -> (BTreeMap<u32, Arc<Rollup>>, ByDay<Vec<RollupDay>>) {
    let own = manifest.rollups.iter().map(|(number, rollup)| (*number, Arc::new(rollup.clone())));
    let rollups: BTreeMap<u32, Arc<Rollup>> = own.collect();
    let mut days: ByDay<Vec<RollupDay>> = ByDay::new();
    manifest.rollup_days.retain(|id| {
        let file = RollupFile::open(dir, id);
        let file = file.inspect_err(|error| tracing::warn!("a day of a rollup is made anew: {error}"));
        let (Some(rollup), Ok(file)) = (rollups.get(&id.rollup), file) else { return false };
        if !file.is_up_to_date() {
            return false;
        }
        let day = RollupDay { id: *id, rollup: rollup.clone(), file: Arc::new(file) };
        days.entry((id.table, id.day)).or_default().push(day);
        true
    });
    (rollups, days)
}

/// A manifest for a folder that has none: that of an empty store, or what the files speak of.
fn make_manifest(dir: &DataDir, catalog: &Catalog, health: &Health) -> Result<Manifest> {
    let mut files = Vec::new();
    for part in PARTS {
        files.extend(dir.list_all(&dir.join(part))?);
    }
    if files.is_empty() {
        return Ok(Manifest { first_log: 1, ..Manifest::default() });
    }
    let paths = Manifest::paths(dir);
    health.mended(&Error::corrupt(&paths[0], 0, "there is no manifest and no good copy"));
    rebuild::keep(dir, &paths)?;
    rebuild::manifest(dir, catalog, health)
}

/// A catalogue that is gone as a whole may be found again; what would be made instead would be in its way.
fn refuse_missing_catalog(dir: &DataDir) -> Result<()> {
    let paths = CatalogLog::paths(dir);
    if dir.length(&paths[0])?.is_some() || dir.length(&paths[1])?.is_some() {
        return Ok(());
    }
    let mut rows = dir.list(&dir.join("segments"))?;
    rows.extend(dir.list(&dir.join("parquet"))?);
    for log in dir.list(&dir.join("wal"))? {
        let has_entries = dir.length(&log)?.is_some_and(|length| length > FILE_HEADER_BYTES as u64);
        rows.extend(has_entries.then_some(log));
    }
    let Some(path) = rows.first() else { return Ok(()) };
    let reason = format!("it is missing together with its copy, but there is {}; put one of them back", path.display());
    Err(Error::corrupt(&paths[0], 0, reason))
}

/// What the files of the catalogue should hold: what was read, and what was made up for the rest.
fn complete_catalog(dir: &DataDir, replayed: Replayed, made_up: &[u8], health: &Health) -> Result<Vec<u8>> {
    let Replayed { mut contents, damage } = replayed;
    if damage.is_some() || !made_up.is_empty() {
        let paths = CatalogLog::paths(dir);
        let reason = "rows refer to what is not in it, nor in its copy";
        health.lost_once(&damage.unwrap_or_else(|| Error::corrupt(&paths[0], contents.len() as u64, reason)));
        rebuild::keep(dir, &paths)?;
    }
    if !made_up.is_empty() {
        contents.extend(block::wrap(made_up, Kind::Catalog));
    }
    Ok(contents)
}

/// What was opened; nothing if it is damaged as a whole, which is noted. The manifest goes on naming it.
fn whole<T>(health: &Health, outcome: Result<T>) -> Result<Option<Arc<T>>> {
    match outcome {
        Ok(whole) => Ok(Some(Arc::new(whole))),
        Err(Error::Io { action, path, source }) if source.kind() == std::io::ErrorKind::NotFound => {
            health.lost(&Error::Io { action, path, source });
            Ok(None)
        }
        Err(error @ Error::Corrupt { .. }) => {
            health.lost(&error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Removes files of the store's own that the manifest does not name: a crash came between their making and their
/// counting, or between their replacement and their removal.
fn remove_leftovers(dir: &DataDir, manifest: &Manifest, catalog: &Catalog) -> Result<()> {
    let segments: Vec<_> = manifest.segments.iter().map(|id| segment::path(dir, *id)).collect();
    let rolled = manifest.rolled.iter().filter_map(|id| Some(rolled::path(dir, catalog.table(id.table)?, *id)));
    let rolled: HashSet<_> = rolled.collect();
    let rollups: HashSet<_> = manifest.rollup_days.iter().map(|id| rollup_file::path(dir, id)).collect();
    let is_leftover = |path: &Path| match path.extension().and_then(|kind| kind.to_str()) {
        Some("log") => wal::number(path).is_some_and(|number| number < manifest.first_log),
        Some("seg") => !segments.iter().any(|segment| segment == path),
        Some("parquet") => !rolled.contains(path),
        Some("rollup") => !rollups.contains(path),
        Some("tmp") => true,
        _ => false,
    };
    for part in PARTS {
        for path in dir.list_all(&dir.join(part))?.iter().filter(|path| is_leftover(path)) {
            dir.remove(path)?;
        }
    }
    Ok(())
}

/// What a log file that is not sealed holds.
struct StoredHead {
    number: u64,
    log: ReadLog,
    /// Did a clean end say that all of it is durable?
    is_durable: bool,
}

/// What is in the log files that are not sealed, oldest first.
fn read_heads(dir: &DataDir, manifest: &Manifest, closed: &Closed, health: &Health) -> Result<Vec<StoredHead>> {
    let mut numbers = Vec::new();
    for path in dir.list(&dir.join("wal"))? {
        numbers.extend(wal::number(&path).filter(|number| *number >= manifest.first_log));
    }
    numbers.sort_unstable();
    let mut heads = Vec::new();
    for number in numbers {
        let path = wal::path(dir, number);
        let extent = closed.extent(dir, &path);
        let recovered = wal::read(dir, number, extent, |fault, error, bytes| match (fault, error) {
            (Fault::Header, _) => health.mended(error),
            (_, Error::Corrupt { offset, .. }) => {
                match fault {
                    Fault::Torn => tracing::warn!("{error}; it was an unfinished write and is left out"),
                    Fault::Doubt => health.in_doubt(error),
                    _ => health.lost_once(error),
                }
                dir.quarantine(&path, *offset as usize, bytes);
            }
            _ => unreachable!("a fault is damage at some offset"),
        })?;
        match recovered {
            Some(log) => {
                let is_durable = log.entries.is_empty() || extent >= log.end;
                heads.push(StoredHead { number, log, is_durable });
            }
            None => dir.remove(&path)?,
        }
    }
    Ok(heads)
}

/// Writes a log anew. What was read of it may be in the system's memory only: after a sync that failed the system takes
/// it for written, and another sync does nothing for it. From here on it is shown, and later entries follow it.
fn make_durable(dir: &DataDir, head: &mut StoredHead) -> Result<()> {
    match wal::rewrite(dir, head.number, &head.log.entries) {
        Ok(end) => head.log.end = end,
        // A full disk fails no sync. What is in the file's place is the one or the other.
        Err(error) if error.is_disk_full() && !head.log.has_holes => {
            tracing::warn!("a log stays as the last process left it: {error}");
            if let Some(log) = wal::read(dir, head.number, 0, |_, _, _| {})? {
                head.log = log;
            }
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The heads, and the last of their files, to be written on.
fn open_heads(dir: &DataDir, manifest: &Manifest, mut stored: Vec<StoredHead>) -> Result<(Vec<Arc<Head>>, AppendFile)> {
    for head in stored.iter_mut().filter(|head| head.log.has_holes || !head.is_durable) {
        make_durable(dir, head)?;
    }
    let log = match stored.last() {
        Some(last) => AppendFile::open(dir, &wal::path(dir, last.number), last.log.end)?,
        None => wal::create(dir, manifest.first_log)?,
    };
    let mut heads: Vec<_> = stored.into_iter().map(|head| Arc::new(Head::new(head.number, head.log.entries))).collect();
    if heads.is_empty() {
        heads.push(Arc::new(Head::new(manifest.first_log, Vec::new())));
    }
    Ok((heads, log))
}
