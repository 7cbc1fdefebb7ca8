//! What is said of metrics: type, unit, help. Kept in the table `metric_metadata`, a row whenever something new is
//! said. Who says it need not agree: what was said within the last day is not written down again, and so many things a
//! day are enough.

use std::hash::{DefaultHasher, Hash, Hasher};

use tsdb::{Batch, Row, RowError, Value};

/// The table.
pub const METADATA_TABLE: &str = "metric_metadata";
/// So many things that are said of one metric are written down a day.
const SAID_A_DAY_MAX: usize = 8;
const DAY_NS: i64 = 86_400_000_000_000;
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
    /// By the hash of a metric's schema and name: the hashes of what was said, each with the time at which it was
    /// written down, the latest last.
    known: papaya::HashMap<u64, Vec<(u64, i64)>>,
}

impl Metadata {
    /// What is to be remembered of this when it is stored; nothing if it needs no row.
    pub(crate) fn news(&self, schema: &str, info: &MetricInfo<'_>, now: i64) -> Option<Said> {
        let (metric, said) = (hash(&(schema, info.metric)), hash(info));
        let is_news = match self.known.pin().get(&metric) {
            None => true,
            Some(known) => {
                let mut of_today = known.iter().filter(|(_, time)| is_of_today(*time, now));
                known.last().is_none_or(|(last, _)| *last != said)
                    && of_today.clone().count() < SAID_A_DAY_MAX
                    && !of_today.any(|(known, _)| *known == said)
            }
        };
        (is_news && !info.metric.is_empty()).then_some(Said { metric, said, time: now })
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
        for Said { metric, said, time } in said {
            let earlier = known.get(metric);
            if earlier.is_some() || known.len() < REMEMBERED_MAX {
                let of_today = earlier.into_iter().flatten().filter(|(_, earlier)| is_of_today(*earlier, *time));
                let others = of_today.copied().filter(|(known, _)| known != said);
                known.insert(*metric, others.chain([(*said, *time)]).collect());
            }
        }
    }
}

fn is_of_today(time: i64, now: i64) -> bool {
    now.saturating_sub(time) < DAY_NS
}

/// That something was said of a metric, both as hashes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    metric: u64,
    said: u64,
    /// When it is written down, ns since the epoch.
    time: i64,
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(metadata: &Metadata, help: &str, now: i64) -> bool {
        let info = MetricInfo { metric: "up", help, ..MetricInfo::default() };
        let news = metadata.news("public", &info, now);
        metadata.remember(&news.into_iter().collect::<Vec<_>>());
        news.is_some()
    }

    /// Two exporters had other words for a hundred metrics, and forty scrapes made 4,000 rows.
    #[test]
    fn who_disagrees_is_written_down_once_a_day() {
        let metadata = Metadata::default();
        let rows = (0..40).map(|at| [says(&metadata, "one", at), says(&metadata, "other", at)]);
        assert_eq!(rows.flatten().filter(|is_news| *is_news).count(), 2);
        // What was said last stays, however long; what was said before is new again the next day.
        assert!(!says(&metadata, "other", 2 * DAY_NS));
        assert!(says(&metadata, "one", 2 * DAY_NS));
        // A page that says something else each time.
        let rows = (0..1000).filter(|number| says(&metadata, &number.to_string(), 2 * DAY_NS + number));
        assert_eq!(rows.count(), SAID_A_DAY_MAX - 1);
        assert_eq!(metadata.known.pin().values().next().unwrap().len(), SAID_A_DAY_MAX);
    }
}
