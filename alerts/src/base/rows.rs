//! Rows of a batch, by column and number.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, PrimitiveArray, RecordBatch, StringArray};
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
        self.texts(column).at(at).map(str::to_owned)
    }

    /// A column of texts, to be looked at row by row.
    pub(crate) fn texts(&self, column: &str) -> Texts<'a> {
        let Some(column) = self.0.column_by_name(column) else { return Texts::None };
        match column.data_type() {
            DataType::Dictionary(..) => {
                let parts = || {
                    let dictionary = column.as_dictionary_opt::<Int32Type>()?;
                    Some(Texts::Dictionary(dictionary.keys(), dictionary.values().as_string_opt::<i32>()?))
                };
                parts().unwrap_or(Texts::None)
            }
            _ => column.as_string_opt::<i32>().map_or(Texts::None, Texts::Plain),
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

/// A column of texts; one that is not there has none.
pub(crate) enum Texts<'a> {
    Dictionary(&'a PrimitiveArray<Int32Type>, &'a StringArray),
    Plain(&'a StringArray),
    None,
}

impl<'a> Texts<'a> {
    pub(crate) fn at(&self, at: usize) -> Option<&'a str> {
        match self {
            Texts::Dictionary(keys, values) if keys.is_valid(at) => {
                Some(values.value(usize::try_from(keys.value(at)).ok()?))
            }
            Texts::Plain(values) if values.is_valid(at) => Some(values.value(at)),
            _ => None,
        }
    }
}
