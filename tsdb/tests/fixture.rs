//! Data directories of every format version, as the store of that time wrote them, must open for ever.
//!
//! `FOURNINES_FIXTURE=tsdb/tests/fixtures/v6 cargo test -p tsdb --test fixture` writes one with the store of today.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt64Type};
use tsdb::{Options, Row, ScanRequest, Store, Value};

/// The number of rows of each table; enough that columns are packed in every way there is.
const ROWS: i64 = 600;
/// The start of 2026.
const START: i64 = 1_767_225_600_000_000_000;

/// What row `n` is: everything follows from the number.
fn row(n: i64) -> (String, i64, [Option<f64>; 2], i64, u64, bool, Option<String>) {
    let host = format!("h{}", n % 3);
    let time = START + n * 1_000_000_000_000; // three days in all
    let noise = (n.wrapping_mul(6_364_136_223_846_793_005) >> 33) as f64;
    let decimal = (n % 7 != 0).then(|| (noise % 1000.0) / 8.0);
    let odd = [f64::NAN, f64::INFINITY, -0.0, 1.0 / 3.0, noise.sqrt()][(n % 5) as usize];
    let note = (n % 4 == 0).then(|| format!("note {}", n % 12));
    (host, time, [decimal, Some(odd)], n / 10 - 20, u64::MAX - (n * n) as u64, n % 6 < 4, note)
}

/// The number of rows of the long table, which came with version 3: a page of it is coded in parts.
const LONG_ROWS: i64 = 3000;

/// The number of rows of the table of a day, which came with version 6: all are in one page.
const DAY_ROWS: i64 = 8640;

fn write_day(store: &Store) {
    let mut batch = store.batch("public");
    for n in 0..DAY_ROWS {
        let fields = [("value", Value::I64(long_row(n).0))];
        batch.push(&Row { measurement: "day", tags: &[], time: START + n * 10_000_000_000, fields: &fields }).unwrap();
    }
    store.write(batch).unwrap();
}

/// How many rows of the table of a day there are; each is as it was.
fn check_day(store: &Store) -> usize {
    let Ok(scan) = store.scan("public", "day", &ScanRequest::default()) else { return 0 };
    let rows = |batch: arrow_array::RecordBatch| {
        let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>().clone();
        let values = batch.column_by_name("value").unwrap().as_primitive::<Int64Type>().clone();
        for (time, value) in times.values().iter().zip(values.values()) {
            let n = (time - START) / 10_000_000_000;
            assert_eq!(*value, long_row(n).0, "row {n} of the table of a day");
        }
        batch.num_rows()
    };
    scan.read_all().map(|batch| rows(batch.unwrap())).sum()
}

/// The number of rows of the table that drifts, which came with version 8: `pco` codes them page by page.
const DRIFT_ROWS: i64 = 2600;

/// Sums of hundredths, with what floats lose.
fn drift() -> impl Iterator<Item = f64> {
    (0..DRIFT_ROWS).scan(0.0, |sum, n| {
        *sum += ((n * n * 31 + n) % 97) as f64 * 0.01;
        Some(*sum)
    })
}

fn write_drift(store: &Store) {
    let mut batch = store.batch("public");
    for (n, value) in drift().enumerate() {
        let (time, fields) = (START + n as i64 * 1_000_000_000, [("value", Value::F64(value))]);
        batch.push(&Row { measurement: "drift", tags: &[], time, fields: &fields }).unwrap();
    }
    store.write(batch).unwrap();
}

/// How many rows of the table that drifts there are; each is as it was, all of them and an hour alone.
fn check_drift(store: &Store) -> usize {
    let expected: Vec<u64> = drift().map(f64::to_bits).collect();
    let read = |from: usize, to: usize| -> Option<Vec<u64>> {
        let at = |n: usize| START + n as i64 * 1_000_000_000;
        let request = ScanRequest { from: at(from), to: at(to) - 1, ..ScanRequest::default() };
        let scan = store.scan("public", "drift", &request).ok()?;
        let values = |batch: arrow_array::RecordBatch| {
            let values = batch.column_by_name("value").unwrap().as_primitive::<Float64Type>().clone();
            values.values().iter().map(|value| value.to_bits()).collect::<Vec<_>>()
        };
        Some(scan.read_all().flat_map(|batch| values(batch.unwrap())).collect())
    };
    let Some(all) = read(0, expected.len()) else { return 0 };
    assert_eq!(all, expected);
    assert_eq!(read(1500, 2100).unwrap(), expected[1500..2100]);
    all.len()
}

/// What row `n` of the long table is: a number that wanders, one that stays, decimals with some that are none.
fn long_row(n: i64) -> (i64, u64, f64) {
    let level = if n % 100 == 7 { 1.0 / (n as f64) } else { (n % 50) as f64 / 4.0 };
    (n * n % 17 + n * n % 1009 / 1000 * n, (n / 400) as u64, level)
}

fn write_long(store: &Store) {
    let mut batch = store.batch("public");
    for n in 0..LONG_ROWS {
        let (walk, state, level) = long_row(n);
        let fields = [("walk", Value::I64(walk)), ("state", Value::U64(state)), ("level", Value::F64(level))];
        batch.push(&Row { measurement: "long", tags: &[], time: START + n * 1_000_000_000, fields: &fields }).unwrap();
    }
    store.write(batch).unwrap();
}

/// How many rows of the long table there are; each is as it was.
fn check_long(store: &Store) -> usize {
    let Ok(scan) = store.scan("public", "long", &ScanRequest::default()) else { return 0 };
    let rows = |batch: arrow_array::RecordBatch| {
        let column = |name| batch.column_by_name(name).unwrap();
        for at in 0..batch.num_rows() {
            let time = column("time").as_primitive::<TimestampNanosecondType>().value(at);
            let n = (time - START) / 1_000_000_000;
            let walk = column("walk").as_primitive::<Int64Type>().value(at);
            let state = column("state").as_primitive::<UInt64Type>().value(at);
            let level = column("level").as_primitive::<Float64Type>().value(at);
            assert_eq!((walk, state, level), long_row(n), "row {n} of the long table");
        }
        batch.num_rows()
    };
    scan.read_all().map(|batch| rows(batch.unwrap())).sum()
}

/// The number of rows of each of the three tables of samples, which came with version 4.
const SAMPLES: i64 = 40;

fn write_samples(store: &Store) {
    let mut batch = store.batch("public");
    for n in 0..SAMPLES * 3 {
        let (measurement, host) = (format!("sample{}", n % 3), format!("h{}", n % 2));
        let fields = [("value", Value::F64(n as f64 / 3.0))];
        let time = START + n * 1_000_000_000;
        batch.push(&Row { measurement: &measurement, tags: &[("host", &host)], time, fields: &fields }).unwrap();
    }
    store.write(batch).unwrap();
}

/// How many samples there are; each is as it was.
fn check_samples(store: &Store) -> usize {
    let mut rows = 0;
    for table in ["sample0", "sample1", "sample2"] {
        let Ok(scan) = store.scan("public", table, &ScanRequest::default()) else { return 0 };
        for batch in scan.read_all() {
            let batch = batch.unwrap();
            let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>().clone();
            let values = batch.column_by_name("value").unwrap().as_primitive::<Float64Type>().clone();
            for (time, value) in times.values().iter().zip(values.values()) {
                let n = (time - START) / 1_000_000_000;
                assert_eq!((*value, table), (n as f64 / 3.0, ["sample0", "sample1", "sample2"][(n % 3) as usize]));
                rows += 1;
            }
        }
    }
    rows
}

fn write(store: &Store, numbers: impl Iterator<Item = i64>) {
    let mut batch = store.batch("public");
    for n in numbers {
        let (host, time, [decimal, odd], count, size, up, note) = row(n);
        let mut fields = vec![("odd", Value::F64(odd.unwrap())), ("count", Value::I64(count))];
        fields.extend([("size", Value::U64(size)), ("up", Value::Bool(up))]);
        fields.extend(decimal.map(|decimal| ("decimal", Value::F64(decimal))));
        fields.extend(note.as_ref().map(|note| ("note", Value::Str(note))));
        let tags = [("host", host.as_str()), ("where", "here")];
        let tags = if n % 3 == 0 { &tags[..1] } else { &tags[..] };
        batch.push(&Row { measurement: "m", tags, time, fields: &fields }).unwrap();
    }
    store.write(batch).unwrap();
}

/// A rolled day, a merged segment, a sealed one, deletions, and a log.
fn fill(dir: &Path) {
    let roll_after = Some(Duration::ZERO);
    let store = Store::open(dir, Options { page_rows: 100, roll_after, ..Options::default() }).unwrap();
    write(&store, 0..ROWS / 5);
    store.compact().unwrap();
    store.close().unwrap();
    drop(store);
    let store = Store::open(dir, Options::default()).unwrap();
    write_long(&store);
    write_day(&store);
    write_drift(&store);
    write(&store, ROWS / 5..ROWS / 4);
    store.flush().unwrap();
    write(&store, ROWS / 4..ROWS / 2);
    store.compact().unwrap();
    write(&store, ROWS / 2..ROWS + 10);
    delete_behind(&store, ROWS + 5);
    store.flush().unwrap();
    write(&store, ROWS * 3 / 4..ROWS);
    delete_behind(&store, ROWS);
    write_samples(&store);
    store.close().unwrap();
}

/// Deletes the rows from a number on.
fn delete_behind(store: &Store, number: i64) {
    store.delete("public", "m", row(number).1, i64::MAX, &[]).unwrap();
}

/// Checks every row; gives the numbers of those of the long table, of samples, of the table of a day, and of the one that drifts.
fn check(dir: &Path) -> [usize; 4] {
    let store = Store::open(dir, Options::default()).unwrap();
    let mut seen = vec![false; ROWS as usize];
    for batch in store.scan("public", "m", &ScanRequest::default()).unwrap().read_all() {
        let batch = batch.unwrap();
        let column = |name| batch.column_by_name(name).unwrap();
        for at in 0..batch.num_rows() {
            let time = column("time").as_primitive::<TimestampNanosecondType>().value(at);
            let n = (time - START) / 1_000_000_000_000;
            let (host, _, [decimal, odd], count, size, up, note) = row(n);
            assert!(!std::mem::replace(&mut seen[n as usize], true), "row {n} is there twice");
            let tag = |name| {
                let column = column(name).as_dictionary::<Int32Type>();
                column.key(at).map(|key| column.values().as_string::<i32>().value(key).to_owned())
            };
            assert_eq!(tag("host"), Some(host), "row {n}");
            assert_eq!(tag("where"), (n % 3 != 0).then(|| "here".to_owned()), "row {n}");
            let float = |name| {
                let column = column(name).as_primitive::<Float64Type>();
                column.is_valid(at).then(|| column.value(at).to_bits())
            };
            assert_eq!(float("decimal"), decimal.map(f64::to_bits), "row {n}");
            assert_eq!(float("odd"), odd.map(f64::to_bits), "row {n}");
            assert_eq!(column("count").as_primitive::<Int64Type>().value(at), count, "row {n}");
            assert_eq!(column("size").as_primitive::<UInt64Type>().value(at), size, "row {n}");
            assert_eq!(column("up").as_boolean().value(at), up, "row {n}");
            let notes = column("note").as_string::<i32>();
            assert_eq!(notes.is_valid(at).then(|| notes.value(at).to_owned()), note, "row {n}");
        }
    }
    assert!(seen.iter().all(|seen| *seen), "{} rows are lost", seen.iter().filter(|seen| !**seen).count());
    [check_long(&store), check_samples(&store), check_day(&store), check_drift(&store)]
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { std::fs::copy(&path, &target).map(drop).unwrap() }
    }
}

#[test]
fn every_version_opens() {
    if let Some(dir) = std::env::var_os("FOURNINES_FIXTURE") {
        fill(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(dir));
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut versions = 0;
    for fixture in std::fs::read_dir(fixtures).unwrap() {
        let dir = tempfile::tempdir().unwrap();
        let fixture = fixture.unwrap().path();
        copy(&fixture, dir.path());
        let version: u32 = fixture.file_name().unwrap().to_str().unwrap()[1..].parse().unwrap();
        let since = |first: u32, rows: i64| if version >= first { rows as usize } else { 0 };
        let expected = [since(3, LONG_ROWS), since(4, SAMPLES * 3), since(6, DAY_ROWS), since(8, DRIFT_ROWS)];
        assert_eq!(check(dir.path()), expected, "{}", fixture.display());
        assert_eq!(check(dir.path()), expected); // once more with what the first opening made of it
        versions += 1;
    }
    assert!(versions > 0, "there is no fixture");
}
