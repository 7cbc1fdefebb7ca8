//! Messages that are written.

/// A message under way.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An integer. Signed ones are written as what their bits are unsigned.
    pub fn varint(&mut self, field: u32, number: u64) {
        self.key(field, 0);
        put_varint(&mut self.0, number);
    }

    /// A signed integer, small ones of both signs in few bytes.
    pub fn zigzag(&mut self, field: u32, number: i64) {
        self.varint(field, to_zigzag(number));
    }

    /// A float.
    pub fn double(&mut self, field: u32, number: f64) {
        self.key(field, 1);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Floats, packed; nothing where there are none.
    pub fn doubles(&mut self, field: u32, numbers: &[f64]) {
        if !numbers.is_empty() {
            self.key(field, 2);
            put_varint(&mut self.0, 8 * numbers.len() as u64);
            numbers.iter().for_each(|number| self.0.extend_from_slice(&number.to_le_bytes()));
        }
    }

    /// Bytes, or a text.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        put_varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message within this one.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// How many bytes it has so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is nothing written yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u32, kind: u64) {
        put_varint(&mut self.0, u64::from(field) << 3 | kind);
    }
}

/// Adds an integer in as few bytes as it needs, seven bits each.
pub fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A signed number as an unsigned one, small ones of both signs as small ones: what [`zigzag`](crate::zigzag) reads.
#[must_use]
pub fn to_zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        let signed = [0, -1, 1, i64::MIN, i64::MAX];
        signed.iter().for_each(|number| writer.zigzag(1, *number));
        writer.varint(2, u64::MAX);
        writer.double(3, -0.5);
        writer.doubles(4, &[1.0, f64::INFINITY]);
        writer.doubles(5, &[]);
        let bytes = writer.finish();
        let mut message = Message::new(&bytes);
        let mut next = || message.next().unwrap().unwrap();
        assert_eq!(signed.map(|_| next().1.zigzag("").unwrap()), signed);
        assert_eq!((next().1.varint("").unwrap(), next().1.double("").unwrap()), (u64::MAX, -0.5));
        let mut numbers = Vec::new();
        next().1.fixed64s("", |number| numbers.push(f64::from_bits(number))).unwrap();
        assert_eq!(numbers, [1.0, f64::INFINITY]);
        assert!(message.next().unwrap().is_none());
    }
}
