//! Drops: a field that came as text once refused numbers for good, and a measurement with a million series by mistake
//! took their memory for as long as the store lived. What is dropped goes from memory, from answers, and from the files
//! that others read; its name begins anew. Random drops among all else are in `map.rs`, and under crashes in `crash.rs`.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tsdb::{Error, Options, Row, ScanRequest, Store, Value};

const START: i64 = 1_767_225_600_000_000_000;
const DAY: i64 = 86_400_000_000_000;

fn options() -> Options {
    Options { roll_after: Some(Duration::ZERO), ..Options::default() }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, options()).unwrap()
}

fn write(store: &Store, host: &str, time: i64, fields: &[(&str, Value<'_>)]) -> Result<(), String> {
    let mut batch = store.batch("public");
    let row = Row { measurement: "m", tags: &[("host", host)], time, fields };
    // As clients do it: by the bytes that spell the series.
    match batch.find_series(host.as_bytes()) {
        Some(series) => batch.push_series(series, time, fields),
        None => batch.push_spelled(host.as_bytes(), &row),
    }
    .map_err(|error| error.to_string())?;
    store.write(batch).map_err(|error| error.to_string())
}

/// The names of the columns, and how many rows there are.
fn seen(store: &Store) -> (Vec<String>, usize) {
    let columns = store.table("public", "m").unwrap().columns;
    let names = columns.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).skip(2);
    let scan = store.scan("public", "m", &ScanRequest::default()).unwrap();
    (names.collect(), scan.read_all().map(|batch| batch.unwrap().num_rows()).sum())
}

/// What others find in the files of rolled days.
fn rolled_columns(dir: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for day in std::fs::read_dir(dir.join("parquet/m")).into_iter().flatten() {
        files.extend(std::fs::read_dir(day.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    }
    let columns = files.into_iter().flat_map(|path| {
        let file = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
        file.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type())).collect::<Vec<_>>()
    });
    let mut columns: Vec<String> =
        columns.filter(|name| !name.contains("Timestamp") && !name.contains("Dict")).collect();
    columns.sort();
    columns.dedup();
    columns
}

#[test]
fn a_field_of_the_wrong_type_is_dropped_and_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, "a", START, &[("v", Value::Str("12")), ("other", Value::I64(1))]).unwrap();
    store.compact().unwrap();
    write(&store, "a", START + DAY, &[("v", Value::Str("13"))]).unwrap(); // in the head
    assert!(write(&store, "a", START + 1, &[("v", Value::F64(1.5))]).unwrap_err().contains("field 'v' of 'm' is"));
    assert!(matches!(store.drop_field("public", "m", "host"), Err(Error::IsTag { .. })));
    assert!(matches!(store.drop_field("public", "m", "none"), Err(Error::UnknownColumn { .. })));
    assert!(matches!(store.drop_field("public", "none", "v"), Err(Error::UnknownTable { .. })));

    store.drop_field("public", "m", "v").unwrap();
    assert_eq!(seen(&store), (vec!["other Int64".to_owned()], 2), "the rows stay");
    for v in [1.5, 2.5] {
        write(&store, "a", START + v as i64, &[("v", Value::F64(v))]).unwrap();
    }
    let expected = vec!["other Int64".to_owned(), "v Float64".to_owned()];
    for _ in 0..2 {
        let check = |store: &Store| {
            assert_eq!(seen(store), (expected.clone(), 4));
            let scan = ScanRequest { columns: Some(vec!["v".into()]), ..ScanRequest::default() };
            let batches = store.scan("public", "m", &scan).unwrap();
            let nulls: usize = batches.read_all().map(|batch| batch.unwrap().column(0).null_count()).sum();
            assert_eq!(nulls, 2, "what was text is nothing");
        };
        check(&store);
        store.compact().unwrap();
        check(&store);
    }
    assert_eq!(rolled_columns(dir.path()), expected, "no file of a day has the old one");
    drop(store);
    let store = open(dir.path());
    assert_eq!(seen(&store), (expected, 4), "opened again");
    assert!(write(&store, "a", START, &[("v", Value::Str("14"))]).is_err(), "it has a type again");
    drop(store);
    assert_eq!(tsdb::verify(dir.path(), |_, _| ()).unwrap().damage.len(), 0);
}

#[test]
fn a_table_is_dropped_with_its_files_its_series_and_its_spellings() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..2000 {
        write(&store, &format!("host {n}"), START, &[("v", Value::Str("12"))]).unwrap();
    }
    store.compact().unwrap();
    write(&store, "host 7", START + DAY, &[("v", Value::Str("13"))]).unwrap(); // in the head
    let full = store.stats();
    // A batch that was begun before takes its rows to the new table, as far as it can.
    let mut begun = store.batch("public");
    assert!(begun.find_series(b"host 7").is_some());
    let stale = begun.find_series(b"host 8").unwrap();

    store.drop_table("public", "m").unwrap();
    assert!(store.table("public", "m").is_none() && store.tables().count() == 0 && store.parts().is_empty());
    assert!(matches!(store.drop_table("public", "m"), Err(Error::UnknownTable { .. })));
    assert_eq!(rolled_columns(dir.path()), Vec::<String>::new(), "its files are gone");
    assert!(begun.find_series(b"host 7").is_none());
    let refused = begun.push_series(stale, START, &[("v", Value::F64(1.0))]).unwrap_err().to_string();
    assert!(refused.contains("'m' was dropped meanwhile"), "{refused}");

    for _ in 0..2 {
        write(&store, "host 7", START + DAY, &[("v", Value::F64(0.5))]).unwrap();
    }
    let check = |store: &Store, when: &str| {
        assert_eq!(seen(store), (vec!["v Float64".to_owned()], 1), "{when}");
        let stats = store.stats();
        assert_eq!((stats.tables, stats.series), (1, 1), "{when}");
    };
    check(&store, "at once");
    store.compact().unwrap();
    check(&store, "compacted");
    drop(store);
    let store = open(dir.path());
    check(&store, "opened again");
    let bytes = store.stats().catalog_bytes;
    assert!(bytes * 20 < full.catalog_bytes, "{bytes} of {} bytes are still taken", full.catalog_bytes);
    assert!(store.stats().segment_bytes + store.stats().rolled_bytes < 10_000);
    drop(store);
    assert_eq!(tsdb::verify(dir.path(), |_, _| ()).unwrap().damage.len(), 0);
}

/// What a log says of drops behind a block that is damaged, copy and all, is not replayed. It was heeded all the same: a
/// table that was made later got the number of one that was dropped there, and nobody ever found it.
#[test]
fn a_drop_behind_damage_is_not_that_of_a_later_table() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let row = |store: &Store, table: &str| {
        let mut batch = store.batch("public");
        batch.push(&Row { measurement: table, tags: &[], time: START, fields: &[("v", Value::I64(1))] }).unwrap();
        store.write(batch).unwrap();
    };
    row(&store, "kept");
    let first = std::fs::metadata(dir.path().join("catalog.log")).unwrap().len() as usize;
    row(&store, "gone");
    store.drop_table("public", "gone").unwrap();
    store.compact().unwrap();
    drop(store);
    for name in ["catalog.log", "catalog.copy"] {
        let mut bytes = std::fs::read(dir.path().join(name)).unwrap();
        bytes[first + 30] ^= 1; // in the block that made the second table
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let store = open(dir.path());
    for _ in 0..2 {
        row(&store, "later");
    }
    let scan = store.scan("public", "later", &ScanRequest::default()).unwrap();
    assert_eq!(scan.read_all().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1);
    assert_eq!(store.tables().filter(|(_, name)| *name == "later").count(), 1);
}
