//! Segments: immutable files of sorted, compressed rows, read through a memory map.
//!
//! ```text
//! file header | chunks of page 0 | chunks of page 1 | ... | index | index again | u64 offset of the first, b"49NSEGX\0"
//! ```
//!
//! A segment is divided into sections, one a table and day. A page holds up to [`PAGE_ROWS_MAX`] rows of one section in
//! key order: the chunk of the series, of the times, then one a field.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use arrow_buffer::ScalarBuffer;
use bytes::Bytes;

use crate::base::day::Day;
use crate::base::error::{Error, Result};
use crate::base::ids::SegmentId;
use crate::base::options::PAGE_ROWS_MAX;
use crate::base::value::FieldType;
use crate::catalog::filter::Filter;
use crate::catalog::registry::Catalog;
use crate::codec::{self, Stored};
use crate::files::block::{self, BlockError, FILE_HEADER_BYTES, FileHeader, Found, HEADER_BYTES, Kind, u64_at};
use crate::files::data_dir::DataDir;
use crate::rows::keyed::{Rows, pick, take_ranges};
use crate::segment::index::{Page, Section, SegmentIndex};

/// What is known of a page, without its fields, in memory.
const PAGE_BYTES: usize = 150;
/// The last bytes of a segment file, behind the offset of the index.
pub(crate) const END_MARK: [u8; 8] = *b"49NSEGX\0";

/// The segment's file.
pub(crate) fn path(dir: &DataDir, id: SegmentId) -> PathBuf {
    dir.join("segments").join(format!("{:010}.{}.seg", id.number, id.generation))
}

/// The segment that a file's name says.
pub(crate) fn id(path: &Path) -> Option<SegmentId> {
    let (number, generation) = path.file_name()?.to_str()?.strip_suffix(".seg")?.split_once('.')?;
    Some(SegmentId { number: number.parse().ok()?, generation: generation.parse().ok()? })
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    id: SegmentId,
    path: PathBuf,
    bytes: Bytes,
    index: SegmentIndex,
    /// The days of each section that does not say its day.
    undated: OnceLock<Vec<Vec<Day>>>,
    /// Section and number of the pages that were found damaged: they are left out from then on.
    damaged: boxcar::Vec<(u32, u32)>,
    /// Held by who adds to them.
    damaging: Mutex<()>,
}

impl Segment {
    /// Opens a segment file and reads its index. What is damaged of its ends and can be made up for is told to `note`.
    pub(crate) fn open(dir: &DataDir, id: SegmentId, note: impl Fn(Error)) -> Result<Segment> {
        let path = path(dir, id);
        let bytes = dir.map(&path)?;
        if let Some(error) = FileHeader::SEGMENT.damage(&bytes, &path)? {
            note(error);
        }
        let index = match read_index(&bytes) {
            Ok(index) => index,
            Err((at, reason)) => {
                let error = Error::corrupt(&path, at as u64, reason);
                let index = search_index(&bytes).ok_or_else(|| error.clone())?;
                note(error);
                index
            }
        };
        let (damaged, damaging) = (boxcar::Vec::new(), Mutex::new(()));
        Ok(Segment { id, path, bytes, index, undated: OnceLock::new(), damaged, damaging })
    }

    /// Which it is; also its place in the order of age: a later segment's values win.
    pub(crate) fn id(&self) -> SegmentId {
        self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of its file.
    pub(crate) fn file_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn index(&self) -> &SegmentIndex {
        &self.index
    }

    /// Refuses a segment that refers to what the catalogue does not have.
    pub(crate) fn check(&self, catalog: &Catalog) -> Result<()> {
        self.index.sections.iter().try_for_each(|section| {
            let fits = catalog.check(section.table, &section.fields, section.last_series);
            fits.map_err(|reason| Error::corrupt(&self.path, 0, reason))
        })
    }

    /// The tables that it has rows of, each with the days.
    pub(crate) fn days(&self) -> impl Iterator<Item = (u32, Day)> + '_ {
        (0..self.index.sections.len()).flat_map(|at| {
            let table = self.index.sections[at].table;
            self.section_days(at).iter().map(move |day| (table, *day))
        })
    }

    /// The days of a table that it has rows of.
    pub(crate) fn days_of(&self, table: u32) -> impl Iterator<Item = Day> + '_ {
        self.sections_of(table).flat_map(|at| self.section_days(at)).copied()
    }

    /// The fields of a table and day that it has values of.
    pub(crate) fn fields(&self, table: u32, day: Day) -> impl Iterator<Item = (u32, FieldType)> + '_ {
        let sections = self.sections_of(table).map(|at| &self.index.sections[at]);
        sections.filter(move |section| section.day.is_none_or(|own| own == day)).flat_map(|s| s.fields.iter().copied())
    }

    /// Bytes of a table's days. A section that is not divided into days counts with its first.
    pub(crate) fn bytes_of(&self, table: u32) -> impl Iterator<Item = (Day, usize)> + '_ {
        self.sections_of(table)
            .filter_map(|at| Some((*self.section_days(at).first()?, self.index.sections[at].bytes as usize)))
    }

    /// About how many bytes its largest page takes once it is decoded, and what is said of all its pages.
    pub(crate) fn decoded_bytes(&self) -> (usize, usize) {
        let page = |section: &Section| {
            let rows = (section.rows as usize).clamp(1, PAGE_ROWS_MAX);
            // Series and time, and of each field a number; texts by what they take packed, which is a quarter at the
            // least.
            let numbers = rows * (12 + 8 * section.fields.len());
            numbers + 4 * (section.bytes as usize / (section.rows as usize).div_ceil(rows).max(1))
        };
        let known = |section: &Section| {
            (section.rows as usize).div_ceil(PAGE_ROWS_MAX) * (PAGE_BYTES + 4 * section.fields.len())
        };
        let sections = &self.index.sections;
        (sections.iter().map(page).max().unwrap_or(0), sections.iter().map(known).sum())
    }

    /// Sections are in the order of their tables.
    fn sections_of(&self, table: u32) -> Range<usize> {
        let sections = &self.index.sections;
        let first = sections.partition_point(|section| section.table < table);
        first..first + sections[first..].partition_point(|section| section.table == table)
    }

    fn section_days(&self, at: usize) -> &[Day] {
        match &self.index.sections[at].day {
            Some(day) => std::slice::from_ref(day),
            None => &self.undated()[at],
        }
    }

    /// The days of the sections that do not say them, read from the rows. A page that cannot be read counts by its
    /// ends.
    fn undated(&self) -> &[Vec<Day>] {
        self.undated.get_or_init(|| {
            let days = |section: usize| -> BTreeSet<Day> {
                let pages = self.index.pages(section, |_, _| self.index.sections[section].day.is_none());
                let days = |page: Page| {
                    let times = self
                        .chunk(&page, self.page_bytes(&page), 1)
                        .ok()
                        .flatten()
                        .map(|chunk| codec::decode_times(chunk, page.rows));
                    match times {
                        Some(Ok(times)) => times.iter().map(|time| Day::of(*time)).collect::<BTreeSet<_>>(),
                        _ => [Day::of(*page.times.start()), Day::of(*page.times.end())].into(),
                    }
                };
                pages.into_iter().flat_map(days).collect()
            };
            (0..self.index.sections.len()).map(|section| days(section).into_iter().collect()).collect()
        })
    }

    /// The pages of a table's day that can have rows for a filter, which is narrowed to that day, in key order.
    pub(crate) fn pages(&self, table: u32, day: Day, filter: &Filter) -> Vec<Page> {
        let sections = self.sections_of(table);
        let sections = sections.filter(|at| self.index.sections[*at].day.is_none_or(|own| own == day));
        let pages = sections.flat_map(|section| {
            self.index.pages(section, |series, times| {
                filter.meets_times(*times.start(), *times.end()) && filter.meets_series(*series.start(), *series.end())
            })
        });
        pages.collect()
    }

    fn section(&self, page: &Page) -> &Section {
        &self.index.sections[page.section as usize]
    }

    /// The rows of a page that a filter wants, out of the page's bytes; nothing is decoded beyond what that needs.
    /// Without `times`, these are left out if the filter does not look at them.
    pub(crate) fn read(&self, page: &Page, bytes: &[u8], fields: &[u32], times: bool, filter: &Filter) -> Result<Rows> {
        let section = self.section(page);
        let damaged = |reason: String| Error::corrupt(&self.path, page.offset, reason);
        if self.damaged.iter().any(|(_, known)| *known == (page.section, page.number)) {
            return Err(damaged("it was found damaged before".into()));
        }
        if page.lengths.is_empty() {
            return Err(damaged(
                "what the index says of the pages here has changed since the segment was opened".into(),
            ));
        }
        let key = |place| self.chunk(page, bytes, place)?.ok_or_else(|| damaged("the keys are missing".into()));
        let series = codec::decode_series(key(0)?, page.rows).map_err(damaged)?;
        let is_timeless = !times && filter.wants_all_times(*page.times.start(), *page.times.end());
        let mut ranges = filter.ranges_of_series(&series);
        let times = if is_timeless || ranges.is_empty() {
            ScalarBuffer::default()
        } else {
            // Of a page of many series the times of those that are wanted.
            let reach = ranges.first().map_or(0, |range| range.start)..ranges.last().map_or(0, |range| range.end);
            let (reach, times) =
                codec::decode_times_between(key(1)?, page.rows, reach, filter.times()).map_err(damaged)?;
            let of_reach = filter.ranges(&series[reach.clone()], &times);
            ranges = of_reach.iter().map(|range| range.start + reach.start..range.end + reach.start).collect();
            pick(&times, &of_reach)
        };
        let wanted = ranges.first().map_or(0, |range| range.start)..ranges.last().map_or(0, |range| range.end);
        let of_wanted: Vec<_> = ranges.iter().map(|r| r.start - wanted.start..r.end - wanted.start).collect();
        let mut columns = Vec::with_capacity(fields.len());
        for field in fields {
            let place = section.fields.iter().position(|(known, _)| known == field);
            let Some(place) = place.filter(|_| !ranges.is_empty()) else {
                columns.push(None);
                continue;
            };
            let array = self.chunk(page, bytes, place + 2)?.map(|chunk| {
                let kind = section.fields[place].1;
                let array = codec::decode_field(chunk, page.rows, &ranges, kind).map_err(damaged)?;
                Ok::<_, Error>(take_ranges(&array, &of_wanted).expect("ranges lie inside the page"))
            });
            columns.push(array.transpose()?);
        }
        Ok(Rows { series: pick(&series, &ranges), times, columns })
    }

    /// Says what is wrong with a page, chunk by chunk; every chunk is decoded.
    pub(crate) fn verify(&self, page: &Page) -> Result<()> {
        let fields: Vec<u32> = self.section(page).fields.iter().map(|(field, _)| *field).collect();
        let rows = self.read(page, self.page_bytes(page), &fields, true, &Filter::ALL)?;
        let wrong = |what: &str| Error::corrupt(&self.path, page.offset, format!("the index says another {what}"));
        let (first, last) = (rows.series.first(), rows.series.last());
        if first != Some(page.series.start()) || last != Some(page.series.end()) {
            return Err(wrong("first or last series"));
        }
        if rows.times.iter().min() != Some(page.times.start()) || rows.times.iter().max() != Some(page.times.end()) {
            return Err(wrong("earliest or latest time"));
        }
        let days = || rows.times.iter().map(|time| Day::of(*time));
        if self.section(page).day.is_some_and(|day| days().any(|own| own != day)) {
            return Err(wrong("day"));
        }
        match (1..rows.len()).all(|row| rows.key(row - 1) < rows.key(row)) {
            true => Ok(()),
            false => Err(Error::corrupt(&self.path, page.offset, "the rows are not in order")),
        }
    }

    /// Every page.
    pub(crate) fn all_pages(&self) -> impl Iterator<Item = Page> + '_ {
        (0..self.index.sections.len()).flat_map(|section| self.index.pages(section, |_, _| true))
    }

    /// Leaves a page out from now on. Is that new?
    pub(crate) fn set_damaged(&self, page: &Page) -> bool {
        let _one_at_a_time = self.damaging.lock().expect("nothing panics while it holds this");
        let place = (page.section, page.number);
        let is_new = !self.damaged.iter().any(|(_, known)| *known == place);
        if is_new {
            self.damaged.push(place);
        }
        is_new
    }

    /// Was a page of it found damaged?
    pub(crate) fn is_damaged(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// How many pages of a section were found damaged.
    pub(crate) fn damaged_pages(&self, section: usize) -> usize {
        self.damaged.iter().filter(|(_, place)| place.0 as usize == section).count()
    }

    /// The bytes of a page as they lie in the file, as far as they are there.
    pub(crate) fn page_bytes(&self, page: &Page) -> &[u8] {
        let extent = page.extent();
        let end = extent.end.min(self.bytes.len());
        &self.bytes[extent.start.min(end)..end]
    }

    /// A chunk of a page's bytes; nothing for a field without a value.
    fn chunk<'a>(&self, page: &Page, bytes: &'a [u8], place: usize) -> Result<Option<Stored<'a>>> {
        let Some(range) = page.chunk(place) else { return Ok(None) };
        let start = page.extent().start;
        let past = || Error::corrupt(&self.path, range.start as u64, "a chunk lies past the end of the file");
        let bytes = bytes.get(range.start - start..range.end - start).ok_or_else(past)?;
        Ok(Some(if page.is_version_1 { Stored::Version1(bytes) } else { Stored::Current(bytes) }))
    }
}

/// What is wrong with the ends of a segment file: its header, either copy of its index, the trailer.
pub(crate) fn verify_ends(path: &Path, bytes: &Bytes) -> Vec<Error> {
    let damaged = |at: usize, reason: String| Error::corrupt(path, at as u64, reason);
    let mut errors = Vec::new();
    errors.extend(FileHeader::SEGMENT.check(bytes).err().map(|error| damaged(0, error.to_string())));
    match read_index(bytes) {
        Err((at, reason)) => errors.push(damaged(at, reason)),
        Ok(_) => {
            let end = bytes.len() - 16;
            let first = u64_at(bytes, end) as usize;
            let copy = first + (end - first) / 2;
            let is_version_1 = block::open(&bytes[first..end], Kind::SegmentIndex1).is_ok();
            if !is_version_1 && bytes[first..copy] != bytes[copy..end] {
                errors.push(damaged(copy, "the copy of the index differs from it".into()));
            }
        }
    }
    errors
}

/// The index that the end of the file points to, or where and why there is none.
pub(crate) fn read_index(bytes: &Bytes) -> Result<SegmentIndex, (usize, String)> {
    let end = bytes.len().saturating_sub(16).max(FILE_HEADER_BYTES);
    let trailer = bytes.get(end..end + 16).filter(|trailer| trailer[8..] == END_MARK);
    let trailer = trailer.ok_or((end, "the end mark is missing".to_owned()))?;
    let at = u64_at(trailer, 0) as usize;
    if at > end {
        return Err((end, format!("no index at {at}")));
    }
    open_index(&bytes.slice(at..end)).map_err(|reason| (at, reason))
}

pub(crate) fn open_index(bytes: &Bytes) -> Result<SegmentIndex, String> {
    let (kind, index) = block::open_any(bytes, &INDEX_KINDS).map_err(|error: BlockError| error.to_string())?;
    match kind {
        Kind::SegmentIndex1 => SegmentIndex::decode_version_1(&index[HEADER_BYTES..]),
        _ => SegmentIndex::decode(bytes.slice_ref(&index[HEADER_BYTES..])),
    }
}

pub(crate) const INDEX_KINDS: [Kind; 2] = [Kind::SegmentIndex, Kind::SegmentIndex1];

/// The last whole index that is anywhere in the file.
pub(crate) fn search_index(bytes: &Bytes) -> Option<SegmentIndex> {
    let blocks = block::scan(bytes, FILE_HEADER_BYTES, &INDEX_KINDS);
    let indexes = blocks.filter_map(|found| match found {
        Found::Block { offset, .. } => open_index(&bytes.slice(offset..)).ok(),
        _ => None,
    });
    indexes.last()
}
