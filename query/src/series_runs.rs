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
        // Every series has one run in a batch, so that its end is found by steps that double, and by halving the last one.
        let mut step = 1;
        while first + step < rows && same(first, first + step) {
            step *= 2;
        }
        let (mut low, mut high) = (first + step / 2, (first + step).min(rows));
        while low + 1 < high {
            let middle = low.midpoint(high);
            *(if same(first, middle) { &mut low } else { &mut high }) = middle;
        }
        start = high;
        (first < rows).then_some(first..start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_any_length_are_found() {
        for lengths in [vec![], vec![1], vec![1, 1, 1], vec![7, 1, 2, 64, 3], vec![1000, 1], vec![1, 1023, 1024, 1025]]
        {
            let keys = lengths.iter().enumerate().flat_map(|(at, length)| std::iter::repeat_n(at as i32, *length));
            // Every third series does not have the tag.
            let keys = keys.map(|key| (key % 3 != 1).then_some(key));
            let rows: usize = lengths.iter().sum();
            let texts = (0..lengths.len().max(1)).map(|at| Some(at.to_string()));
            let values = texts.collect::<arrow::array::StringArray>();
            let tag = DictionaryArray::<Int32Type>::new(keys.collect(), std::sync::Arc::new(values));
            let runs: Vec<usize> = series_runs(&[&tag], rows).map(|run| run.len()).collect();
            assert_eq!(runs, lengths);
        }
    }
}
