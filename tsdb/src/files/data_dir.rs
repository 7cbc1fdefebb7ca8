//! The data directory: its parts by name, and the few ways in which the store changes files.

use std::any::Any;
use std::io::{IoSlice, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::error::{Error, IoContext, Result, is_disk_full};
use crate::files::disk::{Disk, DiskFile};

/// A folder of the store's own on some disk. Cloning it shares the disk.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl DataDir {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: &Path) -> DataDir {
        DataDir { disk, path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same disk, another folder.
    pub(crate) fn at(&self, path: &Path) -> DataDir {
        DataDir { disk: self.disk.clone(), path: path.to_owned() }
    }

    /// A file or folder in it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// The name that a file has in it.
    pub(crate) fn name_of(&self, path: &Path) -> String {
        path.strip_prefix(&self.path).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Its lock, held until dropped.
    pub(crate) fn lock(&self) -> Result<Box<dyn Any + Send + Sync>> {
        let path = self.join("LOCK");
        let lock = self.disk.lock(&path).on("lock", &path)?;
        lock.ok_or_else(|| Error::Locked { path: self.path.clone() })
    }

    /// Makes a folder and what lies above it, unless they are there; every entry is durable then.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<()> {
        // The folder above a relative path of one part is the working directory.
        let parent = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => return Ok(()),
        };
        if !self.disk.is_dir(path) {
            self.create_dir(parent)?;
            self.disk.create_dir(path).on("create", path)?;
        } else if !path.starts_with(&self.path) {
            return Ok(()); // not the store's own
        } else if path != self.path {
            self.create_dir(parent)?;
        }
        // Whoever made it may have been killed before this.
        match self.disk.sync_dir(parent) {
            // What lies above the data directory may be closed to us; then it was made by somebody else.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && path == self.path => Ok(()),
            outcome => outcome.on("sync", parent),
        }
    }

    /// Makes the entries of a folder durable: files made, renamed or removed in it.
    pub(crate) fn sync_dir(&self, path: &Path) -> Result<()> {
        self.disk.sync_dir(path).on("sync", path)
    }

    pub(crate) fn is_dir(&self, path: &Path) -> bool {
        self.disk.is_dir(path)
    }

    /// The length of a file; `None` if there is none.
    pub(crate) fn length(&self, path: &Path) -> Result<Option<u64>> {
        self.disk.length(path).on("look for", path)
    }

    /// The whole file, at an address that suits frames.
    pub(crate) fn read(&self, path: &Path) -> Result<Bytes> {
        self.disk.read(path).on("read", path)
    }

    /// These bytes of a file, as far as it has them.
    pub(crate) fn read_range(&self, path: &Path, range: Range<usize>) -> Result<Bytes> {
        self.disk.read_range(path, range).on("read", path)
    }

    /// The bytes of a finished file.
    pub(crate) fn map(&self, path: &Path) -> Result<Bytes> {
        self.disk.map(path).on("map", path)
    }

    /// The bytes of a finished file, which may be empty: that cannot be mapped.
    pub(crate) fn map_or_empty(&self, path: &Path) -> Result<Bytes> {
        match self.length(path)? {
            Some(0) => Ok(Bytes::new()),
            _ => self.map(path),
        }
    }

    /// What is in a folder, in the order of the names; nothing if there is no such folder.
    pub(crate) fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        if !self.disk.is_dir(path) {
            return Ok(Vec::new());
        }
        let mut paths = self.disk.list(path).on("list", path)?;
        paths.sort_unstable();
        Ok(paths)
    }

    /// Every file in a folder and the folders below it.
    pub(crate) fn list_all(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in self.list(path)? {
            if self.disk.is_dir(&path) { files.extend(self.list_all(&path)?) } else { files.push(path) }
        }
        Ok(files)
    }

    /// Replaces a file so that a crash leaves the old one or the new one: write beside, sync, rename, sync the folder.
    pub(crate) fn replace(&self, path: &Path, contents: &[u8]) -> Result<()> {
        let mut file = NewFile::create(self, path)?;
        file.write_all(contents).on("write", path)?;
        file.publish()
    }

    /// Gives a finished file a second name; durable after [`sync_dir`](Self::sync_dir).
    pub(crate) fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.link(from, to).on("link", to)
    }

    /// Removes a file; one that is gone already is fine.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).on("remove", path),
            _ => Ok(()),
        }
    }

    /// Removes a file that does not count any more. If that fails, the next opening does it.
    pub(crate) fn remove_leftover(&self, path: &Path) {
        if let Err(error) = self.remove(path) {
            tracing::warn!("a file that is not needed any more stays until the next start: {error}");
        }
    }

    /// Removes a folder if nothing is in it.
    pub(crate) fn remove_empty(&self, path: &Path) {
        let _ = self.disk.remove_dir(path); // it is not empty, or somebody looks into it: it stays
    }

    /// Moves a file to `quarantine/`, with the folders that it was in as part of its name.
    pub(crate) fn put_aside(&self, path: &Path) -> Result<()> {
        let folder = self.join("quarantine");
        self.create_dir(&folder)?;
        let within = path.strip_prefix(&self.path).expect("it is in the data directory");
        let aside = folder.join(within.to_string_lossy().replace('/', "_"));
        self.remove(&aside)?; // a crash may have come before the last step
        self.link(path, &aside)?;
        self.sync_dir(&folder)?;
        self.remove(path)
    }

    /// Keeps bytes of a file that are damaged or cut off, for whoever wants to look: `quarantine/FILE.OFFSET`. If they
    /// cannot be kept, that is said, and the store goes on all the same.
    pub(crate) fn quarantine(&self, path: &Path, offset: usize, bytes: &[u8]) {
        let folder = self.join("quarantine");
        let name = format!("{}.{offset}", path.file_name().expect("a file has a name").display());
        if let Err(error) = self.create_dir(&folder).and_then(|()| self.replace(&folder.join(name), bytes)) {
            tracing::error!("the damaged bytes could not be kept: {error}");
        }
    }
}

/// A file that is written once, under a temporary name, and gets its own when it is complete and durable.
#[derive(Debug)]
pub(crate) struct NewFile {
    dir: DataDir,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    temporary: PathBuf,
    buffer: Vec<u8>,
}

/// How many bytes are collected before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

impl NewFile {
    pub(crate) fn create(dir: &DataDir, path: &Path) -> Result<NewFile> {
        let temporary = path.with_added_extension("tmp");
        let file = dir.disk.create(&temporary).on("create", &temporary)?;
        Ok(NewFile { dir: dir.clone(), file, path: path.to_owned(), temporary, buffer: Vec::new() })
    }

    /// Makes the file durable and gives it its name, durably.
    pub(crate) fn publish(mut self) -> Result<()> {
        self.flush().on("write", &self.temporary)?;
        self.file.sync().on("sync", &self.temporary)?;
        self.dir.disk.rename(&self.temporary, &self.path).on("rename", &self.temporary)?;
        self.dir.sync_dir(self.path.parent().expect("a file lies in a folder"))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut left = &self.buffer[..];
        while !left.is_empty() {
            match self.file.append(&[IoSlice::new(left)]) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(bytes) => left = &left[bytes..],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.buffer.clear();
        Ok(())
    }
}

/// A file that only grows at its end.
#[derive(Debug)]
pub(crate) struct AppendFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    /// So many bytes of it are durable.
    synced: u64,
}

impl AppendFile {
    /// A new file that starts with `header`; durable, with its name. What an attempt that failed left of it goes away.
    pub(crate) fn create(dir: &DataDir, path: &Path, header: &[u8]) -> Result<AppendFile> {
        let file = dir.disk.create(path).on("create", path)?;
        let mut file = AppendFile { file, path: path.to_owned(), length: 0, synced: 0 };
        file.append(&mut [IoSlice::new(header)])?;
        file.sync()?;
        dir.sync_dir(path.parent().expect("a file lies in a folder"))?;
        Ok(file)
    }

    /// An existing file, cut to `length`: what a crash left behind that point goes away, durably. What stays is made
    /// durable, too: a killed process may have left it to the system only.
    pub(crate) fn open(dir: &DataDir, path: &Path, length: u64) -> Result<AppendFile> {
        let mut file = dir.disk.open(path).on("open", path)?;
        if dir.length(path)? != Some(length) {
            file.set_length(length).on("cut", path)?;
        }
        file.sync().on("sync", path)?;
        Ok(AppendFile { file, path: path.to_owned(), length, synced: length })
    }

    /// Appends all of `parts`, or none: what was written of them when the disk filled up is cut off again.
    ///
    /// # Errors
    ///
    /// [`Error::DiskFull`] leaves the file as it was; after any other error its end is not known.
    pub(crate) fn append(&mut self, parts: &mut [IoSlice<'_>]) -> Result<()> {
        let mut left = parts;
        let mut written = 0;
        while !left.is_empty() {
            // The system takes at most 1024 slices in one call and says how far it came.
            match self.file.append(left) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()).on("write", &self.path),
                Ok(bytes) => {
                    written += bytes as u64;
                    IoSlice::advance_slices(&mut left, bytes);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if is_disk_full(&error) => {
                    self.cut(self.length)?;
                    return Err(Error::DiskFull { path: self.path.clone() });
                }
                Err(error) => return Err(error).on("write", &self.path),
            }
        }
        self.length += written;
        Ok(())
    }

    /// Takes back what was appended behind this length, durably: whoever is told that it was refused builds on that,
    /// and a loss of power must not bring it back.
    pub(crate) fn cut(&mut self, length: u64) -> Result<()> {
        self.file.set_length(length).on("cut", &self.path)?;
        self.length = length;
        self.sync()
    }

    /// Makes all that was appended durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.sync().on("sync", &self.path)?;
        self.synced = self.length;
        Ok(())
    }

    /// How many of its bytes are durable.
    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}
