//! A zero has no sign where rows are sorted: arrow goes by bits, and would put -0.0 before 0.0 whatever else they are
//! sorted by. What is planned is seen to by `rules/one_zero.rs`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};

/// A column as a key: floats without the sign of zeros.
pub(crate) fn key(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let keys: Float64Array = column.as_primitive::<Float64Type>().unary(|value| value + 0.0);
            Arc::new(keys)
        }
        _ => column.clone(),
    }
}
