//! The list of damage that the files do not show any more: what was lost from a log is gone from it once the log is cut or sealed. Answers go on saying that it is
//! missing, after every opening, until somebody says that they know.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::block::{self, FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Kind};
use crate::data_dir::DataDir;
use crate::error::{Error, Result};

/// The list's name in the data directory.
pub(crate) const FILE_NAME: &str = "DAMAGE";

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
        dir.join(FILE_NAME)
    }

    /// The list of a data directory, which mostly has none.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the list itself is damaged.
    pub(crate) fn read(dir: &DataDir) -> Result<DamageList> {
        let path = DamageList::path(dir);
        if dir.length(&path)?.is_none() {
            return Ok(DamageList::default());
        }
        let bytes = dir.read(&path)?;
        if let Some(error) = FileHeader::DAMAGE.damage(&bytes, &path)? {
            return Err(error);
        }
        let rest = &bytes[FILE_HEADER_BYTES..];
        let block = block::open(rest, Kind::Damage).map_err(|error| error.to_string()).and_then(|block| {
            let is_whole =
                rest.len() == block::padded(block.len()) && rest[block.len()..].iter().all(|byte| *byte == 0);
            if is_whole { Ok(block) } else { Err("there are bytes behind its block".into()) }
        });
        let list =
            block.and_then(|block| serde_json::from_slice(&block[HEADER_BYTES..]).map_err(|error| error.to_string()));
        list.map_err(|reason| Error::corrupt(&path, 0, reason))
    }

    /// Makes this the list of a data directory, durably.
    pub(crate) fn store(&self, dir: &DataDir) -> Result<()> {
        let json = serde_json::to_vec(self).expect("numbers and texts always become JSON");
        let file = [&FileHeader::DAMAGE.bytes()[..], &block::wrap(&json, Kind::Damage)].concat();
        dir.replace(&DamageList::path(dir), &file)
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
