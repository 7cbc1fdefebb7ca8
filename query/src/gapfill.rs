//! `time_bucket_gapfill`: a row for every bucket of a span, also for those without rows; `locf` carries the last value into gaps,
//! `interpolate` draws a line over them. As in TimescaleDB and InfluxDB 3.
//!
//! An analyzer rule puts a [`GapFill`] over the `GROUP BY`, so that no condition on buckets wanders below it; an optimizer rule tells it the
//! span, once the conditions on time lie at the scan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Float64Array, PrimitiveArray, RecordBatch, TimestampNanosecondArray,
    UInt32Array,
};
use arrow::compute::{cast, concat_batches, partition, take};
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef, TimestampNanosecondType, UInt64Type};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ScalarValue, exec_err, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, Extension, LogicalPlan, Operator, Projection, UserDefinedLogicalNode,
    UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{AnalyzerRule, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::StreamExt;
use tsdb::ScanRequest;

use crate::calendar::Buckets;
use crate::functions::time_bucket::{TIME_BUCKET, buckets_of_call, gapfill_name, time_bucket_udf};
use crate::pushdown::time;
use crate::summary::{bucket_of, unaliased};

/// Rows of an answer with its gaps filled.
const ROWS_MAX: usize = 10_000_000;

/// What a gap gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
enum Fill {
    Last,
    Line,
}

/// What is filled: the columns of the input, then a filled copy of some.
#[derive(Debug, Clone)]
struct Filling {
    /// The column of the bucket's start, and those that rows of one group share.
    bucket: usize,
    groups: Vec<usize>,
    copies: Vec<(usize, Fill)>,
    buckets: Buckets,
    /// The first and the last time of the span.
    span: Option<(i64, i64)>,
}

/// The plan node.
#[derive(Debug, Clone)]
struct GapFill {
    input: Arc<LogicalPlan>,
    filling: Filling,
    schema: DFSchemaRef,
}

impl GapFill {
    /// What tells it from others.
    fn key(&self) -> (&LogicalPlan, String) {
        (&self.input, format!("{:?}", self.filling))
    }
}

impl PartialEq for GapFill {
    fn eq(&self, other: &GapFill) -> bool {
        self.key() == other.key()
    }
}

impl Eq for GapFill {}

impl PartialOrd for GapFill {
    fn partial_cmp(&self, other: &GapFill) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for GapFill {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl UserDefinedLogicalNodeCore for GapFill {
    fn name(&self) -> &str {
        "GapFill"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GapFill")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<GapFill> {
        let Some(input) = inputs.pop() else { return plan_err!("GapFill needs an input") };
        Ok(GapFill { input: Arc::new(input), ..self.clone() })
    }
}

/// Finds `time_bucket_gapfill` in plans.
#[derive(Debug)]
pub(crate) struct FindGaps;

impl AnalyzerRule for FindGaps {
    fn name(&self) -> &str {
        "find_gaps"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let filled = plan.transform_up_with_subqueries(|node| match &node {
            LogicalPlan::Projection(projection) => Ok(match fill_projection(projection)? {
                Some(filled) => Transformed::yes(filled),
                None => Transformed::no(node),
            }),
            _ => Ok(Transformed::no(node)),
        })?;
        Ok(filled.data)
    }
}

/// A projection over an aggregate by gapless buckets, with conditions on groups between them or not.
fn fill_projection(projection: &Projection) -> Result<Option<LogicalPlan>> {
    let Some(aggregate) = aggregate_below(&projection.input) else { return Ok(None) };
    let Some(bucket) = aggregate.group_expr.iter().position(|expr| gapless_call(expr).is_some()) else {
        return Ok(None);
    };
    let mut copies: Vec<(usize, Fill, String)> = Vec::new();
    let schema = &aggregate.schema;
    let exprs = projection.expr.iter().map(|expr| {
        let filled = expr.clone().transform_up(|part| match fill_call(&part, schema)? {
            Some((column, fill)) => {
                let name = part.schema_name().to_string();
                if !copies.iter().any(|(.., known)| *known == name) {
                    copies.push((column, fill, name.clone()));
                }
                Ok(Transformed::yes(Expr::Column(Column::from_name(name))))
            }
            None => Ok(Transformed::no(part)),
        })?;
        Ok(filled.data)
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    let filled = fill_aggregate(aggregate, bucket, copies)?;
    let input = over(&projection.input, filled)?;
    Projection::try_new_with_schema(exprs, Arc::new(input), projection.schema.clone())
        .map(|projection| Some(LogicalPlan::Projection(projection)))
}

fn aggregate_below(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        LogicalPlan::Filter(filter) => aggregate_below(&filter.input),
        _ => None,
    }
}

/// The conditions of `plan` over another input than its aggregate.
fn over(plan: &LogicalPlan, filled: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Filter(filter) => {
            plan.with_new_exprs(vec![filter.predicate.clone()], vec![over(&filter.input, filled)?])
        }
        _ => Ok(filled),
    }
}

fn gapless_call(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Alias(alias) => gapless_call(&alias.expr),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == gapfill_name() => Some(args),
        _ => None,
    }
}

/// `locf` or `interpolate` of a column.
fn fill_call(expr: &Expr, schema: &DFSchema) -> Result<Option<(usize, Fill)>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return Ok(None) };
    let fill = match func.name() {
        LOCF => Fill::Last,
        INTERPOLATE => Fill::Line,
        _ => return Ok(None),
    };
    match args.as_slice() {
        [Expr::Column(column)] => Ok(schema.maybe_index_of_column(column).map(|column| (column, fill))),
        _ => plan_err!("{}: expected an aggregate as its argument, found {}", func.name(), expr),
    }
}

/// The names of the functions that fill gaps.
pub(crate) const LOCF: &str = "locf";
pub(crate) const INTERPOLATE: &str = "interpolate";

/// Gaps filled over the aggregate, whose buckets are plain ones now.
fn fill_aggregate(aggregate: &Aggregate, bucket: usize, copies: Vec<(usize, Fill, String)>) -> Result<LogicalPlan> {
    let mut groups = aggregate.group_expr.clone();
    let Some(args) = gapless_call(&groups[bucket]).map(<[Expr]>::to_vec) else {
        return plan_err!("there is no bucket");
    };
    let Some(buckets) = buckets_of_call(&args) else {
        return plan_err!("{}: width, origin and zone have to be literals", gapfill_name());
    };
    if !matches!(&args[1], Expr::Column(column) if column.name == tsdb::TIME_COLUMN) {
        return plan_err!("{}: expected the column time, found {}", gapfill_name(), args[1]);
    }
    groups[bucket] = Expr::ScalarFunction(ScalarFunction { func: time_bucket_udf(), args });
    let plain = Aggregate::try_new(aggregate.input.clone(), groups, aggregate.aggr_expr.clone())?;
    // The names stay those of the statement.
    let columns = (0..plain.schema.fields().len()).map(|at| {
        let own = Expr::Column(Column::from(plain.schema.qualified_field(at)));
        let (qualifier, field) = aggregate.schema.qualified_field(at);
        own.alias_qualified(qualifier.cloned(), field.name())
    });
    let columns = columns.collect();
    let named =
        Projection::try_new_with_schema(columns, Arc::new(LogicalPlan::Aggregate(plain)), aggregate.schema.clone())?;
    let mut fields: Vec<_> = aggregate
        .schema
        .iter()
        .enumerate()
        .map(|(at, (qualifier, field))| {
            let is_group = at < aggregate.group_expr.len();
            let field = field.as_ref().clone().with_nullable(!is_group || field.is_nullable());
            (qualifier.cloned(), Arc::new(field))
        })
        .collect();
    for (column, _, name) in &copies {
        let field = aggregate.schema.field(*column).as_ref().clone();
        fields.push((None, Arc::new(field.with_name(name).with_nullable(true))));
    }
    let filling = Filling {
        bucket,
        groups: (0..aggregate.group_expr.len()).filter(|at| *at != bucket).collect(),
        copies: copies.into_iter().map(|(column, fill, _)| (column, fill)).collect(),
        buckets,
        span: None,
    };
    let schema = Arc::new(DFSchema::new_with_metadata(fields, aggregate.schema.metadata().clone())?);
    let node = GapFill { input: Arc::new(LogicalPlan::Projection(named)), filling, schema };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

/// Tells gaps from when until when they are filled.
#[derive(Debug)]
pub(crate) struct BoundGaps;

impl OptimizerRule for BoundGaps {
    fn name(&self) -> &'static str {
        "bound_gaps"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Extension(Extension { node }) = &plan else { return Ok(Transformed::no(plan)) };
        let Some(gaps) = node.as_any().downcast_ref::<GapFill>().filter(|gaps| gaps.filling.span.is_none()) else {
            return Ok(Transformed::no(plan));
        };
        let (from, to) = span_below(&gaps.input);
        if from == i64::MIN || to == i64::MAX {
            return Ok(Transformed::no(plan));
        }
        let mut gaps = gaps.clone();
        gaps.filling.span = Some((from, to));
        Ok(Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(gaps) })))
    }
}

/// The first and the last time that the conditions below leave to the column of the bucket; without one, the ends of time.
fn span_below(plan: &LogicalPlan) -> (i64, i64) {
    match plan {
        // The names of the statement over the aggregate.
        LogicalPlan::Projection(projection) => span_below(&projection.input),
        LogicalPlan::Aggregate(aggregate) => {
            let time = aggregate.group_expr.iter().find_map(|expr| bucketed(unaliased(expr)));
            time.map_or(ALL_TIME, |time| span_of(time, &aggregate.input))
        }
        _ => ALL_TIME,
    }
}

const ALL_TIME: (i64, i64) = (i64::MIN, i64::MAX);

/// The column that a bucket is of.
fn bucketed(expr: &Expr) -> Option<&Column> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
    match args.get(1) {
        Some(Expr::Column(column)) if func.name() == TIME_BUCKET => Some(column),
        _ => None,
    }
}

/// The times that a column of a plan can have, by the conditions on it and on what it is made of: another column, or a bucket of one.
fn span_of(column: &Column, plan: &LogicalPlan) -> (i64, i64) {
    match plan {
        LogicalPlan::TableScan(scan) => narrowed(column, &scan.filters, ALL_TIME),
        LogicalPlan::Filter(filter) => {
            narrowed(column, std::slice::from_ref(&filter.predicate), span_of(column, &filter.input))
        }
        LogicalPlan::Projection(projection) => match projection.schema.maybe_index_of_column(column) {
            Some(at) => span_of_expr(&projection.expr[at], &projection.input),
            None => ALL_TIME,
        },
        LogicalPlan::Aggregate(aggregate) => match aggregate.schema.maybe_index_of_column(column) {
            Some(at) if at < aggregate.group_expr.len() => span_of_expr(&aggregate.group_expr[at], &aggregate.input),
            _ => ALL_TIME,
        },
        LogicalPlan::SubqueryAlias(alias) => match alias.schema.maybe_index_of_column(column) {
            Some(at) => span_of(&Column::from(alias.input.schema().qualified_field(at)), &alias.input),
            None => ALL_TIME,
        },
        // What gives the rows of one input, with all its columns, or those of several side by side.
        LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Join(_) => {
            let inputs = plan.inputs();
            let own = inputs.iter().find(|input| input.schema().maybe_index_of_column(column).is_some());
            own.map_or(ALL_TIME, |input| span_of(column, input))
        }
        _ => ALL_TIME,
    }
}

fn span_of_expr(expr: &Expr, input: &LogicalPlan) -> (i64, i64) {
    match unaliased(expr) {
        Expr::Column(column) => span_of(column, input),
        bucket @ Expr::ScalarFunction(ScalarFunction { args, .. }) => {
            let (Some(Expr::Column(column)), Some(buckets)) = (args.get(1), bucket_of(bucket)) else { return ALL_TIME };
            let (from, to) = span_of(column, input);
            let start = |time: i64| match &buckets {
                tsdb::Buckets::Equal(equal) => {
                    let (time, origin, width) =
                        (i128::from(time), i128::from(equal.origin_ns), i128::from(equal.width_ns));
                    (time - (time - origin).rem_euclid(width)).max(i64::MIN.into()) as i64
                }
                tsdb::Buckets::Calendar(calendar) => (calendar.span)(time).start,
            };
            (if from == i64::MIN { from } else { start(from) }, if to == i64::MAX { to } else { start(to) })
        }
        _ => ALL_TIME,
    }
}

/// A span narrowed by the conditions on a column.
fn narrowed(column: &Column, filters: &[Expr], span: (i64, i64)) -> (i64, i64) {
    let mut request = ScanRequest { from: span.0, to: span.1, ..ScanRequest::default() };
    for part in filters.iter().flat_map(|filter| datafusion::logical_expr::utils::split_conjunction(filter)) {
        if let Some((op, value)) = compared(column, part)
            && let Some(pushed) = time(op, value)
        {
            pushed.narrow(&mut request);
        }
    }
    (request.from, request.to)
}

/// A comparison of a column with a literal.
fn compared<'a>(column: &Column, expr: &'a Expr) -> Option<(Operator, &'a ScalarValue)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let is_it = |expr: &Expr| matches!(expr, Expr::Column(own) if own.name == column.name && (own.relation == column.relation || own.relation.is_none() || column.relation.is_none()));
    match (&**left, &**right) {
        (own, Expr::Literal(value, _)) if is_it(own) => Some((*op, value)),
        (Expr::Literal(value, _), own) if is_it(own) => Some((op.swap()?, value)),
        _ => None,
    }
}

/// Plans [`GapFill`].
#[derive(Debug)]
pub(crate) struct GapPlanner;

#[async_trait]
impl ExtensionPlanner for GapPlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(gaps) = node.as_any().downcast_ref::<GapFill>() else { return Ok(None) };
        if gaps.filling.span.is_none() {
            return plan_err!(
                "{} has to know where gaps begin and end: add conditions like time >= '2026-03-01T00:00:00Z' AND time < '2026-03-02T00:00:00Z'",
                gapfill_name()
            );
        }
        let schema = gaps.schema.inner().clone();
        Ok(Some(Arc::new(GapFillExec::new(inputs[0].clone(), gaps.filling.clone(), schema))))
    }
}

/// Fills the gaps of its input, a group after the other.
#[derive(Debug)]
struct GapFillExec {
    input: Arc<dyn ExecutionPlan>,
    filling: Filling,
    properties: Arc<PlanProperties>,
}

impl GapFillExec {
    fn new(input: Arc<dyn ExecutionPlan>, filling: Filling, schema: SchemaRef) -> GapFillExec {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        GapFillExec { input, filling, properties: Arc::new(properties) }
    }
}

impl DisplayAs for GapFillExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.input.schema();
        let name = |at: &usize| schema.field(*at).name().clone();
        let groups: Vec<String> = self.filling.groups.iter().map(name).collect();
        write!(f, "GapFillExec: bucket={}, groups=[{}]", name(&self.filling.bucket), groups.join(", "))
    }
}

impl ExecutionPlan for GapFillExec {
    fn name(&self) -> &'static str {
        "GapFillExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let schema = self.input.schema();
        let by = self.filling.groups.iter().chain([&self.filling.bucket]);
        let sort = by.map(|at| PhysicalSortExpr::new_default(Arc::new(ColumnExpr::new(schema.field(*at).name(), *at))));
        vec![LexOrdering::new(sort).map(OrderingRequirements::from)]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else { return exec_err!("GapFillExec needs an input") };
        Ok(Arc::new(GapFillExec::new(input, self.filling.clone(), self.schema())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (input, filling, schema) = (self.input.clone(), self.filling.clone(), self.schema());
        let own = schema.clone();
        let stream = futures::stream::once(async move {
            let reservation = MemoryConsumer::new("GapFillExec").register(context.memory_pool());
            let input_schema = input.schema();
            let mut rows = execute_stream(input, context)?;
            let mut batches = Vec::new();
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                reservation.try_grow(batch.get_array_memory_size())?;
                batches.push(batch);
            }
            filling.fill(&concat_batches(&input_schema, &batches)?, &own)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// Where the rows of an answer come from.
#[derive(Default)]
struct Places {
    starts: Vec<i64>,
    /// The row of the bucket, if it is no gap.
    rows: Vec<Option<u32>>,
    /// A row of the group.
    group_rows: Vec<Option<u32>>,
    /// Where each group begins in the answer.
    groups: Vec<usize>,
}

impl Filling {
    /// The rows, sorted by group and bucket, with those of the gaps between them.
    fn fill(&self, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
        let places = self.places(rows)?;
        let (own, of_group) = (UInt32Array::from(places.rows.clone()), UInt32Array::from(places.group_rows.clone()));
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for (at, column) in rows.columns().iter().enumerate() {
            columns.push(if at == self.bucket {
                let starts = TimestampNanosecondArray::from(places.starts.clone());
                cast(&starts, &DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None))
                    .and_then(|starts| cast(&starts, column.data_type()))?
            } else {
                take(column, if self.groups.contains(&at) { &of_group } else { &own }, None)?
            });
        }
        for (column, fill) in &self.copies {
            let given = columns[*column].clone();
            columns.push(match fill {
                Fill::Last => places.carry(&given)?,
                Fill::Line => places.line(&given)?,
            });
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }

    fn places(&self, rows: &RecordBatch) -> Result<Places> {
        let (from, to) = self.span.ok_or_else(|| DataFusionError::Internal("gaps without a span".into()))?;
        let starts = rows.column(self.bucket).as_primitive::<TimestampNanosecondType>().values();
        let groups: Vec<ArrayRef> = self.groups.iter().map(|at| rows.column(*at).clone()).collect();
        let ranges = match groups.as_slice() {
            // Without groups, there are buckets even where there is no row.
            [] => std::iter::once(0..rows.num_rows()).collect(),
            _ if rows.num_rows() == 0 => Vec::new(),
            groups => partition(groups)?.ranges(),
        };
        let mut places = Places::default();
        for range in ranges {
            places.groups.push(places.starts.len());
            let of_group = (!range.is_empty()).then_some(range.start as u32);
            let mut row = range.start;
            let mut bucket = self.buckets.start(from);
            loop {
                let wanted = (bucket <= to && from <= to).then_some(bucket);
                // A row counts wherever it is: one off the grid, or out of the span, stands between the others.
                let own =
                    (row < range.end).then(|| starts[row]).filter(|own| wanted.is_none_or(|wanted| *own <= wanted));
                let Some(start) = own.or(wanted) else { break };
                places.starts.push(start);
                places.rows.push(own.map(|_| row as u32));
                places.group_rows.push(of_group);
                row += usize::from(own.is_some());
                if places.starts.len() > ROWS_MAX {
                    return exec_err!(
                        "{}: there are over {ROWS_MAX} buckets; expected a shorter span, wider buckets or fewer groups",
                        gapfill_name()
                    );
                }
                if wanted == Some(start) {
                    match self.buckets.next(bucket) {
                        next if next > bucket => bucket = next,
                        // The end of time.
                        _ => break,
                    }
                }
            }
        }
        places.groups.push(places.starts.len());
        Ok(places)
    }
}

impl Places {
    /// The column with its last value before a gap in the gap.
    fn carry(&self, column: &ArrayRef) -> Result<ArrayRef> {
        let mut sources: Vec<Option<u32>> = Vec::with_capacity(column.len());
        for group in self.groups.windows(2) {
            let mut last = None;
            for row in group[0]..group[1] {
                last = if column.is_valid(row) { Some(row as u32) } else { last };
                sources.push(last);
            }
        }
        Ok(take(column, &UInt32Array::from(sources), None)?)
    }

    /// The column with a straight line over each gap between two values. Whole numbers are exact, and rounded.
    fn line(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match column.data_type() {
            DataType::Int64 => Ok(self.whole_line(column.as_primitive::<Int64Type>())),
            DataType::UInt64 => Ok(self.whole_line(column.as_primitive::<UInt64Type>())),
            kind if kind.is_integer() => Ok(cast(&self.line(&cast(column, &DataType::Int64)?)?, kind)?),
            kind => {
                let numbers = cast(column, &DataType::Float64)?;
                let numbers = numbers.as_primitive::<Float64Type>();
                let line =
                    |low: f64, high: f64, part: i128, length: i128| low + (high - low) * (part as f64 / length as f64);
                let filled: Float64Array = self.drawn(numbers, line).into();
                Ok(cast(&filled, kind)?)
            }
        }
    }

    fn whole_line<P>(&self, numbers: &PrimitiveArray<P>) -> ArrayRef
    where
        P: ArrowPrimitiveType<Native: Into<i128> + TryFrom<i128>>,
    {
        let line = |low: P::Native, high: P::Native, part: i128, length: i128| {
            let (low, rise) = (low.into(), high.into() - low.into());
            // A half is rounded away from zero.
            let (whole, rest) = (rise / length * part, rise % length * part);
            let twice = 2 * rest;
            let rounded = (twice.abs() + length) / (2 * length) * twice.signum();
            P::Native::try_from(low + whole + rounded).unwrap_or_default()
        };
        Arc::new(self.drawn(numbers, line).into_iter().collect::<PrimitiveArray<P>>())
    }

    /// The values with those of gaps, from the two beside the gap, and which part of its length the gap has until there.
    fn drawn<P: ArrowPrimitiveType>(
        &self,
        numbers: &PrimitiveArray<P>,
        line: impl Fn(P::Native, P::Native, i128, i128) -> P::Native,
    ) -> Vec<Option<P::Native>> {
        let mut filled: Vec<Option<P::Native>> = numbers.iter().collect();
        for group in self.groups.windows(2) {
            let mut before: Option<usize> = None;
            for row in (group[0]..group[1]).filter(|row| numbers.is_valid(*row)) {
                if let Some(before) = before {
                    let since = |at: usize| i128::from(self.starts[at]) - i128::from(self.starts[before]);
                    let (low, high) = (numbers.value(before), numbers.value(row));
                    for (at, value) in filled[before + 1..row].iter_mut().enumerate() {
                        *value = Some(line(low, high, since(before + 1 + at), since(row)));
                    }
                }
                before = Some(row);
            }
        }
        filled
    }
}
