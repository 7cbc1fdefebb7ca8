//! A disk in memory that loses power, fills up and fails.
//!
//! It keeps a journal of all that was done to it. [`SimulatedDisk::after_crash`] makes the disk that a loss of power at
//! any point of the journal may leave: what was synced is there; of everything else each write may be there, gone or
//! torn, each on its own, and so may each change of a folder.
#![allow(dead_code, clippy::unwrap_used)]

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, ErrorKind, IoSlice, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tsdb::{Disk, DiskFile};

/// Disks write sectors whole.
const SECTOR: usize = 512;

#[derive(Debug, Clone)]
enum Op {
    CreateDir(PathBuf),
    RemoveDir(PathBuf),
    Create(PathBuf, usize),
    Link(PathBuf, PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    Write {
        file: usize,
        offset: usize,
        bytes: Vec<u8>,
    },
    SetLength {
        file: usize,
        length: usize,
    },
    Sync(usize),
    SyncDir(PathBuf),
    /// A sync that failed: what was written to the file so far and is not durable will never be.
    Forget(usize),
}

/// What goes wrong, once, at some operation that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No room: a part of the bytes is written, then the disk is full.
    NoSpace,
    /// The system reports an error of the device.
    Io,
    /// A write takes fewer bytes than it was given, which is no error.
    ShortWrite,
    /// A sync fails, and what it was for is lost.
    SyncFails,
    /// As [`NoSpace`](Fault::NoSpace), of what the user may have.
    Quota,
}

impl Fault {
    /// What the system says.
    fn error(self) -> Error {
        match self {
            Fault::NoSpace => ErrorKind::StorageFull.into(),
            Fault::Quota => ErrorKind::QuotaExceeded.into(),
            _ => Error::from_raw_os_error(5),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    dirs: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    files: Vec<Vec<u8>>,
    journal: Vec<Op>,
    /// The file system as it was when the journal began.
    start: Option<Box<State>>,
    fault: Option<(usize, Fault)>,
    /// From this operation on the process is dead: it changes nothing any more.
    dead_from: Option<usize>,
    /// Operations that change something, so far.
    operations: usize,
    faults_met: usize,
}

/// The disk. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    locked: Arc<AtomicBool>,
}

impl SimulatedDisk {
    pub fn new() -> SimulatedDisk {
        let disk = SimulatedDisk::default();
        disk.state().dirs.insert("/".into());
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// How much was done to it.
    pub fn position(&self) -> usize {
        self.state().journal.len()
    }

    /// Lets operation number `at` from now on fail.
    pub fn fail_at(&self, at: usize, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + at, fault));
    }

    /// Lets nothing go wrong that has not yet.
    pub fn clear_fault(&self) {
        self.state().fault = None;
    }

    /// Kills the process that uses the disk, after so many more operations: nothing of what it tries then happens.
    pub fn kill_after(&self, operations: usize) {
        let mut state = self.state();
        state.dead_from = Some(state.operations + operations);
    }

    /// Was the process killed?
    pub fn is_dead(&self) -> bool {
        let state = self.state();
        state.dead_from.is_some_and(|from| state.operations > from)
    }

    /// Lets the next process use the disk as the killed one left it to the system.
    pub fn revive(&self) {
        self.state().dead_from = None;
    }

    /// How often something went wrong.
    pub fn faults_met(&self) -> usize {
        self.state().faults_met
    }

    /// The paths of all files.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// The bytes of a file.
    pub fn contents(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[path]].clone()
    }

    /// A disk with the same files and no past, in which one file has these bytes.
    pub fn with(&self, path: &Path, contents: Vec<u8>) -> SimulatedDisk {
        let copy = self.copy();
        copy.state().replace(path, contents);
        copy
    }

    /// A disk with the same files and no past.
    pub fn copy(&self) -> SimulatedDisk {
        let state = self.state();
        let copy = State {
            dirs: state.dirs.clone(),
            names: state.names.clone(),
            files: state.files.clone(),
            ..State::default()
        };
        SimulatedDisk { state: Arc::new(Mutex::new(copy)), locked: Arc::default() }
    }

    /// Starts the journal anew with the disk as it is: everything so far is durable.
    pub fn settle(&self) {
        let mut state = self.state();
        let start = State {
            dirs: state.dirs.clone(),
            names: state.names.clone(),
            files: state.files.clone(),
            ..State::default()
        };
        state.journal.clear();
        state.start = Some(Box::new(start));
    }

    /// The disk after a loss of power when the journal had `position` operations.
    pub fn after_crash(&self, position: usize, random: &mut fastrand::Rng) -> SimulatedDisk {
        let state = self.state();
        let journal = &state.journal[..position];
        let mut after = State::default();
        after.dirs.insert("/".into());
        if let Some(start) = &state.start {
            after = State {
                dirs: start.dirs.clone(),
                names: start.names.clone(),
                files: start.files.clone(),
                ..State::default()
            };
        }
        after.files.resize(state.files.len(), Vec::new());
        // Up to where each file and each folder is durable; what was forgotten before a later sync stays lost.
        let mut synced = vec![0; state.files.len()];
        let mut forgotten = vec![0..0; state.files.len()];
        let mut synced_dirs: BTreeMap<&Path, usize> = BTreeMap::new();
        for (at, op) in journal.iter().enumerate() {
            match op {
                Op::Sync(file) => synced[*file] = at,
                Op::Forget(file) => forgotten[*file] = synced[*file]..at,
                Op::SyncDir(dir) => drop(synced_dirs.insert(dir, at)),
                _ => {}
            }
        }
        // Sometimes nothing of what was not synced is there, sometimes all of it, mostly some.
        let chance = [0.0, 0.5, 0.5, 0.9, 1.0][random.usize(..5)];
        for (at, op) in journal.iter().enumerate() {
            match op {
                Op::Write { file, .. } | Op::SetLength { file, .. } => {
                    let lost = forgotten[*file].contains(&at);
                    if !lost && at < synced[*file] {
                        after.apply(op);
                    } else if !lost && random.f64() < chance {
                        match op {
                            Op::Write { file, offset, bytes } if random.bool() => {
                                after.tear(*file, *offset, bytes, random);
                            }
                            op => after.apply(op),
                        }
                    }
                }
                Op::Sync(_) | Op::SyncDir(_) | Op::Forget(_) => {}
                Op::CreateDir(path)
                | Op::RemoveDir(path)
                | Op::Create(path, _)
                | Op::Remove(path)
                | Op::Link(_, path)
                | Op::Rename(_, path) => {
                    let durable = synced_dirs.get(path.parent().unwrap()).is_some_and(|synced| at < *synced);
                    if durable || random.f64() < chance {
                        after.apply(op);
                    }
                }
            }
        }
        // What lies in a folder that is not there is not there either.
        let dirs = after.dirs.clone();
        let reachable = |path: &Path| path.ancestors().skip(1).all(|above| dirs.contains(above));
        after.names.retain(|path, _| reachable(path));
        after.dirs.retain(|path| reachable(path));
        let after = SimulatedDisk { state: Arc::new(Mutex::new(after)), locked: Arc::default() };
        after.settle();
        after
    }

    /// Does an operation, unless a fault is due; what of it was done is in the journal.
    fn change(&self, op: Op) -> Result<()> {
        let mut state = self.state();
        state.check_alive()?;
        if let Some(fault) = state.due_fault(&[Fault::NoSpace, Fault::Quota, Fault::Io]) {
            return Err(fault.error());
        }
        state.apply(&op);
        state.journal.push(op);
        Ok(())
    }
}

impl State {
    fn check_alive(&mut self) -> Result<()> {
        if self.dead_from.is_some_and(|from| self.operations >= from) {
            self.operations += 1;
            return Err(Error::other("the process is dead"));
        }
        Ok(())
    }

    /// Is a fault of one of these kinds due at this operation?
    fn due_fault(&mut self, kinds: &[Fault]) -> Option<Fault> {
        self.operations += 1;
        let (_, fault) = self.fault.filter(|(at, fault)| *at <= self.operations && kinds.contains(fault))?;
        self.fault = None;
        self.faults_met += 1;
        Some(fault)
    }

    fn replace(&mut self, path: &Path, contents: Vec<u8>) {
        let file = self.names[path];
        self.files[file] = contents;
    }

    /// Does what can be done: a rename of what is not there is nothing.
    fn apply(&mut self, op: &Op) {
        match op {
            Op::CreateDir(path) => drop(self.dirs.insert(path.clone())),
            Op::RemoveDir(path) => drop(self.dirs.remove(path)),
            Op::Create(path, file) => {
                if self.files.len() <= *file {
                    self.files.resize(file + 1, Vec::new());
                }
                self.names.insert(path.clone(), *file);
            }
            Op::Link(from, to) => {
                if let Some(file) = self.names.get(from) {
                    self.names.insert(to.clone(), *file);
                }
            }
            Op::Rename(from, to) => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Op::Remove(path) => drop(self.names.remove(path)),
            Op::Write { file, offset, bytes } => self.write(*file, *offset, bytes),
            Op::SetLength { file, length } => self.files[*file].resize(*length, 0),
            Op::Sync(_) | Op::SyncDir(_) | Op::Forget(_) => {}
        }
    }

    fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let contents = &mut self.files[file];
        contents.resize(contents.len().max(offset + bytes.len()), 0);
        contents[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Some sectors of a write; the file may have grown to its whole length, or not.
    fn tear(&mut self, file: usize, offset: usize, bytes: &[u8], random: &mut fastrand::Rng) {
        let mut start = 0;
        while start < bytes.len() {
            let end = ((offset + start) / SECTOR * SECTOR + SECTOR - offset).min(bytes.len());
            if random.bool() {
                self.write(file, offset + start, &bytes[start..end]);
            }
            start = end;
        }
        if random.bool() {
            let length = self.files[file].len().max(offset + bytes.len());
            self.files[file].resize(length, 0);
        }
    }

    fn file(&self, path: &Path) -> Result<usize> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.change(Op::CreateDir(path.into()))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.change(Op::SyncDir(path.into()))
    }

    fn lock(&self, _: &Path) -> Result<Option<Box<dyn Any + Send + Sync>>> {
        let lock = (!self.locked.swap(true, Ordering::SeqCst)).then(|| Lock(self.locked.clone()));
        Ok(lock.map(|lock| Box::new(lock) as _))
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let state = self.state();
        let all = state.names.keys().chain(&state.dirs);
        Ok(all.filter(|own| own.parent() == Some(path)).cloned().collect())
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.state().dirs.contains(path)
    }

    fn length(&self, path: &Path) -> Result<Option<u64>> {
        let state = self.state();
        Ok(state.names.get(path).map(|file| state.files[*file].len() as u64))
    }

    fn read(&self, path: &Path) -> Result<Bytes> {
        let state = self.state();
        let contents = &state.files[state.file(path)?];
        let mut words = vec![0u64; contents.len().div_ceil(8)];
        bytemuck::cast_slice_mut(&mut words)[..contents.len()].copy_from_slice(contents);
        Ok(Bytes::from_owner(Aligned(words)).slice(..contents.len()))
    }

    fn read_range(&self, path: &Path, range: Range<usize>) -> Result<Bytes> {
        let state = self.state();
        let contents = &state.files[state.file(path)?];
        let end = range.end.min(contents.len());
        Ok(Bytes::copy_from_slice(&contents[range.start.min(end)..end]))
    }

    fn map(&self, path: &Path) -> Result<Bytes> {
        self.read(path)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let known = self.state().file(path).ok();
        let file = match known {
            Some(file) => {
                self.change(Op::SetLength { file, length: 0 })?;
                file
            }
            None => {
                // At once: another thread may make a file, too.
                let file = {
                    let mut state = self.state();
                    state.files.push(Vec::new());
                    state.files.len() - 1
                };
                self.change(Op::Create(path.into(), file))?;
                file
            }
        };
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn DiskFile>> {
        let file = self.state().file(path)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.state().file(from)?;
        self.change(Op::Rename(from.into(), to.into()))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.state().file(from)?;
        self.change(Op::Link(from.into(), to.into()))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.state().file(path)?;
        self.change(Op::Remove(path.into()))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.change(Op::RemoveDir(path.into()))
    }
}

struct Lock(Arc<AtomicBool>);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

struct Aligned(Vec<u64>);

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

impl DiskFile for SimulatedFile {
    fn append(&mut self, parts: &[IoSlice<'_>]) -> Result<usize> {
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let mut state = self.disk.state();
        state.check_alive()?;
        let fault = state.due_fault(&[Fault::NoSpace, Fault::Quota, Fault::Io, Fault::ShortWrite]);
        // What goes wrong comes half-way.
        if fault.is_some() {
            bytes.truncate(bytes.len().div_ceil(2));
        }
        let (file, offset, count) = (self.file, state.files[self.file].len(), bytes.len());
        let op = Op::Write { file, offset, bytes };
        state.apply(&op);
        state.journal.push(op);
        match fault {
            None | Some(Fault::ShortWrite) => Ok(count),
            Some(fault) => Err(fault.error()),
        }
    }

    fn set_length(&mut self, length: u64) -> Result<()> {
        self.disk.change(Op::SetLength { file: self.file, length: length as usize })
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.disk.state();
        state.check_alive()?;
        if state.due_fault(&[Fault::SyncFails, Fault::Io]).is_some() {
            state.journal.push(Op::Forget(self.file));
            return Err(Fault::Io.error());
        }
        state.journal.push(Op::Sync(self.file));
        Ok(())
    }
}
