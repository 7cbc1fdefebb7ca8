//! The index of a segment: where each page lies, which rows it covers, and what the segment deletes from older ones.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::block::{self, u32_at, u64_at};
use crate::day::Day;
use crate::deletion::Deletion;
use crate::value::FieldType;

/// What a segment holds.
#[derive(Debug, Default)]
pub(crate) struct SegmentIndex {
    /// The oldest log file whose rows are in it; the youngest is in its name.
    pub first_log: u64,
    /// In the order of (table, day).
    pub sections: Vec<Section>,
    /// What it hides of older segments and rolled days, each with the number of the log file that it was in. Its own
    /// rows have been through it.
    pub deletions: Vec<(u64, Arc<Deletion>)>,
}

/// The pages of one table and day.
#[derive(Debug)]
pub(crate) struct Section {
    pub table: u32,
    /// Segments of format version 1 are not divided into days.
    pub day: Option<Day>,
    pub fields: Vec<(u32, FieldType)>,
    pub pages: Vec<Page>,
}

/// Where a page lies and what it covers.
#[derive(Debug)]
pub(crate) struct Page {
    pub rows: usize,
    /// Of the first row and of the last.
    pub series: RangeInclusive<u32>,
    /// Of the earliest row and of the latest.
    pub times: RangeInclusive<i64>,
    /// Where the first chunk starts in the file; each next one starts behind it at a multiple of 8.
    pub offset: u64,
    /// The length of each chunk: series, times, then one a field; 0 for a field without a value in this page.
    pub lengths: Vec<u32>,
    /// Set when a chunk of it was found damaged: it is left out from then on.
    pub damaged: AtomicBool,
}

impl Page {
    /// The bytes of the chunk at this place, or `None` for a field without a value.
    pub(crate) fn chunk(&self, place: usize) -> Option<Range<usize>> {
        let before: usize = self.lengths[..place].iter().map(|length| block::padded(*length as usize)).sum();
        let start = self.offset as usize + before;
        (self.lengths[place] > 0).then(|| start..start + self.lengths[place] as usize)
    }

    /// All its bytes.
    pub(crate) fn extent(&self) -> Range<usize> {
        let length: usize = self.lengths.iter().map(|length| block::padded(*length as usize)).sum();
        self.offset as usize..self.offset as usize + length
    }
}

impl SegmentIndex {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let u32s = |out: &mut Vec<u8>, numbers: &[u32]| numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(self.first_log.to_le_bytes());
        u32s(&mut out, &[self.sections.len() as u32, self.deletions.len() as u32]);
        for section in &self.sections {
            let day = section.day.expect("only segments of version 1 are not divided into days");
            let (fields, pages) = (section.fields.len() as u32, section.pages.len() as u32);
            u32s(&mut out, &[section.table, day.0 as u32, fields, pages]);
            section.fields.iter().for_each(|(field, kind)| u32s(&mut out, &[*field, *kind as u32]));
            for page in &section.pages {
                u32s(&mut out, &[page.rows as u32, *page.series.start(), *page.series.end()]);
                out.extend(page.times.start().to_le_bytes());
                out.extend(page.times.end().to_le_bytes());
                out.extend(page.offset.to_le_bytes());
                u32s(&mut out, &page.lengths);
            }
        }
        for (number, deletion) in &self.deletions {
            let bytes = deletion.encode();
            out.extend(number.to_le_bytes());
            u32s(&mut out, &[bytes.len() as u32]);
            out.extend(bytes);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentIndex, String> {
        let mut input = Input { bytes, at: 0 };
        let first_log = u64_at(input.take(8)?, 0);
        let counts = input.take(8)?;
        let mut index = SegmentIndex { first_log, ..SegmentIndex::default() };
        for _ in 0..u32_at(counts, 0) {
            let (table, day) = (input.u32()?, input.u32()?);
            index.sections.push(input.section(table, Some(Day(day as i32)))?);
        }
        for _ in 0..u32_at(counts, 4) {
            let (number, length) = (u64_at(input.take(8)?, 0), input.u32()? as usize);
            index.deletions.push((number, Arc::new(Deletion::decode(input.take(length)?)?)));
        }
        Ok(index)
    }

    /// The index of a segment of format version 1.
    pub(crate) fn decode_version_1(bytes: &[u8]) -> Result<SegmentIndex, String> {
        let mut input = Input { bytes, at: 0 };
        let mut index = SegmentIndex::default();
        for _ in 0..input.u32()? {
            let table = input.u32()?;
            index.sections.push(input.section(table, None)?);
        }
        Ok(index)
    }
}

/// An index that is read from its start.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let end = self.at.saturating_add(length);
        let part = self.bytes.get(self.at..end).ok_or_else(|| format!("the index ends at {}", self.bytes.len()))?;
        self.at = end;
        Ok(part)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32_at(self.take(4)?, 0))
    }

    fn section(&mut self, table: u32, day: Option<Day>) -> Result<Section, String> {
        let counts = self.take(8)?;
        let mut section = Section { table, day, fields: Vec::new(), pages: Vec::new() };
        for _ in 0..u32_at(counts, 0) {
            let field = self.take(8)?;
            let kind = u8::try_from(u32_at(field, 4)).ok().and_then(FieldType::from_u8);
            section.fields.push((u32_at(field, 0), kind.ok_or("unknown field type")?));
        }
        for _ in 0..u32_at(counts, 4) {
            let page = self.take(36)?;
            let lengths = self.take((section.fields.len() + 2) * 4)?;
            section.pages.push(Page {
                rows: u32_at(page, 0) as usize,
                series: u32_at(page, 4)..=u32_at(page, 8),
                times: u64_at(page, 12) as i64..=u64_at(page, 20) as i64,
                offset: u64_at(page, 28),
                lengths: lengths.chunks_exact(4).map(|length| u32_at(length, 0)).collect(),
                damaged: AtomicBool::new(false),
            });
        }
        Ok(section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Counts are small in half of the cases, so that more than the first of them is read.
        #[test]
        fn any_bytes_decode_or_are_refused(bytes: Vec<u8>, small in proptest::collection::vec(0u8..3, 0..40)) {
            let counts: Vec<u8> = small.iter().flat_map(|n| [*n, 0, 0, 0]).chain(bytes.iter().copied()).collect();
            for bytes in [&bytes, &counts] {
                let _ = SegmentIndex::decode(bytes);
                let _ = SegmentIndex::decode_version_1(bytes);
            }
        }
    }
}
