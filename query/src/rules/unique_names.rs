//! Keeps filters from being pushed by names that two columns have.
//!
//! DataFusion 55.2 takes a filter through a node of a physical plan by the names of its columns, and of two columns of
//! one name it takes the first: a filter on `a.host` above a join of `a` and `b` went to the scan of `b`, and rows that
//! did not meet it came out. So its rule is applied to the parts of a plan whose nodes tell their columns apart by
//! name. A part's own root may have names twice: no filter comes from above it.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

/// A rule that goes by names, applied where these are unique.
#[derive(Debug)]
pub(crate) struct UniqueNames(pub Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for UniqueNames {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        if plan.children().into_iter().all(are_unique) {
            return self.0.optimize(plan, config);
        }
        let children = plan.children().into_iter().cloned();
        let children = children.map(|child| self.optimize(child, config)).collect::<Result<_>>()?;
        plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Has each node from here on no name twice?
fn are_unique(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let (schema, mut names) = (plan.schema(), HashSet::new());
    schema.fields().iter().all(|field| names.insert(field.name())) && plan.children().into_iter().all(are_unique)
}
