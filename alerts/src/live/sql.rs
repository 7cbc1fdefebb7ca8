//! What statements in SQL find, as series.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, RecordBatch};
use arrow_cast::cast;
use arrow_schema::DataType;
use promql::base::labels::Labels;

/// Answers statements over the store.
pub trait Sql: std::fmt::Debug + Send + Sync {
    /// The rows of a statement over the schema `public`, whose `now()` is a time in milliseconds. Waits for them.
    ///
    /// # Errors
    ///
    /// Why there is no answer, or none that is whole.
    fn rows(&self, statement: &str, at_ms: i64) -> Result<Vec<RecordBatch>, String>;
}

/// The column that is compared with bounds.
const VALUE: &str = "value";

/// The series of rows: `value`, by the columns of texts.
pub(super) fn values_of(rows: &RecordBatch) -> Result<Vec<(Labels, Option<f64>)>, String> {
    let (mut texts, mut value) = (Vec::new(), None);
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        let name = field.name();
        let cast = |to: &DataType| cast(column, to).map_err(|error| format!("column '{name}': {error}"));
        match column.data_type() {
            _ if name == VALUE => {
                let is_number =
                    column.data_type().is_numeric() || matches!(column.data_type(), DataType::Boolean | DataType::Null);
                if !is_number {
                    return Err(format!("column 'value': expected numbers, found {}", column.data_type()));
                }
                value = Some(cast(&DataType::Float64)?);
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
                texts.push((name.as_str(), cast(&DataType::Utf8)?));
            }
            other => {
                return Err(format!(
                    "column '{name}': expected 'value' and columns of texts, found {other}: leave it out, or CAST({name} AS VARCHAR)"
                ));
            }
        }
    }
    let value = value.ok_or("the statement has no column 'value'")?;
    let value = value.as_primitive::<Float64Type>();
    let row = |at: usize| {
        let own = texts.iter().filter(|(_, column)| column.is_valid(at));
        let labels = Labels::new(own.map(|(name, column)| (*name, column.as_string::<i32>().value(at))));
        (labels, value.is_valid(at).then(|| value.value(at)))
    };
    Ok((0..rows.num_rows()).map(row).collect())
}
