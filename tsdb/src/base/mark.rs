//! Prometheus' mark of a series that has ended: a NaN with bits of its own, which stands among the values of floats.
//!
//! It is stored as it comes, and is a value to nobody but PromQL: to everybody else it is null.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_buffer::{BooleanBuffer, NullBuffer};

/// The bits of the mark.
const BITS: u64 = 0x7ff0_0000_0000_0002;
/// The mark of a series that has ended, as Prometheus writes it.
pub const STALE_MARK: f64 = f64::from_bits(BITS);
/// So many values are looked at before it is asked whether one is a mark.
const STRIDE: usize = 256;

/// Is it the mark? Other NaNs are values.
///
/// ```
/// assert!(tsdb::is_stale_mark(tsdb::STALE_MARK) && !tsdb::is_stale_mark(f64::NAN));
/// ```
#[must_use]
pub fn is_stale_mark(value: f64) -> bool {
    value.to_bits() == BITS
}

/// A column in which marks are null.
pub(crate) fn without_marks(column: ArrayRef) -> ArrayRef {
    let Some(floats) = column.as_primitive_opt::<Float64Type>() else { return column };
    let values = floats.values();
    let has_mark = |some: &[f64]| some.iter().fold(false, |found, value| found | is_stale_mark(*value));
    if !values.chunks(STRIDE).any(has_mark) {
        return column;
    }
    let is_value = BooleanBuffer::collect_bool(values.len(), |at| !is_stale_mark(values[at]));
    let nulls = NullBuffer::union(floats.nulls(), Some(&NullBuffer::new(is_value)));
    Arc::new(Float64Array::new(values.clone(), nulls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_null_and_other_numbers_are_not() {
        let values = vec![Some(1.0), Some(STALE_MARK), None, Some(f64::NAN), Some(f64::INFINITY), Some(-f64::NAN)];
        let column = without_marks(Arc::new(Float64Array::from(values)));
        let floats = column.as_primitive::<Float64Type>();
        assert_eq!((0..6).filter(|at| floats.is_valid(*at)).collect::<Vec<_>>(), [0, 3, 4, 5]);
        let long: ArrayRef = Arc::new(Float64Array::from_iter_values((0..1000).map(f64::from)));
        assert_eq!(without_marks(long.slice(3, 700)).null_count(), 0);
        let mut values: Vec<f64> = (0..1000).map(f64::from).collect();
        values[999] = STALE_MARK;
        let column: ArrayRef = Arc::new(Float64Array::from(values));
        assert_eq!(
            (without_marks(column.clone()).null_count(), without_marks(column.slice(0, 999)).null_count()),
            (1, 0)
        );
    }
}
