//! The head: what is durable in the log and not yet sealed into a segment.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::base::published::Published;
use crate::catalog::deletion::Deletion;
use crate::rows::frame::Frame;
use crate::rows::samples::Samples;

/// What a log file holds, in its order.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Frame(Frame),
    Samples(Samples),
    /// Hides what came before it.
    Deletion(Arc<Deletion>),
}

impl Entry {
    /// The tables that it is about.
    pub(crate) fn tables(&self) -> impl Iterator<Item = u32> + '_ {
        let one = match self {
            Entry::Frame(frame) => Some(frame.table),
            Entry::Deletion(deletion) => Some(deletion.table),
            Entry::Samples(_) => None,
        };
        let samples = if let Entry::Samples(samples) = self { Some(samples) } else { None };
        one.into_iter().chain(samples.into_iter().flat_map(Samples::tables))
    }

    /// The rows that it has of a table, the oldest first.
    pub(crate) fn frames_of(&self, table: u32) -> impl Iterator<Item = Frame> + '_ {
        let frame = match self {
            Entry::Frame(frame) if frame.table == table => Some(frame.clone()),
            _ => None,
        };
        let samples = if let Entry::Samples(samples) = self { Some(samples) } else { None };
        frame.into_iter().chain(samples.into_iter().flat_map(move |samples| samples.frames_of(table)))
    }

    /// All rows that it has, a frame for each table and group of fields.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        let frame = if let Entry::Frame(frame) = self { Some(frame.clone()) } else { None };
        let samples = if let Entry::Samples(samples) = self { Some(samples) } else { None };
        frame.into_iter().chain(samples.into_iter().flat_map(Samples::frames))
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Entry::Frame(frame) => frame.rows,
            Entry::Samples(samples) => samples.rows,
            Entry::Deletion(_) => 0,
        }
    }

    /// The block that the log stores for rows.
    pub(crate) fn block(&self) -> &[u8] {
        match self {
            Entry::Frame(frame) => frame.bytes(),
            Entry::Samples(samples) => samples.bytes(),
            Entry::Deletion(_) => &[],
        }
    }
}

/// The entries of one log file, in the order of the log.
///
/// Only the writer adds to it; queries read what has been added so far without stopping it.
#[derive(Debug)]
pub(crate) struct Head {
    /// The number of the log file that holds the same entries.
    pub number: u64,
    entries: Published<Entry>,
}

impl Head {
    pub(crate) fn new(number: u64, entries: Vec<Entry>) -> Head {
        let head = Head { number, entries: Published::new() };
        entries.into_iter().for_each(|entry| head.push(entry));
        head
    }

    /// Makes an entry visible to queries.
    pub(crate) fn push(&self, entry: Entry) {
        let bytes = match &entry {
            Entry::Frame(_) | Entry::Samples(_) => entry.block().len(),
            Entry::Deletion(deletion) => {
                size_of::<Deletion>() + deletion.series.as_ref().map_or(0, RoaringBitmap::serialized_size)
            }
        };
        self.entries.push(entry, bytes);
    }

    /// Bytes of its entries.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.bytes()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries so far, oldest first.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }
}

/// What was deleted, the latest first.
pub(crate) type Deletions = Vec<Arc<Deletion>>;

/// The frames of a table among entries, oldest first, each with what the entries behind it delete of it; and all
/// that they delete of older rows.
pub(crate) fn frames_of<'a>(
    entries: impl DoubleEndedIterator<Item = &'a Entry>,
    table: u32,
) -> (Vec<(Frame, Deletions)>, Deletions) {
    let (mut frames, mut deletions) = (Vec::new(), Vec::new());
    for entry in entries.rev() {
        // The order among the frames of one entry does not matter: they have different fields.
        for frame in entry.frames_of(table) {
            let meets = |deletion: &&Arc<Deletion>| deletion.meets_times(frame.min_time, frame.max_time);
            let without = deletions.iter().filter(meets).cloned().collect();
            frames.push((frame, without));
        }
        match entry {
            Entry::Deletion(deletion) if deletion.table == table => deletions.push(deletion.clone()),
            _ => {}
        }
    }
    frames.reverse();
    (frames, deletions)
}
