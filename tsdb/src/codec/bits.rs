//! Booleans, and which rows have a value: one bit each, lowest first.

use arrow_buffer::{BooleanBuffer, Buffer};

use super::Codec;

pub(super) fn encode(bits: &BooleanBuffer, out: &mut Vec<u8>) -> Codec {
    out.extend_from_slice(bits.sliced().as_slice());
    Codec::Bits
}

pub(super) fn decode(bytes: &[u8], rows: usize) -> Result<BooleanBuffer, String> {
    match bytes.get(..rows.div_ceil(8)) {
        Some(bytes) => Ok(BooleanBuffer::new(Buffer::from(bytes), 0, rows)),
        None => Err(format!("{} bytes are too few for {rows} bits", bytes.len())),
    }
}
