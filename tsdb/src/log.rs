//! Logs: files of blocks that grow at the end. The write-ahead log holds frames, the catalogue's log its changes.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::block::{self, FILE_HEADER_BYTES, FileHeader, Found, HEADER_BYTES, Kind};
use crate::catalog::Catalog;
use crate::change::Change;
use crate::disk::{self, AppendFile};
use crate::error::{Error, IoContext, Result};
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
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).on("look for", path),
    }
}

/// The frames of a log file, and the file, ready to grow behind the last of them.
///
/// Damage in the middle is stepped over, what a crash left at the end is cut off; both are reported, and their bytes
/// kept in the folder `quarantine`: a last frame that was damaged later looks like a write that was cut short.
pub(crate) fn recover(dir: &Path, number: u64, catalog: &Catalog) -> Result<(Vec<Frame>, AppendFile)> {
    let path = path(dir, number);
    let mut frames = Vec::new();
    let end = recover_blocks(dir, &path, FileHeader::LOG, Kind::Frame, |offset, bytes| {
        let frame = Frame::parse(bytes).and_then(|frame| fits(&frame, catalog).map(|()| frame));
        frames.push(frame.map_err(|reason| Error::corrupt(&path, offset as u64, reason))?);
        Ok(())
    })?;
    Ok((frames, AppendFile::open(&path, end)?))
}

/// The catalogue's log.
fn catalog_path(dir: &Path) -> PathBuf {
    dir.join("catalog.log")
}

/// Replays the catalogue's log and says where its next block belongs; nothing if there is no such log yet.
pub(crate) fn replay_catalog(dir: &Path, catalog: &Catalog) -> Result<Option<u64>> {
    let path = catalog_path(dir);
    if !exists(&path)? {
        return Ok(None);
    }
    let end = recover_blocks(dir, &path, FileHeader::CATALOG, Kind::Catalog, |offset, bytes| {
        Change::decode_all(&bytes[HEADER_BYTES..], |change| catalog.replay(change))
            .map_err(|reason| Error::corrupt(&path, offset as u64, reason))
    })?;
    Ok(Some(end))
}

/// The catalogue's log, cut to `end` or new, ready to grow. To be called when everything that is stored was found to
/// fit the catalogue: then what is cut off was an unfinished write.
pub(crate) fn open_catalog(dir: &Path, end: Option<u64>) -> Result<AppendFile> {
    match end {
        Some(end) => AppendFile::open(&catalog_path(dir), end),
        None => AppendFile::create(&catalog_path(dir), &FileHeader::CATALOG.bytes()),
    }
}

/// Gives every good block of a log file to `take`, and returns where the next block belongs.
fn recover_blocks(
    dir: &Path,
    path: &Path,
    header: FileHeader,
    kind: Kind,
    mut take: impl FnMut(usize, Bytes) -> Result<()>,
) -> Result<u64> {
    let bytes = disk::read(path)?;
    header.check(&bytes).map_err(|reason| Error::corrupt(path, 0, reason))?;
    let name = path.display();
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
                tracing::error!("{name} at byte {offset}: {length} bytes are damaged and left out: {reason}");
                disk::quarantine(dir, path, offset, &bytes[offset..offset + length]);
            }
            Found::Tail { offset, length, reason } => {
                tracing::warn!("{name} at byte {offset}: {length} bytes of an unfinished write cut off: {reason}");
                disk::quarantine(dir, path, offset, &bytes[offset..offset + length]);
            }
        }
    }
    Ok(end as u64)
}

/// A frame may only refer to what the catalogue has.
fn fits(frame: &Frame, catalog: &Catalog) -> Result<(), String> {
    let fields: Vec<_> = frame.fields().collect();
    catalog.check(frame.table, &fields, frame.series().iter().copied().max())
}
