//! A zero has no sign in SQL. Arrow and DataFusion go by bits where they group, join and tell apart, so that -0.0 and
//! 0.0 were two groups, and `count(DISTINCT v)` was one too many. What is read has zeros without a sign; what is
//! computed is seen to by `rules/sound_operators.rs`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result;

const NEGATIVE_ZERO: u64 = 1 << 63;

/// The batch with zeros without a sign. It is the same unless there is one with a sign.
pub(crate) fn without_signs(batch: RecordBatch) -> Result<RecordBatch> {
    if !batch.columns().iter().any(has_signed_zero) {
        return Ok(batch);
    }
    let columns = batch.columns().iter().map(|column| match has_signed_zero(column) {
        true => Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(|value| value + 0.0)),
        false => column.clone(),
    });
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &options)?)
}

fn has_signed_zero(column: &ArrayRef) -> bool {
    if *column.data_type() != DataType::Float64 {
        return false;
    }
    let numbers: &Float64Array = column.as_primitive();
    // In blocks, so that the processor compares several at a time.
    numbers
        .values()
        .chunks(256)
        .any(|block| block.iter().fold(false, |any, value| any | (value.to_bits() == NEGATIVE_ZERO)))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn only_the_sign_of_zeros_goes() {
        let numbers = [Some(-0.0), None, Some(f64::NAN), Some(-1.0), Some(f64::NEG_INFINITY), Some(0.0)];
        let columns: [(&str, ArrayRef); 2] =
            [("v", Arc::new(Float64Array::from_iter(numbers))), ("i", Arc::new(Int64Array::from_iter_values(0..6)))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let same = without_signs(batch.clone()).unwrap();
        let read: Vec<Option<u64>> =
            same.column(0).as_primitive::<Float64Type>().iter().map(|value| value.map(f64::to_bits)).collect();
        let wanted = [Some(0.0), None, Some(f64::NAN), Some(-1.0), Some(f64::NEG_INFINITY), Some(0.0)];
        assert_eq!(read, wanted.map(|value: Option<f64>| value.map(f64::to_bits)));
        assert_eq!(same.column(1), batch.column(1));
        let plain = batch.slice(1, 5);
        assert!(Arc::ptr_eq(without_signs(plain.clone()).unwrap().column(0), plain.column(0)));
    }
}
