//! The rows of frames as an ordered source: what queries read of the head, and what a seal writes.

use arrow_array::ArrayRef;

use crate::error::Result;
use crate::frame::Frame;
use crate::rows::{Key, Pick, Rows, gather};
use crate::scan::Filter;

/// The rows of frames in key order, each key once, the later frame's values winning.
pub(crate) struct FrameRows {
    frames: Vec<Frame>,
    fields: Vec<u32>,
    /// Every row wanted, sorted.
    picks: Vec<Pick>,
    next: usize,
    /// The most rows that come together.
    rows_max: usize,
}

impl FrameRows {
    pub(crate) fn new(frames: Vec<Frame>, fields: Vec<u32>, filter: &Filter, rows_max: usize) -> FrameRows {
        let mut picks = Vec::new();
        for (source, frame) in frames.iter().enumerate() {
            for (row, (series, time)) in frame.series().iter().zip(frame.times()).enumerate() {
                if filter.meets_times(*time, *time) && filter.wants_series(*series) {
                    let key: Key = (*series, *time);
                    picks.push(Pick { key, source: source as u32, row: row as u32 });
                }
            }
        }
        picks.sort_unstable();
        FrameRows { frames, fields, picks, next: 0, rows_max }
    }
}

impl Iterator for FrameRows {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Result<Rows>> {
        let rest = &self.picks[self.next..];
        if rest.is_empty() {
            return None;
        }
        // All picks of the last key go with it.
        let mut end = rest.len().min(self.rows_max);
        while end < rest.len() && rest[end].key == rest[end - 1].key {
            end += 1;
        }
        self.next += end;
        // Only the frames that these rows are in.
        let mut picks = rest[..end].to_vec();
        let mut used: Vec<u32> = picks.iter().map(|pick| pick.source).collect();
        used.sort_unstable();
        used.dedup();
        for pick in &mut picks {
            pick.source = used.binary_search(&pick.source).expect("collected above") as u32;
        }
        let column = |field: &u32| used.iter().map(|source| self.frames[*source as usize].column(*field)).collect();
        let columns: Vec<Vec<Option<ArrayRef>>> = self.fields.iter().map(column).collect();
        Some(Ok(gather(&picks, &columns).expect("columns of one field have one type, and its offsets fit")))
    }
}
