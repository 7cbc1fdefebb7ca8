//! Bytes at an address that suits numbers, which the system has back when they are dropped.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::MmapMut;

/// Bytes that start at a multiple of 8 in memory, so that numbers in them can be viewed in place.
struct Aligned {
    words: Vec<u64>,
    length: usize,
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }
}

/// Bytes of this length and more have pages of their own. Heads are made of them: freed by another thread than made
/// them, and all at once, what an allocator has of them it keeps, which was more than all that was in use.
const PAGES_MIN: usize = 32 * 1024;
/// So many have pages of their own at a time: a process may have 65,530 mappings in all.
const MAPPINGS_MAX: usize = 16_384;

/// Pages of their own, which the system has back when they are dropped.
struct Pages(MmapMut);

static MAPPINGS: AtomicUsize = AtomicUsize::new(0);

impl Pages {
    /// Zeros; nothing if there are too many already.
    fn new(length: usize) -> Option<Pages> {
        if MAPPINGS.fetch_add(1, Ordering::Relaxed) < MAPPINGS_MAX
            && let Ok(map) = MmapMut::map_anon(length)
        {
            return Some(Pages(map));
        }
        MAPPINGS.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        MAPPINGS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Pages {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Fresh aligned bytes of this length, as `fill` leaves them.
pub(crate) fn aligned<E>(length: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Bytes, E> {
    if length >= PAGES_MIN
        && let Some(mut pages) = Pages::new(length)
    {
        fill(&mut pages.0)?;
        return Ok(Bytes::from_owner(pages));
    }
    let mut words = vec![0u64; length.div_ceil(8)];
    fill(&mut bytemuck::cast_slice_mut(&mut words)[..length])?;
    Ok(Bytes::from_owner(Aligned { words, length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer ones than `PAGES_MIN` have pages of their own, until there are too many: nobody can tell by what is in
    /// them.
    #[test]
    fn bytes_are_aligned_and_as_filled_wherever_they_are() {
        let fill = |bytes: &mut [u8]| -> Result<(), ()> {
            assert!(bytes.iter().all(|byte| *byte == 0));
            bytes.iter_mut().zip(1..).for_each(|(byte, at): (_, usize)| *byte = at as u8);
            Ok(())
        };
        for length in [0, 1, 8, PAGES_MIN - 1, PAGES_MIN, PAGES_MIN + 1, 3 * PAGES_MIN + 5] {
            let bytes = aligned(length, fill).unwrap();
            assert_eq!((bytes.len(), bytes.as_ptr() as usize % 8), (length, 0));
            let tail = bytes.slice(length / 2..);
            drop(bytes);
            assert!(tail.iter().zip(length / 2 + 1..).all(|(byte, at)| *byte == at as u8), "{length}");
        }
        let many: Vec<Bytes> =
            (0..MAPPINGS_MAX + 10).map(|_| aligned(PAGES_MIN, |_| Ok::<_, ()>(())).unwrap()).collect();
        assert!(many.iter().all(|bytes| bytes.len() == PAGES_MIN));
        drop(many);
        assert!(Pages::new(PAGES_MIN).is_some(), "what was given back can be had again");
    }
}
