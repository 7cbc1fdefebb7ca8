//! Integers and floats: one value for all where that is so, otherwise the `pco` crate.

use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};

use super::Codec;

/// A number type that a chunk can hold.
pub(crate) trait Number: pco::data_types::Number + bytemuck::Pod + Default {}
impl Number for u32 {}
impl Number for i64 {}
impl Number for u64 {}
impl Number for f64 {}

pub(super) fn encode<N: Number>(values: &[N], out: &mut Vec<u8>) -> Codec {
    let first = bytemuck::bytes_of(&values[0]);
    if values.iter().all(|value| bytemuck::bytes_of(value) == first) {
        out.extend_from_slice(first);
        return Codec::Constant;
    }
    let compressed = simple_compress(values, &ChunkConfig::default());
    out.extend(compressed.expect("the configuration is valid and memory does not fail"));
    Codec::Pco
}

pub(super) fn decode<N: Number>(codec: Codec, bytes: &[u8], rows: usize) -> Result<Vec<N>, String> {
    match codec {
        Codec::Constant => {
            let value = bytes.get(..size_of::<N>()).ok_or("the constant is cut off")?;
            Ok(vec![bytemuck::pod_read_unaligned(value); rows])
        }
        Codec::Pco => {
            let values: Vec<N> = simple_decompress(bytes).map_err(|error| error.to_string())?;
            match values.len() == rows {
                true => Ok(values),
                false => Err(format!("{} values, expected {rows}", values.len())),
            }
        }
        other => Err(format!("numbers cannot be written as {other:?}")),
    }
}
