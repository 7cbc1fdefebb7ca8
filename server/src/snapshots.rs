//! Snapshots in a data directory.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tsdb::Store;

/// Makes a snapshot in the data directory's folder `snapshots`, named after the time.
///
/// # Errors
///
/// As [`Store::snapshot`].
pub fn take(store: &Store, data_dir: &Path) -> tsdb::Result<PathBuf> {
    let name = humantime::format_rfc3339_millis(SystemTime::now()).to_string().replace(':', "-");
    let path = data_dir.join("snapshots").join(name);
    store.snapshot(&path)?;
    Ok(path)
}
