//! Strings of bits, the lowest of a byte first.

use crate::files::block::u64_at;

/// Appends bits.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the lowest `count` (up to 56) bits of a number that has no others.
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        self.pending |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Appends any number of bits.
    pub(super) fn put_wide(&mut self, bits: u64, count: u32) {
        let low = count.min(32);
        self.put(bits & ((1 << low) - 1), low);
        if count > 32 {
            self.put(bits >> 32, count - 32);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64 * 8 + u64::from(self.count)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

/// Reads bits from the first on; behind the last there are zeros.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    pub bytes: &'a [u8],
    /// The next bit.
    pub at: usize,
}

impl BitReader<'_> {
    /// Any number of bits.
    #[inline]
    pub(super) fn take_wide(&mut self, count: u32) -> u64 {
        let low = self.take(count.min(32));
        if count > 32 { low | self.take(count - 32) << 32 } else { low }
    }

    /// Up to 56 bits.
    #[inline]
    fn take(&mut self, count: u32) -> u64 {
        let first = self.at / 8;
        let word = match self.bytes.get(first..first + 8) {
            Some(word) => u64_at(word, 0),
            None => {
                let rest = self.bytes.get(first..).unwrap_or_default();
                rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
            }
        };
        let bits = word >> (self.at % 8) & ((1 << count) - 1);
        self.at += count as usize;
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn bits_come_back(numbers in proptest::collection::vec((proptest::num::u64::ANY, 0u32..=64), 0..40)) {
            let cut = |(number, count): &(u64, u32)| if *count == 64 { *number } else { number & ((1 << count) - 1) };
            let mut writer = BitWriter::default();
            numbers.iter().for_each(|number| writer.put_wide(cut(number), number.1));
            let bytes = writer.finish();
            let mut reader = BitReader { bytes: &bytes, at: 0 };
            for number in &numbers {
                proptest::prop_assert_eq!(reader.take_wide(number.1), cut(number));
            }
        }
    }
}
