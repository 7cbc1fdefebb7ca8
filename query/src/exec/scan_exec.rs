//! The plan node that reads the store.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, Statistics, StatisticsArgs,
};
use tsdb::{Scan, ScanRequest, TIME_COLUMN};

use crate::exec::dynamic_filter::{apply, is_dynamic, times};
use crate::exec::lagging::{Before, Lag};

/// Reads a snapshot of one table, narrowed to what the query needs.
#[derive(Debug, Clone)]
pub(crate) struct ScanExec {
    table: String,
    request: ScanRequest,
    limit: Option<usize>,
    pub scan: Arc<Scan>,
    /// A column of the row before, if one is wanted.
    lag: Option<Arc<Lag>>,
    /// What else is known to be needless once the query runs.
    dynamic: Vec<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    pub(crate) fn new(
        table: String,
        request: ScanRequest,
        limit: Option<usize>,
        scan: Scan,
        lag: Option<Arc<Lag>>,
    ) -> ScanExec {
        let schema = lag.as_ref().map_or_else(|| scan.schema(), |lag| lag.schema.clone());
        let in_time_order = scan.is_in_time_order().then(|| time_order(&schema)).flatten();
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, in_time_order),
            Partitioning::UnknownPartitioning(scan.partitions()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (properties, metrics) = (Arc::new(properties), ExecutionPlanMetricsSet::new());
        ScanExec { table, request, limit, scan: Arc::new(scan), lag, dynamic: Vec::new(), properties, metrics }
    }
}

/// The order of rows by time, if that is among the columns.
fn time_order(schema: &Schema) -> Option<LexOrdering> {
    let time = schema.index_of(TIME_COLUMN).ok()?;
    LexOrdering::new([PhysicalSortExpr::new_default(Arc::new(Column::new(TIME_COLUMN, time)))])
}

impl ScanExec {
    /// The batches of a partition, without days that are known to be needless by the time they are reached.
    fn batches(&self, partition: usize) -> Box<dyn Iterator<Item = Result<RecordBatch>> + Send> {
        let external = |error: tsdb::Error| DataFusionError::External(error.into());
        if let Some(lag) = self.lag.clone() {
            // All days: a row may be the one before another that is wanted.
            let (scan, mut before) = (self.scan.clone(), Before::default());
            let rows = self.scan.read_untagged(partition);
            return Box::new(rows.map(move |rows| lag.apply(&scan, &rows.map_err(external)?, &mut before)));
        }
        let dynamic = self.dynamic.clone();
        let days = self.scan.read_spans(partition).flat_map(move |((from, to), batches)| {
            let (batches, error) = match times(&dynamic) {
                Ok((first, last)) => ((first <= to && from <= last).then_some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            batches.into_iter().flatten().map(move |batch| batch.map_err(external)).chain(error)
        });
        Box::new(days)
    }
}

impl DisplayAs for ScanExec {
    /// `ScanExec: table=probe, columns=[up], time=2026-01-01T00:00:00Z..=*, tags=[target = portal]`
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.request.columns.as_ref().map_or_else(|| "*".into(), |columns| columns.join(", "));
        write!(f, "ScanExec: table={}, columns=[{columns}]{}", self.table, request_text(&self.request))?;
        self.lag.iter().try_for_each(|lag| write!(f, ", {lag}"))?;
        self.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))?;
        self.dynamic.iter().try_for_each(|filter| write!(f, ", dynamic=[{filter}]"))
    }
}

/// Which rows a request wants, for plans: nothing if all.
pub(crate) fn request_text(request: &ScanRequest) -> String {
    let mut text = String::new();
    let (from, to) = (request.from, request.to);
    if (from, to) != (i64::MIN, i64::MAX) {
        text.push_str(&format!(", time={}..={}", Instant(from), Instant(to)));
    }
    if !request.tags.is_empty() {
        let tags: Vec<_> = request.tags.iter().map(ToString::to_string).collect();
        text.push_str(&format!(", tags=[{}]", tags.join(" and ")));
    }
    if !request.fields.is_empty() {
        let fields: Vec<_> = request.fields.iter().map(ToString::to_string).collect();
        text.push_str(&format!(", fields=[{}]", fields.join(" AND ")));
    }
    text
}

/// A time in a plan, as people write it.
struct Instant(i64);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            i64::MIN | i64::MAX => f.write_str("*"),
            ns => match arrow::temporal_conversions::timestamp_ns_to_datetime(ns) {
                Some(time) => write!(f, "{}Z", time.format("%Y-%m-%dT%H:%M:%S%.f")),
                None => write!(f, "{ns} ns"),
            },
        }
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.dynamic.iter().try_fold(TreeNodeRecursion::Continue, |tnr, filter| match tnr {
            TreeNodeRecursion::Stop => Ok(tnr),
            _ => visit(filter),
        })
    }

    /// Takes the filters that change while the query runs. Those that do not were taken when it was planned.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        pushed: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        // Which rows a limit leaves must not depend on what is above it.
        let takes = matches!(phase, FilterPushdownPhase::Post) && self.limit.is_none();
        let takes = |filter: &Arc<dyn PhysicalExpr>| takes && is_dynamic(filter);
        let filters = pushed.parent_filters.into_iter().map(|own| own.filter);
        let (taken, mut dynamic) = (filters.clone().map(|filter| takes(&filter)), self.dynamic.clone());
        let answers = taken.map(|taken| if taken { PushedDown::Yes } else { PushedDown::No }).collect();
        dynamic.extend(filters.filter(takes));
        let result = FilterPushdownPropagation::with_parent_pushdown_result(answers);
        Ok(result.with_updated_node(Arc::new(ScanExec { dynamic, ..self.clone() })))
    }

    /// Filters of an execution before this one have gone too far.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let (dynamic, metrics) = (Vec::new(), ExecutionPlanMetricsSet::new());
        Ok(Arc::new(ScanExec { dynamic, metrics, ..(*self).clone() }))
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let mut left = self.limit.unwrap_or(usize::MAX);
        let dynamic = self.dynamic.clone();
        let mut batches = self.batches(partition);
        let next = move || -> Option<Result<RecordBatch>> {
            if left == 0 {
                return None;
            }
            let timer = metrics.elapsed_compute().timer();
            let batch = batches.next();
            timer.done();
            let batch = batch?.and_then(|batch| apply(&dynamic, batch));
            Some(batch.map(|batch| {
                let batch = batch.slice(0, batch.num_rows().min(left));
                left -= batch.num_rows();
                metrics.record_output(batch.num_rows());
                batch
            }))
        };
        let stream = futures::stream::iter(std::iter::from_fn(next));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    /// How many rows there are at the most: what joins are built from.
    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let rows = args.partition().map_or_else(|| self.scan.rows_max(), |at| self.scan.partition_rows_max(at));
        let rows = Precision::Inexact(rows.min(self.limit.unwrap_or(usize::MAX)));
        Ok(Arc::new(Statistics { num_rows: rows, ..Statistics::new_unknown(&self.schema()) }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
