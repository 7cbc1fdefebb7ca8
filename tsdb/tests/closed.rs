//! A store that was closed cleanly knows where its files ended: whatever is changed in them afterwards is found, and
//! named.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use tsdb::{DEFAULT_SCHEMA, Options, Row, ScanRequest, Store, Value, verify};

const SEALED: i64 = 40;
const LOGGED: i64 = 60;

fn write(store: &Store, times: std::ops::Range<i64>) {
    let mut batch = store.batch(DEFAULT_SCHEMA);
    for time in times {
        let host = format!("host-{}", time % 3);
        let fields = [("f", Value::F64(time as f64 / 3.0)), ("s", Value::Str("some text"))];
        batch.push(&Row { measurement: "m", tags: &[("host", &host)], time, fields: &fields }).unwrap();
    }
    store.write(batch).unwrap();
}

/// A store with a segment, and two blocks in its log.
fn closed_store(dir: &Path) {
    let store = Store::open(dir, Options::default()).unwrap();
    write(&store, 0..SEALED);
    store.flush().unwrap();
    write(&store, SEALED..SEALED + LOGGED / 2);
    write(&store, SEALED + LOGGED / 2..SEALED + LOGGED);
    store.close().unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_in(&path)) } else { files.push(path) }
    }
    files.retain(|path| path.file_name().unwrap() != "LOCK");
    files
}

fn files_in(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

/// What an answer has, and whether it says that something is missing.
fn opened(dir: &Path) -> (usize, bool) {
    let store = Store::open(dir, Options::default()).unwrap();
    let scan = store.scan(DEFAULT_SCHEMA, "m", &ScanRequest::default()).unwrap();
    let rows = scan.read_all().map(|batch| batch.unwrap().num_rows()).sum();
    (rows, !scan.warnings().is_empty())
}

/// One bit in the last block of the log, after a clean end: 8,000 acknowledged rows were gone, no answer had a warning,
/// and `verify` found nothing, as the end of a log that is no good block was taken for a write that a crash cut short.
#[test]
fn every_byte_that_changes_after_a_clean_end_is_named() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    let found = verify(dir.path(), |_, _| {}).unwrap();
    assert!(found.damage.is_empty() && found.unfinished.is_empty(), "{found:?}");
    let (mut looked_at, mut unnamed) = (0, Vec::new());
    for path in files(dir.path()) {
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let named = match verify(dir.path(), |_, _| {}) {
                Ok(found) => found.damage.iter().any(|error| error.to_string().contains(&path.display().to_string())),
                Err(error) => error.to_string().contains(&path.display().to_string()),
            };
            if !named {
                unnamed.push(format!("byte {at} of {}, {}", good.len(), path.display()));
            }
            looked_at += 1;
        }
        // Cut off, too.
        std::fs::write(&path, &good[..good.len() - 1]).unwrap();
        let cut = verify(dir.path(), |_, _| {});
        assert!(cut.is_err() || cut.is_ok_and(|found| !found.damage.is_empty()), "{} cut off", path.display());
        std::fs::write(&path, &good).unwrap();
    }
    assert!(unnamed.is_empty(), "{}", unnamed.join("\n"));
    assert!(looked_at > 2000, "{looked_at} bytes");
    assert!(verify(dir.path(), |_, _| {}).unwrap().damage.is_empty());
}

/// And when it is opened: rows of other blocks are there, and an answer without some says so.
#[test]
fn what_is_missing_after_a_clean_end_is_told_with_answers() {
    let dir = tempfile::tempdir().unwrap();
    closed_store(dir.path());
    let log = files(dir.path())
        .into_iter()
        .find(|path| path.extension().is_some_and(|kind| kind == "log") && path.parent().unwrap().ends_with("wal"));
    let log = log.unwrap();
    let good = std::fs::read(&log).unwrap();
    let all = (SEALED + LOGGED) as usize;
    let mut missing = 0;
    for at in (0..good.len()).step_by(37) {
        let copy = tempfile::tempdir().unwrap();
        for path in files(dir.path()) {
            let own = copy.path().join(path.strip_prefix(dir.path()).unwrap());
            std::fs::create_dir_all(own.parent().unwrap()).unwrap();
            std::fs::copy(&path, &own).unwrap();
        }
        let mut bad = good.clone();
        bad[at] ^= 4;
        std::fs::write(copy.path().join(log.strip_prefix(dir.path()).unwrap()), &bad).unwrap();
        let (rows, is_told) = opened(copy.path());
        assert!(rows >= all - LOGGED as usize / 2, "byte {at}: {rows} rows");
        assert!(rows == all || is_told, "byte {at}: {rows} rows, and nothing is said");
        missing += usize::from(rows < all);
    }
    assert!(missing > 10, "{missing} times a block was missing");
}
