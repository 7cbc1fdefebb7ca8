//! A series that a page did not have any more was shown by PromQL for five minutes more, with its last value: a container
//! that is gone, an upstream that was removed. Prometheus marks it when it scrapes, and so do we.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType};
use http::HeaderMap;
use http_body_util::Full;
use ingest::body::Limits;
use ingest::exposition::Options;
use ingest::write::Ingest;
use tsdb::{ScanRequest, Store, is_stale_mark};

/// Time and value of the samples of a series, a mark as `None`.
fn samples(store: &Store, table: &str) -> Vec<(i64, Option<f64>)> {
    let request = ScanRequest { stale_marks: true, ..ScanRequest::default() };
    let scan = store.scan("public", table, &request).unwrap();
    let mut samples = Vec::new();
    for batch in scan.read_all().map(Result::unwrap) {
        let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>();
        let values = batch.column_by_name("value").unwrap().as_primitive::<Float64Type>();
        assert_eq!(values.null_count(), 0);
        let value = |value: f64| Some(value).filter(|value| !is_stale_mark(*value));
        samples.extend(times.values().iter().zip(values.values()).map(|(time, own)| (*time, value(*own))));
    }
    samples.sort_unstable_by_key(|(time, _)| *time);
    samples
}

#[tokio::test]
async fn what_a_page_does_not_have_any_more_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), Default::default()).unwrap());
    let ingest = Ingest::new(store.clone(), Limits::default());
    let one = [("job", "one"), ("instance", "a")];
    let two = [("job", "two"), ("instance", "a")];
    let scrape = async |tags: &[(&str, &str)], now: i64, page: Option<&'static str>| {
        let page = match page {
            Some(page) => Some(ingest.page(&HeaderMap::new(), Full::new(page.into())).await.unwrap()),
            None => None,
        };
        ingest.scraped(page.as_ref(), 0.1, Options { now, tags, ..Options::default() }).await.unwrap();
    };
    scrape(&one, 10_000_000, Some("stays 1\ngoes 1\nold{a=\"b\"} 1 5\nback 1\n")).await;
    scrape(&two, 11_000_000, Some("other 1\n")).await;
    scrape(&one, 20_000_000, Some("stays 2\n")).await;
    scrape(&one, 30_000_000, Some("back 3\nstays 3\n")).await;
    scrape(&one, 40_000_000, None).await;
    scrape(&one, 50_000_000, None).await;
    scrape(&one, 60_000_000, Some("stays 6\n")).await;

    let mark = |time| (time, None);
    let value = |time, value| (time, Some(value));
    assert_eq!(samples(&store, "goes"), [value(10_000_000, 1.0), mark(20_000_000)]);
    // Whoever says the time says when it ended.
    assert_eq!(samples(&store, "old"), [value(5_000_000, 1.0)]);
    let back = [value(10_000_000, 1.0), mark(20_000_000), value(30_000_000, 3.0), mark(40_000_000)];
    assert_eq!(samples(&store, "back"), back);
    let stays = [value(10_000_000, 1.0), value(20_000_000, 2.0), value(30_000_000, 3.0), mark(40_000_000)];
    assert_eq!(samples(&store, "stays"), [&stays[..], &[value(60_000_000, 6.0)]].concat());
    // Another page's series go on, and so does what is said of the scrape.
    assert_eq!(samples(&store, "other"), [value(11_000_000, 1.0)]);
    let up: Vec<_> = samples(&store, "up").into_iter().map(|(_, value)| value).collect();
    assert_eq!(up, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0].map(Some));
}
