//! Numbers that repeat: each with the length of its run.
//!
//! ```text
//! u8 codec of the numbers, LEB128 how many, LEB128 bytes, the numbers; u8 codec of the lengths, the lengths as numbers
//! ```

use std::ops::Range;

use super::numbers::{self, Number};
use super::wanted::Wanted;
use super::{Codec, Effort, leb128};

/// Runs shorter than this on average are not looked at.
pub(super) const MEAN_RUN_MIN: usize = 4;

pub(super) fn encode<N: Number>(values: &[N], effort: Effort, out: &mut Vec<u8>) {
    let runs = || values.chunk_by(N::is_same);
    let heads: Vec<N> = runs().map(|run| run[0]).collect();
    let lengths: Vec<u32> = runs().map(|run| run.len() as u32).collect();
    let mut bytes = Vec::new();
    out.push(numbers::encode_each(&heads, effort, &mut bytes) as u8);
    leb128::write(heads.len() as u64, out);
    leb128::write(bytes.len() as u64, out);
    out.append(&mut bytes);
    let codec = numbers::encode_each(&lengths, effort, &mut bytes);
    out.push(codec as u8);
    out.append(&mut bytes);
}

/// The numbers `wanted` of so many.
pub(super) fn decode<N: Number>(bytes: &[u8], count: usize, wanted: Range<usize>) -> Result<Vec<N>, String> {
    let cut = "the runs are cut off";
    let (heads_codec, mut bytes) = bytes.split_first().ok_or(cut)?;
    let runs = leb128::read(&mut bytes)? as usize;
    let length = leb128::read(&mut bytes)? as usize;
    let (heads, bytes) = bytes.split_at_checked(length).ok_or(cut)?;
    let (lengths_codec, lengths) = bytes.split_first().ok_or(cut)?;
    if runs > count {
        return Err(format!("{runs} runs of {count} numbers"));
    }
    let heads: Vec<N> = numbers::decode_each(Codec::from_u8(*heads_codec)?, heads, runs, &Wanted::all(0..runs))?;
    let lengths: Vec<u32> =
        numbers::decode_each(Codec::from_u8(*lengths_codec)?, lengths, runs, &Wanted::all(0..runs))?;
    if lengths.iter().map(|length| u64::from(*length)).sum::<u64>() != count as u64 {
        return Err(format!("the runs do not make {count} numbers"));
    }
    let mut values = Vec::with_capacity(wanted.len());
    let mut first = 0;
    for (head, length) in heads.into_iter().zip(lengths) {
        let end = first + length as usize;
        let here = first.max(wanted.start)..end.min(wanted.end);
        values.resize(values.len() + here.len(), head);
        first = end;
    }
    Ok(values)
}

/// Series ids as format version 2 has them: u32 id and u32 length of each run.
pub(super) fn decode_version_2(bytes: &[u8], rows: usize) -> Result<Vec<u32>, String> {
    let (pairs, rest) = bytes.as_chunks::<8>();
    let mut series = Vec::with_capacity(rows);
    for pair in pairs {
        let [id, length] = [0, 4].map(|at| crate::files::block::u32_at(pair, at));
        if length as usize > rows - series.len() {
            return Err(format!("runs are longer than {rows} rows"));
        }
        series.resize(series.len() + length as usize, id);
    }
    match series.len() == rows && rest.is_empty() {
        true => Ok(series),
        false => Err(format!("runs make {} rows, expected {rows}", series.len())),
    }
}
