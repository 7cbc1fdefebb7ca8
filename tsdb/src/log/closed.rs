//! The mark of a clean end: how long each file was that grows or is replaced, and what it hashed to.
//!
//! Damage at the end of a log looks like a write that a crash cut short, which nobody was told is there. Behind a clean
//! end there is none: what was whole then and is not now is damage, and is named. The mark goes away when the store
//! opens, before anything is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::base::error::{Error, Result};
use crate::files::block::{FILE_HEADER_BYTES, FileHeader, Kind};
use crate::files::data_dir::DataDir;
use crate::files::json_file::JsonFile;
use crate::log::damage_list::DamageList;
use crate::log::manifest::Manifest;
use crate::log::wal::CatalogLog;

const FILE: JsonFile = JsonFile { name: "CLOSED", header: FileHeader::CLOSED, kind: Kind::Closed };

/// What the files were.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Closed(BTreeMap<String, File>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct File {
    length: u64,
    /// XXH3-64 of all of it.
    hash: u64,
}

impl Closed {
    /// The files that are marked: the manifest and the catalogue, both with their copies, the list of damage, and the
    /// logs.
    fn files(dir: &DataDir) -> Result<Vec<PathBuf>> {
        let mut files: Vec<PathBuf> = Manifest::paths(dir).into_iter().chain(CatalogLog::paths(dir)).collect();
        files.push(DamageList::path(dir));
        files.extend(dir.list(&dir.join("wal"))?);
        Ok(files)
    }

    /// Leaves the mark, once nothing is written any more.
    pub(crate) fn write(dir: &DataDir) -> Result<()> {
        let mut closed = Closed::default();
        for path in Closed::files(dir)? {
            // A file of a header only holds nothing, and may be what is left of a log that could not be made: then not
            // even its header is durable.
            if dir.length(&path)?.is_some_and(|length| length > FILE_HEADER_BYTES as u64) {
                let bytes = dir.read(&path)?;
                closed.0.insert(dir.name_of(&path), File { length: bytes.len() as u64, hash: xxh3_64(&bytes) });
            }
        }
        FILE.store(dir, &closed)
    }

    /// The mark, if there is one; without one nothing is known. One that is damaged is told to `note`.
    pub(crate) fn read(dir: &DataDir, mut note: impl FnMut(&Error)) -> Result<Closed> {
        match FILE.read(dir, &mut note) {
            Err(error @ Error::Corrupt { .. }) => {
                note(&error);
                Ok(Closed::default())
            }
            outcome => outcome.map(Option::unwrap_or_default),
        }
    }

    /// Takes the mark away, durably: from here on it says nothing.
    pub(crate) fn remove(dir: &DataDir) -> Result<()> {
        let path = FILE.path(dir);
        if dir.length(&path)?.is_some() {
            dir.remove(&path)?;
            dir.sync_dir(dir.path())?;
        }
        Ok(())
    }

    /// Up to where a file was whole; 0 if that is not known.
    pub(crate) fn extent(&self, dir: &DataDir, path: &Path) -> u64 {
        self.0.get(&dir.name_of(path)).map_or(0, |file| file.length)
    }

    /// The files that are not what they were.
    pub(crate) fn changed(&self, dir: &DataDir) -> Result<Vec<Error>> {
        let mut changed = Vec::new();
        for (name, expected) in &self.0 {
            let path = dir.join(name);
            let Some(_) = dir.length(&path)? else {
                changed.push(Error::corrupt(&path, 0, "it was there when the store was closed, and is missing"));
                continue;
            };
            let bytes = dir.read(&path)?;
            let found = File { length: bytes.len() as u64, hash: xxh3_64(&bytes) };
            if found != *expected {
                let reason = format!(
                    "it is not what it was when the store was closed: {} bytes, hash {:#018x}; then {} bytes, hash {:#018x}",
                    found.length, found.hash, expected.length, expected.hash
                );
                changed.push(Error::corrupt(&path, 0, reason));
            }
        }
        Ok(changed)
    }
}
