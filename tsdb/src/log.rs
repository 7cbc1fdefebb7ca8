//! Logs: files of blocks that grow at the end. The write-ahead log holds frames, the catalogue's log its changes.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::block::{self, FILE_HEADER_BYTES, FileHeader, Found, HEADER_BYTES, Kind};
use crate::catalog::{Catalog, Change};
use crate::disk::{self, AppendFile};
use crate::error::{Error, Result};
use crate::frame::Frame;

/// The write-ahead log file with this number.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join("wal").join(format!("{number:010}.log"))
}

/// The number in a log file's name.
pub(crate) fn number(path: &Path) -> Option<u64> {
    (path.extension()? == "log").then(|| path.file_stem()?.to_str()?.parse().ok())?
}

/// A new, empty write-ahead log file.
pub(crate) fn create(dir: &Path, number: u64) -> Result<AppendFile> {
    AppendFile::create(&path(dir, number), &FileHeader::LOG.bytes())
}

/// Is there a log at this path? One that a crash left without a whole header never held a block: it goes away.
pub(crate) fn exists(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(file) if file.len() >= FILE_HEADER_BYTES as u64 => Ok(true),
        Ok(_) => disk::remove(path).map(|()| false),
        Err(_) => Ok(false),
    }
}

/// The frames of a log file that fit the catalogue, and the file, ready to grow behind the last of them.
///
/// Damage in the middle is stepped over and reported; what a crash left at the end is cut off and reported.
pub(crate) fn recover(dir: &Path, number: u64, catalog: &Catalog) -> Result<(Vec<Frame>, AppendFile)> {
    let path = path(dir, number);
    let mut frames = Vec::new();
    let end = recover_blocks(&path, FileHeader::LOG, Kind::Frame, |offset, bytes| {
        match Frame::parse(bytes).and_then(|frame| fits(&frame, catalog).map(|()| frame)) {
            Ok(frame) => frames.push(frame),
            Err(reason) => tracing::error!("{} at byte {offset}: frame left out: {reason}", path.display()),
        }
        Ok(())
    })?;
    Ok((frames, AppendFile::open(&path, end)?))
}

/// Replays the catalogue's log (made if it is not there) and gives it back, ready to grow.
pub(crate) fn recover_catalog(dir: &Path, catalog: &Catalog) -> Result<AppendFile> {
    let path = dir.join("catalog.log");
    if !exists(&path)? {
        return AppendFile::create(&path, &FileHeader::CATALOG.bytes());
    }
    let end = recover_blocks(&path, FileHeader::CATALOG, Kind::Catalog, |offset, bytes| {
        Change::decode_all(&bytes[HEADER_BYTES..], |change| catalog.replay(change))
            .map_err(|reason| Error::corrupt(&path, offset as u64, reason))
    })?;
    AppendFile::open(&path, end)
}

/// Gives every good block of a log file to `take`, and returns where the next block belongs.
fn recover_blocks(
    path: &Path,
    header: FileHeader,
    kind: Kind,
    mut take: impl FnMut(usize, Bytes) -> Result<()>,
) -> Result<u64> {
    let bytes = disk::read(path)?;
    header.check(&bytes).map_err(|reason| Error::corrupt(path, 0, reason))?;
    let mut end = FILE_HEADER_BYTES;
    for found in block::scan(&bytes, FILE_HEADER_BYTES, kind) {
        match found {
            Found::Block { offset, length } => {
                take(offset, bytes.slice(offset..offset + length))?;
                end = offset + block::padded(length);
            }
            // Later changes of the catalogue count on earlier ones: it cannot go on without them.
            Found::Damage { offset, reason, .. } if kind == Kind::Catalog => {
                return Err(Error::corrupt(path, offset as u64, reason.to_string()));
            }
            Found::Damage { offset, length, reason } => {
                tracing::error!(
                    "{} at byte {offset}: {length} bytes are damaged and left out: {reason}",
                    path.display()
                );
            }
            Found::Tail { offset, length, reason } => {
                tracing::warn!(
                    "{} at byte {offset}: {length} bytes of an unfinished write cut off: {reason}",
                    path.display()
                );
            }
        }
    }
    Ok(end as u64)
}

/// A frame may only refer to what the catalogue has.
fn fits(frame: &Frame, catalog: &Catalog) -> Result<(), String> {
    let table = catalog.table(frame.table).ok_or_else(|| format!("table {} is not in the catalogue", frame.table))?;
    let columns = table.columns();
    for (field, kind) in frame.fields() {
        if columns.fields.get(field as usize).is_none_or(|(_, known)| *known != kind) {
            return Err(format!("field {field} of table {} is not in the catalogue", table.name));
        }
    }
    let series = table.series_count() as u32;
    match frame.series().iter().find(|id| **id >= series) {
        None => Ok(()),
        Some(id) => Err(format!("series {id} of table {} is not in the catalogue", table.name)),
    }
}
