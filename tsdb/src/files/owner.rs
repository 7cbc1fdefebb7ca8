//! Who owns what is made in a data directory: a command that root runs in somebody else's directory leaves nothing that
//! its owner cannot change.

use std::io::Result;
use std::path::Path;

/// Gives a file or folder that root has made to the owner of the folder that it is in. For anybody else it does
/// nothing: they own what they make, and can give nothing away.
///
/// # Errors
///
/// It is not there, or the file system knows no owners.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// let file = dir.path().join("tokens.toml");
/// std::fs::write(&file, "")?;
/// tsdb::inherit_owner(&file)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn inherit_owner(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => take_owner(path, folder),
        _ => take_owner(path, Path::new(".")),
    }
}

/// Gives what root has made to whoever owns something else.
pub(crate) fn take_owner(path: &Path, of: &Path) -> Result<()> {
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        use std::os::unix::fs::MetadataExt;
        let (own, wanted) = (std::fs::symlink_metadata(path)?, std::fs::metadata(of)?);
        if (own.uid(), own.gid()) != (wanted.uid(), wanted.gid()) {
            std::os::unix::fs::lchown(path, Some(wanted.uid()), Some(wanted.gid()))?;
        }
    }
    Ok(())
}
