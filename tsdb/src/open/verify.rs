//! Verifies a data directory: every checksum, every index against its data. It only reads, and needs no lock: a store
//! may be at work in the directory, or it may be a snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::catalog::filter::Filter;
use crate::catalog::registry::Catalog;
use crate::files::block::FILE_HEADER_BYTES;
use crate::files::data_dir::DataDir;
use crate::files::disk::{Disk, RealDisk};
use crate::log::closed::Closed;
use crate::log::damage_list::DamageList;
use crate::log::manifest::Manifest;
use crate::log::wal::{self, CatalogLog, Fault};
use crate::rolled::file::{OnDamagedGroup, RolledDay};
use crate::rolled::footer::Footers;
use crate::rollup::file::RollupFile;
use crate::rows::merge::Source;
use crate::segment::file::{self as segment, Segment};

/// What a verification found.
#[derive(Debug, Clone, Default)]
pub struct Verification {
    /// Files that were read.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that were read in segments and rolled days.
    pub rows: u64,
    /// What is wrong, each with its file and place.
    pub damage: Vec<Error>,
    /// What was lost before, or is in doubt, and nobody has accepted: see
    /// [`Store::accept_damage`](crate::Store::accept_damage).
    pub missing: Vec<Error>,
    /// Damaged bytes that were put aside before.
    pub quarantined: Vec<PathBuf>,
    /// Unfinished writes at the ends of logs: what a crash leaves, or a store that is writing right now.
    pub unfinished: Vec<Error>,
}

/// Verifies the data directory `dir`. `progress` is told how many bytes of how many have been read.
///
/// # Errors
///
/// There is no store in the directory, or the system refused to read. Damage is no error: it is in the answer.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// tsdb::Store::open(dir.path(), tsdb::Options::default())?.close()?;
/// let found = tsdb::verify(dir.path(), |done, all| assert!(done <= all))?;
/// assert!(found.damage.is_empty());
/// # Ok::<(), tsdb::Error>(())
/// ```
pub fn verify(dir: impl AsRef<Path>, progress: impl FnMut(u64, u64)) -> Result<Verification> {
    verify_on(Arc::new(RealDisk), dir, progress)
}

/// As [`verify`], on a disk of the caller's.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_on(disk: Arc<dyn Disk>, dir: impl AsRef<Path>, progress: impl FnMut(u64, u64)) -> Result<Verification> {
    let dir = DataDir::new(disk, dir.as_ref());
    let mut progress = progress;
    loop {
        let mut verifier = Verifier { total: 0, found: Verification::default(), progress, dir: dir.clone() };
        let manifest = verifier.verify()?;
        // A store at work replaces files: what was missing may be what it has replaced meanwhile.
        let missing = |error: &Error| matches!(error, Error::Io { .. });
        let replaced = verifier.found.damage.iter().any(missing)
            && Manifest::read(&dir, &Manifest::paths(&dir)[0]).is_ok_and(|now| now.is_some_and(|now| now != manifest));
        if !replaced {
            return Ok(verifier.found);
        }
        progress = verifier.progress;
    }
}

struct Verifier<P> {
    dir: DataDir,
    total: u64,
    found: Verification,
    progress: P,
}

impl<P: FnMut(u64, u64)> Verifier<P> {
    /// Verifies everything that the manifest names, and returns that.
    fn verify(&mut self) -> Result<Manifest> {
        let dir = self.dir.clone();
        let manifest = self.manifest()?;
        let mut logs = dir.list(&dir.join("wal"))?;
        logs.retain(|path| wal::number(path).is_some_and(|number| number >= manifest.first_log));
        let segments: Vec<_> = manifest.segments.iter().map(|id| (*id, segment::path(&dir, *id))).collect();
        let paths = logs.iter().chain(segments.iter().map(|(_, path)| path));
        for path in paths.chain(&CatalogLog::paths(&dir)) {
            self.total += dir.length(path)?.unwrap_or(0);
        }
        let closed = {
            let damage = &mut self.found.damage;
            Closed::read(&dir, |error| damage.push(error.clone()))?
        };
        let catalog = self.catalog(&closed)?;
        for (id, path) in segments {
            self.segment(id, &path, &catalog)?;
        }
        for id in &manifest.rolled {
            self.rolled(*id, &catalog)?;
        }
        for id in &manifest.rollup_days {
            let file = RollupFile::open(&self.dir, id);
            if let Some(file) = self.note(file)? {
                self.note(file.verify())?;
                self.read(file.file_bytes());
            }
        }
        for path in logs {
            self.log(&path, &catalog, &closed)?;
        }
        // Bytes that mean nothing have no checksum of their own.
        for error in closed.changed(&dir)? {
            let of = |error: &Error| match error {
                Error::Corrupt { path, .. } => Some(path.clone()),
                _ => None,
            };
            if !self.found.damage.iter().any(|known| of(known) == of(&error)) {
                self.found.damage.push(error);
            }
        }
        let list = {
            let damage = &mut self.found.damage;
            DamageList::read(&dir, |error| damage.push(error.clone()))
        };
        if let Some(list) = self.note(list)? {
            self.found.missing.extend(list.open(&dir));
        }
        self.found.quarantined = dir.list(&dir.join("quarantine"))?;
        Ok(manifest)
    }

    fn read(&mut self, bytes: usize) {
        self.found.files += 1;
        self.found.bytes += bytes as u64;
        self.total = self.total.max(self.found.bytes);
        (self.progress)(self.found.bytes, self.total);
    }

    /// Damage is noted, other errors end the verification; a file that is missing is damage.
    fn note<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Error::Io { action, path, source }) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Io { action, path, source })
            }
            Err(error) => {
                self.found.damage.push(error);
                Ok(None)
            }
        }
    }

    /// The manifest that counts.
    fn manifest(&mut self) -> Result<Manifest> {
        let mut found = None;
        for path in Manifest::paths(&self.dir) {
            let Some(length) = self.dir.length(&path)? else { continue };
            let manifest = Manifest::read(&self.dir, &path);
            if let Some(manifest) = self.note(manifest)? {
                found = found.or(manifest);
            }
            self.read(length as usize);
        }
        let none = || Error::corrupt(&self.dir.join("MANIFEST"), 0, "there is no manifest: this is no data directory");
        found.ok_or_else(|| self.found.damage.first().cloned().unwrap_or_else(none))
    }

    fn catalog(&mut self, closed: &Closed) -> Result<Catalog> {
        let catalog = Catalog::new();
        let damage = &mut self.found.damage;
        let replayed = CatalogLog::replay(&self.dir, &catalog, closed, |error| damage.push(error.clone()));
        if let Some(replayed) = self.note(replayed)? {
            self.found.damage.extend(replayed.damage);
            self.read(2 * replayed.contents.len());
        }
        Ok(catalog)
    }

    fn segment(&mut self, id: crate::base::ids::SegmentId, path: &Path, catalog: &Catalog) -> Result<()> {
        let bytes = self.dir.map(path);
        let Some(bytes) = self.note(bytes)? else { return Ok(()) };
        self.found.damage.extend(segment::verify_ends(path, &bytes));
        // What opening complains about has just been noted.
        if let Ok(segment) = Segment::open(&self.dir, id, |_| {}) {
            let fits = segment.check(catalog);
            self.note(fits)?;
            let mut end = FILE_HEADER_BYTES;
            for page in segment.all_pages() {
                end = end.max(page.offset as usize + page.lengths.iter().map(|length| *length as usize).sum::<usize>());
                if self.note(segment.verify(&page))?.is_some() {
                    self.found.rows += page.rows as u64;
                }
            }
            if !segment.all_pages().any(|page| page.is_version_1) {
                self.padding(path, &bytes, end);
            }
        }
        self.read(bytes.len());
        Ok(())
    }

    /// Between the last chunk and the index there are zeros.
    fn padding(&mut self, path: &Path, bytes: &[u8], end: usize) {
        let padding = bytes.get(end..end.next_multiple_of(8)).unwrap_or_default();
        if let Some(at) = padding.iter().position(|byte| *byte != 0) {
            self.found.damage.push(Error::corrupt(path, (end + at) as u64, "expected zeros before the index"));
        }
    }

    fn rolled(&mut self, id: crate::base::ids::RolledId, catalog: &Catalog) -> Result<()> {
        let Some(table) = catalog.table(id.table) else {
            let reason = format!("a rolled day of table {}, which is not in the catalogue", id.table);
            self.found.damage.push(Error::corrupt(&self.dir.join("MANIFEST"), 0, reason));
            return Ok(());
        };
        // The footer of this day only.
        let rolled = RolledDay::open(&self.dir, table, id, &Footers::new(1 << 30));
        let Some(rolled) = self.note(rolled)?.map(Arc::new) else { return Ok(()) };
        let fields: Vec<u32> = (0..table.columns().fields.len() as u32).collect();
        let refuse: OnDamagedGroup = Arc::new(|_, _, error| Err(error));
        let rows: Source<'static> = rolled.read(&fields, Filter::ALL, refuse);
        let mut count = 0;
        for rows in rows {
            match self.note(rows)? {
                Some(rows) if rows.times.iter().all(|time| crate::base::day::Day::of(*time) == id.day) => {
                    count += rows.len();
                }
                Some(_) => self.found.damage.push(Error::corrupt(rolled.path(), 0, "rows of another day")),
                None => count = rolled.rows(), // said already
            }
        }
        if count != rolled.rows() {
            let reason = format!("{count} rows, the file's own metadata says {}", rolled.rows());
            self.found.damage.push(Error::corrupt(rolled.path(), 0, reason));
        }
        self.found.rows += count as u64;
        self.read(rolled.file_bytes());
        Ok(())
    }

    fn log(&mut self, path: &Path, catalog: &Catalog, closed: &Closed) -> Result<()> {
        let number = wal::number(path).expect("only log files get here");
        let (mut damage, mut unfinished) = (Vec::new(), Vec::new());
        let mut read = |catalog: &Catalog| {
            damage.clear();
            unfinished.clear();
            let extent = closed.extent(&self.dir, path);
            let read = wal::read(&self.dir, number, extent, |fault, error, _| match fault {
                Fault::Torn => unfinished.push(error.clone()),
                Fault::Header | Fault::Lost | Fault::Doubt => damage.push(error.clone()),
            })?;
            read.iter().try_for_each(|log| wal::check(&self.dir, number, log.entries.iter(), catalog))?;
            Ok(read)
        };
        let mut outcome = read(catalog);
        if let Err(Error::Corrupt { .. }) = outcome {
            // A store at work may have added to the catalogue since it was read.
            let newer = Catalog::new();
            if CatalogLog::replay(&self.dir, &newer, closed, |_| {}).is_ok() {
                outcome = read(&newer);
            }
        }
        self.found.damage.extend(damage);
        self.found.unfinished.extend(unfinished);
        let end = self.note(outcome)?.flatten().map_or(0, |log| log.end);
        self.read(end as usize);
        Ok(())
    }
}
