//! The manifest: which segments are the store's data, and which log files still are.
//!
//! The one file that says what counts. It is replaced as a whole, so every step of background work (a seal, a
//! compaction) happens at one instant: files that it does not name are leftovers of a crash, and are removed.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::block::{self, FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Kind};
use crate::disk;
use crate::error::{Error, IoContext, Result};

/// The manifest's name in the data directory.
pub(crate) const FILE_NAME: &str = "MANIFEST";

/// Which segment: the number of the youngest log file that it holds, and how often that was compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SegmentId {
    pub number: u64,
    pub generation: u32,
}

/// What counts in a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The segments, oldest first: a later segment's values win over an earlier one's.
    pub segments: Vec<SegmentId>,
    /// The first log file that is not sealed. Segments and log files count with the same numbers.
    pub first_log: u64,
}

impl Manifest {
    /// The manifest of a folder; a folder without one gets that of an empty store, unless it has segments.
    pub(crate) fn load(dir: &Path) -> Result<Manifest> {
        let path = dir.join(FILE_NAME);
        if !path.try_exists().on("look for", &path)? {
            // Without a manifest every segment would look like a leftover: rather no store than an emptied one.
            if let Some(segment) = disk::list(&dir.join("segments"))?.first() {
                return Err(Error::corrupt(&path, 0, format!("it is missing, but there is {}", segment.display())));
            }
            let empty = Manifest { segments: Vec::new(), first_log: 1 };
            empty.store(dir)?;
            return Ok(empty);
        }
        let bytes = disk::read(&path)?;
        let damaged = |reason: String| Error::corrupt(&path, 0, reason);
        FileHeader::MANIFEST.check(&bytes).map_err(damaged)?;
        let block = block::open(&bytes[FILE_HEADER_BYTES..], Kind::Manifest);
        let block = block.map_err(|error| damaged(error.to_string()))?;
        serde_json::from_slice(&block[HEADER_BYTES..]).map_err(|error| damaged(error.to_string()))
    }

    /// Makes this the manifest of a folder, durably.
    fn store(&self, dir: &Path) -> Result<()> {
        let payload = serde_json::to_vec(self).expect("numbers always become JSON");
        let mut file = FileHeader::MANIFEST.bytes().to_vec();
        file.extend(block::wrap(&payload, Kind::Manifest));
        disk::replace(&dir.join(FILE_NAME), &file)
    }
}

/// The manifest of an open store; the sealer and the compactor change it one after the other.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    dir: PathBuf,
    current: Mutex<Manifest>,
}

impl ManifestFile {
    pub(crate) fn new(dir: &Path, current: Manifest) -> ManifestFile {
        ManifestFile { dir: dir.to_owned(), current: Mutex::new(current) }
    }

    /// Changes the manifest; durable when this returns. On an error it stays as it was.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Manifest)) -> Result<()> {
        let mut current = self.current.lock().expect("nothing panics while it holds the manifest");
        let mut new = current.clone();
        change(&mut new);
        new.store(&self.dir)?;
        *current = new;
        Ok(())
    }
}
