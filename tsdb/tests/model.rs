//! The store against a plain map: random writes, overwrites, seals, compactions and reopenings must give the same rows.
//!
//! `PROPTEST_CASES=5000 cargo test -p tsdb --test model` looks longer; a failure prints the steps that led to it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use proptest::prelude::*;
use tsdb::{Options, Row, ScanRequest, Store, TagPredicate, Value};

/// What the model knows of a row: the fields that were set.
#[derive(Debug, Clone, Default, PartialEq)]
struct Fields {
    load: Option<f64>,
    count: Option<i64>,
    note: Option<String>,
    up: Option<bool>,
}

/// Host and time of a row; the host may be left out.
type Key = (Option<String>, i64);

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(Key, Fields)>),
    Flush,
    Compact,
    Reopen,
}

fn fields() -> impl Strategy<Value = Fields> {
    let optional = (
        prop::option::of(-5i32..5),
        prop::option::of(any::<i64>()),
        prop::option::of("[a-z]{0,4}"),
        prop::option::of(any::<bool>()),
    );
    optional
        .prop_map(|(load, count, note, up)| Fields { load: load.map(f64::from), count, note, up })
        .prop_filter("a row needs a field", |fields| *fields != Fields::default())
}

fn step() -> impl Strategy<Value = Step> {
    // Few keys, so that rows meet; times across a wide range, out of order.
    let key = (prop::option::weighted(0.9, "[a-c]"), (0i64..40).prop_map(|n| n * 1_000_000_007 - 5));
    prop_oneof![
        6 => prop::collection::vec((key, fields()), 1..30).prop_map(Step::Write),
        2 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

fn write(store: &Store, rows: &[(Key, Fields)]) {
    let mut batch = store.batch("public");
    for ((host, time), fields) in rows {
        let tags: Vec<_> = host.iter().map(|host| ("host", host.as_str())).collect();
        let mut values = Vec::new();
        values.extend(fields.load.map(|load| ("load", Value::F64(load))));
        values.extend(fields.count.map(|count| ("count", Value::I64(count))));
        values.extend(fields.note.as_ref().map(|note| ("note", Value::Str(note))));
        values.extend(fields.up.map(|up| ("up", Value::Bool(up))));
        batch.push(&Row { measurement: "m", tags: &tags, time: *time, fields: &values }).unwrap();
    }
    store.write(batch).unwrap();
}

fn read(store: &Store, request: &ScanRequest) -> BTreeMap<Key, Fields> {
    let mut rows = BTreeMap::new();
    let Ok(scan) = store.scan("public", "m", request) else { return rows };
    for batch in scan.read_all() {
        let batch: RecordBatch = batch.unwrap();
        let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>();
        for row in 0..batch.num_rows() {
            let column =
                |name| batch.column_by_name(name).filter(|column: &&arrow_array::ArrayRef| column.is_valid(row));
            let host = column("host").map(|column| {
                let column = column.as_dictionary::<Int32Type>();
                column.values().as_string::<i32>().value(column.key(row).unwrap()).to_owned()
            });
            let fields = Fields {
                load: column("load").map(|column| column.as_primitive::<Float64Type>().value(row)),
                count: column("count").map(|column| column.as_primitive::<Int64Type>().value(row)),
                note: column("note").map(|column| column.as_string::<i32>().value(row).to_owned()),
                up: column("up").map(|column| column.as_boolean().value(row)),
            };
            let twice = rows.insert((host, times.value(row)), fields);
            assert!(twice.is_none(), "a key came twice");
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").map_or(64, |n| n.parse().unwrap()), ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_that_survives(steps in prop::collection::vec(step(), 1..25), partitions in 1usize..4, page_rows in 1usize..9) {
        let dir = tempfile::tempdir().unwrap();
        // A tiny head, so that seals also happen by themselves, with writes going on; tiny pages, so that there are many.
        let options = Options { head_bytes_max: 4096, page_rows, ..Options::default() };
        let mut store = Store::open(dir.path(), options.clone()).unwrap();
        let mut model: BTreeMap<Key, Fields> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(rows) => {
                    write(&store, &rows);
                    for (key, new) in rows {
                        let old = model.entry(key).or_default();
                        old.load = new.load.or(old.load);
                        old.count = new.count.or(old.count);
                        old.note = new.note.or(old.note.take());
                        old.up = new.up.or(old.up);
                    }
                }
                Step::Flush => store.flush().unwrap(),
                Step::Compact => store.compact().unwrap(),
                Step::Reopen => {
                    drop(store);
                    store = Store::open(dir.path(), options.clone()).unwrap();
                }
            }
            let all = ScanRequest { partitions, ..ScanRequest::default() };
            prop_assert_eq!(&read(&store, &all), &model);
        }
        let (from, to) = (7 * 1_000_000_007 - 5, 20 * 1_000_000_007);
        for (predicate, wanted) in [
            (TagPredicate::In("host".into(), vec!["a".into(), "x".into()]), Box::new(|host: Option<&str>| host == Some("a")) as Box<dyn Fn(_) -> _>),
            (TagPredicate::NotIn("host".into(), vec!["a".into()]), Box::new(|host: Option<&str>| host.is_some_and(|host| host != "a"))),
            (TagPredicate::IsNull("host".into()), Box::new(|host: Option<&str>| host.is_none())),
            (TagPredicate::IsNotNull("host".into()), Box::new(|host: Option<&str>| host.is_some())),
        ] {
            if store.table("public", "m").is_none_or(|table| table.tags.is_empty()) {
                break;
            }
            let part = ScanRequest { from, to, tags: vec![predicate], partitions, ..ScanRequest::default() };
            let expected = model.iter().filter(|((host, time), _)| wanted(host.as_deref()) && (from..=to).contains(time));
            let expected: BTreeMap<_, _> = expected.map(|(key, fields)| (key.clone(), fields.clone())).collect();
            prop_assert_eq!(read(&store, &part), expected);
        }
    }
}
