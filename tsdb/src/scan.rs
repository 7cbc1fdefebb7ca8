//! Scans: rows of one table out of a snapshot of head and segments, as Arrow record batches.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow_array::{TimestampNanosecondArray, new_null_array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::catalog::{ABSENT, ColumnRef, Table};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::frame_rows::FrameRows;
use crate::merge::{Merge, Source};
use crate::rows::Rows;
use crate::segment::{PAGE_ROWS_MAX, PageIndex, Segment};
use crate::series_set::{SeriesSet, TagPredicate};
use crate::view::View;

/// The name of the timestamp's column.
pub const TIME_COLUMN: &str = "time";

/// Which rows and columns of a table a scan gives.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// The columns wanted, in this order; `None` for all: `time`, the tags, the fields.
    pub columns: Option<Vec<String>>,
    /// The first time wanted, ns since the epoch.
    pub from: i64,
    /// The last time wanted, ns since the epoch, inclusive.
    pub to: i64,
    /// Conditions on tags that all must hold.
    pub tags: Vec<TagPredicate>,
    /// How many partitions to aim for; they can be read in parallel.
    pub partitions: usize,
}

impl Default for ScanRequest {
    /// Everything, in one partition.
    fn default() -> ScanRequest {
        ScanRequest { columns: None, from: i64::MIN, to: i64::MAX, tags: Vec::new(), partitions: 1 }
    }
}

/// Which rows are wanted, in the store's own numbers.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    from: i64,
    to: i64,
    /// `None` for all series.
    series: Option<Arc<SeriesSet>>,
}

impl Filter {
    /// Every row there is.
    pub(crate) const ALL: Filter = Filter { from: i64::MIN, to: i64::MAX, series: None };

    pub(crate) fn meets_times(&self, first: i64, last: i64) -> bool {
        first <= self.to && last >= self.from
    }

    pub(crate) fn meets_series(&self, first: u32, last: u32) -> bool {
        self.series.as_ref().is_none_or(|set| set.meets(first, last))
    }

    /// Is this series wanted?
    pub(crate) fn wants_series(&self, series: u32) -> bool {
        self.series.as_ref().is_none_or(|set| set.contains(series))
    }

    /// The ranges of rows wanted among rows in key order.
    pub(crate) fn ranges(&self, series: &[u32], times: &[i64]) -> Vec<Range<usize>> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for run in series.chunk_by(|a, b| a == b) {
            let run_times = &times[start..start + run.len()];
            if self.wants_series(run[0]) {
                let first = start + run_times.partition_point(|time| *time < self.from);
                let last = first.max(start + run_times.partition_point(|time| *time <= self.to));
                match ranges.last_mut() {
                    Some(range) if range.end == first => range.end = last,
                    _ if first < last => ranges.push(first..last),
                    _ => {}
                }
            }
            start += run.len();
        }
        ranges
    }
}

/// The Arrow schema of a table as it is now: `time`, the tags, the fields.
pub(crate) fn arrow_schema(table: &Table) -> SchemaRef {
    let columns = table.columns();
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let tag = DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into());
    let mut fields = vec![Field::new(TIME_COLUMN, time, false)];
    fields.extend(columns.tags.iter().map(|name| Field::new(&**name, tag.clone(), true)));
    fields.extend(columns.fields.iter().map(|(name, kind)| Field::new(&**name, kind.arrow(), true)));
    Arc::new(Schema::new(fields))
}

/// A column of the answer.
#[derive(Debug, Clone, Copy)]
enum Output {
    Time,
    Tag(u32),
    /// The place among the fields that are read.
    Field(usize),
}

/// What every partition of a scan shares.
#[derive(Debug)]
struct Plan {
    schema: SchemaRef,
    table: Arc<Table>,
    filter: Filter,
    /// The fields to read, by number.
    fields: Vec<u32>,
    outputs: Vec<Output>,
    /// The values of each tag that is wanted, as of the start of the scan.
    tags: HashMap<u32, ArrayRef>,
}

/// A scan under way: a snapshot of the rows that were visible when it began.
#[derive(Debug)]
pub struct Scan {
    plan: Arc<Plan>,
    partitions: Vec<Vec<Unit>>,
}

/// Rows that must be merged among themselves, and with nothing else.
#[derive(Debug, Clone)]
enum Unit {
    /// Pages of one segment: in order already, each key once.
    Pages(Arc<Segment>, Vec<PageIndex>),
    /// Segments whose times overlap, and heads, oldest first.
    Merge(Vec<(Arc<Segment>, Vec<PageIndex>)>, Vec<Frame>),
}

impl Scan {
    pub(crate) fn new(view: &View, table: &Arc<Table>, request: &ScanRequest) -> Result<Scan> {
        // The frames first: their rows refer to columns and series that the catalogue had before.
        let heads: Vec<_> =
            view.heads.iter().map(|head| head.frames().filter(|frame| frame.table == table.id)).collect();
        let frames: Vec<Frame> = heads.into_iter().flatten().cloned().collect();
        let plan = Plan::new(table, request)?;
        let filter = &plan.filter;
        let wanted = |frame: &Frame| filter.meets_times(frame.min_time, frame.max_time);
        let frames: Vec<Frame> = frames.into_iter().filter(wanted).collect();
        let segments = view.segments.iter().map(|segment| (segment.clone(), segment.pages(table.id, filter)));
        let units = units(segments.filter(|(_, pages)| !pages.is_empty()).collect(), frames);
        Ok(Scan { partitions: distribute(units, request.partitions.max(1)), plan: Arc::new(plan) })
    }

    /// The columns of every batch.
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema.clone()
    }

    /// How many partitions there are; fewer have rows where there is little to read.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Reads a partition; its rows are in no particular order. Every reading gives the same rows.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn read(&self, partition: usize) -> Batches {
        let (source_plan, answer_plan) = (self.plan.clone(), self.plan.clone());
        let units = self.partitions[partition].clone().into_iter();
        let rows = units.flat_map(move |unit| source_plan.clone().source(unit));
        let rows = rows.filter(|rows| rows.as_ref().map_or(true, |rows| rows.len() > 0));
        Batches(Box::new(rows.map(move |rows| rows.and_then(|rows| answer_plan.answer(&rows)))))
    }

    /// Reads all partitions one after the other.
    pub fn read_all(&self) -> impl Iterator<Item = Result<RecordBatch>> {
        (0..self.partitions()).flat_map(|partition| self.read(partition))
    }
}

/// The record batches of one partition of a scan.
pub struct Batches(Box<dyn Iterator<Item = Result<RecordBatch>> + Send>);

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        self.0.next()
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Batches")
    }
}

/// Groups what overlaps in time: only rows of one time can have the same key.
fn units(mut segments: Vec<(Arc<Segment>, Vec<PageIndex>)>, frames: Vec<Frame>) -> Vec<Unit> {
    let span = |pages: &[PageIndex]| Segment::span(pages).expect("only segments with pages get here");
    let head = (!frames.is_empty()).then(|| {
        let first = frames.iter().map(|frame| frame.min_time).min().expect("a frame");
        first..=frames.iter().map(|frame| frame.max_time).max().expect("a frame")
    });
    let mut units = Vec::new();
    let mut with_head = Vec::new();
    // The head's own group: what overlaps it, and what overlaps that.
    if let Some(mut reach) = head {
        while let Some(at) = segments.iter().position(|(_, pages)| overlap(&span(pages), &reach)) {
            let (segment, pages) = segments.remove(at);
            reach = union(&reach, &span(&pages));
            with_head.push((segment, pages));
        }
        with_head.sort_by_key(|(segment, _)| segment.id());
        units.push(Unit::Merge(with_head, frames));
    }
    while let Some((segment, pages)) = segments.pop() {
        let (mut reach, mut group) = (span(&pages), vec![(segment, pages)]);
        while let Some(at) = segments.iter().position(|(_, pages)| overlap(&span(pages), &reach)) {
            let member = segments.remove(at);
            reach = union(&reach, &span(&member.1));
            group.push(member);
        }
        group.sort_by_key(|(segment, _)| segment.id());
        units.push(match group.len() {
            1 => group.pop().map(|(segment, pages)| Unit::Pages(segment, pages)).expect("one"),
            _ => Unit::Merge(group, Vec::new()),
        });
    }
    units
}

type Span = std::ops::RangeInclusive<i64>;

fn overlap(a: &Span, b: &Span) -> bool {
    a.start() <= b.end() && b.start() <= a.end()
}

fn union(a: &Span, b: &Span) -> Span {
    *a.start().min(b.start())..=*a.end().max(b.end())
}

/// Spreads units over partitions; pages of one segment can be split, merges cannot.
fn distribute(units: Vec<Unit>, partitions: usize) -> Vec<Vec<Unit>> {
    let mut spread: Vec<Vec<Unit>> = (0..partitions).map(|_| Vec::new()).collect();
    for (turn, unit) in units.into_iter().enumerate() {
        match unit {
            Unit::Pages(segment, pages) => {
                let share = pages.len().div_ceil(partitions);
                for (at, part) in pages.chunks(share).enumerate() {
                    spread[(turn + at) % partitions].push(Unit::Pages(segment.clone(), part.to_vec()));
                }
            }
            merge @ Unit::Merge(..) => spread[turn % partitions].push(merge),
        }
    }
    spread
}

impl Plan {
    fn new(table: &Arc<Table>, request: &ScanRequest) -> Result<Plan> {
        let whole = arrow_schema(table);
        let columns = table.columns();
        let names = match &request.columns {
            Some(names) => names.clone(),
            None => whole.fields().iter().map(|field| field.name().clone()).collect(),
        };
        let (mut fields, mut outputs, mut tags, mut picked) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
        for name in &names {
            let unknown = || Error::UnknownColumn { table: table.name.clone(), column: name.clone() };
            outputs.push(match columns.find(name) {
                _ if name == TIME_COLUMN => Output::Time,
                Some(ColumnRef::Tag(tag)) => {
                    let values = table.tag_values(tag).iter().map(|(_, value)| Some(&**value));
                    tags.insert(tag, Arc::new(values.collect::<StringArray>()) as ArrayRef);
                    Output::Tag(tag)
                }
                Some(ColumnRef::Field(field, _)) => {
                    fields.push(field);
                    Output::Field(fields.len() - 1)
                }
                None => return Err(unknown()),
            });
            picked.push(whole.index_of(name).map_err(|_| unknown())?);
        }
        let schema = Arc::new(whole.project(&picked).expect("the columns were just found"));
        let series = SeriesSet::choose(table, &request.tags)?.map(Arc::new);
        let filter = Filter { from: request.from, to: request.to, series };
        Ok(Plan { schema, table: table.clone(), filter, fields, outputs, tags })
    }

    /// The rows of a unit, in key order, each key once.
    fn source(self: Arc<Plan>, unit: Unit) -> Source<'static> {
        let plan = self.clone();
        let pages = move |segment: Arc<Segment>, pages: Vec<PageIndex>| -> Source<'static> {
            let plan = plan.clone();
            Box::new(pages.into_iter().map(move |page| segment.read(plan.table.id, &page, &plan.fields, &plan.filter)))
        };
        match unit {
            Unit::Pages(segment, list) => pages(segment, list),
            Unit::Merge(segments, frames) => {
                let mut sources: Vec<_> = segments.into_iter().map(|(segment, list)| pages(segment, list)).collect();
                sources.push(Box::new(FrameRows::new(frames, self.fields.clone(), &self.filter, PAGE_ROWS_MAX)));
                Box::new(Merge::new(sources))
            }
        }
    }

    /// Rows as the batch that was asked for.
    fn answer(&self, rows: &Rows) -> Result<RecordBatch> {
        let column = |output: &Output| -> ArrayRef {
            match output {
                Output::Time => Arc::new(TimestampNanosecondArray::new(rows.times.clone(), None).with_timezone("UTC")),
                Output::Tag(tag) => self.tag_column(*tag, &rows.series),
                Output::Field(at) => rows.columns[*at].clone().unwrap_or_else(|| {
                    let (_, kind) = self.table.columns().fields[self.fields[*at] as usize].clone();
                    new_null_array(&kind.arrow(), rows.len())
                }),
            }
        };
        let columns = self.outputs.iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        Ok(batch.expect("columns have the types and lengths that the schema says"))
    }

    fn tag_column(&self, tag: u32, series: &[u32]) -> ArrayRef {
        let values = &self.tags[&tag];
        let mut keys: Vec<i32> = Vec::with_capacity(series.len());
        let mut absent = false;
        for run in series.chunk_by(|a, b| a == b) {
            let code = self.table.tag_code(run[0], tag);
            absent |= code == ABSENT;
            keys.resize(keys.len() + run.len(), code as i32);
        }
        let keys = match absent {
            // ABSENT is -1 as an i32.
            true => keys.into_iter().map(|key| (key >= 0).then_some(key)).collect(),
            false => Int32Array::new(ScalarBuffer::from(keys), None),
        };
        let column = DictionaryArray::<Int32Type>::try_new(keys, values.clone());
        Arc::new(column.expect("the snapshot's series have values that the catalogue had before"))
    }
}
