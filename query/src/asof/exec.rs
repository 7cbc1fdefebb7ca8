//! The plan node that joins rows to the nearest ones in time: the right side is read and sorted once, the left one
//! streams by.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{internal_datafusion_err, internal_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::Nearest;

/// An expression over the left input and one over the right.
type Pair = (Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>);

/// Joins each row of the left input with the nearest of the right one.
#[derive(Debug)]
pub(super) struct AsOfExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    /// Those that are equal, and the times last.
    pairs: Vec<Pair>,
    nearest: Nearest,
    /// The right side, once it is read.
    candidates: Arc<OnceCell<Candidates>>,
    properties: Arc<PlanProperties>,
}

impl AsOfExec {
    pub(super) fn new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        pairs: Vec<Pair>,
        nearest: Nearest,
        schema: SchemaRef,
    ) -> AsOfExec {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(left.properties().partitioning.partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        AsOfExec { left, right, pairs, nearest, candidates: Arc::default(), properties: Arc::new(properties) }
    }
}

impl DisplayAs for AsOfExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.pairs.len() - 1;
        let pair = |(at, (left, right)): (usize, &Pair)| {
            format!("{left} {} {right}", if at == last { self.nearest.operator() } else { "=" })
        };
        let pairs: Vec<String> = self.pairs.iter().enumerate().map(pair).collect();
        write!(f, "AsOfExec: on=[{}]", pairs.join(", "))
    }
}

impl ExecutionPlan for AsOfExec {
    fn name(&self) -> &'static str {
        "AsOfExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::UnspecifiedDistribution, Distribution::SinglePartition]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in self.pairs.iter().flat_map(|(left, right)| [left, right]) {
            if visit(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([left, right]) = <[_; 2]>::try_from(children) else { return internal_err!("AsOfExec has two inputs") };
        Ok(Arc::new(AsOfExec::new(left, right, self.pairs.clone(), self.nearest, self.schema())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (own, other): (Vec<_>, Vec<_>) = self.pairs.iter().cloned().unzip();
        let (cell, right, nearest, schema) = (self.candidates.clone(), self.right.clone(), self.nearest, self.schema());
        let left = self.left.execute(partition, context.clone())?;
        let (answer, joined) = (schema.clone(), async move {
            cell.get_or_try_init(|| Candidates::read(right, &other, context)).await?;
            let join = move |batch: Result<RecordBatch>| {
                let candidates = cell.get().ok_or_else(|| internal_datafusion_err!("the right side was not read"))?;
                candidates.join(&batch?, &own, nearest, &schema)
            };
            Ok::<_, datafusion::error::DataFusionError>(left.map(join))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(answer, futures::stream::once(joined).try_flatten())))
    }
}

/// The rows of the right side by their keys, each key's in the order of time.
#[derive(Debug)]
struct Candidates {
    rows: RecordBatch,
    converter: RowConverter,
    by_key: HashMap<Option<OwnedRow>, Range<usize>>,
    /// Rows that have all keys and a time, by both.
    order: Vec<u32>,
    times: Rows,
    time_converter: RowConverter,
    _memory: MemoryReservation,
}

/// Keys and time of rows, and whether none of them is NULL.
fn evaluate(exprs: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch) -> Result<(Vec<ArrayRef>, ArrayRef, Vec<bool>)> {
    let value = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(rows)?.into_array(rows.num_rows());
    let mut keys = exprs.iter().map(value).collect::<Result<Vec<_>>>()?;
    let nulls: Vec<_> = keys.iter().filter_map(Array::logical_nulls).collect();
    let is_whole = (0..rows.num_rows()).map(|row| nulls.iter().all(|nulls| nulls.is_valid(row))).collect();
    let time = keys.pop().ok_or_else(|| internal_datafusion_err!("the time is missing"))?;
    Ok((keys, time, is_whole))
}

impl Candidates {
    async fn read(
        right: Arc<dyn ExecutionPlan>,
        exprs: &[Arc<dyn PhysicalExpr>],
        context: Arc<TaskContext>,
    ) -> Result<Candidates> {
        let memory = MemoryConsumer::new("AsOfExec").register(context.memory_pool());
        let (schema, mut batches) = (right.schema(), Vec::new());
        let mut stream = right.execute(0, context)?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            // The rows, their copy in one piece, and their keys.
            memory.try_grow(3 * batch.get_array_memory_size())?;
            batches.push(batch);
        }
        let rows = concat_batches(&schema, &batches)?;
        let (keys, time, is_whole) = evaluate(exprs, &rows)?;
        let fields = keys.iter().map(|column| SortField::new(column.data_type().clone())).collect();
        let converter = RowConverter::new(fields)?;
        let time_converter = RowConverter::new(vec![SortField::new(time.data_type().clone())])?;
        let (keys, times) = (rows_of(&converter, &keys)?, time_converter.convert_columns(&[time])?);
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).filter(|row| is_whole[*row as usize]).collect();
        let key = |row: &u32| keys.as_ref().map(|keys| keys.row(*row as usize));
        order.sort_by(|a, b| (key(a), times.row(*a as usize)).cmp(&(key(b), times.row(*b as usize))));
        let (mut by_key, mut start) = (HashMap::new(), 0);
        for run in order.chunk_by(|a, b| key(a) == key(b)) {
            by_key.insert(key(&run[0]).map(|key| key.owned()), start..start + run.len());
            start += run.len();
        }
        Ok(Candidates { rows, converter, by_key, order, times, time_converter, _memory: memory })
    }

    /// The rows with the nearest of the right side, or NULLs.
    fn join(
        &self,
        rows: &RecordBatch,
        exprs: &[Arc<dyn PhysicalExpr>],
        nearest: Nearest,
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let (keys, time, is_whole) = evaluate(exprs, rows)?;
        let (keys, times) = (rows_of(&self.converter, &keys)?, self.time_converter.convert_columns(&[time])?);
        let find = |row: usize| {
            let range = self.by_key.get(&keys.as_ref().map(|keys| keys.row(row).owned()))?;
            let candidates = &self.order[range.clone()];
            let at = |other: &u32| self.times.row(*other as usize).cmp(&times.row(row));
            let before = candidates.partition_point(|other| at(other).is_lt());
            let up_to = candidates.partition_point(|other| at(other).is_le());
            match nearest {
                Nearest::AtOrBefore => candidates[..up_to].last(),
                Nearest::Before => candidates[..before].last(),
                Nearest::AtOrBehind => candidates[before..].first(),
                Nearest::Behind => candidates[up_to..].first(),
            }
            .copied()
        };
        let found: UInt32Array = (0..rows.num_rows()).map(|row| find(row).filter(|_| is_whole[row])).collect();
        let right = self.rows.columns().iter().map(|column| take(column, &found, None));
        let columns = rows.columns().iter().cloned().map(Ok).chain(right).collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

/// The keys of rows; none if times alone decide.
fn rows_of(converter: &RowConverter, keys: &[ArrayRef]) -> Result<Option<Rows>> {
    Ok(if keys.is_empty() { None } else { Some(converter.convert_columns(keys)?) })
}
