//! The list of damage that the files do not show any more: what was lost from a log is gone from it once the log is cut
//! or sealed. Answers go on saying that it is missing, after every opening, until somebody says that they know.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::files::block::{FileHeader, Kind};
use crate::files::data_dir::DataDir;
use crate::files::json_file::JsonFile;

const FILE: JsonFile = JsonFile { name: "DAMAGE", header: FileHeader::DAMAGE, kind: Kind::Damage };

/// What is known, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DamageList(Vec<Item>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Item {
    /// The file's name in the data directory.
    file: String,
    offset: u64,
    reason: String,
    /// Somebody said that they know.
    accepted: bool,
}

impl DamageList {
    pub(crate) fn path(dir: &DataDir) -> PathBuf {
        FILE.path(dir)
    }

    /// The list of a data directory, which mostly has none. A header that is damaged is told to `note`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the list itself is damaged.
    pub(crate) fn read(dir: &DataDir, note: impl FnOnce(&Error)) -> Result<DamageList> {
        FILE.read(dir, note).map(Option::unwrap_or_default)
    }

    /// Makes this the list of a data directory, durably.
    pub(crate) fn store(&self, dir: &DataDir) -> Result<()> {
        FILE.store(dir, self)
    }

    /// Adds damage, unless it is known; is it new?
    pub(crate) fn add(&mut self, dir: &DataDir, error: &Error) -> bool {
        let (path, offset, reason) = match error {
            Error::Corrupt { path, offset, reason } => (path, *offset, reason.clone()),
            Error::Io { path, source, .. } => (path, 0, source.to_string()),
            _ => return false,
        };
        let file = dir.name_of(path);
        let is_known = self.0.iter().any(|item| (&item.file, item.offset) == (&file, offset) && item.reason == reason);
        if !is_known {
            self.0.push(Item { file, offset, reason, accepted: false });
        }
        !is_known
    }

    /// What nobody has accepted.
    pub(crate) fn open<'a>(&'a self, dir: &'a DataDir) -> impl Iterator<Item = Error> + 'a {
        let open = self.0.iter().filter(|item| !item.accepted);
        open.map(|item| Error::corrupt(&dir.join(&item.file), item.offset, item.reason.clone()))
    }

    /// Somebody knows of all that is in the list.
    pub(crate) fn accept(&mut self) {
        self.0.iter_mut().for_each(|item| item.accepted = true);
    }
}
