//! A file mapped into memory, read-only.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Result;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use memmap2::{Mmap, UncheckedAdvice};

/// The maps of this process that are in use.
static MAPS: Mutex<Vec<Weak<Mmap>>> = Mutex::new(Vec::new());

/// A map, as the owner of bytes.
struct Shared(Arc<Mmap>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The bytes of a file that nobody will write to again.
///
/// Segments and rolled days are written under another name, synced, and only then given the name under which they are
/// mapped; this process never writes to, truncates or replaces them afterwards, only unlinks them, which leaves the map
/// whole; and the data directory's lock keeps a second fournines out. Foreign processes that write into the data
/// directory are outside of what can be kept up, as for every store that maps its files.
pub(crate) fn map(file: &File) -> Result<Bytes> {
    // SAFETY: a map is undefined behaviour if its file changes underneath, which the above rules out.
    let map = Arc::new(unsafe { Mmap::map(file) }?);
    let mut maps = MAPS.lock().unwrap_or_else(PoisonError::into_inner);
    maps.retain(|map| map.strong_count() > 0);
    maps.push(Arc::downgrade(&map));
    Ok(Bytes::from_owner(Shared(map)))
}

/// Lets go of the pages of all files that are mapped: they count as this process's memory once they were looked at,
/// until the file is gone. The system keeps them as long as it has room, and what is looked at again comes from there.
///
/// ```
/// tsdb::let_go_of_maps();
/// ```
pub fn let_go_of_maps() {
    let maps: Vec<Arc<Mmap>> = {
        let maps = MAPS.lock().unwrap_or_else(PoisonError::into_inner);
        maps.iter().filter_map(Weak::upgrade).collect()
    };
    for map in maps {
        // SAFETY: the map is of a file, shared and read-only: a page that goes is read from the file again when somebody
        // looks at it, and has the same bytes, also for whoever looks at it right now.
        let _ = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) }; // advice may be declined
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// How much of a map counts as memory of this process.
    fn in_memory_kb(mapped: &Bytes) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let start = format!("{:x}-", mapped.as_ptr() as usize);
        let own = maps.lines().skip_while(|line| !line.starts_with(&start));
        let rss = own.clone().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Readers go on while maps are let go of, and see the same bytes.
    #[test]
    fn bytes_stay_what_they_are() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        file.write_all(&bytes).unwrap();
        let mapped = map(&file).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| (0..20).all(|_| mapped == bytes));
            (0..200).for_each(|_| let_go_of_maps());
            assert!(reader.join().unwrap());
        });
        // The last reading may have been before the last letting go, and stores of other tests let go of maps, too.
        let is_there = || mapped == bytes && in_memory_kb(&mapped) > 3000;
        assert!((0..1000).any(|_| is_there()), "all of it was looked at");
        let_go_of_maps();
        assert_eq!(in_memory_kb(&mapped), 0);
        let slice = mapped.slice(4096..8192);
        drop(mapped);
        let_go_of_maps();
        assert_eq!(slice, bytes[4096..8192]);
    }
}
