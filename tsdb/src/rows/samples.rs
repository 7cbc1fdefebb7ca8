//! Samples: rows of many tables that have one float each, in one checksummed block.
//!
//! A request of a thousand metrics with a value each is one block of some tens of kilobytes, not a thousand frames. The
//! rows are grouped by table and field; what is read of a group is a [`Frame`] over the block's own bytes.
//! `docs/format.md` has the layout byte by byte.

use bytes::Bytes;

use crate::files::aligned::aligned;
use crate::files::block::{self, HEADER_BYTES, Kind, u32_at};
use crate::rows::frame::Frame;

/// Bytes of the block's own header, behind the block header.
const SAMPLES_HEADER_BYTES: usize = 8;
/// Bytes of one group's entry in the block.
const GROUP_BYTES: usize = 12;

/// A checked block of samples. Cloning shares the bytes.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    bytes: Bytes,
    groups: usize,
    pub rows: usize,
}

/// The rows of one field of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    table: u32,
    field: u32,
    first_row: usize,
}

impl Samples {
    /// The samples in `bytes`, which [`block::open`] has already found whole; `bytes` must be [`aligned`].
    ///
    /// Checks every group, so that no later access can go wrong.
    pub(crate) fn parse(bytes: Bytes) -> Result<Samples, String> {
        let header = bytes.get(HEADER_BYTES..HEADER_BYTES + SAMPLES_HEADER_BYTES).ok_or("no header of samples")?;
        let (groups, rows) = (u32_at(header, 0) as usize, u32_at(header, 4) as usize);
        let samples = Samples { bytes, groups, rows };
        if samples.values_at() + rows * 8 > samples.bytes.len() {
            return Err(format!("{groups} groups of {rows} rows run past the end"));
        }
        let mut before: Option<Group> = None;
        for group in (0..groups).map(|at| samples.group(at)) {
            let follows = before.is_none_or(|before| {
                (before.table, before.field) < (group.table, group.field) && before.first_row < group.first_row
            });
            if !follows || before.is_none() && group.first_row > 0 || group.first_row >= rows {
                return Err(format!("the group of table {} is out of order", group.table));
            }
            before = Some(group);
        }
        match before.is_none() && rows > 0 {
            true => Err("rows without a group".into()),
            false => Ok(samples),
        }
    }

    fn group(&self, at: usize) -> Group {
        let entry = &self.bytes[HEADER_BYTES + SAMPLES_HEADER_BYTES + at * GROUP_BYTES..];
        Group { table: u32_at(entry, 0), field: u32_at(entry, 4), first_row: u32_at(entry, 8) as usize }
    }

    fn series_at(&self) -> usize {
        HEADER_BYTES + SAMPLES_HEADER_BYTES + block::padded(self.groups * GROUP_BYTES)
    }

    fn times_at(&self) -> usize {
        self.series_at() + block::padded(self.rows * 4)
    }

    fn values_at(&self) -> usize {
        self.times_at() + self.rows * 8
    }

    /// The tables that have samples here, each once for every field.
    pub(crate) fn tables(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.groups).map(|at| self.group(at).table)
    }

    /// The rows of a table, one frame a field.
    pub(crate) fn frames_of(&self, table: u32) -> impl Iterator<Item = Frame> + '_ {
        let (mut first, mut last) = (0, self.groups);
        while first < last {
            let middle = first.midpoint(last);
            match self.group(middle).table < table {
                true => first = middle + 1,
                false => last = middle,
            }
        }
        (first..self.groups).take_while(move |at| self.group(*at).table == table).map(|at| self.frame(at))
    }

    /// The rows of every table.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        (0..self.groups).map(|at| self.frame(at))
    }

    fn frame(&self, at: usize) -> Frame {
        let Group { table, field, first_row } = self.group(at);
        let end = if at + 1 < self.groups { self.group(at + 1).first_row } else { self.rows };
        let (series_at, times_at) = (self.series_at() + first_row * 4, self.times_at() + first_row * 8);
        Frame::of_samples(
            &self.bytes,
            table,
            field,
            end - first_row,
            [series_at, times_at, self.values_at() + first_row * 8],
        )
    }

    /// The whole block, as the log stores it, padding included.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Stands for no run.
pub(crate) const NO_RUN: u32 = u32::MAX;

/// Collects samples, in runs of one table and field.
#[derive(Debug, Default)]
pub(crate) struct SamplesBuilder {
    runs: Vec<Run>,
    series: Vec<u32>,
    times: Vec<i64>,
    values: Vec<f64>,
}

/// Samples of one field of one table that came one after the other.
#[derive(Debug, Clone, Copy)]
struct Run {
    group: Group,
    /// The run of the same table before it.
    previous: u32,
    /// Its rows were taken out.
    is_void: bool,
}

impl SamplesBuilder {
    /// Starts a run of a table, whose run before was `previous`; gives its number.
    pub(crate) fn start_run(&mut self, table: u32, field: u32, previous: u32) -> u32 {
        let group = Group { table, field, first_row: self.times.len() };
        self.runs.push(Run { group, previous, is_void: false });
        (self.runs.len() - 1) as u32
    }

    /// Adds a row to the run that was started last.
    #[inline]
    pub(crate) fn push(&mut self, series: u32, time: i64, value: f64) {
        self.series.push(series);
        self.times.push(time);
        self.values.push(value);
    }

    fn end(&self, run: usize) -> usize {
        self.runs.get(run + 1).map_or(self.times.len(), |next| next.group.first_row)
    }

    /// Takes out the rows of a table, whose last run is this one, in their order.
    pub(crate) fn take(&mut self, last_run: u32) -> Vec<(u32, i64, f64)> {
        let mut runs = Vec::new();
        let mut at = last_run;
        while at != NO_RUN {
            let run = &mut self.runs[at as usize];
            run.is_void = true;
            runs.push(at as usize);
            at = run.previous;
        }
        let rows = runs.iter().rev().flat_map(|run| self.runs[*run].group.first_row..self.end(*run));
        rows.map(|row| (self.series[row], self.times[row], self.values[row])).collect()
    }

    /// The block, or nothing if there is no sample. Samples of a group keep their order.
    pub(crate) fn finish(self) -> Option<Samples> {
        let runs = self.runs.iter().enumerate().filter(|(_, run)| !run.is_void);
        let mut runs: Vec<(Group, usize)> = runs.map(|(at, run)| (run.group, self.end(at))).collect();
        runs.sort_by_key(|(run, _)| (run.table, run.field));
        let mut groups: Vec<Group> = Vec::new();
        let mut rows = 0;
        for (run, end) in &runs {
            if groups.last().is_none_or(|group| (group.table, group.field) != (run.table, run.field)) {
                groups.push(Group { first_row: rows, ..*run });
            }
            rows += end - run.first_row;
        }
        if rows == 0 {
            return None;
        }
        let mut samples = Samples { bytes: Bytes::new(), groups: groups.len(), rows };
        let (series_at, times_at, values_at) = (samples.series_at(), samples.times_at(), samples.values_at());
        let bytes = aligned::<()>(values_at + rows * 8, |bytes| {
            bytes[HEADER_BYTES..][..SAMPLES_HEADER_BYTES]
                .copy_from_slice(bytemuck::cast_slice(&[groups.len() as u32, rows as u32]));
            let entries = bytes[HEADER_BYTES + SAMPLES_HEADER_BYTES..].chunks_exact_mut(GROUP_BYTES);
            for (entry, group) in entries.zip(&groups) {
                entry.copy_from_slice(bytemuck::cast_slice(&[group.table, group.field, group.first_row as u32]));
            }
            let mut row = 0;
            for (run, end) in &runs {
                let from = run.first_row..*end;
                let mut copy = |at: usize, from: &[u8]| bytes[at..at + from.len()].copy_from_slice(from);
                copy(series_at + row * 4, bytemuck::cast_slice(&self.series[from.clone()]));
                copy(times_at + row * 8, bytemuck::cast_slice(&self.times[from.clone()]));
                copy(values_at + row * 8, bytemuck::cast_slice(&self.values[from]));
                row += end - run.first_row;
            }
            block::finish(bytes, Kind::Samples);
            Ok(())
        });
        samples.bytes = bytes.expect("filling it cannot fail");
        Some(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Row = (u32, i64, u64);

    proptest! {
        #[test]
        fn samples_read_back_in_groups(rows in prop::collection::vec((0u32..4, 0u32..2, 0u32..9, 0i64..99, any::<f64>()), 1..60)) {
            let mut builder = SamplesBuilder::default();
            let mut expected: BTreeMap<(u32, u32), Vec<Row>> = BTreeMap::new();
            for (table, field, series, time, value) in rows {
                builder.start_run(table, field, NO_RUN);
                builder.push(series, time, value);
                expected.entry((table, field)).or_default().push((series, time, value.to_bits()));
            }
            let built = builder.finish().unwrap();
            let samples = Samples::parse(built.bytes().clone()).unwrap();
            let mut seen = BTreeMap::new();
            for table in 0..5 {
                for frame in samples.frames_of(table) {
                    let (field, _) = frame.fields().next().unwrap();
                    let column = frame.column(field).unwrap();
                    let values = column.as_any().downcast_ref::<arrow_array::Float64Array>().unwrap().values();
                    let keys = frame.series().iter().zip(frame.times());
                    let rows: Vec<_> = keys.zip(values).map(|((s, t), v)| (*s, *t, v.to_bits())).collect();
                    prop_assert_eq!(frame.min_time, rows.iter().map(|row| row.1).min().unwrap());
                    prop_assert_eq!(frame.max_time, rows.iter().map(|row| row.1).max().unwrap());
                    seen.insert((table, field), rows);
                }
            }
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn any_bytes_are_read_or_refused(words in prop::collection::vec(0u32..6, 0..40)) {
            let mut bytes = vec![0; HEADER_BYTES];
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            let bytes = aligned::<()>(bytes.len(), |to| { to.copy_from_slice(&bytes); Ok(()) }).unwrap();
            if let Ok(samples) = Samples::parse(bytes) {
                prop_assert_eq!(samples.frames().map(|frame| frame.series().len()).sum::<usize>(), samples.rows);
            }
        }
    }
}
