//! Exemplars: a sample of a series with labels of its own, which say what it came from. They are rows of the table
//! `exemplars` of their schema, and PromQL's API answers them.

use std::collections::BTreeMap;

use domain::tables::EXEMPLARS;
use tsdb::{Batch, Row, RowError, Value};

/// So many of one request are kept; the others are counted.
pub(crate) const KEPT_MAX: usize = 10_000;
/// Longer labels of an exemplar, as JSON, are not kept. OpenMetrics allows 128 letters.
const LABELS_BYTES_MAX: usize = 1024;

/// An exemplar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exemplar {
    metric: String,
    /// The labels of its series without the name, as JSON.
    series: String,
    /// Its own.
    labels: String,
    value: f64,
    time: i64,
}

impl Exemplar {
    /// One of a series with these labels; nothing if its own labels are too long.
    pub(crate) fn new<'a>(
        metric: &str,
        series: impl IntoIterator<Item = (&'a str, &'a str)>,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: f64,
        time: i64,
    ) -> Option<Exemplar> {
        let labels = json(labels);
        let is_kept = labels.len() <= LABELS_BYTES_MAX;
        is_kept.then(|| Exemplar { metric: metric.to_owned(), series: json(series), labels, value, time })
    }

    /// Adds its row to a batch.
    pub(crate) fn write(&self, batch: &mut Batch) -> Result<(), RowError> {
        let tags = [("metric", self.metric.as_str()), ("series", self.series.as_str())];
        let fields = [("labels", Value::Str(&self.labels)), ("value", Value::F64(self.value))];
        batch.push(&Row { measurement: EXEMPLARS, tags: &tags, time: self.time, fields: &fields })
    }
}

fn json<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let labels: BTreeMap<&str, &str> = labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    serde_json::to_string(&labels).expect("texts always become JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_order_and_not_too_long() {
        let series = [("b", "2"), ("a", "\"1\""), ("none", "")];
        let own = Exemplar::new("m", series, [("trace_id", "x")], 1.5, 7).unwrap();
        assert_eq!((own.series.as_str(), own.labels.as_str()), (r#"{"a":"\"1\"","b":"2"}"#, r#"{"trace_id":"x"}"#));
        let long = "x".repeat(LABELS_BYTES_MAX);
        assert_eq!(Exemplar::new("m", series, [("trace_id", long.as_str())], 1.5, 7), None);
    }
}
