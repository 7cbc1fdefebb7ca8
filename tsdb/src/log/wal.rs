//! Logs: files of blocks that grow at the end. The write-ahead log holds frames, the catalogue's log its changes.

use std::collections::HashSet;
use std::io::IoSlice;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::base::error::{Error, Result};
use crate::catalog::change::Change;
use crate::catalog::deletion::Deletion;
use crate::catalog::registry::Catalog;
use crate::files::block::{self, FILE_HEADER_BYTES, FileHeader, Found, HEADER_BYTES, Kind};
use crate::files::data_dir::{AppendFile, DataDir};
use crate::log::closed::Closed;
use crate::log::head::Entry;
use crate::rows::frame::Frame;
use crate::rows::samples::Samples;

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
const LOG_KINDS: [Kind; 4] = [Kind::Frame, Kind::Samples, Kind::Deletion, Kind::Group];

/// What stands at the start of what a group commit writes: `synced` bytes of the file were durable before, and these
/// are `bytes` more, without this mark.
pub(crate) fn group_mark(synced: u64, bytes: u64) -> Vec<u8> {
    let mark = [synced, bytes].map(u64::to_le_bytes).concat();
    block::wrap(&mark, Kind::Group)
}

/// What is wrong with a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The file's header: nothing is missing.
    Header,
    /// A block that was durable, and what it held is missing.
    Lost,
    /// A block of the last group that is as long as it was, and not what it was: nobody knows whether it was
    /// acknowledged.
    Doubt,
    /// What a write that a crash cut short leaves behind: it was never acknowledged.
    Torn,
}

/// What the marks of a log file say, and the mark of a clean end.
struct Known {
    /// Up to here all was durable once.
    durable: u64,
    /// From where to where the last group is known to go; empty without marks, which files of version 6 and before do
    /// not have.
    last_group: Range<u64>,
}

impl Known {
    fn of(bytes: &[u8], found: &[Found], extent: u64) -> Known {
        let mut known = Known { durable: extent, last_group: 0..0 };
        for found in found {
            let Found::Block { kind: Kind::Group, offset, length } = *found else { continue };
            let Some((synced, group)) = parse_mark(&bytes[offset..offset + length]) else { continue };
            known.durable = known.durable.max(synced.min(offset as u64));
            let end = (offset as u64).saturating_add(block::padded(length) as u64).saturating_add(group);
            known.last_group = offset as u64..end;
        }
        known
    }

    /// What bytes are that are no good block.
    fn fault(&self, file: &[u8], offset: usize, is_followed: bool) -> Fault {
        let at = offset as u64;
        if at < self.durable || (is_followed && self.last_group.is_empty()) {
            return Fault::Lost;
        }
        let rest = &file[offset..];
        let Some(header) = rest.first_chunk::<HEADER_BYTES>() else { return Fault::Torn };
        if self.last_group.contains(&at) && (file.len() as u64) < self.last_group.end {
            return Fault::Torn;
        }
        let kind = block::u32_at(header, 8);
        let is_cut =
            LOG_KINDS.iter().any(|known| *known as u32 == kind) && block::u32_at(header, 12) as usize > rest.len();
        // A sector that was never written.
        let is_hole = header.iter().all(|byte| *byte == 0);
        if is_hole || (is_cut && !self.last_group.contains(&at)) { Fault::Torn } else { Fault::Doubt }
    }
}

fn parse_mark(block: &[u8]) -> Option<(u64, u64)> {
    let payload = block.get(HEADER_BYTES..HEADER_BYTES + 16)?;
    Some((block::u64_at(payload, 0), block::u64_at(payload, 8)))
}

/// A log file as it was read.
#[derive(Debug)]
pub(crate) struct ReadLog {
    pub entries: Vec<Entry>,
    /// Where the next entry belongs.
    pub end: u64,
    /// Are there bytes in its middle that were not durable and are no good block? The next group would say that they
    /// were.
    pub has_holes: bool,
}

/// Reads a log file; nothing if a crash cut its making short. What is no good block is stepped over and told to `note`
/// with its bytes. Up to `extent` the file was whole.
pub(crate) fn read(
    dir: &DataDir,
    number: u64,
    extent: u64,
    mut note: impl FnMut(Fault, &Error, &[u8]),
) -> Result<Option<ReadLog>> {
    let path = path(dir, number);
    let bytes = dir.read(&path)?;
    let damaged = |offset: usize, reason: String| Error::corrupt(&path, offset as u64, reason);
    let header = FileHeader::LOG.damage(&bytes, &path)?;
    let found: Vec<Found> = block::scan(&bytes, FILE_HEADER_BYTES, &LOG_KINDS).collect();
    let known = Known::of(&bytes, &found, extent);
    let mut log = ReadLog { entries: Vec::new(), end: FILE_HEADER_BYTES as u64, has_holes: false };
    let mut holes_from = None;
    for found in found {
        let (fault, offset, length, reason) = match found {
            Found::Block { kind, offset, length } => {
                let parsed = match kind {
                    Kind::Group => parse_mark(&bytes[offset..offset + length])
                        .map(|_| None)
                        .ok_or_else(|| format!("a mark of {length} bytes")),
                    kind => entry(kind, bytes.slice(offset..offset + length)).map(Some),
                };
                match parsed {
                    Ok(entry) => {
                        log.end = (offset + block::padded(length)) as u64;
                        log.entries.extend(entry);
                        continue;
                    }
                    Err(reason) => (Fault::Lost, offset, length, reason),
                }
            }
            Found::Damage { offset, length, reason } => {
                (known.fault(&bytes, offset, true), offset, length, reason.to_string())
            }
            Found::Tail { offset, length, reason } => {
                (known.fault(&bytes, offset, false), offset, length, reason.to_string())
            }
        };
        if fault != Fault::Lost {
            holes_from.get_or_insert(offset as u64);
        }
        note(fault, &damaged(offset, format!("{length} bytes: {reason}")), &bytes[offset..offset + length]);
    }
    log.has_holes = holes_from.is_some_and(|from| from < log.end);
    if (bytes.len() as u64) < extent {
        let missing = format!("{} bytes are missing at its end", extent - bytes.len() as u64);
        note(Fault::Lost, &damaged(bytes.len(), missing), &[]);
    }
    if let Some(error) = header {
        // The header is durable before anything follows it.
        if log.end == FILE_HEADER_BYTES as u64 {
            return Ok(None);
        }
        note(Fault::Header, &error, &bytes[..FILE_HEADER_BYTES]);
    }
    Ok(Some(log))
}

/// Writes a log file anew with these entries and a mark that says that all are durable, and returns its length.
pub(crate) fn rewrite(dir: &DataDir, number: u64, entries: &[Entry]) -> Result<u64> {
    let mut file = FileHeader::LOG.bytes().to_vec();
    for entry in entries {
        match entry {
            Entry::Deletion(deletion) => file.extend(block::wrap(&deletion.encode(), Kind::Deletion)),
            rows => file.extend_from_slice(rows.block()),
        }
        file.resize(block::padded(file.len()), 0);
    }
    file.extend(group_mark(file.len() as u64, 0));
    file.resize(block::padded(file.len()), 0);
    dir.replace(&path(dir, number), &file)?;
    Ok(file.len() as u64)
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

/// Makes the changes of blocks, each of which lies in these bytes and came from a file. What is said at last of tables
/// that were dropped is known before: their series take no memory.
fn replay_blocks(catalog: &Catalog, whole: &[u8], blocks: &[(&PathBuf, Range<usize>)]) -> Result<()> {
    let each = |take: &mut dyn FnMut(Change<'_>) -> Result<(), String>| {
        blocks.iter().try_for_each(|(path, block)| {
            let changes = Change::decode_all(&whole[block.start + HEADER_BYTES..block.end], &mut *take);
            changes.map_err(|reason| Error::corrupt(path, block.start as u64, reason))
        })
    };
    let mut dropped = HashSet::new();
    each(&mut |change| {
        if let Change::TableDropped { table } = change {
            dropped.insert(table);
        }
        Ok(())
    })?;
    catalog.expect_dropped(dropped);
    each(&mut |change| catalog.replay(change))?;
    // Numbers that are given from here on are those of others.
    catalog.expect_dropped(HashSet::new());
    Ok(())
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
        let mut replayed = Vec::new();
        let damage = loop {
            let at = whole.len();
            let blocks = files.iter().map(|file| block::open(file.get(at..).unwrap_or_default(), Kind::Catalog));
            let (good, bad): (Vec<_>, Vec<_>) = blocks.zip(&paths).partition(|(block, _)| block.is_ok());
            let Some((Ok(block), path)) = good.into_iter().next() else {
                let later =
                    |file: &Bytes| block::scan(file, at, &[Kind::Catalog]).any(|f| matches!(f, Found::Damage { .. }));
                let was_whole = extents.iter().any(|extent| *extent > at as u64);
                break (was_whole || files.iter().any(later))
                    .then(|| Error::corrupt(&paths[0], at as u64, "a block is damaged here and in its copy"));
            };
            replayed.push((path, at..at + block.len()));
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
        };
        replay_blocks(catalog, &whole, &replayed)?;
        Ok(Replayed { contents: whole, damage })
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
        first.append(&mut [IoSlice::new(block)])?;
        if let Err(error) = copy.append(&mut [IoSlice::new(block)]) {
            first.cut(length)?;
            return Err(error);
        }
        first.sync()?;
        copy.sync()
    }
}
