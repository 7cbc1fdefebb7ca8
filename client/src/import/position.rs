//! How far an import has come, kept beside its file.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// How far an import has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The file as it was: its length, and when it was written, in ms since the epoch.
    pub length: u64,
    pub written_ms: u64,
    /// Where it goes: the server, and what is said to it of the schema, the format and the precision.
    pub to: String,
    /// What of its unpacked bytes is stored (of Arrow: of its pieces), and how many lines these are.
    pub done: u64,
    pub lines: u64,
}

impl Position {
    /// Where the import of a file is to begin: at its start, or where an earlier one to the same place was broken off.
    pub(super) fn of(path: &Path, to: &str, anew: bool) -> Result<Position> {
        let about = std::fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
        let written = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (length, written_ms) = (about.len(), written.as_millis() as u64);
        let start = Position { length, written_ms, to: to.into(), ..Position::default() };
        let known = std::fs::read_to_string(start.kept_at(path)).ok().filter(|_| !anew);
        let known = known.and_then(|text| serde_json::from_str::<Position>(&text).ok());
        let Some(known) = known.filter(|known| known.to == to) else { return Ok(start) };
        ensure!(
            (known.length, known.written_ms) == (start.length, start.written_ms),
            "{} has changed since its import was broken off; --restart begins at its start",
            path.display()
        );
        Ok(known)
    }

    /// Keeps it beside the file.
    pub(super) fn keep(&self, path: &Path) -> Result<()> {
        let (path, text) = (self.kept_at(path), serde_json::to_string(self)?);
        let draft = path.with_extension("new");
        let write = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &path));
        write.with_context(|| format!("note in {} how far the import has come", path.display()))
    }

    /// The file is imported.
    pub(super) fn forget(&self, path: &Path) {
        let _ = std::fs::remove_file(self.kept_at(path)); // it is not there if it was one piece
    }

    /// A file for each place that the rows go to: what one server has, another one lacks.
    fn kept_at(&self, file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{:08x}.import", xxh3_64(self.to.as_bytes()) as u32));
        name.into()
    }
}
