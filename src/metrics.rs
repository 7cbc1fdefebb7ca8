//! `GET /metrics`: what this server does, for Prometheus and everything that reads its text format.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tsdb::Store;

/// The media type of the answer.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Own metrics, and those that the store is asked for at each scrape.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<[(&'static str, String); 2], Counter>,
}

impl Metrics {
    pub fn new(store: Arc<Store>) -> Metrics {
        let mut registry = Registry::with_prefix("fournines");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered, by path and status", requests.clone());
        registry.register_collector(Box::new(StoreMetrics(store)));
        Metrics { registry, requests }
    }

    /// Counts a request that was answered.
    pub fn answered(&self, path: &str, status: u16) {
        self.requests.get_or_create(&[("path", path.to_owned()), ("status", status.to_string())]).inc();
    }

    /// All metrics as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing into memory does not fail");
        text
    }
}

#[derive(Debug)]
struct StoreMetrics(Arc<Store>);

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let stats = self.0.stats();
        for (name, help, value) in [
            ("store_rows_written", "Rows acknowledged since the start", stats.rows_written),
            ("store_log_bytes_written", "Bytes written to the log since the start", stats.log_bytes_written),
            ("store_commits", "Group commits since the start", stats.commits),
            ("store_seals", "Heads that became segments since the start", stats.seals),
            ("store_compactions", "Merges of segments since the start", stats.compactions),
            ("store_rolls", "Days rolled to Parquet since the start", stats.rolls),
            ("store_damaged", "Damaged places found on disk since the start", stats.damaged),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        for (name, help, value) in [
            ("store_head_bytes", "Bytes of frames in memory that are not sealed", stats.head_bytes),
            ("store_segments", "Segments", stats.segments),
            ("store_segment_bytes", "Bytes of segment files", stats.segment_bytes),
            ("store_rolled_days", "Days of tables in Parquet files", stats.rolled_days),
            ("store_rolled_bytes", "Bytes of those files", stats.rolled_bytes),
            ("store_last_rows_bytes", "Bytes of newest rows kept in memory", stats.last_rows_bytes),
            ("store_catalog_bytes", "Bytes of memory of tables, tag values and series, about", stats.catalog_bytes),
            ("store_footers_bytes", "Bytes of footers of rolled days kept in memory", stats.footers_bytes),
            ("store_tables", "Tables", stats.tables),
            ("store_series", "Series of all tables", stats.series),
            ("store_read_only", "1 if a write failed and none is taken any more", u64::from(stats.read_only)),
        ] {
            let gauge = ConstGauge::new(value as f64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
