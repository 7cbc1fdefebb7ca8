//! Names of metrics and labels, values of labels, and series, without their samples.

use std::collections::BTreeSet;

use tsdb::Store;

use super::places::{all, matching};
use super::read::Stored;
use crate::base::labels::{Labels, NAME};
use crate::engine::Failure;
use crate::syntax::Matcher;

/// The names of all metrics of a schema.
#[must_use]
pub fn metric_names(store: &Store, schema: &str) -> BTreeSet<String> {
    all(store, schema).into_iter().map(|place| place.metric).collect()
}

/// The names of all labels of a schema.
#[must_use]
pub fn label_names(store: &Store, schema: &str) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = all(store, schema).into_iter().flat_map(|place| place.tags).collect();
    if !names.is_empty() || !metric_names(store, schema).is_empty() {
        names.insert(NAME.to_owned());
    }
    names
}

/// The values of a label in a schema.
///
/// # Errors
///
/// The store cannot be asked.
pub fn label_values(store: &Store, schema: &str, label: &str) -> Result<BTreeSet<String>, Failure> {
    if label == NAME {
        return Ok(metric_names(store, schema));
    }
    let mut tables: BTreeSet<String> = BTreeSet::new();
    let has = all(store, schema).into_iter().filter(|place| place.tags.iter().any(|tag| tag == label));
    tables.extend(has.map(|place| place.table));
    let mut values = BTreeSet::new();
    for table in tables {
        values.extend(store.tag_values(schema, &table, label).map_err(|error| Failure::from(error.to_string()))?);
    }
    values.remove("");
    Ok(values)
}

/// The series that have samples behind one time and up to another one, and match one of several lists of matchers.
///
/// # Errors
///
/// Samples cannot be read, or not in time.
pub fn series(
    store: &Store,
    schema: &str,
    stored: &Stored<'_>,
    lists: &[Vec<Matcher>],
    span_ms: (i64, i64),
) -> Result<BTreeSet<Labels>, Failure> {
    let mut series = BTreeSet::new();
    for matchers in lists {
        for place in matching(store, schema, matchers) {
            stored.read(&place, matchers, span_ms, false, &mut |labels, _| {
                stored.room()?;
                series.insert(labels);
                Ok(())
            })?;
        }
    }
    Ok(series)
}
