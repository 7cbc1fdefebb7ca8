//! What threads meet through. `loom/` puts its own in this place to try every order of events.

pub(crate) use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
