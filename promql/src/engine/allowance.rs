//! What a question may hold of the memory of all.

use std::cell::Cell;

use runner::{Holder, Memory};

use super::context::Failure;
use crate::model::points::Points;

/// Memory that a question has taken, given back with it.
#[derive(Debug, Default)]
pub struct Allowance<'a> {
    memory: Option<&'a Memory>,
    taken: Cell<usize>,
}

impl<'a> Allowance<'a> {
    /// Of this memory; without one there is no bound.
    #[must_use]
    pub fn of(memory: &'a Memory) -> Allowance<'a> {
        Allowance { memory: Some(memory), taken: Cell::new(0) }
    }

    /// Room for what a series has at so many steps.
    pub(crate) fn points(&self, steps: usize) -> Result<Points, Failure> {
        if let Some(memory) = self.memory {
            let (bytes, taken) = (Points::bytes(steps), self.taken.get());
            memory.take(Holder::Fixed, taken, bytes).map_err(|full| {
                let (bound, left) = (memory.bytes_max(), full.available);
                Failure::from(format!(
                    "the question needs more memory than is left: {left} of {bound} bytes (query.memory)"
                ))
            })?;
            self.taken.set(taken + bytes);
        }
        Ok(Points::empty(steps))
    }
}

impl Drop for Allowance<'_> {
    fn drop(&mut self) {
        if let Some(memory) = self.memory {
            memory.give_back(Holder::Fixed, self.taken.get());
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
        let message = allowance.points(1000).unwrap_err().message;
        assert!(message.contains("of 1000 bytes (query.memory)"), "{message}");
        drop(allowance);
        assert_eq!(memory.held(), 0);
    }
}
