//! Data directories that commands are told of.

use std::path::Path;

use anyhow::{Result, bail};

/// Refuses a data directory that is not there: opening would make it.
pub fn refuse_missing(dir: &Path) -> Result<()> {
    if !dir.is_dir() {
        bail!("{} is not there; --data-dir takes a folder that fournines serve has made", dir.display());
    }
    Ok(())
}
