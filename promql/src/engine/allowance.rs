//! What a question may take: memory of all, and time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use runner::{Holder, Memory};

use super::context::{Failure, FailureKind};
use crate::model::points::Points;

/// About what the labels of a series take, in bytes.
pub(crate) const LABELS_BYTES: usize = 256;
/// Memory is taken by so many bytes at least, if there are as many: not each series asks for its own.
const TAKEN_MIN: usize = 64 * 1024;
/// After so many steps it is looked whether there is time left.
const STEPS_A_LOOK: usize = 64;

/// What a question may take; its memory is given back with it.
#[derive(Debug, Default)]
pub struct Allowance<'a> {
    memory: Option<&'a Memory>,
    deadline: Option<Instant>,
    is_given_up: Option<&'a AtomicBool>,
    /// Of the memory of all.
    taken: AtomicUsize,
    /// Of what was taken.
    used: AtomicUsize,
}

impl<'a> Allowance<'a> {
    fn new(
        memory: Option<&'a Memory>,
        deadline: Option<Instant>,
        is_given_up: Option<&'a AtomicBool>,
    ) -> Allowance<'a> {
        Allowance { memory, deadline, is_given_up, taken: AtomicUsize::new(0), used: AtomicUsize::new(0) }
    }

    /// Of this memory; without one there is no bound.
    #[must_use]
    pub fn of(memory: &'a Memory) -> Allowance<'a> {
        Allowance::new(Some(memory), None, None)
    }

    /// With an end of its time.
    #[must_use]
    pub fn until(mut self, deadline: Instant) -> Allowance<'a> {
        self.deadline = Some(deadline);
        self
    }

    /// With a sign that nobody waits for the answer any more.
    #[must_use]
    pub fn unless(mut self, is_given_up: &'a AtomicBool) -> Allowance<'a> {
        self.is_given_up = Some(is_given_up);
        self
    }

    /// What makes another one of the same memory and time, on a thread beside.
    pub(crate) fn beside(&self) -> impl Fn() -> Allowance<'a> + Sync + use<'a> {
        let (memory, deadline, is_given_up) = (self.memory, self.deadline, self.is_given_up);
        move || Allowance::new(memory, deadline, is_given_up)
    }

    /// Is there time left, and somebody who waits?
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let is_late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        match is_late || self.is_given_up.is_some_and(|is_given_up| is_given_up.load(Ordering::Relaxed)) {
            true => {
                Err(Failure { kind: FailureKind::Timeout, message: "query timed out in expression evaluation".into() })
            }
            false => Ok(()),
        }
    }

    /// The same of a step, now and then.
    pub(crate) fn check_at(&self, step: usize) -> Result<(), Failure> {
        if step.is_multiple_of(STEPS_A_LOOK) { self.check() } else { Ok(()) }
    }

    /// Takes memory.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Failure> {
        let Some(memory) = self.memory else { return Ok(()) };
        let used = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let taken = self.taken.load(Ordering::Relaxed);
        let Some(needed) = used.checked_sub(taken).filter(|needed| *needed > 0) else { return Ok(()) };
        // The clock is looked at as often as the memory of all, and not for each series.
        self.check()?;
        let take = |bytes: usize| memory.take(Holder::Fixed, taken, bytes).map(|()| bytes);
        let got = take(needed.max(TAKEN_MIN)).or_else(|_| take(needed)).map_err(|full| {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            let (bound, left) = (memory.bytes_max(), full.available);
            Failure::from(format!(
                "the question needs more memory than is left: {left} of {bound} bytes (query.memory)"
            ))
        })?;
        self.taken.fetch_add(got, Ordering::Relaxed);
        Ok(())
    }

    /// Room for a series and for what it has at so many steps.
    pub(crate) fn room(&self, steps: usize) -> Result<(), Failure> {
        if self.memory.is_none() {
            self.check()?;
        }
        self.take(Points::bytes(steps).saturating_add(LABELS_BYTES))
    }

    /// The same, with nothing in it yet.
    pub(crate) fn points(&self, steps: usize) -> Result<Points, Failure> {
        self.room(steps)?;
        Ok(Points::empty(steps))
    }
}

impl Drop for Allowance<'_> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory {
            memory.give_back(Holder::Fixed, self.taken.load(Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_given_back() {
        let memory = Memory::new(1000);
        let allowance = Allowance::of(&memory);
        assert!(allowance.points(50).is_ok());
        assert!(memory.held() > 400);
        for too_many in [1000, usize::MAX] {
            let message = allowance.points(too_many).unwrap_err().message;
            assert!(message.contains("of 1000 bytes (query.memory)"), "{message}");
        }
        drop(allowance);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn nothing_goes_on_for_nobody() {
        let is_given_up = AtomicBool::new(false);
        let allowance = Allowance::default().unless(&is_given_up);
        assert!(allowance.points(1).is_ok());
        is_given_up.store(true, Ordering::Relaxed);
        assert_eq!(allowance.points(1).unwrap_err().kind, FailureKind::Timeout);
        assert!(Allowance::default().until(Instant::now()).check_at(64).is_err());
    }
}
