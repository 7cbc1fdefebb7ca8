//! The index of a segment: where each page lies, which rows it covers, and what the segment deletes from older ones.
//!
//! What says where pages lie stays encoded in the mapped file: in memory is a [`Group`] for up to [`GROUP_PAGES`]
//! pages, and a query decodes the groups that can have rows for it. So the memory that a store needs does not grow with
//! its pages.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use crate::base::day::Day;
use crate::base::options::PAGE_ROWS_MAX;
use crate::base::value::FieldType;
use crate::catalog::deletion::Deletion;
use crate::codec::leb128::{self, unzigzag, zigzag};
use crate::files::block::{self, u32_at, u64_at};

/// The most pages that are decoded for one.
const GROUP_PAGES: usize = 32;

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
    /// The index as it lies in the file; of version 1, its pages as this version has them.
    encoded: Bytes,
}

/// The pages of one table and day.
#[derive(Debug)]
pub(crate) struct Section {
    pub table: u32,
    /// Segments of format version 1 are not divided into days.
    pub day: Option<Day>,
    pub fields: Vec<(u32, FieldType)>,
    pub rows: u64,
    /// Of all its pages.
    pub bytes: u64,
    /// The largest number of a series in it, if it has any.
    pub last_series: Option<u32>,
    /// The earliest and the latest, if it has any.
    pub times: Option<(i64, i64)>,
    groups: Vec<Group>,
}

/// Neighbouring pages of a section: what they cover together, and where the index says more.
#[derive(Debug)]
struct Group {
    series: (u32, u32),
    times: (i64, i64),
    /// Where what is said of its pages lies in the index, and the checksum that it had when the segment was opened.
    at: u32,
    length: u32,
    checksum: u64,
    /// Where the page before it ends in the file.
    offset: u64,
}

/// Where a page lies and what it covers.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Which it is: of which section, and the how manieth there.
    pub section: u32,
    pub number: u32,
    pub rows: usize,
    /// Of the first row and of the last.
    pub series: RangeInclusive<u32>,
    /// Of the earliest row and of the latest.
    pub times: RangeInclusive<i64>,
    /// Where the first chunk starts in the file; each next one starts behind it.
    pub offset: u64,
    /// The length of each chunk: series, times, then one a field; 0 for a field without a value in this page. None at
    /// all: this stands for a group of pages, and what the index says of them cannot be read any more.
    pub lengths: Vec<u32>,
    /// In format version 1, chunks are blocks that start at multiples of 8.
    pub is_version_1: bool,
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

    /// Where it lies in the file.
    pub(crate) fn extent(&self) -> Range<usize> {
        self.offset as usize..self.offset as usize + self.bytes(self.lengths.len())
    }

    /// All numbers are LEB128; times are counted from the day, offsets from the end of the page before.
    fn encode(&self, day: Option<Day>, before: u64, out: &mut Vec<u8>) {
        let mut put = |number: u64| leb128::write(number, out);
        put(self.rows as u64);
        put((*self.series.start()).into());
        put(self.series.end().wrapping_sub(*self.series.start()).into());
        put(zigzag(self.times.start().wrapping_sub(first_of(day))));
        put(self.times.end().wrapping_sub(*self.times.start()) as u64);
        put(self.offset.wrapping_sub(before));
        self.lengths.iter().for_each(|length| put((*length).into()));
    }

    /// Reads what is said of the page behind this one into it.
    fn decode_next(&mut self, day: Option<Day>, input: &mut &[u8]) -> Result<(), String> {
        let before = self.extent().end as u64;
        let (rows, first) = (small(input)? as usize, small(input)?);
        let last = first.wrapping_add(small(input)?);
        let earliest = first_of(day).wrapping_add(unzigzag(leb128::read(input)?));
        let latest = earliest.wrapping_add(leb128::read(input)? as i64);
        self.offset = before.wrapping_add(leb128::read(input)?);
        for length in &mut self.lengths {
            *length = small(input)?;
        }
        let offset = self.offset;
        if rows == 0 || rows > PAGE_ROWS_MAX || offset > i64::MAX as u64 || last < first {
            return Err(format!("a page of {rows} rows of series {first} to {last} at {offset}"));
        }
        (self.rows, self.series, self.times) = (rows, first..=last, earliest..=latest);
        Ok(())
    }
}

/// What the times of a section's pages are counted from.
fn first_of(day: Option<Day>) -> i64 {
    day.map_or(0, Day::first)
}

/// The pages of one table and day, before they are encoded.
#[derive(Debug)]
pub(crate) struct SectionDraft {
    pub table: u32,
    pub day: Option<Day>,
    pub fields: Vec<(u32, FieldType)>,
    pub pages: Vec<Page>,
}

/// An index under way.
#[derive(Debug, Default)]
pub(crate) struct IndexDraft {
    pub first_log: u64,
    pub sections: Vec<SectionDraft>,
    pub deletions: Vec<(u64, Arc<Deletion>)>,
}

impl IndexDraft {
    /// All numbers are LEB128; days are signed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let put = |number: u64, out: &mut Vec<u8>| leb128::write(number, out);
        put(self.first_log, &mut out);
        put(self.sections.len() as u64, &mut out);
        let mut before = 0;
        for section in &self.sections {
            put(section.table.into(), &mut out);
            put(zigzag(section.day.map_or(0, |day| day.0).into()), &mut out);
            put(section.fields.len() as u64, &mut out);
            for (field, kind) in &section.fields {
                put((*field).into(), &mut out);
                put(*kind as u64, &mut out);
            }
            put(section.pages.len() as u64, &mut out);
            for page in &section.pages {
                page.encode(section.day, before, &mut out);
                before = page.extent().end as u64;
            }
        }
        put(self.deletions.len() as u64, &mut out);
        for (number, deletion) in &self.deletions {
            let bytes = deletion.encode();
            put(*number, &mut out);
            put(bytes.len() as u64, &mut out);
            out.extend(bytes);
        }
        out
    }
}

impl SegmentIndex {
    pub(crate) fn decode(encoded: Bytes) -> Result<SegmentIndex, String> {
        SegmentIndex::read(encoded, false)
    }

    /// The index of a segment of format version 1.
    pub(crate) fn decode_version_1(bytes: &[u8]) -> Result<SegmentIndex, String> {
        let mut input = Input { bytes, at: 0 };
        let mut draft = IndexDraft::default();
        for _ in 0..input.u32()? {
            draft.sections.push(input.section()?);
        }
        SegmentIndex::read(draft.encode().into(), true)
    }

    fn read(encoded: Bytes, is_version_1: bool) -> Result<SegmentIndex, String> {
        let mut rest = &encoded[..];
        let input = &mut rest;
        let first_log = leb128::read(input)?;
        let mut index = SegmentIndex { first_log, encoded: encoded.clone(), ..SegmentIndex::default() };
        let mut offset = 0;
        for _ in 0..leb128::read(input)? {
            let table = small(input)?;
            let day = i32::try_from(unzigzag(leb128::read(input)?)).map(Day).map_err(|error| error.to_string())?;
            let mut section = Section {
                table,
                day: (!is_version_1).then_some(day),
                fields: Vec::new(),
                rows: 0,
                bytes: 0,
                last_series: None,
                times: None,
                groups: Vec::new(),
            };
            for _ in 0..leb128::read(input)? {
                let (field, kind) = (small(input)?, small(input)?);
                let kind = u8::try_from(kind).ok().and_then(FieldType::from_u8);
                section.fields.push((field, kind.ok_or("unknown field type")?));
            }
            offset = section.read_pages(&encoded, input, offset)?;
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

    /// The pages of a section whose group `wanted` wants: it is told series and times of each, first and last.
    pub(crate) fn pages(
        &self,
        section: usize,
        wanted: impl Fn(&RangeInclusive<u32>, &RangeInclusive<i64>) -> bool,
    ) -> Vec<Page> {
        let entry = &self.sections[section];
        let mut pages = Vec::new();
        for (at, group) in entry.groups.iter().enumerate() {
            let (series, times) = (group.series.0..=group.series.1, group.times.0..=group.times.1);
            if wanted(&series, &times) {
                let first = Page { series, times, ..entry.page_before(section, at * GROUP_PAGES, group.offset) };
                match entry.group(&self.encoded, group, &first) {
                    Some(own) => pages.extend(own.into_iter().filter(|page| wanted(&page.series, &page.times))),
                    None => pages.push(Page { lengths: Vec::new(), ..first }),
                }
            }
        }
        pages
    }
}

impl Section {
    /// What stands for the end of the page before the one of this number.
    fn page_before(&self, section: usize, number: usize, offset: u64) -> Page {
        Page {
            section: section as u32,
            number: number as u32,
            rows: 0,
            series: 0..=0,
            times: 0..=0,
            offset,
            lengths: vec![0; self.fields.len() + 2],
            is_version_1: self.day.is_none(),
        }
    }

    /// Reads over what is said of its pages. The page before ends at `offset`; gives the end of the last.
    fn read_pages(&mut self, encoded: &Bytes, input: &mut &[u8], offset: u64) -> Result<u64, String> {
        let at = |input: &[u8]| encoded.len() - input.len();
        let pages = leb128::read(input)? as usize;
        let mut page = self.page_before(0, 0, offset);
        for first in (0..pages).step_by(GROUP_PAGES) {
            let (start, before) = (at(input), page.extent().end as u64);
            let (mut series, mut times) = ((u32::MAX, 0), (i64::MAX, i64::MIN));
            for _ in first..pages.min(first + GROUP_PAGES) {
                page.decode_next(self.day, input)?;
                series = (series.0.min(*page.series.start()), series.1.max(*page.series.end()));
                times = (times.0.min(*page.times.start()), times.1.max(*page.times.end()));
                self.rows += page.rows as u64;
                self.bytes += page.extent().len() as u64;
            }
            self.last_series = self.last_series.max(Some(series.1));
            let all = self.times.unwrap_or(times);
            self.times = Some((all.0.min(times.0), all.1.max(times.1)));
            let own = &encoded[start..at(input)];
            let in_32_bits = |number| u32::try_from(number).map_err(|_| "an index of over 4 GiB".to_owned());
            let (at, length) = (in_32_bits(start)?, in_32_bits(own.len())?);
            self.groups.push(Group { series, times, at, length, checksum: xxh3_64(own), offset: before });
        }
        self.groups.shrink_to_fit();
        Ok(page.extent().end as u64)
    }

    /// The pages of a group, unless what is said of them is not any more what it was when the segment was opened.
    fn group(&self, encoded: &Bytes, group: &Group, first: &Page) -> Option<Vec<Page>> {
        let mut input = &encoded[group.at as usize..][..group.length as usize];
        if xxh3_64(input) != group.checksum {
            return None;
        }
        let mut pages = Vec::with_capacity(GROUP_PAGES);
        let mut page = first.clone();
        while !input.is_empty() {
            page.decode_next(self.day, &mut input).ok()?;
            pages.push(page.clone());
            page.number += 1;
        }
        Some(pages)
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

    fn section(&mut self) -> Result<SectionDraft, String> {
        let table = self.u32()?;
        let counts = self.take(8)?;
        let mut section = SectionDraft { table, day: None, fields: Vec::new(), pages: Vec::new() };
        for _ in 0..u32_at(counts, 0) {
            let field = self.take(8)?;
            let kind = u8::try_from(u32_at(field, 4)).ok().and_then(FieldType::from_u8);
            section.fields.push((u32_at(field, 0), kind.ok_or("unknown field type")?));
        }
        for _ in 0..u32_at(counts, 4) {
            let page = self.take(36)?;
            let lengths = self.take((section.fields.len() + 2) * 4)?;
            let offset = u64_at(page, 28);
            if offset > i64::MAX as u64 {
                return Err(format!("a page at {offset}"));
            }
            section.pages.push(Page {
                section: 0,
                number: 0,
                rows: u32_at(page, 0) as usize,
                series: u32_at(page, 4)..=u32_at(page, 8),
                times: u64_at(page, 12) as i64..=u64_at(page, 20) as i64,
                offset,
                lengths: lengths.chunks_exact(4).map(|length| u32_at(length, 0)).collect(),
                is_version_1: true,
            });
        }
        Ok(section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(pages: u32) -> IndexDraft {
        let page = |number: u32| Page {
            section: 0,
            number,
            rows: 10,
            series: number..=number + 1,
            times: i64::from(number)..=i64::from(number) + 5,
            offset: 16 + u64::from(number) * 7,
            lengths: vec![1, 2, 4],
            is_version_1: false,
        };
        let pages = (0..pages).map(page).collect();
        let section = SectionDraft { table: 3, day: Some(Day(0)), fields: vec![(0, FieldType::F64)], pages };
        IndexDraft { first_log: 1, sections: vec![section], deletions: Vec::new() }
    }

    #[test]
    fn pages_come_back_by_group() {
        for count in [1, 31, 32, 33, 100] {
            let draft = draft(count);
            let index = SegmentIndex::decode(draft.encode().into()).unwrap();
            let all = index.pages(0, |_, _| true);
            assert_eq!(format!("{all:?}"), format!("{:?}", draft.sections[0].pages));
            let wanted = index.pages(0, |series, _| series.contains(&40));
            let numbers: Vec<u32> = wanted.iter().map(|page| page.number).collect();
            assert_eq!(numbers, [39, 40].into_iter().filter(|number| *number < count).collect::<Vec<_>>());
            let section = &index.sections[0];
            assert_eq!((section.rows, section.bytes), (u64::from(count) * 10, u64::from(count) * 7));
            assert_eq!((section.last_series, section.times), (Some(count), Some((0, i64::from(count) + 4))));
        }
    }

    /// A disk that forgets what it had when the segment was opened: the pages are missed, not silently left out.
    #[test]
    fn a_group_that_has_changed_since_stands_for_its_pages() {
        let mut index = SegmentIndex::decode(draft(100).encode().into()).unwrap();
        let mut bytes = index.encoded.to_vec();
        let at = index.sections[0].groups[1].at as usize;
        bytes[at + 3] ^= 1;
        index.encoded = bytes.into();
        let pages = index.pages(0, |_, _| true);
        assert_eq!(pages.len(), 100 - GROUP_PAGES + 1);
        let lost: Vec<_> = pages.iter().filter(|page| page.lengths.is_empty()).collect();
        assert_eq!((lost.len(), lost[0].number, lost[0].series.clone()), (1, 32, 32..=64));
    }

    proptest::proptest! {
        /// Counts are small in half of the cases, so that more than the first of them is read.
        #[test]
        fn any_bytes_decode_or_are_refused(bytes: Vec<u8>, small in proptest::collection::vec(0u8..3, 0..40)) {
            let counts: Vec<u8> = small.iter().flat_map(|n| [*n, 0, 0, 0]).chain(bytes.iter().copied()).collect();
            let varints: Vec<u8> = small.iter().chain(&bytes).copied().collect();
            for bytes in [bytes, counts, varints] {
                let _ = SegmentIndex::decode_version_1(&bytes);
                if let Ok(index) = SegmentIndex::decode(bytes.into()) {
                    (0..index.sections.len()).for_each(|section| assert!(index.pages(section, |_, _| true).iter().all(|page| !page.lengths.is_empty())));
                }
            }
        }
    }
}
