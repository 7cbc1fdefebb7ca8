//! The index of a segment: where each page lies, which rows it covers, and what the segment deletes from older ones.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::block::{self, u32_at, u64_at};
use crate::codec::leb128::{self, unzigzag, zigzag};
use crate::day::Day;
use crate::deletion::Deletion;
use crate::segment::PAGE_ROWS_MAX;
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
    /// Where the first chunk starts in the file; each next one starts behind it.
    pub offset: u64,
    /// The length of each chunk: series, times, then one a field; 0 for a field without a value in this page.
    pub lengths: Vec<u32>,
    /// In format version 1, chunks are blocks that start at multiples of 8.
    pub is_version_1: bool,
    /// Set when a chunk of it was found damaged: it is left out from then on.
    pub damaged: AtomicBool,
}

impl Page {
    fn bytes(&self, places: usize) -> usize {
        let stored = |length: &u32| match self.is_version_1 {
            true => block::padded(*length as usize),
            false => *length as usize,
        };
        self.lengths[..places].iter().map(stored).sum()
    }

    /// Where the chunk at this place lies in the file, or `None` for a field without a value.
    pub(crate) fn chunk(&self, place: usize) -> Option<Range<usize>> {
        let start = self.offset as usize + self.bytes(place);
        (self.lengths[place] > 0).then(|| start..start + self.lengths[place] as usize)
    }

    /// Was a chunk of it found damaged?
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Where it lies in the file.
    pub(crate) fn extent(&self) -> Range<usize> {
        self.offset as usize..self.offset as usize + self.bytes(self.lengths.len())
    }
}

impl SegmentIndex {
    /// All numbers are LEB128; times and days are signed and counted from those before.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |number: u64| leb128::write(number, &mut out);
        put(self.first_log);
        put(self.sections.len() as u64);
        let mut offset = 0;
        for section in &self.sections {
            let day = section.day.expect("only segments of version 1 are not divided into days");
            put(section.table.into());
            put(zigzag(day.0.into()));
            put(section.fields.len() as u64);
            section
                .fields
                .iter()
                .for_each(|(field, kind)| [*field, *kind as u32].map(u64::from).into_iter().for_each(&mut put));
            put(section.pages.len() as u64);
            for page in &section.pages {
                put(page.rows as u64);
                put((*page.series.start()).into());
                put((page.series.end() - page.series.start()).into());
                put(zigzag(page.times.start().wrapping_sub(day.first())));
                put(page.times.end().wrapping_sub(*page.times.start()) as u64);
                put(page.offset - offset);
                page.lengths.iter().for_each(|length| put((*length).into()));
                offset = page.extent().end as u64;
            }
        }
        put(self.deletions.len() as u64);
        for (number, deletion) in &self.deletions {
            let bytes = deletion.encode();
            leb128::write(*number, &mut out);
            leb128::write(bytes.len() as u64, &mut out);
            out.extend(bytes);
        }
        out
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<SegmentIndex, String> {
        let input = &mut bytes;
        let first_log = leb128::read(input)?;
        let mut index = SegmentIndex { first_log, ..SegmentIndex::default() };
        let mut offset = 0u64;
        for _ in 0..leb128::read(input)? {
            let table = small(input)?;
            let day = i32::try_from(unzigzag(leb128::read(input)?)).map(Day).map_err(|error| error.to_string())?;
            let mut section = Section { table, day: Some(day), fields: Vec::new(), pages: Vec::new() };
            for _ in 0..leb128::read(input)? {
                let (field, kind) = (small(input)?, small(input)?);
                let kind = u8::try_from(kind).ok().and_then(FieldType::from_u8);
                section.fields.push((field, kind.ok_or("unknown field type")?));
            }
            for _ in 0..leb128::read(input)? {
                let (rows, first) = (small(input)? as usize, small(input)?);
                let last = first.checked_add(small(input)?).ok_or("a series number is too large")?;
                let earliest = day.first().wrapping_add(unzigzag(leb128::read(input)?));
                let latest = earliest.wrapping_add(leb128::read(input)? as i64);
                let mut page = Page {
                    rows,
                    series: first..=last,
                    times: earliest..=latest,
                    offset: offset.wrapping_add(leb128::read(input)?),
                    lengths: Vec::with_capacity(section.fields.len() + 2),
                    is_version_1: false,
                    damaged: AtomicBool::new(false),
                };
                for _ in 0..section.fields.len() + 2 {
                    page.lengths.push(small(input)?);
                }
                if page.rows == 0 || page.rows > PAGE_ROWS_MAX || page.offset > i64::MAX as u64 {
                    return Err(format!("a page of {} rows at {}", page.rows, page.offset));
                }
                offset = page.extent().end as u64;
                section.pages.push(page);
            }
            index.sections.push(section);
        }
        for _ in 0..leb128::read(input)? {
            let (number, length) = (leb128::read(input)?, leb128::read(input)?);
            let (own, rest) = input.split_at_checked(length as usize).ok_or("a deletion is cut off")?;
            *input = rest;
            index.deletions.push((number, Arc::new(Deletion::decode(own)?)));
        }
        Ok(index)
    }

    /// The index of a segment of format version 1.
    pub(crate) fn decode_version_1(bytes: &[u8]) -> Result<SegmentIndex, String> {
        let mut input = Input { bytes, at: 0 };
        let mut index = SegmentIndex::default();
        for _ in 0..input.u32()? {
            index.sections.push(input.section()?);
        }
        Ok(index)
    }
}

/// A number that fits 32 bits.
fn small(input: &mut &[u8]) -> Result<u32, String> {
    u32::try_from(leb128::read(input)?).map_err(|error| error.to_string())
}

/// An index of version 1 that is read from its start.
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

    fn section(&mut self) -> Result<Section, String> {
        let table = self.u32()?;
        let counts = self.take(8)?;
        let mut section = Section { table, day: None, fields: Vec::new(), pages: Vec::new() };
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
                is_version_1: true,
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
            let varints: Vec<u8> = small.iter().chain(&bytes).copied().collect();
            for bytes in [&bytes, &counts, &varints] {
                let _ = SegmentIndex::decode(bytes);
                let _ = SegmentIndex::decode_version_1(bytes);
            }
        }
    }
}
