//! `lag(x) OVER (PARTITION BY tags ORDER BY time)`, where the tags tell series apart: the value of the row before, in the same series.
//!
//! The store gives whole series in the order of time, so that nothing has to be sorted: an optimizer rule puts a scan with one column more in the
//! place of the window.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array,
};
use arrow::compute::{filter_record_batch, interleave, take_record_batch};
use arrow::datatypes::{Field, Int32Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference, exec_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Projection, TableProviderFilterPushDown, TableType, Window,
    WindowFunctionDefinition,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use tsdb::{ScanRequest, TIME_COLUMN};

use crate::scan_exec::ScanExec;
use crate::series_runs::series_runs;
use crate::summary::{name_of, rows_of, scan_below, unaliased};
use crate::table::StoreTable;

/// The column with the values of the row before.
const LAGGING: &str = "lagging";

/// Puts lags into scans.
#[derive(Debug)]
pub(crate) struct LagInScan;

impl OptimizerRule for LagInScan {
    fn name(&self) -> &'static str {
        "lag_in_scan"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Window(window) = &plan else { return Ok(Transformed::no(plan)) };
        let Some(table) = LagTable::of(window) else { return Ok(Transformed::no(plan)) };
        let StoreTable { info, .. } = &*table.table;
        let own = name_of(LAGGING, &(&info.schema, &info.name, &table.rows, &table.of, &table.partition));
        let scan = LogicalPlanBuilder::scan(&own, provider_as_source(Arc::new(table)), None)?.build()?;
        let schema = window.schema.clone();
        let last = schema.fields().len() - 1;
        let column = |at: usize| {
            let (qualifier, field) = schema.qualified_field(at);
            let name = if at == last { LAGGING } else { field.name() };
            let column = Expr::Column(Column::new(Some(TableReference::bare(own.as_str())), name));
            column.alias_qualified(qualifier.cloned(), field.name())
        };
        let columns = (0..=last).map(column).collect();
        let named = Projection::try_new_with_schema(columns, Arc::new(scan), schema)?;
        Ok(Transformed::yes(LogicalPlan::Projection(named)))
    }
}

/// A table with a column more: what another one was in the row before.
#[derive(Debug)]
struct LagTable {
    table: Arc<StoreTable>,
    rows: ScanRequest,
    /// The column that lags behind.
    of: String,
    /// The places of the tags that are enough to tell series apart.
    partition: Vec<usize>,
    schema: SchemaRef,
}

impl LagTable {
    fn of(window: &Window) -> Option<LagTable> {
        let scan = scan_below(&window.input)?;
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<StoreTable>()?;
        let rows = rows_of(scan, table)?;
        let [expr] = &window.window_expr[..] else { return None };
        let Expr::WindowFunction(function) = unaliased(expr) else { return None };
        let WindowFunction { fun: WindowFunctionDefinition::WindowUDF(fun), params } = &**function else { return None };
        let WindowFunctionParams {
            args,
            partition_by,
            order_by,
            filter: None,
            null_treatment: None,
            distinct: false,
            ..
        } = params
        else {
            return None;
        };
        let is_one = |arg: &Expr| matches!(arg, Expr::Literal(ScalarValue::Int64(Some(1)), _));
        let (Expr::Column(of), true) = (args.first()?, fun.name() == "lag" && args[1..].iter().all(is_one)) else {
            return None;
        };
        let place = |expr: &Expr| match expr {
            Expr::Column(column) => table.info.tags.iter().position(|tag| *tag == column.name),
            _ => None,
        };
        let partition: Vec<usize> = partition_by.iter().map(place).collect::<Option<_>>()?;
        let by_time = match order_by.as_slice() {
            [sort] => sort.asc && matches!(&sort.expr, Expr::Column(column) if column.name == TIME_COLUMN),
            _ => false,
        };
        let field = table.info.columns.field_with_name(&of.name).ok()?;
        if !by_time || args.len() > 2 || table.field_type(&of.name).is_none() || !tells_apart(table, &rows, &partition)
        {
            return None;
        }
        let lagging = Field::new(LAGGING, field.data_type().clone(), true);
        let fields = table.info.columns.fields().iter().cloned().chain([Arc::new(lagging)]);
        Some(LagTable {
            table: Arc::new(StoreTable { store: table.store.clone(), info: table.info.clone() }),
            rows,
            of: of.name.clone(),
            partition,
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        })
    }
}

/// Has each of the series that are read values of its own in these tags?
fn tells_apart(table: &StoreTable, rows: &ScanRequest, partition: &[usize]) -> bool {
    let StoreTable { store, info } = table;
    if info.tags.iter().enumerate().all(|(at, _)| partition.contains(&at)) {
        return true;
    }
    let columns: Vec<String> = partition.iter().map(|at| info.tags[*at].clone()).collect();
    let Ok((newest, _)) = store.last_rows(&info.schema, &info.name, Some(&columns), &rows.tags) else { return false };
    let tags: Vec<_> = newest.columns().iter().map(AsArray::as_dictionary::<Int32Type>).collect();
    let mut known = HashSet::new();
    (0..newest.num_rows()).all(|row| known.insert(tags.iter().map(|tag| tag.key(row)).collect::<Vec<_>>()))
}

#[async_trait]
impl TableProvider for LagTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    /// Conditions on the row and the one before: few rows meet them, where a state changes.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // What is not known before the plan runs stays above.
        let is_later = |part: &Expr| {
            matches!(
                part,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..)
            )
        };
        let support = |filter: &&Expr| match filter.exists(|part| Ok(is_later(part))) {
            Ok(false) => TableProviderFilterPushDown::Exact,
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let info = &self.table.info;
        // What is read: the tags, what lags behind, what conditions are on, and what else is wanted of the table.
        let mut columns: Vec<String> = info.tags.clone();
        columns.push(self.of.clone());
        for name in filters.iter().flat_map(Expr::column_refs).map(|column| &column.name) {
            if !columns.contains(name) && name != LAGGING {
                columns.push(name.clone());
            }
        }
        let mut places = Vec::with_capacity(wanted.len());
        for at in wanted {
            let name = self.schema.field(*at).name();
            places.push(match columns.iter().position(|column| column == name) {
                _ if *at == self.schema.fields().len() - 1 => None,
                Some(place) => Some(place),
                None => {
                    columns.push(name.clone());
                    Some(columns.len() - 1)
                }
            });
        }
        let mut request = self.rows.clone();
        request.columns = Some(columns);
        (request.whole_series, request.partitions) = (true, state.config().target_partitions());
        let scan = self.table.store.scan(&info.schema, &info.name, &request);
        let scan = scan.map_err(|error| DataFusionError::External(error.into()))?;
        let lagging = self.schema.field(self.schema.fields().len() - 1).clone();
        let read = scan.schema();
        let with_lag = read.fields().iter().cloned().chain([Arc::new(lagging)]);
        let with_lag = Arc::new(Schema::new(with_lag.collect::<Vec<_>>()));
        let is_on_lag = |filter: &&Expr| filter.column_refs().iter().any(|column| column.name == LAGGING);
        let (on_lag, on_row): (Vec<_>, Vec<_>) = filters.iter().partition(is_on_lag);
        let lag = Lag {
            tags: info.tags.len(),
            partition: self.partition.clone(),
            on_row: condition(state, on_row, &read)?,
            on_lag: condition(state, on_lag, &with_lag)?,
            with_lag,
            places,
            schema: Arc::new(self.schema.project(wanted)?),
        };
        Ok(Arc::new(ScanExec::new(info.name.clone(), request, None, scan, Some(Arc::new(lag)))))
    }
}

/// How batches of tags and other columns become those of the answer.
#[derive(Debug)]
pub(crate) struct Lag {
    /// So many tags come first; what lags behind follows them.
    tags: usize,
    partition: Vec<usize>,
    /// What has to hold of a row, as far as the one before has nothing to do with it; and the rest.
    on_row: Option<Arc<dyn PhysicalExpr>>,
    on_lag: Option<Arc<dyn PhysicalExpr>>,
    /// The columns that are read and the one that lags behind.
    with_lag: SchemaRef,
    /// For each column of the answer its place, nothing for the one that lags behind.
    places: Vec<Option<usize>>,
    pub schema: SchemaRef,
}

/// Conditions that all have to hold, over these columns, whatever table they name.
fn condition(state: &dyn Session, filters: Vec<&Expr>, schema: &SchemaRef) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let unqualified = |expr: Expr| match expr {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    };
    let Some(all) = filters.into_iter().cloned().reduce(Expr::and) else { return Ok(None) };
    let all = all.transform(unqualified)?.data;
    state.create_physical_expr(all, &DFSchema::try_from(schema.clone())?).map(Some)
}

/// The rows of a batch for which something holds.
fn holding(condition: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let holds = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    Ok(holds.as_boolean().clone())
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("with the row before")?;
        let conditions: Vec<String> = self.on_row.iter().chain(&self.on_lag).map(ToString::to_string).collect();
        if conditions.is_empty() { Ok(()) } else { write!(f, " where {}", conditions.join(" AND ")) }
    }
}

/// The values of tags, by their numbers in the scan's dictionaries.
type Codes = Vec<Option<usize>>;

/// The last value of each series so far; of each partition, the series that it is.
#[derive(Debug, Default)]
pub(crate) struct Before {
    values: HashMap<Codes, ArrayRef>,
    series: HashMap<Codes, Codes>,
}

impl Lag {
    /// The answer's batch; batches of a series come in the order of time.
    pub(crate) fn apply(&self, batch: &RecordBatch, before: &mut Before) -> Result<RecordBatch> {
        let rows: Vec<usize> = match &self.on_row {
            None => (0..batch.num_rows()).collect(),
            Some(condition) => holding(condition, batch)?
                .iter()
                .enumerate()
                .filter(|(_, holds)| *holds == Some(true))
                .map(|(row, _)| row)
                .collect(),
        };
        let lagging = self.lagging(batch, &rows, before)?;
        let few = rows.len() < batch.num_rows();
        let picks = few.then(|| UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64)));
        let mut whole = match picks {
            Some(picks) => take_record_batch(batch, &picks)?.columns().to_vec(),
            None => batch.columns().to_vec(),
        };
        whole.push(lagging);
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let mut whole = RecordBatch::try_new_with_options(self.with_lag.clone(), whole, &options)?;
        if let Some(condition) = &self.on_lag {
            whole = filter_record_batch(&whole, &holding(condition, &whole)?)?;
        }
        let last = whole.num_columns() - 1;
        let columns = self.places.iter().map(|place| whole.column(place.unwrap_or(last)).clone()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(whole.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    /// The values of the rows before these, which are in order.
    fn lagging(&self, batch: &RecordBatch, rows: &[usize], before: &mut Before) -> Result<ArrayRef> {
        let tags: Vec<_> = batch.columns()[..self.tags].iter().map(AsArray::as_dictionary::<Int32Type>).collect();
        let values = batch.column(self.tags);
        // What came before the first row of each run, and for each row which of these arrays has its value, and where.
        let mut firsts: Vec<ArrayRef> = vec![values.clone()];
        let (mut places, mut rest) = (Vec::with_capacity(rows.len()), rows);
        for run in series_runs(&tags, batch.num_rows()) {
            let series: Codes = tags.iter().map(|tag| tag.key(run.start)).collect();
            let partition = self.partition.iter().map(|at| series[*at]).collect();
            if *before.series.entry(partition).or_insert_with(|| series.clone()) != series {
                return exec_err!(
                    "a series came to one that was alone in its PARTITION BY while the query was planned; ask again"
                );
            }
            let last = before.values.insert(series, values.slice(run.end - 1, 1));
            let (own, others) = rest.split_at(rest.partition_point(|row| *row < run.end));
            rest = others;
            for row in own {
                places.push(if *row > run.start { (0, row - 1) } else { (firsts.len(), 0) });
            }
            if own.first() == Some(&run.start) {
                firsts.push(last.unwrap_or_else(|| new_null_array(values.data_type(), 1)));
            }
        }
        Ok(interleave(&firsts.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &places)?)
    }
}
