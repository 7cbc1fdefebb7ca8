//! A batch: the rows of one request on their way into frames.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::{Catalog, ColumnRef, SeriesRef, Table};
use crate::error::RowError;
use crate::frame::{Frame, FrameBuilder};
use crate::row::Row;
use crate::value::{FieldType, Value};

/// The schema of a write that names none.
pub const DEFAULT_SCHEMA: &str = "public";
/// A string field may be this long, in bytes.
pub const STRING_BYTES_MAX: usize = 64 * 1024;
/// Values of a batch, absent ones between others included, and strings counted by their length: 512 MiB of columns.
/// Rows that each have other fields take much more room as columns than as text.
pub const BATCH_VALUES_MAX: usize = 64 << 20;

/// Stands for a column that is yet to be added.
const UNKNOWN: usize = usize::MAX;

/// Rows for one schema, collected as columns. Made by [`Store::batch`](crate::Store::batch), stored by
/// [`Store::write`](crate::Store::write).
///
/// A row is taken or refused as a whole; a refused row changes nothing.
#[derive(Debug)]
pub struct Batch {
    catalog: Arc<Catalog>,
    schema: String,
    tables: Vec<TableRows>,
    /// The place of each table in `tables`.
    places: HashMap<u32, usize>,
    rows: usize,
    /// Values so far, as [`BATCH_VALUES_MAX`] counts them.
    values: usize,
    /// Columns of the row at hand; kept to save an allocation a row.
    scratch: Vec<usize>,
}

#[derive(Debug)]
struct TableRows {
    table: Arc<Table>,
    frame: FrameBuilder,
    /// The fields seen in this batch, in the order of the frame's columns.
    fields: Vec<(Arc<str>, FieldType)>,
    /// The place of each field in `fields`.
    places: HashMap<Arc<str>, usize>,
}

impl Batch {
    pub(crate) fn new(catalog: Arc<Catalog>, schema: &str) -> Batch {
        Batch {
            catalog,
            schema: schema.into(),
            tables: Vec::new(),
            places: HashMap::new(),
            rows: 0,
            values: 0,
            scratch: Vec::new(),
        }
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
        if fields.is_empty() {
            return Err(RowError::NoFields);
        }
        let index = self.table_index(series.table);
        let rows = &mut self.tables[index];
        if time < rows.table.floor() {
            return Err(RowError::BeforeRetention { table: rows.table.name.clone(), floor: rows.table.floor() });
        }
        self.scratch.clear();
        let (mut unknown, mut text_bytes) = (0, 0);
        for (index, (name, value)) in fields.iter().enumerate() {
            if let Value::Str(text) = value {
                let (what, bytes, limit) = ("string field", text.len(), STRING_BYTES_MAX);
                if bytes > limit {
                    return Err(RowError::TooLong { what, bytes, limit });
                }
                text_bytes += bytes;
            }
            let column = rows.find_column(index, name, value.field_type());
            unknown += usize::from(column.is_none());
            self.scratch.push(column.unwrap_or(UNKNOWN));
        }
        // Two for series and time; a new column has a place for every row before this one, too.
        let values = 2 + rows.fields.len() + unknown * (rows.frame.rows() + 1) + text_bytes / 8;
        if self.values + values > BATCH_VALUES_MAX {
            return Err(RowError::BatchTooLarge { limit: BATCH_VALUES_MAX });
        }
        if unknown > 0 {
            self.catalog.fields(&rows.table, fields)?;
            for (column, (name, value)) in self.scratch.iter_mut().zip(fields).filter(|(column, _)| **column == UNKNOWN)
            {
                *column = rows.add_column(name, value.field_type());
            }
        }
        self.values += values;
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
        *self.places.entry(table).or_insert_with(|| {
            let table = self.catalog.table(table).expect("a series reference names a table").clone();
            let frame = FrameBuilder::new(table.id);
            self.tables.push(TableRows { table, frame, fields: Vec::new(), places: HashMap::new() });
            self.tables.len() - 1
        })
    }

    /// Was it made by the store with this catalogue? Its numbers mean nothing to another.
    pub(crate) fn belongs_to(&self, catalog: &Arc<Catalog>) -> bool {
        Arc::ptr_eq(&self.catalog, catalog)
    }

    pub(crate) fn into_frames(self) -> Vec<Frame> {
        self.tables.into_iter().filter_map(|rows| rows.frame.finish()).collect()
    }
}

impl TableRows {
    /// The column of a field in this batch; rows of one measurement mostly have the same fields at the same places.
    fn find_column(&self, index: usize, name: &str, kind: FieldType) -> Option<usize> {
        let is_this = |column: &usize| *self.fields[*column].0 == *name && self.fields[*column].1 == kind;
        let same_place = Some(index).filter(|index| *index < self.fields.len()).filter(is_this);
        same_place.or_else(|| self.places.get(name).copied().filter(is_this))
    }

    /// Adds the column of a field that the catalogue has.
    fn add_column(&mut self, name: &str, kind: FieldType) -> usize {
        // The same new field twice in one row.
        if let Some(column) = self.places.get(name) {
            return *column;
        }
        let Some(ColumnRef::Field(field, _)) = self.table.columns().find(name) else {
            unreachable!("the catalogue has just made {name} a field");
        };
        let name = Arc::<str>::from(name);
        self.places.insert(name.clone(), self.fields.len());
        self.fields.push((name, kind));
        self.frame.add_column(field, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::COLUMNS_MAX;

    fn row<'a>(time: i64, fields: &'a [(&'a str, Value<'a>)]) -> Row<'a> {
        Row { measurement: "m", tags: &[], time, fields }
    }

    /// Rows that each bring another field once took rows x rows values: a request of 1 MB asked for gigabytes.
    #[test]
    fn rows_that_all_differ_are_refused_before_they_fill_the_memory() {
        let mut batch = Batch::new(Arc::new(Catalog::new()), "public");
        let names: Vec<String> = (0..COLUMNS_MAX + 10).map(|number| format!("f{number}")).collect();
        let outcomes = names.iter().map(|name| batch.push(&row(0, &[(name.as_str(), Value::I64(1))])));
        let refused: Vec<_> = outcomes.filter_map(Result::err).collect();
        assert_eq!(refused.len(), 10);
        assert!(matches!(refused[0], RowError::TooManyColumns { limit: COLUMNS_MAX, .. }), "{:?}", refused[0]);

        let one = [("f0", Value::I64(1))];
        let outcome = (0..BATCH_VALUES_MAX as i64).find_map(|time| batch.push(&row(time, &one)).err());
        assert_eq!(outcome, Some(RowError::BatchTooLarge { limit: BATCH_VALUES_MAX }));
        assert!(batch.rows() * (COLUMNS_MAX + 2) <= BATCH_VALUES_MAX);
    }

    #[test]
    fn a_string_that_is_too_long_is_refused() {
        let mut batch = Batch::new(Arc::new(Catalog::new()), "public");
        let text = "x".repeat(STRING_BYTES_MAX + 1);
        batch.push(&row(0, &[("s", Value::Str(&text[1..]))])).unwrap();
        let refused = batch.push(&row(0, &[("s", Value::Str(&text))])).unwrap_err();
        assert_eq!(refused.to_string(), "string field has 65537 bytes, the limit is 65536");
    }
}
