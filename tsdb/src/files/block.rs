//! The one envelope of everything the store writes: a header of 16 bytes with a checksum, then a payload.
//!
//! ```text
//!  0  u64  XXH3-64 of bytes 8..length
//!  8  u32  magic: what kind of block
//! 12  u32  length in bytes, this header included
//! 16  ...  payload, padded with zeros to a multiple of 8
//! ```
//!
//! All numbers are little-endian. A file starts with a [`FileHeader`], then come blocks. Blocks start at multiples of
//! 8, so that a frame read into aligned memory can be viewed as numbers without a copy, and so that a reader which
//! meets a damaged block can look for the next good one.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::base::error::Error;

/// Bytes of a block before its payload.
pub(crate) const HEADER_BYTES: usize = 16;
/// Bytes of a file before its first block.
pub(crate) const FILE_HEADER_BYTES: usize = 16;
/// The version of every file format, written into each file's header.
pub(crate) const FORMAT_VERSION: u32 = 8;

#[cfg(target_endian = "big")]
compile_error!("the files are little-endian and viewed in place: a big-endian build needs conversions first");

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Frame = u32::from_le_bytes(*b"FRAM"),
    Samples = u32::from_le_bytes(*b"SMPL"),
    /// The start of what one group commit writes to a log.
    Group = u32::from_le_bytes(*b"GRUP"),
    Catalog = u32::from_le_bytes(*b"CATA"),
    Manifest = u32::from_le_bytes(*b"MANI"),
    /// The index of a segment of version 1, which does not know days and deletions.
    SegmentIndex1 = u32::from_le_bytes(*b"SIDX"),
    SegmentIndex = u32::from_le_bytes(*b"SID2"),
    Chunk = u32::from_le_bytes(*b"CHNK"),
    Deletion = u32::from_le_bytes(*b"DELE"),
    RollupIndex = u32::from_le_bytes(*b"RIDX"),
    Closed = u32::from_le_bytes(*b"CLOS"),
    Damage = u32::from_le_bytes(*b"DAMG"),
}

/// Why bytes are not the block that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlockError {
    #[error("{got} bytes are left, a block of {expected} was expected")]
    Short { got: usize, expected: usize },
    #[error("magic is {got:#010x}, expected {expected:#010x}")]
    Magic { got: u32, expected: u32 },
    #[error("checksum is {got:#018x}, expected {expected:#018x}")]
    Checksum { got: u64, expected: u64 },
}

/// The length that a block of `length` bytes takes in a file.
pub(crate) fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// Fills in the header of `block`, whose first 16 bytes are the header's place.
pub(crate) fn finish(block: &mut [u8], kind: Kind) {
    let length = u32::try_from(block.len()).expect("a block is far smaller than 4 GiB");
    block[8..12].copy_from_slice(&(kind as u32).to_le_bytes());
    block[12..16].copy_from_slice(&length.to_le_bytes());
    let checksum = xxh3_64(&block[8..]);
    block[..8].copy_from_slice(&checksum.to_le_bytes());
}

/// A new block around `payload`, padded.
pub(crate) fn wrap(payload: &[u8], kind: Kind) -> Vec<u8> {
    let length = HEADER_BYTES + payload.len();
    let mut block = Vec::with_capacity(padded(length));
    block.resize(HEADER_BYTES, 0);
    block.extend_from_slice(payload);
    finish(&mut block, kind);
    block.resize(padded(length), 0);
    block
}

/// The block at the start of `bytes`: its whole extent with header, checked, without padding.
pub(crate) fn open(bytes: &[u8], kind: Kind) -> Result<&[u8], BlockError> {
    let short = |expected| BlockError::Short { got: bytes.len(), expected };
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(short(HEADER_BYTES))?;
    let magic = u32_at(header, 8);
    if magic != kind as u32 {
        return Err(BlockError::Magic { got: magic, expected: kind as u32 });
    }
    let length = u32_at(header, 12) as usize;
    if length < HEADER_BYTES || length > bytes.len() {
        return Err(short(length.max(HEADER_BYTES)));
    }
    let (got, expected) = (xxh3_64(&bytes[8..length]), u64_at(header, 0));
    if got != expected {
        return Err(BlockError::Checksum { got, expected });
    }
    Ok(&bytes[..length])
}

/// As [`open`], for a block of any of these kinds.
pub(crate) fn open_any<'a>(bytes: &'a [u8], kinds: &[Kind]) -> Result<(Kind, &'a [u8]), BlockError> {
    let is_this = |kind: &&Kind| bytes.get(8..12).is_some_and(|magic| u32_at(magic, 0) == **kind as u32);
    let kind = *kinds.iter().find(is_this).unwrap_or(&kinds[0]);
    open(bytes, kind).map(|block| (kind, block))
}

/// What [`scan`] met in a file of blocks.
pub(crate) enum Found {
    /// A good block of so many bytes (without padding) at this offset.
    Block { kind: Kind, offset: usize, length: usize },
    /// Bytes that are no good block, with a good one behind them.
    Damage { offset: usize, length: usize, reason: BlockError },
    /// No good block from here to the end: what a write that a crash cut short leaves behind.
    Tail { offset: usize, length: usize, reason: BlockError },
}

/// Walks the blocks of a file's bytes from `start`, over damage to the next good block.
pub(crate) fn scan<'a>(bytes: &'a [u8], start: usize, kinds: &'a [Kind]) -> impl Iterator<Item = Found> + 'a {
    let mut offset = start;
    std::iter::from_fn(move || {
        if offset >= bytes.len() {
            return None;
        }
        let begin = offset;
        match open_any(&bytes[begin..], kinds) {
            Ok((kind, block)) => {
                offset = begin + padded(block.len());
                Some(Found::Block { kind, offset: begin, length: block.len() })
            }
            Err(reason) => {
                let next = (begin + 8..bytes.len()).step_by(8).find(|at| open_any(&bytes[*at..], kinds).is_ok());
                offset = next.unwrap_or(bytes.len());
                let length = offset - begin;
                Some(match next {
                    Some(_) => Found::Damage { offset: begin, length, reason },
                    None => Found::Tail { offset: begin, length, reason },
                })
            }
        }
    })
}

/// The first bytes of a file: which kind of file it is, and the version of its format.
///
/// ```text
///  0  8 bytes  which kind of file
///  8  u32      format version
/// 12  u32      the lower half of XXH3-64 of bytes 0..12; 0 in version 1
/// ```
pub(crate) struct FileHeader(pub [u8; 8]);

/// What is wrong with a file's header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// The blocks behind it may be good all the same: each has its own checksum.
    #[error("the file header is damaged: {found}, expected {expected}")]
    Damaged { found: String, expected: String },
    #[error("format version {version}; this build reads versions 1 to {FORMAT_VERSION}")]
    Newer { version: u32 },
}

impl FileHeader {
    pub(crate) const LOG: FileHeader = FileHeader(*b"49NLOG\0\0");
    pub(crate) const CATALOG: FileHeader = FileHeader(*b"49NCAT\0\0");
    pub(crate) const SEGMENT: FileHeader = FileHeader(*b"49NSEG\0\0");
    pub(crate) const MANIFEST: FileHeader = FileHeader(*b"49NMAN\0\0");
    pub(crate) const CLOSED: FileHeader = FileHeader(*b"49NCLS\0\0");
    pub(crate) const DAMAGE: FileHeader = FileHeader(*b"49NDMG\0\0");
    pub(crate) const ROLLUP: FileHeader = FileHeader(*b"49NRUP\0\0");

    pub(crate) fn bytes(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut header = [0; FILE_HEADER_BYTES];
        header[..8].copy_from_slice(&self.0);
        header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        let checksum = xxh3_64(&header[..12]) as u32;
        header[12..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// What is wrong with the header of a file if the blocks behind it may be good all the same.
    ///
    /// # Errors
    ///
    /// The file is of a newer version.
    pub(crate) fn damage(&self, file: &[u8], path: &Path) -> Result<Option<Error>, Error> {
        match self.check(file) {
            Ok(()) => Ok(None),
            Err(error @ HeaderError::Damaged { .. }) => Ok(Some(Error::corrupt(path, 0, error.to_string()))),
            Err(HeaderError::Newer { version }) => {
                Err(Error::Newer { path: path.to_owned(), version, newest: FORMAT_VERSION })
            }
        }
    }

    /// Says what is wrong with a file that does not start with this header.
    pub(crate) fn check(&self, file: &[u8]) -> Result<(), HeaderError> {
        let start = &file[..file.len().min(FILE_HEADER_BYTES)];
        let damaged = || HeaderError::Damaged {
            found: start.escape_ascii().to_string(),
            expected: self.bytes().escape_ascii().to_string(),
        };
        let header =
            file.first_chunk::<FILE_HEADER_BYTES>().filter(|header| header[..8] == self.0).ok_or_else(damaged)?;
        let (version, checksum) = (u32_at(header, 8), u32_at(header, 12));
        match version {
            1 if checksum == 0 => Ok(()),
            _ if checksum != xxh3_64(&header[..12]) as u32 => Err(damaged()),
            1..=FORMAT_VERSION => Ok(()),
            _ => Err(HeaderError::Newer { version }),
        }
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let block = wrap(b"some payload", Kind::Catalog);
        assert_eq!(&open(&block, Kind::Catalog).unwrap()[HEADER_BYTES..], b"some payload");
        for bit in 0..(HEADER_BYTES + 12) * 8 {
            let mut bad = block.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bad, Kind::Catalog).is_err(), "bit {bit} flipped unnoticed");
        }
    }

    #[test]
    fn a_scan_steps_over_damage_and_tells_it_from_a_torn_tail() {
        let mut file = Vec::new();
        for payload in [&b"one"[..], b"two, the damaged", b"three"] {
            file.extend(wrap(payload, Kind::Catalog));
        }
        file[24 + 20] ^= 1;
        let torn = wrap(b"cut short", Kind::Catalog);
        file.extend(&torn[..torn.len() - 8]);
        let seen: Vec<_> = scan(&file, 0, &[Kind::Catalog])
            .map(|found| match found {
                Found::Block { .. } => "block",
                Found::Damage { .. } => "damage",
                Found::Tail { .. } => "tail",
            })
            .collect();
        assert_eq!(seen, ["block", "damage", "block", "tail"]);
    }
}
