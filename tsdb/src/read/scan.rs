//! Scans: rows of one table out of a snapshot of heads, segments and rolled days, as Arrow record batches.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions};
use arrow_array::{TimestampNanosecondArray, new_null_array};
use arrow_buffer::{NullBufferBuilder, ScalarBuffer};
use arrow_schema::SchemaRef;

use crate::base::day::Day;
use crate::base::error::{Error, Result};
use crate::base::names::TIME_COLUMN;
use crate::base::series_runs::series_runs;
use crate::base::warnings::Warnings;
use crate::catalog::field_predicate::{Conditions, FieldPredicate};
use crate::catalog::filter::Filter;
use crate::catalog::registry::{ColumnRef, KnownColumns, Table};
use crate::catalog::series_set::{SeriesSet, TagPredicate};
use crate::catalog::tag::ABSENT;
use crate::read::reading::Reading;
use crate::read::unit::{Layers, Unit};
use crate::rows::keyed::Rows;
use crate::rows::merge::Source;
use crate::state::shared::Shared;
use crate::state::view::View;

/// Units of fewer rows are not worth taking apart.
const SPLIT_ROWS_MIN: usize = 32 * 1024;

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
    /// Conditions on fields that all must hold.
    pub fields: Vec<FieldPredicate>,
    /// How many partitions to aim for; they can be read in parallel. So many at the most, if series are wanted whole.
    pub partitions: usize,
    /// All rows of a series are to be in one partition, in the order of time. Partitions have about 32 Ki rows then.
    pub whole_series: bool,
    /// [`STALE_MARK`](crate::STALE_MARK)s come as they are stored. They are null otherwise.
    pub stale_marks: bool,
}

impl Default for ScanRequest {
    /// Everything, in one partition.
    fn default() -> ScanRequest {
        ScanRequest {
            columns: None,
            from: i64::MIN,
            to: i64::MAX,
            tags: Vec::new(),
            fields: Vec::new(),
            partitions: 1,
            whole_series: false,
            stale_marks: false,
        }
    }
}

/// A column of the answer.
#[derive(Debug, Clone, Copy)]
enum Output {
    Time,
    Tag(u32),
    /// The place among the fields that are read.
    Field(usize),
}

/// How rows of a table become record batches.
#[derive(Debug)]
pub(crate) struct Projection {
    pub schema: SchemaRef,
    pub table: Arc<Table>,
    /// The fields to read, by number: those of the answer, then those that only conditions are about.
    pub fields: Vec<u32>,
    /// How many of them are of the answer.
    columns: usize,
    outputs: Vec<Output>,
    /// The values of each tag that is wanted, as of the start of the scan.
    tags: HashMap<u32, ArrayRef>,
}

/// A scan under way: a snapshot of the rows that were visible when it began.
#[derive(Debug)]
pub struct Scan {
    projection: Arc<Projection>,
    conditions: Arc<Conditions>,
    stale_marks: bool,
    partitions: Vec<Vec<Unit>>,
    /// All rows are of one series.
    one_series: bool,
    shared: Arc<Shared>,
    /// What was met that keeps the answer from being whole.
    warnings: Warnings,
}

impl Scan {
    pub(crate) fn new(shared: &Arc<Shared>, table: &Arc<Table>, request: &ScanRequest) -> Result<Scan> {
        // The view first: its rows refer to columns and series that the catalogue had before.
        let view = shared.view.load_full();
        let filter = Scan::filter(&view, table, request)?;
        Scan::outside(shared, &view, table, request, &filter, &BTreeMap::new())
    }

    /// Which rows of a view a request wants, as far as tags and times say it.
    pub(crate) fn filter(view: &View, table: &Arc<Table>, request: &ScanRequest) -> Result<Filter> {
        let series = SeriesSet::choose(table, &request.tags)?.map(Arc::new);
        Ok(Filter::new(request.from.max(view.floor(table.id)), request.to, series))
    }

    /// A scan of what is outside of some spans of days.
    pub(crate) fn outside(
        shared: &Arc<Shared>,
        view: &View,
        table: &Arc<Table>,
        request: &ScanRequest,
        filter: &Filter,
        spans: &BTreeMap<Day, (i64, i64)>,
    ) -> Result<Scan> {
        let layers = Layers { view, segments: &view.segments, rolled: true, heads: true };
        let wanted = request.partitions.max(1);
        let units = layers.units_outside(table.id, filter, spans);
        let partitions = match request.whole_series {
            false => distribute(units, wanted),
            true => {
                let rows: usize = units.iter().map(Unit::rows_likely).sum();
                let ranges = filter.series_ranges(table.series_count(), wanted.min(rows / SPLIT_ROWS_MIN + 1));
                by_series(units, ranges)
            }
        };
        let one_series = filter.series_max(table.series_count()) <= 1;
        Ok(Scan { one_series, ..Scan::of_units(shared, table, request, partitions)? })
    }

    /// A scan of what is sealed of some series.
    pub(crate) fn sealed(
        shared: &Arc<Shared>,
        view: &View,
        table: &Arc<Table>,
        request: &ScanRequest,
        series: &RangeInclusive<u32>,
    ) -> Result<Scan> {
        let layers = Layers { view, segments: &view.segments, rolled: true, heads: false };
        let filter = Scan::filter(view, table, request)?.reaching(series);
        Scan::of_units(shared, table, request, vec![layers.units(table.id, &filter)])
    }

    fn of_units(
        shared: &Arc<Shared>,
        table: &Arc<Table>,
        request: &ScanRequest,
        partitions: Vec<Vec<Unit>>,
    ) -> Result<Scan> {
        let mut projection = Projection::new(table, request.columns.as_deref())?;
        let conditions = Conditions::new(table, &request.fields, &mut projection.fields)?;
        Ok(Scan {
            projection: Arc::new(projection),
            conditions: Arc::new(conditions),
            stale_marks: request.stale_marks,
            partitions,
            one_series: false,
            shared: shared.clone(),
            warnings: Warnings::default(),
        })
    }

    /// The same scan, whose warnings are another's, too.
    pub(crate) fn warning_with(self, other: &Scan) -> Scan {
        Scan { warnings: other.warnings.clone(), ..self }
    }

    /// The columns of every batch.
    pub fn schema(&self) -> SchemaRef {
        self.projection.schema.clone()
    }

    /// The number of the field at a place among the columns that are fields.
    pub(crate) fn field(&self, place: usize) -> u32 {
        self.projection.fields[place]
    }

    /// How many partitions there are; fewer have rows where there is little to read.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// About how many rows there are to read: no fewer than there will be.
    pub fn rows_max(&self) -> usize {
        (0..self.partitions()).map(|partition| self.partition_rows_max(partition)).sum()
    }

    /// The same of one partition.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn partition_rows_max(&self, partition: usize) -> usize {
        self.partitions[partition].iter().map(Unit::rows).sum()
    }

    /// Are the rows of each partition in the order of time? Those of one series are.
    pub fn is_in_time_order(&self) -> bool {
        self.one_series
    }

    /// What is known to be missing from the answer, in words: damaged pages that were met so far, damage that was
    /// found when the store was opened. Empty for a whole answer.
    pub fn warnings(&self) -> Vec<String> {
        let mut all = self.shared.health.general();
        all.extend(self.warnings.list());
        all
    }

    /// Reads a partition; its rows are in no particular order, unless series were wanted whole. Every reading gives the
    /// same rows.
    ///
    /// A damaged page is left out, and [`warnings`](Self::warnings) says so.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn read(&self, partition: usize) -> Batches {
        Batches(Box::new(self.read_spans(partition).flat_map(|(_, batches)| batches)))
    }

    /// The same in parts, each with the first and the last time that its rows can have, ns, so that a reader can pass
    /// over some.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn read_spans(&self, partition: usize) -> impl Iterator<Item = ((i64, i64), Batches)> + use<> {
        let answers = self.projection.clone();
        let times = answers.has_time();
        self.days(partition, move |_| times).map(move |(day, rows)| {
            let answers = answers.clone();
            let batches = rows.map(move |rows| rows.and_then(|rows| answers.batch(&rows)));
            ((day.first(), day.last()), Batches(Box::new(batches)))
        })
    }

    /// Reads a partition without the tags among its columns: these are the same for all rows of a series, and
    /// [`tag`](Self::tag) tells them.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    pub fn read_untagged(&self, partition: usize) -> impl Iterator<Item = Result<Untagged>> + use<> {
        let answers = self.projection.without_tags();
        let times = answers.has_time();
        let rows = self.days(partition, move |_| times).flat_map(|(_, rows)| rows);
        rows.map(move |rows| rows.and_then(|rows| Ok(Untagged { batch: answers.batch(&rows)?, series: rows.series })))
    }

    /// The values of a tag that these series have, or `None` if it is not among the columns. Equal series must stand
    /// together.
    ///
    /// # Panics
    ///
    /// If a number is not of a series that this scan gave.
    pub fn tag(&self, name: &str, series: &[u32]) -> Option<ArrayRef> {
        self.projection.tag(name, series)
    }

    /// The rows of a partition unit by unit, with the fields among its columns, in their order; `times` says of each
    /// day whether its times are wanted, without which some come without.
    pub(crate) fn days<T: Fn(Day) -> bool>(
        &self,
        partition: usize,
        times: T,
    ) -> impl Iterator<Item = (Day, Source<'static>)> + use<T> {
        let reader = self.reader();
        self.partitions[partition]
            .clone()
            .into_iter()
            .map(move |unit| (unit.day, reader(unit.clone(), times(unit.day))))
    }

    /// What reads a unit.
    fn reader(&self) -> impl Fn(Unit, bool) -> Source<'static> + Send + use<> {
        let (projection, conditions) = (self.projection.clone(), self.conditions.clone());
        let reading = Reading::of_answer(&self.shared, &self.warnings);
        let stale_marks = self.stale_marks;
        move |unit, times| {
            let rows = unit.read(&projection.fields, times, &reading);
            let (conditions, columns) = (conditions.clone(), projection.columns);
            // Behind the merge: what a mark was written over does not come back.
            let rows = rows.map(move |rows| rows.map(|rows| if stale_marks { rows } else { rows.without_marks() }));
            let rows = rows.map(move |rows| rows.map(|rows| conditions.apply(rows, columns)));
            Box::new(rows.filter(|rows| rows.as_ref().map_or(true, |rows| rows.len() > 0)))
        }
    }

    /// Reads all partitions one after the other.
    pub fn read_all(&self) -> impl Iterator<Item = Result<RecordBatch>> {
        (0..self.partitions()).flat_map(|partition| self.read(partition))
    }
}

/// Rows of a scan without their tags.
#[derive(Debug)]
pub struct Untagged {
    /// The series that each row is of, by a number; rows of one series follow each other.
    pub series: ScalarBuffer<u32>,
    /// The columns that are no tags, in their order.
    pub batch: RecordBatch,
}

impl Untagged {
    /// The series of the rows, a run for each.
    pub fn runs(&self) -> impl Iterator<Item = &[u32]> {
        series_runs(&self.series)
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

/// Units in the order of their days, with the series of each range by themselves.
fn by_series(mut units: Vec<Unit>, ranges: Vec<RangeInclusive<u32>>) -> Vec<Vec<Unit>> {
    units.sort_by_key(|unit| unit.day);
    match ranges.len() {
        1 => vec![units],
        _ => ranges.into_iter().map(|range| units.iter().filter_map(|unit| unit.of_series(&range)).collect()).collect(),
    }
}

/// Spreads units over partitions, the largest first to where there is least; a few large ones are taken apart.
fn distribute(units: Vec<Unit>, partitions: usize) -> Vec<Vec<Unit>> {
    let few = units.len() < 2 * partitions;
    let parts = |unit: Unit| if few && unit.rows() >= SPLIT_ROWS_MIN { unit.split(partitions) } else { vec![unit] };
    let mut units: Vec<Unit> = units.into_iter().flat_map(parts).collect();
    units.sort_by_key(|unit| std::cmp::Reverse(unit.rows()));
    let mut spread: Vec<(usize, Vec<Unit>)> = (0..partitions).map(|_| (0, Vec::new())).collect();
    for unit in units {
        let (rows, least) = spread.iter_mut().min_by_key(|(rows, _)| *rows).expect("there are partitions");
        *rows += unit.rows();
        least.push(unit);
    }
    for (_, units) in &mut spread {
        units.sort_by_key(|unit| unit.day);
    }
    spread.into_iter().map(|(_, units)| units).collect()
}

impl Projection {
    /// These columns of a table, or all.
    pub(crate) fn new(table: &Arc<Table>, columns: Option<&[String]>) -> Result<Projection> {
        let known = table.columns();
        match columns {
            Some(names) => Projection::of(table, &known, names.iter().map(String::as_str)),
            None => Projection::of(table, &known, known.arrow().fields().iter().map(|field| field.name().as_str())),
        }
    }

    /// All columns of a table that a file may name.
    pub(crate) fn durable(table: &Arc<Table>) -> Result<Projection> {
        let known = table.columns();
        Projection::of(table, &known, table.durable_names(&known).into_iter())
    }

    /// The columns of these names.
    fn of<'a>(table: &Arc<Table>, known: &KnownColumns, names: impl Iterator<Item = &'a str>) -> Result<Projection> {
        let whole = known.arrow();
        let (mut fields, mut outputs, mut tags, mut picked) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
        for name in names {
            let unknown = || Error::UnknownColumn { table: table.name.clone(), column: name.into() };
            outputs.push(match known.find(name) {
                _ if name == TIME_COLUMN => Output::Time,
                Some(ColumnRef::Tag(tag)) => {
                    tags.insert(tag, table.tag(tag).dictionary() as ArrayRef);
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
        Ok(Projection { schema, table: table.clone(), columns: fields.len(), fields, outputs, tags })
    }

    /// The same columns except for tags.
    pub(crate) fn without_tags(&self) -> Projection {
        let is_kept = |at: &usize| !matches!(self.outputs[*at], Output::Tag(_));
        let kept: Vec<usize> = (0..self.outputs.len()).filter(is_kept).collect();
        Projection {
            schema: Arc::new(self.schema.project(&kept).expect("the columns are its own")),
            table: self.table.clone(),
            fields: self.fields.clone(),
            columns: self.columns,
            outputs: kept.into_iter().map(|at| self.outputs[at]).collect(),
            tags: HashMap::new(),
        }
    }

    fn has_time(&self) -> bool {
        self.outputs.iter().any(|output| matches!(output, Output::Time))
    }

    /// Rows as the batch that was asked for.
    pub(crate) fn batch(&self, rows: &Rows) -> Result<RecordBatch> {
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

    /// The values of a tag that series have, or `None` if it is not among the columns.
    pub(crate) fn tag(&self, name: &str, series: &[u32]) -> Option<ArrayRef> {
        match self.table.columns().find(name) {
            Some(ColumnRef::Tag(tag)) if self.tags.contains_key(&tag) => Some(self.tag_column(tag, series)),
            _ => None,
        }
    }

    fn tag_column(&self, tag: u32, series: &[u32]) -> ArrayRef {
        let values = &self.tags[&tag];
        let mut keys: Vec<i32> = Vec::with_capacity(series.len());
        let mut present = NullBufferBuilder::new(series.len());
        let codes = self.table.tag(tag);
        for run in series_runs(series) {
            let code = codes.code(run[0]);
            let is_present = code != ABSENT;
            keys.resize(keys.len() + run.len(), if is_present { code as i32 } else { 0 });
            if is_present { present.append_n_non_nulls(run.len()) } else { present.append_n_nulls(run.len()) }
        }
        let keys = Int32Array::new(ScalarBuffer::from(keys), present.finish());
        let column = DictionaryArray::<Int32Type>::try_new(keys, values.clone());
        Arc::new(column.expect("the snapshot's series have values that the catalogue had before"))
    }
}
