//! A list that one thread adds to while others read it: what was published before somebody looks is there, whole and in
//! order.

use crate::base::sync::{AtomicUsize, Ordering};

/// Items in the order in which they were added, and their bytes.
#[derive(Debug)]
pub(crate) struct Published<T> {
    items: boxcar::Vec<T>,
    bytes: AtomicUsize,
}

impl<T> Published<T> {
    pub(crate) fn new() -> Published<T> {
        Published { items: boxcar::Vec::new(), bytes: AtomicUsize::new(0) }
    }

    /// Makes an item of so many bytes visible. Only one thread may do so.
    pub(crate) fn push(&self, item: T, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.items.push(item);
    }

    /// The items so far.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        let count = self.items.count();
        (0..count).filter_map(|at| self.items.get(at))
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
