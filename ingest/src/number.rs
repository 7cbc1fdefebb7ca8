//! Numbers in the form that nearly all have: read while their end is looked for.
//!
//! Whatever is not plainly such a number is left to the parsers of the standard library; so these functions need not
//! know what is wrong with it.

use tsdb::Value;

/// What a float of so many digits behind the point is divided by.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// Integers of so many digits are exact floats, and such are the powers: their quotient is rounded once, as it should
/// be (Clinger: How to read floating point numbers accurately, PLDI 1990).
const FLOAT_DIGITS_MAX: usize = 15;
/// Integers of so many digits fit an i64.
const INTEGER_DIGITS_MAX: usize = 18;

/// The field value at `start` and where it ends, if it is `-12`, `1.5` or `42i`, with a separator behind it.
pub(crate) fn value(bytes: &[u8], start: usize) -> Option<(Value<'static>, usize)> {
    let negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let (integer, mut at) = digits(bytes, first, 0);
    let mut count = at - first;
    if count == 0 || count > INTEGER_DIGITS_MAX {
        return None;
    }
    let value = match bytes.get(at)? {
        b'i' => {
            at += 1;
            Value::I64(if negative { -(integer as i64) } else { integer as i64 })
        }
        next => {
            let (mut scaled, mut fraction) = (integer, 0);
            if *next == b'.' {
                let end;
                (scaled, end) = digits(bytes, at + 1, integer);
                fraction = end - at - 1;
                count += fraction;
                at = end;
                if fraction == 0 {
                    return None;
                }
            }
            if count > FLOAT_DIGITS_MAX {
                return None;
            }
            let float = scaled as f64 / POWERS[fraction];
            Value::F64(if negative { -float } else { float })
        }
    };
    matches!(bytes.get(at), Some(b',' | b' ' | b'\n' | b'\r')).then_some((value, at))
}

/// The timestamp at `start` and where the next line begins, if it is a whole number with nothing behind it.
pub(crate) fn time(bytes: &[u8], start: usize) -> Option<(i64, usize)> {
    let mut at = start;
    let mut number = 0u64;
    for _ in 0..2 {
        if let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()).and_then(|chunk| eight_digits(*chunk))
        {
            number = number * 100_000_000 + eight;
            at += 8;
        }
    }
    let (number, end) = digits(bytes, at, number);
    let count = end - start;
    (bytes.get(end) == Some(&b'\n') && (1..=INTEGER_DIGITS_MAX + 1).contains(&count))
        .then_some((i64::try_from(number).ok()?, end + 1))
}

/// Reads digits behind a number; wraps if there are too many.
#[inline]
fn digits(bytes: &[u8], start: usize, number: u64) -> (u64, usize) {
    let (mut number, mut at) = (number, start);
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (number, at)
}

/// Eight digits at once: neighbours are put together three times.
fn eight_digits(chunk: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(chunk);
    // Of '0' to '9' the upper half is 3, also with 6 added.
    let upper =
        (word & 0xf0f0_f0f0_f0f0_f0f0) | ((word.wrapping_add(0x0606_0606_0606_0606) & 0xf0f0_f0f0_f0f0_f0f0) >> 4);
    if upper != 0x3333_3333_3333_3333 {
        return None;
    }
    let ones = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(1 + (10_000 << 32)) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        for other in [
            "",
            "-",
            "1",
            "1e5,",
            ".5,",
            "1.,",
            "+1,",
            "1u,",
            "1ii,",
            "t,",
            "1i",
            "1234567890123456789i,",
            "1.234567890123456,",
        ] {
            assert!(value(other.as_bytes(), 0).is_none(), "{other}");
        }
        for other in
            ["", "\n", "-1\n", "1 \n", "1\r\n", "1", "9223372036854775808\n", "18446744073709551616\n", "12345678a\n"]
        {
            assert!(time(other.as_bytes(), 0).is_none(), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn plain_numbers_are_what_the_standard_library_says(text in "-?[0-9]{1,17}(\\.[0-9]{1,15})?", before in "[a-z ]{0,3}") {
            let line = format!("{before}{text},");
            match value(line.as_bytes(), before.len()) {
                Some((Value::F64(float), end)) => {
                    prop_assert_eq!((float.to_bits(), end), (text.parse::<f64>().unwrap().to_bits(), line.len() - 1));
                }
                other => prop_assert!(other.is_none() && text.len() > FLOAT_DIGITS_MAX, "{:?}", other),
            }
        }

        #[test]
        fn integers_and_times_are_what_the_standard_library_says(number: i64, short in -1000i64..1000) {
            for number in [number, short] {
                let line = format!("{number}i ");
                let expected = (number.unsigned_abs() < 1_000_000_000_000_000_000).then(|| (Value::I64(number), line.len() - 1));
                prop_assert_eq!(value(line.as_bytes(), 0), expected);
                let line = format!("{number}\n");
                prop_assert_eq!(time(line.as_bytes(), 0), (number >= 0).then_some((number, line.len())));
            }
        }
    }
}
