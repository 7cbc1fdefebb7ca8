//! Samples that the server makes itself, by the labels of their series.

use domain::metric::tag;
use tsdb::{Batch, RowError, Value};

use crate::rows::Rows;

/// Takes rows of metrics into a batch, spelled as all others are.
#[derive(Debug)]
pub struct Samples<'b>(Rows<'b>);

impl<'b> Samples<'b> {
    /// For a batch.
    pub fn new(batch: &'b mut Batch) -> Samples<'b> {
        Samples(Rows::new(batch))
    }

    /// Takes a row of a metric with these labels (without its name), at a time in ns: the field `value` of a sample, or
    /// those of a native histogram.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = tsdb::Store::open(dir.path(), Default::default()).unwrap();
    /// use ingest::samples::Samples;
    /// use tsdb::Value;
    /// let mut batch = store.batch("public");
    /// let labels = [("job", "node"), ("time", "a label of that name")];
    /// Samples::new(&mut batch).push("job:up:sum", labels, 1_000_000_000, &[("value", Value::F64(3.0))])?;
    /// assert_eq!(batch.rows(), 1);
    /// # Ok::<(), tsdb::RowError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The row cannot be taken.
    pub fn push<'a>(
        &mut self,
        metric: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        time: i64,
        fields: &[(&str, Value<'_>)],
    ) -> Result<(), RowError> {
        let tags: Vec<_> = labels.into_iter().map(|(name, value)| (tag(name), value)).collect();
        let tags: Vec<(&str, &str)> = tags.iter().map(|(name, value)| (&**name, *value)).collect();
        self.0.metric(metric, &tags, time, fields)
    }
}
