//! The manifest: which segments and rolled days are the store's data, and which log files still are.
//!
//! The one file that says what counts. It is replaced as a whole, so every step of background work (a seal, a
//! compaction, a roll) happens at one instant: files that it does not name are leftovers of a crash, and are removed.
//! It exists twice. The copy is written first and may be one step ahead; until both are written nothing is removed
//! that either of them names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::ids::{RolledId, RollupId, SegmentId};
use crate::catalog::rollup::Rollup;
use crate::files::block::{self, FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Kind};
use crate::files::data_dir::DataDir;

/// The manifest's name in the data directory, and its copy's.
const FILE_NAMES: [&str; 2] = ["MANIFEST", "MANIFEST.copy"];

/// What counts in a data directory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The segments, oldest first: a later segment's values win over an earlier one's.
    pub segments: Vec<SegmentId>,
    /// The first log file that is not sealed. Segments and log files count with the same numbers.
    pub first_log: u64,
    /// The rolled days, older than every segment behind their `through`.
    #[serde(default)]
    pub rolled: Vec<RolledId>,
    /// Tables' first times that retention has left, ns since the epoch.
    #[serde(default)]
    pub floors: BTreeMap<u32, i64>,
    /// The rollups that are declared, by number.
    #[serde(default)]
    pub rollups: BTreeMap<u32, Rollup>,
    /// The number of the next one.
    #[serde(default)]
    pub next_rollup: u32,
    /// The days of theirs that are made.
    #[serde(default)]
    pub rollup_days: Vec<RollupId>,
}

impl Manifest {
    /// The manifest of a folder. If both are damaged or missing, `make` gives another. One that is damaged is told to
    /// `note`.
    pub(crate) fn load(
        dir: &DataDir,
        note: impl Fn(&Error),
        make: impl FnOnce() -> Result<Manifest>,
    ) -> Result<Manifest> {
        let [first, copy] = Manifest::paths(dir).map(|path| Manifest::read(dir, &path));
        let (manifest, failure) = match (first, copy) {
            (Ok(Some(manifest)), Ok(Some(copy))) if manifest == copy => return Ok(manifest),
            // A crash between the two left the copy one step ahead, or there is none yet.
            (Ok(Some(manifest)), Ok(_)) => (manifest, None),
            (Ok(Some(manifest)), Err(error @ Error::Corrupt { .. })) => (manifest, Some(error)),
            (Err(error @ Error::Corrupt { .. }), Ok(Some(copy))) => (copy, Some(error)),
            // A crash between the first two of all.
            (Ok(None), Ok(Some(copy))) => (copy, None),
            (Ok(None) | Err(Error::Corrupt { .. }), Ok(None) | Err(Error::Corrupt { .. })) => (make()?, None),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        if let Some(error) = failure {
            note(&error);
        }
        manifest.store(dir)?;
        Ok(manifest)
    }

    /// The manifest in a file; `None` if there is no such file.
    pub(crate) fn read(dir: &DataDir, path: &Path) -> Result<Option<Manifest>> {
        if dir.length(path)?.is_none() {
            return Ok(None);
        }
        let bytes = dir.read(path)?;
        if let Some(error) = FileHeader::MANIFEST.damage(&bytes, path)? {
            return Err(error);
        }
        let manifest = Manifest::decode(&bytes);
        manifest.map(Some).map_err(|reason| Error::corrupt(path, 0, reason))
    }

    /// The manifest that a file's bytes are, whatever its header.
    pub(crate) fn decode(file: &[u8]) -> Result<Manifest, String> {
        let block = block::open(file.get(FILE_HEADER_BYTES..).unwrap_or_default(), Kind::Manifest);
        let block = block.map_err(|error| error.to_string())?;
        serde_json::from_slice(&block[HEADER_BYTES..]).map_err(|error| error.to_string())
    }

    /// The bytes of a file around this JSON.
    pub(crate) fn file(json: &[u8]) -> Vec<u8> {
        [&FileHeader::MANIFEST.bytes()[..], &block::wrap(json, Kind::Manifest)].concat()
    }

    /// Where the manifest of a folder and its copy are.
    pub(crate) fn paths(dir: &DataDir) -> [PathBuf; 2] {
        FILE_NAMES.map(|name| dir.join(name))
    }

    /// Makes this the manifest of a folder, durably.
    pub(crate) fn store(&self, dir: &DataDir) -> Result<()> {
        let payload = serde_json::to_vec(self).expect("numbers always become JSON");
        let file = Manifest::file(&payload);
        let [first, copy] = Manifest::paths(dir);
        dir.replace(&copy, &file)?;
        dir.replace(&first, &file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_of_version_1_is_read() {
        let json = r#"{"segments":[{"number":5,"generation":1}],"first_log":6}"#;
        let manifest: Manifest = serde_json::from_str(json).unwrap();
        assert_eq!(
            manifest,
            Manifest { segments: vec![SegmentId { number: 5, generation: 1 }], first_log: 6, ..Manifest::default() }
        );
    }
}
