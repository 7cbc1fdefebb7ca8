//! Chunks: one column of one page, compressed.
//!
//! ```text
//!  0  u64  XXH3-64 of the rest
//!  8  u8   codec
//!  9  u8   1 if a validity bitmap follows: one bit a row, lowest first
//! 10  ...  the bitmap if any, then the values of the rows that have one, as the codec writes them
//! ```
//!
//! In segments of format version 1 a chunk is a block, and codec, flag and bitmap are padded to multiples of 8.
//!
//! Every codec gives back the very bits that it was given. Which codec a chunk uses is decided for each chunk alone.

mod bit_string;
mod bits;
mod decimal;
mod entropy;
pub(crate) mod leb128;
mod numbers;
mod packed;
mod pages;
mod residuals;
mod runs;
mod steps;
mod tans;
mod text;
mod wanted;

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringArray};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};

use xxhash_rust::xxh3::xxh3_64;

use crate::base::value::FieldType;
use crate::files::block::{self, Kind, u64_at};
use wanted::Wanted;

/// How the values of a chunk are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Codec {
    /// One value for all rows.
    Constant = 1,
    /// Series ids in order with the lengths of their runs; up to format version 2.
    Runs = 2,
    /// The `pco` crate: delta, bins and entropy coding for numbers of all kinds.
    Pco = 3,
    /// One bit a boolean.
    Bits = 4,
    /// The distinct strings, then a code a row.
    Dictionary = 5,
    /// Floats as integers over a power of ten.
    Decimal = 6,
    /// Integers bit-packed, as distances from a reference or from each other.
    Packed = 7,
    /// Integers entropy-coded, as distances from a reference or from each other; only of format version 2.
    Entropy = 8,
    /// Integers entropy-coded, part by part.
    Parts = 9,
    /// Numbers with the lengths of their runs.
    Repeats = 10,
    /// Integers in equal steps, stretch by stretch.
    Steps = 11,
    /// The same as [`Codec::Pco`], page by page.
    Pages = 12,
}

/// What a chunk is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// To be written fast: a seal.
    Fast,
    /// To be small: a compaction.
    Small,
}

impl Codec {
    fn from_u8(number: u8) -> Result<Codec, String> {
        use Codec::{Bits, Constant, Decimal, Dictionary, Entropy, Packed, Pages, Parts, Pco, Repeats, Runs, Steps};
        let all = [Constant, Runs, Pco, Bits, Dictionary, Decimal, Packed, Entropy, Parts, Repeats, Steps, Pages];
        let known = all.into_iter().find(|codec| *codec as u8 == number);
        known.ok_or_else(|| format!("unknown codec {number}"))
    }
}

/// Bytes of a chunk before the bitmap and the values.
const HEADER_BYTES: usize = 10;

/// A chunk around what `fill` writes, which also says with which codec.
fn chunk(validity: Option<&NullBuffer>, fill: impl FnOnce(&mut Vec<u8>) -> Codec) -> Vec<u8> {
    let mut chunk = vec![0; HEADER_BYTES];
    if let Some(validity) = validity {
        chunk[9] = 1;
        bits::encode(validity.inner(), &mut chunk);
    }
    chunk[8] = fill(&mut chunk) as u8;
    let checksum = xxh3_64(&chunk[8..]);
    chunk[..8].copy_from_slice(&checksum.to_le_bytes());
    chunk
}

/// The bytes of a chunk as they lie in a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stored<'a> {
    Version1(&'a [u8]),
    Current(&'a [u8]),
}

/// The series of a page's rows.
pub(crate) fn encode_series(series: &[u32], effort: Effort) -> Vec<u8> {
    chunk(None, |out| numbers::encode(series, effort, out))
}

/// The times of a page's rows.
pub(crate) fn encode_times(times: &[i64], effort: Effort) -> Vec<u8> {
    chunk(None, |out| numbers::encode(times, effort, out))
}

/// A field's values in a page. The array has at least one value.
pub(crate) fn encode_field(array: &ArrayRef, kind: FieldType, effort: Effort) -> Vec<u8> {
    let validity = array.nulls().filter(|nulls| nulls.null_count() > 0);
    chunk(validity, |out| match kind {
        FieldType::F64 => {
            let values = present(array.as_primitive::<Float64Type>());
            decimal::encode(&values, effort, out).unwrap_or_else(|| numbers::encode(&values, effort, out))
        }
        FieldType::I64 => numbers::encode(&present(array.as_primitive::<Int64Type>()), effort, out),
        FieldType::U64 => numbers::encode(&present(array.as_primitive::<UInt64Type>()), effort, out),
        FieldType::Bool => {
            let values: BooleanBuffer = array.as_boolean().iter().flatten().collect();
            match effort {
                Effort::Fast => bits::encode(&values, out),
                Effort::Small => numbers::encode(&values.iter().map(u32::from).collect::<Vec<_>>(), effort, out),
            }
        }
        FieldType::Str => text::encode(array.as_string::<i32>().iter().flatten(), effort, out),
    })
}

/// The values of the rows that have one.
fn present<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> Vec<T::Native> {
    match array.null_count() {
        0 => array.values().to_vec(),
        _ => array.iter().flatten().collect(),
    }
}

/// The parts of a checked chunk.
struct Chunk<'a> {
    codec: Codec,
    validity: Option<NullBuffer>,
    /// Values that are present: as many as rows, unless there is a validity bitmap.
    present: usize,
    /// Which of them are wanted.
    wanted: Wanted<'a>,
    values: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The same chunk, of which only these rows are wanted.
    fn of_rows(mut self, wanted: Wanted<'a>) -> Self {
        let Some(validity) = self.validity.take() else {
            return Chunk { wanted, ..self };
        };
        let rows = wanted.reach;
        let before = rows.start - validity.slice(0, rows.start).null_count();
        let validity = validity.slice(rows.start, rows.len());
        let wanted = Wanted::all(before..before + rows.len() - validity.null_count());
        Chunk { wanted, validity: Some(validity), ..self }
    }

    /// The values that are present and wanted, as numbers.
    fn numbers<N: numbers::Number>(&self) -> Result<Vec<N>, String> {
        numbers::decode(self.codec, self.values, self.present, &self.wanted)
    }
}

fn open(stored: Stored<'_>, rows: usize) -> Result<Chunk<'_>, String> {
    let (codec, has_bitmap, body, bitmap_bytes) = match stored {
        Stored::Current(bytes) => {
            let (header, body) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or("the chunk is cut off")?;
            let (got, expected) = (xxh3_64(&bytes[8..]), u64_at(header, 0));
            if got != expected {
                return Err(format!("checksum is {got:#018x}, expected {expected:#018x}"));
            }
            (header[8], header[9], body, rows.div_ceil(8))
        }
        Stored::Version1(bytes) => {
            let chunk = block::open(bytes, Kind::Chunk).map_err(|error| error.to_string())?;
            let body = &chunk[block::HEADER_BYTES..];
            let (header, body) = body.split_first_chunk::<8>().ok_or("the chunk is cut off")?;
            (header[0], header[1], body, block::padded(rows.div_ceil(8)))
        }
    };
    let codec = Codec::from_u8(codec)?;
    if has_bitmap == 0 {
        return Ok(Chunk { codec, validity: None, present: rows, wanted: Wanted::all(0..rows), values: body });
    }
    let (bitmap, values) = body.split_at_checked(bitmap_bytes).ok_or("validity bitmap runs past the end")?;
    let validity = NullBuffer::new(bits::decode(bitmap, rows)?);
    let present = rows - validity.null_count();
    Ok(Chunk { codec, validity: Some(validity), present, wanted: Wanted::all(0..present), values })
}

/// The series of a page of so many rows.
pub(crate) fn decode_series(stored: Stored<'_>, rows: usize) -> Result<ScalarBuffer<u32>, String> {
    let chunk = open(stored, rows)?;
    let series = match chunk.codec {
        Codec::Runs => runs::decode_version_2(chunk.values, rows)?,
        _ => chunk.numbers()?,
    };
    Ok(series.into())
}

/// The times of a page of so many rows.
pub(crate) fn decode_times(stored: Stored<'_>, rows: usize) -> Result<ScalarBuffer<i64>, String> {
    Ok(open(stored, rows)?.numbers()?.into())
}

/// The times of those of the rows `wanted` that may be between two times, and which rows these are: one range, which
/// has others, too, unless its codec tells without decoding.
pub(crate) fn decode_times_between(
    stored: Stored<'_>,
    rows: usize,
    wanted: Range<usize>,
    times: (i64, i64),
) -> Result<(Range<usize>, ScalarBuffer<i64>), String> {
    let chunk = open(stored, rows)?;
    let reach = match chunk.codec {
        Codec::Steps => steps::places_between(chunk.values, rows, wanted, times)?,
        _ => wanted,
    };
    Ok((reach.clone(), chunk.of_rows(Wanted::all(reach)).numbers()?.into()))
}

/// The rows `wanted` of a field's column of a page of so many rows, from the first of them to the last; what lies between
/// them and is not wanted can be anything.
pub(crate) fn decode_field(
    stored: Stored<'_>,
    rows: usize,
    wanted: &[Range<usize>],
    kind: FieldType,
) -> Result<ArrayRef, String> {
    let chunk = open(stored, rows)?.of_rows(Wanted::some(wanted));
    Ok(match kind {
        FieldType::F64 if chunk.codec == Codec::Decimal => {
            let values = decimal::decode(chunk.values, chunk.present, &chunk.wanted)?;
            number_array::<Float64Type>(values, chunk.validity)
        }
        FieldType::F64 => number_array::<Float64Type>(chunk.numbers()?, chunk.validity),
        FieldType::I64 => number_array::<Int64Type>(chunk.numbers()?, chunk.validity),
        FieldType::U64 => number_array::<UInt64Type>(chunk.numbers()?, chunk.validity),
        FieldType::Bool => {
            let values = match chunk.codec {
                Codec::Bits => bits::decode(chunk.values, chunk.wanted.reach.end)?
                    .slice(chunk.wanted.reach.start, chunk.wanted.reach.len()),
                _ => chunk.numbers::<u32>()?.into_iter().map(|bit| bit == 1).collect(),
            };
            match chunk.validity {
                None => Arc::new(BooleanArray::new(values, None)),
                Some(validity) => {
                    let mut values = values.iter();
                    let spread = validity.iter().map(|valid| valid && values.next() == Some(true)).collect();
                    Arc::new(BooleanArray::new(spread, Some(validity)))
                }
            }
        }
        FieldType::Str => {
            let mut values = text::decode(chunk.values, chunk.present, chunk.wanted.reach.clone())?.into_iter();
            Arc::new(match &chunk.validity {
                None => values.map(Some).collect::<StringArray>(),
                Some(validity) => {
                    validity.iter().map(|valid| if valid { values.next() } else { None }).collect::<StringArray>()
                }
            })
        }
    })
}

/// An array of the values, each in the place of a row that has one.
fn number_array<T: ArrowPrimitiveType>(values: Vec<T::Native>, validity: Option<NullBuffer>) -> ArrayRef {
    let spread: Vec<T::Native> = match &validity {
        None => values,
        Some(validity) => {
            let mut values = values.into_iter();
            let mut next = |valid| if valid { values.next().unwrap_or_default() } else { T::Native::default() };
            validity.iter().map(&mut next).collect()
        }
    };
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(Buffer::from_vec(spread)), validity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{Float64Array, Int64Array, UInt64Array};
    use proptest::prelude::*;

    fn round_trip(array: ArrayRef, kind: FieldType) {
        if array.null_count() == array.len() {
            return; // the segment leaves such a chunk out
        }
        for effort in [Effort::Fast, Effort::Small] {
            let bytes = encode_field(&array, kind, effort);
            let back =
                decode_field(Stored::Current(&bytes), array.len(), std::slice::from_ref(&(0..array.len())), kind)
                    .unwrap();
            assert_eq!(back.len(), array.len());
            let middle = array.len() / 3..array.len() / 2;
            let part = decode_field(Stored::Current(&bytes), array.len(), std::slice::from_ref(&middle), kind).unwrap();
            // Floats are equal by their bits.
            assert_eq!(part.to_data(), back.slice(middle.start, middle.len()).to_data());
            // Of some rows with others between them only they are known.
            let some = [array.len() / 5..array.len() / 4, array.len() / 2..array.len() * 2 / 3];
            let some: Vec<_> = some.into_iter().filter(|range| !range.is_empty()).collect();
            let reach = Wanted::some(&some).reach;
            let part = decode_field(Stored::Current(&bytes), array.len(), &some, kind).unwrap();
            assert_eq!(part.len(), reach.len());
            for range in some {
                let own = part.slice(range.start - reach.start, range.len());
                assert_eq!(own.to_data(), back.slice(range.start, range.len()).to_data());
            }
            // Floats are compared by their bits.
            if kind == FieldType::F64 {
                let bits = |array: &ArrayRef| -> Vec<Option<u64>> {
                    array.as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect()
                };
                assert_eq!(bits(&back), bits(&array));
            } else {
                assert_eq!(&back, &array);
            }
        }
    }

    fn floats() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1000i32..1000).prop_map(|n| f64::from(n) / 10.0),
            Just(-0.0),
            Just(f64::from_bits(0x7ff8_0000_dead_beef)),
        ]
    }

    proptest! {
        #[test]
        fn floats_come_back_to_the_bit(values in prop::collection::vec(prop::option::weighted(0.8, floats()), 1..300)) {
            round_trip(Arc::new(Float64Array::from(values)), FieldType::F64);
        }

        #[test]
        fn integers_come_back(values in prop::collection::vec(prop::option::weighted(0.9, any::<i64>()), 1..300)) {
            round_trip(Arc::new(Int64Array::from(values.clone())), FieldType::I64);
            let unsigned: UInt64Array = values.iter().map(|value| value.map(|v| v as u64)).collect();
            round_trip(Arc::new(unsigned), FieldType::U64);
        }

        #[test]
        fn booleans_and_strings_come_back(values in prop::collection::vec(prop::option::of("[a-c]{0,3}|ü"), 1..300)) {
            let bools: BooleanArray = values.iter().map(|value| value.as_ref().map(|v| v.len() > 1)).collect();
            round_trip(Arc::new(bools), FieldType::Bool);
            round_trip(Arc::new(StringArray::from(values)), FieldType::Str);
        }

        #[test]
        fn keys_come_back(mut series in prop::collection::vec(0u32..9, 1..300), times in prop::collection::vec(any::<i64>(), 1..300)) {
            series.sort_unstable();
            for effort in [Effort::Fast, Effort::Small] {
                prop_assert_eq!(&decode_series(Stored::Current(&encode_series(&series, effort)), series.len()).unwrap()[..], &series[..]);
                prop_assert_eq!(&decode_times(Stored::Current(&encode_times(&times, effort)), times.len()).unwrap()[..], &times[..]);
            }
        }
    }
}
