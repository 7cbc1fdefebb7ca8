//! What was found damaged since the store was opened, and what is done about it: it is kept, counted and reported.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::base::error::{Error, Result};
use crate::files::data_dir::DataDir;
use crate::log::damage_list::DamageList;
use crate::rolled::file::RolledDay;
use crate::segment::file::Segment;
use crate::segment::index::Page;

/// A place whose rows cannot be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LostPlace<'a> {
    Page(&'a Segment, &'a Page),
    RowGroup(&'a RolledDay, usize),
}

/// The damage that is known.
#[derive(Debug)]
pub(crate) struct Health {
    dir: DataDir,
    /// Concerns every answer, and is found again at each opening: what is missing is not known.
    general: boxcar::Vec<String>,
    /// Concerns every answer, and is found only once.
    list: Mutex<DamageList>,
    /// Files in which something was found.
    files: Mutex<HashSet<PathBuf>>,
    /// How many damaged places were found.
    count: AtomicUsize,
    /// How many places were found that may have been acknowledged.
    in_doubt: AtomicUsize,
}

impl Health {
    /// What is known already of a data directory.
    pub(crate) fn load(dir: DataDir) -> Result<Health> {
        let health = Health {
            dir,
            general: boxcar::Vec::new(),
            list: Mutex::default(),
            files: Mutex::default(),
            count: AtomicUsize::new(0),
            in_doubt: AtomicUsize::new(0),
        };
        match DamageList::read(&health.dir, |error| health.mended(error)) {
            Ok(list) => *health.list() = list,
            Err(error @ Error::Corrupt { .. }) => {
                // What was in it is not known, so that it stands for all of it.
                let path = DamageList::path(&health.dir);
                health.dir.quarantine(&path, 0, &health.dir.read(&path)?);
                health.lost_once(&error);
            }
            Err(error) => return Err(error),
        }
        for error in health.list().open(&health.dir) {
            tracing::error!("{error}; answers say so until 'fournines accept-damage'");
        }
        Ok(health)
    }

    /// Something was damaged that could be made up for: nothing is missing.
    pub(crate) fn mended(&self, error: &Error) {
        tracing::error!("{error}; it was made up for");
        self.found(error);
    }

    /// Something is damaged, and what it held is missing from answers.
    pub(crate) fn lost(&self, error: &Error) {
        tracing::error!("{error}; what it held is missing");
        self.general.push(error.to_string());
        self.found(error);
    }

    /// As [`lost`](Self::lost), where nothing is going to show it any more. [`keep`](Self::keep) makes that last.
    pub(crate) fn lost_once(&self, error: &Error) {
        if self.list().add(&self.dir, error) {
            tracing::error!("{error}; what it held is missing");
            self.found(error);
        }
    }

    /// The last that was written before a crash is not what it was: it may have been acknowledged.
    pub(crate) fn in_doubt(&self, error: &Error) {
        let Error::Corrupt { path, offset, reason } = error else { return self.lost_once(error) };
        let reason =
            format!("{reason}; it was the last that was written, and whether its rows were acknowledged is in doubt");
        let error = Error::corrupt(path, *offset, reason);
        if self.list().add(&self.dir, &error) {
            tracing::error!("{error}; its bytes are in quarantine/");
            self.files().insert(path.clone());
            self.in_doubt.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes the list of damage last.
    pub(crate) fn keep(&self) -> Result<()> {
        let list = self.list();
        let is_known = DamageList::read(&self.dir, |_| {}).is_ok_and(|stored| stored == *list);
        if is_known { Ok(()) } else { list.store(&self.dir) }
    }

    /// Somebody knows of what was lost or is in doubt: answers do not mention it any more. Returns what that is.
    pub(crate) fn accept(&self) -> Result<Vec<String>> {
        let mut list = self.list();
        let open: Vec<String> = list.open(&self.dir).map(|error| error.to_string()).collect();
        if !open.is_empty() {
            let mut accepted = list.clone();
            accepted.accept();
            accepted.store(&self.dir)?;
            *list = accepted;
        }
        Ok(open)
    }

    /// Was something found in this file?
    pub(crate) fn knows(&self, path: &Path) -> bool {
        self.files().contains(path)
    }

    fn found(&self, error: &Error) {
        if let Error::Corrupt { path, .. } = error {
            self.files().insert(path.clone());
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn list(&self) -> MutexGuard<'_, DamageList> {
        self.list.lock().expect("nothing panics while it holds the list")
    }

    fn files(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.files.lock().expect("nothing panics while it holds the files")
    }

    /// A place in a segment or a rolled day is damaged: it is left out from now on, its bytes are kept.
    pub(crate) fn lost_rows(&self, place: LostPlace<'_>, error: &Error) {
        let (new, path, offset, bytes) = match place {
            LostPlace::Page(segment, page) => {
                (segment.set_damaged(page), segment.path(), page.offset as usize, segment.page_bytes(page))
            }
            LostPlace::RowGroup(rolled, group) => {
                let extent = rolled.extent(group);
                (rolled.set_damaged(group), rolled.path(), extent.start, rolled.bytes(extent))
            }
        };
        if new {
            tracing::error!("{error}; its rows are missing from answers, its bytes are in quarantine/");
            self.dir.quarantine(path, offset, bytes);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What every answer has to mention.
    pub(crate) fn general(&self) -> Vec<String> {
        let again = self.general.iter().map(|(_, warning)| warning.clone());
        again.chain(self.list().open(&self.dir).map(|error| error.to_string())).collect()
    }

    /// How many places may have been acknowledged.
    pub(crate) fn count_in_doubt(&self) -> usize {
        self.in_doubt.load(Ordering::Relaxed)
    }

    /// How many damaged places were found.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
