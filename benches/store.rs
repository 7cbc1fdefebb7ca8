//! The store by itself: durable writes, seals, scans. Throughput is in values.
#![allow(missing_docs)]

use benches::{FIELDS, HOSTS, Kind, filled_store, lines};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ingest::line_protocol::{Precision, parse};
use tsdb::{Column, Columns, ScanRequest, Store, TagPredicate};

const STEPS: usize = 500;
const VALUES: u64 = (STEPS * HOSTS * FIELDS) as u64;

fn read(store: &Store, request: &ScanRequest) -> usize {
    let scan = store.scan("public", "cpu", request).expect("the table is there");
    scan.read_all().map(|batch| batch.expect("the pages are good").num_rows()).sum()
}

fn write_and_seal(criterion: &mut Criterion) {
    let text = lines(STEPS);
    let (store, _dir) = filled_store(&text, Kind::Sealed);
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(VALUES)).sample_size(10);
    let batch = || {
        let mut batch = store.batch("public");
        parse(text.as_bytes(), Precision::default(), 0, &mut batch);
        batch
    };
    group.bench_function("write, durable", |bencher| {
        bencher.iter_batched(batch, |batch| store.write(batch).expect("there is room"), BatchSize::PerIteration);
    });
    // A program that embeds the store: it holds the series, and appends columns.
    let appender = store.appender("public");
    let hosts: Vec<_> =
        (0..HOSTS).map(|host| appender.series("own", &[("host", &host.to_string())]).expect("new")).collect();
    let series: Vec<_> = (0..STEPS).flat_map(|_| hosts.iter().copied()).collect();
    let values: Vec<f64> = (0..series.len()).map(|row| (row % 1009) as f64 / 8.0).collect();
    let names: Vec<String> = (0..FIELDS).map(|field| format!("f{field}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), Column::F64(&values))).collect();
    let mut start = 0;
    group.bench_function("append columns, durable", |bencher| {
        bencher.iter(|| {
            start += STEPS as i64;
            let times: Vec<i64> = (0..series.len()).map(|row| (start + (row / HOSTS) as i64) * 1_000_000_000).collect();
            let rows = Columns { series: &series, times: &times, fields: &fields };
            appender.append(&rows).expect("it fits").wait().expect("there is room");
        });
    });
    group.bench_function("seal", |bencher| {
        let written = || store.write(batch()).expect("there is room");
        let seal = |()| store.flush().expect("there is room");
        bencher.iter_batched(written, seal, BatchSize::PerIteration);
    });
    group.finish();
}

/// An hour of one series.
fn hour() -> ScanRequest {
    ScanRequest {
        from: 1_767_240_000_000_000_000,
        to: 1_767_243_600_000_000_000 - 1,
        tags: vec![TagPredicate::In("hostname".into(), vec!["host_7".into()])],
        ..ScanRequest::default()
    }
}

fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan");
    // As much as stays in one head, then a whole day.
    let (short, day) = (lines(STEPS), lines(8640));
    for kind in [Kind::Head, Kind::Sealed, Kind::Compacted, Kind::Rolled] {
        let (store, _dir) = match kind {
            Kind::Head => filled_store(&short, kind),
            _ => filled_store(&day, kind),
        };
        let rows = read(&store, &ScanRequest::default());
        group.throughput(Throughput::Elements((rows * FIELDS) as u64)).sample_size(10);
        group.bench_function(format!("{kind:?}, everything"), |bencher| {
            bencher.iter(|| read(&store, &ScanRequest::default()));
        });
        if !matches!(kind, Kind::Head) {
            group.throughput(Throughput::Elements(360 * FIELDS as u64)).sample_size(50);
            group.bench_function(format!("{kind:?}, one series' hour of a day"), |bencher| {
                bencher.iter(|| assert_eq!(read(&store, &hour()), 360));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, write_and_seal, scan);
criterion_main!(benches);
