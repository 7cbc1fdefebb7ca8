//! Series by the raw bytes that clients name them with: the hash table of the hot path.
//!
//! The key is a 128-bit keyed hash of the bytes, and is not compared with the bytes themselves: two of them meet by
//! chance once in 2^64 series, and nobody without the key can aim for it. Readers take no lock; there is one writer at
//! a time, which never removes anything. A slot is three words, filled from the last to the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use crate::base::series_ref::SeriesRef;

/// Slots at the start.
const SLOTS_MIN: usize = 1024;

/// A slot that is empty has 0 as its first word.
#[derive(Debug, Default)]
struct Slot {
    low: AtomicU64,
    high: AtomicU64,
    series: AtomicU64,
}

/// The table. It grows by half when it is three quarters full.
#[derive(Debug)]
pub(crate) struct Spellings {
    slots: ArcSwap<Box<[Slot]>>,
    count: AtomicUsize,
}

fn halves(key: u128) -> (u64, u64) {
    ((key as u64).max(1), (key >> 64) as u64)
}

/// The slot where the search for a key begins.
fn first(slots: &[Slot], high: u64) -> usize {
    ((u128::from(high) * slots.len() as u128) >> 64) as usize
}

fn empty(count: usize) -> Box<[Slot]> {
    (0..count).map(|_| Slot::default()).collect()
}

impl Spellings {
    pub(crate) fn new() -> Spellings {
        Spellings { slots: ArcSwap::from_pointee(empty(SLOTS_MIN)), count: AtomicUsize::new(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn find(&self, key: u128) -> Option<SeriesRef> {
        find(&self.slots.load(), key)
    }

    /// As it is now: what is added later may be missing.
    pub(crate) fn snapshot(&self) -> SpellingsNow {
        SpellingsNow(self.slots.load_full())
    }

    /// Adds a key. One that is there means another series from now on: the table of the one before was dropped. Only one
    /// thread may do so at a time.
    pub(crate) fn insert(&self, key: u128, series: SeriesRef) {
        let word = u64::from(series.table) << 32 | u64::from(series.series);
        if let Some(slot) = slot(&self.slots.load(), key) {
            slot.series.store(word, Ordering::Relaxed);
            return;
        }
        let mut slots = self.slots.load_full();
        if (self.len() + 1) * 4 > slots.len() * 3 {
            let larger = empty(slots.len() + slots.len() / 2);
            for slot in slots.iter().filter(|slot| slot.low.load(Ordering::Relaxed) != 0) {
                let [low, high, series] =
                    [&slot.low, &slot.high, &slot.series].map(|word| word.load(Ordering::Relaxed));
                put(&larger, low, high, series);
            }
            slots = Arc::new(larger);
            self.slots.store(slots.clone());
        }
        let (low, high) = halves(key);
        put(&slots, low, high, word);
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The table as it was at some time: looking into it costs no counting of readers.
#[derive(Debug)]
pub(crate) struct SpellingsNow(Arc<Box<[Slot]>>);

impl SpellingsNow {
    #[inline]
    pub(crate) fn find(&self, key: u128) -> Option<SeriesRef> {
        find(&self.0, key)
    }
}

#[inline]
fn find(slots: &[Slot], key: u128) -> Option<SeriesRef> {
    let series = slot(slots, key)?.series.load(Ordering::Relaxed);
    Some(SeriesRef { table: (series >> 32) as u32, series: series as u32 })
}

#[inline]
fn slot(slots: &[Slot], key: u128) -> Option<&Slot> {
    let (low, high) = halves(key);
    let mut at = first(slots, high);
    loop {
        let slot = &slots[at];
        match slot.low.load(Ordering::Acquire) {
            0 => return None,
            found if found == low && slot.high.load(Ordering::Relaxed) == high => return Some(slot),
            _ => at = if at + 1 == slots.len() { 0 } else { at + 1 },
        }
    }
}

/// Fills the first free slot. Whoever sees the first word sees the others.
fn put(slots: &[Slot], low: u64, high: u64, series: u64) {
    let mut at = first(slots, high);
    while slots[at].low.load(Ordering::Relaxed) != 0 {
        at = if at + 1 == slots.len() { 0 } else { at + 1 };
    }
    slots[at].series.store(series, Ordering::Relaxed);
    slots[at].high.store(high, Ordering::Relaxed);
    slots[at].low.store(low, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_find_what_a_writer_has_added_while_it_adds_more() {
        let spellings = Spellings::new();
        let key = |n: u64| u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n);
        let series = |n: u64| SeriesRef { table: (n % 7) as u32, series: n as u32 };
        let added = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while added.load(Ordering::Acquire) < 20_000 {
                        let known = added.load(Ordering::Acquire);
                        (0..known).step_by(97).for_each(|n| assert_eq!(spellings.find(key(n)), Some(series(n))));
                    }
                });
            }
            for n in 0..20_000 {
                assert_eq!(spellings.find(key(n)), None);
                spellings.insert(key(n), series(n + 1));
                spellings.insert(key(n), series(n)); // known: it means another one
                added.store(n + 1, Ordering::Release);
            }
        });
        assert_eq!(spellings.len(), 20_000);
        assert!((0..20_000).all(|n| spellings.find(key(n)) == Some(series(n))));
    }
}
