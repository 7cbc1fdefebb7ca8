//! Series ids in order: each id with the length of its run, unless the runs are short.

use super::{Codec, Effort, numbers};

/// Runs shorter than this on average are left to the codec for numbers.
const MEAN_RUN_MIN: usize = 4;

pub(super) fn encode(series: &[u32], effort: Effort, out: &mut Vec<u8>) -> Codec {
    let runs = series.chunk_by(|a, b| a == b);
    if runs.clone().count() * MEAN_RUN_MIN > series.len() {
        return numbers::encode(series, effort, out);
    }
    for run in runs {
        out.extend(run[0].to_le_bytes());
        out.extend((run.len() as u32).to_le_bytes());
    }
    Codec::Runs
}

pub(super) fn decode(bytes: &[u8], rows: usize) -> Result<Vec<u32>, String> {
    let (pairs, rest) = bytes.as_chunks::<8>();
    let mut series = Vec::with_capacity(rows);
    for pair in pairs {
        let [id, length] = [0, 4].map(|at| crate::block::u32_at(pair, at));
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
