//! Every touch of the file system, in one place: what the store needs of a disk is what stands here.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{Error, IoContext, Result};
use crate::frame::aligned;

/// Makes a folder and what lies above it, unless they are there; every new entry is durable.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    // The folder above a relative path of one part is the working directory.
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Err(std::io::ErrorKind::NotADirectory.into()).on("create", path),
    };
    create_dir(parent)?;
    std::fs::create_dir(path).on("create", path)?;
    sync_dir(parent)
}

/// Makes the entries of a folder durable: files made, renamed or removed in it.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|dir| dir.sync_all()).on("sync", path)
}

/// The lock of a data directory, held until dropped, or until the process ends however it ends.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).on("open", path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Locked { path: path.parent().unwrap_or(path).to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(error).on("lock", path),
    }
}

/// The whole file, at an address that suits frames.
pub(crate) fn read(path: &Path) -> Result<Bytes> {
    let mut file = File::open(path).on("open", path)?;
    let length = file.metadata().on("read", path)?.len() as usize;
    aligned(length, |bytes| file.read_exact(bytes)).on("read", path)
}

/// Replaces a file so that a crash leaves the old one or the new one: write beside, sync, rename, sync the folder.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    let mut file = File::create(&temporary).on("create", &temporary)?;
    file.write_all(contents).on("write", &temporary)?;
    file.sync_all().on("sync", &temporary)?;
    publish(&temporary, path)
}

/// The name under which a file is written before it gets its own.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    path.with_added_extension("tmp")
}

/// Gives a finished, synced file its name.
pub(crate) fn publish(temporary: &Path, path: &Path) -> Result<()> {
    std::fs::rename(temporary, path).on("rename", temporary)?;
    sync_dir(path.parent().expect("a file lies in a folder"))
}

/// Removes a file; one that is gone already is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).on("remove", path),
        _ => Ok(()),
    }
}

/// Removes a file that does not count any more. If that fails, the next opening does it.
pub(crate) fn remove_leftover(path: &Path) {
    if let Err(error) = remove(path) {
        tracing::warn!("a file that is not needed any more stays until the next start: {error}");
    }
}

/// Keeps bytes of a file that are damaged or cut off, for whoever wants to look: `quarantine/FILE.OFFSET`. If they
/// cannot be kept, that is said, and the store opens all the same.
pub(crate) fn quarantine(dir: &Path, path: &Path, offset: usize, bytes: &[u8]) {
    let folder = dir.join("quarantine");
    let name = format!("{}.{offset}", path.file_name().expect("a file has a name").display());
    if let Err(error) = create_dir(&folder).and_then(|()| replace(&folder.join(name), bytes)) {
        tracing::error!("the damaged bytes could not be kept: {error}");
    }
}

/// The files of a folder.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(path).on("list", path)?;
    entries.map(|entry| Ok(entry.on("list", path)?.path())).collect()
}

/// A file that only grows at its end.
#[derive(Debug)]
pub(crate) struct AppendFile {
    file: File,
    path: PathBuf,
    length: u64,
}

impl AppendFile {
    /// A new file that starts with `header`; durable, with its name. What an attempt that failed left of it goes away.
    pub(crate) fn create(path: &Path, header: &[u8]) -> Result<AppendFile> {
        let file = OpenOptions::new().create(true).append(true).open(path).on("create", path)?;
        file.set_len(0).on("cut", path)?;
        let mut file = AppendFile { file, path: path.to_owned(), length: 0 };
        file.append(&[IoSlice::new(header)])?;
        file.sync()?;
        sync_dir(path.parent().expect("a file lies in a folder"))?;
        Ok(file)
    }

    /// An existing file, cut to `length`: what a crash left behind that point goes away, durably.
    pub(crate) fn open(path: &Path, length: u64) -> Result<AppendFile> {
        let file = OpenOptions::new().append(true).open(path).on("open", path)?;
        if file.metadata().on("read", path)?.len() != length {
            file.set_len(length).on("cut", path)?;
            file.sync_all().on("sync", path)?;
        }
        Ok(AppendFile { file, path: path.to_owned(), length })
    }

    /// Appends all of `parts`, or none: what was written of them when the disk filled up is cut off again.
    ///
    /// # Errors
    ///
    /// [`Error::DiskFull`] leaves the file as it was; after any other error its end is not known.
    pub(crate) fn append(&mut self, parts: &[IoSlice<'_>]) -> Result<()> {
        let mut left: Vec<IoSlice<'_>> = parts.to_vec();
        let mut left = &mut left[..];
        let mut written = 0;
        while !left.is_empty() {
            // The system takes at most 1024 slices in one call and says how far it came.
            match self.file.write_vectored(left) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()).on("write", &self.path),
                Ok(bytes) => {
                    written += bytes as u64;
                    IoSlice::advance_slices(&mut left, bytes);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                    self.file.set_len(self.length).on("cut", &self.path)?;
                    return Err(Error::DiskFull { path: self.path.clone() });
                }
                Err(error) => return Err(error).on("write", &self.path),
            }
        }
        self.length += written;
        Ok(())
    }

    /// Makes all that was appended durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().on("sync", &self.path)
    }
}
