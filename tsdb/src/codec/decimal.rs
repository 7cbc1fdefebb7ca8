//! Floats that are decimals of few digits, as people and most programs write them: as integers times a power of ten.
//!
//! `12.345` has 53 bits of noise as a float and 14 bits of meaning as `12345 / 10^3`. The idea is that of ALP
//! (Afroozeh, Kuffó, Boncz: ALP: Adaptive Lossless floating-Point Compression, Proc. ACM Manag. Data 1(4), 2023): the
//! few values that are no such decimal are exceptions, and stand beside the others as they are.
//!
//! ```text
//! u8 exponent, and 128 if there are exceptions; if so: LEB128 how many, of each LEB128 values since the one before,
//! then of each the u64 bits;
//! u8 codec of the integers, the integers as numbers
//! ```

use super::wanted::Wanted;
use super::{Codec, Effort, leb128, numbers};
use crate::files::block::u64_at;

/// Digits behind the point that are tried.
const EXPONENT_MAX: u8 = 14;
/// Larger integers are not all floats.
const INTEGER_MAX: f64 = (1u64 << 53) as f64;
/// The bit of the exponent's byte that says that exceptions follow.
const EXCEPTIONS: u8 = 128;
/// Among so many values there may be one exception; if there are more, the values are no decimals.
const VALUES_PER_EXCEPTION_MIN: usize = 8;
/// About what an exception takes, and what another digit adds to every other value.
const EXCEPTION_BITS: f64 = 80.0;
const DIGIT_BITS: f64 = std::f64::consts::LOG2_10;

/// Writes the values if nearly all of them are decimals.
pub(super) fn encode(values: &[f64], effort: Effort, out: &mut Vec<u8>) -> Option<Codec> {
    let Scaled { exponent, integers, exceptions } = scale(values)?;
    out.push(exponent | if exceptions.is_empty() { 0 } else { EXCEPTIONS });
    if !exceptions.is_empty() {
        leb128::write(exceptions.len() as u64, out);
        let mut last = 0;
        exceptions.iter().for_each(|at| leb128::write((at - std::mem::replace(&mut last, *at)) as u64, out));
        exceptions.iter().for_each(|at| out.extend(values[*at].to_bits().to_le_bytes()));
    }
    let codec_at = out.len();
    out.push(0);
    out[codec_at] = numbers::encode(&integers, effort, out) as u8;
    Some(Codec::Decimal)
}

/// The values `wanted` of so many.
pub(super) fn decode(bytes: &[u8], count: usize, wanted: &Wanted) -> Result<Vec<f64>, String> {
    let (first, mut bytes) = bytes.split_first().ok_or("the exponent is cut off")?;
    let exponent = first & !EXCEPTIONS;
    if exponent > EXPONENT_MAX {
        return Err(format!("exponent {exponent} is larger than {EXPONENT_MAX}"));
    }
    let mut exceptions = Vec::new();
    if first & EXCEPTIONS != 0 {
        let number = leb128::read(&mut bytes)?.min(count as u64) as usize;
        let mut at = 0usize;
        for _ in 0..number {
            at = at.saturating_add(leb128::read(&mut bytes)? as usize);
            exceptions.push(at);
        }
    }
    let (bits, bytes) = bytes.split_at_checked(exceptions.len() * 8).ok_or("the exceptions are cut off")?;
    let (codec, bytes) = bytes.split_first().ok_or("the codec of the integers is cut off")?;
    let integers: Vec<i64> = numbers::decode(Codec::from_u8(*codec)?, bytes, count, wanted)?;
    let mut values = floats(integers, power(exponent));
    for (index, at) in exceptions.into_iter().enumerate().filter(|(_, at)| wanted.reach.contains(at)) {
        values[at - wanted.reach.start] = f64::from_bits(u64_at(bits, index * 8));
    }
    Ok(values)
}

/// The integers over a power of ten, in their place.
fn floats(mut integers: Vec<i64>, power: f64) -> Vec<f64> {
    // Up to 2^51 an integer is the lowest bits of a float's mantissa; processors do that to several at a time, which
    // they do not convert.
    const LIMIT: i64 = 1 << 51;
    const MIDDLE: f64 = (3i64 << 51) as f64;
    let is_small = integers.iter().fold(0, |all, integer| all | integer.wrapping_add(LIMIT)) as u64 >> 52 == 0;
    let float = |integer: i64| f64::from_bits(MIDDLE.to_bits().wrapping_add_signed(integer)) - MIDDLE;
    match (is_small, power == 1.0) {
        // What a division by one would take is more than all the rest.
        (true, true) => replace(&mut integers, float),
        (true, false) => replace(&mut integers, |integer| float(integer) / power),
        (false, _) => replace(&mut integers, |integer| integer as f64 / power),
    }
    bytemuck::cast_vec(integers)
}

/// Puts the bits of a float in the place of each integer.
fn replace(integers: &mut [i64], float: impl Fn(i64) -> f64) {
    integers.iter_mut().for_each(|integer| *integer = float(*integer).to_bits().cast_signed());
}

fn power(exponent: u8) -> f64 {
    10f64.powi(i32::from(exponent)) // exact up to 10^22
}

/// The integer that comes back as the value to the bit.
fn integer(value: f64, power: f64) -> Option<i64> {
    let integer = (value * power).round();
    // NaN is not below either; -0.0 comes back from no integer.
    (integer.abs() < INTEGER_MAX && (integer as i64 as f64 / power).to_bits() == value.to_bits())
        .then_some(integer as i64)
}

/// Values as integers over a power of ten.
#[derive(Debug, PartialEq)]
struct Scaled {
    exponent: u8,
    /// In the place of an exception stands the integer before.
    integers: Vec<i64>,
    exceptions: Vec<usize>,
}

fn scale(values: &[f64]) -> Option<Scaled> {
    let sample = numbers::sample(values);
    let scaled = scale_to(values, cheapest_exponent(&sample)?);
    // The sample did not say what the values are like.
    let misled = sample.len() < values.len() && scaled.exceptions.len() * 8 * VALUES_PER_EXCEPTION_MIN > values.len();
    let scaled = if misled { scale_to(values, cheapest_exponent(values)?) } else { scaled };
    (scaled.exceptions.len() * VALUES_PER_EXCEPTION_MIN <= values.len()).then_some(scaled)
}

/// The exponent with which decimals and exceptions take the fewest bits, if there are not too many exceptions.
fn cheapest_exponent(values: &[f64]) -> Option<u8> {
    let mut best = None;
    for exponent in 0..=EXPONENT_MAX {
        let power = power(exponent);
        let exceptions = values.iter().filter(|value| integer(**value, power).is_none()).count();
        let bits =
            exceptions as f64 * EXCEPTION_BITS + (values.len() - exceptions) as f64 * f64::from(exponent) * DIGIT_BITS;
        let allowed = exceptions * VALUES_PER_EXCEPTION_MIN <= values.len();
        if allowed && best.is_none_or(|(least, _)| bits < least) {
            best = Some((bits, exponent));
        }
        // More digits only cost more.
        if exceptions == 0 {
            break;
        }
    }
    best.map(|(_, exponent)| exponent)
}

fn scale_to(values: &[f64], exponent: u8) -> Scaled {
    let power = power(exponent);
    let mut scaled = Scaled { exponent, integers: Vec::with_capacity(values.len()), exceptions: Vec::new() };
    let mut last = values.iter().find_map(|value| integer(*value, power)).unwrap_or(0);
    for (at, value) in values.iter().enumerate() {
        match integer(*value, power) {
            Some(integer) => last = integer,
            None => scaled.exceptions.push(at),
        }
        scaled.integers.push(last);
    }
    scaled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(exponent: u8, integers: &[i64], exceptions: &[usize]) -> Option<Scaled> {
        Some(Scaled { exponent, integers: integers.to_vec(), exceptions: exceptions.to_vec() })
    }

    #[test]
    fn decimals_are_found_with_as_few_digits_as_they_have() {
        assert_eq!(scale(&[1.0, -20.0]), scaled(0, &[1, -20], &[]));
        assert_eq!(scale(&[0.1, 12.345, -7.0]), scaled(3, &[100, 12_345, -7_000], &[]));
    }

    proptest::proptest! {
        #[test]
        fn integers_are_converted_exactly(small: Vec<i32>, large: Vec<i64>, shift in 0u32..64) {
            let shifted: Vec<i64> = large.iter().map(|integer| integer >> shift).collect();
            let edges = vec![(1 << 51) - 1, -(1i64 << 51), 0, -1];
            for integers in [small.into_iter().map(i64::from).collect(), large, shifted, edges, vec![1 << 51]] {
                for power in [1.0, 1000.0] {
                    let plain: Vec<f64> = integers.iter().map(|integer| *integer as f64 / power).collect();
                    proptest::prop_assert_eq!(floats(integers.clone(), power), plain);
                }
            }
        }
    }

    #[test]
    fn what_is_no_decimal_is_an_exception_unless_there_are_many() {
        for odd in [1.0 / 3.0, f64::NAN, f64::INFINITY, -0.0, 1e300, f64::MIN_POSITIVE] {
            assert_eq!(scale(&[1.5, odd]), None, "{odd}");
            let mut values = vec![1.5; 16];
            values[7] = odd;
            assert_eq!(scale(&values), scaled(1, &[15; 16], &[7]), "{odd}");
            values[0] = odd;
            let mut out = Vec::new();
            assert_eq!(encode(&values, Effort::Small, &mut out), Some(Codec::Decimal));
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&decode(&out, 16, &Wanted::all(0..16)).unwrap()), bits(&values));
            assert_eq!(bits(&decode(&out, 16, &Wanted::all(7..9)).unwrap()), bits(&values[7..9]));
        }
    }

    #[test]
    fn a_value_of_many_digits_does_not_stretch_the_others() {
        let mut values: Vec<f64> = (0..100).map(f64::from).collect();
        values[50] = 0.123_456_789_012;
        assert_eq!(scale(&values).unwrap().exceptions, [50]);
    }

    #[test]
    fn values_beside_the_sample_count_too() {
        let mut values: Vec<f64> = (0..8192).map(f64::from).collect();
        values[300..2000].iter_mut().for_each(|value| *value += 0.5);
        let scaled = scale(&values).unwrap();
        assert_eq!((scaled.exponent, scaled.exceptions.len()), (1, 0));
    }
}
