//! Samples of scripts as rows of a store.

use domain::metric::START;
use promql::base::labels::{Labels, NAME};
use promql::engine::Allowance;
use promql::model::samples::Sample;
use promql::stored::{HistogramRow, Metrics, Stored};
use tsdb::{Options, Row, Store, Value};

use super::source::Loaded;

/// A store with a schema for what is loaded between two `clear`.
pub struct Kept {
    store: Store,
    metrics: Metrics,
    schema: String,
    number: usize,
    is_sealed: bool,
    _dir: tempfile::TempDir,
}

impl Kept {
    pub fn new(is_sealed: bool) -> Kept {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        Kept { store, metrics: Metrics::default(), schema: "s0".into(), number: 0, is_sealed, _dir: dir }
    }

    pub fn clear(&mut self) {
        self.number += 1;
        self.schema = format!("s{}", self.number);
    }

    pub fn stored<'a>(&'a self, allowance: &'a Allowance<'a>) -> Stored<'a> {
        Stored::new(&self.store, &self.metrics, &self.schema, allowance)
    }

    /// Whether it is kept: a histogram with a label `schema` cannot be, as a column of histograms has that name.
    pub fn load(&mut self, loaded: &[(Labels, Loaded)]) -> bool {
        let mut batch = self.store.batch(&self.schema);
        for (labels, samples) in loaded {
            let tags: Vec<(&str, &str)> = labels.iter().filter(|(name, _)| *name != NAME).collect();
            for (time, (sample, start)) in samples {
                let row;
                let mut fields = match sample {
                    Sample::Float(value) => vec![("value", Value::F64(*value))],
                    Sample::Histogram(own) => {
                        row = HistogramRow::of(own);
                        row.fields()
                    }
                };
                if *start != 0 {
                    fields.push((START, Value::I64(*start)));
                }
                let row = Row { measurement: labels.metric(), tags: &tags, time: time * 1_000_000, fields: &fields };
                if let Err(error) = batch.push(&row) {
                    assert!(error.to_string().contains("'schema'"), "{labels}: {error}");
                    return false;
                }
            }
        }
        self.store.write(batch).unwrap();
        if self.is_sealed {
            self.store.flush().unwrap();
        }
        true
    }
}
