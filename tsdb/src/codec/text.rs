//! Strings: the distinct ones in the order of their first use, then the code of each row.
//!
//! ```text
//! u32 count, count x u32 length, the texts one behind the other,
//! u8 codec of the codes, the codes as numbers
//! ```

use std::collections::HashMap;
use std::ops::Range;

use super::wanted::Wanted;
use super::{Codec, Effort, numbers};
use crate::files::block::u32_at;

pub(super) fn encode<'a>(values: impl Iterator<Item = &'a str>, effort: Effort, out: &mut Vec<u8>) -> Codec {
    let (mut code_of, mut distinct) = (HashMap::new(), Vec::new());
    let codes: Vec<u32> = values
        .map(|value| {
            *code_of.entry(value).or_insert_with(|| {
                distinct.push(value);
                distinct.len() as u32 - 1
            })
        })
        .collect();
    out.extend((distinct.len() as u32).to_le_bytes());
    distinct.iter().for_each(|text| out.extend((text.len() as u32).to_le_bytes()));
    distinct.iter().for_each(|text| out.extend(text.as_bytes()));
    let codec_at = out.len();
    out.push(0);
    out[codec_at] = numbers::encode(&codes, effort, out) as u8;
    Codec::Dictionary
}

/// The texts `wanted` of so many.
pub(super) fn decode(bytes: &[u8], rows: usize, wanted: Range<usize>) -> Result<Vec<&str>, String> {
    if bytes.len() < 4 {
        return Err("the dictionary is cut off".into());
    }
    let (count, bytes) = (u32_at(bytes, 0) as usize, &bytes[4..]);
    let (lengths, mut bytes) = bytes.split_at_checked(count * 4).ok_or("the dictionary's lengths are cut off")?;
    let mut distinct = Vec::with_capacity(count);
    for index in 0..count {
        let (text, rest) =
            bytes.split_at_checked(u32_at(lengths, index * 4) as usize).ok_or("the dictionary's texts are cut off")?;
        distinct.push(std::str::from_utf8(text).map_err(|error| error.to_string())?);
        bytes = rest;
    }
    let (codec, bytes) = bytes.split_first().ok_or("the codes are missing")?;
    let codes: Vec<u32> = numbers::decode(Codec::from_u8(*codec)?, bytes, rows, &Wanted::all(wanted))?;
    let text_of = |code: &u32| distinct.get(*code as usize).copied();
    codes.iter().map(text_of).collect::<Option<_>>().ok_or_else(|| "a code is not in the dictionary".into())
}
