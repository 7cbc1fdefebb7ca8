//! The embedded way in: a program that links the store names its series once and then appends columns.

use std::sync::Arc;

use crate::base::error::{Result, RowError};
use crate::base::row::Row;
use crate::base::series_ref::SeriesRef;
use crate::rows::columns::Columns;
use crate::store::{Ack, Store};
use crate::write::batch::Batch;

/// Appends columns to one schema of a store. Made by [`Store::appender`].
///
/// ```
/// use std::sync::Arc;
/// use tsdb::{Column, Columns, Options, Store};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let store = Arc::new(Store::open(dir.path(), Options::default())?);
/// let appender = store.appender("public");
/// let hosts = ["a", "b"].map(|host| appender.series("cpu", &[("host", host)]).unwrap());
/// let rows = Columns { series: &hosts, times: &[10, 10], fields: &[("usage", Column::F64(&[0.5, 1.5]))] };
/// appender.append(&rows)?.wait()?; // durable
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Appender {
    store: Arc<Store>,
    schema: String,
}

/// Why columns were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// What the rows contradict; nothing of them was taken.
    #[error(transparent)]
    Row(#[from] RowError),
    /// Why the store takes nothing now.
    #[error(transparent)]
    Store(#[from] crate::base::error::Error),
}

impl Appender {
    pub(crate) fn new(store: Arc<Store>, schema: &str) -> Appender {
        Appender { store, schema: schema.into() }
    }

    /// The series of a measurement with these tags, made if it is new. It is good for as long as the store is open
    /// and its table is not dropped.
    ///
    /// # Errors
    ///
    /// A name is empty or too long, a tag is a field, a limit.
    pub fn series(&self, measurement: &str, tags: &[(&str, &str)]) -> Result<SeriesRef, RowError> {
        self.store.batch(&self.schema).series(&Row { measurement, tags, time: 0, fields: &[] })
    }

    /// Hands rows to the store. The [`Ack`] tells when they are durable and visible.
    ///
    /// # Errors
    ///
    /// As [`Batch::append`](crate::Batch::append) and [`Store::submit`].
    ///
    /// # Panics
    ///
    /// If a series was made by another store.
    pub fn append(&self, rows: &Columns<'_>) -> Result<Ack, AppendError> {
        let mut batch: Batch = self.store.batch(&self.schema);
        batch.append(rows)?;
        Ok(self.store.submit(batch)?)
    }
}
