//! Rows of one series stand together in what the store gives.

use std::ops::Range;

use arrow::array::{Array, DictionaryArray};
use arrow::datatypes::Int32Type;

/// The runs of rows with the same tags.
pub(crate) fn series_runs<'a>(
    tags: &'a [&'a DictionaryArray<Int32Type>],
    rows: usize,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let same = |one: usize, other: usize| {
        tags.iter().all(|tag| {
            let keys = tag.keys();
            keys.is_null(one) == keys.is_null(other) && (keys.is_null(one) || keys.value(one) == keys.value(other))
        })
    };
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = start;
        start = (first + 1..rows).find(|row| !same(first, *row)).unwrap_or(rows);
        (first < rows).then_some(first..start)
    })
}
