//! Rows of any format on their way into a batch: series are found by their tags as they come, in one hash.

use tsdb::{Batch, Row, RowError, SeriesRef, Value};

/// The field of a metric's sample.
pub(crate) const VALUE: &str = "value";

/// Takes rows by names.
#[derive(Debug)]
pub(crate) struct Rows<'b> {
    pub batch: &'b mut Batch,
    key: Vec<u8>,
}

impl<'b> Rows<'b> {
    pub(crate) fn new(batch: &'b mut Batch) -> Rows<'b> {
        batch.spelled_as("rows");
        Rows { batch, key: Vec::new() }
    }

    /// Takes a row.
    pub(crate) fn push(&mut self, row: &Row<'_>) -> Result<(), RowError> {
        let series = self.series(row)?;
        self.batch.push_series(series, row.time, row.fields)
    }

    /// Takes a sample of a metric.
    pub(crate) fn sample(
        &mut self,
        metric: &str,
        tags: &[(&str, &str)],
        time: i64,
        value: f64,
    ) -> Result<(), RowError> {
        let fields = [(VALUE, Value::F64(value))];
        let series = self.series(&Row { measurement: metric, tags, time, fields: &fields })?;
        self.batch.push_sample(series, time, VALUE, value)
    }

    fn series(&mut self, row: &Row<'_>) -> Result<SeriesRef, RowError> {
        self.key.clear();
        spell(&mut self.key, row.measurement);
        for (name, value) in row.tags {
            spell(&mut self.key, name);
            spell(&mut self.key, value);
        }
        match self.batch.find_series(&self.key) {
            Some(series) => Ok(series),
            None => self.batch.add_series(&self.key, row),
        }
    }
}

/// Adds a text with its length, so that no two lists of texts are spelled alike.
pub(crate) fn spell(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// The tag for a label: `time` and `value` are columns of every metric, so labels of these names are called
/// `exported_time` and `exported_value`, as Prometheus calls labels that collide.
pub(crate) fn tag_name(label: &str) -> &str {
    match label {
        "time" => "exported_time",
        VALUE => "exported_value",
        other => other,
    }
}
