//! Aggregates in the scan: rows become groups where they are decoded, and no batch of rows is made of them.
//!
//! Rows come in the order of series and time, so rows of one group are runs: what has to be looked up is looked up once a run,
//! and values are folded as slices of the decoded columns. Partitions fold side by side; then one takes in the others.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, PrimitiveArray, RecordBatch,
    TimestampNanosecondArray,
};
use hashbrown::HashMap;

use crate::catalog::{ColumnRef, Table};
use crate::error::{Error, Result};
use crate::rows::Rows;
use crate::scan::{Scan, ScanRequest, TIME_COLUMN};
use crate::shared::Shared;
use crate::sketch::Sketch;
use crate::tag::ABSENT;
use crate::value::FieldType;

/// Which rows are aggregated, and how.
#[derive(Debug, Clone)]
pub struct AggregateRequest {
    /// The rows; which columns it names does not matter.
    pub rows: ScanRequest,
    /// The groups' length in time, if time divides them.
    pub bucket: Option<Bucket>,
    /// The tags that divide them.
    pub by: Vec<String>,
    /// What is wanted of each.
    pub aggregates: Vec<Aggregate>,
}

/// Spans of equal length, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Their length, ns; over zero.
    pub width_ns: i64,
    /// An instant at which one starts, ns since the epoch.
    pub origin_ns: i64,
}

impl Bucket {
    /// The start of the bucket that holds a time.
    #[inline]
    fn start(self, time: i64) -> i64 {
        let since = (i128::from(time) - i128::from(self.origin_ns)).rem_euclid(i128::from(self.width_ns));
        time.saturating_sub(since as i64)
    }
}

/// One value of each group.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// How it is made.
    pub function: Function,
    /// Of which field; of none, rows are counted.
    pub field: Option<String>,
}

/// How values become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// How many rows, or values of a field: `Int64`.
    Count,
    /// Their sum, in the field's type; integers wrap.
    Sum,
    /// Their mean: `Float64`.
    Mean,
    /// The smallest, in the field's type; NaN is greater than every number.
    Min,
    /// The largest, in the field's type; NaN is greater than every number.
    Max,
    /// What a part of them (0 to 1) does not exceed, as of [`Sketch::quantile`]: `Float64`.
    Quantile(f64),
    /// All of them as a [`Sketch`]: `Binary`.
    Sketch,
}

/// An aggregation under way, over a snapshot of the rows that were visible when it began.
#[derive(Debug)]
pub struct Aggregation {
    scan: Arc<Scan>,
    bucket: Option<Bucket>,
    table: Arc<Table>,
    /// The tags that divide the groups, by number.
    by: Vec<u32>,
    folds: Vec<Fold>,
    /// For each aggregate: its fold, and the function that reads it.
    outputs: Vec<(usize, Function)>,
}

/// What is kept of a column while rows go by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fold {
    kind: FoldKind,
    /// The place among the columns of the scan, and the type.
    field: Option<(usize, FieldType)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum FoldKind {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    Sketch,
}

impl Function {
    fn fold(self) -> FoldKind {
        match self {
            Function::Count => FoldKind::Count,
            Function::Sum => FoldKind::Sum,
            Function::Mean => FoldKind::Mean,
            Function::Min => FoldKind::Min,
            Function::Max => FoldKind::Max,
            Function::Quantile(_) | Function::Sketch => FoldKind::Sketch,
        }
    }
}

impl Aggregation {
    pub(crate) fn new(shared: &Arc<Shared>, table: &Arc<Table>, request: &AggregateRequest) -> Result<Aggregation> {
        let columns = table.columns();
        let unknown = |name: &str| Error::UnknownColumn { table: table.name.clone(), column: name.into() };
        let tag = |name: &String| match columns.find(name) {
            Some(ColumnRef::Tag(tag)) => Ok(tag),
            _ => Err(unknown(name)),
        };
        let by = request.by.iter().map(tag).collect::<Result<_>>()?;
        let (mut names, mut folds, mut outputs) = (Vec::<String>::new(), Vec::<Fold>::new(), Vec::new());
        for Aggregate { function, field } in &request.aggregates {
            let field = match field {
                None => None,
                Some(name) => {
                    let Some(ColumnRef::Field(_, kind)) = columns.find(name) else { return Err(unknown(name)) };
                    if *function != Function::Count && matches!(kind, FieldType::Bool | FieldType::Str) {
                        return Err(Error::NoNumber { table: table.name.clone(), column: name.clone(), kind });
                    }
                    let at = names.iter().position(|known| known == name).unwrap_or_else(|| {
                        names.push(name.clone());
                        names.len() - 1
                    });
                    Some((at, kind))
                }
            };
            let fold = Fold { kind: function.fold(), field };
            let at = folds.iter().position(|known| *known == fold).unwrap_or_else(|| {
                folds.push(fold);
                folds.len() - 1
            });
            outputs.push((at, *function));
        }
        let rows = ScanRequest { columns: Some(names), ..request.rows.clone() };
        let scan = Arc::new(Scan::new(shared, table, &rows)?);
        Ok(Aggregation { scan, bucket: request.bucket, table: table.clone(), by, folds, outputs })
    }

    /// The rows that are read: how many at the most, and what of them is missing.
    pub fn scan(&self) -> &Arc<Scan> {
        &self.scan
    }

    /// Folds the rows of a partition; the groups of all partitions have to be merged. Gives up with `None` as soon as `go_on` says
    /// no; it is told how many bytes the groups take so far.
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
        if self.by.is_empty() && self.bucket.is_none() {
            // There is a group even if there is no row.
            groups.cell(0, 0);
            groups.tags.push(Box::default());
            groups.by_tags.insert(Box::default(), 0);
        }
        for rows in self.scan.rows(partition, self.bucket.is_some()) {
            self.add(&mut groups, &rows?);
            if !go_on(groups.memory()) {
                return Ok(None);
            }
        }
        Ok(Some(groups))
    }

    fn add(&self, groups: &mut Groups, rows: &Rows) {
        let mut start = 0;
        for run in rows.series.chunk_by(|a, b| a == b) {
            let group = groups.of_series(run[0], |series| self.tags(series));
            let end = start + run.len();
            match self.bucket {
                None => groups.fold(&self.folds, group, 0, rows, start..end),
                Some(bucket) => {
                    while start < end {
                        let from = bucket.start(rows.times[start]);
                        // The first time of the next bucket; the last bucket has none.
                        let stop = match from.checked_add(bucket.width_ns) {
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

    fn tags(&self, series: u32) -> Box<[u32]> {
        self.by.iter().map(|tag| self.table.tag(*tag).code(series)).collect()
    }

    /// The groups as a batch, in no particular order: the start of the bucket if time divides them (column `time`), the tags, then
    /// `0`, `1`, ... for the aggregates.
    pub fn finish(&self, groups: &Groups) -> RecordBatch {
        let mut keys: Vec<(u32, i64, u32)> =
            groups.keys.iter().map(|((group, start), cell)| (*group, *start, *cell)).collect();
        keys.sort_unstable_by_key(|(group, start, _)| (*start, *group));
        let mut columns: Vec<(String, ArrayRef, bool)> = Vec::new();
        if self.bucket.is_some() {
            let starts = TimestampNanosecondArray::from_iter_values(keys.iter().map(|(_, start, _)| *start));
            columns.push((TIME_COLUMN.into(), Arc::new(starts.with_timezone("UTC")), false));
        }
        for (at, tag) in self.by.iter().enumerate() {
            let code = |group: u32| Some(groups.tags[group as usize][at]).filter(|code| *code != ABSENT);
            let codes: Int32Array = keys.iter().map(|(group, ..)| code(*group).map(|code| code as i32)).collect();
            let values = self.table.tag(*tag).dictionary();
            let column = DictionaryArray::<Int32Type>::try_new(codes, values);
            let name = self.table.columns().tags[*tag as usize].to_string();
            columns.push((name, Arc::new(column.expect("series have values that the catalogue had before")), true));
        }
        let cells: Vec<usize> = keys.iter().map(|(.., cell)| *cell as usize).collect();
        for (at, (fold, function)) in self.outputs.iter().enumerate() {
            columns.push((at.to_string(), groups.cells[*fold].column(&cells, *function), true));
        }
        RecordBatch::try_from_iter_with_nullable(columns).expect("all columns have a value for each group")
    }
}

/// How many of the times, which are in order, are before `next`. Mostly these are few, so it is looked for in growing steps.
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

/// What is kept of one column, one entry a group.
#[derive(Debug)]
enum Cells {
    Count(Vec<i64>),
    F64(FoldKind, Vec<Option<f64>>),
    I64(FoldKind, Vec<Option<i64>>),
    U64(FoldKind, Vec<Option<u64>>),
    Mean(Vec<(f64, i64)>),
    Sketch(Vec<Sketch>),
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
                        cells.fold(place, array, range.clone(), &mut self.sketches);
                    }
                }
            }
        }
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

/// What numbers of the three types have in common.
trait Number: Copy {
    fn add(self, other: Self) -> Self;
    /// NaN is greater than every number.
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn as_f64(self) -> f64;
}

impl Number for f64 {
    fn add(self, other: f64) -> f64 {
        self + other
    }

    fn min(self, other: f64) -> f64 {
        if self <= other || other.is_nan() { self } else { other }
    }

    fn max(self, other: f64) -> f64 {
        if self >= other || self.is_nan() { self } else { other }
    }

    fn as_f64(self) -> f64 {
        self
    }
}

macro_rules! whole_number {
    ($kind:ty) => {
        impl Number for $kind {
            fn add(self, other: $kind) -> $kind {
                self.wrapping_add(other)
            }

            fn min(self, other: $kind) -> $kind {
                Ord::min(self, other)
            }

            fn max(self, other: $kind) -> $kind {
                Ord::max(self, other)
            }

            fn as_f64(self) -> f64 {
                self as f64
            }
        }
    };
}

whole_number!(i64);
whole_number!(u64);

impl FoldKind {
    fn two<T: Number>(self, a: T, b: T) -> T {
        match self {
            FoldKind::Min => a.min(b),
            FoldKind::Max => a.max(b),
            _ => a.add(b),
        }
    }

    /// Takes in another value, if there is one.
    fn take<T: Number>(self, own: &mut Option<T>, other: Option<T>) {
        *own = match (*own, other) {
            (Some(a), Some(b)) => Some(self.two(a, b)),
            (a, b) => a.or(b),
        };
    }

    /// Eight at a time, so that they need not wait for each other.
    fn all<T: Number>(self, values: &[T]) -> Option<T> {
        let (eights, rest) = values.as_chunks::<8>();
        #[inline(always)]
        fn all<T: Number>(eights: &[[T; 8]], rest: &[T], fold: impl Fn(T, T) -> T) -> Option<T> {
            let Some((first, eights)) = eights.split_first() else { return rest.iter().copied().reduce(fold) };
            let mut wide = *first;
            for eight in eights {
                wide.iter_mut().zip(eight).for_each(|(wide, value)| *wide = fold(*wide, *value));
            }
            wide.into_iter().chain(rest.iter().copied()).reduce(fold)
        }
        match self {
            FoldKind::Min => all(eights, rest, T::min),
            FoldKind::Max => all(eights, rest, T::max),
            _ => all(eights, rest, T::add),
        }
    }

    fn array<P: ArrowPrimitiveType<Native: Number>>(self, array: &ArrayRef, range: &Range<usize>) -> Option<P::Native> {
        let array = array.as_primitive::<P>();
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.all(&array.values()[range.clone()]),
            Some(nulls) => {
                let some = range.clone().filter(|at| nulls.is_valid(*at)).map(|at| array.value(at));
                some.reduce(|a, b| self.two(a, b))
            }
        }
    }
}

/// The sum of a numeric column as a float, and how many values it has.
fn sum(array: &ArrayRef, range: Range<usize>) -> (f64, i64) {
    fn of<P: ArrowPrimitiveType<Native: Number>>(array: &PrimitiveArray<P>, range: Range<usize>) -> (f64, i64) {
        let (eights, rest) = array.values()[range.clone()].as_chunks::<8>();
        let mut wide = [0.0; 8];
        for eight in eights {
            wide.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value.as_f64());
        }
        let rest: f64 = rest.iter().map(|value| value.as_f64()).sum();
        (wide.iter().sum::<f64>() + rest, range.len() as i64)
    }
    if array.null_count() == 0 {
        if let Some(array) = array.as_primitive_opt::<Float64Type>() {
            return of(array, range);
        } else if let Some(array) = array.as_primitive_opt::<Int64Type>() {
            return of(array, range);
        }
    }
    let (mut sum, mut count) = (0.0, 0);
    floats(array, range, |value| {
        sum += value;
        count += 1;
    });
    (sum, count)
}

/// Tells the values of a numeric column as floats, as far as there are some.
fn floats(array: &ArrayRef, range: Range<usize>, mut tell: impl FnMut(f64)) {
    fn each<P: ArrowPrimitiveType>(array: &PrimitiveArray<P>, range: Range<usize>, mut tell: impl FnMut(P::Native)) {
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => array.values()[range].iter().for_each(|value| tell(*value)),
            Some(nulls) => range.filter(|at| nulls.is_valid(*at)).for_each(|at| tell(array.value(at))),
        }
    }
    if let Some(array) = array.as_primitive_opt::<Float64Type>() {
        each(array, range, tell);
    } else if let Some(array) = array.as_primitive_opt::<Int64Type>() {
        each(array, range, |value| tell(value as f64));
    } else {
        each(array.as_primitive::<UInt64Type>(), range, |value| tell(value as f64));
    }
}

impl Cells {
    fn new(fold: &Fold) -> Cells {
        match (fold.kind, fold.field) {
            (FoldKind::Count, _) | (_, None) => Cells::Count(Vec::new()),
            (FoldKind::Mean, _) => Cells::Mean(Vec::new()),
            (FoldKind::Sketch, _) => Cells::Sketch(Vec::new()),
            (kind, Some((_, FieldType::I64))) => Cells::I64(kind, Vec::new()),
            (kind, Some((_, FieldType::U64))) => Cells::U64(kind, Vec::new()),
            (kind, _) => Cells::F64(kind, Vec::new()),
        }
    }

    fn grow(&mut self) {
        match self {
            Cells::Count(cells) => cells.push(0),
            Cells::F64(_, cells) => cells.push(None),
            Cells::I64(_, cells) => cells.push(None),
            Cells::U64(_, cells) => cells.push(None),
            Cells::Mean(cells) => cells.push((0.0, 0)),
            Cells::Sketch(cells) => cells.push(Sketch::default()),
        }
    }

    /// Of one group, without what sketches grow to.
    fn bytes(&self) -> usize {
        match self {
            Cells::Count(_) => 8,
            Cells::Sketch(_) => size_of::<Sketch>(),
            _ => 16,
        }
    }

    fn count(&mut self, place: usize, rows: usize) {
        if let Cells::Count(cells) = self {
            cells[place] += rows as i64;
        }
    }

    #[inline]
    fn fold(&mut self, place: usize, array: &ArrayRef, range: Range<usize>, sketches: &mut usize) {
        match self {
            Cells::Count(cells) => {
                let nulls = match array.null_count() {
                    0 => 0,
                    _ => array.slice(range.start, range.len()).null_count(),
                };
                cells[place] += (range.len() - nulls) as i64;
            }
            Cells::F64(kind, cells) => kind.take(&mut cells[place], kind.array::<Float64Type>(array, &range)),
            Cells::I64(kind, cells) => kind.take(&mut cells[place], kind.array::<Int64Type>(array, &range)),
            Cells::U64(kind, cells) => kind.take(&mut cells[place], kind.array::<UInt64Type>(array, &range)),
            Cells::Mean(cells) => {
                let (sum, count) = sum(array, range);
                cells[place] = (cells[place].0 + sum, cells[place].1 + count);
            }
            Cells::Sketch(cells) => {
                let sketch = &mut cells[place];
                let before = sketch.memory();
                floats(array, range, |value| sketch.add(value));
                *sketches += sketch.memory() - before;
            }
        }
    }

    /// Takes in a group of the same column of another partition.
    fn merge(&mut self, place: usize, others: &Cells, from: usize) {
        match (self, others) {
            (Cells::Count(own), Cells::Count(others)) => own[place] += others[from],
            (Cells::F64(kind, own), Cells::F64(_, others)) => kind.take(&mut own[place], others[from]),
            (Cells::I64(kind, own), Cells::I64(_, others)) => kind.take(&mut own[place], others[from]),
            (Cells::U64(kind, own), Cells::U64(_, others)) => kind.take(&mut own[place], others[from]),
            (Cells::Mean(own), Cells::Mean(others)) => {
                own[place] = (own[place].0 + others[from].0, own[place].1 + others[from].1);
            }
            (Cells::Sketch(own), Cells::Sketch(others)) => own[place].merge(&others[from]),
            _ => unreachable!("partitions of one aggregation keep the same"),
        }
    }

    /// The values of groups as a column.
    fn column(&self, places: &[usize], function: Function) -> ArrayRef {
        match self {
            Cells::Count(cells) => Arc::new(Int64Array::from_iter_values(places.iter().map(|place| cells[*place]))),
            Cells::F64(_, cells) => Arc::new(places.iter().map(|place| cells[*place]).collect::<Float64Array>()),
            Cells::I64(_, cells) => {
                Arc::new(places.iter().map(|place| cells[*place]).collect::<PrimitiveArray<Int64Type>>())
            }
            Cells::U64(_, cells) => {
                Arc::new(places.iter().map(|place| cells[*place]).collect::<PrimitiveArray<UInt64Type>>())
            }
            Cells::Mean(cells) => {
                let mean = |place: &usize| (cells[*place].1 > 0).then(|| cells[*place].0 / cells[*place].1 as f64);
                Arc::new(places.iter().map(mean).collect::<Float64Array>())
            }
            Cells::Sketch(cells) => match function {
                Function::Quantile(q) => {
                    Arc::new(places.iter().map(|place| cells[*place].quantile(q)).collect::<Float64Array>())
                }
                _ => {
                    let mut out = BinaryBuilder::new();
                    for place in places {
                        match cells[*place].count() {
                            0 => out.append_null(),
                            _ => out.append_value(cells[*place].to_bytes()),
                        }
                    }
                    Arc::new(out.finish())
                }
            },
        }
    }
}
