//! Integers entropy-coded: residuals as tokens, the tokens with as many bits as their frequency deserves.
//!
//! ```text
//! the header of the residuals, u8 table log, u8 the last token, the frequency of each token as LEB128 (their sum is
//! 2^log; behind a 0 stands how many tokens in a row have it),
//! LEB128 bytes of the extra bits, the extra bits, lowest first,
//! LEB128 bits of two streams of tokens, the two streams, each read from its end, where its four states are
//! ```
//!
//! A residual below 16 is a token of its own; a larger one is the token of its highest three bits, and the bits below
//! them follow as extra bits. The tokens are coded with tabled asymmetric numeral systems (Duda, Asymmetric numeral
//! systems, 2013; the layout of states follows Collet's FSE): four in turn from the one stream, four from the other, each
//! with a state of its own, so that a processor can work on eight tokens at a time. Compaction uses it: wandering counters come within one percent of the entropy of their differences.

use super::leb128;
use super::residuals::{self, Order, Residuals};
use crate::block::u64_at;

/// Residuals that are tokens of their own.
const SMALL: u64 = 16;
/// Tokens there can be: one a small residual, four for each higher power of two.
const TOKENS: usize = SMALL as usize + 4 * 60;
/// States of a stream, which take turns; and streams, which do, too.
const LANES: usize = 4;
const STREAMS: usize = 2;
/// The largest table: 2^10 states, which fit the first cache and are soon filled in. Four tokens need at most 40 bits,
/// which one read of 57 gives.
const LOG_MAX: u32 = 10;
const LOG_MIN: u32 = 5;

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

/// How often each token occurs, scaled so that the sum is a power of two and no token that occurs has zero.
struct Frequencies {
    log: u32,
    scaled: Vec<u32>,
}

impl Frequencies {
    fn of(tokens: &[u8]) -> Frequencies {
        let mut counts = vec![0u32; TOKENS];
        tokens.iter().for_each(|token| counts[usize::from(*token)] += 1);
        let last = counts.iter().rposition(|count| *count > 0).expect("there are tokens");
        counts.truncate(last + 1);
        let distinct = counts.iter().filter(|count| **count > 0).count();
        // Every token needs a state; fewer values than states gain nothing from more.
        let log = (tokens.len().max(2).ilog2()).clamp(LOG_MIN, LOG_MAX).max(distinct.next_power_of_two().ilog2());
        let states = 1u64 << log;
        let scale = |count: &u32| (u64::from(*count) * states / tokens.len() as u64).max(u64::from(*count > 0)) as u32;
        let mut scaled: Vec<u32> = counts.iter().map(scale).collect();
        // What rounding left over goes to the most frequent, where it costs least; what is too much comes from there.
        let mut sum: u64 = scaled.iter().map(|n| u64::from(*n)).sum();
        while sum != states {
            let top = (0..scaled.len()).max_by_key(|token| scaled[*token]).expect("there are tokens");
            let change = if sum < states {
                (states - sum) as i64
            } else {
                -((sum - states).min(u64::from(scaled[top] / 2)) as i64)
            };
            scaled[top] = (i64::from(scaled[top]) + change) as u32;
            sum = (sum as i64 + change) as u64;
        }
        Frequencies { log, scaled }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.log as u8, (self.scaled.len() - 1) as u8]);
        for run in self.scaled.chunk_by(|a, b| *a == 0 && *b == 0) {
            leb128::write(u64::from(run[0]), out);
            if run[0] == 0 {
                leb128::write(run.len() as u64, out);
            }
        }
    }

    fn read(bytes: &[u8]) -> Result<(Frequencies, &[u8]), String> {
        let ([log, last], mut bytes) = bytes.split_first_chunk().ok_or("the frequencies are cut off")?;
        let log = u32::from(*log);
        if !(LOG_MIN..=LOG_MAX).contains(&log) {
            return Err(format!("a table of 2^{log} states"));
        }
        let mut scaled = Vec::with_capacity(usize::from(*last) + 1);
        while scaled.len() <= usize::from(*last) {
            match leb128::read(&mut bytes)? {
                0 => {
                    let zeros = leb128::read(&mut bytes)?.clamp(1, TOKENS as u64) as usize;
                    scaled.resize((scaled.len() + zeros).min(usize::from(*last) + 1), 0);
                }
                frequency => scaled.push(frequency.min(1 << (LOG_MAX + 1)) as u32),
            }
        }
        match scaled.iter().sum::<u32>() == 1 << log {
            true => Ok((Frequencies { log, scaled }, bytes)),
            false => Err(format!("the frequencies do not add up to 2^{log}")),
        }
    }

    /// Gives each state a token, each token as many states as its frequency, spread out; with each comes the number
    /// that the state stands for among those of its token, from the frequency to twice that.
    fn states(&self) -> impl Iterator<Item = (usize, u8, u32)> + use<> {
        let states = 1usize << self.log;
        let step = states / 2 + states / 8 + 3;
        let mut owners = [0u8; 1 << LOG_MAX];
        let mut at = 0;
        for (token, frequency) in self.scaled.iter().enumerate() {
            for _ in 0..*frequency {
                owners[at & (states - 1)] = token as u8;
                at += step;
            }
        }
        let mut next = [0u32; TOKENS];
        next[..self.scaled.len()].copy_from_slice(&self.scaled);
        (0..states).map(move |state| {
            let token = owners[state];
            let number = &mut next[usize::from(token)];
            *number += 1;
            (state, token, *number - 1)
        })
    }
}

/// Bits, the lowest first.
#[derive(Debug, Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl BitWriter {
    /// Appends the lowest `count` (up to 56) bits.
    fn put(&mut self, bits: u64, count: u32) {
        self.pending |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    /// Appends any number of bits.
    fn put_wide(&mut self, bits: u64, count: u32) {
        let low = count.min(32);
        self.put(bits & ((1 << low) - 1), low);
        if count > 32 {
            self.put(bits >> 32, count - 32);
        }
    }

    fn bits(&self) -> u64 {
        self.bytes.len() as u64 * 8 + u64::from(self.count)
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

pub(super) fn encode(integers: &Residuals, out: &mut Vec<u8>) {
    integers.write_header(out);
    let mut extra = BitWriter::default();
    let tokens: Vec<u8> = integers
        .values
        .iter()
        .map(|value| {
            let (token, count, bits) = token(*value);
            extra.put_wide(bits, count);
            token
        })
        .collect();
    let frequencies = Frequencies::of(&tokens);
    frequencies.write(out);
    let extra = extra.finish();
    leb128::write(extra.len() as u64, out);
    out.extend(extra);

    // The state that each number of each token leads to.
    let states = 1u32 << frequencies.log;
    let mut starts: Vec<u32> = Vec::with_capacity(frequencies.scaled.len());
    frequencies.scaled.iter().fold(0, |sum, frequency| {
        starts.push(sum);
        sum + frequency
    });
    let mut next = vec![0u32; states as usize];
    for (state, token, number) in frequencies.states() {
        let token = usize::from(token);
        next[(starts[token] + number - frequencies.scaled[token]) as usize] = states + state as u32;
    }
    // From the last token to the first, so that reading from the end gives them in order.
    let mut streams: [BitWriter; STREAMS] = Default::default();
    let mut lanes = [[states; LANES]; STREAMS];
    for (at, token) in tokens.iter().enumerate().rev() {
        let stream = at / LANES % STREAMS;
        let (state, token) = (&mut lanes[stream][at % LANES], usize::from(*token));
        let frequency = frequencies.scaled[token];
        let mut count = frequencies.log - frequency.ilog2();
        count -= u32::from(*state >> count < frequency);
        streams[stream].put(u64::from(*state & ((1 << count) - 1)), count);
        *state = next[(starts[token] + (*state >> count) - frequency) as usize];
    }
    for (stream, lanes) in streams.iter_mut().zip(lanes) {
        lanes.iter().rev().for_each(|state| stream.put(u64::from(state - states), frequencies.log));
        leb128::write(stream.bits(), out);
    }
    streams.into_iter().for_each(|stream| out.extend(stream.finish()));
}

/// What a state gives: its token, and how to come to the next state.
#[derive(Clone, Copy, Default)]
struct Step {
    base: u16,
    bits: u8,
    token: u8,
}

/// A stream of tokens that is read from its end.
struct Stream<'a> {
    /// What comes before the stream included: at least 8 bytes, so that a whole word can always be read.
    bytes: &'a [u8],
    /// In bits; never below `start`.
    position: usize,
    start: usize,
    lanes: [usize; LANES],
}

impl<'a> Stream<'a> {
    fn new(bytes: &'a [u8], start: usize, bits: usize, log: u32) -> Stream<'a> {
        let mut stream = Stream { bytes, position: start * 8 + bits, start: start * 8, lanes: [0; LANES] };
        let mut word = stream.word();
        for lane in 0..LANES {
            stream.lanes[lane] = (word >> (64 - log)) as usize;
            word <<= log;
        }
        stream.skip(LANES * log as usize);
        stream
    }

    /// The 57 bits or more below the position, at the top of a word.
    #[inline(always)]
    fn word(&self) -> u64 {
        let first = (self.position - 1) / 8 - 7;
        let word = self.bytes[first..].first_chunk().expect("there are 8 bytes before the position");
        u64::from_le_bytes(*word) << ((first * 8 + 64 - self.position) & 63)
    }

    fn skip(&mut self, bits: usize) {
        self.position = self.position.saturating_sub(bits).max(self.start);
    }

    /// The next token of each state. Behind the last one, what the states run on into is of no interest.
    #[inline(always)]
    fn tokens(&mut self, steps: &[Step; 1 << LOG_MAX]) -> [u8; LANES] {
        let (mut word, mut used, mut tokens) = (self.word(), 0, [0; LANES]);
        for (lane, token) in self.lanes.iter_mut().zip(&mut tokens) {
            let step = steps[*lane & ((1 << LOG_MAX) - 1)];
            let bits = u32::from(step.bits & 15);
            *token = step.token;
            *lane = usize::from(step.base) + ((word >> 1) >> (63 - bits)) as usize;
            word <<= bits;
            used += bits as usize;
        }
        self.skip(used);
        tokens
    }
}

/// The first `rows` integers.
pub(super) fn decode(input: &[u8], rows: usize) -> Result<Vec<i64>, String> {
    let (header, bytes) = residuals::read_header(input)?;
    let (frequencies, mut bytes) = Frequencies::read(bytes)?;
    let cut = "the tokens are cut off";
    let length = leb128::read(&mut bytes)?;
    let (extra, mut bytes) = bytes.split_at_checked(length as usize).ok_or(cut)?;
    let bits = [leb128::read(&mut bytes)?, leb128::read(&mut bytes)?];
    let length = |bits: u64| bits.div_ceil(8) as usize;
    let least = u64::from(frequencies.log) * LANES as u64;
    let start = input.len() - bytes.len();
    let whole =
        bits.iter().all(|bits| (least..1 << 40).contains(bits)) && length(bits[0]) + length(bits[1]) <= bytes.len();
    if !whole || start < 8 {
        return Err(cut.into());
    }

    let mut steps = [Step::default(); 1 << LOG_MAX];
    for (state, token, number) in frequencies.states() {
        let bits = frequencies.log - number.ilog2();
        steps[state] = Step { base: ((number << bits) - (1 << frequencies.log)) as u16, bits: bits as u8, token };
    }
    let mut one = Stream::new(input, start, bits[0] as usize, frequencies.log);
    let mut other = Stream::new(input, start + length(bits[0]), bits[1] as usize, frequencies.log);
    let mut tokens = vec![0u8; rows.next_multiple_of(LANES * STREAMS)];
    for group in tokens.as_chunks_mut::<{ LANES * STREAMS }>().0 {
        let (first, second) = group.split_at_mut(LANES);
        first.copy_from_slice(&one.tokens(&steps));
        second.copy_from_slice(&other.tokens(&steps));
    }
    if frequencies.scaled.len() <= SMALL as usize {
        return Ok(header.restore(tokens[..rows].iter().map(|token| u64::from(*token))));
    }
    let mut extra = BitReader { bytes: extra, at: 0 };
    Ok(header.restore(tokens[..rows].iter().map(|token| extra.residual(*token))))
}

/// Reads bits, the lowest first; behind the end there are zeros.
struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn residual(&mut self, token: u8) -> u64 {
        let (base, count) = meaning(token);
        if count == 0 {
            return base;
        }
        let low = count.min(32);
        let mut bits = self.take(low);
        if count > 32 {
            bits |= self.take(count - 32) << 32;
        }
        base | bits
    }

    /// Up to 56 bits.
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

    proptest! {
        #[test]
        fn integers_come_back(integers in prop::collection::vec(prop_oneof![4 => -20i64..20, 1 => any::<i64>()], 1..500)) {
            for order in Order::ALL {
                let mut bytes = Vec::new();
                encode(&Residuals::centred(&integers, order), &mut bytes);
                prop_assert_eq!(&decode(&bytes, integers.len()).unwrap(), &integers);
            }
        }

        #[test]
        fn any_bytes_decode_or_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), rows in 1usize..100) {
            let _ = decode(&bytes, rows);
            // The same with a sound table, so that the states and the bits are what is wrong.
            bytes.splice(0..0, [0u8; 2].into_iter().chain([5, 1, 16, 16]));
            let _ = decode(&bytes, rows);
        }
    }
}
