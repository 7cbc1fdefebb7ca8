//! Everything that reads bytes from a disk, for fuzzing: given any bytes it answers or refuses, and does not panic.
//!
//! A fuzzer does not find checksums; so bytes are tried as they are, and once more in an envelope whose checksum is
//! right, as a bug or an attacker would write them. `fuzz/` has a target for each function.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::base::options::PAGE_ROWS_MAX;
use crate::base::value::FieldType;
use crate::catalog::change::Change;
use crate::catalog::registry::Catalog;
use crate::codec::{self, Stored};
use crate::files::aligned::aligned;
use crate::files::block::{self, FILE_HEADER_BYTES, Found, HEADER_BYTES, Kind};
use crate::log::manifest::Manifest;
use crate::log::wal;
use crate::segment::file as segment;

/// Logs: of frames and deletions, and of the catalogue's changes.
pub fn log(bytes: &[u8]) {
    let kinds = [Kind::Frame, Kind::Samples, Kind::Deletion, Kind::Catalog];
    for found in block::scan(bytes, FILE_HEADER_BYTES, &kinds) {
        if let Found::Block { kind, offset, length } = found {
            block_of_log(kind, &bytes[offset..offset + length]);
        }
    }
    kinds.into_iter().for_each(|kind| block_of_log(kind, &block::wrap(bytes, kind)));
}

fn block_of_log(kind: Kind, block: &[u8]) {
    if kind == Kind::Catalog {
        let catalog = Catalog::new();
        let _ = Change::decode_all(&block[HEADER_BYTES..], |change| catalog.replay(change));
        return;
    }
    let block = aligned::<()>(block.len(), |to| {
        to.copy_from_slice(block);
        Ok(())
    });
    let _ = wal::entry(kind, block.expect("nothing fails"));
}

/// The ends of a segment's file.
pub fn segment(bytes: &[u8]) {
    let file = Bytes::copy_from_slice(bytes);
    let _ = segment::read_index(&file);
    let _ = segment::search_index(&file);
    for kind in segment::INDEX_KINDS {
        let _ = segment::open_index(&block::wrap(bytes, kind).into());
    }
}

/// The manifest.
pub fn manifest(bytes: &[u8]) {
    let _ = Manifest::decode(bytes);
    let _ = Manifest::decode(&Manifest::file(bytes));
}

/// The chunks of a page. The first two bytes say how many rows it has.
pub fn page(bytes: &[u8]) {
    let Some((rows, rest)) = bytes.split_first_chunk() else { return };
    let rows = 1 + usize::from(u16::from_le_bytes(*rows)) % PAGE_ROWS_MAX;
    let chunk = [&xxh3_64(rest).to_le_bytes()[..], rest].concat();
    let block = block::wrap(rest, Kind::Chunk);
    for stored in [Stored::Current(rest), Stored::Current(&chunk), Stored::Version1(&block)] {
        let _ = codec::decode_series(stored, rows);
        let _ = codec::decode_times(stored, rows);
        for kind in FieldType::ALL {
            let _ = codec::decode_field(stored, rows, std::slice::from_ref(&(0..rows)), kind);
            let _ = codec::decode_field(stored, rows, &[0..rows / 5, rows / 3..rows / 2], kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120),
            small in proptest::collection::vec(0u8..12, 0..200),
            (rows, codec, flag) in (0u8..70, 0u8..12, 0u8..2),
        ) {
            // Half of what is read as a chunk has a codec that there is, and is short.
            page(&[&[rows, 0, codec, flag], &bytes[..]].concat());
            page(&[&[rows, 0, codec, flag], &small[..]].concat());
            for bytes in [&bytes, &small, &[&small[..], &bytes].concat()] {
                log(bytes);
                segment(bytes);
                manifest(bytes);
                page(bytes);
            }
        }
    }
}
