//! A million series of ten values: how long it takes to write them and to open the store again, and the memory of each.
//!
//! `cargo bench -p benches --bench series`. No criterion: what is measured is a process as a whole, so the store is
//! opened again in one of its own. Memory is what the process has of its own (`RssAnon`), mapped files not counted.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ingest::line_protocol::{Precision, parse};
use tsdb::{Options, ScanRequest, Store, TagPredicate};

const SERIES: usize = 1_000_000;
const VALUES: usize = 10;
const STEP: usize = 10_000;
const START: i64 = 1_767_225_600_000_000_000;

/// One row of each of these series.
fn lines(series: std::ops::Range<usize>, step: usize) -> String {
    let mut text = String::new();
    for n in series {
        let time = START + step as i64 * 10_000_000_000;
        let (rack, service) = (n % 1000, n % 20);
        let _ = writeln!(
            text,
            "net,host=host_{n},region=eu-{},rack={rack},service={service} v={}i {time}",
            n % 7,
            n + step
        );
    }
    text
}

fn write(store: &Store, step: usize) {
    for first in (0..SERIES).step_by(STEP) {
        let text = lines(first..first + STEP, step);
        let mut batch = store.batch("public");
        assert!(parse(text.as_bytes(), Precision::default(), 0, &mut batch).refused == 0);
        store.write(batch).expect("there is room");
    }
}

/// Memory of this process in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("RssAnon")).expect("it is there");
    line.split_whitespace().nth(1).expect("a number").parse::<usize>().expect("a number") * 1024
}

fn fill(dir: &Path) {
    let store = Store::open(dir, Options::default()).expect("an empty folder opens");
    let start = Instant::now();
    (0..VALUES).for_each(|step| {
        let start = Instant::now();
        write(&store, step);
        if step < 2 {
            println!("row {} of each series written in {:.2?}", step + 1, start.elapsed());
        }
    });
    println!("all {} rows written in {:.2?}", SERIES * VALUES, start.elapsed());
    store.compact().expect("there is room");
    store.close().expect("all is written");
}

fn open(dir: &Path) {
    let before = memory();
    let start = Instant::now();
    let store = Store::open(dir, Options::default()).expect("it opens");
    println!("opened in {:.2?}", start.elapsed());
    let a_series = |bytes: usize| bytes.saturating_sub(before) / SERIES;
    println!("{} bytes of memory a series after opening", a_series(memory()));
    write(&store, VALUES);
    store.compact().expect("there is room");
    println!("{} bytes a series after a row was written to each, and merged", a_series(memory()));
    println!(
        "{} bytes a series is what the store takes its catalogue for",
        store.stats().catalog_bytes as usize / SERIES
    );
    for (what, predicate) in [
        ("=", TagPredicate::In("host".into(), vec!["host_777777".into()])),
        ("in (a thousandth)", TagPredicate::In("rack".into(), vec!["77".into()])),
        ("!=", TagPredicate::NotIn("rack".into(), vec!["77".into()])),
        ("prefix", TagPredicate::StartsWith("host".into(), "host_7777".into())),
        ("regular expression", TagPredicate::Matches("host".into(), "_7+$".into())),
    ] {
        // No time is that late: the series are chosen, and no page is read.
        let request = ScanRequest { from: i64::MAX, tags: vec![predicate], ..ScanRequest::default() };
        let start = Instant::now();
        let scan = store.scan("public", "net", &request).expect("the table is there");
        println!("tag {what}: {:.2?} ({} partitions)", start.elapsed(), scan.partitions());
    }
    for which in ["first", "second"] {
        let start = Instant::now();
        let (last, _) = store.last_rows("public", "net", None, &[]).expect("the table is there");
        println!("newest row of {} series, {which} time: {:.2?}", last.num_rows(), start.elapsed());
    }
}

/// Rolls the day; then opens the store once more, in a process of its own.
fn roll(dir: &Path) {
    let options = Options { roll_after: Some(Duration::ZERO), ..Options::default() };
    let start = Instant::now();
    Store::open(dir, options).and_then(|store| store.compact()).expect("there is room");
    println!("rolled in {:.2?}", start.elapsed());
}

fn open_rolled(dir: &Path) {
    let before = memory();
    let start = Instant::now();
    let store = Store::open(dir, Options::default()).expect("it opens");
    println!("opened in {:.2?} with the day rolled, {} bytes a series", start.elapsed(), (memory() - before) / SERIES);
    let tags = vec![TagPredicate::In("host".into(), vec!["host_777777".into()])];
    for which in ["first", "second"] {
        let start = Instant::now();
        let scan = store.scan("public", "net", &ScanRequest { tags: tags.clone(), ..ScanRequest::default() });
        let rows: usize =
            scan.expect("it is there").read_all().map(|batch| batch.expect("it is good").num_rows()).sum();
        println!("{rows} rows of one series out of the rolled day, {which} time: {:.2?}", start.elapsed());
    }
    println!("{} bytes of footers are kept", store.stats().footers_bytes);
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--open") {
        return open(Path::new(&arguments[at + 1]));
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--open-rolled") {
        return open_rolled(Path::new(&arguments[at + 1]));
    }
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    fill(dir.path());
    let me = std::env::current_exe().expect("it runs");
    let status = Command::new(&me).arg("--open").arg(dir.path()).status().expect("it starts");
    assert!(status.success());
    roll(dir.path());
    let status = Command::new(me).arg("--open-rolled").arg(dir.path()).status().expect("it starts");
    assert!(status.success());
}
