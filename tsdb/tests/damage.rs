//! One bit flipped, everywhere in a small store, one at a time: it is noticed or harmless, never a panic, and never
//! another answer.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use tsdb::{Error, Options, Row, ScanRequest, Store, Value};

/// The rows of `sealed` go into a segment, those of `logged` stay in the log, a frame each.
fn fill(dir: &Path) -> usize {
    let store = Store::open(dir, Options::default()).unwrap();
    let write = |number: i64, note: &str| {
        let mut batch = store.batch("public");
        let host = format!("h{}", number % 3);
        let tags = [("host", host.as_str())];
        let fields = [
            ("load", Value::F64(number as f64 / 7.0)),
            ("count", Value::I64(number)),
            ("size", Value::U64(7)),
            ("up", Value::Bool(number % 2 == 0)),
            ("note", Value::Str(note)),
        ];
        // Not every row has every field.
        let fields = &fields[..5 - (number % 2) as usize];
        batch.push(&Row { measurement: "m", tags: &tags, time: number, fields }).unwrap();
        store.write(batch).unwrap();
    };
    (0..20).for_each(|number| write(number, "sealed"));
    store.flush().unwrap();
    (20..26).for_each(|number| write(number, "logged"));
    26
}

/// The rows of a store as text, or why they cannot be read.
fn read(dir: &Path) -> Result<BTreeSet<String>, Error> {
    let store = Store::open(dir, Options::default())?;
    let scan = store.scan("public", "m", &ScanRequest::default())?;
    let mut rows = BTreeSet::new();
    for batch in scan.read_all() {
        let batch = batch?;
        rows.extend((0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1).columns())));
    }
    Ok(rows)
}

fn copy(from: &Path, to: &Path) {
    for part in ["", "wal", "segments"] {
        std::fs::create_dir_all(to.join(part)).unwrap();
        for entry in std::fs::read_dir(from.join(part)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), to.join(part).join(entry.file_name())).unwrap();
            }
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let find = |part: &str| std::fs::read_dir(dir.join(part)).unwrap().map(|entry| entry.unwrap().path());
    ["", "wal", "segments"].into_iter().flat_map(find).filter(|path| path.is_file()).collect()
}

/// What the store has put aside.
fn kept_bytes(dir: &Path) -> Vec<u8> {
    let kept: Vec<_> = std::fs::read_dir(dir.join("quarantine")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    std::fs::read(&kept[0]).unwrap()
}

/// The frame of an intact log that byte `at` lies in: from one magic, at byte 8 of a frame, to the next.
fn frame_around(log: &[u8], at: usize) -> Range<usize> {
    let starts = || (16..log.len()).step_by(8).filter(|start| log[start + 8..].starts_with(b"FRAM"));
    let start = starts().rfind(|start| *start <= at).unwrap();
    start..starts().find(|next| *next > start).unwrap_or(log.len())
}

#[test]
fn a_lost_file_removes_no_other() {
    let root = tempfile::tempdir().unwrap();
    let (good, bad) = (root.path().join("good"), root.path().join("bad"));
    fill(&good);
    for lost in ["MANIFEST", "catalog.log"] {
        copy(&good, &bad);
        std::fs::remove_file(bad.join(lost)).unwrap();
        let before = files(&bad).len();
        assert!(matches!(read(&bad), Err(Error::Corrupt { .. })), "{lost} is lost");
        assert_eq!(files(&bad).len(), before, "{lost} is lost, and something else went with it");
        // Found again, everything is there again.
        std::fs::copy(good.join(lost), bad.join(lost)).unwrap();
        assert_eq!(read(&bad).unwrap(), read(&good).unwrap());
        std::fs::remove_dir_all(&bad).unwrap();
    }
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let root = tempfile::tempdir().unwrap();
    let (good, bad) = (root.path().join("good"), root.path().join("bad"));
    let count = fill(&good);
    let rows = read(&good).unwrap();
    assert_eq!(rows.len(), count);
    let mut flips = 0;
    for file in files(&good) {
        let bytes = std::fs::read(&file).unwrap();
        let name = file.strip_prefix(&good).unwrap();
        let is_log = name.starts_with("wal");
        for at in 0..bytes.len() {
            copy(&good, &bad);
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(bad.join(name), &damaged).unwrap();
            flips += 1;
            let what = format!("{} byte {at}", name.display());
            match read(&bad) {
                Ok(found) if found == rows => {}
                // A damaged frame costs its own row, and its bytes are kept for who wants to look.
                Ok(found) if is_log => {
                    assert!(found.is_subset(&rows) && found.len() == count - 1, "{what}: {} rows", found.len());
                    assert_eq!(kept_bytes(&bad), damaged[frame_around(&bytes, at)], "{what}");
                }
                Ok(found) => panic!("{what}: unnoticed, {} rows instead of {count}", found.len()),
                Err(Error::Corrupt { path, .. }) => assert!(path.starts_with(&bad), "{what}"),
                Err(error) => panic!("{what}: {error}"),
            }
            std::fs::remove_dir_all(&bad).unwrap();
        }
    }
    println!("{flips} bits flipped");
    assert!(flips > 2000, "the store of this test is too small to show much: {flips} bytes");
}

#[test]
fn a_file_cut_short_never_panics() {
    let root = tempfile::tempdir().unwrap();
    let (good, bad) = (root.path().join("good"), root.path().join("bad"));
    let count = fill(&good);
    for file in files(&good) {
        let bytes = std::fs::read(&file).unwrap();
        let name = file.strip_prefix(&good).unwrap();
        for length in (0..bytes.len()).step_by(7) {
            copy(&good, &bad);
            std::fs::write(bad.join(name), &bytes[..length]).unwrap();
            match read(&bad) {
                // A log ends where a crash cut it: whole frames before that are there.
                Ok(found) if name.starts_with("wal") => assert!((20..=count).contains(&found.len())),
                Ok(found) => assert_eq!(found.len(), count, "{} cut to {length}", name.display()),
                Err(Error::Corrupt { .. }) => {}
                Err(error) => panic!("{} cut to {length}: {error}", name.display()),
            }
            std::fs::remove_dir_all(&bad).unwrap();
        }
    }
}
