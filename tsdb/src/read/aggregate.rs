//! Aggregates in the scan: rows become groups where they are decoded, and no batch of rows is made of them.
//!
//! Rows come in the order of series and time, so rows of one group are runs: what has to be looked up is looked up once
//! a run, and values are folded as slices of the decoded columns. Partitions fold side by side; then one takes in the
//! others.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, TimestampNanosecondArray};
use hashbrown::HashMap;

use crate::base::bucket::{BucketCursor, Buckets};
use crate::base::day::Day;
use crate::base::error::{Error, Result};
use crate::base::function::Function;
use crate::base::names::TIME_COLUMN;
use crate::base::series_runs::series_runs;
use crate::catalog::field_predicate::FieldPredicate;
use crate::catalog::filter::Filter;
use crate::catalog::registry::{ColumnRef, Table};
use crate::catalog::tag::ABSENT;
use crate::read::cuts::{Cut, Wanted, cuts};
use crate::read::scan::{Scan, ScanRequest};
use crate::rollup::file::BlockCells;
use crate::rows::cells::{CellColumn, Cells, Fold, FoldKind};
use crate::rows::keyed::Rows;
use crate::state::shared::Shared;
use crate::state::view::View;

/// Which rows are aggregated, and how.
#[derive(Debug, Clone)]
pub struct AggregateRequest {
    /// The rows; which columns it names does not matter.
    pub rows: ScanRequest,
    /// The spans of time that divide the groups, if time does.
    pub bucket: Option<Buckets>,
    /// The tags that divide them.
    pub by: Vec<String>,
    /// What is wanted of each.
    pub aggregates: Vec<Aggregate>,
}

/// One value of each group.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// How it is made.
    pub function: Function,
    /// Of which field; of none, rows are counted.
    pub field: Option<String>,
}

/// An aggregation under way, over a snapshot of the rows that were visible when it began.
#[derive(Debug)]
pub struct Aggregation {
    shared: Arc<Shared>,
    rows: ScanRequest,
    scan: Arc<Scan>,
    /// What is answered from rollups, and of which series.
    cuts: Vec<Cut>,
    filter: Filter,
    bucket: Option<Buckets>,
    table: Arc<Table>,
    /// The tags that divide the groups, by number.
    by: By,
    folds: Vec<Fold>,
    /// For each aggregate: its fold, and the function that reads it.
    outputs: Vec<(usize, Function)>,
}

/// Which columns are read, what is kept of them, and what is made of that.
struct Folds {
    rows: ScanRequest,
    folds: Vec<Fold>,
    outputs: Vec<(usize, Function)>,
}

/// What divides groups besides time.
#[derive(Debug)]
enum By {
    /// The values of tags, by number.
    Tags(Vec<u32>),
    /// The series itself.
    Series,
}

/// How a function's values are folded.
fn fold_of(function: Function) -> FoldKind {
    match function {
        Function::Count => FoldKind::Count,
        Function::Sum => FoldKind::Sum,
        Function::Mean => FoldKind::Mean,
        Function::Min => FoldKind::Min,
        Function::Max => FoldKind::Max,
        Function::First => FoldKind::First,
        Function::Last => FoldKind::Last,
        Function::Quantile(_) | Function::Sketch => FoldKind::Sketch,
    }
}

impl Aggregation {
    pub(crate) fn new(shared: &Arc<Shared>, table: &Arc<Table>, request: &AggregateRequest) -> Result<Aggregation> {
        // The view first: its rows refer to columns and series that the catalogue had before.
        let view = shared.view.load_full();
        let columns = table.columns();
        let tag = |name: &String| match columns.find(name) {
            Some(ColumnRef::Tag(tag)) => Ok(tag),
            _ => Err(Error::UnknownColumn { table: table.name.clone(), column: name.into() }),
        };
        let by = By::Tags(request.by.iter().map(tag).collect::<Result<_>>()?);
        let Folds { rows, folds, outputs } = Aggregation::folds_of(table, request)?;
        let filter = Scan::filter(&view, table, &rows)?;
        let conditions: Vec<FieldPredicate> =
            rows.fields.iter().map(|condition| Ok(condition.typed(table)?.1)).collect::<Result<_>>()?;
        let wanted = Wanted {
            table,
            bucket: request.bucket.as_ref(),
            conditions: &conditions,
            folds: &folds,
            fields: rows.columns.as_deref().unwrap_or_default(),
        };
        let cuts = cuts(&view, &wanted, &filter);
        let spans = cuts.iter().map(|cut| (cut.day.id.day, (cut.from, cut.to))).collect();
        let scan = Arc::new(Scan::outside(shared, &view, table, &rows, &filter, &spans)?);
        let (shared, bucket, table) = (shared.clone(), request.bucket.clone(), table.clone());
        Ok(Aggregation { shared, rows, scan, cuts, filter, bucket, table, by, folds, outputs })
    }

    /// An aggregation of what is sealed of some series of a view, a group a series and bucket, whose rows are read.
    pub(crate) fn of_series(
        shared: &Arc<Shared>,
        view: &View,
        table: &Arc<Table>,
        request: &AggregateRequest,
        series: &RangeInclusive<u32>,
    ) -> Result<Aggregation> {
        let Folds { rows, folds, outputs } = Aggregation::folds_of(table, request)?;
        let scan = Arc::new(Scan::sealed(shared, view, table, &rows, series)?);
        Ok(Aggregation {
            shared: shared.clone(),
            rows,
            scan,
            cuts: Vec::new(),
            filter: Filter::ALL,
            bucket: request.bucket.clone(),
            table: table.clone(),
            by: By::Series,
            folds,
            outputs,
        })
    }

    fn folds_of(table: &Table, request: &AggregateRequest) -> Result<Folds> {
        let columns = table.columns();
        let unknown = |name: &str| Error::UnknownColumn { table: table.name.clone(), column: name.into() };
        let (mut names, mut folds, mut outputs) = (Vec::<String>::new(), Vec::<Fold>::new(), Vec::new());
        for Aggregate { function, field } in &request.aggregates {
            let field = match field {
                None => None,
                Some(name) => {
                    let Some(ColumnRef::Field(_, kind)) = columns.find(name) else { return Err(unknown(name)) };
                    if !function.takes(kind) {
                        return Err(Error::NoNumber { table: table.name.clone(), column: name.clone(), kind });
                    }
                    let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
                        names.push(name.clone());
                        names.len() - 1
                    });
                    Some((at, kind))
                }
            };
            let fold = Fold { kind: fold_of(*function), field };
            let at = folds.iter().position(|known| *known == fold).unwrap_or_else(|| {
                folds.push(fold);
                folds.len() - 1
            });
            outputs.push((at, *function));
        }
        Ok(Folds { rows: ScanRequest { columns: Some(names), ..request.rows.clone() }, folds, outputs })
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> usize {
        self.scan.partitions()
    }

    /// About how many rows, and cells of rollups, there are to read: no fewer than there will be.
    pub fn rows_max(&self) -> usize {
        self.scan.rows_max() + self.cuts.iter().map(|cut| cut.day.file.cells()).sum::<usize>()
    }

    /// What is known to be missing from the answer, as of [`Scan::warnings`].
    pub fn warnings(&self) -> Vec<String> {
        self.scan.warnings()
    }

    /// The rollups that answer a part, each with of how many days.
    pub fn rollups(&self) -> BTreeMap<String, usize> {
        let mut days = BTreeMap::new();
        self.cuts.iter().for_each(|cut| *days.entry(cut.day.rollup.name.clone()).or_default() += 1);
        days
    }

    pub(crate) fn folds(&self) -> &[Fold] {
        &self.folds
    }

    /// Folds the rows of a partition; the groups of all partitions have to be merged. Gives up with `None` as soon as
    /// `go_on` says no; it is told how many bytes the groups take so far.
    ///
    /// # Errors
    ///
    /// A file cannot be read. Damaged pages are left out, and the scan's warnings say so.
    pub fn fold(&self, partition: usize, go_on: impl Fn(usize) -> bool) -> Result<Option<Groups>> {
        let mut groups = Groups {
            keys: HashMap::new(),
            of_series: Vec::new(),
            tags: Vec::new(),
            by_tags: HashMap::new(),
            cells: self.folds.iter().map(Cells::new).collect(),
            sketches: 0,
        };
        if matches!(&self.by, By::Tags(tags) if tags.is_empty()) && self.bucket.is_none() {
            // There is a group even if there is no row.
            groups.cell(0, 0);
            groups.tags.push(Box::default());
            groups.by_tags.insert(Box::default(), 0);
        }
        for cut in self.cuts.iter().skip(partition).step_by(self.partitions()) {
            if !self.add_cells(&mut groups, cut, &go_on)? {
                return Ok(None);
            }
        }
        Ok(self.add_scan(&mut groups, &self.scan, partition, &go_on)?.then_some(groups))
    }

    /// The start of the bucket that a whole day is in, if it is in one; without buckets, that of all time.
    fn bucket_of(&self, day: Day) -> Option<i64> {
        let Some(buckets) = &self.bucket else { return Some(0) };
        let (start, next) = BucketCursor::new(buckets).at(day.first());
        next.is_none_or(|next| next > day.last()).then_some(start)
    }

    /// Takes in rows of a partition; says whether these are all.
    fn add_scan(
        &self,
        groups: &mut Groups,
        scan: &Scan,
        partition: usize,
        go_on: &impl Fn(usize) -> bool,
    ) -> Result<bool> {
        let is_edge = |fold: &Fold| matches!(fold.kind, FoldKind::First | FoldKind::Last);
        let has_edges = self.folds.iter().any(is_edge);
        for (day, rows) in scan.days(partition, |day| has_edges || self.bucket_of(day).is_none()) {
            let bucket = self.bucket_of(day);
            for rows in rows {
                self.add(groups, &rows?, bucket);
                if !go_on(groups.memory()) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Takes in cells of a rollup; says whether these are all.
    fn add_cells(&self, groups: &mut Groups, cut: &Cut, go_on: &impl Fn(usize) -> bool) -> Result<bool> {
        let number = |place: usize| self.scan.field(place);
        let folds: Vec<_> =
            self.folds.iter().map(|fold| (fold.kind, fold.field.map(|(place, _)| number(place)))).collect();
        let (first, width) = (cut.day.id.day.first(), cut.day.rollup.width_ns);
        let mut cursor = self.bucket.as_ref().map(BucketCursor::new);
        for (range, block) in cut.day.file.read(&folds, &self.filter) {
            let BlockCells { series, buckets, columns } = match block {
                Ok(cells) => cells,
                Err(error) => {
                    tracing::warn!("rows of {} are read instead: {error}", cut.day.id.day);
                    let scan = self.scan_of(cut, &range)?;
                    if !self.add_scan(groups, &scan, 0, go_on)? {
                        return Ok(false);
                    }
                    continue;
                }
            };
            let mut at = 0;
            for run in series_runs(&series) {
                let own = at..at + run.len();
                at = own.end;
                if !self.filter.wants_series(run[0]) {
                    continue;
                }
                let group = groups.of_series(run[0], |series| self.tags(series));
                for cell in own {
                    let start = first + i64::from(buckets[cell]) * width;
                    if (cut.from..=cut.to).contains(&start) {
                        let key = cursor.as_mut().map_or(0, |cursor| cursor.at(start).0);
                        groups.take(group, key, &columns, cell, start);
                    }
                }
            }
            if !go_on(groups.memory()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes in rows, which are in this bucket if one is said.
    fn add(&self, groups: &mut Groups, rows: &Rows, bucket: Option<i64>) {
        let mut start = 0;
        let mut cursor = self.bucket.as_ref().map(BucketCursor::new);
        for run in series_runs(&rows.series) {
            let group = groups.of_series(run[0], |series| self.tags(series));
            let end = start + run.len();
            match (bucket, &mut cursor) {
                (Some(bucket), _) => groups.fold(&self.folds, group, bucket, rows, start..end),
                (None, None) => unreachable!("without buckets all time is one"),
                (None, Some(cursor)) => {
                    while start < end {
                        let (from, next) = cursor.at(rows.times[start]);
                        let stop = match next {
                            Some(next) => start + first_from(&rows.times[start..end], next),
                            None => end,
                        };
                        groups.fold(&self.folds, group, from, rows, start..stop);
                        start = stop;
                    }
                }
            }
            start = end;
        }
    }

    /// The rows of some series that a cut would have answered.
    fn scan_of(&self, cut: &Cut, series: &RangeInclusive<u32>) -> Result<Scan> {
        let filter = self.filter.within(cut.from, cut.to).reaching(series);
        let rows = ScanRequest { partitions: 1, ..self.rows.clone() };
        let view = self.shared.view.load_full();
        let scan = Scan::outside(&self.shared, &view, &self.table, &rows, &filter, &BTreeMap::new())?;
        Ok(scan.warning_with(&self.scan))
    }

    fn tags(&self, series: u32) -> Box<[u32]> {
        match &self.by {
            By::Tags(tags) => tags.iter().map(|tag| self.table.tag(*tag).code(series)).collect(),
            By::Series => Box::new([series]),
        }
    }

    /// The groups as a batch, in no particular order: the start of the bucket if time divides them (column `time`), the
    /// tags, then `0`, `1`, ... for the aggregates.
    ///
    /// # Errors
    ///
    /// A sum of integers is beyond the type of its field.
    pub fn finish(&self, groups: &Groups) -> Result<RecordBatch> {
        let mut keys: Vec<(u32, i64, u32)> =
            groups.keys.iter().map(|((group, start), cell)| (*group, *start, *cell)).collect();
        keys.sort_unstable_by_key(|(group, start, _)| (*start, *group));
        let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
        if self.bucket.is_some() {
            let starts = TimestampNanosecondArray::from_iter_values(keys.iter().map(|(_, start, _)| *start));
            columns.push((TIME_COLUMN.into(), Arc::new(starts.with_timezone("UTC")), false));
        }
        let By::Tags(by) = &self.by else { unreachable!("groups of series are taken as they are") };
        for (at, tag) in by.iter().enumerate() {
            let code = |group: u32| Some(groups.tags[group as usize][at]).filter(|code| *code != ABSENT);
            let codes: Int32Array = keys.iter().map(|(group, ..)| code(*group).map(|code| code as i32)).collect();
            let values = self.table.tag(*tag).dictionary();
            let column = DictionaryArray::<Int32Type>::try_new(codes, values);
            let name = self.table.columns().tags[*tag as usize].to_string();
            columns.push((name, Arc::new(column.expect("series have values that the catalogue had before")), true));
        }
        let cells: Vec<usize> = keys.iter().map(|(.., cell)| *cell as usize).collect();
        for (at, (fold, function)) in self.outputs.iter().enumerate() {
            let column = groups.cells[*fold].column(&cells, *function);
            let column = column.ok_or_else(|| {
                let (place, kind) = self.folds[*fold].field.expect("a sum is of a field");
                let names = self.rows.columns.as_deref().unwrap_or_default();
                Error::SumOverflow { table: self.table.name.clone(), column: names[place].clone(), kind }
            })?;
            columns.push((at.to_string(), column, true));
        }
        Ok(RecordBatch::try_from_iter_with_nullable(columns).expect("all columns have a value for each group"))
    }
}

/// How many of the times, which are in order, are before `next`. Mostly these are few, so it is looked for in growing
/// steps.
fn first_from(times: &[i64], next: i64) -> usize {
    let mut step = 8;
    while step < times.len() && times[step] < next {
        step *= 2;
    }
    let low = step / 2 * usize::from(step > 8);
    low + times[low..times.len().min(step + 1)].partition_point(|time| *time < next)
}

/// Groups of rows, and what is known of each.
#[derive(Debug)]
pub struct Groups {
    /// By the number of their tags and the start of their bucket: the place in the cells.
    keys: HashMap<(u32, i64), u32>,
    /// The number of the tags of each series that was met.
    of_series: Vec<u32>,
    /// The values of the tags, as codes, by number; and the way back.
    tags: Vec<Box<[u32]>>,
    by_tags: HashMap<Box<[u32]>, u32>,
    cells: Vec<Cells>,
    /// About the bytes that sketches take.
    sketches: usize,
}

impl Groups {
    /// The number of a series' tags.
    fn of_series(&mut self, series: u32, tags: impl Fn(u32) -> Box<[u32]>) -> u32 {
        let at = series as usize;
        if self.of_series.len() <= at {
            self.of_series.resize(at + 1, u32::MAX);
        }
        if self.of_series[at] == u32::MAX {
            self.of_series[at] = self.of_tags(tags(series));
        }
        self.of_series[at]
    }

    fn of_tags(&mut self, tags: Box<[u32]>) -> u32 {
        let next = self.tags.len() as u32;
        let list = &mut self.tags;
        *self.by_tags.entry(tags).or_insert_with_key(|tags| {
            list.push(tags.clone());
            next
        })
    }

    /// The place of a group in the cells.
    fn cell(&mut self, group: u32, start: i64) -> usize {
        let next = self.keys.len() as u32;
        let place = *self.keys.entry((group, start)).or_insert(next);
        if place == next {
            self.cells.iter_mut().for_each(Cells::grow);
        }
        place as usize
    }

    #[inline]
    fn fold(&mut self, folds: &[Fold], group: u32, start: i64, rows: &Rows, range: Range<usize>) {
        let place = self.cell(group, start);
        for (cells, fold) in self.cells.iter_mut().zip(folds) {
            match fold.field {
                None => cells.count(place, range.len()),
                Some((column, _)) => {
                    if let Some(array) = &rows.columns[column] {
                        cells.fold(place, array, range.clone(), &rows.times, &mut self.sketches);
                    }
                }
            }
        }
    }

    /// Takes in a cell of a rollup, whose bucket starts at `at`.
    #[inline]
    fn take(&mut self, group: u32, start: i64, columns: &[CellColumn], cell: usize, at: i64) {
        let place = self.cell(group, start);
        for (cells, column) in self.cells.iter_mut().zip(columns) {
            cells.take(place, column, cell, at, &mut self.sketches);
        }
    }

    /// Groups of series: of each the series, the start of the bucket, and the place in the cells.
    pub(crate) fn of_series_and_start(&self) -> impl Iterator<Item = (u32, i64, usize)> + '_ {
        self.keys.iter().map(|((group, start), place)| (self.tags[*group as usize][0], *start, *place as usize))
    }

    /// What is kept, a column a fold.
    pub(crate) fn cells(&self) -> &[Cells] {
        &self.cells
    }

    /// Takes in the groups of another partition.
    pub fn merge(&mut self, other: Groups) {
        for ((group, start), from) in &other.keys {
            let group = self.of_tags(other.tags[*group as usize].clone());
            let place = self.cell(group, *start);
            for (own, others) in self.cells.iter_mut().zip(&other.cells) {
                own.merge(place, others, *from as usize);
            }
        }
        self.sketches += other.sketches;
    }

    /// About the bytes that they take.
    pub fn memory(&self) -> usize {
        let cell: usize = self.cells.iter().map(Cells::bytes).sum();
        self.keys.len() * (24 + cell) + self.of_series.len() * 4 + self.tags.len() * 64 + self.sketches
    }
}
