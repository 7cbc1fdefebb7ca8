//! Integers entropy-coded: residuals as tokens, the tokens with as many bits as their frequency deserves.
//!
//! ```text
//! the header of the residuals, the frequencies of the tokens: u8 table log, u8 the last token, the frequency of each as
//! LEB128 (their sum is 2^log; behind a 0 stands how many tokens in a row have it),
//! LEB128 bytes of the extra bits, the extra bits, lowest first,
//! of each part: LEB128 bits of its tokens; of each but the first also LEB128 bits of the extra bits of the part before
//! if there are any at all, and what came before its first residual,
//! the tokens, part by part, each read from its end, where its two states are
//! ```
//!
//! A residual below 16 is a token of its own; a larger one is the token of its highest three bits, and the bits below
//! them follow as extra bits. Compaction uses it: wandering counters come within one percent of the entropy of their
//! differences.
//!
//! Parts of the integers are coded one beside the other: a processor reads up to [`AT_ONCE`] of them at a time, and who
//! wants a few rows reads the part that has them.

use std::ops::Range;

use super::bit_string::{BitReader, BitWriter};
use super::leb128::{self, unzigzag};
use super::residuals::{self, Before, Header, Order, Residuals};
use super::tans::{Decoder, Encoder, Frequencies, GROUP, Stream, TOKENS};
use super::wanted::Wanted;

/// Residuals that are tokens of their own.
const SMALL: u64 = 16;
/// The most parts of a chunk.
const PARTS_MAX: usize = 8;
/// The most that are read at a time.
const AT_ONCE: usize = 4;
const PARTED_MIN: usize = 1024;
/// Tokens of a part that are read before they are restored.
const BLOCK: usize = 64;
/// States of a part, which take turns.
const LANES: usize = 2;

/// The token of a residual, how many extra bits it has, and these.
fn token(value: u64) -> (u8, u32, u64) {
    if value < SMALL {
        return (value as u8, 0, 0);
    }
    let high = value.ilog2();
    let token = SMALL as u32 + (high - 4) * 4 + (value >> (high - 2) & 3) as u32;
    (token as u8, high - 2, value & ((1 << (high - 2)) - 1))
}

/// What a token stands for: the residual without its extra bits, and how many those are.
fn meaning(token: u8) -> (u64, u32) {
    if u64::from(token) < SMALL {
        return (u64::from(token), 0);
    }
    let above = u32::from(token) - SMALL as u32;
    let high = above / 4 + 4;
    ((4 | u64::from(above & 3)) << (high - 2), high - 2)
}

/// How many integers a part has; the last one has what is left.
fn part_len(count: usize) -> usize {
    let parts = match count {
        ..PARTED_MIN => return count,
        PARTED_MIN..=8192 => 4,
        // Up to format version 5 no page was so long.
        _ => PARTS_MAX,
    };
    count.div_ceil(parts).next_multiple_of(GROUP)
}

/// Writes integers with a guess of this order.
pub(super) fn encode(integers: &[i64], order: Order, out: &mut Vec<u8>) {
    let residuals = Residuals::centred(integers, order);
    residuals.header.write(out);
    let part_len = part_len(integers.len());
    let mut extra = BitWriter::default();
    let mut extra_ends = Vec::with_capacity(PARTS_MAX);
    let mut tokens = Vec::with_capacity(integers.len());
    for part in residuals.values.chunks(part_len) {
        for value in part {
            let (token, count, bits) = token(*value);
            extra.put_wide(bits, count);
            tokens.push(token);
        }
        extra_ends.push(extra.len());
    }
    let extra = extra.finish();
    let frequencies = Frequencies::of(&tokens);
    frequencies.write(out);
    leb128::write(extra.len() as u64, out);
    out.extend(&extra);

    let encoder = Encoder::new(frequencies);
    let mut bits = BitWriter::default();
    let (mut end, mut extra_end) = (0, 0);
    for (part, tokens) in tokens.chunks(part_len).enumerate() {
        encoder.write::<LANES>(tokens, &mut bits);
        leb128::write(bits.len() - std::mem::replace(&mut end, bits.len()), out);
        if part > 0 {
            let before = extra_ends[part - 1];
            if !extra.is_empty() {
                leb128::write(before - std::mem::replace(&mut extra_end, before), out);
            }
            residuals.header.write_before(integers, part * part_len, out);
        }
    }
    out.extend(bits.finish());
}

/// A part of a chunk.
#[derive(Debug)]
struct Part {
    /// Its place among the integers.
    place: Range<usize>,
    /// The bit of the input behind its tokens.
    end: usize,
    /// The first of its extra bits.
    extra_at: usize,
    before: Before,
}

/// A chunk, taken apart.
struct Chunk<'a> {
    header: Header,
    decoder: Decoder,
    extra: &'a [u8],
    parts: Vec<Part>,
    input: &'a [u8],
}

impl<'a> Chunk<'a> {
    #[inline(always)]
    fn open(input: &'a [u8], count: usize) -> Result<Chunk<'a>, String> {
        let (header, mut bytes) = residuals::read_header(input)?;
        let decoder = Decoder::new(&Frequencies::read(&mut bytes)?);
        let (extra, mut bytes) = split_extra(bytes)?;
        let (mut parts, mut bits, mut extra_at) = (Vec::with_capacity(PARTS_MAX), 0u64, 0u64);
        let part_len = part_len(count);
        for first in (0..count).step_by(part_len.max(1)) {
            bits = bits.saturating_add(leb128::read(&mut bytes)?);
            let mut before = header.before_all();
            if first > 0 {
                if !extra.is_empty() {
                    extra_at = extra_at.saturating_add(leb128::read(&mut bytes)?);
                }
                before = header.read_before(&mut bytes)?;
            }
            let place = first..(first + part_len).min(count);
            parts.push(Part { place, end: bits as usize, extra_at: extra_at as usize, before });
        }
        if bits.div_ceil(8) > bytes.len() as u64 || extra_at.div_ceil(8) > extra.len() as u64 {
            return Err(CUT.into());
        }
        let tokens_at = (input.len() - bytes.len()) * 8;
        parts.iter_mut().for_each(|part| part.end += tokens_at);
        Ok(Chunk { header, decoder, extra, parts, input })
    }

    #[inline(always)]
    fn stream(&self, part: &Part) -> Stream<'a, LANES> {
        self.decoder.stream(self.input, part.end)
    }

    /// Some parts at a time: what one waits for, the others fill in.
    #[inline(always)]
    fn decode_parts<const N: usize>(&self, parts: [&Part; N], wanted: &Range<usize>, integers: &mut [i64]) {
        let lengths = parts.map(|part| part.place.end.min(wanted.end) - part.place.start);
        let longest = lengths.into_iter().max().unwrap_or_default();
        let mut streams = parts.map(|part| self.stream(part));
        let mut befores = parts.map(|part| part.before);
        let mut extras = parts.map(|part| BitReader { bytes: self.extra, at: part.extra_at });
        let mut tokens = [[[0; GROUP]; BLOCK / GROUP]; N];
        for block in (0..longest).step_by(BLOCK) {
            for at in 0..BLOCK / GROUP {
                for (stream, tokens) in streams.iter_mut().zip(&mut tokens) {
                    tokens[at] = stream.group(&self.decoder);
                }
            }
            for at in (0..N).filter(|at| block < lengths[*at]) {
                let first = parts[at].place.start + block;
                let end = first + BLOCK.min(lengths[at] - block);
                let values = Values { tokens: &tokens[at].as_flattened()[..end - first], extra: &mut extras[at] };
                if wanted.start <= first {
                    let out = &mut integers[first - wanted.start..end - wanted.start];
                    self.restore(&mut befores[at], values, out);
                } else {
                    let mut all = [0; BLOCK];
                    self.restore(&mut befores[at], values, &mut all[..end - first]);
                    let skipped = wanted.start.min(end) - first;
                    integers[..end - first - skipped].copy_from_slice(&all[skipped..end - first]);
                }
            }
        }
    }

    /// The integers of some tokens of a part.
    #[inline(always)]
    fn restore(&self, before: &mut Before, values: Values<'_, '_>, out: &mut [i64]) {
        if self.header.is_delta() {
            return values.sum_up(&mut before.last, out);
        }
        self.header.restore(before, values, out);
    }
}

const CUT: &str = "the tokens are cut off";

/// The extra bits at the start of `bytes`, and what is behind them.
fn split_extra(mut bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let length = leb128::read(&mut bytes)?;
    bytes.split_at_checked(length as usize).ok_or_else(|| CUT.into())
}

/// The integers `wanted` of so many.
#[allow(unsafe_code)]
pub(super) fn decode(input: &[u8], count: usize, wanted: &Wanted) -> Result<Vec<i64>, String> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("lzcnt") && is_x86_feature_detected!("avx2") {
        // SAFETY: the processor was just asked whether it has these instructions; there is no other condition.
        return unsafe { decode_by_bmi2(input, count, wanted) };
    }
    decode_anywhere(input, count, wanted)
}

/// The same code, with shifts by a variable and logarithms that take one step and not several.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi2,lzcnt,avx2")]
fn decode_by_bmi2(input: &[u8], count: usize, wanted: &Wanted) -> Result<Vec<i64>, String> {
    decode_anywhere(input, count, wanted)
}

#[inline(always)]
fn decode_anywhere(input: &[u8], count: usize, wanted: &Wanted) -> Result<Vec<i64>, String> {
    let chunk = Chunk::open(input, count)?;
    let reach = &wanted.reach;
    let mut integers = vec![0; reach.len()];
    let parts: Vec<&Part> = chunk.parts.iter().filter(|part| wanted.meets(&part.place)).collect();
    let rounds = parts.len().div_ceil(AT_ONCE).max(1);
    for parts in parts.chunks(parts.len().div_ceil(rounds).max(1)) {
        match *parts {
            [a, b, c, d] => chunk.decode_parts([a, b, c, d], reach, &mut integers),
            [a, b, c] => chunk.decode_parts([a, b, c], reach, &mut integers),
            [a, b] => chunk.decode_parts([a, b], reach, &mut integers),
            _ => parts.iter().for_each(|part| chunk.decode_parts([part], reach, &mut integers)),
        }
    }
    Ok(integers)
}

/// The first `wanted` integers of a chunk as format version 2 has it: no parts; groups of tokens in turn from two
/// streams of four states, of which behind the extra bits stand the LEB128 bits, and each of which starts with a byte.
pub(super) fn decode_version_2(input: &[u8], wanted: usize) -> Result<Vec<i64>, String> {
    let (header, mut bytes) = residuals::read_header(input)?;
    let decoder = Decoder::new(&Frequencies::read(&mut bytes)?);
    let (extra, mut bytes) = split_extra(bytes)?;
    let bits = [leb128::read(&mut bytes)?, leb128::read(&mut bytes)?].map(|bits| bits.min(1 << 40) as usize);
    let second = bits[0].div_ceil(8);
    if second + bits[1].div_ceil(8) > bytes.len() {
        return Err(CUT.into());
    }
    let mut streams: [Stream<'_, 4>; 2] = [bits[0], second * 8 + bits[1]].map(|end| decoder.stream(bytes, end));
    let groups = wanted.div_ceil(GROUP);
    let tokens: Vec<_> = (0..groups).map(|group| streams[group % 2].group(&decoder)).collect();
    let mut integers = vec![0; wanted];
    let values = Values { tokens: &tokens.as_flattened()[..wanted], extra: &mut BitReader { bytes: extra, at: 0 } };
    header.restore(&mut header.before_all(), values, &mut integers);
    Ok(integers)
}

/// The residuals that tokens and extra bits stand for.
struct Values<'a, 'b> {
    tokens: &'a [u8],
    extra: &'a mut BitReader<'b>,
}

impl Values<'_, '_> {
    #[inline(always)]
    fn value(&mut self, token: u8) -> u64 {
        let (base, count) = meaning(token);
        base | self.extra.take_wide(count)
    }
}

/// Bytes that are all the same.
const fn bytes(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Of which no token is small that has one of these bits.
const LARGE: u64 = bytes(!(SMALL as u8 - 1));

/// The sums of the first one, two, ... of eight differences, which are the zigzag numbers of small tokens; and that of
/// all eight once more, apart, as the next eight wait for it and need not wait for where the others go.
///
/// All in one word: a product with eight ones adds up what is before each byte. Eight are added to each, so that none
/// is negative and no sum (120 at the most) reaches into the next byte, and taken away again at the end.
#[inline(always)]
fn prefix_sums(tokens: u64) -> ([i8; 8], i64) {
    const BIAS: u8 = SMALL as u8 / 2;
    const BIASES: [u8; 8] = [BIAS, BIAS * 2, BIAS * 3, BIAS * 4, BIAS * 5, BIAS * 6, BIAS * 7, BIAS * 8];
    let (halves, is_odd) = (tokens >> 1 & bytes(BIAS - 1), tokens & bytes(1));
    // An odd token is negative: -1 - its half, which is all bits of its half turned.
    let signed = halves ^ ((is_odd << 4) - is_odd);
    let differences = (signed + bytes(BIAS)) & bytes(2 * BIAS - 1);
    let biased = differences.wrapping_mul(bytes(1));
    let all = (biased >> 56) as i64 - i64::from(BIASES[7]);
    let biased = biased.to_le_bytes();
    (std::array::from_fn(|at| biased[at].wrapping_sub(BIASES[at]).cast_signed()), all)
}

impl Values<'_, '_> {
    /// The integers that differ by these values from one to the next, behind `last`.
    #[inline(always)]
    fn sum_up(mut self, before: &mut i64, out: &mut [i64]) {
        let mut last = *before;
        let (groups, rest) = self.tokens.as_chunks::<8>();
        let (places, behind) = out.as_chunks_mut::<8>();
        for (group, places) in groups.iter().zip(places) {
            let tokens = u64::from_le_bytes(*group);
            if tokens & LARGE == 0 {
                let (sums, all) = prefix_sums(tokens);
                *places = std::array::from_fn(|at| last.wrapping_add(i64::from(sums[at])));
                last = last.wrapping_add(all);
            } else {
                for (token, place) in group.iter().zip(places) {
                    last = last.wrapping_add(unzigzag(self.value(*token)));
                    *place = last;
                }
            }
        }
        for (token, place) in rest.iter().zip(behind) {
            last = last.wrapping_add(unzigzag(self.value(*token)));
            *place = last;
        }
        *before = last;
    }
}

impl Iterator for Values<'_, '_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let (token, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(self.value(*token))
    }

    /// Eight at a time where none has extra bits, as is the rule.
    #[inline(always)]
    fn fold<B, F: FnMut(B, u64) -> B>(mut self, init: B, mut take: F) -> B {
        let (groups, rest) = self.tokens.as_chunks::<8>();
        let mut all = init;
        for group in groups {
            if u64::from_le_bytes(*group) & LARGE == 0 {
                all = group.iter().fold(all, |all, token| take(all, u64::from(*token)));
            } else {
                all = group.iter().fold(all, |all, token| take(all, self.value(*token)));
            }
        }
        rest.iter().fold(all, |all, token| take(all, self.value(*token)))
    }
}

/// The order with which a sample has the least entropy.
pub(super) fn best_order(sample: &[i64]) -> Order {
    let cost = |order: &Order| {
        let residuals = Residuals::centred(sample, *order);
        let mut counts = [0u32; TOKENS];
        let mut bits = 0.0;
        for value in &residuals.values {
            let (token, extra, _) = token(*value);
            counts[usize::from(token)] += 1;
            bits += f64::from(extra);
        }
        let all = residuals.values.len() as f64;
        let share = |count: &u32| f64::from(*count) * (all / f64::from(*count)).log2();
        bits + counts.iter().filter(|count| **count > 0).map(share).sum::<f64>()
    };
    Order::ALL.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("there are orders")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_mean_what_they_were_made_of() {
        for value in
            (0..5000).chain((0..64).flat_map(|bit| [(1u64 << bit) - 1, 1 << bit, (1 << bit) + 1])).chain([u64::MAX])
        {
            let (token, count, extra) = token(value);
            assert!(usize::from(token) < TOKENS);
            let (base, bits) = meaning(token);
            assert_eq!((base | extra, bits), (value, count), "{value}");
        }
    }

    #[test]
    fn sums_of_eight_are_those_one_by_one() {
        let mut random = fastrand::Rng::with_seed(7);
        let edges = [[0u8; 8], [1; 8], [15; 8], [14; 8], [15, 14, 15, 14, 15, 14, 15, 14]];
        for tokens in edges.into_iter().chain((0..10_000).map(|_| std::array::from_fn(|_| random.u8(..16)))) {
            let mut sum = 0;
            let expected = tokens.map(|token| {
                sum += unzigzag(u64::from(token));
                sum as i8
            });
            let all = i64::from(expected[7]);
            assert_eq!(prefix_sums(u64::from_le_bytes(tokens)), (expected, all), "{tokens:?}");
        }
    }

    /// Integers of which some have extra bits.
    fn integers(count: Range<usize>) -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(prop_oneof![40 => -8i64..8, 4 => -2000i64..2000, 1 => any::<i64>()], count)
    }

    proptest! {
        #[test]
        fn integers_come_back(
            integers in prop_oneof![integers(1..40), integers(PARTED_MIN - 20..PARTED_MIN + 40), integers(2000..3000), integers(8100..8700)],
            ends: [prop::sample::Index; 2],
        ) {
            let [a, b] = ends.map(|end| end.index(integers.len() + 1));
            let part = a.min(b)..a.max(b);
            for order in Order::ALL {
                let mut bytes = Vec::new();
                encode(&integers, order, &mut bytes);
                prop_assert_eq!(&decode(&bytes, integers.len(), &Wanted::all(0..integers.len())).unwrap(), &integers);
                prop_assert_eq!(&decode(&bytes, integers.len(), &Wanted::all(part.clone())).unwrap(), &integers[part.clone()]);
            }
        }

        #[test]
        fn any_bytes_decode_or_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), rows in 1usize..9000) {
            let all = |bytes: &[u8]| {
                let [whole, half] = [0..rows, rows / 2..rows].map(Wanted::all);
                let _ = (decode(bytes, rows, &whole), decode(bytes, rows, &half), decode_version_2(bytes, rows));
            };
            all(&bytes);
            // The same with a sound table, so that the states and the bits are what is wrong.
            bytes.splice(0..0, [0u8; 2].into_iter().chain([5, 1, 16, 16]));
            all(&bytes);
        }
    }
}
