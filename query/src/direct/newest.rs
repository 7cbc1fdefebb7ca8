//! The newest row of every group of tags, from the rows that the store keeps in memory for that.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::array::{AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Int32Type, SchemaRef, TimestampNanosecondType};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use tsdb::{ScanRequest, Store, TIME_COLUMN};

use crate::exec::once_exec::Once;
use crate::exec::scan_exec::request_text;
use crate::tables::store_table::StoreTable;

/// The newest rows of a table by tags.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    pub store: Arc<Store>,
    pub schema_name: String,
    pub table: String,
    /// Conditions on tags, and the columns that are needed: the time, the tags of the groups, and those of the answer.
    pub rows: ScanRequest,
    /// How many tags divide the groups; their columns come behind the time.
    pub by: usize,
    /// The columns of the answer: those of the plan, called by their numbers.
    pub schema: SchemaRef,
    /// For each of them, its place among the columns.
    pub places: Vec<usize>,
    /// What is missing from what was read.
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Newest {
    /// Of each group of tags some columns of its newest row.
    pub(crate) fn new(
        table: &StoreTable,
        rows: ScanRequest,
        tags: &[String],
        columns: &[String],
        schema: SchemaRef,
    ) -> Newest {
        let mut read: Vec<String> = std::iter::once(TIME_COLUMN.to_owned()).chain(tags.iter().cloned()).collect();
        let place = |column: &String| {
            read.iter().position(|known| known == column).unwrap_or_else(|| {
                read.push(column.clone());
                read.len() - 1
            })
        };
        let places = columns.iter().map(place).collect();
        Newest::reading(table, rows, read, tags.len(), schema, places)
    }

    /// With what is read: the time, the tags of the groups, other columns.
    pub(crate) fn reading(
        table: &StoreTable,
        rows: ScanRequest,
        columns: Vec<String>,
        by: usize,
        schema: SchemaRef,
        places: Vec<usize>,
    ) -> Newest {
        Newest {
            store: table.store.clone(),
            schema_name: table.info.schema.clone(),
            table: table.info.name.clone(),
            rows: ScanRequest { columns: Some(columns), ..rows },
            by,
            schema,
            places,
            warnings: Arc::default(),
        }
    }
}

#[async_trait]
impl Once for Newest {
    fn name(&self) -> &'static str {
        "NewestExec"
    }

    /// `table=cpu, by=[hostname], tags=[...]`
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.rows.columns.as_deref().unwrap_or_default();
        let by = by[1..=self.by].join(", ");
        write!(f, "table={}, by=[{by}]{}", self.table, request_text(&self.rows))
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn rows(&self, _: &TaskContext) -> Result<RecordBatch> {
        let ScanRequest { columns, tags, .. } = &self.rows;
        let read = self.store.last_rows(&self.schema_name, &self.table, columns.as_deref(), tags);
        let (rows, warnings) = read.map_err(|error| DataFusionError::External(error.into()))?;
        *self.warnings.lock().expect("nothing panics while it holds the warnings") = warnings;
        let times = rows.column(0).as_primitive::<TimestampNanosecondType>();
        let tags: Vec<_> = (1..=self.by).map(|at| rows.column(at).as_dictionary::<Int32Type>()).collect();
        let mut newest: HashMap<Vec<Option<usize>>, usize> = HashMap::new();
        for row in 0..rows.num_rows() {
            let group = tags.iter().map(|tag| tag.key(row)).collect();
            let known = newest.entry(group).or_insert(row);
            if times.value(row) > times.value(*known) {
                *known = row;
            }
        }
        let mut picks: Vec<Option<u32>> = newest.into_values().map(|row| Some(row as u32)).collect();
        picks.sort_unstable();
        if self.by == 0 && picks.is_empty() {
            // What is asked of all rows together has an answer where there are none.
            picks.push(None);
        }
        let picks = UInt32Array::from(picks);
        let columns = self.places.iter().map(|place| Ok(take(rows.column(*place), &picks, None)?));
        let columns = columns.collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().expect("nothing panics while it holds the warnings").clone()
    }
}
