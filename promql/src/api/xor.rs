//! Samples in Prometheus' chunks of floats, as remote read streams them: times as differences of differences, values as
//! what changed of their bits since the one before. `tsdb/chunkenc/xor.go` of Prometheus is where the format stands.

/// So many samples are in a chunk at the most.
pub(crate) const SAMPLES_MAX: usize = 120;
/// The bits before the first one that differs are told up to this.
const LEADING_MAX: u32 = 31;

/// Bits, the highest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// So many of the last byte are free.
    free: u32,
}

impl Bits {
    /// The lowest `count` bits of a number.
    fn put(&mut self, number: u64, count: u32) {
        for at in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            let bit = (number >> at & 1) as u8;
            *self.bytes.last_mut().expect("there is room in it") |= bit << self.free;
        }
    }

    /// Whole bytes, wherever the last one ended.
    fn put_bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.put(u64::from(*byte), 8));
    }
}

/// A chunk of these samples, no more than [`SAMPLES_MAX`].
pub(crate) fn chunk(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(times.len() as u64, 16);
    let (mut time, mut step, mut value) = (0i64, 0i64, 0u64);
    // Where the bits lay that differed last: how many are the same before them, and behind.
    let mut window = None;
    for (at, (own, new)) in times.iter().zip(values.iter().map(|value| value.to_bits())).enumerate() {
        let delta = own.wrapping_sub(time);
        match at {
            0 => {
                let mut bytes = Vec::new();
                wire::put_varint(&mut bytes, wire::to_zigzag(*own));
                bits.put_bytes(&bytes);
                bits.put(new, 64);
            }
            1 => {
                let mut bytes = Vec::new();
                wire::put_varint(&mut bytes, delta as u64);
                bits.put_bytes(&bytes);
                put_value(&mut bits, value ^ new, &mut window);
            }
            _ => {
                put_change(&mut bits, delta.wrapping_sub(step));
                put_value(&mut bits, value ^ new, &mut window);
            }
        }
        (time, step, value) = (*own, delta, new);
    }
    bits.bytes
}

/// How much longer a step is than the one before it.
fn put_change(bits: &mut Bits, change: i64) {
    let fits = |count: u32| (-((1i64 << (count - 1)) - 1)..=1 << (count - 1)).contains(&change);
    match change {
        0 => bits.put(0, 1),
        _ if fits(14) => {
            bits.put(0b10, 2);
            bits.put(change as u64, 14);
        }
        _ if fits(17) => {
            bits.put(0b110, 3);
            bits.put(change as u64, 17);
        }
        _ if fits(20) => {
            bits.put(0b1110, 4);
            bits.put(change as u64, 20);
        }
        _ => {
            bits.put(0b1111, 4);
            bits.put(change as u64, 64);
        }
    }
}

/// Which bits of a value are others than those of the one before.
fn put_value(bits: &mut Bits, changed: u64, window: &mut Option<(u32, u32)>) {
    if changed == 0 {
        return bits.put(0, 1);
    }
    bits.put(1, 1);
    let (leading, trailing) = (changed.leading_zeros().min(LEADING_MAX), changed.trailing_zeros());
    match *window {
        Some((before, behind)) if leading >= before && trailing >= behind => {
            bits.put(0, 1);
            bits.put(changed >> behind, 64 - before - behind);
        }
        _ => {
            *window = Some((leading, trailing));
            let count = 64 - leading - trailing;
            bits.put(1, 1);
            bits.put(u64::from(leading), 5);
            // 64 is written as 0: no bits at all would be the same value.
            bits.put(u64::from(count), 6);
            bits.put(changed >> trailing, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads what [`chunk`] writes, by the same description and none of its code.
    fn read(bytes: &[u8]) -> Vec<(i64, u64)> {
        let mut at = 0usize;
        let mut bit = || {
            at += 1;
            bytes[(at - 1) / 8] >> (7 - (at - 1) % 8) & 1
        };
        let mut number = |count: u32| (0..count).fold(0u64, |number, _| number << 1 | u64::from(bit()));
        let count = number(16);
        let varint = |number: &mut dyn FnMut(u32) -> u64| {
            let (mut all, mut shift) = (0u64, 0);
            loop {
                let byte = number(8);
                all |= (byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    return all;
                }
            }
        };
        let (mut samples, mut step) = (Vec::new(), 0i64);
        let (mut leading, mut trailing) = (0u32, 0u32);
        for at in 0..count {
            if at == 0 {
                let first = varint(&mut number);
                samples.push(((first >> 1) as i64 ^ -((first & 1) as i64), number(64)));
                continue;
            }
            let (time, value): (i64, u64) = samples[samples.len() - 1];
            step = match at {
                1 => varint(&mut number) as i64,
                _ => {
                    let mut ones = 0;
                    while ones < 4 && number(1) == 1 {
                        ones += 1;
                    }
                    let width = [0, 14, 17, 20, 64][ones];
                    let raw = number(width);
                    // 2^(n-1) is the largest; what is above is below zero.
                    let change = match width {
                        0 | 64 => raw as i64,
                        width if raw > 1 << (width - 1) => raw as i64 - (1 << width),
                        _ => raw as i64,
                    };
                    step.wrapping_add(change)
                }
            };
            let mut changed = 0;
            if number(1) == 1 {
                if number(1) == 1 {
                    leading = number(5) as u32;
                    let count = match number(6) as u32 {
                        0 => 64,
                        count => count,
                    };
                    trailing = 64 - leading - count;
                }
                changed = number(64 - leading - trailing) << trailing;
            }
            samples.push((time.wrapping_add(step), value ^ changed));
        }
        samples
    }

    #[test]
    fn chunks_are_read_back_to_the_bit() {
        let mut random = 88_172_645_463_325_252u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        for round in 0..2000 {
            let count = (next() % (SAMPLES_MAX as u64 + 1)) as usize;
            let mut time = (next() % 4_000_000_000_000) as i64 - 2_000_000_000_000;
            let (mut times, mut values) = (Vec::new(), Vec::new());
            let mut value = 1.0;
            for _ in 0..count {
                times.push(time);
                values.push(value);
                time += match next() % 8 {
                    0 => (next() % 100_000) as i64,
                    1 => (next() % 100_000_000_000) as i64,
                    2 => [8192, 8193, 65_536, 65_537, 524_288, 524_289, 1][(next() % 7) as usize],
                    _ => 15_000,
                };
                value = match next() % 8 {
                    0 => f64::from_bits(next()),
                    1 => -value,
                    2 => value,
                    3 => 0.0,
                    _ => value + (next() % 1000) as f64 / 8.0,
                };
            }
            let expected: Vec<(i64, u64)> =
                times.iter().zip(&values).map(|(time, value)| (*time, value.to_bits())).collect();
            assert_eq!(read(&chunk(&times, &values)), expected, "round {round}");
        }
    }
}
