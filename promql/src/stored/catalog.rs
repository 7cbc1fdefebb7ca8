//! Names of metrics and labels, values of labels, and series, without their samples.

use std::collections::{BTreeMap, BTreeSet};

use tsdb::Store;

use super::places::Metrics;
use super::read::Stored;
use crate::base::labels::{Labels, NAME};
use crate::engine::{Failure, Wanted};
use crate::syntax::Matcher;

impl Metrics {
    /// The names of all metrics of a schema.
    #[must_use]
    pub fn names(&self, store: &Store, schema: &str) -> BTreeSet<String> {
        self.all(store, schema).iter().map(|place| place.metric.clone()).collect()
    }

    /// The names of all labels of a schema.
    #[must_use]
    pub fn label_names(&self, store: &Store, schema: &str) -> BTreeSet<String> {
        let places = self.all(store, schema);
        let labels: BTreeSet<&str> =
            places.iter().flat_map(|place| &place.labels).map(|label| label.name.as_str()).collect();
        let name = (!places.is_empty()).then_some(NAME);
        labels.into_iter().chain(name).map(str::to_owned).collect()
    }
}

/// The values of a label in a schema.
///
/// # Errors
///
/// The store cannot be asked.
pub fn label_values(metrics: &Metrics, store: &Store, schema: &str, label: &str) -> Result<BTreeSet<String>, Failure> {
    if label == NAME {
        return Ok(metrics.names(store, schema));
    }
    let places = metrics.all(store, schema);
    let tags: BTreeSet<(&str, &str)> =
        places.iter().filter_map(|place| Some((place.table.as_str(), place.tag(label)?))).collect();
    let mut values = BTreeSet::new();
    for (table, tag) in tags {
        values.extend(store.tag_values(schema, table, tag).map_err(|error| Failure::from(error.to_string()))?);
    }
    values.remove("");
    Ok(values)
}

/// How many series there are.
#[derive(Debug, Default)]
pub struct Cardinality {
    /// Of each metric.
    pub series_by_metric: BTreeMap<String, u64>,
    /// How many values each label has.
    pub values_by_label: BTreeMap<String, u64>,
    /// Of each label and value.
    pub series_by_pair: BTreeMap<(String, String), u64>,
}

/// How many series there are in a schema, by what is known of them without reading one. Each metric of a table counts its
/// series, whether they have samples of it or not.
///
/// # Errors
///
/// The store cannot be asked.
pub fn cardinality(metrics: &Metrics, store: &Store, schema: &str) -> tsdb::Result<Cardinality> {
    let mut all = Cardinality::default();
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for place in &*metrics.all(store, schema) {
        let series = store.table(schema, &place.table).map_or(0, |table| u64::from(table.series));
        if series == 0 {
            continue;
        }
        *all.series_by_metric.entry(place.metric.clone()).or_default() += series;
        *all.series_by_pair.entry((NAME.to_owned(), place.metric.clone())).or_default() += series;
        for label in &place.labels {
            for (value, count) in store.series_by_tag_value(schema, &place.table, &label.tag)? {
                if count > 0 && !value.is_empty() {
                    *all.series_by_pair.entry((label.name.clone(), value.clone())).or_default() += count;
                    values.entry(label.name.clone()).or_default().insert(value);
                }
            }
        }
    }
    all.values_by_label = values.into_iter().map(|(label, own)| (label, own.len() as u64)).collect();
    all.values_by_label.insert(NAME.to_owned(), all.series_by_metric.len() as u64);
    Ok(all)
}

/// The values of a label in the series that have samples behind one time and up to another one, and match one of several
/// lists of matchers.
///
/// # Errors
///
/// Samples cannot be read, or not in time.
pub fn values_of_series(
    stored: &Stored<'_>,
    lists: &[Vec<Matcher>],
    span_ms: (i64, i64),
    label: &str,
) -> Result<BTreeSet<String>, Failure> {
    let mut values = BTreeSet::new();
    for matchers in lists {
        stored.values(Wanted::all(matchers, span_ms.0, span_ms.1), label, &mut values)?;
    }
    Ok(values)
}

/// The names of the labels of such series.
///
/// # Errors
///
/// Samples cannot be read, or not in time.
pub fn names_of_series(
    stored: &Stored<'_>,
    lists: &[Vec<Matcher>],
    span_ms: (i64, i64),
) -> Result<BTreeSet<String>, Failure> {
    let mut names = BTreeSet::new();
    for matchers in lists {
        stored.names(Wanted::all(matchers, span_ms.0, span_ms.1), &mut names)?;
    }
    Ok(names)
}

/// The series that have samples behind one time and up to another one, and match one of several lists of matchers.
///
/// # Errors
///
/// Samples cannot be read, or not in time.
pub fn series(stored: &Stored<'_>, lists: &[Vec<Matcher>], span_ms: (i64, i64)) -> Result<BTreeSet<Labels>, Failure> {
    let mut series = BTreeSet::new();
    for matchers in lists {
        let wanted = Wanted::all(matchers, span_ms.0, span_ms.1);
        stored.labels(wanted, &mut |labels| {
            stored.room()?;
            series.insert(labels);
            Ok(())
        })?;
    }
    Ok(series)
}
