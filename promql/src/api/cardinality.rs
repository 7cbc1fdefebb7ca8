//! `status/tsdb`: which metrics, labels and pairs of both have how many series.

use std::collections::{BTreeMap, BTreeSet};

use super::asked::Asked;
use super::error::ApiError;
use super::json::{quoted, success};
use crate::base::labels::NAME;
use crate::engine::Failure;
use crate::stored::{Cardinality, Stored, cardinality, series};

/// So many of each are told where the request says nothing else.
const SHOWN: usize = 10;

/// `status/tsdb`: of all series that there are; with `match[]` of those that match and have samples from `start` to `end`.
///
/// # Errors
///
/// Parameters are wrong, or series cannot be read.
pub fn status_tsdb(asked: &Asked<'_>) -> Result<String, ApiError> {
    let shown = asked.parameters.limit()?.unwrap_or(SHOWN);
    let lists = asked.parameters.matchers()?;
    let (counted, warnings) = match lists.is_empty() {
        true => (
            cardinality(asked.metrics, asked.store, asked.schema).map_err(|error| Failure::from(error.to_string()))?,
            Vec::new(),
        ),
        false => {
            let span_ms = asked.parameters.span()?;
            let allowance = asked.allowance();
            let stored = Stored::new(asked.store, asked.metrics, asked.schema, &allowance);
            let mut counted = Cardinality::default();
            let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for labels in series(&stored, &lists, span_ms)? {
                *counted.series_by_metric.entry(labels.metric().to_owned()).or_default() += 1;
                for (label, value) in labels.iter() {
                    *counted.series_by_pair.entry((label.to_owned(), value.to_owned())).or_default() += 1;
                    values.entry(label.to_owned()).or_default().insert(value.to_owned());
                }
            }
            counted.values_by_label = values.into_iter().map(|(label, own)| (label, own.len() as u64)).collect();
            (counted, stored.warnings())
        }
    };
    let pairs = counted.series_by_pair.iter().map(|((label, value), count)| (format!("{label}={value}"), *count));
    let texts = counted.text_by_label();
    let data = format!(
        r#"{{"headStats":{{"numSeries":{},"numLabelPairs":{},"chunkCount":0,"minTime":0,"maxTime":0}},"seriesCountByMetricName":{},"labelValueCountByLabelName":{},"memoryInBytesByLabelName":{},"seriesCountByLabelValuePair":{}}}"#,
        counted.series_by_metric.values().sum::<u64>(),
        counted.series_by_pair.len(),
        most(counted.series_by_metric.iter().map(|(name, count)| (name.clone(), *count)), shown),
        most(counted.values_by_label.iter().map(|(name, count)| (name.clone(), *count)), shown),
        most(texts.into_iter(), shown),
        most(pairs, shown),
    );
    Ok(success(&data, &warnings, &[]))
}

impl Cardinality {
    /// Bytes of the texts of each label's values.
    fn text_by_label(&self) -> BTreeMap<String, u64> {
        let mut bytes = BTreeMap::new();
        for (label, value) in self.series_by_pair.keys() {
            *bytes.entry(label.clone()).or_default() += value.len() as u64;
        }
        bytes.remove(NAME);
        bytes
    }
}

/// The largest ones, with their names.
fn most(all: impl Iterator<Item = (String, u64)>, shown: usize) -> String {
    let mut all: Vec<(String, u64)> = all.collect();
    all.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let all: Vec<String> =
        all.iter().take(shown).map(|(name, value)| format!(r#"{{"name":{},"value":{value}}}"#, quoted(name))).collect();
    format!("[{}]", all.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_equal_ones_by_name() {
        let all = [("a", 1), ("c", 7), ("b", 7)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(most(all.into_iter(), 2), r#"[{"name":"b","value":7},{"name":"c","value":7}]"#);
    }
}
