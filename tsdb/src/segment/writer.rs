//! Writes a segment file: pages in order, then the index.
//!
//! A page ends where a series does, as far as that leaves no page half empty, and a series of more rows than a page may
//! have is divided evenly: who asks for a part of the rows of many series does not decode what lies between these
//! parts.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use arrow_array::Array;

use crate::base::day::Day;
use crate::base::error::{IoContext, Result};
use crate::base::ids::SegmentId;
use crate::base::options::PAGE_ROWS_MAX;
use crate::base::value::FieldType;
use crate::catalog::deletion::Deletion;
use crate::codec::{self, Effort};
use crate::files::block::{self, FileHeader, Kind};
use crate::files::data_dir::{DataDir, NewFile};
use crate::rows::keyed::Rows;
use crate::segment::file::{self as segment, END_MARK, Segment};
use crate::segment::index::{IndexDraft, Page, SectionDraft};

/// A segment under way, under a temporary name.
pub(crate) struct SegmentWriter {
    dir: DataDir,
    id: SegmentId,
    effort: Effort,
    page_rows: usize,
    file: NewFile,
    offset: u64,
    index: IndexDraft,
    /// Rows of the section at hand that are in no page yet: up to two pages, so that it can be seen where the next one
    /// should end.
    waiting: VecDeque<Rows>,
    waiting_rows: usize,
}

impl SegmentWriter {
    /// `first_log` is the oldest log file whose rows go in.
    pub(crate) fn create(
        dir: &DataDir,
        id: SegmentId,
        first_log: u64,
        page_rows: usize,
        effort: Effort,
    ) -> Result<SegmentWriter> {
        let file = NewFile::create(dir, &segment::path(dir, id))?;
        let index = IndexDraft { first_log, ..IndexDraft::default() };
        let dir = dir.clone();
        let mut writer = SegmentWriter {
            dir,
            id,
            effort,
            page_rows,
            file,
            offset: 0,
            index,
            waiting: VecDeque::new(),
            waiting_rows: 0,
        };
        writer.put(&FileHeader::SEGMENT.bytes())?;
        Ok(writer)
    }

    /// The rows that follow are of this table and day and have these fields.
    pub(crate) fn start_section(&mut self, table: u32, day: Day, fields: &[(u32, FieldType)]) -> Result<()> {
        self.end_section()?;
        let fields = fields.to_vec();
        self.index.sections.push(SectionDraft { table, day: Some(day), fields, pages: Vec::new() });
        Ok(())
    }

    /// Adds rows whose keys are later than those before.
    pub(crate) fn push(&mut self, rows: Rows) -> Result<()> {
        if rows.len() > 0 {
            self.waiting_rows += rows.len();
            self.waiting.push_back(rows);
        }
        while self.waiting_rows >= 2 * self.page_rows {
            self.page(self.next_page_rows(false))?;
        }
        Ok(())
    }

    /// How many of the rows that wait make the next page; `all` if no more come.
    fn next_page_rows(&self, all: bool) -> usize {
        if self.waiting_rows <= self.page_rows {
            return self.waiting_rows;
        }
        let series = || self.waiting.iter().flat_map(|rows| rows.series.iter().copied());
        let first = self.waiting[0].series[0];
        let of_first = series().take_while(|series| *series == first).count();
        if of_first > self.page_rows {
            // Its end may still come.
            let is_known = all || of_first < self.waiting_rows;
            return if is_known { of_first.div_ceil(of_first.div_ceil(self.page_rows)) } else { self.page_rows };
        }
        let behind = series().nth(self.page_rows);
        let start = series().take_while(|series| Some(*series) != behind).count();
        if start >= self.page_rows.div_ceil(2) { start } else { self.page_rows }
    }

    /// The first of the rows that wait.
    fn take(&mut self, count: usize) -> Vec<Rows> {
        self.waiting_rows -= count;
        let (mut taken, mut left) = (Vec::new(), count);
        while left > 0 {
            let Some(rows) = self.waiting.pop_front() else { break };
            let here = left.min(rows.len());
            if here < rows.len() {
                self.waiting.push_front(rows.slice(here..rows.len()));
            }
            taken.push(rows.slice(0..here));
            left -= here;
        }
        taken
    }

    /// Adds what the segment hides of older ones, with the number of the log file that it was in.
    pub(crate) fn delete(&mut self, number: u64, deletion: Arc<Deletion>) {
        self.index.deletions.push((number, deletion));
    }

    fn end_section(&mut self) -> Result<()> {
        while self.waiting_rows > 0 {
            self.page(self.next_page_rows(true))?;
        }
        // A section of which everything was deleted.
        self.index.sections.pop_if(|section| section.pages.is_empty());
        Ok(())
    }

    /// Writes so many of the rows that wait as a page.
    fn page(&mut self, rows: usize) -> Result<()> {
        let rows = self.take(rows);
        let number = self.index.sections.len() as u32 - 1;
        let section = self.index.sections.last_mut().expect("a section is started first");
        let rows = Rows::concat(&rows, section.fields.len());
        assert!((1..=PAGE_ROWS_MAX).contains(&rows.len()), "a page has 1 to {PAGE_ROWS_MAX} rows, not {}", rows.len());
        let effort = self.effort;
        let mut chunks = vec![codec::encode_series(&rows.series, effort), codec::encode_times(&rows.times, effort)];
        for (column, (_, kind)) in rows.columns.iter().zip(&section.fields) {
            let some = column.as_ref().filter(|array| array.null_count() < array.len());
            chunks.push(some.map_or_else(Vec::new, |array| codec::encode_field(array, *kind, effort)));
        }
        let times = || rows.times.iter().copied();
        section.pages.push(Page {
            section: number,
            number: section.pages.len() as u32,
            rows: rows.len(),
            series: rows.series[0]..=rows.series[rows.len() - 1],
            times: times().min().expect("a row")..=times().max().expect("a row"),
            offset: self.offset,
            lengths: chunks.iter().map(|chunk| chunk.len() as u32).collect(),
            is_version_1: false,
        });
        chunks.iter().try_for_each(|chunk| self.put(chunk))
    }

    /// Writes the index, makes the file durable, gives it its name, and opens it.
    pub(crate) fn finish(mut self) -> Result<Arc<Segment>> {
        self.end_section()?;
        // Blocks start at multiples of 8.
        self.put(&[0; 8][..block::padded(self.offset as usize) - self.offset as usize])?;
        let index_at = self.offset;
        let index = block::wrap(&self.index.encode(), Kind::SegmentIndex);
        // Twice: a segment whose only index is damaged would be lost as a whole.
        self.put(&index)?;
        self.put(&index)?;
        self.put(&index_at.to_le_bytes())?;
        self.put(&END_MARK)?;
        self.file.publish()?;
        Segment::open(&self.dir, self.id, |error| tracing::error!("a new segment: {error}")).map(Arc::new)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).on("write", &segment::path(&self.dir, self.id))?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::disk::RealDisk;

    /// How many rows the pages have that series of so many rows make, ten at the most, pushed `at_once` rows at a time.
    fn pages(series: &[usize], at_once: usize) -> Vec<usize> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("segments")).unwrap();
        let dir = DataDir::new(Arc::new(RealDisk), folder.path());
        let mut writer =
            SegmentWriter::create(&dir, SegmentId { number: 1, generation: 0 }, 1, 10, Effort::Small).unwrap();
        writer.start_section(0, Day(0), &[]).unwrap();
        let numbers = (0..).zip(series).flat_map(|(number, rows)| std::iter::repeat_n(number, *rows));
        let keys: Vec<(u32, i64)> = numbers.zip(0..).collect();
        for keys in keys.chunks(at_once) {
            let (series, times): (Vec<u32>, Vec<i64>) = keys.iter().copied().unzip();
            writer.push(Rows { series: series.into(), times: times.into(), columns: Vec::new() }).unwrap();
        }
        writer.end_section().unwrap();
        writer.index.sections[0].pages.iter().map(|page| page.rows).collect()
    }

    #[test]
    fn pages_end_where_series_do() {
        for (series, expected) in [
            (&[3][..], &[3][..]),
            (&[10, 10], &[10, 10]),
            (&[4, 4, 4, 4, 4], &[8, 8, 4]),
            (&[7, 6], &[7, 6]),
            // The first would be less than half full.
            (&[3, 10], &[10, 3]),
            (&[12, 16, 5], &[6, 6, 8, 8, 5]),
            // Its end is not in sight when the first page is full.
            (&[25], &[10, 8, 7]),
        ] {
            for at_once in [1, 3, 7, 20] {
                assert_eq!(pages(series, at_once), expected, "{series:?}, {at_once} at once");
            }
        }
    }
}
