//! Logs: files of blocks that grow at the end. The write-ahead log holds frames, the catalogue's log its changes.

use std::io::IoSlice;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::block::{self, FILE_HEADER_BYTES, FileHeader, Found, HEADER_BYTES, Kind};
use crate::catalog::Catalog;
use crate::change::Change;
use crate::closed::Closed;
use crate::data_dir::{AppendFile, DataDir};
use crate::deletion::Deletion;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::head::Entry;
use crate::samples::Samples;

/// The write-ahead log file with this number.
pub(crate) fn path(dir: &DataDir, number: u64) -> PathBuf {
    dir.join("wal").join(format!("{number:010}.log"))
}

/// The number in a log file's name.
pub(crate) fn number(path: &Path) -> Option<u64> {
    (path.extension()? == "log").then(|| path.file_stem()?.to_str()?.parse().ok())?
}

/// A new, empty write-ahead log file.
pub(crate) fn create(dir: &DataDir, number: u64) -> Result<AppendFile> {
    AppendFile::create(dir, &path(dir, number), &FileHeader::LOG.bytes())
}

/// What blocks a log file has.
const LOG_KINDS: [Kind; 3] = [Kind::Frame, Kind::Samples, Kind::Deletion];

/// What is wrong with a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file's header: nothing is missing.
    Header,
    /// A block, and what it held is missing.
    Lost,
    /// The end: what a write that a crash cut short leaves behind, or a last block that was damaged later.
    Tail,
}

/// The entries of a log file, and where the next one belongs; nothing if a crash cut its making short. Damage in the
/// middle is stepped over, and so is damage of what was whole up to `extent`; every fault is told to `note` with its bytes.
pub(crate) fn read(
    dir: &DataDir,
    number: u64,
    extent: u64,
    mut note: impl FnMut(Fault, &Error, &[u8]),
) -> Result<Option<(Vec<Entry>, u64)>> {
    let path = path(dir, number);
    let bytes = dir.read(&path)?;
    let damaged = |offset: usize, reason: String| Error::corrupt(&path, offset as u64, reason);
    let header = FileHeader::LOG.damage(&bytes, &path)?;
    let (mut entries, mut end) = (Vec::new(), FILE_HEADER_BYTES);
    for found in block::scan(&bytes, FILE_HEADER_BYTES, &LOG_KINDS) {
        let (fault, offset, length, reason) = match found {
            Found::Block { kind, offset, length } => {
                end = offset + block::padded(length);
                match entry(kind, bytes.slice(offset..offset + length)) {
                    Ok(entry) => {
                        entries.push(entry);
                        continue;
                    }
                    Err(reason) => (Fault::Lost, offset, length, reason),
                }
            }
            Found::Damage { offset, length, reason } => (Fault::Lost, offset, length, reason.to_string()),
            Found::Tail { offset, length, reason } => {
                let fault = if (offset as u64) < extent { Fault::Lost } else { Fault::Tail };
                (fault, offset, length, reason.to_string())
            }
        };
        note(fault, &damaged(offset, format!("{length} bytes: {reason}")), &bytes[offset..offset + length]);
    }
    if (bytes.len() as u64) < extent {
        let missing = format!("{} bytes are missing at its end", extent - bytes.len() as u64);
        note(Fault::Lost, &damaged(bytes.len(), missing), &[]);
    }
    if let Some(error) = header {
        // The header is durable before anything follows it.
        if end == FILE_HEADER_BYTES {
            return Ok(None);
        }
        note(Fault::Header, &error, &bytes[..FILE_HEADER_BYTES]);
    }
    Ok(Some((entries, end as u64)))
}

/// The entry that a good block holds.
pub(crate) fn entry(kind: Kind, block: Bytes) -> Result<Entry, String> {
    match kind {
        Kind::Samples => Samples::parse(block).map(Entry::Samples),
        Kind::Deletion => Ok(Entry::Deletion(Deletion::decode(&block[HEADER_BYTES..])?.into())),
        _ => Frame::parse(block).map(Entry::Frame),
    }
}

/// Says what of the entries of a log file is not in the catalogue.
pub(crate) fn check<'a>(
    dir: &DataDir,
    number: u64,
    entries: impl Iterator<Item = &'a Entry>,
    catalog: &Catalog,
) -> Result<()> {
    let fits = |entry: &Entry| match entry {
        Entry::Deletion(deletion) => catalog.check(deletion.table, &[], None),
        rows => rows.frames().try_for_each(|frame| {
            let fields: Vec<_> = frame.fields().collect();
            catalog.check(frame.table, &fields, frame.series().iter().copied().max())
        }),
    };
    let damaged =
        |at, reason| Error::corrupt(&path(dir, number), 0, format!("its entry {at}, counted from 0: {reason}"));
    entries.enumerate().try_for_each(|(at, entry)| fits(entry).map_err(|reason| damaged(at, reason)))
}

/// Is what lies at this place of a catalogue's file no good block, with a good one behind it?
fn is_followed(file: &[u8], at: usize) -> bool {
    block::scan(file, at, &[Kind::Catalog]).next().is_some_and(|found| matches!(found, Found::Damage { .. }))
}

/// What a catalogue's log gave.
#[derive(Debug)]
pub(crate) struct Replayed {
    /// What both files should hold.
    pub contents: Vec<u8>,
    /// A block behind that which is damaged in both files. Later changes count on it, and were not replayed.
    pub damage: Option<Error>,
}

/// The catalogue's log and its copy, which hold the same bytes: without the catalogue nothing else can be read.
#[derive(Debug)]
pub(crate) struct CatalogLog([AppendFile; 2]);

impl CatalogLog {
    /// Where the log and its copy are.
    pub(crate) fn paths(dir: &DataDir) -> [PathBuf; 2] {
        ["catalog.log", "catalog.copy"].map(|name| dir.join(name))
    }

    /// Replays the log. A block that is damaged in one of the two files is taken from the other, and told to `note`.
    pub(crate) fn replay(
        dir: &DataDir,
        catalog: &Catalog,
        closed: &Closed,
        mut note: impl FnMut(&Error),
    ) -> Result<Replayed> {
        let paths = CatalogLog::paths(dir);
        let extents = [0, 1].map(|at| closed.extent(dir, &paths[at]));
        let mut files = Vec::new();
        for path in &paths {
            files.push(if dir.length(path)?.is_some() { dir.read(path)? } else { Bytes::new() });
            FileHeader::CATALOG.damage(&files[files.len() - 1], path)?;
        }
        let mut whole = FileHeader::CATALOG.bytes().to_vec();
        loop {
            let at = whole.len();
            let blocks = files.iter().map(|file| block::open(file.get(at..).unwrap_or_default(), Kind::Catalog));
            let (good, bad): (Vec<_>, Vec<_>) = blocks.zip(&paths).partition(|(block, _)| block.is_ok());
            let Some((Ok(block), path)) = good.into_iter().next() else {
                let later =
                    |file: &Bytes| block::scan(file, at, &[Kind::Catalog]).any(|f| matches!(f, Found::Damage { .. }));
                let was_whole = extents.iter().any(|extent| *extent > at as u64);
                let damage = (was_whole || files.iter().any(later))
                    .then(|| Error::corrupt(&paths[0], at as u64, "a block is damaged here and in its copy"));
                return Ok(Replayed { contents: whole, damage });
            };
            let changes = Change::decode_all(&block[HEADER_BYTES..], |change| catalog.replay(change));
            changes.map_err(|reason| Error::corrupt(path, at as u64, reason))?;
            whole.extend_from_slice(block);
            whole.resize(block::padded(whole.len()), 0);
            for (bad, path) in bad {
                // Without a good block behind it, it is the end of what a crash cut short.
                let which = usize::from(*path == paths[1]);
                if let Err(reason) = bad
                    && (extents[which] > at as u64 || is_followed(&files[which], at))
                {
                    note(&Error::corrupt(path, at as u64, reason.to_string()));
                }
            }
        }
    }

    /// Both files, with these contents, ready to grow. To be called when everything that is stored was found to fit
    /// the catalogue: then what is cut off was an unfinished write.
    pub(crate) fn open(dir: &DataDir, contents: &[u8]) -> Result<CatalogLog> {
        let [first, copy] = CatalogLog::paths(dir).map(|path| {
            let same = dir.length(&path)?.is_some() && dir.read(&path)?.get(..contents.len()) == Some(contents);
            if !same {
                dir.replace(&path, contents)?;
            }
            AppendFile::open(dir, &path, contents.len() as u64)
        });
        Ok(CatalogLog([first?, copy?]))
    }

    /// Appends a block to both files, or to none, and makes it durable.
    pub(crate) fn append(&mut self, block: &[u8]) -> Result<()> {
        let [first, copy] = &mut self.0;
        let length = first.length();
        first.append(&[IoSlice::new(block)])?;
        if let Err(error) = copy.append(&[IoSlice::new(block)]) {
            first.cut(length)?;
            return Err(error);
        }
        first.sync()?;
        copy.sync()
    }
}
