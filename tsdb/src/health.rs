//! What was found damaged since the store was opened, and what is done about it: it is kept, counted and reported.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::unit::Place;

/// The damage that is known.
#[derive(Debug)]
pub(crate) struct Health {
    dir: DataDir,
    /// Concerns every answer: what is missing is not known.
    general: boxcar::Vec<String>,
    /// How many damaged places were found.
    count: AtomicUsize,
}

impl Health {
    pub(crate) fn new(dir: DataDir) -> Health {
        Health { dir, general: boxcar::Vec::new(), count: AtomicUsize::new(0) }
    }

    /// Something was damaged that could be made up for: nothing is missing.
    pub(crate) fn mended(&self, error: &Error) {
        tracing::error!("{error}; it was made up for");
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Something is damaged, and what it held is missing from answers.
    pub(crate) fn lost(&self, error: &Error) {
        tracing::error!("{error}; what it held is missing");
        self.general.push(error.to_string());
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// A place in a segment or a rolled day is damaged: it is left out from now on, its bytes are kept.
    pub(crate) fn lost_rows(&self, place: Place<'_>, error: &Error) {
        let (new, path, offset, bytes) = match place {
            Place::Page(segment, page) => {
                (segment.set_damaged(page), segment.path(), page.offset as usize, segment.page_bytes(page))
            }
            Place::RowGroup(rolled, group) => {
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
        self.general.iter().map(|(_, warning)| warning.clone()).collect()
    }

    /// How many damaged places were found.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
