//! `lag(x) OVER (PARTITION BY tags ORDER BY time)`, where the tags tell series apart: the value of the row before, in
//! the same series.
//!
//! The store gives whole series in the order of time, so that nothing has to be sorted: an optimizer rule puts a scan
//! with one column more in the place of the window.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{Field, Int32Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
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
use tsdb::{ScanRequest, TIME_COLUMN, TagPredicate};

use super::plans::{name_of, rows_of, scan_below};
use crate::exec::lagging::Lag;
use crate::exec::scan_exec::ScanExec;
use crate::functions::bucket_calls::unaliased;
use crate::tables::store_table::StoreTable;

/// So many series that share values are looked at, whether they are read at all.
const LOOKED_AT_MAX: usize = 64;
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
        let StoreTable { info: _, .. } = &*table.table;
        let own = name_of(LAGGING);
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
        let is_taken = table.info.columns.field_with_name(LAGGING).is_ok();
        if !by_time
            || is_taken
            || args.len() > 2
            || table.field_type(&of.name).is_none()
            || !tells_apart(table, &rows, &partition)
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
    let Ok((newest, _)) = store.last_rows(&info.schema, &info.name, Some(&info.tags), &rows.tags) else { return false };
    let tags: Vec<_> = newest.columns().iter().map(AsArray::as_dictionary::<Int32Type>).collect();
    let mut groups: HashMap<Vec<Option<usize>>, Vec<usize>> = HashMap::new();
    for row in 0..newest.num_rows() {
        groups.entry(partition.iter().map(|at| tags[*at].key(row)).collect()).or_default().push(row);
    }
    groups.retain(|_, series| series.len() > 1);
    // Series of other times may have what values they like, as far as pages say which times those are.
    let is_read = |row: &usize| {
        let own = info.tags.iter().zip(&tags).map(|(name, tag)| match tag.key(*row) {
            Some(key) => TagPredicate::In(name.clone(), vec![tag.values().as_string::<i32>().value(key).into()]),
            None => TagPredicate::IsNull(name.clone()),
        });
        let request = ScanRequest { columns: Some(vec![TIME_COLUMN.into()]), tags: own.collect(), ..rows.clone() };
        store.scan(&info.schema, &info.name, &request).map_or(true, |scan| scan.rows_max() > 0)
    };
    groups.values().map(Vec::len).sum::<usize>() <= LOOKED_AT_MAX
        && groups.values().all(|series| series.iter().filter(|row| is_read(row)).count() <= 1)
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
        // What is not known before the plan runs stays above, and what is about tags, which are looked up for the
        // answer only.
        let stays = |part: &Expr| match part {
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..) => true,
            Expr::Column(column) => self.table.is_tag(&column.name),
            _ => false,
        };
        let support = |filter: &&Expr| match filter.exists(|part| Ok(stays(part))) {
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
        // What is read: what lags behind, what conditions are on, what else is wanted of the table, and the tags that
        // tell series apart.
        let mut columns = vec![self.of.clone()];
        let of_filters = filters.iter().flat_map(Expr::column_refs).map(|column| &column.name);
        let of_answer = wanted.iter().map(|at| self.schema.field(*at).name());
        let partition: Vec<String> = self.partition.iter().map(|at| info.tags[*at].clone()).collect();
        for name in of_filters.chain(of_answer).chain(&partition) {
            if !columns.contains(name) && name != LAGGING {
                columns.push(name.clone());
            }
        }
        let mut request = self.rows.clone();
        request.columns = Some(columns);
        (request.whole_series, request.partitions) = (true, state.config().target_partitions());
        let scan = self.table.store.scan(&info.schema, &info.name, &request);
        let scan = scan.map_err(|error| DataFusionError::External(error.into()))?;
        let schema = scan.schema();
        let read = schema.fields().iter().filter(|field| !self.table.is_tag(field.name())).cloned();
        let read = Arc::new(Schema::new(read.collect::<Vec<_>>()));
        let lagging = self.schema.field(self.schema.fields().len() - 1).clone();
        let with_lag = read.fields().iter().cloned().chain([Arc::new(lagging)]);
        let with_lag = Arc::new(Schema::new(with_lag.collect::<Vec<_>>()));
        let is_on_lag = |filter: &&Expr| filter.column_refs().iter().any(|column| column.name == LAGGING);
        let (on_lag, on_row): (Vec<_>, Vec<_>) = filters.iter().partition(is_on_lag);
        let lag = Lag {
            partition,
            on_row: condition(state, on_row, &read)?,
            on_lag: condition(state, on_lag, &with_lag)?,
            with_lag,
            schema: Arc::new(self.schema.project(wanted)?),
        };
        Ok(Arc::new(ScanExec::new(info.name.clone(), request, None, scan, Some(Arc::new(lag)))))
    }
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
