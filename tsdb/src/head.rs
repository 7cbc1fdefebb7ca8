//! The head: what is durable in the log and not yet sealed into a segment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roaring::RoaringBitmap;

use crate::deletion::Deletion;
use crate::frame::Frame;

/// What a log file holds, in its order.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Frame(Frame),
    /// Hides what came before it.
    Deletion(Arc<Deletion>),
}

impl Entry {
    pub(crate) fn table(&self) -> u32 {
        match self {
            Entry::Frame(frame) => frame.table,
            Entry::Deletion(deletion) => deletion.table,
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
    entries: boxcar::Vec<Entry>,
    bytes: AtomicUsize,
}

impl Head {
    pub(crate) fn new(number: u64, entries: Vec<Entry>) -> Head {
        let head = Head { number, entries: boxcar::Vec::new(), bytes: AtomicUsize::new(0) };
        entries.into_iter().for_each(|entry| head.push(entry));
        head
    }

    /// Makes an entry visible to queries.
    pub(crate) fn push(&self, entry: Entry) {
        let bytes = match &entry {
            Entry::Frame(frame) => frame.bytes().len(),
            Entry::Deletion(deletion) => {
                size_of::<Deletion>() + deletion.series.as_ref().map_or(0, RoaringBitmap::serialized_size)
            }
        };
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.entries.push(entry);
    }

    /// Bytes of its entries.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries so far, oldest first.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        let count = self.entries.count();
        (0..count).filter_map(|at| self.entries.get(at))
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
        match entry {
            Entry::Frame(frame) if frame.table == table => {
                let meets = |deletion: &&Arc<Deletion>| deletion.meets_times(frame.min_time, frame.max_time);
                frames.push((frame.clone(), deletions.iter().filter(meets).cloned().collect()));
            }
            Entry::Deletion(deletion) if deletion.table == table => deletions.push(deletion.clone()),
            _ => {}
        }
    }
    frames.reverse();
    (frames, deletions)
}
