//! What is said of metrics: type, unit, help. Kept in the table `metric_metadata`, a row whenever something new is
//! said.

use std::hash::{DefaultHasher, Hash, Hasher};

use tsdb::{Batch, Row, RowError, Value};

/// The table.
pub const METADATA_TABLE: &str = "metric_metadata";
/// So many metrics are remembered, of each schema; what is said of others is written down each time.
const REMEMBERED_MAX: usize = 1 << 20;

/// What kind of thing a metric is, in the words of Prometheus and OpenTelemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub enum MetricKind {
    #[default]
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
    /// A sum that can go down.
    UpDownCounter,
    /// What was counted since the sample before.
    DeltaCounter,
    /// As [`DeltaCounter`](Self::DeltaCounter), up and down.
    DeltaUpDownCounter,
    /// A histogram of what came since the one before.
    DeltaHistogram,
}

impl MetricKind {
    /// The kind with this name in the text exposition.
    pub(crate) fn parse(name: &str) -> MetricKind {
        match name {
            "counter" => MetricKind::Counter,
            "gauge" => MetricKind::Gauge,
            "histogram" => MetricKind::Histogram,
            "gaugehistogram" => MetricKind::GaugeHistogram,
            "summary" => MetricKind::Summary,
            "info" => MetricKind::Info,
            "stateset" => MetricKind::StateSet,
            _ => MetricKind::Unknown,
        }
    }

    fn name(self) -> &'static str {
        match self {
            MetricKind::Unknown => "unknown",
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::GaugeHistogram => "gaugehistogram",
            MetricKind::Summary => "summary",
            MetricKind::Info => "info",
            MetricKind::StateSet => "stateset",
            MetricKind::UpDownCounter => "updowncounter",
            MetricKind::DeltaCounter => "delta counter",
            MetricKind::DeltaUpDownCounter => "delta updowncounter",
            MetricKind::DeltaHistogram => "delta histogram",
        }
    }
}

/// What is said of a metric; texts that are not said are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MetricInfo<'a> {
    /// Its name.
    pub metric: &'a str,
    /// What it is.
    pub kind: MetricKind,
    /// What its values are counted in.
    pub unit: &'a str,
    /// A sentence about it.
    pub help: &'a str,
}

/// What was said of metrics since the start.
#[derive(Debug, Default)]
pub struct Metadata {
    known: papaya::HashMap<u64, u64>,
}

impl Metadata {
    /// What is to be remembered of this when it is stored; nothing if it was said before.
    pub(crate) fn news(&self, schema: &str, info: &MetricInfo<'_>) -> Option<Said> {
        let (metric, said) = (hash(&(schema, info.metric)), hash(info));
        (!info.metric.is_empty() && self.known.pin().get(&metric) != Some(&said)).then_some(Said { metric, said })
    }

    /// Adds a row with what is said to a batch.
    ///
    /// # Errors
    ///
    /// Why the store refuses it.
    pub(crate) fn write(info: &MetricInfo<'_>, now: i64, batch: &mut Batch) -> Result<(), RowError> {
        let mut fields = vec![("type", Value::Str(info.kind.name()))];
        fields.extend([("unit", info.unit), ("help", info.help)].map(|(name, text)| (name, Value::Str(text))));
        let tags = [("metric", info.metric)];
        batch.push(&Row { measurement: METADATA_TABLE, tags: &tags, time: now, fields: &fields })
    }

    /// Remembers what is stored now.
    pub(crate) fn remember(&self, said: &[Said]) {
        let known = self.known.pin();
        for Said { metric, said } in said {
            if known.len() < REMEMBERED_MAX {
                known.insert(*metric, *said);
            }
        }
    }
}

/// That something was said of a metric, both as hashes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    metric: u64,
    said: u64,
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}
