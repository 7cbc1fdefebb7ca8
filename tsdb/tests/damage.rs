//! One bit flipped, everywhere in a small store, one at a time: the store opens, loses no more than the page or frame
//! that the bit was in, says so, and `verify` names the file.
#![allow(clippy::unwrap_used)]

mod simulated_disk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::DataType;
use simulated_disk::SimulatedDisk;
use xxhash_rust::xxh3::xxh3_64;

use tsdb::{Options, Rollup, Row, ScanRequest, Store, Value, verify_on};

const DIR: &str = "/data";
/// The start of 2026.
const START: i64 = 1_767_225_600_000_000_000;
const DAY: i64 = 86_400_000_000_000;
const MANIFEST: [&str; 2] = ["MANIFEST", "MANIFEST.copy"];
const CATALOG: [&str; 2] = ["catalog.log", "catalog.copy"];
/// Rows of a page here.
const PAGE_ROWS: usize = 4;

fn write(store: &Store, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let mut batch = store.batch("public");
        let host = format!("h{}", number % 3);
        let note = format!("note {}", number % 5);
        let fields = [
            ("load", Value::F64(number as f64 / 7.0)),
            ("count", Value::I64(number)),
            ("size", Value::U64(7)),
            ("up", Value::Bool(number % 2 == 0)),
            ("note", Value::Str(&note)),
        ];
        // Not every row has every field.
        let fields = &fields[..5 - (number % 2) as usize];
        let time = START + number % 2 * DAY + number;
        batch.push(&Row { measurement: "m", tags: &[("host", &host)], time, fields }).unwrap();
        store.write(batch).unwrap();
    }
}

fn open(disk: &SimulatedDisk, roll: bool) -> Store {
    let roll_after = roll.then_some(Duration::ZERO);
    Store::open_on(Arc::new(disk.clone()), DIR, Options { page_rows: PAGE_ROWS, roll_after, ..Options::default() })
        .unwrap()
}

fn rollup() -> Rollup {
    Rollup {
        name: "hours".into(),
        schema: "public".into(),
        table: "m".into(),
        width_ns: 3_600_000_000_000,
        conditions: Vec::new(),
        fields: Some(vec!["load".into()]),
        configured: false,
    }
}

/// Two days, rolled, with days of a rollup; then some rows in a compacted segment, some in a sealed one, a deletion,
/// and some in the log.
fn fill() -> (SimulatedDisk, usize) {
    let disk = SimulatedDisk::new();
    let store = open(&disk, true);
    write(&store, 0..10);
    store.declare_rollup(rollup()).unwrap();
    store.compact().unwrap();
    drop(store);
    let store = open(&disk, false);
    write(&store, 10..20);
    store.compact().unwrap();
    write(&store, 20..30);
    store.delete("public", "m", START + 29, START + 29, &[]).unwrap(); // an even number's time: nothing is there
    store.flush().unwrap();
    write(&store, 30..36);
    store.close().unwrap();
    drop(store);
    disk.settle();
    (disk, 36)
}

/// The rows of a store as text, and what it says is missing.
fn read(disk: &SimulatedDisk) -> (BTreeSet<String>, Vec<String>) {
    let store = open(disk, false);
    let Ok(scan) = store.scan("public", "m", &ScanRequest::default()) else { return Default::default() };
    let mut rows = BTreeSet::new();
    for batch in scan.read_all() {
        let batch = batch.unwrap();
        rows.extend((0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1).columns())));
    }
    (rows, scan.warnings())
}

fn damaged_files(disk: &SimulatedDisk) -> Vec<String> {
    let found = verify_on(Arc::new(disk.clone()), DIR, |_, _| {}).unwrap();
    found.damage.iter().chain(&found.unfinished).map(ToString::to_string).collect()
}

/// Files whose every bit counts.
fn files(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let files = disk.files().into_iter().filter(|path| !path.ends_with("LOCK"));
    files.filter(|path| !path.starts_with("/data/quarantine")).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(DIR).unwrap().display().to_string()
}

/// What one flipped bit did.
#[derive(Default)]
struct Flips {
    all: usize,
    lossy: usize,
    harmless: usize,
}

/// Flips a bit of each byte of these files, one at a time: what is lost is little, named, kept, and told with answers
/// after every opening.
fn flip_everywhere(disk: &SimulatedDisk, paths: &[PathBuf], count: usize) -> Flips {
    let (rows, _) = read(&disk.copy());
    let mut flips = Flips::default();
    for path in paths {
        let contents = disk.contents(path);
        for at in 0..contents.len() {
            let mut damaged = contents.clone();
            damaged[at] ^= 1 << (at % 8);
            let bad = disk.with(path, damaged);
            let what = format!("{} byte {at}", path.display());
            flips.all += 1;
            let named = damaged_files(&bad);
            assert!(named.iter().all(|error| error.contains(&name(path))), "{what}: {named:?}");
            let (found, warnings) = read(&bad);
            assert!(found.is_subset(&rows), "{what}: other rows than were written");
            let lost = count - found.len();
            if named.is_empty() {
                // Padding between blocks, and the like.
                assert_eq!((lost, warnings.len()), (0, 0), "{what}: unnoticed");
                flips.harmless += 1;
            }
            if lost > 0 {
                flips.lossy += 1;
                assert!(!warnings.is_empty(), "{what}: {lost} rows lost without a word");
                let is_log = path.extension().unwrap() == "log";
                let limit = if is_log { 1 } else { PAGE_ROWS.max(5) }; // a rolled day here has five rows, one row group
                assert!(lost <= limit, "{what}: {lost} rows lost");
                let kept = bad.files().into_iter().any(|path| path.starts_with("/data/quarantine"));
                assert!(kept || path.extension().unwrap() == "parquet", "{what}: the damaged bytes were not kept");
                if is_log {
                    assert!(!read(&bad).1.is_empty(), "{what}: once told, and never again");
                    accept(&bad, &what);
                }
            }
        }
    }
    flips
}

/// What was lost from a log is told until somebody says that they know.
fn accept(bad: &SimulatedDisk, what: &str) {
    let known = verify_on(Arc::new(bad.clone()), DIR, |_, _| {}).unwrap().missing.len();
    let store = open(bad, false);
    assert_eq!(store.accept_damage().unwrap().len(), known, "{what}");
    assert!(known > 0 && store.accept_damage().unwrap().is_empty(), "{what}: {known} known");
    drop(store);
    assert_eq!(read(bad).1, Vec::<String>::new(), "{what}");
    assert_eq!(verify_on(Arc::new(bad.clone()), DIR, |_, _| {}).unwrap().missing.len(), 0, "{what}");
}

#[test]
fn a_flipped_bit_costs_its_page_or_frame_and_is_named() {
    let (disk, count) = fill();
    let (rows, warnings) = read(&disk.copy());
    assert_eq!((rows.len(), warnings.len()), (count, 0));
    assert_eq!(damaged_files(&disk), Vec::<String>::new());
    let paths = files(&disk);
    for kind in ["log", "copy", "seg", "parquet", "rollup"] {
        assert!(paths.iter().any(|path| path.extension().is_some_and(|own| own == kind)), "there is no .{kind}");
    }
    let flips = flip_everywhere(&disk, &paths, count);
    println!("{} bits flipped: {} cost rows, {} were in padding", flips.all, flips.lossy, flips.harmless);
    assert!(flips.all > 5000 && flips.lossy > flips.all / 4 && flips.harmless == 0);
}

/// A process that is killed leaves no mark of a clean end. The last block of its log was taken for a torn write then,
/// whatever was wrong with it: acknowledged rows were gone, and only a line in the log said so, once.
#[test]
fn a_flipped_bit_behind_a_kill_is_named_too() {
    let (closed, count) = fill();
    let disk = closed.copy();
    tsdb::Disk::remove(&disk, &Path::new(DIR).join("CLOSED")).unwrap();
    disk.settle();
    assert_eq!(read(&disk.copy()), read(&closed.copy()));
    let mut paths = files(&disk);
    paths.retain(|path| path.parent().unwrap().ends_with("wal"));
    let flips = flip_everywhere(&disk, &paths, count);
    println!("{} bits flipped: {} cost rows, {} were in padding", flips.all, flips.lossy, flips.harmless);
    assert!(flips.all > 1000 && flips.lossy > flips.all / 2 && flips.harmless < flips.all / 10);
}

/// The list of damage is a file, too: what was in it is not known any more, and answers say that.
#[test]
fn a_damaged_list_of_damage_is_damage() {
    let (disk, _) = fill();
    let log = files(&disk).into_iter().find(|path| path.parent().unwrap().ends_with("wal")).unwrap();
    let mut contents = disk.contents(&log);
    let last = contents.len() - 3;
    contents[last] ^= 1;
    let listed = disk.with(&log, contents);
    assert_eq!(read(&listed).1.len(), 1);
    let list = Path::new(DIR).join("DAMAGE");
    let contents = listed.contents(&list);
    for at in 0..contents.len() {
        let mut damaged = contents.clone();
        damaged[at] ^= 1 << (at % 8);
        let bad = listed.with(&list, damaged);
        assert!(damaged_files(&bad).iter().any(|error| error.contains("DAMAGE")), "byte {at} is not named");
        assert!(!read(&bad).1.is_empty() && !read(&bad).1.is_empty(), "byte {at}: nothing is told any more");
    }
}

#[test]
fn one_lost_file_of_a_pair_costs_nothing() {
    let (disk, count) = fill();
    for lost in MANIFEST.into_iter().chain(CATALOG) {
        let bad = disk.copy();
        tsdb::Disk::remove(&bad, &Path::new(DIR).join(lost)).unwrap();
        assert_eq!(read(&bad).0.len(), count, "{lost} is lost");
        assert_eq!(read(&bad).0.len(), count, "{lost} was lost");
        assert!(bad.files().contains(&Path::new(DIR).join(lost)), "{lost} was not made again");
    }
}

#[test]
fn a_store_without_a_catalogue_does_not_open_and_removes_nothing() {
    let (disk, count) = fill();
    let bad = disk.copy();
    let paths = CATALOG.map(|name| Path::new(DIR).join(name));
    paths.iter().for_each(|path| tsdb::Disk::remove(&bad, path).unwrap());
    let before: Vec<_> = bad.files().into_iter().map(|path| (bad.contents(&path), path)).collect();
    let outcome = Store::open_on(Arc::new(bad.clone()), DIR, Options::default());
    assert!(matches!(outcome, Err(tsdb::Error::Corrupt { .. })), "{outcome:?}");
    before.iter().for_each(|(contents, path)| assert_eq!(bad.contents(path), *contents, "{path:?} changed"));
    // Found again, everything is there again.
    for path in &paths {
        tsdb::Disk::create(&bad, path).unwrap();
    }
    let found = paths.iter().fold(bad, |bad, path| bad.with(path, disk.contents(path)));
    assert_eq!(read(&found).0.len(), count);
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_as_it_is() {
    let (disk, _) = fill();
    // Days of rollups hold nothing of their own: they are made anew.
    let is_versioned = |path: &PathBuf| path.extension().is_none_or(|kind| kind != "parquet" && kind != "rollup");
    for path in files(&disk).into_iter().filter(is_versioned) {
        let mut newer = disk.contents(&path);
        newer[8..12].copy_from_slice(&1000u32.to_le_bytes());
        let checksum = xxh3_64(&newer[..12]) as u32;
        newer[12..16].copy_from_slice(&checksum.to_le_bytes());
        let bad = disk.with(&path, newer);
        let before: Vec<_> = bad.files().into_iter().map(|path| (bad.contents(&path), path)).collect();
        let outcome = Store::open_on(Arc::new(bad.clone()), DIR, Options::default());
        assert!(matches!(outcome, Err(tsdb::Error::Newer { version: 1000, .. })), "{}: {outcome:?}", path.display());
        let after: Vec<_> = bad.files().into_iter().map(|path| (bad.contents(&path), path)).collect();
        assert!(before == after, "{} was touched", path.display());
    }
}

/// Damages a byte of both files of a pair, or removes them.
fn damage_both(disk: &SimulatedDisk, pair: [&str; 2], at: Option<usize>) -> SimulatedDisk {
    let bad = disk.copy();
    pair.iter().map(|name| Path::new(DIR).join(name)).fold(bad, |bad, path| match at {
        Some(at) => {
            let mut contents = disk.contents(&path);
            contents[at] ^= 1 << (at % 8);
            bad.with(&path, contents)
        }
        None => {
            tsdb::Disk::remove(&bad, &path).unwrap();
            bad
        }
    })
}

#[test]
fn a_manifest_that_is_damaged_with_its_copy_is_made_anew() {
    let (disk, _) = fill();
    let (rows, _) = read(&disk.copy());
    let length = disk.contents(&Path::new(DIR).join(MANIFEST[0])).len();
    for at in (0..length).map(Some).chain([None]) {
        let bad = damage_both(&disk, MANIFEST, at);
        for _ in 0..2 {
            let (found, warnings) = read(&bad);
            assert_eq!((found, warnings), (rows.clone(), Vec::new()), "{at:?}");
        }
        assert_eq!(damaged_files(&bad), Vec::<String>::new(), "{at:?}");
        let kept = bad.files().into_iter().filter(|path| path.starts_with("/data/quarantine")).count();
        // Padding at the end counts for nothing.
        assert!(at.is_none_or(|at| at + 8 > length) || kept == 2, "{at:?}: {kept} files were kept");
        // It goes on as before.
        let store = open(&bad, true);
        write(&store, 100..110);
        store.compact().unwrap();
        drop(store);
        assert_eq!(read(&bad).0.len(), rows.len() + 10, "{at:?}");
    }
}

/// With all segments rolled and gone, numbers began anew: what came next had one that a rolled day goes up to, and was
/// hidden.
#[test]
fn numbers_go_on_behind_rolled_days() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, true);
    for at in 0..3 {
        write(&store, at * 10..at * 10 + 10);
        store.compact().unwrap();
    }
    store.close().unwrap();
    drop(store);
    for path in disk.files() {
        // As after a restore of what is rolled.
        if path.starts_with("/data/segments") || path.starts_with("/data/wal") {
            tsdb::Disk::remove(&disk, &path).unwrap();
        }
    }
    disk.settle();
    let bad = damage_both(&disk, MANIFEST, None);
    let before = read(&bad).0.len();
    let store = open(&bad, false);
    write(&store, 100..110);
    store.flush().unwrap();
    drop(store);
    assert_eq!((before, read(&bad).0.len()), (30, 40));
}

/// The files that a compaction has replaced, and a roll, may still be there when the manifest is lost: a crash came
/// before their removal. They must not count beside what they were made into.
#[test]
fn what_a_manifest_no_longer_named_does_not_count_again() {
    let disk = SimulatedDisk::new();
    let store = open(&disk, false);
    let mut old = Vec::new();
    for at in 0..3 {
        write(&store, at * 10..at * 10 + 10);
        store.flush().unwrap();
        disk.settle();
        let files = files(&disk).into_iter().filter(|path| path.starts_with("/data/segments"));
        old.extend(files.map(|path| (path.clone(), disk.contents(&path))));
        // In what is older: if an old file counted again, the rows would be back.
        store.delete("public", "m", START, START + DAY + 5, &[]).unwrap();
    }
    store.compact().unwrap();
    store.close().unwrap();
    drop(store);
    disk.settle();
    let (rows, _) = read(&disk.copy());
    let mut bad = damage_both(&disk, MANIFEST, None);
    for (path, contents) in old {
        if !bad.files().contains(&path) {
            tsdb::Disk::create(&bad, &path).unwrap();
        }
        bad = bad.with(&path, contents);
    }
    assert_eq!(read(&bad), (rows, Vec::new()));
}

#[test]
fn a_catalogue_that_is_damaged_with_its_copy_costs_names_and_no_row() {
    let (disk, count) = fill();
    let numbers = |disk: &SimulatedDisk| -> (Vec<i64>, Vec<String>) {
        let store = open(disk, false);
        let (mut numbers, mut warnings) = (Vec::new(), Vec::new());
        for (schema, name) in store.tables() {
            let scan = store.scan(schema, name, &ScanRequest::default()).unwrap();
            for batch in scan.read_all() {
                let batch = batch.unwrap();
                // Lost or not, the counts are the integers.
                let column = batch.columns().iter().find(|column| *column.data_type() == DataType::Int64).unwrap();
                numbers.extend(column.as_primitive::<Int64Type>().iter().flatten());
            }
            warnings = scan.warnings();
        }
        numbers.sort_unstable();
        (numbers, warnings)
    };
    let (all, _) = numbers(&disk.copy());
    assert_eq!(all.len(), count);
    let length = disk.contents(&Path::new(DIR).join(CATALOG[0])).len();
    let mut lossy = 0;
    for at in 0..length {
        let bad = damage_both(&disk, CATALOG, Some(at));
        let (found, warnings) = numbers(&bad);
        assert_eq!(found, all, "byte {at}");
        // Names of a table and its columns are in rolled days, too.
        let store = open(&bad, false);
        let table = store.table("public", "m").unwrap();
        for name in ["time", "host", "load", "count", "size", "up", "note"] {
            assert!(table.columns.column_with_name(name).is_some(), "byte {at}: {name} is lost");
        }
        drop(store);
        if warnings.is_empty() {
            assert_eq!(read(&bad).0.len(), count, "byte {at} was in padding or in the file's header");
            continue;
        }
        lossy += 1;
        assert!(bad.files().iter().any(|path| path.ends_with("catalog.log.0")), "byte {at}: nothing was kept");
        // What was made up stays, and what is new has numbers of its own.
        let store = open(&bad, false);
        write(&store, 100..110);
        store.compact().unwrap();
        drop(store);
        assert_eq!(numbers(&bad).0, all.iter().copied().chain(100..110).collect::<Vec<_>>(), "byte {at}");
    }
    assert!(lossy > length / 2, "{lossy} of {length} bytes were missed");
}

/// A rolled day that could not be opened once made what older segments had of it count again, and the next roll wrote
/// that over it.
#[test]
fn a_rolled_day_that_cannot_be_opened_is_written_over_by_nothing() {
    let (disk, count) = fill();
    let path = disk.files().into_iter().find(|path| path.extension().is_some_and(|kind| kind == "parquet")).unwrap();
    let mut damaged = disk.contents(&path);
    let last = damaged.len() - 20;
    damaged[last] ^= 1;
    let bad = disk.with(&path, damaged.clone());
    for _ in 0..2 {
        let store = open(&bad, true);
        write(&store, 100..110); // late rows of both days, which would be rolled
        store.compact().unwrap();
        let (_, warnings) = store.last_rows("public", "m", None, &[]).unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        drop(store);
        assert_eq!(bad.contents(&path), damaged, "it was written over or removed");
    }
    // Made whole again, it counts as before.
    let (rows, warnings) = read(&bad.with(&path, disk.contents(&path)));
    assert_eq!((rows.len(), warnings.len()), (count + 10, 0));
}

/// A segment that could not be opened was once merged past: made whole again, it stood behind what is older than it.
#[test]
fn a_lost_segment_keeps_its_place_between_its_neighbours() {
    let value = |disk: &SimulatedDisk| -> Vec<i64> {
        let store = open(disk, false);
        let scan = store.scan("public", "m", &ScanRequest::default()).unwrap();
        let values = scan.read_all().map(|batch| batch.unwrap()["v"].as_primitive::<Int64Type>().values().to_vec());
        values.flatten().collect()
    };
    let disk = SimulatedDisk::new();
    let store = open(&disk, false);
    for v in 1..=3 {
        let mut batch = store.batch("public");
        // The first two write one row, the third another.
        batch.push(&Row { measurement: "m", tags: &[], time: v / 3, fields: &[("v", Value::I64(v))] }).unwrap();
        store.write(batch).unwrap();
        store.flush().unwrap();
    }
    store.close().unwrap();
    drop(store);
    disk.settle();
    let segments = || disk.files().into_iter().filter(|path| path.starts_with("/data/segments"));
    let (second, count) = (segments().nth(1).unwrap(), segments().count());
    assert_eq!((value(&disk), count), (vec![2, 3], 3));
    let bad = disk.with(&second, b"nothing of a segment".to_vec());
    let store = open(&bad, false);
    store.compact().unwrap();
    drop(store);
    assert_eq!(value(&bad), [1, 3]);
    assert_eq!(value(&bad.with(&second, disk.contents(&second))), [2, 3]);
}

#[test]
fn a_file_cut_short_never_panics_and_loses_no_other() {
    let (disk, count) = fill();
    let (rows, _) = read(&disk.copy());
    for path in files(&disk) {
        let contents = disk.contents(&path);
        for length in (0..contents.len()).step_by(7) {
            let bad = disk.with(&path, contents[..length].to_vec());
            let (found, warnings) = read(&bad);
            assert!(found.is_subset(&rows), "{} cut to {length}", path.display());
            let is_log = path.starts_with("/data/wal");
            assert!(is_log || found.len() == count || !warnings.is_empty(), "{} cut to {length}", path.display());
            assert!(found.len() >= count - 10, "{} cut to {length}: {} rows", path.display(), found.len());
        }
    }
}
