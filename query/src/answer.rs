//! The answer to a statement: columns, then rows as they come, or their bytes in a format.

use std::collections::BTreeSet;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use runner::{Flow, Limits, Running};

use crate::base::error::Error;
use crate::exec::reading::Reading;
use crate::out::format::{Encoder, Format};

/// The answer to a statement: its columns, then its rows as they come.
#[derive(Debug)]
pub struct Answer {
    /// The columns of every batch.
    pub schema: SchemaRef,
    rows: Rows,
    readings: Vec<Reading>,
    running: Running,
    limits: Limits,
}

/// What a query that runs gives: its columns, its rows, and what reads the store for it.
pub(crate) type Started = (SchemaRef, Rows, Vec<Reading>);

/// Where the rows of an answer come from.
#[derive(Debug)]
pub(crate) enum Rows {
    /// All are here, unless they were taken.
    Ready(Option<RecordBatch>),
    /// They come from a task that runs the query.
    Coming(Flow<Result<RecordBatch, Error>>),
}

impl Rows {
    async fn next(&mut self) -> Option<Result<RecordBatch, Error>> {
        match self {
            Rows::Ready(batch) => batch.take().map(Ok),
            Rows::Coming(flow) => flow.next().await.map(|item| item.unwrap_or_else(|refused| Err(refused.into()))),
        }
    }
}

impl Answer {
    pub(crate) fn new((schema, rows, readings): Started, running: Running, limits: &Limits) -> Answer {
        if matches!(rows, Rows::Coming(_)) {
            running.planned();
        }
        Answer { schema, rows, readings, running, limits: limits.clone() }
    }

    /// The next rows; `None` after the last. Dropping the answer stops the query.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, Error>> {
        let next = match self.rows.next().await {
            Some(Ok(batch)) if self.counted(&batch) > self.limits.rows_max => {
                Some(Err(Error::Rows { limit: self.limits.rows_max }))
            }
            next => next,
        };
        match &next {
            None => self.running.end(None),
            Some(Err(error)) => {
                self.running.end(Some(error.to_string()));
                self.rows = Rows::Ready(None);
            }
            Some(Ok(_)) => {}
        }
        next
    }

    /// How many rows there are with these.
    fn counted(&self, batch: &RecordBatch) -> u64 {
        self.running.rows(batch.num_rows() as u64, batch.get_array_memory_size() as u64)
    }

    /// What is known to be missing from the answer so far, in words. Empty for a whole answer.
    pub fn warnings(&self) -> BTreeSet<String> {
        self.readings.iter().flat_map(Reading::warnings).collect()
    }

    /// The answer as bytes of a format.
    ///
    /// # Errors
    ///
    /// The format has no way to write a column.
    pub fn encode(self, format: Format) -> Result<Encoded, Error> {
        let encoder = Encoder::new(format, self.schema.clone(), self.limits.memory_bytes_max);
        let encoder = encoder.map_err(|error| Error::Statement(format!("format {}: {error}", format.name())))?;
        Ok(Encoded { encoder: Some(encoder), format, answer: self })
    }
}

/// An answer on its way out as bytes.
#[derive(Debug)]
pub struct Encoded {
    answer: Answer,
    /// Gone when the last bytes are out.
    encoder: Option<Encoder>,
    format: Format,
}

impl Encoded {
    /// As [`Answer::warnings`].
    pub fn warnings(&self) -> BTreeSet<String> {
        self.answer.warnings()
    }

    /// The next bytes, never empty; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let bytes = match (self.encoder.as_mut(), self.answer.next().await) {
                (None, _) => return None,
                (Some(encoder), Some(Ok(batch))) => encoder.batch(batch),
                (Some(_), Some(Err(error))) => {
                    self.encoder = None;
                    return Some(Err(error));
                }
                (Some(_), None) => self.encoder.take()?.finish(),
            };
            match bytes {
                Ok(bytes) if bytes.is_empty() => {}
                // Bytes go to memory: what is wrong is the rows, which the format has no way to write.
                bytes => {
                    let (format, limit_bytes) = (self.format.name(), self.answer.limits.memory_bytes_max);
                    return Some(bytes.map_err(|error| match error {
                        ArrowError::MemoryError(reason) => Error::Memory { limit_bytes, reason },
                        error => Error::Statement(format!("format {format}: {error}")),
                    }));
                }
            }
        }
    }
}
