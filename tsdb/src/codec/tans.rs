//! Tokens with as many bits as their frequency deserves: tabled asymmetric numeral systems.
//!
//! Duda, Asymmetric numeral systems, 2013; the layout of states follows Collet's FSE. A stream of tokens is written
//! from its last token to its first and read from its end on. Several states take turns in it, so that a processor can
//! work on the next token before it knows this one.

use super::bit_string::BitWriter;
use super::leb128;

/// Tokens are numbers below this.
pub(super) const TOKENS: usize = 256;
/// The largest table that is read: 2^10 states.
const LOG_MAX: u32 = 10;
/// The largest that is written: more states bring tokens no nearer to their entropy than what they take to write down,
/// and to fill in.
const LOG_WRITTEN_MAX: u32 = 9;
const LOG_MIN: u32 = 5;
const STATES_MAX: usize = 1 << LOG_MAX;
/// Tokens that are read at a time: they need at most 40 bits, which one read of 57 gives.
pub(super) const GROUP: usize = 4;

/// How often each token occurs, scaled so that the sum is a power of two and no token that occurs has zero.
#[derive(Debug)]
pub(super) struct Frequencies {
    log: u32,
    scaled: Vec<u32>,
}

impl Frequencies {
    pub(super) fn of(tokens: &[u8]) -> Frequencies {
        let mut counts = vec![0u32; TOKENS];
        tokens.iter().for_each(|token| counts[usize::from(*token)] += 1);
        let last = counts.iter().rposition(|count| *count > 0).expect("there are tokens");
        counts.truncate(last + 1);
        let distinct = counts.iter().filter(|count| **count > 0).count();
        // Every token needs a state; fewer values than states gain nothing from more.
        let log =
            (tokens.len().max(2).ilog2()).clamp(LOG_MIN, LOG_WRITTEN_MAX).max(distinct.next_power_of_two().ilog2());
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

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend([self.log as u8, (self.scaled.len() - 1) as u8]);
        for run in self.scaled.chunk_by(|a, b| *a == 0 && *b == 0) {
            leb128::write(u64::from(run[0]), out);
            if run[0] == 0 {
                leb128::write(run.len() as u64, out);
            }
        }
    }

    /// The frequencies at the start of `bytes`, which then start behind them.
    pub(super) fn read(bytes: &mut &[u8]) -> Result<Frequencies, String> {
        let ([log, last], rest) = bytes.split_first_chunk().ok_or("the frequencies are cut off")?;
        let log = u32::from(*log);
        if !(LOG_MIN..=LOG_MAX).contains(&log) {
            return Err(format!("a table of 2^{log} states"));
        }
        *bytes = rest;
        let mut scaled = Vec::with_capacity(usize::from(*last) + 1);
        while scaled.len() <= usize::from(*last) {
            match leb128::read(bytes)? {
                0 => {
                    let zeros = leb128::read(bytes)?.clamp(1, TOKENS as u64) as usize;
                    scaled.resize((scaled.len() + zeros).min(usize::from(*last) + 1), 0);
                }
                frequency => scaled.push(frequency.min(1 << (LOG_MAX + 1)) as u32),
            }
        }
        match scaled.iter().sum::<u32>() == 1 << log {
            true => Ok(Frequencies { log, scaled }),
            false => Err(format!("the frequencies do not add up to 2^{log}")),
        }
    }

    /// Gives each state a token, each token as many states as its frequency, spread out; with each comes the number
    /// that the state stands for among those of its token, from the frequency to twice that. What is made of these
    /// comes back, state by state.
    #[inline(always)]
    fn states<T>(&self, mut made_of: impl FnMut(u8, u32) -> T) -> Vec<T> {
        let states = 1usize << self.log;
        let step = states / 2 + states / 8 + 3;
        let mut owners = [0u8; STATES_MAX];
        let mut at = 0;
        for (token, frequency) in self.scaled.iter().enumerate() {
            for _ in 0..*frequency {
                owners[at & (states - 1)] = token as u8;
                at += step;
            }
        }
        let mut next = [0u32; TOKENS];
        next[..self.scaled.len()].copy_from_slice(&self.scaled);
        let of_state = |token: &u8| {
            let number = &mut next[usize::from(*token)];
            *number += 1;
            made_of(*token, *number - 1)
        };
        owners[..states].iter().map(of_state).collect()
    }
}

/// Writes streams of tokens of known frequencies.
#[derive(Debug)]
pub(super) struct Encoder {
    frequencies: Frequencies,
    /// Of each token, where its states begin in `next`.
    starts: Vec<u32>,
    /// The state that each number of each token leads to.
    next: Vec<u32>,
}

impl Encoder {
    pub(super) fn new(frequencies: Frequencies) -> Encoder {
        let states = 1u32 << frequencies.log;
        let mut starts: Vec<u32> = Vec::with_capacity(frequencies.scaled.len());
        frequencies.scaled.iter().fold(0, |sum, frequency| {
            starts.push(sum);
            sum + frequency
        });
        let mut next = vec![0u32; states as usize];
        let places = frequencies.states(|token, number| {
            let token = usize::from(token);
            (starts[token] + number - frequencies.scaled[token]) as usize
        });
        for (state, place) in places.into_iter().enumerate() {
            next[place] = states + state as u32;
        }
        Encoder { frequencies, starts, next }
    }

    /// Writes a stream; `LANES` states take turns.
    pub(super) fn write<const LANES: usize>(&self, tokens: &[u8], out: &mut BitWriter) {
        let log = self.frequencies.log;
        let mut lanes = [1u32 << log; LANES];
        for (at, token) in tokens.iter().enumerate().rev() {
            let (state, token) = (&mut lanes[at % LANES], usize::from(*token));
            let frequency = self.frequencies.scaled[token];
            let mut count = log - frequency.ilog2();
            count -= u32::from(*state >> count < frequency);
            out.put(u64::from(*state & ((1 << count) - 1)), count);
            *state = self.next[(self.starts[token] + (*state >> count) - frequency) as usize];
        }
        lanes.iter().rev().for_each(|state| out.put(u64::from(state - (1 << log)), log));
    }
}

/// What a state gives, in one word: how many bits lead to the next state, the token, and the base which those bits are
/// more than.
#[derive(Debug, Clone, Copy, Default)]
struct Step(u32);

impl Step {
    fn new(bits: u32, token: u8, base: u32) -> Step {
        Step(bits | u32::from(token) << 8 | base << 16)
    }

    /// How many bits, in the lowest six; what is above them does not matter to a shift.
    #[inline(always)]
    fn bits(self) -> u32 {
        self.0
    }

    #[inline(always)]
    fn token(self) -> u8 {
        (self.0 >> 8) as u8
    }

    #[inline(always)]
    fn base(self) -> u32 {
        self.0 >> 16
    }
}

/// The steps of all states.
#[derive(Debug)]
pub(super) struct Decoder {
    log: u32,
    /// Apart, as what holds it is handed on.
    steps: Box<[Step; STATES_MAX]>,
}

impl Decoder {
    #[inline(always)]
    pub(super) fn new(frequencies: &Frequencies) -> Decoder {
        let log = frequencies.log;
        let mut steps = frequencies.states(|token, number| {
            // As many as bring the number up to the states. No token that has a state has the number 0.
            let bits = (number.leading_zeros() + log).saturating_sub(u32::BITS - 1);
            let base = (number << bits) - (1 << log);
            Step::new(bits, token, base)
        });
        steps.resize(STATES_MAX, Step::default());
        Decoder { log, steps: steps.try_into().expect("it was just given this length") }
    }

    /// The stream that ends before a bit of `bytes`. Where a stream is cut off or ends, what its states run on into are
    /// tokens without a meaning.
    #[inline(always)]
    pub(super) fn stream<'a, const LANES: usize>(&self, bytes: &'a [u8], end: usize) -> Stream<'a, LANES> {
        let mut stream = Stream { bytes, position: end.wrapping_sub(WORD_BITS), lanes: [0; LANES] };
        let mut word = stream.word();
        for lane in &mut stream.lanes {
            *lane = (word >> (64 - self.log)) as u32;
            word <<= self.log;
        }
        stream.position = stream.position.wrapping_sub(LANES * self.log as usize);
        stream
    }
}

/// Bits that one read surely gives.
const WORD_BITS: usize = 57;

/// A stream of tokens that is read from its end.
#[derive(Debug, Clone)]
pub(super) struct Stream<'a, const LANES: usize> {
    bytes: &'a [u8],
    /// The end of what is still to be read, less the bits of a word; below zero near the start of `bytes`.
    position: usize,
    lanes: [u32; LANES],
}

impl<const LANES: usize> Stream<'_, LANES> {
    /// The bits that are next, at the top of a word; none outside of `bytes`.
    #[inline(always)]
    fn word(&self) -> u64 {
        let first = self.position >> 3;
        let word = self.bytes.get(first..).and_then(|bytes| bytes.first_chunk());
        word.map_or_else(
            || first_word(self.bytes, self.position),
            |word| u64::from_le_bytes(*word) << (!self.position & 7),
        )
    }

    /// The next tokens.
    #[inline(always)]
    pub(super) fn group(&mut self, decoder: &Decoder) -> [u8; GROUP] {
        let (mut word, mut used, mut tokens) = (self.word(), 0u32, [0; GROUP]);
        for (at, token) in tokens.iter_mut().enumerate() {
            let lane = &mut self.lanes[at % LANES];
            let step = decoder.steps[*lane as usize & (STATES_MAX - 1)];
            *token = step.token();
            // In two steps, so that no bits are no bits.
            *lane = step.base() + (word >> 1).wrapping_shr(!step.bits()) as u32;
            word = word.wrapping_shl(step.bits());
            used = used.wrapping_add(step.bits());
        }
        self.position = self.position.wrapping_sub((used & 0xff) as usize);
        tokens
    }
}

/// The bits before a position where fewer than eight bytes are left; apart from the stream, so that that stays in
/// registers.
#[cold]
fn first_word(bytes: &[u8], position: usize) -> u64 {
    let end = position.wrapping_add(WORD_BITS);
    let Some(rest) = bytes.get(..end.div_ceil(8)).filter(|rest| rest.len() < 8) else { return 0 };
    let mut word = [0; 8];
    word[8 - rest.len()..].copy_from_slice(rest);
    u64::from_le_bytes(word) << (rest.len() * 8 - end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn streams_one_behind_the_other_come_back(
            streams in prop::collection::vec(prop::collection::vec(prop_oneof![4 => 0u8..5, 1 => any::<u8>()], 1..100), 1..4),
        ) {
            let encoder = Encoder::new(Frequencies::of(&streams.concat()));
            let mut bits = BitWriter::default();
            let ends: Vec<u64> = streams.iter().map(|tokens| { encoder.write::<2>(tokens, &mut bits); bits.len() }).collect();
            let bytes = bits.finish();
            let mut header = Vec::new();
            encoder.frequencies.write(&mut header);
            let decoder = Decoder::new(&Frequencies::read(&mut &header[..]).unwrap());
            for (tokens, end) in streams.iter().zip(ends) {
                let mut stream = decoder.stream::<2>(&bytes, end as usize);
                let read: Vec<u8> = (0..tokens.len().div_ceil(GROUP)).flat_map(|_| stream.group(&decoder)).collect();
                prop_assert_eq!(&read[..tokens.len()], &tokens[..]);
            }
        }
    }
}
