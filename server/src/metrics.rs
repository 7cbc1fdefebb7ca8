//! `GET /metrics`: what this server does, for Prometheus and everything that reads its text format.

use std::sync::Arc;

use alerts::live::Live;
use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow::error::ArrowError;
use ingest::stats::ProtocolStats;
use ingest::write::Ingest;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use query::SystemTable;
use tsdb::{Quantiles, Store};

/// The media type of the answer.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Own metrics, and those that the store is asked for at each scrape.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<[(&'static str, String); 2], Counter>,
    connections_refused: Counter,
}

impl Metrics {
    /// Counts for a store, what takes rows for it, and what is evaluated over it.
    pub fn new(store: Arc<Store>, ingest: Arc<Ingest>, rules: Arc<Live>) -> Metrics {
        let mut registry = Registry::with_prefix("fournines");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered, by path and status", requests.clone());
        let connections_refused = Counter::default();
        let help = "Connections that were one too many";
        registry.register("http_connections_refused", help, connections_refused.clone());
        registry.register_collector(Box::new(StoreMetrics(store)));
        registry.register_collector(Box::new(IngestMetrics(ingest)));
        registry.register_collector(Box::new(RuleMetrics(rules)));
        Metrics { registry, requests, connections_refused }
    }

    /// Counts a connection that was one too many.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
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
            ("store_rollup_days_made", "Days of rollups made since the start", stats.rollup_days_made),
            ("store_damaged", "Damaged places found on disk since the start", stats.damaged),
            ("store_in_doubt", "Last writes of a crash that may have been acknowledged", stats.in_doubt),
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
            ("store_rollup_days", "Days of rollups", stats.rollup_days),
            ("store_rollup_bytes", "Bytes of their files", stats.rollup_bytes),
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
        let writer = self.0.writer_stats();
        for (name, help, value) in [
            ("store_ring_depth", "Requests that wait for the writer", writer.ring_depth),
            ("store_ring_bytes", "Bytes of their rows", writer.ring_bytes),
        ] {
            let gauge = ConstGauge::new(value as f64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        quantiles(
            &mut encoder,
            "store_group_requests",
            "Requests of a group commit",
            [(UNLABELLED, &writer.group_requests, 1.0)],
        )?;
        quantiles(
            &mut encoder,
            "store_sync_seconds",
            "Time that a sync of the log takes",
            [(UNLABELLED, &writer.sync_ns, NS)],
        )
    }
}

/// The labels of what there is only once.
const UNLABELLED: &[(&str, &str)] = &[];
/// Seconds in a ns.
const NS: f64 = 1e-9;

/// What arrived, by protocol.
#[derive(Debug)]
struct IngestMetrics(Arc<Ingest>);

impl Collector for IngestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let all: Vec<ProtocolStats> = self.0.stats().all().collect();
        type Read = fn(&ProtocolStats) -> u64;
        let counters: [(&str, &str, Read); 5] = [
            ("ingest_requests", "Requests that brought rows", |stats| stats.requests),
            ("ingest_rows", "Rows stored", |stats| stats.rows),
            ("ingest_values", "Values stored", |stats| stats.values),
            ("ingest_bytes", "Bytes of bodies as they arrived", |stats| stats.bytes),
            ("ingest_unpacked_bytes", "Bytes of bodies after decompression", |stats| stats.unpacked_bytes),
        ];
        for (name, help, read) in counters {
            let counter = ConstCounter::new(0u64);
            let mut metrics = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            for stats in &all {
                let labels = [("protocol", stats.protocol.name())];
                ConstCounter::new(read(stats)).encode(metrics.encode_family(&labels)?)?;
            }
        }
        let counter = ConstCounter::new(0u64);
        let help = "Rows, exemplars and whole requests that were refused, by reason";
        let mut metrics = encoder.encode_descriptor("ingest_refused", help, None, counter.metric_type())?;
        for stats in &all {
            for (reason, count) in &stats.refused {
                let labels = [("protocol", stats.protocol.name()), ("reason", *reason)];
                ConstCounter::new(*count).encode(metrics.encode_family(&labels)?)?;
            }
        }
        let labels: Vec<_> = all.iter().map(|stats| [("protocol", stats.protocol.name())]).collect();
        let times = labels.iter().zip(&all).map(|(labels, stats)| (&labels[..], &stats.request_ns, NS));
        quantiles(&mut encoder, "ingest_request_seconds", "Time from a request's head to its answer", times)
    }
}

/// What rules and channels do.
#[derive(Debug)]
struct RuleMetrics(Arc<Live>);

impl Collector for RuleMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let stats = self.0.stats();
        for (name, help, value) in [
            ("rules_evaluations", "Evaluations of groups of rules since the start", stats.evaluations as f64),
            ("rules_evaluation_seconds", "Time that they took together", stats.took.as_secs_f64()),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        for (name, help, value) in [
            ("rules_failing", "Rules whose last evaluation did not work", stats.failing),
            ("rules_late", "1 if a group of rules is not evaluated in time", u64::from(stats.late)),
            ("silences", "Silences that hold", stats.silences),
        ] {
            let gauge = ConstGauge::new(value as f64);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let gauge = ConstGauge::new(0f64);
        let mut alerts = encoder.encode_descriptor("alerts", "Alerts, by state", None, gauge.metric_type())?;
        for (state, count) in &stats.alerts {
            ConstGauge::new(*count as f64).encode(alerts.encode_family(&[("state", *state)])?)?;
        }
        let help = "Notices that wait in memory, by channel";
        let mut waiting = encoder.encode_descriptor("notices_waiting", help, None, gauge.metric_type())?;
        for channel in &stats.channels {
            ConstGauge::new(channel.waiting as f64).encode(waiting.encode_family(&[("channel", &*channel.name)])?)?;
        }
        let (counter, help) = (ConstCounter::new(0u64), "What became of notices, by channel");
        let mut ended = encoder.encode_descriptor("notices", help, None, counter.metric_type())?;
        for channel in &stats.channels {
            for (event, count) in channel.ended {
                let labels = [("channel", &*channel.name), ("event", event)];
                ConstCounter::new(count).encode(ended.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// A histogram as its quantiles, its sum and its count, which are known to within 1 %.
fn quantiles<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    all: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], &'a Quantiles, f64)> + Clone,
) -> Result<(), std::fmt::Error> {
    let gauge = ConstGauge::new(0f64);
    let mut metrics = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    for (labels, summary, unit) in all.clone() {
        for share in QUANTILES {
            let quantile = share.to_string();
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("quantile", quantile.as_str())]).collect();
            ConstGauge::new(summary.quantile(share) as f64 * unit).encode(metrics.encode_family(&labels)?)?;
        }
    }
    for (suffix, read) in
        [("sum", (|summary| summary.sum) as fn(&Quantiles) -> u64), ("count", |summary| summary.count)]
    {
        let counter = ConstCounter::new(0f64);
        let name = format!("{name}_{suffix}");
        let mut metrics = encoder.encode_descriptor(&name, help, None, counter.metric_type())?;
        for (labels, summary, unit) in all.clone() {
            let unit = if suffix == "sum" { unit } else { 1.0 };
            let labels = labels.to_vec();
            ConstCounter::new(read(summary) as f64 * unit).encode(metrics.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// The quantiles that are told.
const QUANTILES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

/// `system.ingest`: a row for each protocol, and what the writer does.
pub fn system_ingest(store: &Arc<Store>, ingest: &Arc<Ingest>) -> SystemTable {
    let (store, ingest) = (store.clone(), ingest.clone());
    SystemTable { name: "ingest", rows: Arc::new(move || ingest_rows(&store, &ingest)) }
}

fn ingest_rows(store: &Store, ingest: &Ingest) -> Result<RecordBatch, ArrowError> {
    let (all, writer): (Vec<ProtocolStats>, _) = (ingest.stats().all().collect(), store.writer_stats());
    let numbers = |read: &dyn Fn(&ProtocolStats) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(all.iter().map(read)))
    };
    let ms = |read: &dyn Fn(&ProtocolStats) -> u64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(all.iter().map(|stats| read(stats) as f64 / 1e6)))
    };
    let refused = |stats: &ProtocolStats| stats.refused.iter().map(|(_, count)| count).sum();
    let reasons = all.iter().map(|stats| {
        let reasons = stats.refused.iter().map(|(reason, count)| ((*reason).to_owned(), (*count).into()));
        (!stats.refused.is_empty()).then(|| serde_json::Value::Object(reasons.collect()).to_string())
    });
    RecordBatch::try_from_iter_with_nullable([
        (
            "protocol",
            Arc::new(StringArray::from_iter_values(all.iter().map(|stats| stats.protocol.name()))) as ArrayRef,
            false,
        ),
        ("requests", numbers(&|stats| stats.requests), false),
        ("rows", numbers(&|stats| stats.rows), false),
        ("values", numbers(&|stats| stats.values), false),
        ("bytes", numbers(&|stats| stats.bytes), false),
        ("unpacked_bytes", numbers(&|stats| stats.unpacked_bytes), false),
        ("refused", numbers(&refused), false),
        ("refused_reasons", Arc::new(reasons.collect::<StringArray>()), true),
        ("request_p50_ms", ms(&|stats| stats.request_ns.quantile(0.5)), false),
        ("request_p99_ms", ms(&|stats| stats.request_ns.quantile(0.99)), false),
        ("request_max_ms", ms(&|stats| stats.request_ns.max), false),
        ("ring_depth", numbers(&|_| writer.ring_depth as u64), false),
        ("ring_bytes", numbers(&|_| writer.ring_bytes as u64), false),
        ("group_requests_p50", numbers(&|_| writer.group_requests.quantile(0.5)), false),
        ("group_requests_max", numbers(&|_| writer.group_requests.max), false),
        ("sync_p50_ms", ms(&|_| writer.sync_ns.quantile(0.5)), false),
        ("sync_p99_ms", ms(&|_| writer.sync_ns.quantile(0.99)), false),
    ])
}
