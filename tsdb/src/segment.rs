//! Segments: immutable files of sorted, compressed rows, read through a memory map.
//!
//! ```text
//! file header | chunks of page 0 | chunks of page 1 | ... | index block | u64 offset of the index, b"49NSEGX\0"
//! ```
//!
//! A page holds up to [`PAGE_ROWS_MAX`] rows of one table in key order: the chunk of the series, of the times, then one
//! a field. The index says where each page's chunks lie and which series and times it covers.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::{self, FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Kind, u32_at, u64_at};
use crate::catalog::Catalog;
use crate::codec;
use crate::disk;
use crate::error::{Error, IoContext, Result};
use crate::manifest::SegmentId;
use crate::map::Map;
use crate::rows::{Rows, take_ranges};
use crate::scan::Filter;
use crate::value::FieldType;

/// The most rows that a page has.
pub const PAGE_ROWS_MAX: usize = 8192;
/// The last bytes of a segment file, behind the offset of the index.
const END_MARK: [u8; 8] = *b"49NSEGX\0";

/// The segment's file.
pub(crate) fn path(dir: &Path, id: SegmentId) -> PathBuf {
    dir.join("segments").join(format!("{:010}.{}.seg", id.number, id.generation))
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    id: SegmentId,
    path: PathBuf,
    map: Map,
    tables: Vec<TableIndex>,
}

/// What a segment has of one table.
#[derive(Debug, Clone, Default)]
struct TableIndex {
    table: u32,
    fields: Vec<(u32, FieldType)>,
    pages: Vec<PageIndex>,
}

/// Where a page lies and what it covers.
#[derive(Debug, Clone)]
pub(crate) struct PageIndex {
    rows: usize,
    /// Of the first row and of the last.
    series: RangeInclusive<u32>,
    /// Of the earliest row and of the latest.
    times: RangeInclusive<i64>,
    /// Where the first chunk starts in the file; each next one starts behind it at a multiple of 8.
    offset: u64,
    /// The length of each chunk: series, times, then one a field; 0 for a field without a value in this page.
    lengths: Vec<u32>,
}

impl PageIndex {
    /// The bytes of the chunk at this place, or `None` for a field without a value.
    fn chunk(&self, place: usize) -> Option<Range<usize>> {
        let before: usize = self.lengths[..place].iter().map(|length| block::padded(*length as usize)).sum();
        let start = self.offset as usize + before;
        (self.lengths[place] > 0).then(|| start..start + self.lengths[place] as usize)
    }
}

impl Segment {
    /// Opens a segment file and reads its index.
    pub(crate) fn open(dir: &Path, id: SegmentId) -> Result<Segment> {
        let path = path(dir, id);
        let map = Map::open(&path)?;
        let damaged = |offset: usize, reason: String| Error::corrupt(&path, offset as u64, reason);
        FileHeader::SEGMENT.check(&map).map_err(|reason| damaged(0, reason))?;
        let end = map.len().saturating_sub(16).max(FILE_HEADER_BYTES);
        let trailer = map.get(end..end + 16).filter(|trailer| trailer[8..] == END_MARK);
        let trailer = trailer.ok_or_else(|| damaged(end, "the end mark is missing".into()))?;
        let at = u64_at(trailer, 0) as usize;
        let index = map.get(at..end).ok_or_else(|| damaged(end, format!("no index at {at}")))?;
        let index = block::open(index, Kind::SegmentIndex).map_err(|error| damaged(at, error.to_string()))?;
        let tables = decode_index(&index[HEADER_BYTES..]).map_err(|reason| damaged(at, reason))?;
        Ok(Segment { id, path, map, tables })
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
        self.map.len()
    }

    /// The tables that it has rows of.
    pub(crate) fn tables(&self) -> impl Iterator<Item = u32> + '_ {
        self.tables.iter().map(|index| index.table)
    }

    /// The fields of a table that it has values of.
    pub(crate) fn fields(&self, table: u32) -> &[(u32, FieldType)] {
        self.table(table).map_or(&[], |index| &index.fields)
    }

    /// Refuses a segment that refers to what the catalogue does not have.
    pub(crate) fn check(&self, catalog: &Catalog) -> Result<()> {
        self.tables.iter().try_for_each(|table| {
            let last_series = table.pages.iter().map(|page| *page.series.end()).max();
            let fits = catalog.check(table.table, &table.fields, last_series);
            fits.map_err(|reason| Error::corrupt(&self.path, 0, reason))
        })
    }

    fn table(&self, table: u32) -> Option<&TableIndex> {
        self.tables.iter().find(|index| index.table == table)
    }

    /// The pages of a table that can have rows for a filter, in key order.
    pub(crate) fn pages(&self, table: u32, filter: &Filter) -> Vec<PageIndex> {
        let pages = self.table(table).map_or(&[][..], |index| &index.pages);
        let wanted = |page: &&PageIndex| {
            filter.meets_times(*page.times.start(), *page.times.end())
                && filter.meets_series(*page.series.start(), *page.series.end())
        };
        pages.iter().filter(wanted).cloned().collect()
    }

    /// The earliest and latest time of some pages.
    pub(crate) fn span(pages: &[PageIndex]) -> Option<RangeInclusive<i64>> {
        let first = pages.iter().map(|page| *page.times.start()).min()?;
        Some(first..=pages.iter().map(|page| *page.times.end()).max()?)
    }

    /// The rows of a page that a filter wants; nothing is decoded beyond what that needs.
    pub(crate) fn read(&self, table: u32, page: &PageIndex, fields: &[u32], filter: &Filter) -> Result<Rows> {
        let damaged = |reason| Error::corrupt(&self.path, page.offset, reason);
        let chunk = |place| page.chunk(place).map_or(Ok(&[][..]), |range| self.bytes(range));
        let series = codec::decode_series(chunk(0)?, page.rows).map_err(damaged)?;
        let times = codec::decode_times(chunk(1)?, page.rows).map_err(damaged)?;
        let ranges = filter.ranges(&series, &times);
        let known = self.fields(table);
        let mut columns = Vec::with_capacity(fields.len());
        for field in fields {
            let place = known.iter().position(|(known, _)| known == field);
            let found = place.and_then(|place| Some((page.chunk(place + 2)?, known[place].1)));
            columns.push(match found {
                Some((range, kind)) if !ranges.is_empty() => {
                    let array = codec::decode_field(self.bytes(range)?, page.rows, kind).map_err(damaged)?;
                    Some(take_ranges(&array, &ranges).expect("ranges lie inside the page"))
                }
                _ => None,
            });
        }
        let pick =
            |range: &Range<usize>| (series.slice(range.start, range.len()), times.slice(range.start, range.len()));
        let (series, times) = match &ranges[..] {
            [one] => pick(one),
            _ => (
                ranges.iter().flat_map(|range| series[range.clone()].iter().copied()).collect(),
                ranges.iter().flat_map(|range| times[range.clone()].iter().copied()).collect(),
            ),
        };
        Ok(Rows { series, times, columns })
    }

    fn bytes(&self, range: Range<usize>) -> Result<&[u8]> {
        let offset = range.start as u64;
        self.map.get(range).ok_or_else(|| Error::corrupt(&self.path, offset, "a chunk lies past the end of the file"))
    }
}

/// Writes a segment file under a temporary name.
pub(crate) struct SegmentWriter {
    file: BufWriter<File>,
    dir: PathBuf,
    id: SegmentId,
    temporary: PathBuf,
    offset: u64,
    tables: Vec<TableIndex>,
}

impl SegmentWriter {
    pub(crate) fn create(dir: &Path, id: SegmentId) -> Result<SegmentWriter> {
        let temporary = disk::temporary(&path(dir, id));
        let file = BufWriter::new(File::create(&temporary).on("create", &temporary)?);
        let dir = dir.to_owned();
        let mut writer = SegmentWriter { file, dir, id, temporary, offset: 0, tables: Vec::new() };
        writer.put(&FileHeader::SEGMENT.bytes())?;
        Ok(writer)
    }

    /// The pages that follow are of this table and have these fields.
    pub(crate) fn start_table(&mut self, table: u32, fields: &[(u32, FieldType)]) {
        self.tables.push(TableIndex { table, fields: fields.to_vec(), pages: Vec::new() });
    }

    /// Writes a page; its rows lie behind those of the page before.
    pub(crate) fn page(&mut self, rows: &Rows) -> Result<()> {
        assert!((1..=PAGE_ROWS_MAX).contains(&rows.len()), "a page has 1 to {PAGE_ROWS_MAX} rows, not {}", rows.len());
        let table = self.tables.last_mut().expect("a table is started first");
        let mut chunks = vec![codec::encode_series(&rows.series), codec::encode_times(&rows.times)];
        for (column, (_, kind)) in rows.columns.iter().zip(&table.fields) {
            let some = column.as_ref().filter(|array| array.null_count() < array.len());
            chunks.push(some.map_or_else(Vec::new, |array| codec::encode_field(array, *kind)));
        }
        let times = || rows.times.iter().copied();
        table.pages.push(PageIndex {
            rows: rows.len(),
            series: rows.series[0]..=rows.series[rows.len() - 1],
            times: times().min().expect("a row")..=times().max().expect("a row"),
            offset: self.offset,
            lengths: chunks.iter().map(|chunk| chunk.len() as u32).collect(),
        });
        chunks.iter().try_for_each(|chunk| self.put(chunk))
    }

    /// Writes the index, makes the file durable, gives it its name, and opens it.
    pub(crate) fn finish(mut self) -> Result<Arc<Segment>> {
        let index_at = self.offset;
        let index = block::wrap(&encode_index(&self.tables), Kind::SegmentIndex);
        self.put(&index)?;
        self.put(&index_at.to_le_bytes())?;
        self.put(&END_MARK)?;
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error).on("write", &self.temporary)?;
        file.sync_all().on("sync", &self.temporary)?;
        disk::publish(&self.temporary, &path(&self.dir, self.id))?;
        Segment::open(&self.dir, self.id).map(Arc::new)
    }

    /// Appends bytes, padded to a multiple of 8.
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let padding = block::padded(bytes.len()) - bytes.len();
        self.file
            .write_all(bytes)
            .and_then(|()| self.file.write_all(&[0; 8][..padding]))
            .on("write", &self.temporary)?;
        self.offset += (bytes.len() + padding) as u64;
        Ok(())
    }
}

fn encode_index(tables: &[TableIndex]) -> Vec<u8> {
    let mut out = Vec::new();
    let u32s = |out: &mut Vec<u8>, numbers: &[u32]| numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
    u32s(&mut out, &[tables.len() as u32]);
    for table in tables {
        u32s(&mut out, &[table.table, table.fields.len() as u32, table.pages.len() as u32]);
        table.fields.iter().for_each(|(field, kind)| u32s(&mut out, &[*field, *kind as u32]));
        for page in &table.pages {
            u32s(&mut out, &[page.rows as u32, *page.series.start(), *page.series.end()]);
            out.extend(page.times.start().to_le_bytes());
            out.extend(page.times.end().to_le_bytes());
            out.extend(page.offset.to_le_bytes());
            u32s(&mut out, &page.lengths);
        }
    }
    out
}

fn decode_index(bytes: &[u8]) -> Result<Vec<TableIndex>, String> {
    let mut at = 0;
    let mut take = |length: usize| {
        let part = bytes.get(at..at + length).ok_or_else(|| format!("the index ends at {}", bytes.len()))?;
        at += length;
        Ok::<&[u8], String>(part)
    };
    let mut tables = Vec::new();
    for _ in 0..u32_at(take(4)?, 0) {
        let counts = take(12)?;
        let mut table = TableIndex { table: u32_at(counts, 0), ..TableIndex::default() };
        for _ in 0..u32_at(counts, 4) {
            let field = take(8)?;
            let kind = u8::try_from(u32_at(field, 4)).ok().and_then(FieldType::from_u8);
            table.fields.push((u32_at(field, 0), kind.ok_or("unknown field type")?));
        }
        for _ in 0..u32_at(counts, 8) {
            let page = take(36)?;
            let lengths = take((table.fields.len() + 2) * 4)?;
            table.pages.push(PageIndex {
                rows: u32_at(page, 0) as usize,
                series: u32_at(page, 4)..=u32_at(page, 8),
                times: u64_at(page, 12) as i64..=u64_at(page, 20) as i64,
                offset: u64_at(page, 28),
                lengths: lengths.chunks_exact(4).map(|length| u32_at(length, 0)).collect(),
            });
        }
        tables.push(table);
    }
    Ok(tables)
}
