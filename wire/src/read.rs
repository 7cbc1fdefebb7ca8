//! Messages that are read: fields one after the other, nothing copied. Those that a reader does not know are stepped over.

/// What a field holds on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Wire<'a> {
    /// A varint: integers, booleans, enumerations.
    Varint(u64),
    /// Eight bytes: doubles, fixed64.
    Eight(u64),
    /// A length and so many bytes: strings, messages, packed repeated numbers.
    Bytes(&'a [u8]),
    /// Four bytes: floats, fixed32.
    Four(u32),
}

/// Why bytes are no message.
pub type Error = String;

/// The fields of a message.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    /// The fields of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Message<'a> {
        Message { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The number and the content of the next field; `None` at the end.
    ///
    /// # Errors
    ///
    /// The bytes are no field.
    #[inline(always)]
    #[expect(clippy::should_implement_trait, reason = "a field can be wrong")]
    pub fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| format!("{} is no number of a field", key >> 3))?;
        let wire = match key & 7 {
            0 => Wire::Varint(varint(&mut self.rest)?),
            1 => Wire::Eight(u64::from_le_bytes(self.fixed(number)?)),
            2 => {
                let length = varint(&mut self.rest)?;
                let length = usize::try_from(length).ok().filter(|length| *length <= self.rest.len());
                let length = length.ok_or_else(|| format!("field {number} is longer than its message"))?;
                let (bytes, rest) = self.rest.split_at(length);
                self.rest = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Four(u32::from_le_bytes(self.fixed(number)?)),
            other => return Err(format!("field {number} has wire type {other}, which is not known")),
        };
        Ok(Some((number, wire)))
    }

    fn fixed<const N: usize>(&mut self, number: u32) -> Result<[u8; N], Error> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| format!("field {number} breaks off"))?;
        self.rest = rest;
        Ok(*bytes)
    }
}

impl<'a> Wire<'a> {
    /// A message.
    ///
    /// # Errors
    ///
    /// It is something else; `what` says of what.
    #[inline]
    pub fn message(self, what: &str) -> Result<Message<'a>, Error> {
        self.bytes(what).map(Message::new)
    }

    /// Bytes as they are.
    ///
    /// # Errors
    ///
    /// It is something else; `what` says of what.
    #[inline]
    pub fn bytes(self, what: &str) -> Result<&'a [u8], Error> {
        match self {
            Wire::Bytes(bytes) => Ok(bytes),
            _ => Err(self.unfit(what, "bytes")),
        }
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// It is something else; `what` says of what.
    #[inline]
    pub fn text(self, what: &str) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes(what)?).map_err(|error| format!("{what} is not UTF-8: {error}"))
    }

    /// An integer.
    ///
    /// # Errors
    ///
    /// It is something else; `what` says of what.
    #[inline]
    pub fn varint(self, what: &str) -> Result<u64, Error> {
        match self {
            Wire::Varint(number) => Ok(number),
            _ => Err(self.unfit(what, "a varint")),
        }
    }

    /// A signed integer, as small ones of both signs are written.
    ///
    /// # Errors
    ///
    /// It is something else; `what` says of what.
    #[inline]
    pub fn zigzag(self, what: &str) -> Result<i64, Error> {
        self.varint(what).map(zigzag)
    }

    /// An integer of eight bytes.
    ///
    /// # Errors
    ///
    /// It is something else; `what` says of what.
    #[inline]
    pub fn fixed64(self, what: &str) -> Result<u64, Error> {
        match self {
            Wire::Eight(number) => Ok(number),
            _ => Err(self.unfit(what, "8 bytes")),
        }
    }

    /// A float.
    ///
    /// # Errors
    ///
    /// It is something else; `what` says of what.
    #[inline]
    pub fn double(self, what: &str) -> Result<f64, Error> {
        self.fixed64(what).map(f64::from_bits)
    }

    fn unfit(self, what: &str, expected: &str) -> Error {
        format!("{what}: expected {expected}, found {self:?}")
    }

    /// Reads a repeated number, packed or not.
    ///
    /// # Errors
    ///
    /// It is something else.
    #[inline]
    pub fn numbers(self, what: &str, mut take: impl FnMut(u64)) -> Result<(), Error> {
        match self {
            Wire::Varint(number) | Wire::Eight(number) => take(number),
            Wire::Four(number) => take(number.into()),
            Wire::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    take(varint(&mut bytes).map_err(|error| format!("{what}: {error}"))?);
                }
            }
        }
        Ok(())
    }

    /// Reads a repeated number of eight bytes, packed or not.
    ///
    /// # Errors
    ///
    /// It is something else.
    #[inline]
    pub fn fixed64s(self, what: &str, mut take: impl FnMut(u64)) -> Result<(), Error> {
        let Wire::Bytes(bytes) = self else { return self.fixed64(what).map(take) };
        let (numbers, rest) = bytes.as_chunks();
        numbers.iter().for_each(|number| take(u64::from_le_bytes(*number)));
        if rest.is_empty() { Ok(()) } else { Err(format!("{what}: {} bytes are not numbers of 8", bytes.len())) }
    }
}

/// Signed numbers as small unsigned ones: 0, -1, 1, -2, 2.
#[must_use]
#[inline]
pub fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// The varint that fills all of `bytes`, if it does.
#[must_use]
#[inline]
pub fn whole_varint(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 9 {
        return None;
    }
    let (last, others) = bytes.split_last()?;
    let mut number = u64::from(*last);
    let mut is_whole = *last < 0x80;
    for byte in others.iter().rev() {
        number = number << 7 | u64::from(byte & 0x7f);
        is_whole &= *byte >= 0x80;
    }
    is_whole.then_some(number)
}

#[inline(always)]
fn varint(bytes: &mut &[u8]) -> Result<u64, Error> {
    if let Some((first, rest)) = bytes.split_first()
        && *first < 0x80
    {
        *bytes = rest;
        return Ok(u64::from(*first));
    }
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Ok(number);
        }
    }
    Err(if bytes.len() < 10 { "a varint breaks off".into() } else { "a varint of more than 10 bytes".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_type_is_read() {
        // 1: varint 300; 2: "hi"; 3: double 1.5; 4: fixed32 7; 5: packed 1, 300.
        let mut bytes = vec![0x08, 0xac, 0x02, 0x12, 2, b'h', b'i', 0x19];
        bytes.extend(1.5f64.to_le_bytes());
        bytes.extend([0x25, 7, 0, 0, 0, 0x2a, 3, 1, 0xac, 0x02]);
        let mut message = Message::new(&bytes);
        let mut next = || message.next().unwrap().unwrap();
        assert_eq!(next().1.varint("a").unwrap(), 300);
        assert_eq!(next().1.text("b").unwrap(), "hi");
        assert_eq!(next().1.double("c").unwrap(), 1.5);
        assert!(matches!(next(), (4, Wire::Four(7))));
        let mut numbers = Vec::new();
        next().1.numbers("e", |number| numbers.push(number)).unwrap();
        assert_eq!(numbers, [1, 300]);
        assert!(message.next().unwrap().is_none());
        for bytes in [&[0x05][..], &[0xac, 0x02], &[0xe8, 0x87, 0x9f, 0xa6, 0xed, 0x33]] {
            let mut rest = bytes;
            assert_eq!((whole_varint(bytes), rest.len()), (varint(&mut rest).ok(), bytes.len()));
        }
        for bytes in [&[][..], &[0x80], &[0x05, 0x05], &[0xff; 12]] {
            assert_eq!(whole_varint(bytes), None);
        }
        assert_eq!([0, 1, 2, 3, u64::MAX].map(zigzag), [0, -1, 1, -2, i64::MIN]);
    }

    #[test]
    fn what_breaks_off_is_refused() {
        for bytes in [&[0x08][..], &[0x08, 0x80], &[0x12, 5, 1], &[0x19, 1, 2], &[0x0b], &[0x00, 0x00], &[0xff; 11]] {
            assert!(Message::new(bytes).next().is_err(), "{bytes:?}");
        }
    }
}
