//! A batch: the rows of one request on their way into frames.

use std::collections::HashMap;
use std::sync::Arc;

use hashbrown::HashMap as FastMap;

use crate::base::admission::Admission;
use crate::base::error::RowError;
use crate::base::limits::Limits;
use crate::base::retention::Retentions;
use crate::base::row::Row;
use crate::base::series_ref::SeriesRef;
use crate::base::value::{FieldType, Value};
use crate::catalog::registry::{Catalog, ColumnRef, Table};
use crate::catalog::spellings::SpellingsNow;
use crate::log::head::Entry;
use crate::rows::columns::{Column, Columns};
use crate::rows::frame::FrameBuilder;
use crate::rows::samples::{NO_RUN, SamplesBuilder};

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
    /// Which series it takes; all of them without one.
    admission: Option<Arc<dyn Admission>>,
    /// Keys the hash of spellings: those of one schema, admission and format.
    seed: u64,
    /// The series that were known when the batch was begun.
    spellings: SpellingsNow,
    tables: Vec<TableRows>,
    /// Rows of tables whose rows all have the same one float, so far.
    samples: SamplesBuilder,
    /// Where the rows of each table are collected.
    places: FastMap<u32, TablePlace>,
    sample_columns: Vec<SampleColumn>,
    /// The place in these of the last sample, which is mostly that of the next.
    last_samples: Option<usize>,
    rows: usize,
    /// Values so far, as [`Limits::batch_values_max`] counts them.
    values: usize,
    /// Columns of the row at hand; kept to save an allocation a row.
    scratch: Vec<usize>,
}

/// Where the rows of a table are collected.
#[derive(Debug, Clone, Copy)]
enum TablePlace {
    /// Among the samples, as this of their columns.
    Samples(usize),
    /// In a frame of its own.
    Rows(usize),
}

/// The one field of a table among the samples.
#[derive(Debug)]
struct SampleColumn {
    table: u32,
    field: u32,
    name: Arc<str>,
    floor: i64,
    /// The number of its last run of samples.
    last_run: u32,
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
        let mut batch = Batch {
            seed: 0,
            spellings: catalog.spellings(),
            catalog,
            schema: schema.into(),
            admission: None,
            tables: Vec::new(),
            samples: SamplesBuilder::default(),
            places: FastMap::new(),
            sample_columns: Vec::new(),
            last_samples: None,
            rows: 0,
            values: 0,
            scratch: Vec::new(),
        };
        batch.spelled_as("");
        batch
    }

    /// A batch of no store: to try rows, within limits.
    ///
    /// ```
    /// use tsdb::{Batch, Limits, Row, Value};
    /// let mut batch = Batch::detached("public", Limits { tags_max: 0, ..Limits::default() });
    /// let row = Row { measurement: "cpu", tags: &[("host", "a")], time: 0, fields: &[("usage", Value::F64(1.0))] };
    /// assert!(batch.push(&row).unwrap_err().to_string().contains("store.tags_max"));
    /// ```
    pub fn detached(schema: &str, limits: Limits) -> Batch {
        let catalog = Catalog::limited(Retentions::default(), usize::MAX, limits);
        Batch::new(Arc::new(catalog), schema)
    }

    /// Says which series are taken from here on. Before [`spelled_as`](Self::spelled_as), which it undoes.
    pub fn admit_by(&mut self, admission: Arc<dyn Admission>) {
        self.admission = Some(admission);
        self.spelled_as("");
    }

    /// Takes rows of every series again: for what is not said by whoever sent the rows.
    pub fn admit_all(&mut self) {
        self.admission = None;
        self.spelled_as("");
    }

    /// Says how series are spelled in this batch. What formats with different names spell alike is not mixed up, nor
    /// what was admitted by different rules.
    pub fn spelled_as(&mut self, format: &str) {
        let admission = self.admission.as_ref().map(|admission| admission.key());
        self.seed = self.catalog.spelling_seed(&self.schema, admission, format);
    }

    fn admit(&self, row: &Row<'_>) -> Result<(), RowError> {
        let Some(admission) = &self.admission else { return Ok(()) };
        let outcome = admission.check(&self.schema, row.measurement, row.tags);
        outcome.map_err(|reason| RowError::NotAdmitted { reason })
    }

    /// The limits of the store that the batch is for.
    pub fn limits(&self) -> &Limits {
        self.catalog.limits()
    }

    /// The type of a field of a measurement, if it has one yet.
    pub fn field_type(&self, measurement: &str, field: &str) -> Option<FieldType> {
        match self.catalog.find_table(&self.schema, measurement)?.columns().find(field)? {
            ColumnRef::Field(_, kind) => Some(kind),
            ColumnRef::Tag(_) => None,
        }
    }

    /// Is it a tag of this measurement, as far as the store knows?
    pub fn is_tag(&self, measurement: &str, name: &str) -> bool {
        let table = self.catalog.find_table(&self.schema, measurement);
        table.is_some_and(|table| matches!(table.columns().find(name), Some(ColumnRef::Tag(_))))
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
        if row.fields.is_empty() {
            return Err(RowError::NoFields);
        }
        let series = self.series(row)?;
        self.push_series(series, row.time, row.fields)
    }

    /// Takes a row and remembers `spelling`, the raw bytes that name its series, for
    /// [`find_series`](Self::find_series).
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_spelled(&mut self, spelling: &[u8], row: &Row<'_>) -> Result<(), RowError> {
        let series = self.add_series(spelling, row)?;
        self.push_series(series, row.time, row.fields)
    }

    /// The series that was spelled with these raw bytes before: one hash, no parsing, no lock.
    pub fn find_series(&self, spelling: &[u8]) -> Option<SeriesRef> {
        let key = Catalog::spelling(self.seed, spelling);
        // What came since the batch was begun is in the table of today.
        let found = self.spellings.find(key).or_else(|| self.catalog.find_spelling(key))?;
        self.catalog.is_live(found).then_some(found)
    }

    /// The series of a row, made if it is new, without the row; and remembers its spelling.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn add_series(&mut self, spelling: &[u8], row: &Row<'_>) -> Result<SeriesRef, RowError> {
        if row.fields.is_empty() {
            return Err(RowError::NoFields);
        }
        self.admit(row)?;
        self.catalog.series(&self.schema, row, Some(Catalog::spelling(self.seed, spelling)))
    }

    /// The series of a row, made if it is new; the row need not have fields.
    pub(crate) fn series(&self, row: &Row<'_>) -> Result<SeriesRef, RowError> {
        self.admit(row)?;
        self.catalog.series(&self.schema, row, None)
    }

    /// Takes rows as columns: all of them, or none.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push); [`RowError::Columns`] if the columns differ in length, or the series in their table.
    ///
    /// # Panics
    ///
    /// If a series was made by another store.
    pub fn append(&mut self, rows: &Columns<'_>) -> Result<(), RowError> {
        let count = rows.times.len();
        let wrong = |reason: String| Err(RowError::Columns { reason });
        let Some(SeriesRef { table, .. }) = rows.series.first().copied() else {
            return if count == 0 { Ok(()) } else { wrong(format!("no series for {count} times")) };
        };
        if rows.series.len() != count || rows.series.iter().any(|series| series.table != table) {
            return wrong(format!("{count} times for {} series, which must be of one table", rows.series.len()));
        }
        if let Some((name, column)) = rows.fields.iter().find(|(_, column)| column.len() != count) {
            return wrong(format!("field '{name}' has {} values for {count} rows", column.len()));
        }
        let is_again =
            |(at, (name, _)): &(usize, &(&str, Column<'_>))| rows.fields[..*at].iter().any(|(n, _)| n == name);
        if let Some((_, (name, _))) = rows.fields.iter().enumerate().find(is_again) {
            return wrong(format!("field '{name}' stands twice"));
        }
        let (what, limit, knob) = ("string field", self.limits().string_bytes_max, "store.string_max");
        let texts = || rows.fields.iter().filter_map(|(_, column)| column.texts()).flatten().map(|text| text.len());
        if let Some(bytes) = texts().find(|bytes| *bytes > limit) {
            return Err(RowError::TooLong { what, bytes, limit, knob });
        }
        let index = self.table_index(table);
        let known = &mut self.tables[index];
        known.table.check_time(rows.times.iter().copied().min().unwrap_or(i64::MAX))?;
        // Columns that the batch has already have a place for each of the new rows, too; new ones for each of the old.
        let columns = 2 + known.fields.len() + rows.fields.len();
        let values = count * columns + rows.fields.len() * known.frame.rows() + texts().sum::<usize>() / 8;
        let limit = self.catalog.limits().batch_values_max;
        if self.values + values > limit {
            return Err(RowError::BatchTooLarge { limit });
        }
        let kinds: Vec<_> = rows.fields.iter().map(|(name, column)| (*name, column.type_value())).collect();
        if kinds.is_empty() {
            return Err(RowError::NoFields);
        }
        let columns = known.table.columns();
        let is_known = |(name, value): &(&str, Value<'_>)| matches!(columns.find(name), Some(ColumnRef::Field(_, kind)) if kind == value.field_type());
        if !kinds.iter().all(is_known) {
            self.catalog.fields(&known.table, &kinds)?;
        }
        known.frame.start_rows(rows.series.iter().map(|series| series.series), rows.times);
        for (name, column) in rows.fields {
            let kind = column.field_type();
            let place = known.find_column(usize::MAX, name, kind).unwrap_or_else(|| known.add_column(name, kind));
            known.frame.extend(place, column);
        }
        self.values += values;
        self.rows += count;
        Ok(())
    }

    /// Takes a row of a known series that has one float.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    #[inline]
    pub fn push_sample(&mut self, series: SeriesRef, time: i64, field: &str, value: f64) -> Result<(), RowError> {
        if let Some(last) = self.last_samples
            && let column = &self.sample_columns[last]
            && column.table == series.table
            && *column.name == *field
            && time >= column.floor
            && self.values + 3 <= self.catalog.limits().batch_values_max
        {
            self.samples.push(series.series, time, value);
            self.values += 3;
            self.rows += 1;
            return Ok(());
        }
        match self.push_as_sample(series, time, field, value)? {
            true => Ok(()),
            false => self.push_row(series, time, &[(field, Value::F64(value))]),
        }
    }

    /// Takes a row among the samples, if its table's rows are there or may be.
    fn push_as_sample(&mut self, series: SeriesRef, time: i64, field: &str, value: f64) -> Result<bool, RowError> {
        let place = match self.places.get(&series.table) {
            Some(TablePlace::Samples(place)) => *place,
            Some(TablePlace::Rows(_)) => return Ok(false),
            None => match self.sample_column(series.table, time, field, value)? {
                Some(place) => place,
                None => return Ok(false),
            },
        };
        let column = &mut self.sample_columns[place];
        if *column.name != *field || time < column.floor || self.values + 3 > self.catalog.limits().batch_values_max {
            return Ok(false);
        }
        column.last_run = self.samples.start_run(series.table, column.field, column.last_run);
        self.samples.push(series.series, time, value);
        self.last_samples = Some(place);
        self.values += 3;
        self.rows += 1;
        Ok(true)
    }

    /// A place for a table's rows among the samples; `None` if the general way is to say why there can be none.
    fn sample_column(&mut self, id: u32, time: i64, field: &str, value: f64) -> Result<Option<usize>, RowError> {
        let table = self.catalog.table(id).expect("a series reference names a table");
        let floor = table.floor();
        if table.check_time(time).is_err() {
            return Ok(None);
        }
        let known = || match table.columns().find(field) {
            Some(ColumnRef::Field(number, FieldType::F64)) => Some(number),
            _ => None,
        };
        let number = match known() {
            Some(number) => number,
            None => {
                self.catalog.fields(table, &[(field, Value::F64(value))])?;
                known().expect("the catalogue has just made it")
            }
        };
        let place = self.sample_columns.len();
        let name = field.into();
        self.sample_columns.push(SampleColumn { table: id, field: number, name, floor, last_run: NO_RUN });
        self.places.insert(id, TablePlace::Samples(place));
        Ok(Some(place))
    }

    /// Takes a row of a known series. Of a field that stands twice the last value counts.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_series(&mut self, series: SeriesRef, time: i64, fields: &[(&str, Value<'_>)]) -> Result<(), RowError> {
        match fields {
            [] => Err(RowError::NoFields),
            [(field, Value::F64(value))] => self.push_sample(series, time, field, *value),
            fields => self.push_row(series, time, fields),
        }
    }

    /// Takes a row into the frame of its table.
    fn push_row(&mut self, series: SeriesRef, time: i64, fields: &[(&str, Value<'_>)]) -> Result<(), RowError> {
        let limits = *self.catalog.limits();
        let index = self.table_index(series.table);
        let rows = &mut self.tables[index];
        rows.table.check_time(time)?;
        self.scratch.clear();
        let (mut unknown, mut text_bytes) = (0, 0);
        for (index, (name, value)) in fields.iter().enumerate() {
            if let Value::Str(text) = value {
                let (what, bytes, limit) = ("string field", text.len(), limits.string_bytes_max);
                if bytes > limit {
                    return Err(RowError::TooLong { what, bytes, limit, knob: "store.string_max" });
                }
                text_bytes += bytes;
            }
            let column = rows.find_column(index, name, value.field_type());
            unknown += usize::from(column.is_none());
            self.scratch.push(column.unwrap_or(UNKNOWN));
        }
        // Two for series and time; a new column has a place for every row before this one, too.
        let values = 2 + rows.fields.len() + unknown * (rows.frame.rows() + 1) + text_bytes / 8;
        if self.values + values > limits.batch_values_max {
            return Err(RowError::BatchTooLarge { limit: limits.batch_values_max });
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
        let known = self.places.get(&table).copied();
        if let Some(TablePlace::Rows(index)) = known {
            return index;
        }
        self.places.insert(table, TablePlace::Rows(self.tables.len()));
        let table = self.catalog.table(table).expect("a series reference names a table").clone();
        let mut rows =
            TableRows { frame: FrameBuilder::new(table.id), table, fields: Vec::new(), places: HashMap::new() };
        if let Some(TablePlace::Samples(place)) = known {
            // A request's rows of one table stay together, so that a torn write has all of them or none.
            self.last_samples = None;
            let column = &self.sample_columns[place];
            let samples = self.samples.take(column.last_run);
            let place = if samples.is_empty() { 0 } else { rows.add_column(&column.name, FieldType::F64) };
            for (series, time, value) in samples {
                rows.frame.start_row(series, time);
                rows.frame.set(place, Value::F64(value));
            }
        }
        self.tables.push(rows);
        self.tables.len() - 1
    }

    /// Was it made by the store with this catalogue? Its numbers mean nothing to another.
    pub(crate) fn belongs_to(&self, catalog: &Arc<Catalog>) -> bool {
        Arc::ptr_eq(&self.catalog, catalog)
    }

    pub(crate) fn into_entries(self) -> Vec<Entry> {
        let samples = self.samples.finish().map(Entry::Samples);
        let frames = self.tables.into_iter().filter_map(|rows| rows.frame.finish()).map(Entry::Frame);
        samples.into_iter().chain(frames).collect()
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
    use crate::rows::frame::Frame;

    fn row<'a>(time: i64, fields: &'a [(&'a str, Value<'a>)]) -> Row<'a> {
        Row { measurement: "m", tags: &[], time, fields }
    }

    /// Rows that each bring another field once took rows x rows values: a request of 1 MB asked for gigabytes.
    #[test]
    fn rows_that_all_differ_are_refused_before_they_fill_the_memory() {
        let limits = Limits { columns_max: 100, batch_values_max: 1 << 20, ..Limits::default() };
        let catalog = Catalog::limited(Retentions::default(), usize::MAX, limits);
        let mut batch = Batch::new(Arc::new(catalog), "public");
        let names: Vec<String> = (0..limits.columns_max + 10).map(|number| format!("f{number}")).collect();
        let outcomes = names.iter().map(|name| batch.push(&row(0, &[(name.as_str(), Value::I64(1))])));
        let refused: Vec<_> = outcomes.filter_map(Result::err).collect();
        assert_eq!(refused.len(), 10);
        assert!(matches!(refused[0], RowError::TooManyColumns { limit: 100, .. }), "{:?}", refused[0]);

        let one = [("f0", Value::I64(1))];
        let outcome = (0..limits.batch_values_max as i64).find_map(|time| batch.push(&row(time, &one)).err());
        assert_eq!(outcome, Some(RowError::BatchTooLarge { limit: limits.batch_values_max }));
        assert!(batch.rows() * (limits.columns_max + 2) <= limits.batch_values_max);
    }

    #[test]
    fn a_string_that_is_too_long_is_refused() {
        let mut batch = Batch::new(Arc::new(Catalog::new()), "public");
        let text = "x".repeat(batch.limits().string_bytes_max + 1);
        batch.push(&row(0, &[("s", Value::Str(&text[1..]))])).unwrap();
        let refused = batch.push(&row(0, &[("s", Value::Str(&text))])).unwrap_err();
        assert_eq!(refused.to_string(), "string field has 65537 bytes, the limit is 65536 (store.string_max)");
    }

    /// What a batch has of table 0 in its order: field, time and value of the floats.
    fn floats(batch: Batch) -> Vec<Vec<(u32, i64, f64)>> {
        let values = |frame: &Frame| -> Vec<(u32, i64, f64)> {
            let fields: Vec<u32> = frame.fields().map(|(field, _)| field).collect();
            let column = |field: u32| frame.column(field).expect("it is there");
            let rows = |field: u32| {
                let column = column(field);
                let floats = column.as_any().downcast_ref::<arrow_array::Float64Array>().expect("floats").clone();
                let rows = frame.times().iter().zip(floats.values().iter().copied().collect::<Vec<_>>());
                rows.map(|(time, value)| (field, *time, value)).collect::<Vec<_>>()
            };
            fields.into_iter().flat_map(rows).collect()
        };
        let entries = batch.into_entries();
        entries.iter().map(|entry| entry.frames_of(0).flat_map(|frame| values(&frame)).collect()).collect()
    }

    #[test]
    fn rows_with_one_float_share_a_block_until_their_table_has_others() {
        let mut batch = Batch::new(Arc::new(Catalog::new()), "public");
        let push = |batch: &mut Batch, measurement, time, fields: &[(&str, Value<'_>)]| {
            batch.push(&Row { measurement, tags: &[], time, fields }).unwrap();
        };
        push(&mut batch, "m", 1, &[("a", Value::F64(1.0))]);
        push(&mut batch, "other", 1, &[("a", Value::F64(9.0))]);
        push(&mut batch, "m", 1, &[("a", Value::F64(2.0))]);
        push(&mut batch, "m", 1, &[("a", Value::F64(3.0)), ("b", Value::F64(4.0))]);
        push(&mut batch, "other", 2, &[("a", Value::F64(9.0))]);
        push(&mut batch, "m", 1, &[("a", Value::F64(5.0))]);
        assert_eq!(batch.rows(), 6);
        // The last write of a field wins: its order is kept.
        let a = [1.0, 2.0, 3.0, 5.0].map(|value| (0, 1, value));
        let b = [0.0, 0.0, 4.0, 0.0].map(|value| (1, 1, value));
        let expected = [vec![], [a, b].concat()];
        assert_eq!(floats(batch), expected);
    }

    #[test]
    fn columns_are_taken_as_rows_would_be_or_not_at_all() {
        let rows = |batch: Batch| -> Vec<String> {
            let entries = batch.into_entries();
            let frames = entries.iter().flat_map(Entry::frames);
            frames
                .map(|frame| {
                    format!(
                        "{:?} {:?} {:?}",
                        frame.series(),
                        frame.times(),
                        (0..3).map(|f| frame.column(f)).collect::<Vec<_>>()
                    )
                })
                .collect()
        };
        let catalog = Arc::new(Catalog::new());
        let mut one = Batch::new(catalog.clone(), "public");
        let tags = [("host", "a")];
        let series = one.series(&Row { measurement: "m", tags: &tags, time: 0, fields: &[] }).unwrap();
        let fields =
            [("a", Column::F64(&[1.0, 2.0])), ("b", Column::Str(&["x", ""])), ("c", Column::Bool(&[true, false]))];
        let columns = Columns { series: &[series, series], times: &[5, 6], fields: &fields };
        one.append(&columns).unwrap();
        one.append(&Columns { fields: &fields[..1], ..columns }).unwrap();
        let mut other = Batch::new(catalog, "public");
        for round in 0..2 {
            for (time, a, b, c) in [(5, 1.0, "x", true), (6, 2.0, "", false)] {
                let fields = [("a", Value::F64(a)), ("b", Value::Str(b)), ("c", Value::Bool(c))];
                let fields = if round == 0 { &fields[..] } else { &fields[..1] };
                other.push(&Row { measurement: "m", tags: &tags, time, fields }).unwrap();
            }
        }
        assert_eq!(one.rows(), 4);
        for (bad, said) in [
            (Columns { times: &[1], ..columns }, "1 times for 2 series"),
            (Columns { fields: &[("a", Column::F64(&[1.0]))], ..columns }, "1 values for 2 rows"),
            (Columns { fields: &[("a", Column::I64(&[1, 2]))], ..columns }, "is a float, this row has an integer"),
            (Columns { fields: &[], ..columns }, "at least one field"),
            (Columns { series: &[], ..columns }, "no series"),
            (Columns { fields: &[fields[0], fields[0]], ..columns }, "stands twice"),
        ] {
            let error = one.append(&bad).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert_eq!((one.rows(), rows(one)), (4, rows(other)));
    }
}
