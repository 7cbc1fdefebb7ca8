//! What an aggregation keeps of each column: a cell a group.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, PrimitiveArray};
use arrow_buffer::ScalarBuffer;

use crate::base::function::Function;
use crate::base::value::FieldType;
use crate::rows::sketch::Sketch;

/// What is kept of a column while rows go by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fold {
    pub kind: FoldKind,
    /// The place among the columns of the scan, and the type.
    pub field: Option<(usize, FieldType)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FoldKind {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    First,
    Last,
    Sketch,
}

/// What is kept of one column, one entry a group.
#[derive(Debug)]
pub(crate) enum Cells {
    Count(Vec<i64>),
    F64(FoldKind, Vec<Option<f64>>),
    I64(FoldKind, Vec<Option<i64>>),
    U64(FoldKind, Vec<Option<u64>>),
    /// The sum of a field of whole numbers of this type, which may be more than the type holds.
    Sum(FieldType, Vec<Option<i128>>),
    Mean(Vec<(f64, i64)>),
    /// The first or the last value of a field of this type, with its time.
    Edge(FoldKind, FieldType, Vec<Option<(i64, Bits)>>),
    Sketch(Vec<Sketch>),
}

/// What a rollup has for a fold, a value a cell.
#[derive(Debug)]
pub(crate) enum CellColumn {
    /// No cell has a value.
    Nothing,
    Counts(ScalarBuffer<i64>),
    /// Sums, smallest or largest values.
    Values(ArrayRef),
    /// Sums as floats, and counts.
    Mean(ArrayRef, ScalarBuffer<i64>),
    /// First or last values, and how long after the start of their bucket they are, ns.
    Edge(ArrayRef, ScalarBuffer<i64>),
    Sketches(SketchColumn),
}

/// Sketches one behind the other.
#[derive(Debug)]
pub(crate) struct SketchColumn {
    /// Where each ends.
    ends: Vec<usize>,
    buckets: Vec<i32>,
    counts: ScalarBuffer<i64>,
}

impl SketchColumn {
    /// Sketches of so many buckets each, of which each is said by its distance from the one before; the first one of a
    /// sketch by that from the first one of the sketch before.
    pub(crate) fn new(sizes: &[i64], distances: &[i64], counts: ScalarBuffer<i64>) -> Result<SketchColumn, String> {
        let (mut ends, mut buckets, mut end, mut first) = (Vec::with_capacity(sizes.len()), Vec::new(), 0, 0i64);
        buckets.reserve(distances.len());
        for size in sizes {
            let own = distances.get(end..end + *size as usize).ok_or("the sketches are cut off")?;
            let mut bucket = first;
            for (at, distance) in own.iter().enumerate() {
                if at > 0 && *distance <= 0 {
                    return Err("the buckets of a sketch are not in order".into());
                }
                bucket = bucket.wrapping_add(*distance);
                if at == 0 {
                    first = bucket;
                }
                buckets.push(i32::try_from(bucket).map_err(|_| format!("there is no bucket {bucket}"))?);
            }
            end += own.len();
            ends.push(end);
        }
        match counts.iter().all(|count| *count > 0) {
            true => Ok(SketchColumn { ends, buckets, counts }),
            false => Err("a bucket of a sketch has no values".into()),
        }
    }

    fn range(&self, at: usize) -> Range<usize> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        start..self.ends[at]
    }
}

/// A value of any type but strings: a float by its bits, an integer as it is, a boolean as 0 or 1.
type Bits = u64;

/// A value of a column.
fn bits(array: &ArrayRef, kind: FieldType, row: usize) -> Bits {
    match kind {
        FieldType::F64 => array.as_primitive::<Float64Type>().value(row).to_bits(),
        FieldType::I64 => array.as_primitive::<Int64Type>().value(row) as u64,
        FieldType::U64 => array.as_primitive::<UInt64Type>().value(row),
        FieldType::Bool => array.as_boolean().value(row).into(),
        FieldType::Str => unreachable!("strings have no such aggregate"),
    }
}

/// Values as a column.
fn of_bits(kind: FieldType, values: impl Iterator<Item = Option<Bits>>) -> ArrayRef {
    match kind {
        FieldType::F64 => Arc::new(values.map(|bits| bits.map(f64::from_bits)).collect::<Float64Array>()),
        FieldType::I64 => Arc::new(values.map(|bits| bits.map(|bits| bits as i64)).collect::<Int64Array>()),
        FieldType::U64 => Arc::new(values.collect::<PrimitiveArray<UInt64Type>>()),
        FieldType::Bool => Arc::new(values.map(|bits| bits.map(|bits| bits == 1)).collect::<BooleanArray>()),
        FieldType::Str => unreachable!("strings have no such aggregate"),
    }
}

/// Takes in another first or last value, if there is one.
fn take_edge(kind: FoldKind, own: &mut Option<(i64, Bits)>, other: Option<(i64, Bits)>) {
    *own = match (*own, other) {
        (Some(a), Some(b)) => {
            let is_nearer = if kind == FoldKind::First { b.0 < a.0 } else { b.0 > a.0 };
            Some(if is_nearer { b } else { a })
        }
        (a, b) => a.or(b),
    };
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
                unreachable!("whole numbers are summed by `whole_sum`: {self} and {other}")
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

/// The sum of a column of whole numbers; nothing if there is no value. High and low halves are summed by themselves:
/// neither can leave 64 bits within a batch, and both are loops that processors do several steps of at a time.
fn whole_sum(array: &ArrayRef, kind: FieldType, range: &Range<usize>) -> Option<i128> {
    fn of<P: ArrowPrimitiveType>(
        array: &ArrayRef,
        range: &Range<usize>,
        halves: impl Fn(P::Native) -> (i64, u64),
    ) -> Option<i128> {
        let array = array.as_primitive::<P>();
        let (mut high, mut low) = (0i64, 0u64);
        let mut add = |value: P::Native| {
            let halves = halves(value);
            (high, low) = (high + halves.0, low + halves.1);
        };
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => array.values()[range.clone()].iter().for_each(|value| add(*value)),
            Some(nulls) => {
                let mut some = range.clone().filter(|at| nulls.is_valid(*at)).peekable();
                some.peek()?;
                some.for_each(|at| add(array.value(at)));
            }
        }
        Some((i128::from(high) << 32) + i128::from(low))
    }
    const LOW: u64 = u32::MAX as u64;
    debug_assert!(range.len() < 1 << 31, "sums of halves fit");
    match kind {
        _ if range.is_empty() => None,
        FieldType::I64 => of::<Int64Type>(array, range, |value| (value >> 32, value as u64 & LOW)),
        FieldType::U64 => of::<UInt64Type>(array, range, |value| ((value >> 32) as i64, value & LOW)),
        _ => unreachable!("these are no whole numbers"),
    }
}

/// Takes in another sum, if there is one.
fn take_sum(own: &mut Option<i128>, other: Option<i128>) {
    *own = match (*own, other) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    };
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
    pub(crate) fn new(fold: &Fold) -> Cells {
        match (fold.kind, fold.field) {
            (FoldKind::Count, _) | (_, None) => Cells::Count(Vec::new()),
            (FoldKind::Mean, _) => Cells::Mean(Vec::new()),
            (FoldKind::Sketch, _) => Cells::Sketch(Vec::new()),
            (kind @ (FoldKind::First | FoldKind::Last), Some((_, of))) => Cells::Edge(kind, of, Vec::new()),
            (FoldKind::Sum, Some((_, of @ (FieldType::I64 | FieldType::U64)))) => Cells::Sum(of, Vec::new()),
            (kind, Some((_, FieldType::I64))) => Cells::I64(kind, Vec::new()),
            (kind, Some((_, FieldType::U64))) => Cells::U64(kind, Vec::new()),
            (kind, _) => Cells::F64(kind, Vec::new()),
        }
    }

    pub(crate) fn grow(&mut self) {
        match self {
            Cells::Count(cells) => cells.push(0),
            Cells::F64(_, cells) => cells.push(None),
            Cells::I64(_, cells) => cells.push(None),
            Cells::U64(_, cells) => cells.push(None),
            Cells::Sum(_, cells) => cells.push(None),
            Cells::Mean(cells) => cells.push((0.0, 0)),
            Cells::Edge(_, _, cells) => cells.push(None),
            Cells::Sketch(cells) => cells.push(Sketch::default()),
        }
    }

    /// Of one group, without what sketches grow to.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Cells::Count(_) => 8,
            Cells::Edge(..) => 24,
            Cells::Sum(..) => size_of::<Option<i128>>(),
            Cells::Sketch(_) => size_of::<Sketch>(),
            _ => 16,
        }
    }

    pub(crate) fn count(&mut self, place: usize, rows: usize) {
        if let Cells::Count(cells) = self {
            cells[place] += rows as i64;
        }
    }

    #[inline]
    pub(crate) fn fold(
        &mut self,
        place: usize,
        array: &ArrayRef,
        range: Range<usize>,
        times: &[i64],
        sketches: &mut usize,
    ) {
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
            Cells::Sum(kind, cells) => take_sum(&mut cells[place], whole_sum(array, *kind, &range)),
            Cells::Mean(cells) => {
                let (sum, count) = sum(array, range);
                cells[place] = (cells[place].0 + sum, cells[place].1 + count);
            }
            Cells::Edge(edge, kind, cells) => {
                let mut valid = range.filter(|row| array.is_valid(*row));
                let found = if *edge == FoldKind::First { valid.next() } else { valid.next_back() };
                take_edge(*edge, &mut cells[place], found.map(|row| (times[row], bits(array, *kind, row))));
            }
            Cells::Sketch(cells) => {
                let sketch = &mut cells[place];
                let before = sketch.memory();
                match array.as_primitive_opt::<Float64Type>().filter(|array| array.null_count() == 0) {
                    Some(array) => sketch.add_all(&array.values()[range]),
                    None => floats(array, range, |value| sketch.add(value)),
                }
                *sketches += sketch.memory() - before;
            }
        }
    }

    /// Takes in a group of the same column of another partition.
    pub(crate) fn merge(&mut self, place: usize, others: &Cells, from: usize) {
        match (self, others) {
            (Cells::Count(own), Cells::Count(others)) => own[place] += others[from],
            (Cells::F64(kind, own), Cells::F64(_, others)) => kind.take(&mut own[place], others[from]),
            (Cells::I64(kind, own), Cells::I64(_, others)) => kind.take(&mut own[place], others[from]),
            (Cells::U64(kind, own), Cells::U64(_, others)) => kind.take(&mut own[place], others[from]),
            (Cells::Sum(_, own), Cells::Sum(_, others)) => take_sum(&mut own[place], others[from]),
            (Cells::Mean(own), Cells::Mean(others)) => {
                own[place] = (own[place].0 + others[from].0, own[place].1 + others[from].1);
            }
            (Cells::Edge(edge, _, own), Cells::Edge(_, _, others)) => take_edge(*edge, &mut own[place], others[from]),
            (Cells::Sketch(own), Cells::Sketch(others)) => own[place].merge(&others[from]),
            _ => unreachable!("partitions of one aggregation keep the same"),
        }
    }

    /// Takes in cell `at` of a rollup, whose bucket starts at `start`.
    #[inline]
    pub(crate) fn take(&mut self, place: usize, column: &CellColumn, at: usize, start: i64, sketches: &mut usize) {
        fn value<P: ArrowPrimitiveType>(array: &ArrayRef, at: usize) -> Option<P::Native> {
            array.is_valid(at).then(|| array.as_primitive::<P>().value(at))
        }
        match (self, column) {
            (_, CellColumn::Nothing) => {}
            (Cells::Count(own), CellColumn::Counts(counts)) => own[place] += counts[at],
            (Cells::F64(kind, own), CellColumn::Values(array)) => {
                kind.take(&mut own[place], value::<Float64Type>(array, at));
            }
            (Cells::I64(kind, own), CellColumn::Values(array)) => {
                kind.take(&mut own[place], value::<Int64Type>(array, at));
            }
            (Cells::U64(kind, own), CellColumn::Values(array)) => {
                kind.take(&mut own[place], value::<UInt64Type>(array, at));
            }
            (Cells::Sum(kind, own), CellColumn::Values(array)) => {
                take_sum(&mut own[place], whole_sum(array, *kind, &(at..at + 1)).filter(|_| array.is_valid(at)));
            }
            (Cells::Mean(own), CellColumn::Mean(sums, counts)) => {
                let sum = value::<Float64Type>(sums, at).unwrap_or_default();
                own[place] = (own[place].0 + sum, own[place].1 + counts[at]);
            }
            (Cells::Edge(edge, kind, own), CellColumn::Edge(values, times)) => {
                let found = values.is_valid(at).then(|| (start.saturating_add(times[at]), bits(values, *kind, at)));
                take_edge(*edge, &mut own[place], found);
            }
            (Cells::Sketch(own), CellColumn::Sketches(column)) => {
                let (sketch, range) = (&mut own[place], column.range(at));
                let before = sketch.memory();
                sketch.add_buckets(&column.buckets[range.clone()], &column.counts[range]);
                *sketches += sketch.memory() - before;
            }
            _ => unreachable!("a rollup's column is read for the fold that takes it"),
        }
    }

    /// Counts of these cells.
    pub(crate) fn counts(&self, places: &[usize]) -> Vec<i64> {
        match self {
            Cells::Count(cells) => places.iter().map(|place| cells[*place]).collect(),
            _ => unreachable!("these are no counts"),
        }
    }

    /// Sums, smallest or largest values of these cells; nothing if a sum is beyond the type of its field.
    pub(crate) fn values(&self, places: &[usize]) -> Option<ArrayRef> {
        self.column(places, Function::Sum)
    }

    /// First or last values of these cells, and how long after the starts of their buckets they are.
    pub(crate) fn edges(&self, places: &[usize], starts: &[i64]) -> (ArrayRef, Vec<i64>) {
        let Cells::Edge(_, _, cells) = self else { unreachable!("these are no first or last values") };
        let since = |(place, start): (&usize, &i64)| cells[*place].map_or(0, |(time, _)| time - start);
        let values = self.column(places, Function::First).expect("only sums can be beyond a type");
        (values, places.iter().zip(starts).map(since).collect())
    }

    /// Sums of these cells as floats; nothing where there is no value.
    pub(crate) fn float_sums(&self, places: &[usize]) -> ArrayRef {
        let Cells::Mean(cells) = self else { unreachable!("these are no means") };
        let sum = |place: &usize| Some(cells[*place]).filter(|(_, count)| *count > 0).map(|(sum, _)| sum);
        Arc::new(places.iter().map(sum).collect::<Float64Array>())
    }

    /// The sketches of these cells as [`SketchColumn::new`] takes them.
    pub(crate) fn sketches(&self, places: &[usize]) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
        let Cells::Sketch(cells) = self else { unreachable!("these are no sketches") };
        let (mut sizes, mut distances, mut counts, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for place in places {
            let buckets = cells[*place].buckets();
            sizes.push(buckets.len() as i64);
            let mut before = first;
            first = buckets.first().map_or(first, |(bucket, _)| i64::from(*bucket));
            for (bucket, count) in buckets {
                distances.push(i64::from(bucket) - before);
                before = bucket.into();
                counts.push(count as i64);
            }
        }
        (sizes, distances, counts)
    }

    /// The values of groups as a column; nothing if a sum is beyond the type of its field.
    pub(crate) fn column(&self, places: &[usize], function: Function) -> Option<ArrayRef> {
        Some(match self {
            Cells::Sum(kind, cells) => {
                let fits = |sum: i128| match kind {
                    FieldType::I64 => i64::try_from(sum).ok().map(|sum| sum as u64),
                    _ => u64::try_from(sum).ok(),
                };
                let sums = places.iter().map(|place| match cells[*place] {
                    None => Some(None),
                    Some(sum) => fits(sum).map(Some),
                });
                of_bits(*kind, sums.collect::<Option<Vec<_>>>()?.into_iter())
            }
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
            Cells::Edge(_, kind, cells) => {
                of_bits(*kind, places.iter().map(|place| cells[*place].map(|(_, bits)| bits)))
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
        })
    }
}
