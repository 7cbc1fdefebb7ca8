//! Integers and floats: with which codec, and the way there and back.
//!
//! A sealed page is packed, because that is fast; a compacted one is entropy-coded, or left to the `pco` crate where
//! that makes it smaller. One value for all needs neither, nor do integers in equal steps; and of values that repeat
//! only the first of each run is coded so if that is smaller.

use std::ops::Range;

use pco::standalone::{simple_compress, simple_decompress_into};
use pco::{ChunkConfig, FULL_BATCH_N};

use super::residuals::Residuals;
use super::wanted::Wanted;
use super::{Codec, Effort, entropy, packed, pages, runs, steps};

/// Values that are looked at to choose an order: a few stretches of neighbours.
const SAMPLE_STRETCH: usize = 256;
const SAMPLE_STRETCHES: usize = 4;
/// Values of more bits than this are also tried with `pco`: its bins fit a distribution better than our tokens, which
/// shows where there is much of it.
const PCO_BITS_MIN: usize = 5;

/// A number type that a chunk can hold.
pub(crate) trait Number: pco::data_types::Number + bytemuck::Pod + Default {
    /// Integers as i64, in a way that keeps neighbours neighbours; `None` for floats.
    fn to_integers(values: &[Self]) -> Option<Vec<i64>>;
    /// The way back.
    fn from_integers(integers: Vec<i64>) -> Result<Vec<Self>, String>;

    /// Those that are written in [steps].
    fn of_steps(bytes: &[u8], count: usize, wanted: Range<usize>) -> Result<Vec<Self>, String> {
        Self::from_integers(steps::decode(bytes, count, wanted)?)
    }

    /// To the bit.
    fn is_same(&self, other: &Self) -> bool {
        bytemuck::bytes_of(self) == bytemuck::bytes_of(other)
    }
}

impl Number for i64 {
    fn to_integers(values: &[i64]) -> Option<Vec<i64>> {
        Some(values.to_vec())
    }

    fn from_integers(integers: Vec<i64>) -> Result<Vec<i64>, String> {
        Ok(integers)
    }
}

impl Number for u64 {
    fn to_integers(values: &[u64]) -> Option<Vec<i64>> {
        Some(values.iter().map(|value| *value as i64).collect())
    }

    fn from_integers(integers: Vec<i64>) -> Result<Vec<u64>, String> {
        Ok(bytemuck::cast_vec(integers))
    }
}

impl Number for u32 {
    fn to_integers(values: &[u32]) -> Option<Vec<i64>> {
        Some(values.iter().map(|value| i64::from(*value)).collect())
    }

    fn from_integers(integers: Vec<i64>) -> Result<Vec<u32>, String> {
        // All at once: each row of a page has the number of its series.
        if integers.iter().fold(0, |all, integer| all | *integer) as u64 >> u32::BITS == 0 {
            return Ok(integers.iter().map(|integer| *integer as u32).collect());
        }
        let wrong = integers.iter().find(|integer| u32::try_from(**integer).is_err());
        Err(format!("{} is no u32", wrong.copied().unwrap_or_default()))
    }

    fn of_steps(bytes: &[u8], count: usize, wanted: Range<usize>) -> Result<Vec<u32>, String> {
        steps::decode_small(bytes, count, wanted)
    }
}

impl Number for f64 {
    fn to_integers(_: &[f64]) -> Option<Vec<i64>> {
        None
    }

    fn from_integers(_: Vec<i64>) -> Result<Vec<f64>, String> {
        Err("floats are not packed".into())
    }
}

pub(super) fn encode<N: Number>(values: &[N], effort: Effort, out: &mut Vec<u8>) -> Codec {
    let changes = values.windows(2).filter(|pair| !pair[0].is_same(&pair[1])).count();
    if changes == 0 || (changes + 1) * runs::MEAN_RUN_MIN > values.len() {
        return encode_each(values, effort, out);
    }
    let (mut in_runs, mut each) = (Vec::new(), Vec::new());
    runs::encode(values, effort, &mut in_runs);
    let codec = encode_each(values, effort, &mut each);
    if in_runs.len() < each.len() {
        out.append(&mut in_runs);
        return Codec::Repeats;
    }
    out.append(&mut each);
    codec
}

/// Writes every value.
pub(super) fn encode_each<N: Number>(values: &[N], effort: Effort, out: &mut Vec<u8>) -> Codec {
    let first = &values[0];
    if values.iter().all(|value| value.is_same(first)) {
        out.extend_from_slice(bytemuck::bytes_of(first));
        return Codec::Constant;
    }
    let Some(integers) = N::to_integers(values) else {
        return pco(values, out);
    };
    if steps::encode(&integers, out) {
        return Codec::Steps;
    }
    let sample = sample(&integers);
    match effort {
        Effort::Fast => {
            packed::encode(&Residuals::new(&integers, packed::best_order(&sample)), out);
            Codec::Packed
        }
        Effort::Small => {
            let mut ours = Vec::new();
            entropy::encode(&integers, entropy::best_order(&sample), &mut ours);
            if ours.len() * 8 > values.len() * PCO_BITS_MIN {
                let mut theirs = Vec::new();
                let codec = pco(values, &mut theirs);
                if theirs.len() < ours.len() {
                    out.append(&mut theirs);
                    return codec;
                }
            }
            out.append(&mut ours);
            Codec::Parts
        }
    }
}

fn pco<N: Number>(values: &[N], out: &mut Vec<u8>) -> Codec {
    if values.len() >= pages::NUMBERS_MIN {
        pages::encode(values, out);
        return Codec::Pages;
    }
    let packed = simple_compress(values, &ChunkConfig::default());
    out.extend(packed.expect("the configuration is valid and memory does not fail"));
    Codec::Pco
}

/// All values if they are few, otherwise stretches of them from everywhere.
pub(super) fn sample<N: Copy>(values: &[N]) -> Vec<N> {
    if values.len() <= SAMPLE_STRETCH * SAMPLE_STRETCHES {
        return values.to_vec();
    }
    let step = (values.len() - SAMPLE_STRETCH) / (SAMPLE_STRETCHES - 1);
    (0..SAMPLE_STRETCHES).flat_map(|at| &values[at * step..at * step + SAMPLE_STRETCH]).copied().collect()
}

/// The numbers `wanted` of so many.
pub(super) fn decode<N: Number>(codec: Codec, bytes: &[u8], count: usize, wanted: &Wanted) -> Result<Vec<N>, String> {
    match codec {
        Codec::Repeats => runs::decode(bytes, count, wanted.reach.clone()),
        _ => decode_each(codec, bytes, count, wanted),
    }
}

/// The same of what is not in runs.
pub(super) fn decode_each<N: Number>(
    codec: Codec,
    bytes: &[u8],
    count: usize,
    wanted: &Wanted,
) -> Result<Vec<N>, String> {
    let reach = wanted.reach.clone();
    match codec {
        Codec::Constant => {
            let value = bytes.get(..size_of::<N>()).ok_or("the constant is cut off")?;
            Ok(vec![bytemuck::pod_read_unaligned(value); reach.len()])
        }
        Codec::Steps => N::of_steps(bytes, count, reach),
        Codec::Packed => N::from_integers(packed::decode(bytes, count, reach)?),
        Codec::Parts => N::from_integers(entropy::decode(bytes, count, wanted)?),
        Codec::Entropy => {
            let mut integers = entropy::decode_version_2(bytes, reach.end)?;
            integers.drain(..reach.start);
            N::from_integers(integers)
        }
        Codec::Pco => {
            // Into room of its own: what is made after the length that the bytes claim could be of any size.
            let mut values = vec![N::default(); reach.end.next_multiple_of(FULL_BATCH_N).min(count)];
            let progress = simple_decompress_into(bytes, &mut values).map_err(|error| error.to_string())?;
            if progress.n_processed < values.len() || (progress.finished && progress.n_processed != count) {
                return Err(format!("{} values, expected {count}", progress.n_processed));
            }
            values.truncate(reach.end);
            values.drain(..reach.start);
            Ok(values)
        }
        Codec::Pages => pages::decode(bytes, count, wanted),
        other => Err(format!("numbers cannot be written as {other:?}")),
    }
}
