//! Files that are one block of JSON behind a header: the mark of a clean end, the list of damage.

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::error::{Error, Result};
use crate::files::block::{self, FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Kind};
use crate::files::data_dir::DataDir;

/// Which file it is.
pub(crate) struct JsonFile {
    /// Its name in the data directory.
    pub name: &'static str,
    pub header: FileHeader,
    pub kind: Kind,
}

impl JsonFile {
    pub(crate) fn path(&self, dir: &DataDir) -> PathBuf {
        dir.join(self.name)
    }

    /// Replaces the file, durably.
    pub(crate) fn store(&self, dir: &DataDir, value: &impl Serialize) -> Result<()> {
        let json = serde_json::to_vec(value).expect("numbers and texts always become JSON");
        let file = [&self.header.bytes()[..], &block::wrap(&json, self.kind)].concat();
        dir.replace(&self.path(dir), &file)
    }

    /// What is in the file; nothing if it is not there. A header that is damaged costs nothing, and is told to `note`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if there is anything but one good block behind the header.
    pub(crate) fn read<T: DeserializeOwned>(&self, dir: &DataDir, note: impl FnOnce(&Error)) -> Result<Option<T>> {
        let path = self.path(dir);
        if dir.length(&path)?.is_none() {
            return Ok(None);
        }
        let bytes = dir.read(&path)?;
        if let Some(error) = self.header.damage(&bytes, &path)? {
            note(&error);
        }
        let rest = bytes.get(FILE_HEADER_BYTES..).unwrap_or_default();
        let block = block::open(rest, self.kind).map_err(|error| error.to_string()).and_then(|block| {
            let is_whole =
                rest.len() == block::padded(block.len()) && rest[block.len()..].iter().all(|byte| *byte == 0);
            if is_whole { Ok(block) } else { Err("there are bytes behind its block".into()) }
        });
        let value =
            block.and_then(|block| serde_json::from_slice(&block[HEADER_BYTES..]).map_err(|error| error.to_string()));
        value.map(Some).map_err(|reason| Error::corrupt(&path, 0, reason))
    }
}
