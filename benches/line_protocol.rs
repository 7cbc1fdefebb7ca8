//! How fast line protocol becomes frames: bytes per second on one core, series known.
#![allow(missing_docs)]

use benches::{Kind, filled_store, lines};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ingest::line_protocol::{Precision, parse};

fn parse_lines(criterion: &mut Criterion) {
    let text = lines(25);
    let (store, _dir) = filled_store(&text, Kind::Head);
    let mut group = criterion.benchmark_group("line_protocol");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            let mut batch = store.batch("public");
            parse(text.as_bytes(), Precision::default(), 0, &mut batch);
            batch
        });
    });
    group.finish();
}

criterion_group!(benches, parse_lines);
criterion_main!(benches);
