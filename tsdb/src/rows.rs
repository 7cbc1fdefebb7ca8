//! Rows on their way out of the store: keys and columns of one table, between a source, the merge, and an answer.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;

/// The order of rows: by series, then by time.
pub(crate) type Key = (u32, i64);

/// Some rows of one table, ordered by [`Key`], each key once.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub series: ScalarBuffer<u32>,
    pub times: ScalarBuffer<i64>,
    /// One entry a field that was asked for; `None` where no row here has a value.
    pub columns: Vec<Option<ArrayRef>>,
}

impl Rows {
    /// The rows `ranges` of these keys, with columns that were picked already.
    pub(crate) fn pick(
        series: &ScalarBuffer<u32>,
        times: &ScalarBuffer<i64>,
        ranges: &[Range<usize>],
        columns: Vec<Option<ArrayRef>>,
    ) -> Rows {
        let (series, times) = match ranges {
            [one] => (series.slice(one.start, one.len()), times.slice(one.start, one.len())),
            _ => (
                ranges.iter().flat_map(|range| series[range.clone()].iter().copied()).collect(),
                ranges.iter().flat_map(|range| times[range.clone()].iter().copied()).collect(),
            ),
        };
        Rows { series, times, columns }
    }

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

    pub(crate) fn len(&self) -> usize {
        self.times.len()
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
    // Sources without the column share one null at the end of the list.
    let null = new_null_array(&kind, 1);
    let mut arrays: Vec<&dyn Array> = sources.iter().flatten().map(Arc::as_ref).collect();
    let missing = (arrays.len(), 0);
    arrays.push(&null);
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
                let youngest = same_key.iter().rev().map(at).find(|(array, row)| arrays[*array].is_valid(*row));
                youngest.unwrap_or(missing)
            }
        })
        .collect();
    interleave(&arrays, &indices).map(Some)
}
