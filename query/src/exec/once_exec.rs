//! The plan node of what is worked out as a whole and then is a few rows: summaries, availability.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};

/// What is worked out.
#[async_trait]
pub(crate) trait Once: fmt::Debug + Send + Sync {
    /// The name of the plan node.
    fn name(&self) -> &'static str;
    /// What stands after the name in a plan.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// The columns of the rows.
    fn schema(&self) -> SchemaRef;
    /// The rows.
    async fn rows(&self, context: &TaskContext) -> Result<RecordBatch>;
    /// What is known to be missing from them, in words.
    fn warnings(&self) -> Vec<String>;
}

/// Works something out when it is asked for rows.
#[derive(Debug)]
pub(crate) struct OnceExec {
    pub once: Arc<dyn Once>,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl OnceExec {
    pub(crate) fn new(once: Arc<dyn Once>, projection: Option<&Vec<usize>>) -> Result<OnceExec> {
        let schema = match projection {
            Some(columns) => Arc::new(once.schema().project(columns)?),
            None => once.schema(),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(OnceExec { once, projection: projection.cloned(), properties: Arc::new(properties) })
    }
}

impl DisplayAs for OnceExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.once.name())?;
        self.once.describe(f)
    }
}

impl ExecutionPlan for OnceExec {
    fn name(&self) -> &'static str {
        self.once.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
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

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (once, projection) = (self.once.clone(), self.projection.clone());
        let stream = futures::stream::once(async move {
            let batch = once.rows(&context).await?;
            Ok(match projection {
                Some(columns) => batch.project(&columns)?,
                None => batch,
            })
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.properties.eq_properties.schema().clone(), stream)))
    }
}
