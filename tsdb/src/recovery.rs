//! Recovery: what a data directory says when it is opened, made whole again after a crash or damage.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::catalog::Catalog;
use crate::data_dir::{AppendFile, DataDir};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::health::Health;
use crate::last_rows::LastRows;
use crate::log::{self, CatalogLog, Fault};
use crate::manifest::Manifest;
use crate::retention::Retentions;
use crate::rolled::{self, RolledDay};
use crate::segment::{self, Segment};
use crate::shared::Shared;
use crate::stats::Counters;
use crate::store::Options;
use crate::view::View;

/// The folders that the store's own files are in.
const PARTS: [&str; 3] = ["wal", "segments", "parquet"];

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
    let health = Health::new(dir.clone());
    let manifest = Manifest::load(&dir, &health)?;
    let retentions = Retentions { general: options.retention, tables: options.table_retention.clone() };
    let catalog = Arc::new(Catalog::retaining(retentions));
    let catalog_contents = CatalogLog::replay(&dir, &catalog, |error| health.mended(error))?;
    let segments = manifest.segments.iter();
    let segments = segments.map(|id| whole(&health, Segment::open(&dir, *id, |error| health.mended(&error))));
    let segments = segments.filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
    let mut lost = BTreeMap::new();
    let rolled = manifest.rolled.iter().map(|id| {
        let unknown = || Error::corrupt(&dir.join("catalog.log"), 0, format!("table {} is missing", id.table));
        let table = catalog.table(id.table).ok_or_else(unknown)?;
        let day = whole(&health, RolledDay::open(&dir, table, *id))?;
        if day.is_none() {
            lost.insert((id.table, id.day), id.through);
        }
        Ok(day)
    });
    let rolled = rolled.filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
    // Numbers that the catalogue has lost would be given to others: rather no store than a mixed-up one.
    segments.iter().try_for_each(|segment| segment.check(&catalog))?;
    rolled.iter().try_for_each(|day| {
        let fits = catalog.check(day.id().table, &[], day.last_series());
        fits.map_err(|reason| Error::corrupt(day.path(), 0, reason))
    })?;
    let rolled: BTreeMap<_, _> = rolled.into_iter().map(|day| ((day.id().table, day.id().day), day)).collect();
    let (heads, log) = recover_heads(&dir, &manifest, &catalog, &health)?;
    let catalog_log = CatalogLog::open(&dir, &catalog_contents)?;
    remove_leftovers(&dir, &manifest, &catalog)?;
    for (table, floor) in &manifest.floors {
        if let Some(table) = catalog.table(*table) {
            table.set_floor((*floor).max(table.floor()));
        }
    }
    let view = View { rolled, lost, segments, heads, floors: manifest.floors.clone() };
    let last_rows = LastRows::new(options.last_rows_bytes_max);
    let shared = Shared {
        dir,
        options,
        catalog,
        manifest: Mutex::new(manifest),
        view: ArcSwap::from_pointee(view),
        health,
        last_rows,
        counters: Counters::default(),
        closing: AtomicBool::new(false),
    };
    Ok(Recovered { shared: Arc::new(shared), log, catalog_log })
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
    let rolled: std::collections::HashSet<_> = rolled.collect();
    let is_leftover = |path: &Path| match path.extension().and_then(|kind| kind.to_str()) {
        Some("log") => log::number(path).is_some_and(|number| number < manifest.first_log),
        Some("seg") => !segments.iter().any(|segment| segment == path),
        Some("parquet") => !rolled.contains(path),
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

/// The heads of all log files that are not sealed, and the last of those files, to be written on.
fn recover_heads(
    dir: &DataDir,
    manifest: &Manifest,
    catalog: &Catalog,
    health: &Health,
) -> Result<(Vec<Arc<Head>>, AppendFile)> {
    let mut numbers = Vec::new();
    for path in dir.list(&dir.join("wal"))? {
        numbers.extend(log::number(&path).filter(|number| *number >= manifest.first_log));
    }
    numbers.sort_unstable();
    let mut heads = Vec::new();
    let mut last = None;
    for number in numbers {
        let path = log::path(dir, number);
        let recovered = log::read(dir, number, catalog, |fault, error, bytes| match (fault, error) {
            (Fault::Header, _) => health.mended(error),
            (_, Error::Corrupt { offset, .. }) => {
                match fault {
                    Fault::Tail => tracing::warn!("{error}; it was an unfinished write and is cut off"),
                    _ => health.lost(error),
                }
                // A last block that was damaged later looks like a write that was cut short.
                dir.quarantine(&path, *offset as usize, bytes);
            }
            _ => unreachable!("a fault is damage at some offset"),
        })?;
        let Some((entries, end)) = recovered else {
            dir.remove(&path)?;
            continue;
        };
        heads.push(Arc::new(Head::new(number, entries)));
        last = Some((number, end));
    }
    let log = match last {
        Some((number, end)) => AppendFile::open(dir, &log::path(dir, number), end)?,
        None => {
            heads.push(Arc::new(Head::new(manifest.first_log, Vec::new())));
            log::create(dir, manifest.first_log)?
        }
    };
    Ok((heads, log))
}
