//! A file mapped into memory, read-only.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Result;

use bytes::Bytes;
use memmap2::Mmap;

/// The bytes of a file that nobody will write to again.
///
/// Segments and rolled days are written under another name, synced, and only then given the name under which they are
/// mapped; this process never writes to, truncates or replaces them afterwards, only unlinks them, which leaves the map
/// whole; and the data directory's lock keeps a second fournines out. Foreign processes that write into the data
/// directory are outside of what can be kept up, as for every store that maps its files.
pub(crate) fn map(file: &File) -> Result<Bytes> {
    // SAFETY: a map is undefined behaviour if its file changes underneath, which the above rules out.
    let map = unsafe { Mmap::map(file) }?;
    Ok(Bytes::from_owner(map))
}
