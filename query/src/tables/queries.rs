//! `system.queries`: the queries that run and the last ones that ended, with what they cost.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array};
use arrow::error::ArrowError;
use runner::{Queries, Query};

use crate::tables::system::SystemTable;

/// The table over a list.
pub(crate) fn table(queries: Arc<Queries>) -> SystemTable {
    SystemTable { name: "queries", rows: Arc::new(move || rows(&queries.list())) }
}

fn rows(queries: &[Query]) -> Result<RecordBatch, ArrowError> {
    let texts =
        |text: fn(&Query) -> Option<&str>| -> ArrayRef { Arc::new(queries.iter().map(text).collect::<StringArray>()) };
    let numbers =
        |number: fn(&Query) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(queries.iter().map(number))) };
    let times =
        |ms: fn(&Query) -> Option<f64>| -> ArrayRef { Arc::new(queries.iter().map(ms).collect::<Float64Array>()) };
    let started = TimestampNanosecondArray::from_iter_values(queries.iter().map(|query| query.started));
    RecordBatch::try_from_iter_with_nullable([
        ("id", numbers(|query| query.id), false),
        ("started", Arc::new(started.with_timezone("UTC")) as ArrayRef, false),
        ("state", texts(|query| Some(query.state.name())), false),
        ("db", texts(|query| Some(&query.schema)), false),
        ("language", texts(|query| Some(query.language.name())), false),
        ("statement", texts(|query| Some(&query.statement)), false),
        ("planned_ms", times(|query| query.planned_ms), true),
        ("total_ms", times(|query| Some(query.total_ms)), true),
        ("rows", numbers(|query| query.rows), false),
        ("bytes", numbers(|query| query.bytes), false),
        ("error", texts(|query| query.error.as_deref()), true),
    ])
}
