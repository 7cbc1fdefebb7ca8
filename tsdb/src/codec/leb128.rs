//! Numbers in as many bytes as they need: seven bits a byte, the lowest first (LEB128, as in DWARF).

pub(crate) fn write(mut number: u64, out: &mut Vec<u8>) {
    while number > 127 {
        out.push(number as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The number at the start of `bytes`, which then start behind it.
pub(crate) fn read(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 127) << (7 * at);
        if *byte < 128 {
            *bytes = &bytes[at + 1..];
            return Ok(number);
        }
    }
    Err("a number is cut off".into())
}

/// Signed as unsigned, small as small: 0, -1, 1, -2, ...
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn numbers_come_back(number: u64, signed: i64, rest: Vec<u8>) {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            write(zigzag(signed), &mut bytes);
            bytes.extend(&rest);
            let mut input = &bytes[..];
            proptest::prop_assert_eq!(read(&mut input).unwrap(), number);
            proptest::prop_assert_eq!(unzigzag(read(&mut input).unwrap()), signed);
            proptest::prop_assert_eq!(input, &rest[..]);
        }
    }
}
