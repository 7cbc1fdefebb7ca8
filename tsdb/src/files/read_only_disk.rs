//! A disk on which nothing changes: for reading what is on a medium that cannot be written, or belongs to somebody
//! else.
//!
//! What is to be changed is taken for changed, and is not. So the store recovers in memory what it finds, and leaves it
//! as it is: a recovery writes only what a later reading would find in the same way.

use std::any::Any;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, IoSlice, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::files::disk::{Disk, DiskFile, RealDisk};

/// The file system of this machine, to be read only.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReadOnlyDisk;

/// What is written to nowhere.
#[derive(Debug)]
struct Nowhere;

impl Disk for ReadOnlyDisk {
    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    /// Keeps a store out that would write, and lets others read. Without the file no store is at work.
    fn lock(&self, path: &Path) -> Result<Option<Box<dyn Any + Send + Sync>>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(Box::new(()))),
            outcome => outcome?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        RealDisk.list(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        RealDisk.is_dir(path)
    }

    fn length(&self, path: &Path) -> Result<Option<u64>> {
        RealDisk.length(path)
    }

    fn read(&self, path: &Path) -> Result<Bytes> {
        RealDisk.read(path)
    }

    fn read_range(&self, path: &Path, range: Range<usize>) -> Result<Bytes> {
        RealDisk.read_range(path, range)
    }

    fn map(&self, path: &Path) -> Result<Bytes> {
        RealDisk.map(path)
    }

    fn create(&self, _: &Path) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(Nowhere))
    }

    fn open(&self, _: &Path) -> Result<Box<dyn DiskFile>> {
        Ok(Box::new(Nowhere))
    }

    fn rename(&self, _: &Path, _: &Path) -> Result<()> {
        Ok(())
    }

    fn link(&self, _: &Path, _: &Path) -> Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }
}

impl DiskFile for Nowhere {
    fn append(&mut self, parts: &[IoSlice<'_>]) -> Result<usize> {
        Ok(parts.iter().map(|part| part.len()).sum())
    }

    fn set_length(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
