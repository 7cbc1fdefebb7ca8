//! How far an import has come, kept beside its file.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// How far an import has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The file as it was: its length, and when it was written, in ms since the epoch.
    pub length: u64,
    pub written_ms: u64,
    /// What of its unpacked bytes is stored (of Arrow: of its pieces), and how many lines these are.
    pub done: u64,
    pub lines: u64,
}

impl Position {
    /// Where the import of a file is to begin: at its start, or where an earlier one was broken off.
    pub(super) fn of(path: &Path, anew: bool) -> Result<Position> {
        let about = std::fs::metadata(path).with_context(|| format!("read {}", path.display()))?;
        let written = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Position { length: about.len(), written_ms: written.as_millis() as u64, ..Position::default() };
        let known = std::fs::read_to_string(kept_at(path)).ok().filter(|_| !anew);
        let Some(known) = known.and_then(|text| serde_json::from_str::<Position>(&text).ok()) else {
            return Ok(start);
        };
        ensure!(
            (known.length, known.written_ms) == (start.length, start.written_ms),
            "{} has changed since its import was broken off; --restart begins at its start",
            path.display()
        );
        Ok(known)
    }

    /// Keeps it beside the file.
    pub(super) fn keep(&self, path: &Path) -> Result<()> {
        let (path, text) = (kept_at(path), serde_json::to_string(self)?);
        let draft = path.with_extension("new");
        let write = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &path));
        write.with_context(|| format!("note in {} how far the import has come", path.display()))
    }

    /// The file is imported.
    pub(super) fn forget(path: &Path) {
        let _ = std::fs::remove_file(kept_at(path)); // it is not there if it was one piece
    }
}

fn kept_at(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".import");
    name.into()
}
