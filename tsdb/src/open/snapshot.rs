//! Snapshots: a second data directory with the same rows, made of hard links; and restoring, which copies one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::error::{Error, IoContext, Result};
use crate::files::data_dir::{DataDir, NewFile};
use crate::files::disk::RealDisk;
use crate::files::owner::take_owner;
use crate::files::read_only_disk::ReadOnlyDisk;
use crate::log::damage_list::DamageList;
use crate::log::manifest::Manifest;
use crate::log::wal::CatalogLog;
use crate::open::verify::verify;
use crate::rolled::file as rolled;
use crate::segment::file as segment;
use crate::state::shared::Shared;

/// Files that are no part of the data.
const NOT_DATA: [&str; 4] = ["LOCK", "quarantine", "spill", "snapshots"];

/// Makes a snapshot in `to`, which must not be there: of all that is sealed.
pub(crate) fn snapshot(shared: &Shared, to: &Path) -> Result<()> {
    let dir = &shared.dir;
    let target = dir.at(to);
    refuse_existing(&target)?;
    for part in ["", "wal", "segments"] {
        target.create_dir(&target.join(part))?;
    }
    // Nothing that it names goes away while it is held.
    let manifest = shared.manifest.lock().expect("nothing panics while it holds the manifest");
    for id in &manifest.segments {
        link_or_copy(dir, &segment::path(dir, *id), &segment::path(&target, *id))?;
    }
    for id in &manifest.rolled {
        let table = shared.catalog.table(id.table).expect("a rolled day is of a known table");
        let path = rolled::path(&target, table, *id);
        target.create_dir(path.parent().expect("a file lies in a folder"))?;
        link_or_copy(dir, &rolled::path(dir, table, *id), &path)?;
        target.sync_dir(path.parent().expect("a file lies in a folder"))?;
    }
    target.sync_dir(&target.join("segments"))?;
    // What it refers to was in the catalogue before.
    for (own, other) in CatalogLog::paths(dir).iter().zip(CatalogLog::paths(&target)) {
        target.replace(&other, &dir.read(own)?)?;
    }
    // What is missing here is missing there.
    let list = DamageList::read(dir, |_| {})?;
    if list != DamageList::default() {
        list.store(&target)?;
    }
    // Days of rollups are made anew.
    Manifest { rollup_days: Vec::new(), ..manifest.clone() }.store(&target)
}

/// A second name for a file that is never changed; on another file system a copy of it.
fn link_or_copy(dir: &DataDir, from: &Path, to: &Path) -> Result<()> {
    match dir.link(from, to) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::CrossesDevices => {
            dir.replace(to, &dir.map(from)?)
        }
        outcome => outcome,
    }
}

fn refuse_existing(target: &DataDir) -> Result<()> {
    match target.is_dir(target.path()) && !target.list(target.path())?.is_empty() {
        true => Err(std::io::ErrorKind::AlreadyExists.into()).on("write to", target.path()),
        false => Ok(()),
    }
}

/// Copies a snapshot, or the data directory of a store that is not running, to `to`, which must not be there or be
/// empty. Every checksum is verified first. `progress` is told how many bytes of how many have been copied.
///
/// # Errors
///
/// [`Error::Corrupt`] if something is damaged: nothing is copied. [`Error::Locked`] if a store is at work in `from`.
///
/// ```
/// # let root = tempfile::tempdir().unwrap();
/// let (dir, snapshot, restored) = (root.path().join("data"), root.path().join("snapshot"), root.path().join("restored"));
/// let store = tsdb::Store::open(&dir, tsdb::Options::default())?;
/// store.snapshot(&snapshot)?;
/// tsdb::restore(&snapshot, &restored, |_, _| {})?;
/// tsdb::Store::open(&restored, tsdb::Options::default())?;
/// # Ok::<(), tsdb::Error>(())
/// ```
pub fn restore(from: impl AsRef<Path>, to: impl AsRef<Path>, mut progress: impl FnMut(u64, u64)) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let source = DataDir::new(Arc::new(ReadOnlyDisk), from);
    let target = DataDir::new(Arc::new(RealDisk), to);
    refuse_existing(&target)?;
    let found = verify(from, |_, _| {})?;
    if let Some(damage) = found.damage.into_iter().next() {
        return Err(damage);
    }
    let _lock = source.lock()?;
    target.create_dir(to)?;
    // Whoever ran the old one runs the new one.
    take_owner(to, from).on("give to the owner of the snapshot", to)?;
    let is_data = |path: &PathBuf| {
        let first = path.strip_prefix(from).ok().and_then(|path| path.iter().next());
        !NOT_DATA.iter().any(|name| first == Some(name.as_ref())) && path.extension().is_none_or(|kind| kind != "tmp")
    };
    let mut files: Vec<PathBuf> = source.list_all(from)?.into_iter().filter(is_data).collect();
    // The manifest last: without it, what is there counts as nothing.
    let manifests = Manifest::paths(&source);
    files.sort_by_key(|path| manifests.contains(path));
    let mut all = 0;
    for file in &files {
        all += source.length(file)?.unwrap_or(0);
    }
    let mut done = 0;
    for file in &files {
        let path = target.join(file.strip_prefix(from).expect("it was listed there"));
        target.create_dir(path.parent().expect("a file lies in a folder"))?;
        let mut copy = NewFile::create(&target, &path)?;
        for part in source.map_or_empty(file)?.chunks(1 << 20) {
            copy.write_all(part).on("write", &path)?;
            done += part.len() as u64;
            progress(done, all);
        }
        copy.publish()?;
    }
    Ok(())
}
