//! Prometheus says that a series ended by a NaN of its own bits among the values. SQL took it for a number: the mean of a
//! series that ended was NaN, and what people are paid by with it. To everybody but PromQL it is null, wherever the rows are.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use tsdb::{
    Aggregate, AggregateRequest, Comparison, FieldPredicate, Function, Literal, Options, Rollup, Row, STALE_MARK,
    ScanRequest, Store, Value, is_stale_mark,
};

/// A day of 2026, ns.
const START: i64 = 1_767_225_600_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn write(store: &Store, from: i64, values: &[f64]) {
    let mut batch = store.batch("public");
    for (at, value) in (from..).zip(values) {
        let fields = [("value", Value::F64(*value))];
        batch.push(&Row { measurement: "m", tags: &[("a", "b")], time: START + at * SECOND, fields: &fields }).unwrap();
    }
    store.write(batch).unwrap();
}

fn aggregates(store: &Store) -> RecordBatch {
    let of = |function| Aggregate { function, field: Some("value".into()) };
    let functions = [Function::Count, Function::Mean, Function::Min, Function::Max, Function::Sum, Function::Last];
    let aggregates = functions.into_iter().map(of).chain([Aggregate { function: Function::Count, field: None }]);
    let rows = ScanRequest::default();
    let request = AggregateRequest { rows, bucket: None, by: vec![], aggregates: aggregates.collect() };
    let aggregation = store.aggregate("public", "m", &request).unwrap();
    aggregation.finish(&aggregation.fold(0, |_| true).unwrap().unwrap()).unwrap()
}

/// What is stored as 1, 2, a mark, NaN where `has_nan`, 4, and a mark written over the 9 that was there.
fn check(store: &Store, what: &str) {
    let answer = aggregates(store);
    let int = |at: usize| answer.column(at).as_primitive::<Int64Type>().value(0);
    let float = |at: usize| answer.column(at).as_primitive::<Float64Type>().value(0);
    assert_eq!((int(0), int(6)), (3, 5), "{what}: values and rows");
    assert_eq!((float(1), float(2), float(3), float(4), float(5)), (7.0 / 3.0, 1.0, 4.0, 7.0, 4.0), "{what}");

    let values = |request: &ScanRequest| -> Vec<Option<f64>> {
        let batches = store.scan("public", "m", request).unwrap().read_all().map(Result::unwrap).collect::<Vec<_>>();
        let column = |batch: &RecordBatch| batch.column_by_name("value").unwrap().as_primitive::<Float64Type>().clone();
        batches.iter().flat_map(|batch| column(batch).iter().collect::<Vec<_>>()).collect()
    };
    assert_eq!(values(&ScanRequest::default()), [Some(1.0), Some(2.0), None, Some(4.0), None], "{what}");
    let marks = values(&ScanRequest { stale_marks: true, ..ScanRequest::default() });
    assert!(marks[2].is_some_and(is_stale_mark) && marks[4].is_some_and(is_stale_mark), "{what}: {marks:?}");
    for (condition, expected) in [
        (FieldPredicate::IsNull("value".into()), vec![None, None]),
        (FieldPredicate::Compares("value".into(), Comparison::Gt, Literal::F64(1.5)), vec![Some(2.0), Some(4.0)]),
        (FieldPredicate::Compares("value".into(), Comparison::NotEq, Literal::F64(2.0)), vec![Some(1.0), Some(4.0)]),
    ] {
        let request = ScanRequest { fields: vec![condition.clone()], ..ScanRequest::default() };
        assert_eq!(values(&request), expected, "{what}: {condition:?}");
    }
    let (last, _) = store.last_rows("public", "m", None, &[]).unwrap();
    let column = last.column_by_name("value").unwrap();
    assert!(last.num_rows() == 1 && column.is_null(0), "{what}: {last:?}");
}

#[test]
fn a_mark_is_no_value_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options { roll_after: None, ..Options::default() }).unwrap();
    write(&store, 4, &[9.0]);
    write(&store, 0, &[1.0, 2.0, STALE_MARK, 4.0]);
    store.flush().unwrap();
    // Not the 9 that it was written over.
    write(&store, 4, &[STALE_MARK]);
    check(&store, "half sealed");
    store.flush().unwrap();
    check(&store, "sealed");
    store.compact().unwrap();
    check(&store, "merged");
    store
        .declare_rollup(Rollup {
            name: "days".into(),
            schema: "public".into(),
            table: "m".into(),
            width_ns: 86_400 * SECOND,
            conditions: vec![],
            fields: None,
            configured: false,
        })
        .unwrap();
    store.compact().unwrap();
    assert_eq!(store.rollups()[0].days, 1);
    check(&store, "in a rollup");
    store.close().unwrap();
    drop(store);

    let store = Store::open(dir.path(), Options { roll_after: Some(Duration::ZERO), ..Options::default() }).unwrap();
    store.compact().unwrap();
    assert_eq!(store.stats().rolled_days, 1);
    check(&store, "rolled");
}
