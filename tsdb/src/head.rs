//! The head: frames that are durable in the log and not yet sealed into a segment.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::frame::Frame;

/// The frames of one log file, in the order of the log.
///
/// Only the writer adds to it; queries read what has been added so far without stopping it.
#[derive(Debug)]
pub(crate) struct Head {
    /// The number of the log file that holds the same frames.
    pub number: u64,
    frames: boxcar::Vec<Frame>,
    bytes: AtomicUsize,
}

impl Head {
    pub(crate) fn new(number: u64, frames: Vec<Frame>) -> Head {
        let head = Head { number, frames: boxcar::Vec::new(), bytes: AtomicUsize::new(0) };
        frames.into_iter().for_each(|frame| head.push(frame));
        head
    }

    /// Makes a frame visible to queries.
    pub(crate) fn push(&self, frame: Frame) {
        self.bytes.fetch_add(frame.bytes().len(), Ordering::Relaxed);
        self.frames.push(frame);
    }

    /// Bytes of its frames.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frames so far, oldest first.
    pub(crate) fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().map(|(_, frame)| frame)
    }
}
