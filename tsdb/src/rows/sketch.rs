//! A sketch of a distribution: how many values there were of each size, to three significant digits, as
//! [HdrHistogram](http://hdrhistogram.org) counts them. Sketches merge without loss, so those of minutes make that of a
//! year.
//!
//! A value's bucket is its sign, its exponent and the first ten bits of its mantissa: every power of two is divided
//! into 1,024 equal parts, and the middle of a bucket is within 0.05 % of all values in it. Few values are kept as a
//! list of their buckets.

use crate::codec::leb128::{self, unzigzag, zigzag};

/// Bits of a float below its bucket.
const BELOW_BITS: u32 = 42;
/// Buckets of a power of two.
const PARTS: i32 = 1024;
/// As many values are kept as a list.
const FEW: usize = 256;
/// Many values are counted so many at a time, as long as they lie within [`SPAN`] powers of two.
const CHUNK: usize = 256;
const SPAN: usize = 32;
/// The first byte of a stored sketch.
const VERSION: u8 = 1;

/// How many values there were of each size.
///
/// ```
/// let mut sketch = tsdb::Sketch::default();
/// (1..=1000).for_each(|value| sketch.add(f64::from(value)));
/// let p99 = sketch.quantile(0.99).unwrap();
/// assert!((p99 / 990.0 - 1.0).abs() < 0.001);
/// let stored = tsdb::Sketch::from_bytes(&sketch.to_bytes()).unwrap();
/// assert_eq!(stored.quantile(0.99), Some(p99));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sketch {
    count: u64,
    /// The buckets of all values as they came, as long as they are few and not counted.
    few: Vec<i32>,
    /// By power of two (the bucket divided by [`PARTS`]), in order.
    counted: Vec<(i32, Box<[u64; PARTS as usize]>)>,
}

/// The bucket of a value; buckets are in the order of their values.
fn bucket(value: f64) -> i32 {
    let bits = value.to_bits();
    let size = ((bits & (u64::MAX >> 1)) >> BELOW_BITS) as i32;
    if value.is_sign_negative() { -size - 1 } else { size }
}

/// The middle of a bucket; the first one from zero is zero, infinity stays what it is.
fn middle(bucket: i32) -> f64 {
    let size = if bucket < 0 { -(bucket + 1) } else { bucket };
    let low = f64::from_bits((size as u64) << BELOW_BITS);
    let value = match low {
        _ if size == 0 => 0.0,
        _ if low.is_infinite() => low,
        _ => f64::from_bits((size as u64) << BELOW_BITS | 1 << (BELOW_BITS - 1)),
    };
    if bucket < 0 { -value } else { value }
}

impl Sketch {
    /// Counts a value; NaN is none.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.add_bucket(bucket(value), 1);
    }

    /// Counts many values; NaN is none.
    pub(crate) fn add_all(&mut self, values: &[f64]) {
        let (chunks, rest) = values.as_chunks::<CHUNK>();
        for chunk in chunks {
            if !self.add_chunk(chunk) {
                chunk.iter().for_each(|value| self.add(*value));
            }
        }
        rest.iter().for_each(|value| self.add(*value));
    }

    /// Counts values whose powers of two are close together, each of which is looked up once: between one count and the
    /// next there is no branch, so that the processor waits for several at a time. Says if it did.
    fn add_chunk(&mut self, values: &[f64; CHUNK]) -> bool {
        if self.counted.is_empty() && self.few.len() + CHUNK <= FEW {
            return false;
        }
        let buckets = values.map(bucket);
        let powers = buckets.iter().map(|bucket| bucket.div_euclid(PARTS));
        let low = powers.clone().min().unwrap_or_default();
        let high = powers.clone().max().unwrap_or_default();
        if high - low >= SPAN as i32 || values.iter().any(|value| value.is_nan()) {
            return false;
        }
        let met = powers.fold(0u32, |met, power| met | 1 << (power - low));
        self.count += CHUNK as u64;
        self.count_list();
        // What is inserted moves what is behind it: all are inserted first.
        let of_met = (0..SPAN as i32).filter(|power| met >> power & 1 == 1);
        of_met.for_each(|power| {
            self.places(low + power);
        });
        let mut known = [0u8; SPAN];
        let first = self.counted.partition_point(|(power, _)| *power < low);
        let near = &mut self.counted[first..];
        for (at, (power, _)) in near.iter().enumerate().take_while(|(_, (power, _))| *power <= high) {
            known[(power - low) as usize] = at as u8;
        }
        for bucket in buckets {
            let power = (bucket.div_euclid(PARTS) - low) as usize;
            near[usize::from(known[power % SPAN])].1[bucket.rem_euclid(PARTS) as usize] += 1;
        }
        true
    }

    #[inline]
    fn add_bucket(&mut self, bucket: i32, times: u64) {
        self.count += times;
        if self.counted.is_empty() && times == 1 && self.few.len() < FEW {
            return self.few.push(bucket);
        }
        self.count_list();
        *self.place(bucket) += times;
    }

    /// Counts what is in the list.
    #[inline]
    fn count_list(&mut self) {
        if self.few.is_empty() {
            return;
        }
        for bucket in std::mem::take(&mut self.few) {
            *self.place(bucket) += 1;
        }
    }

    fn place(&mut self, bucket: i32) -> &mut u64 {
        &mut self.places(bucket.div_euclid(PARTS))[bucket.rem_euclid(PARTS) as usize]
    }

    /// The counts of the buckets of a power of two.
    fn places(&mut self, power: i32) -> &mut [u64; PARTS as usize] {
        let at = match self.counted.binary_search_by_key(&power, |(known, _)| *known) {
            Ok(at) => at,
            Err(at) => {
                let none = vec![0; PARTS as usize].into_boxed_slice();
                self.counted.insert(at, (power, none.try_into().expect("as many as there are parts")));
                at
            }
        };
        &mut self.counted[at].1
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Sketch) {
        if self.counted.is_empty() && other.counted.is_empty() && self.few.len() + other.few.len() <= FEW {
            self.few.extend_from_slice(&other.few);
            self.count += other.count;
            return;
        }
        other.for_each(|bucket, times| self.add_bucket(bucket, times));
    }

    /// Adds buckets, which are in order, with their counts.
    pub(crate) fn add_buckets(&mut self, buckets: &[i32], counts: &[i64]) {
        let all: u64 = counts.iter().map(|count| *count as u64).sum();
        self.count += all;
        if self.counted.is_empty() && self.few.len() as u64 + all <= FEW as u64 {
            let pairs = buckets.iter().zip(counts);
            return self.few.extend(pairs.flat_map(|(bucket, count)| std::iter::repeat_n(*bucket, *count as usize)));
        }
        self.count_list();
        let mut rest = (buckets, counts);
        while let Some(first) = rest.0.first() {
            // Those of one power of two at a time, whose places are looked up once.
            let power = first.div_euclid(PARTS);
            let length = rest.0.partition_point(|bucket| bucket.div_euclid(PARTS) == power);
            let (own, others) = rest.0.split_at(length);
            let (own_counts, other_counts) = rest.1.split_at(length);
            let places = self.places(power);
            for (bucket, count) in own.iter().zip(own_counts) {
                places[bucket.rem_euclid(PARTS) as usize] += *count as u64;
            }
            rest = (others, other_counts);
        }
    }

    /// Tells every bucket with its count; buckets of the list as often as they are in it.
    fn for_each(&self, mut tell: impl FnMut(i32, u64)) {
        self.few.iter().for_each(|bucket| tell(*bucket, 1));
        for (power, counts) in &self.counted {
            let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            filled.for_each(|(part, count)| tell(power * PARTS + part as i32, *count));
        }
    }

    /// Every bucket once, in order, with its count.
    pub(crate) fn buckets(&self) -> Vec<(i32, u64)> {
        let mut all = Vec::new();
        self.for_each(|bucket, times| all.push((bucket, times)));
        all.sort_unstable();
        all.dedup_by(|next, first| {
            next.0 == first.0 && {
                first.1 += next.1;
                true
            }
        });
        all
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value that a part `q` (0 to 1) of all values does not exceed: the nearest rank, within 0.05 %. `None`
    /// without values.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.quantiles(&[q]).pop().flatten()
    }

    /// As [`quantile`](Self::quantile), for several.
    pub fn quantiles(&self, parts: &[f64]) -> Vec<Option<f64>> {
        let rank = |q: &f64| ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).max(1);
        if self.count == 0 {
            return vec![None; parts.len()];
        }
        if self.counted.is_empty() {
            let mut list = self.few.clone();
            list.sort_unstable();
            return parts.iter().map(|q| Some(middle(list[rank(q) as usize - 1]))).collect();
        }
        let find = |q: &f64| {
            let mut left = rank(q);
            for (power, counts) in &self.counted {
                for (part, count) in counts.iter().enumerate() {
                    if *count >= left {
                        return Some(middle(power * PARTS + part as i32));
                    }
                    left -= count;
                }
            }
            unreachable!("the counts add up to {}", self.count)
        };
        parts.iter().map(find).collect()
    }

    /// The part of all values (0 to 1) that are in the bucket of `value` or below it. `None` without values.
    pub fn rank(&self, value: f64) -> Option<f64> {
        let (last, mut below) = (bucket(value), 0);
        self.for_each(|bucket, times| below += if bucket <= last { times } else { 0 });
        (self.count > 0 && !value.is_nan()).then(|| below as f64 / self.count as f64)
    }

    /// Memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        size_of::<Sketch>()
            + self.few.capacity() * 4
            + self.counted.capacity() * 24
            + self.counted.len() * 8 * PARTS as usize
    }

    /// The sketch as bytes: u8 version, LEB128 how many buckets, then of each the signed distance to the one before and
    /// the count.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (sorted, mut before) = (self.buckets(), 0);
        let mut out = vec![VERSION];
        leb128::write(sorted.len() as u64, &mut out);
        for (bucket, count) in sorted {
            leb128::write(zigzag(i64::from(bucket - before)), &mut out);
            leb128::write(count, &mut out);
            before = bucket;
        }
        out
    }

    /// The sketch that these bytes are.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sketch, String> {
        let Some((&VERSION, mut rest)) = bytes.split_first() else {
            return Err(format!("a sketch starts with {VERSION}, this with {:?}", bytes.first()));
        };
        let input = &mut rest;
        let (mut sketch, mut before) = (Sketch::default(), None);
        for _ in 0..leb128::read(input)? {
            let distance = i32::try_from(unzigzag(leb128::read(input)?)).map_err(|error| error.to_string())?;
            let bucket = before.unwrap_or(0i32).checked_add(distance).ok_or("a bucket is out of range")?;
            let count = leb128::read(input)?;
            let infinite = self::bucket(f64::INFINITY);
            if !(-infinite - 1..=infinite).contains(&bucket)
                || before.is_some_and(|before| bucket <= before)
                || count == 0
            {
                return Err(format!("bucket {bucket} with {count} values behind {before:?}"));
            }
            sketch.count.checked_add(count).ok_or("the counts overflow")?;
            sketch.add_bucket(bucket, count);
            before = Some(bucket);
        }
        if input.is_empty() { Ok(sketch) } else { Err(format!("{} bytes behind a sketch", input.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    #[test]
    fn special_values_have_their_place() {
        let sketch = of(&[f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN]);
        assert_eq!(sketch.count(), 6);
        assert_eq!((sketch.quantile(0.0), sketch.quantile(1.0)), (Some(f64::NEG_INFINITY), Some(f64::INFINITY)));
        assert_eq!((sketch.quantile(0.5), sketch.rank(0.0)), (Some(0.0), Some(4.0 / 6.0)));
        assert_eq!((of(&[]).quantile(0.5), of(&[]).rank(1.0)), (None, None));
    }

    proptest! {
        /// Long-tailed, in one piece or merged from many, kept as bytes or not: within 0.1 % of the exact value.
        #[test]
        fn quantiles_are_within_a_thousandth(
            seeds in prop::collection::vec((-20.0f64..20.0, prop::bool::ANY), 1..2000),
            pieces in 1usize..20,
            q in 0.0f64..=1.0,
        ) {
            let values: Vec<f64> = seeds.iter().map(|(power, sign)| if *sign { power.exp() } else { -power.exp() }).collect();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let exact = sorted[((q * values.len() as f64).ceil() as usize).max(1) - 1];
            let mut merged = Sketch::default();
            for piece in values.chunks(values.len().div_ceil(pieces)) {
                merged.merge(&Sketch::from_bytes(&of(piece).to_bytes()).unwrap());
            }
            for sketch in [of(&values), merged] {
                prop_assert_eq!(sketch.count(), values.len() as u64);
                let found = sketch.quantile(q).unwrap();
                prop_assert!((found - exact).abs() <= exact.abs() * 0.0005, "{found} for {exact}");
                let below = sorted.iter().filter(|value| bucket(**value) <= bucket(exact)).count();
                prop_assert_eq!(sketch.rank(exact), Some(below as f64 / values.len() as f64));
                prop_assert_eq!(Sketch::from_bytes(&sketch.to_bytes()).unwrap().buckets(), sketch.buckets());
            }
        }

        /// Many at a time are what they are one by one, close together, far apart, or no numbers.
        #[test]
        fn many_are_counted_as_one_by_one(
            pieces in prop::collection::vec((0usize..700, -300.0f64..300.0, 0.0f64..40.0, 0u8..10), 1..5),
            seed: u64,
        ) {
            let mut state = seed;
            let mut random = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 11) as f64 / (1u64 << 53) as f64
            };
            let (mut together, mut alone) = (Sketch::default(), Sketch::default());
            for (length, power, spread, kind) in pieces {
                let value = |_| match (kind, random()) {
                    (0, random) if random < 0.01 => f64::NAN,
                    (1, random) => -(power + random * spread).exp2(),
                    (2, random) if random < 0.5 => 0.0,
                    (_, random) => (power + random * spread).exp2(),
                };
                let values: Vec<f64> = (0..length).map(value).collect();
                together.add_all(&values);
                values.iter().for_each(|value| alone.add(*value));
            }
            prop_assert_eq!((together.count(), together.buckets()), (alone.count(), alone.buckets()));
            prop_assert_eq!(together.counted.is_empty(), alone.counted.is_empty());
        }

        #[test]
        fn any_bytes_are_a_sketch_or_refused(bytes: Vec<u8>, small in prop::collection::vec(0u8..9, 0..40)) {
            for rest in [bytes, small] {
                let bytes: Vec<u8> = [VERSION].into_iter().chain(rest).collect();
                if let Ok(sketch) = Sketch::from_bytes(&bytes) {
                    prop_assert_eq!(sketch.to_bytes().len(), bytes.len());
                    let _ = (sketch.quantile(0.5), sketch.rank(1.0));
                }
            }
        }
    }
}
