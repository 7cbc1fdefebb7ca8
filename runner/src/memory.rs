//! What all queries together may hold. Some can spill to disk, when they get no more; those share fairly what the
//! others leave.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A bound on memory, in bytes, that everything which runs shares.
#[derive(Debug)]
pub struct Memory {
    bytes_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By those that cannot give anything back before they are done.
    fixed: usize,
    /// By those that can spill, and how many of them there are.
    spillable: usize,
    spillers: usize,
}

/// Who holds memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// It fails when it gets no more.
    Fixed,
    /// It spills when it gets no more, so that it may not take what others need.
    Spiller,
}

/// There is not so much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// How much there is left for the one who asked, in bytes.
    pub available: usize,
}

impl Memory {
    /// So many bytes for all.
    pub fn new(bytes_max: usize) -> Memory {
        Memory { bytes_max, held: Mutex::default() }
    }

    /// The bound.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// How much is held, in bytes.
    pub fn held(&self) -> usize {
        let held = self.lock();
        held.fixed + held.spillable
    }

    /// One more that can spill: from now on it has its share.
    pub fn enter_spiller(&self) {
        self.lock().spillers += 1;
    }

    /// One less.
    pub fn leave_spiller(&self) {
        let mut held = self.lock();
        held.spillers = held.spillers.saturating_sub(1);
    }

    /// Takes more bytes for one that has some.
    ///
    /// # Errors
    ///
    /// There is not so much left; nothing was taken.
    pub fn take(&self, holder: Holder, has: usize, more: usize) -> Result<(), Full> {
        let mut held = self.lock();
        let left = match holder {
            Holder::Fixed => self.bytes_max.saturating_sub(held.fixed + held.spillable),
            // No more than its share of what the fixed ones leave.
            Holder::Spiller => (self.bytes_max.saturating_sub(held.fixed) / held.spillers.max(1)).saturating_sub(has),
        };
        if more > left {
            return Err(Full { available: left });
        }
        *held.of(holder) += more;
        Ok(())
    }

    /// Takes bytes that are used already, over the bound if need be.
    pub fn take_anyway(&self, holder: Holder, more: usize) {
        *self.lock().of(holder) += more;
    }

    /// Gives bytes back.
    pub fn give_back(&self, holder: Holder, bytes: usize) {
        let mut held = self.lock();
        let own = held.of(holder);
        *own = own.saturating_sub(bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Each change is one step: a panic leaves nothing half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn of(&mut self, holder: Holder) -> &mut usize {
        match holder {
            Holder::Fixed => &mut self.fixed,
            Holder::Spiller => &mut self.spillable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spillers_share_what_the_fixed_ones_leave() {
        let memory = Memory::new(100);
        memory.take(Holder::Fixed, 0, 40).unwrap();
        memory.enter_spiller();
        assert_eq!(memory.take(Holder::Spiller, 0, 61), Err(Full { available: 60 }));
        memory.take(Holder::Spiller, 0, 30).unwrap();
        memory.enter_spiller();
        // Each has half of 60 now.
        assert_eq!(memory.take(Holder::Spiller, 30, 1), Err(Full { available: 0 }));
        memory.take(Holder::Spiller, 0, 30).unwrap();
        assert_eq!(memory.take(Holder::Fixed, 40, 1), Err(Full { available: 0 }));
        memory.give_back(Holder::Spiller, 30);
        memory.leave_spiller();
        memory.take(Holder::Fixed, 40, 30).unwrap();
        assert_eq!(memory.held(), 100);
    }

    #[test]
    fn what_is_used_already_counts_over_the_bound() {
        let memory = Memory::new(10);
        memory.take_anyway(Holder::Fixed, 15);
        assert_eq!(memory.held(), 15);
        assert_eq!(memory.take(Holder::Fixed, 15, 1), Err(Full { available: 0 }));
        memory.give_back(Holder::Fixed, 20);
        assert_eq!(memory.held(), 0);
    }
}
