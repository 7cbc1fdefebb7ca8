//! A batch: the rows of one request on their way into frames.

use std::sync::Arc;

use crate::catalog::{Catalog, ColumnRef, Row, SeriesRef, Table};
use crate::error::RowError;
use crate::frame::{Frame, FrameBuilder};
use crate::value::{FieldType, Value};

/// Rows for one schema, collected as columns. Made by [`Store::batch`](crate::Store::batch), stored by
/// [`Store::write`](crate::Store::write).
///
/// A row is taken or refused as a whole; a refused row changes nothing.
#[derive(Debug)]
pub struct Batch {
    catalog: Arc<Catalog>,
    schema: String,
    tables: Vec<TableRows>,
    rows: usize,
    /// Columns of the row at hand; kept to save an allocation a row.
    scratch: Vec<usize>,
}

#[derive(Debug)]
struct TableRows {
    table: Arc<Table>,
    frame: FrameBuilder,
    /// The fields seen in this batch, in the order of the frame's columns.
    fields: Vec<(Arc<str>, FieldType)>,
}

impl Batch {
    pub(crate) fn new(catalog: Arc<Catalog>, schema: &str) -> Batch {
        Batch { catalog, schema: schema.into(), tables: Vec::new(), rows: 0, scratch: Vec::new() }
    }

    /// Rows taken so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Takes a row given by names.
    ///
    /// # Errors
    ///
    /// Says what the row contradicts: a field's type, a tag that is a field, an empty name, a limit.
    pub fn push(&mut self, row: &Row<'_>) -> Result<(), RowError> {
        let series = self.catalog.series(&self.schema, row, None)?;
        self.push_series(series, row.time, row.fields)
    }

    /// Takes a row and remembers `spelling`, the raw bytes that name its series, for [`find_series`](Self::find_series).
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_spelled(&mut self, spelling: &[u8], row: &Row<'_>) -> Result<(), RowError> {
        let key = self.catalog.spelling(&self.schema, spelling);
        let series = self.catalog.series(&self.schema, row, Some(key))?;
        self.push_series(series, row.time, row.fields)
    }

    /// The series that was spelled with these raw bytes before: one hash, no parsing, no lock.
    pub fn find_series(&self, spelling: &[u8]) -> Option<SeriesRef> {
        self.catalog.find_spelling(self.catalog.spelling(&self.schema, spelling))
    }

    /// Takes a row of a known series. Of a field that stands twice the last value counts.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_series(&mut self, series: SeriesRef, time: i64, fields: &[(&str, Value<'_>)]) -> Result<(), RowError> {
        let index = self.table_index(series.table);
        let rows = &mut self.tables[index];
        self.scratch.clear();
        for (index, (name, value)) in fields.iter().enumerate() {
            let kind = value.field_type();
            // Rows of one measurement mostly have the same fields in the same order.
            let column = match rows.fields.get(index) {
                Some((known, known_kind)) if **known == **name && *known_kind == kind => index,
                _ => {
                    match rows.fields.iter().position(|(known, known_kind)| **known == **name && *known_kind == kind) {
                        Some(column) => column,
                        None => rows.add_column(&self.catalog, name, kind, fields)?,
                    }
                }
            };
            self.scratch.push(column);
        }
        if fields.is_empty() {
            return Err(RowError::NoFields);
        }
        rows.frame.start_row(series.series, time);
        for (column, (_, value)) in self.scratch.iter().zip(fields) {
            rows.frame.set(*column, *value);
        }
        self.rows += 1;
        Ok(())
    }

    fn table_index(&mut self, table: u32) -> usize {
        // Nearly always the table of the row before.
        if let Some(last) = self.tables.last()
            && last.table.id == table
        {
            return self.tables.len() - 1;
        }
        let known = self.tables.iter().position(|rows| rows.table.id == table);
        known.unwrap_or_else(|| {
            let table = self.catalog.table(table).expect("a series reference names a table").clone();
            let frame = FrameBuilder::new(table.id);
            self.tables.push(TableRows { table, frame, fields: Vec::new() });
            self.tables.len() - 1
        })
    }

    pub(crate) fn into_frames(self) -> Vec<Frame> {
        self.tables.into_iter().filter_map(|rows| rows.frame.finish()).collect()
    }
}

impl TableRows {
    /// Adds the column of a field that this batch has not had yet; the catalogue checks the whole row.
    fn add_column(
        &mut self,
        catalog: &Catalog,
        name: &str,
        kind: FieldType,
        row: &[(&str, Value<'_>)],
    ) -> Result<usize, RowError> {
        catalog.fields(&self.table, row)?;
        let Some(ColumnRef::Field(field, _)) = self.table.columns().find(name) else {
            unreachable!("the catalogue has just made {name} a field");
        };
        self.fields.push((name.into(), kind));
        Ok(self.frame.column(field, kind))
    }
}
