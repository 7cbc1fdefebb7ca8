//! Rows of a batch, by column and number.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use tsdb::{DEFAULT_SCHEMA, Store};

/// Those of some columns that a table has; nothing if there is no such table. A column is there once a row has it.
pub(crate) fn columns_there(store: &Store, table: &str, wanted: &[&str]) -> Option<Vec<String>> {
    let info = store.table(DEFAULT_SCHEMA, table)?;
    let is_there = |name: &&&str| info.columns.field_with_name(name).is_ok();
    Some(wanted.iter().filter(is_there).map(|name| (*name).to_owned()).collect())
}

/// Rows, by column and number.
pub(crate) struct Rows<'a>(&'a RecordBatch);

impl<'a> Rows<'a> {
    pub(crate) fn new(rows: &'a RecordBatch) -> Rows<'a> {
        Rows(rows)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.num_rows()
    }

    pub(crate) fn text(&self, column: &str, at: usize) -> Option<String> {
        let column = self.0.column_by_name(column)?;
        if column.is_null(at) {
            return None;
        }
        match column.data_type() {
            DataType::Dictionary(..) => {
                let dictionary = column.as_dictionary_opt::<Int32Type>()?;
                let key = usize::try_from(dictionary.keys().value(at)).ok()?;
                Some(dictionary.values().as_string_opt::<i32>()?.value(key).to_owned())
            }
            _ => Some(column.as_string_opt::<i32>()?.value(at).to_owned()),
        }
    }

    pub(crate) fn whole(&self, column: &str, at: usize) -> Option<i64> {
        let column = self.0.column_by_name(column)?;
        let whole = column.as_primitive_opt::<Int64Type>().map(|own| own.value(at));
        let whole = whole.or_else(|| Some(column.as_primitive_opt::<TimestampNanosecondType>()?.value(at)));
        whole.filter(|_| !column.is_null(at))
    }

    pub(crate) fn truth(&self, column: &str, at: usize) -> Option<bool> {
        let values = self.0.column_by_name(column)?.as_boolean_opt()?;
        (!values.is_null(at)).then(|| values.value(at))
    }

    pub(crate) fn float(&self, column: &str, at: usize) -> Option<f64> {
        let column = self.0.column_by_name(column)?;
        let values = column.as_primitive_opt::<Float64Type>()?;
        (!values.is_null(at)).then(|| values.value(at))
    }
}
