//! The ring: how requests reach the one thread that writes. Bounded by their number and by their bytes; nobody waits
//! for a lock, and whoever comes when the ring is full is told at once.
//!
//! What is handed over while the other side ends must not be left lying: its owner would wait for an answer for ever.
//! So the side that hands over looks *after* it whether the other has ended, the side that ends looks into the ring
//! *after* it said so, and whichever comes second clears it. `loom/` checks that, and the counting of bytes, in every
//! order of events.

use crate::base::sync::{Arc, AtomicBool, AtomicUsize, Ordering, Receiver, Sender, TrySendError, bounded};

/// The side that hands over.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    sender: Sender<T>,
    /// What is left when the other side ends.
    unserved: Receiver<T>,
    has_ended: AtomicBool,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The side that takes.
#[derive(Debug)]
pub(crate) struct Taker<T> {
    pub receiver: Receiver<T>,
    bytes: Arc<AtomicUsize>,
}

/// Why something is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// As many wait as may.
    Slots,
    /// These bytes wait, which with more would be too many.
    Bytes(usize),
    /// The other side has ended.
    Ended,
}

impl<T> Ring<T> {
    /// A ring of so many slots and, together, bytes.
    pub(crate) fn new(slots: usize, bytes_max: usize) -> (Ring<T>, Taker<T>) {
        let (sender, receiver) = bounded(slots);
        let bytes = Arc::new(AtomicUsize::new(0));
        let taker = Taker { receiver: receiver.clone(), bytes: bytes.clone() };
        (Ring { sender, unserved: receiver, has_ended: AtomicBool::new(false), bytes, bytes_max }, taker)
    }

    /// Hands something over that has so many bytes, if there is room. Any one may: it has limits of its own.
    pub(crate) fn try_push(&self, value: T, bytes: usize) -> Result<(), Full> {
        let waiting = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let refused = if waiting > 0 && waiting.saturating_add(bytes) > self.bytes_max {
            Full::Bytes(waiting)
        } else {
            match self.sender.try_send(value) {
                Ok(()) => {
                    self.clear_if_ended();
                    return Ok(());
                }
                Err(TrySendError::Full(_)) => Full::Slots,
                Err(TrySendError::Disconnected(_)) => Full::Ended,
            }
        };
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Err(refused)
    }

    /// Hands something over that has no bytes; waits while there is no room.
    pub(crate) fn push(&self, value: T) -> Result<(), Full> {
        self.sender.send(value).map_err(|_| Full::Ended)?;
        self.clear_if_ended();
        Ok(())
    }

    /// To be called when the other side has ended: lets go of all that it has not taken, now and later.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.clear_if_ended();
    }

    fn clear_if_ended(&self) {
        if self.has_ended.load(Ordering::SeqCst) {
            self.unserved.try_iter().for_each(drop);
        }
    }

    /// How many wait.
    pub(crate) fn depth(&self) -> usize {
        self.sender.len()
    }

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl<T> Taker<T> {
    /// So many bytes were taken: they do not wait any more.
    pub(crate) fn taken(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
