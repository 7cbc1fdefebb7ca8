//! Rows on their way out of the store: keys and columns of one table, between a source, the merge, and an answer.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;

use crate::base::mark::without_marks;

/// The order of rows: by series, then by time.
pub(crate) type Key = (u32, i64);

/// Some rows of one table, ordered by [`Key`], each key once.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub series: ScalarBuffer<u32>,
    /// Empty where nobody wants to know.
    pub times: ScalarBuffer<i64>,
    /// One entry a field that was asked for; `None` where no row here has a value.
    pub columns: Vec<Option<ArrayRef>>,
}

impl Rows {
    /// Rows one behind the other; their keys must be in order.
    pub(crate) fn concat(parts: &[Rows], fields: usize) -> Rows {
        if let [one] = parts {
            return one.clone();
        }
        let column = |field: usize| {
            let kind = parts.iter().find_map(|part| Some(part.columns[field].as_ref()?.data_type().clone()))?;
            let whole = |part: &Rows| part.columns[field].clone().unwrap_or_else(|| new_null_array(&kind, part.len()));
            let arrays: Vec<ArrayRef> = parts.iter().map(whole).collect();
            let arrays: Vec<&dyn Array> = arrays.iter().map(Arc::as_ref).collect();
            Some(concat(&arrays).expect("columns of one field have one type, and its offsets fit"))
        };
        Rows {
            series: parts.iter().flat_map(|part| part.series.iter().copied()).collect(),
            times: parts.iter().flat_map(|part| part.times.iter().copied()).collect(),
            columns: (0..fields).map(column).collect(),
        }
    }

    /// A row as one of a source's.
    pub(crate) fn at(&self, source: usize, row: usize) -> Pick {
        Pick { key: self.key(row), source: source as u32, row: row as u32 }
    }

    /// Sorted picks of rows of several sources; of equal keys the later source's values win.
    pub(crate) fn gathered(picks: &[Pick], sources: &[Rows], fields: usize) -> Rows {
        let column = |field: usize| -> Vec<Option<ArrayRef>> {
            sources.iter().map(|source| source.columns.get(field).cloned().flatten()).collect()
        };
        let columns: Vec<_> = (0..fields).map(column).collect();
        gather(picks, &columns).expect("columns of one field have one type, and its offsets fit")
    }

    /// Sorted picks of `rows`, which have a column for every field of their table, with these fields.
    pub(crate) fn of_fields(picks: &[Pick], rows: &Rows, fields: &[u32]) -> Rows {
        let columns = fields.iter().map(|field| vec![rows.columns.get(*field as usize).cloned().flatten()]);
        gather(picks, &columns.collect::<Vec<_>>()).expect("columns of one field have one type, and its offsets fit")
    }

    /// The same with nulls for stale marks.
    pub(crate) fn without_marks(mut self) -> Rows {
        for column in self.columns.iter_mut().flatten() {
            *column = without_marks(column.clone());
        }
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn key(&self, row: usize) -> Key {
        (self.series[row], self.times[row])
    }

    /// How many rows from the start have a key up to `last`.
    pub(crate) fn count_to(&self, last: Key) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.key(middle) <= last { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Rows `range` of these, without a copy.
    pub(crate) fn slice(&self, range: Range<usize>) -> Rows {
        Rows {
            series: self.series.slice(range.start, range.len()),
            times: self.times.slice(range.start, range.len()),
            columns: self
                .columns
                .iter()
                .map(|column| column.as_ref().map(|c| c.slice(range.start, range.len())))
                .collect(),
        }
    }
}

/// The parts `ranges` of keys: a view of them where one range is enough.
pub(crate) fn pick<T: ArrowNativeType>(keys: &ScalarBuffer<T>, ranges: &[Range<usize>]) -> ScalarBuffer<T> {
    match ranges {
        [one] => keys.slice(one.start, one.len()),
        _ => {
            let mut picked = Vec::with_capacity(ranges.iter().map(Range::len).sum());
            ranges.iter().for_each(|range| picked.extend_from_slice(&keys[range.clone()]));
            picked.into()
        }
    }
}

/// The parts `ranges` of an array: the array itself or a view of it where one range is enough.
pub(crate) fn take_ranges(array: &ArrayRef, ranges: &[Range<usize>]) -> Result<ArrayRef, ArrowError> {
    match ranges {
        [one] if one.len() == array.len() => Ok(array.clone()),
        [one] => Ok(array.slice(one.start, one.len())),
        _ => {
            let parts: Vec<_> = ranges.iter().map(|range| array.slice(range.start, range.len())).collect();
            concat(&parts.iter().map(Arc::as_ref).collect::<Vec<_>>())
        }
    }
}

/// One row of one of several sources. Ordered by key, then by age: of equal keys the youngest comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pick {
    pub key: Key,
    pub source: u32,
    pub row: u32,
}

/// Sorts picks that are in the order of their sources and rows.
pub(crate) fn sort_picks(picks: &mut Vec<Pick>) {
    let series = || picks.iter().map(|pick| pick.key.0);
    let (Some(first), Some(last)) = (series().min(), series().max()) else { return };
    let count = (last - first) as usize + 1;
    if count > 2 * picks.len() {
        return picks.sort_unstable();
    }
    // Where the picks of each series begin; then each is put behind those of its series before it.
    let mut places = vec![0u32; count + 1];
    series().for_each(|series| places[(series - first) as usize + 1] += 1);
    for at in 1..places.len() {
        places[at] += places[at - 1];
    }
    let mut sorted = vec![Pick { key: (0, 0), source: 0, row: 0 }; picks.len()];
    for pick in picks.iter() {
        let place = &mut places[(pick.key.0 - first) as usize];
        sorted[*place as usize] = *pick;
        *place += 1;
    }
    *picks = sorted;
    // Rows of a series mostly come in the order of time.
    for run in picks.chunk_by_mut(|a, b| a.key.0 == b.key.0) {
        if !run.is_sorted() {
            run.sort_unstable();
        }
    }
}

/// Gathers sorted picks into rows. Picks of one key become one row: of each field the youngest value.
///
/// `columns[field][source]` is that source's column of that field.
pub(crate) fn gather(picks: &[Pick], columns: &[Vec<Option<ArrayRef>>]) -> Result<Rows, ArrowError> {
    // The first pick of every key; equal keys stand side by side.
    let starts: Vec<usize> = (0..picks.len()).filter(|at| *at == 0 || picks[at - 1].key != picks[*at].key).collect();
    let gathered = columns.iter().map(|sources| gather_column(picks, &starts, sources));
    Ok(Rows {
        series: starts.iter().map(|at| picks[*at].key.0).collect(),
        times: starts.iter().map(|at| picks[*at].key.1).collect(),
        columns: gathered.collect::<Result<_, _>>()?,
    })
}

fn gather_column(
    picks: &[Pick],
    starts: &[usize],
    sources: &[Option<ArrayRef>],
) -> Result<Option<ArrayRef>, ArrowError> {
    let Some(kind) = sources.iter().flatten().next().map(|array| array.data_type().clone()) else {
        return Ok(None);
    };
    let mut arrays: Vec<&dyn Array> = sources.iter().flatten().map(Arc::as_ref).collect();
    // Sources without the column share one null at the end of the list, if it is needed.
    let missing = (arrays.len(), 0);
    let is_valid = |place: (usize, usize)| place != missing && arrays[place.0].is_valid(place.1);
    let mut numbers = 0..;
    let places: Vec<Option<usize>> =
        sources.iter().map(|source| source.as_ref().and_then(|_| numbers.next())).collect();
    let at = |pick: &Pick| places[pick.source as usize].map_or(missing, |place| (place, pick.row as usize));

    let ends = starts.iter().skip(1).copied().chain([picks.len()]);
    let indices: Vec<(usize, usize)> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| match &picks[*start..end] {
            [only] => at(only),
            same_key => {
                let youngest = same_key.iter().rev().map(at).find(|place| is_valid(*place));
                youngest.unwrap_or(missing)
            }
        })
        .collect();
    let null = new_null_array(&kind, 1);
    if indices.contains(&missing) {
        arrays.push(&null);
    }
    interleave(&arrays, &indices).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn picks_are_sorted(keys in prop::collection::vec((0u32..6, 0i64..9), 0..50), stretch in 1u32..50) {
            let pick = |(row, (series, time)): (usize, &(u32, i64))| {
                Pick { key: (series * stretch, *time), source: row as u32 / 7, row: row as u32 }
            };
            let mut picks: Vec<Pick> = keys.iter().enumerate().map(pick).collect();
            let mut expected = picks.clone();
            expected.sort_unstable();
            sort_picks(&mut picks);
            prop_assert_eq!(picks, expected);
        }
    }
}
