//! The file of a rollup's day: cells, a series and bucket each, column by column. `docs/format.md` has every byte.
//!
//! Cells are in the order of series and time, in blocks of some series. A block has a chunk a column, coded as those of
//! segments; a query decodes the columns that it needs of the blocks that have its series.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::ScalarBuffer;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::base::error::{Error, IoContext, Result};
use crate::base::ids::RollupId;
use crate::base::value::FieldType;
use crate::catalog::filter::Filter;
use crate::codec::{self, Effort, Stored};
use crate::files::block::{self, FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Kind, u64_at};
use crate::files::data_dir::{DataDir, NewFile};
use crate::rows::cells::{CellColumn, Cells, FoldKind, SketchColumn};

/// Columns of a block before those of its fields: the series, the number of the bucket in the day, how many rows.
const KEYS: usize = 3;

/// The columns of a field.
#[derive(Debug, Clone, Copy)]
enum Part {
    Count,
    /// The first value, the last, and how long after the start of the bucket they are, ns.
    First,
    Last,
    FirstAt,
    LastAt,
    Sum,
    Min,
    Max,
    /// Of the sketches: how many buckets each has, then all of them, each as its distance from the one before, and how
    /// many values they have.
    SketchSizes,
    SketchBuckets,
    SketchCounts,
    /// The sum as a float, of integers: means are of floats.
    FloatSum,
}

/// Of these a type has the first so many.
fn parts(kind: FieldType) -> usize {
    1 + match kind {
        FieldType::Str => Part::Count,
        FieldType::Bool => Part::LastAt,
        FieldType::F64 => Part::SketchCounts,
        FieldType::I64 | FieldType::U64 => Part::FloatSum,
    } as usize
}

/// Where a block lies and what it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Block {
    /// Of the first cell and of the last.
    series: (u32, u32),
    cells: u32,
    at: u64,
    /// The length of each chunk; 0 for a column without a value.
    lengths: Vec<u32>,
}

/// What the end of the file says about the rest.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    /// Numbers and types of the fields.
    fields: Vec<(u32, FieldType)>,
    blocks: Vec<Block>,
    /// Are stale marks no values in it? They were to version 0.1.0 before it knew them.
    #[serde(default)]
    without_marks: bool,
}

/// A file that is open.
#[derive(Debug)]
pub(crate) struct RollupFile {
    path: PathBuf,
    bytes: Bytes,
    index: Index,
    cells: usize,
    /// Was damage found in it?
    damaged: AtomicBool,
}

/// Where the file of a day is.
pub(crate) fn path(dir: &DataDir, id: &RollupId) -> PathBuf {
    dir.join(format!("rollups/{}/{}.{}.rollup", id.rollup, id.day, id.made))
}

impl RollupFile {
    /// Opens a file: its index is checked now, a chunk when it is used.
    pub(crate) fn open(dir: &DataDir, id: &RollupId) -> Result<RollupFile> {
        let path = path(dir, id);
        let bytes = dir.map(&path)?;
        if let Some(error) = FileHeader::ROLLUP.damage(&bytes, &path)? {
            return Err(error);
        }
        let index = read_index(&bytes).map_err(|reason| Error::corrupt(&path, bytes.len() as u64, reason))?;
        let cells = index.blocks.iter().map(|block| block.cells as usize).sum();
        Ok(RollupFile { path, bytes, index, cells, damaged: AtomicBool::new(false) })
    }

    /// Is what it says of floats what their rows say?
    pub(crate) fn is_up_to_date(&self) -> bool {
        self.index.without_marks || self.index.fields.iter().all(|(_, kind)| *kind != FieldType::F64)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many cells it has.
    pub(crate) fn cells(&self) -> usize {
        self.cells
    }

    /// Has no damage been found so far?
    pub(crate) fn may_be_sound(&self) -> bool {
        !self.damaged.load(Ordering::Relaxed)
    }

    /// Checks the whole file.
    pub(crate) fn verify(&self) -> Result<()> {
        let (rest, checksum) = self.bytes.split_at(self.bytes.len() - 8);
        let (got, expected) = (xxh3_64(rest), u64_at(checksum, 0));
        match got == expected {
            true => Ok(()),
            false => Err(Error::corrupt(&self.path, 0, format!("checksum is {got:#018x}, expected {expected:#018x}"))),
        }
    }

    /// What the blocks have of these folds, as far as they have wanted series; each with the first and the last of its
    /// series.
    pub(crate) fn read<'a>(
        &'a self,
        folds: &'a [(FoldKind, Option<u32>)],
        filter: &'a Filter,
    ) -> impl Iterator<Item = (RangeInclusive<u32>, Result<BlockCells>)> + 'a {
        let meets = |block: &&Block| filter.meets_series(block.series.0, block.series.1);
        self.index.blocks.iter().filter(meets).map(|block| {
            let cells = BlockReader { file: self, block }.cells(folds).map_err(|reason| {
                self.damaged.store(true, Ordering::Relaxed);
                Error::corrupt(&self.path, block.at, reason)
            });
            (block.series.0..=block.series.1, cells)
        })
    }
}

fn read_index(bytes: &[u8]) -> Result<Index, String> {
    let end = bytes.len().checked_sub(16).filter(|end| *end >= FILE_HEADER_BYTES).ok_or("the file is cut off")?;
    let at = usize::try_from(u64_at(bytes, end)).ok().filter(|at| (FILE_HEADER_BYTES..end).contains(at));
    let at = at.ok_or("the index is said to be elsewhere")?;
    let block = block::open(&bytes[at..end], Kind::RollupIndex).map_err(|error| error.to_string())?;
    let index: Index = serde_json::from_slice(&block[HEADER_BYTES..]).map_err(|error| error.to_string())?;
    let columns = KEYS + index.fields.iter().map(|(_, kind)| parts(*kind)).sum::<usize>();
    for block in &index.blocks {
        let length: u64 = block.lengths.iter().map(|length| u64::from(*length)).sum();
        let fits =
            block.at.checked_add(length).is_some_and(|end| end <= at as u64) && block.at >= FILE_HEADER_BYTES as u64;
        if block.lengths.len() != columns || !fits {
            return Err(format!("a block at {} with {} columns, expected {columns}", block.at, block.lengths.len()));
        }
    }
    Ok(index)
}

/// Cells as a query needs them.
#[derive(Debug)]
pub(crate) struct BlockCells {
    pub series: ScalarBuffer<u32>,
    /// Numbers of buckets in the day.
    pub buckets: ScalarBuffer<u32>,
    /// One a fold.
    pub columns: Vec<CellColumn>,
}

struct BlockReader<'a> {
    file: &'a RollupFile,
    block: &'a Block,
}

impl BlockReader<'_> {
    fn cells(&self, folds: &[(FoldKind, Option<u32>)]) -> Result<BlockCells, String> {
        let rows = self.block.cells as usize;
        let key = |place: usize| codec::decode_series(Stored::Current(self.chunk(place)), rows);
        let columns = folds.iter().map(|(kind, field)| match field {
            None => Ok(CellColumn::Counts(self.integers(2)?)),
            Some(field) => self.column(*kind, *field),
        });
        Ok(BlockCells { series: key(0)?, buckets: key(1)?, columns: columns.collect::<Result<_, String>>()? })
    }

    fn chunk(&self, place: usize) -> &[u8] {
        let Block { at, lengths, .. } = self.block;
        let start = *at as usize + lengths[..place].iter().map(|length| *length as usize).sum::<usize>();
        &self.file.bytes[start..start + lengths[place] as usize]
    }

    fn integers(&self, place: usize) -> Result<ScalarBuffer<i64>, String> {
        codec::decode_times(Stored::Current(self.chunk(place)), self.block.cells as usize)
    }

    fn column(&self, kind: FoldKind, field: u32) -> Result<CellColumn, String> {
        let fields = &self.file.index.fields;
        let Some(at) = fields.iter().position(|(number, _)| *number == field) else {
            // It came to the table when the day was over.
            return Ok(CellColumn::Nothing);
        };
        let of = fields[at].1;
        let first = KEYS + fields[..at].iter().map(|(_, kind)| parts(*kind)).sum::<usize>();
        let place = |part: Part| first + part as usize;
        if self.block.lengths[place(Part::Count)] == 0 {
            return Ok(CellColumn::Nothing);
        }
        let rows = self.block.cells as usize;
        let values = |part: Part, of: FieldType| {
            codec::decode_field(Stored::Current(self.chunk(place(part))), rows, std::slice::from_ref(&(0..rows)), of)
        };
        let numbers = |part: Part, count: usize| codec::decode_times(Stored::Current(self.chunk(place(part))), count);
        Ok(match kind {
            FoldKind::Count => CellColumn::Counts(self.integers(place(Part::Count))?),
            FoldKind::Sum => {
                let sums = values(Part::Sum, of)?;
                let is_whole = of == FieldType::F64 || are_whole(&sums, of, &values(Part::FloatSum, FieldType::F64)?);
                CellColumn::Values(is_whole.then_some(sums).ok_or("a sum is beyond the type of its field")?)
            }
            FoldKind::Min => CellColumn::Values(values(Part::Min, of)?),
            FoldKind::Max => CellColumn::Values(values(Part::Max, of)?),
            FoldKind::First => CellColumn::Edge(values(Part::First, of)?, self.integers(place(Part::FirstAt))?),
            FoldKind::Last => CellColumn::Edge(values(Part::Last, of)?, self.integers(place(Part::LastAt))?),
            FoldKind::Mean => {
                let part = if of == FieldType::F64 { Part::Sum } else { Part::FloatSum };
                CellColumn::Mean(values(part, FieldType::F64)?, self.integers(place(Part::Count))?)
            }
            FoldKind::Sketch => {
                let sizes = self.integers(place(Part::SketchSizes))?;
                let all = sizes.iter().try_fold(0usize, |all, size| all.checked_add(usize::try_from(*size).ok()?));
                let all = all.filter(|all| *all <= SKETCH_BUCKETS_MAX).ok_or("the sketches are too large")?;
                if all == 0 {
                    return Ok(CellColumn::Nothing);
                }
                let (buckets, counts) = (numbers(Part::SketchBuckets, all)?, numbers(Part::SketchCounts, all)?);
                CellColumn::Sketches(SketchColumn::new(&sizes, &buckets, counts)?)
            }
        })
    }
}

/// More than all cells of a block can have: what a damaged file can make us allocate.
const SKETCH_BUCKETS_MAX: usize = 1 << 28;

/// A file under way.
pub(crate) struct RollupWriter {
    file: NewFile,
    path: PathBuf,
    hasher: Xxh3Default,
    written: u64,
    index: Index,
}

/// The cells of a field, as the writer needs them: one of each kind that its type has.
pub(crate) type FieldCells<'a> = BTreeMap<FoldKind, &'a Cells>;

impl RollupWriter {
    pub(crate) fn create(dir: &DataDir, id: &RollupId, fields: Vec<(u32, FieldType)>) -> Result<RollupWriter> {
        let path = path(dir, id);
        dir.create_dir(path.parent().expect("a file lies in a folder"))?;
        let file = NewFile::create(dir, &path)?;
        let index = Index { fields, blocks: Vec::new(), without_marks: true };
        let mut writer = RollupWriter { file, path, hasher: Xxh3Default::new(), written: 0, index };
        writer.append(&FileHeader::ROLLUP.bytes())?;
        Ok(writer)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.file.write_all(bytes).on("write", &self.path)
    }

    /// Writes cells: their series and buckets, in order, each with the place of what is kept of it; how many rows they
    /// have, and what is kept of each field. Says no if a sum is beyond the type of its field, so that there can be no
    /// such file.
    pub(crate) fn block(
        &mut self,
        keys: &[(u32, u32, usize)],
        starts: &[i64],
        rows: &Cells,
        fields: &[FieldCells<'_>],
    ) -> Result<bool> {
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(true) };
        let places: Vec<usize> = keys.iter().map(|(.., place)| *place).collect();
        let series: Vec<u32> = keys.iter().map(|(series, ..)| *series).collect();
        let buckets: Vec<u32> = keys.iter().map(|(_, bucket, _)| *bucket).collect();
        let mut chunks = vec![
            codec::encode_series(&series, Effort::Small),
            codec::encode_series(&buckets, Effort::Small),
            integers(&rows.counts(&places)),
        ];
        for ((_, kind), cells) in self.index.fields.iter().zip(fields) {
            let Some(own) = field_chunks(*kind, cells, &places, starts) else { return Ok(false) };
            chunks.extend(own);
        }
        let lengths = chunks.iter().map(|chunk| chunk.len() as u32).collect();
        let block = Block { series: (first.0, last.0), cells: keys.len() as u32, at: self.written, lengths };
        self.index.blocks.push(block);
        chunks.iter().try_for_each(|chunk| self.append(chunk))?;
        Ok(true)
    }

    /// Writes the index and makes the file durable.
    pub(crate) fn finish(mut self) -> Result<()> {
        let at = self.written;
        let index = serde_json::to_vec(&self.index).expect("numbers always become JSON");
        self.append(&block::wrap(&index, Kind::RollupIndex))?;
        self.append(&at.to_le_bytes())?;
        let checksum = self.hasher.digest();
        self.append(&checksum.to_le_bytes())?;
        self.file.publish()
    }
}

/// Nothing at all if there are none.
fn integers(numbers: &[i64]) -> Vec<u8> {
    if numbers.is_empty() { Vec::new() } else { codec::encode_times(numbers, Effort::Small) }
}

/// The chunks of a field, in the order of [`Part`]; nothing if a sum is beyond its type.
fn field_chunks(kind: FieldType, cells: &FieldCells<'_>, places: &[usize], starts: &[i64]) -> Option<Vec<Vec<u8>>> {
    let counts = cells[&FoldKind::Count].counts(places);
    if counts.iter().all(|count| *count == 0) {
        return Some(vec![Vec::new(); parts(kind)]);
    }
    let values = |array: ArrayRef, kind: FieldType| codec::encode_field(&array, kind, Effort::Small);
    let mut chunks = vec![integers(&counts)];
    if parts(kind) > Part::Count as usize + 1 {
        let edges = [FoldKind::First, FoldKind::Last].map(|edge| cells[&edge].edges(places, starts));
        chunks.extend(edges.iter().map(|(array, _)| values(array.clone(), kind)));
        chunks.extend(edges.iter().map(|(_, times)| integers(times)));
    }
    if parts(kind) > Part::LastAt as usize + 1 {
        for fold in [FoldKind::Sum, FoldKind::Min, FoldKind::Max] {
            chunks.push(values(cells[&fold].values(places)?, kind));
        }
        let (sizes, buckets, counts) = cells[&FoldKind::Sketch].sketches(places);
        chunks.extend([sizes, buckets, counts].map(|numbers| integers(&numbers)));
    }
    if parts(kind) > Part::SketchCounts as usize + 1 {
        chunks.push(values(cells[&FoldKind::Mean].float_sums(places), FieldType::F64));
    }
    debug_assert_eq!(chunks.len(), parts(kind));
    Some(chunks)
}

/// Are these sums of whole numbers what they are as floats, too? Older versions kept sums modulo 2^64.
fn are_whole(sums: &ArrayRef, kind: FieldType, floats: &ArrayRef) -> bool {
    const WRAPPED: f64 = (1u64 << 63) as f64;
    let floats = floats.as_primitive::<Float64Type>();
    let is_near = |at: usize, sum: f64| floats.is_null(at) || (sum - floats.value(at)).abs() < WRAPPED;
    match kind {
        FieldType::I64 => sums
            .as_primitive::<Int64Type>()
            .iter()
            .enumerate()
            .all(|(at, sum)| sum.is_none_or(|sum| is_near(at, sum as f64))),
        FieldType::U64 => sums
            .as_primitive::<UInt64Type>()
            .iter()
            .enumerate()
            .all(|(at, sum)| sum.is_none_or(|sum| is_near(at, sum as f64))),
        _ => true,
    }
}
