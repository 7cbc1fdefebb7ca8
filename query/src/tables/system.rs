//! The schema `system`: what the server itself is made of, as tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array};
use arrow::error::ArrowError;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use tsdb::{Part, Store};

use crate::tables::rollups;

/// The schema's name.
pub(crate) const SYSTEM_SCHEMA: &str = "system";
const SEGMENTS: &str = "segments";
const ROLLUPS: &str = "rollups";

/// Its tables, made anew for every statement.
#[derive(Debug)]
pub(crate) struct SystemSchema {
    pub store: Arc<Store>,
    /// Tables of the program around the engine.
    pub others: Arc<[SystemTable]>,
}

/// A table that the program around the engine fills, anew for every statement.
#[derive(Clone)]
pub struct SystemTable {
    /// Its name in the schema `system`.
    pub name: &'static str,
    /// Its rows now.
    pub rows: Arc<dyn Fn() -> Result<RecordBatch, ArrowError> + Send + Sync>,
}

impl std::fmt::Debug for SystemTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        [SEGMENTS, ROLLUPS].into_iter().chain(self.others.iter().map(|table| table.name)).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let other = self.others.iter().find(|table| table.name == name);
        let rows = match other {
            Some(table) => (table.rows)()?,
            None if name == SEGMENTS => segments(&self.store.parts())?,
            None if name == ROLLUPS => rollups::rows(&self.store.rollups())?,
            None => return Ok(None),
        };
        Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}

/// One row for each table and day of a segment or rolled day, and for each table of a head.
fn segments(parts: &[Part]) -> Result<RecordBatch> {
    let texts =
        |text: fn(&Part) -> Option<String>| -> ArrayRef { Arc::new(parts.iter().map(text).collect::<StringArray>()) };
    let numbers =
        |number: fn(&Part) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(parts.iter().map(number))) };
    let times = |time: fn(&Part) -> i64| -> ArrayRef {
        Arc::new(TimestampNanosecondArray::from_iter_values(parts.iter().map(time)).with_timezone("UTC"))
    };
    let generations = parts.iter().map(|part| part.generation.map(|generation| generation as i32));
    Ok(RecordBatch::try_from_iter_with_nullable([
        ("kind", texts(|part| Some(part.kind.into())), false),
        ("table_schema", texts(|part| Some(part.schema.clone())), false),
        ("table_name", texts(|part| Some(part.table.clone())), false),
        ("day", texts(|part| part.day.clone()), true),
        ("rows", numbers(|part| part.rows), false),
        ("bytes", numbers(|part| part.bytes), false),
        ("first_time", times(|part| part.times.0), false),
        ("last_time", times(|part| part.times.1), false),
        ("number", numbers(|part| part.number), false),
        ("generation", Arc::new(generations.collect::<Int32Array>()), true),
        ("damaged_pages", numbers(|part| part.damaged_pages), false),
        ("path", texts(|part| part.path.as_ref().map(|path| path.display().to_string())), true),
    ])?)
}
