//! Scans that say which they are. The planner takes two subqueries for one if they look the same, and where a scan's
//! rows come from is not looked at: so a scan whose name is not enough gets one that nothing else has.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::optimizer::AnalyzerRule;

use crate::availability::AvailabilityTable;

/// Gives every call of a table function a name of its own: by name, `availability('a')` and `availability('b')` are the
/// same.
#[derive(Debug)]
pub(crate) struct TellApart;

impl AnalyzerRule for TellApart {
    fn name(&self) -> &'static str {
        "tell_apart"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::TableScan(scan) if is_call(&scan) => named(scan).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        })
        .map(|plan| plan.data)
    }
}

fn is_call(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|provider| provider.downcast_ref::<AvailabilityTable>().is_some())
}

/// The same under a name that has the address of what was called; above, it is called what it was.
fn named(scan: TableScan) -> Result<LogicalPlan> {
    let name = scan.table_name.clone();
    let own = format!("{name} {:p}", Arc::as_ptr(&scan.source));
    if name.table().contains(" 0x") {
        return Ok(LogicalPlan::TableScan(scan));
    }
    let renamed = TableScanBuilder::new(own, scan.source).with_projection(scan.projection).with_filters(scan.filters);
    let renamed = renamed.with_fetch(scan.fetch).build()?;
    LogicalPlanBuilder::from(LogicalPlan::TableScan(renamed)).alias(name)?.build()
}
