//! A file mapped into memory, read-only. The one place in this crate that needs `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{IoContext, Result};

/// The bytes of a sealed file.
#[derive(Debug)]
pub(crate) struct Map(Mmap);

impl Map {
    /// Maps a file that nobody will write to again.
    pub(crate) fn open(path: &Path) -> Result<Map> {
        let file = File::open(path).on("open", path)?;
        // SAFETY: a map is undefined behaviour if its file changes underneath. Segments are written under another
        // name, synced, and only then given the name under which they are mapped; this process never writes to,
        // truncates or replaces them afterwards, only unlinks them, which leaves the map whole; and the data
        // directory's lock keeps a second fournines out. Foreign processes that write into the data directory are
        // outside of what can be kept up, as for every store that maps its files.
        let map = unsafe { Mmap::map(&file) }.on("map", path)?;
        Ok(Map(map))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
