//! Snapshots in a data directory.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tsdb::Store;

/// Makes a snapshot in the data directory's folder `snapshots`, named after the time.
///
/// # Errors
///
/// As [`Store::snapshot`].
pub fn take(store: &Store, data_dir: &Path) -> tsdb::Result<PathBuf> {
    let name = format!("{:.3}", Timestamp::now()).replace(':', "-");
    let path = data_dir.join("snapshots").join(name);
    store.snapshot(&path)?;
    Ok(path)
}
