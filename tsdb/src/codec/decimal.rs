//! Floats that are decimals of few digits, as people and most programs write them: as integers times a power of ten.
//!
//! `12.345` has 53 bits of noise as a float and 14 bits of meaning as `12345 / 10^3`. The idea is that of ALP
//! (Afroozeh, Kuffó, Boncz: ALP: Adaptive Lossless floating-Point Compression, Proc. ACM Manag. Data 1(4), 2023),
//! without its exceptions: where a single value is no such decimal, the whole chunk is left to the codec for numbers.
//!
//! ```text
//! u8 exponent, u8 codec of the integers, the integers as numbers
//! ```

use super::{Codec, Effort, numbers};

/// Digits behind the point that are tried.
const EXPONENT_MAX: u8 = 14;
/// Larger integers are not all floats.
const INTEGER_MAX: f64 = (1u64 << 53) as f64;

/// Writes the values if each of them is a decimal.
pub(super) fn encode(values: &[f64], effort: Effort, out: &mut Vec<u8>) -> Option<Codec> {
    let (exponent, integers) = scale(values)?;
    out.push(exponent);
    let codec_at = out.len();
    out.push(0);
    out[codec_at] = numbers::encode(&integers, effort, out) as u8;
    Some(Codec::Decimal)
}

/// The first `wanted` of so many values.
pub(super) fn decode(bytes: &[u8], count: usize, wanted: usize) -> Result<Vec<f64>, String> {
    let ([exponent, codec], bytes) = bytes.split_first_chunk().ok_or("the exponent is cut off")?;
    if *exponent > EXPONENT_MAX {
        return Err(format!("exponent {exponent} is larger than {EXPONENT_MAX}"));
    }
    let integers: Vec<i64> = numbers::decode(Codec::from_u8(*codec)?, bytes, count, wanted)?;
    let power = power(*exponent);
    Ok(integers.into_iter().map(|integer| integer as f64 / power).collect())
}

fn power(exponent: u8) -> f64 {
    10f64.powi(i32::from(exponent)) // exact up to 10^22
}

/// The smallest exponent with which every value comes back to the bit, and the integers.
fn scale(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let mut exponent = 0;
    'wider: loop {
        let power = power(exponent);
        let mut integers = Vec::with_capacity(values.len());
        for value in values {
            let integer = (value * power).round();
            let too_large = integer.is_nan() || integer.abs() >= INTEGER_MAX;
            // -0.0 comes back from no integer either.
            if too_large || (integer as i64 as f64 / power).to_bits() != value.to_bits() {
                if too_large || exponent == EXPONENT_MAX {
                    return None;
                }
                exponent += 1;
                continue 'wider;
            }
            integers.push(integer as i64);
        }
        return Some((exponent, integers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_found_with_as_few_digits_as_they_have() {
        assert_eq!(scale(&[1.0, -20.0]), Some((0, vec![1, -20])));
        assert_eq!(scale(&[0.1, 12.345, -7.0]), Some((3, vec![100, 12_345, -7_000])));
        for odd in [1.0 / 3.0, f64::NAN, f64::INFINITY, -0.0, 1e300, f64::MIN_POSITIVE] {
            assert_eq!(scale(&[1.5, odd]), None, "{odd}");
        }
    }
}
