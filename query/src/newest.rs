//! The newest row of every group of tags, from the rows that the store keeps in memory for that.
//!
//! An optimizer rule finds it in plans as `DISTINCT ON (tag) ... ORDER BY tag, time DESC` becomes it, and as `first_value(.. ORDER BY time
//! DESC)` or `last_value(.. ORDER BY time)` of each column says it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use arrow::array::{AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Int32Type, SchemaRef, TimestampNanosecondType};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, Sort};
use datafusion::logical_expr::{Aggregate as AggregateNode, Expr, LogicalPlan, TableType};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use tsdb::{ScanRequest, Store, TIME_COLUMN};

use crate::once_exec::{Once, OnceExec};
use crate::scan_exec::request_text;
use crate::summary::{in_place_of, name_of, rows_of, scan_below, schema_of, unaliased};
use crate::table::StoreTable;

/// The newest rows of a table by tags.
#[derive(Debug, Clone)]
pub(crate) struct Newest {
    pub store: Arc<Store>,
    pub schema_name: String,
    pub table: String,
    /// Conditions on tags, and the columns that are needed: the time, the tags of the groups, and those of the answer.
    pub rows: ScanRequest,
    /// How many tags divide the groups; their columns come behind the time.
    by: usize,
    /// The columns of the answer: those of the plan, called by their numbers.
    pub schema: SchemaRef,
    /// For each of them, its place among the columns.
    places: Vec<usize>,
    /// What is missing from what was read.
    warnings: Arc<Mutex<Vec<String>>>,
}

/// Newest rows as a table.
#[derive(Debug)]
pub(crate) struct NewestTable(pub Newest);

/// Puts newest rows into plans.
#[derive(Debug)]
pub(crate) struct KnowNewest;

impl OptimizerRule for KnowNewest {
    fn name(&self) -> &'static str {
        "know_newest"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(node) = &plan else { return Ok(Transformed::no(plan)) };
        match Newest::of(node) {
            Some(newest) => {
                let name = name_of("newest", &(&newest.schema_name, &newest.table, &newest.rows, &newest.places));
                in_place_of(node, &name, Arc::new(NewestTable(newest))).map(Transformed::yes)
            }
            None => Ok(Transformed::no(plan)),
        }
    }
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
    fn reading(
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

    fn of(node: &AggregateNode) -> Option<Newest> {
        let scan = scan_below(&node.input)?;
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<StoreTable>()?;
        let rows = rows_of(scan, table)
            .filter(|rows| (rows.from, rows.to) == (i64::MIN, i64::MAX) && rows.fields.is_empty())?;
        let mut columns = vec![TIME_COLUMN.to_owned()];
        let mut places = Vec::new();
        for expr in &node.group_expr {
            let Expr::Column(column) = unaliased(expr) else { return None };
            if !table.is_tag(&column.name) || columns.contains(&column.name) {
                return None;
            }
            columns.push(column.name.clone());
            places.push(columns.len() - 1);
        }
        let by = columns.len() - 1;
        for expr in &node.aggr_expr {
            let name = of_newest(unaliased(expr), &columns[1..=by])?;
            let place = columns.iter().position(|known| known == name).unwrap_or_else(|| {
                columns.push(name.to_owned());
                columns.len() - 1
            });
            places.push(place);
        }
        let newest = Newest::reading(table, rows, columns, by, schema_of(node), places);
        (newest.places.len() > by).then_some(newest)
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

/// The column whose value in the newest row an aggregate is, in groups of these tags.
fn of_newest<'a>(expr: &'a Expr, by: &[String]) -> Option<&'a str> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    let AggregateFunctionParams { args, distinct: false, filter: None, order_by, null_treatment: None } = params else {
        return None;
    };
    let (newest_first, [Expr::Column(column)]) = (func.name() == "first_value", &args[..]) else { return None };
    if !newest_first && func.name() != "last_value" {
        return None;
    }
    // Within a group its tags are all the same.
    let is_tag = |sort: &&Sort| matches!(&sort.expr, Expr::Column(column) if by.contains(&column.name));
    match order_by.iter().filter(|sort| !is_tag(sort)).collect::<Vec<_>>()[..] {
        [Sort { expr: Expr::Column(time), asc, .. }] if time.name == TIME_COLUMN && *asc != newest_first => {
            Some(&column.name)
        }
        _ => None,
    }
}

#[async_trait]
impl TableProvider for NewestTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(OnceExec::new(Arc::new(self.0.clone()), projection)?))
    }
}
