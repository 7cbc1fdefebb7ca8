//! Integers bit-packed: residuals in blocks of 64, each block with as many bits as its largest one needs.
//!
//! ```text
//! the header of the residuals,
//! u8 width of each block of 64, then for each block `width` little-endian u64: value i has bits i*width..
//! ```
//!
//! Frame of reference and its patched kin: Zukowski et al., Super-Scalar RAM-CPU Cache Compression, ICDE 2006; the
//! widths per block are those of Lemire and Boytsov, Decoding billions of integers per second, 2015. Sealing uses it:
//! it is written and read faster than anything that models the values' distribution.

use std::ops::Range;

use super::residuals::{self, Order, Residuals};

/// Values in a block.
const BLOCK: usize = 64;

/// Bytes that [`encode`] would write.
pub(super) fn size(residuals: &[u64]) -> usize {
    17 + residuals.chunks(BLOCK).map(|block| 1 + width(block) * 8).sum::<usize>()
}

pub(super) fn encode(integers: &Residuals, out: &mut Vec<u8>) {
    integers.header.write(out);
    let blocks = || integers.values.chunks(BLOCK);
    out.extend(blocks().map(|block| width(block) as u8));
    for block in blocks() {
        let width = width(block);
        let mut words = [0u64; BLOCK];
        for (at, value) in block.iter().enumerate().filter(|_| width > 0) {
            let bit = at * width;
            words[bit / 64] |= value << (bit % 64);
            if bit % 64 + width > 64 {
                words[bit / 64 + 1] |= value >> (64 - bit % 64);
            }
        }
        words[..width].iter().for_each(|word| out.extend(word.to_le_bytes()));
    }
}

/// The integers `wanted` of so many.
pub(super) fn decode(bytes: &[u8], count: usize, wanted: Range<usize>) -> Result<Vec<i64>, String> {
    let (header, bytes) = residuals::read_header(bytes)?;
    let (widths, bytes) = bytes.split_at_checked(count.div_ceil(BLOCK)).ok_or("the widths are cut off")?;
    let bytes_of = |widths: &[u8]| widths.iter().map(|width| usize::from(*width) * 8).sum::<usize>();
    if widths.iter().any(|width| *width > 64) || bytes.len() < bytes_of(widths) {
        return Err("the packed values are cut off".into());
    }
    // Only distances from one reference say something without those before.
    let first_block = if header.stand_alone() { wanted.start / BLOCK } else { 0 };
    let first = first_block * BLOCK;
    let mut values = vec![0u64; (wanted.end - first).next_multiple_of(BLOCK)];
    let mut at = bytes_of(&widths[..first_block]);
    for (width, block) in widths[first_block..].iter().zip(values.as_chunks_mut::<BLOCK>().0) {
        let width = usize::from(*width);
        let (packed, _) = bytes[at..at + width * 8].as_chunks::<8>();
        unpack(width, packed, block);
        at += width * 8;
    }
    let mut integers = vec![0; wanted.end - first];
    header.restore(&mut header.before_all(), values[..integers.len()].iter().copied(), &mut integers);
    integers.drain(..wanted.start - first);
    Ok(integers)
}

fn width(block: &[u64]) -> usize {
    64 - block.iter().fold(0, |all, value| all | value).leading_zeros() as usize
}

/// Unpacks a block with the width known when this is compiled: the shifts become constants.
fn unpack(width: usize, packed: &[[u8; 8]], block: &mut [u64; BLOCK]) {
    macro_rules! widths {
        ($($width:literal)*) => {
            match width {
                0 => *block = [0; BLOCK],
                $($width => unpack_width::<$width>(packed.try_into().expect("as many words as the width"), block),)*
                _ => unreachable!("widths are checked"),
            }
        };
    }
    widths!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64);
}

#[inline]
fn unpack_width<const WIDTH: usize>(packed: &[[u8; 8]; WIDTH], block: &mut [u64; BLOCK]) {
    let words = packed.map(u64::from_le_bytes);
    let mask = u64::MAX >> (64 - WIDTH);
    for (at, value) in block.iter_mut().enumerate() {
        let (word, shift) = (at * WIDTH / 64, at * WIDTH % 64);
        let low = words[word] >> shift;
        let high = if shift + WIDTH > 64 { words[word + 1] << (64 - shift) } else { 0 };
        *value = (low | high) & mask;
    }
}

/// The order with which a sample packs into the fewest bytes.
pub(super) fn best_order(sample: &[i64]) -> Order {
    let cost = |order: &Order| size(&Residuals::new(sample, *order).values);
    Order::ALL.into_iter().min_by_key(cost).expect("there are orders")
}
