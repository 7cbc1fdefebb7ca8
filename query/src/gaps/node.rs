//! The logical plan node of gaps that are filled, and its planner.

use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::exec::GapFillExec;
use super::filling::Filling;
use crate::functions::time_bucket::gapfill_name;

/// The plan node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GapFill {
    pub input: Arc<LogicalPlan>,
    pub filling: Filling,
    pub schema: DFSchemaRef,
}

impl PartialOrd for GapFill {
    fn partial_cmp(&self, other: &GapFill) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
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
