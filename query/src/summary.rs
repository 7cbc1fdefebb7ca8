//! Aggregates that the store answers in its scan: no batch of rows is made, groups are folded where pages are decoded.
//!
//! An optimizer rule takes `GROUP BY` over one table out of a plan, if the store can do all of it, and puts the scan of a
//! [`SummaryTable`] in its place: groups by tags and by spans of time of equal length; counts, sums, means, extremes and
//! percentiles of fields.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, NullTreatment, ScalarFunction};
use datafusion::logical_expr::{
    Aggregate as AggregateNode, Cast, Expr, LogicalPlan, LogicalPlanBuilder, Projection, TableScan, TableType,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;
use tsdb::{
    Aggregate, AggregateRequest, Aggregation, Bucket, Buckets, FieldType, Function, Groups, ScanRequest, Store,
    TIME_COLUMN,
};

use crate::calendar::{self, Width};
use crate::functions::time_bucket::{TIME_BUCKET, buckets_of_call};
use crate::once_exec::{Once, OnceExec};
use crate::parallel::{Leave, read_partitions};
use crate::pushdown::push;
use crate::scan_exec::request_text;
use crate::table::StoreTable;

/// Groups of one table, as the store makes them.
#[derive(Debug, Clone)]
pub(crate) struct Summary {
    pub store: Arc<Store>,
    pub schema_name: String,
    pub table: String,
    pub request: AggregateRequest,
    /// The columns of the answer: those of the plan, called by their numbers.
    pub schema: SchemaRef,
    /// For each of them, its place in what the store gives: the bucket if there is one, the tags, the aggregates.
    places: Vec<usize>,
}

/// A summary as a table.
#[derive(Debug)]
pub(crate) struct SummaryTable(pub Summary);

/// Puts summaries into plans.
#[derive(Debug)]
pub(crate) struct SummarizeInScan;

impl OptimizerRule for SummarizeInScan {
    fn name(&self) -> &'static str {
        "summarize_in_scan"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(node) = &plan else { return Ok(Transformed::no(plan)) };
        match Summary::of(node) {
            Some(summary) => {
                let name = name_of("summary", &(&summary.schema_name, &summary.table, &summary.request));
                in_place_of(node, &name, Arc::new(SummaryTable(summary))).map(Transformed::yes)
            }
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// A name for a scan that stands for what was asked of a table. The planner takes subqueries for one that look the same, so that it has to tell
/// questions apart.
pub(crate) fn name_of(kind: &str, question: &impl fmt::Debug) -> String {
    let mut hasher = DefaultHasher::new();
    format!("{question:?}").hash(&mut hasher);
    format!("{kind}_{:016x}", hasher.finish())
}

/// A scan of a table in the place of an aggregate; the table's columns are those of the aggregate, called by their numbers.
pub(crate) fn in_place_of(node: &AggregateNode, name: &str, table: Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    let schema = node.schema.clone();
    let scan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?.build()?;
    let column = |at: usize| {
        let (qualifier, field) = schema.qualified_field(at);
        let own = Expr::Column(Column::new(Some(TableReference::bare(name)), at.to_string()));
        own.alias_qualified(qualifier.cloned(), field.name())
    };
    let columns = (0..schema.fields().len()).map(column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(columns, Arc::new(scan), schema)?))
}

/// The columns of such a table.
pub(crate) fn schema_of(node: &AggregateNode) -> SchemaRef {
    let fields = node.schema.fields().iter().enumerate();
    let fields = fields.map(|(at, field)| Field::new(at.to_string(), field.data_type().clone(), field.is_nullable()));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

impl Summary {
    /// The aggregate as a summary, if the store can do all of it.
    fn of(node: &AggregateNode) -> Option<Summary> {
        let scan = scan_below(&node.input)?;
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<StoreTable>()?;
        let rows = rows_of(scan, table)?;
        let (mut bucket, mut by, mut places) = (None, Vec::new(), Vec::new());
        for expr in &node.group_expr {
            match unaliased(expr) {
                Expr::Column(column) if table.is_tag(&column.name) && !by.contains(&column.name) => {
                    by.push(column.name.clone());
                    places.push(Some(by.len() - 1));
                }
                other if bucket.is_none() => {
                    bucket = Some(bucket_of(other)?);
                    places.push(None);
                }
                _ => return None,
            }
        }
        let aggregates: Vec<Aggregate> =
            node.aggr_expr.iter().map(|expr| aggregate_of(unaliased(expr), table)).collect::<Option<_>>()?;
        // What the store gives: the bucket if there is one, the tags, the aggregates.
        let tags_at = usize::from(bucket.is_some());
        let places = places.into_iter().map(|place| place.map_or(0, |tag| tags_at + tag));
        let places: Vec<usize> = places.chain((0..aggregates.len()).map(|at| tags_at + by.len() + at)).collect();
        Some(Summary::new(table, AggregateRequest { rows, bucket, by, aggregates }, schema_of(node), places))
    }

    /// What is asked of a table, as columns in an order of their own.
    pub(crate) fn new(table: &StoreTable, request: AggregateRequest, schema: SchemaRef, places: Vec<usize>) -> Summary {
        let StoreTable { store, info } = table;
        let (store, schema_name, table) = (store.clone(), info.schema.clone(), info.name.clone());
        Summary { store, schema_name, table, request, schema, places }
    }

    /// Is this column the start of the bucket?
    pub(crate) fn is_bucket(&self, column: usize) -> bool {
        self.request.bucket.is_some() && self.places[column] == 0
    }

    /// Begins to read.
    pub(crate) fn start(&self) -> Result<Aggregation> {
        let aggregation = self.store.aggregate(&self.schema_name, &self.table, &self.request);
        aggregation.map_err(|error| DataFusionError::External(error.into()))
    }

    /// The groups as rows of the summary.
    pub(crate) fn batch(&self, aggregation: &Aggregation, groups: &Groups) -> Result<RecordBatch> {
        let given = aggregation.finish(groups).map_err(|error| DataFusionError::External(error.into()))?;
        let columns = self.places.iter().map(|place| given.column(*place).clone()).collect();
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// The scan that gives a plan its columns, under their own names and unchanged.
pub(crate) fn scan_below(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::SubqueryAlias(alias) => scan_below(&alias.input),
        LogicalPlan::Projection(projection) => {
            let fields = projection.schema.fields().iter();
            let is_own = |(expr, name): (&Expr, &String)| matches!(unaliased(expr), Expr::Column(column) if column.name == *name);
            let all_own = projection.expr.iter().zip(fields.map(|field| field.name())).all(is_own);
            all_own.then(|| scan_below(&projection.input))?
        }
        _ => None,
    }
}

/// The rows that a scan reads, if the store applies all of its filters.
pub(crate) fn rows_of(scan: &TableScan, table: &StoreTable) -> Option<ScanRequest> {
    let mut rows = ScanRequest::default();
    for filter in &scan.filters {
        push(filter, &|name| table.kind(name))?.narrow(&mut rows);
    }
    scan.fetch.is_none().then_some(rows)
}

pub(crate) fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == TIME_COLUMN)
}

/// `time_bucket`, `date_bin` and `date_trunc` of the time.
pub(crate) fn bucket_of(expr: &Expr) -> Option<Buckets> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    let literal = |at: usize| match args.get(at) {
        Some(Expr::Literal(value, _)) => Some(value),
        _ => None,
    };
    if !args.get(1).is_some_and(is_time) {
        return None;
    }
    match func.name() {
        TIME_BUCKET => Some(store_buckets(buckets_of_call(args)?)),
        "date_bin" => {
            let ScalarValue::IntervalMonthDayNano(Some(interval)) = literal(0)? else { return None };
            let days = i64::from(interval.days).checked_mul(DAY_NS)?;
            let origin = match (args.get(2), literal(2)) {
                (None, _) => 0,
                (_, Some(ScalarValue::TimestampNanosecond(Some(origin), _))) => *origin,
                _ => return None,
            };
            bin_buckets(days.checked_add(interval.nanoseconds).filter(|_| interval.months == 0)?, origin)
        }
        "date_trunc" => trunc_buckets(literal(0)?.try_as_str()??),
        _ => None,
    }
}

const DAY_NS: i64 = 86_400 * SECOND_NS;
const SECOND_NS: i64 = 1_000_000_000;

/// The buckets of `date_bin`.
pub(crate) fn bin_buckets(width_ns: i64, origin_ns: i64) -> Option<Buckets> {
    (width_ns > 0).then_some(Buckets::Equal(Bucket { width_ns, origin_ns }))
}

/// The buckets of `date_trunc`, by their unit.
pub(crate) fn trunc_buckets(unit: &str) -> Option<Buckets> {
    match unit {
        "second" => bin_buckets(SECOND_NS, 0),
        "minute" => bin_buckets(60 * SECOND_NS, 0),
        "hour" => bin_buckets(3600 * SECOND_NS, 0),
        "day" => bin_buckets(DAY_NS, 0),
        // The first Monday.
        "week" => bin_buckets(7 * DAY_NS, 4 * DAY_NS),
        longer => {
            let months = [("month", 1), ("quarter", 3), ("year", 12)].into_iter().find(|(name, _)| *name == longer)?.1;
            let width = Width::new(months, 0, 0).ok()?;
            Some(store_buckets(calendar::Buckets::new(width, None, None)))
        }
    }
}

/// Buckets as the store takes them.
pub(crate) fn store_buckets(buckets: calendar::Buckets) -> Buckets {
    match buckets.fixed() {
        Some((width_ns, origin_ns)) => Buckets::Equal(Bucket { width_ns, origin_ns }),
        None => Buckets::Calendar(buckets.spans()),
    }
}

/// An aggregate of a field, as the store makes it.
fn aggregate_of(expr: &Expr, table: &StoreTable) -> Option<Aggregate> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = expr else { return None };
    let AggregateFunctionParams { args, distinct: false, filter, order_by, null_treatment } = params else {
        return None;
    };
    if !filter.as_ref().is_none_or(|filter| is_true(filter)) {
        return None;
    }
    if null_treatment.is_some() {
        return edge_of(func.name(), params, table);
    }
    let of = |function, field: &str| Some(Aggregate { function, field: Some(field.to_owned()) });
    let first = args.first()?;
    match (func.name(), args.len()) {
        ("count", 1) => match first {
            Expr::Literal(value, _) if !value.is_null() => Some(Aggregate { function: Function::Count, field: None }),
            Expr::Column(column) if column.name == TIME_COLUMN => {
                Some(Aggregate { function: Function::Count, field: None })
            }
            Expr::Column(column) if table.field_type(&column.name).is_some() => of(Function::Count, &column.name),
            _ => None,
        },
        ("approx_percentile_cont", 2) => {
            let Expr::Literal(ScalarValue::Float64(Some(part)), _) = &args[1] else { return None };
            let part = match order_by.as_slice() {
                [sort] if !sort.asc => 1.0 - part,
                [_] | [] => *part,
                _ => return None,
            };
            // What is wrong is told by the function itself.
            let is_part = (0.0..=1.0).contains(&part);
            of(Function::Quantile(part), number(as_float(first), table)?).filter(|_| is_part)
        }
        (name, 1) if order_by.is_empty() => match name {
            "avg" => of(Function::Mean, number(as_float(first), table)?),
            "sum" => of(Function::Sum, number(first, table)?),
            "min" => of(Function::Min, number(first, table)?),
            "max" => of(Function::Max, number(first, table)?),
            "hdr_sketch" => of(Function::Sketch, number(as_float(first), table)?),
            _ => None,
        },
        _ => None,
    }
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

/// The first or the last value in the order of time, as `first(field, time)` and `last(field, time)` become it.
fn edge_of(name: &str, params: &AggregateFunctionParams, table: &StoreTable) -> Option<Aggregate> {
    let function = match name {
        "first_value" => Function::First,
        "last_value" => Function::Last,
        _ => return None,
    };
    let ([Expr::Column(field)], [sort], Some(NullTreatment::IgnoreNulls)) =
        (&params.args[..], &params.order_by[..], params.null_treatment)
    else {
        return None;
    };
    let is_edge = sort.asc && is_time(&sort.expr) && table.field_type(&field.name)? != FieldType::Str;
    is_edge.then(|| Aggregate { function, field: Some(field.name.clone()) })
}

/// Means and percentiles are of floats; the planner says so of integers.
fn as_float(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(Cast { expr, field }) if *field.data_type() == DataType::Float64 => expr,
        other => other,
    }
}

/// The numeric field that an expression is.
fn number<'a>(expr: &'a Expr, table: &StoreTable) -> Option<&'a str> {
    let Expr::Column(column) = expr else { return None };
    let kind = table.field_type(&column.name)?;
    matches!(kind, FieldType::F64 | FieldType::I64 | FieldType::U64).then_some(column.name.as_str())
}

#[async_trait]
impl TableProvider for SummaryTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut summary = self.0.clone();
        summary.request.rows.partitions = state.config().target_partitions();
        let aggregation = Arc::new(summary.start()?);
        Ok(Arc::new(OnceExec::new(Arc::new(Folding { summary, aggregation }), projection)?))
    }
}

/// A summary over a snapshot of its table.
#[derive(Debug)]
pub(crate) struct Folding {
    pub summary: Summary,
    pub aggregation: Arc<Aggregation>,
}

#[async_trait]
impl Once for Folding {
    fn name(&self) -> &'static str {
        "SummaryExec"
    }

    /// `table=cpu, bucket=1m, by=[hostname], aggregates=[max(usage_user)], time=...`
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AggregateRequest { rows, bucket, by, aggregates } = &self.summary.request;
        write!(f, "table={}", self.summary.table)?;
        if let Some(bucket) = bucket {
            match bucket {
                Buckets::Equal(Bucket { width_ns, .. }) => {
                    write!(f, ", bucket={:?}", std::time::Duration::from_nanos(*width_ns as u64))?;
                }
                Buckets::Calendar(calendar) => write!(f, ", bucket={}", calendar.name)?,
            }
        }
        let text = |aggregate: &Aggregate| {
            format!("{:?}({})", aggregate.function, aggregate.field.as_deref().unwrap_or("*")).to_lowercase()
        };
        let aggregates: Vec<String> = aggregates.iter().map(text).collect();
        write!(f, ", by=[{}], aggregates=[{}]{}", by.join(", "), aggregates.join(", "), request_text(rows))?;
        let rollups = self.aggregation.rollups();
        let rollups =
            rollups.iter().map(|(name, days)| format!("{name} of {days} day{}", if *days == 1 { "" } else { "s" }));
        let rollups: Vec<String> = rollups.collect();
        if rollups.is_empty() { Ok(()) } else { write!(f, ", rollups=[{}]", rollups.join(", ")) }
    }

    fn schema(&self) -> SchemaRef {
        self.summary.schema.clone()
    }

    async fn rows(&self, context: &TaskContext) -> Result<RecordBatch> {
        let groups = fold_all(self.aggregation.clone(), context).await?;
        self.summary.batch(&self.aggregation, &groups)
    }

    fn warnings(&self) -> Vec<String> {
        self.aggregation.warnings()
    }
}

/// Folds all partitions of an aggregation, within the query's memory.
async fn fold_all(aggregation: Arc<Aggregation>, context: &TaskContext) -> Result<Groups> {
    let own = aggregation.clone();
    let fold = move |partition: usize, leave: &Leave| -> Result<Groups> {
        let refused = std::cell::Cell::new(None);
        let go_on = |bytes: usize| leave.ask(bytes).map_err(|error| refused.set(Some(error))).is_ok();
        let groups = own.fold(partition, go_on).map_err(|error| DataFusionError::External(error.into()))?;
        groups.ok_or_else(|| refused.take().expect("only a refusal ends it early"))
    };
    let parts = read_partitions((aggregation.partitions(), aggregation.rows_max()), context, fold).await?;
    let merged = parts.into_iter().reduce(|mut all, groups| {
        all.merge(groups);
        all
    });
    Ok(merged.expect("a scan has partitions"))
}
