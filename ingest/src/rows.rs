//! Rows of any format on their way into a batch: series are found by their tags as they come, in one hash.

use domain::metric::{START, VALUE, field_beside_tag, tag_beside_field};
use tsdb::{Batch, Row, RowError, SeriesRef, Value};

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

    /// Takes a sample of a metric, which counts since a time in ms that is 0 where it is not known.
    pub(crate) fn sample(
        &mut self,
        metric: &str,
        tags: &[(&str, &str)],
        time: i64,
        start_ms: i64,
        value: f64,
    ) -> Result<(), RowError> {
        let series = self.metric_series(metric, tags)?;
        push_sample(self.batch, series, time, start_ms, value)
    }

    /// Takes a row of a metric that has other fields.
    pub(crate) fn metric(
        &mut self,
        metric: &str,
        tags: &[(&str, &str)],
        time: i64,
        fields: &[(&str, Value<'_>)],
    ) -> Result<(), RowError> {
        let series = self.metric_series(metric, tags)?;
        push_fields(self.batch, series, time, fields)
    }

    fn metric_series(&mut self, metric: &str, tags: &[(&str, &str)]) -> Result<SeriesRef, RowError> {
        self.spell_row(metric, tags);
        match self.batch.find_series(&self.key) {
            Some(series) => Ok(series),
            None => add_metric_series(self.batch, &self.key, metric, tags),
        }
    }

    fn series(&mut self, row: &Row<'_>) -> Result<SeriesRef, RowError> {
        self.spell_row(row.measurement, row.tags);
        match self.batch.find_series(&self.key) {
            Some(series) => Ok(series),
            None => self.batch.add_series(&self.key, row),
        }
    }

    fn spell_row(&mut self, measurement: &str, tags: &[(&str, &str)]) {
        self.key.clear();
        spell(&mut self.key, measurement);
        for (name, value) in tags {
            spell(&mut self.key, name);
            spell(&mut self.key, value);
        }
    }
}

/// Adds a text with its length, so that no two lists of texts are spelled alike.
pub(crate) fn spell(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

/// Makes the series of a metric with these tags, which [`domain::metric::tag`] made of its labels. One that is called as
/// a field of the table gets another spelling.
#[cold]
pub(crate) fn add_metric_series(
    batch: &mut Batch,
    key: &[u8],
    metric: &str,
    tags: &[(&str, &str)],
) -> Result<SeriesRef, RowError> {
    let fields = [(VALUE, Value::F64(0.0))];
    let first = batch.add_series(key, &Row { measurement: metric, tags, time: 0, fields: &fields });
    let Err(mut error @ RowError::ColumnKind { .. }) = first else { return first };
    let mut tags: Vec<(String, &str)> = tags.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    while let RowError::ColumnKind { column, .. } = &error
        && let Some(tag) = tags.iter_mut().find(|(name, _)| name == column)
        && let Some(other) = tag_beside_field(column)
    {
        tag.0 = other;
        let tags: Vec<(&str, &str)> = tags.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        match batch.add_series(key, &Row { measurement: metric, tags: &tags, time: 0, fields: &fields }) {
            Err(again) => error = again,
            made => return made,
        }
    }
    Err(error)
}

/// Takes a sample, which counts since a time in ms that is 0 where it is not known.
#[inline]
pub(crate) fn push_sample(
    batch: &mut Batch,
    series: SeriesRef,
    time: i64,
    start_ms: i64,
    value: f64,
) -> Result<(), RowError> {
    match start_ms {
        0 => batch.push_sample(series, time, VALUE, value),
        _ => push_fields(batch, series, time, &[(VALUE, Value::F64(value)), (START, Value::I64(start_ms))]),
    }
}

/// Takes a histogram, or another row of a metric. A field that is called as a tag of the table gets another spelling.
pub(crate) fn push_fields(
    batch: &mut Batch,
    series: SeriesRef,
    time: i64,
    fields: &[(&str, Value<'_>)],
) -> Result<(), RowError> {
    let mut outcome = batch.push_series(series, time, fields);
    let mut names: Vec<Option<String>> = Vec::new();
    while let Err(RowError::ColumnKind { column, .. }) = &outcome
        && let Some(at) = fields.iter().position(|(name, _)| name == column)
        && let Some(other) = field_beside_tag(column)
    {
        names.resize(fields.len(), None);
        names[at] = Some(other);
        let renamed =
            fields.iter().zip(&names).map(|((name, value), other)| (other.as_deref().unwrap_or(name), *value));
        outcome = batch.push_series(series, time, &renamed.collect::<Vec<_>>());
    }
    outcome
}
