//! The disk: what the store needs of a file system, behind one small trait, and the real one.
//!
//! Tests put a disk in its place that loses power, fills up or fails: see `tests/simulated_disk`.

use std::any::Any;
use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, IoSlice, Read, Result, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::files::aligned::aligned;
use crate::files::map::map;
use crate::files::owner::inherit_owner;

/// Where a store keeps its files. The contract is that of a POSIX file system: what is written to a file is durable
/// after its [`sync`](DiskFile::sync), and entries of a folder (files made, renamed, linked, removed) are durable after
/// [`sync_dir`](Disk::sync_dir). Before that, a loss of power may keep or lose any part of it.
pub trait Disk: Debug + Send + Sync {
    /// Makes a folder in one that is there.
    fn create_dir(&self, path: &Path) -> Result<()>;
    /// Makes the entries of a folder durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// Locks a file, made if it is not there, against other processes. Held until the answer is dropped, or until the
    /// process ends however it ends; `None` if another one holds it.
    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Any + Send + Sync>>>;
    /// The paths of all files and folders in a folder.
    fn list(&self, path: &Path) -> Result<Vec<PathBuf>>;
    /// Is this a folder?
    fn is_dir(&self, path: &Path) -> bool;
    /// The length of a file in bytes; `None` if there is no such file.
    fn length(&self, path: &Path) -> Result<Option<u64>>;
    /// The whole file, at an address that is a multiple of 8.
    fn read(&self, path: &Path) -> Result<Bytes>;
    /// These bytes of a file, as far as it has them.
    fn read_range(&self, path: &Path, range: Range<usize>) -> Result<Bytes>;
    /// The bytes of a file that nobody writes to any more; they stay readable when the file is removed.
    fn map(&self, path: &Path) -> Result<Bytes>;
    /// A new empty file, in place of one that may be there, to be written to.
    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>>;
    /// A file that is there, to be written on at its end.
    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>>;
    /// Gives a file another name, over a file that may have it.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Gives a file a second name.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> Result<()>;
}

/// A file that is written at its end.
pub trait DiskFile: Debug + Send + Sync {
    /// Appends some of `parts`, in order, and says how many bytes.
    fn append(&mut self, parts: &[IoSlice<'_>]) -> Result<usize>;
    /// Cuts the file to this length, or lengthens it with zeros.
    fn set_length(&mut self, length: u64) -> Result<()>;
    /// Makes all that was written durable.
    fn sync(&self) -> Result<()>;
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        std::fs::create_dir(path)?;
        inherit_owner(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Any + Send + Sync>>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        inherit_owner(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn length(&self, path: &Path) -> Result<Option<u64>> {
        match std::fs::metadata(path) {
            Ok(file) => Ok(Some(file.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self, path: &Path) -> Result<Bytes> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len() as usize;
        aligned(length, |bytes| file.read_exact(bytes))
    }

    fn read_range(&self, path: &Path, range: Range<usize>) -> Result<Bytes> {
        let file = File::open(path)?;
        let end = range.end.min(file.metadata()?.len() as usize);
        let mut bytes = vec![0; end.saturating_sub(range.start)];
        file.read_exact_at(&mut bytes, range.start as u64)?;
        Ok(bytes.into())
    }

    fn map(&self, path: &Path) -> Result<Bytes> {
        map(&File::open(path)?)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(0)?;
        inherit_owner(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        std::fs::remove_dir(path)
    }
}

impl DiskFile for File {
    fn append(&mut self, parts: &[IoSlice<'_>]) -> Result<usize> {
        self.write_vectored(parts)
    }

    fn set_length(&mut self, length: u64) -> Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> Result<()> {
        self.sync_data()
    }
}
