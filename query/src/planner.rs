//! How a statement becomes a plan: the session's state, with the rules of DataFusion and ours in their order.
//!
//! Rules for what a statement means (analyzer) run once, in this order:
//!
//! 1. [`CheckSubqueries`] refuses what DataFusion decorrelates wrongly, while it stands as it was written.
//! 2. [`SoundOperators`] makes operators mean what SQL says. Types are known by then, and nothing was simplified yet.
//! 3. [`OneZero`] makes zeros equal where they are compared, grouped and joined. It looks through the lists and calls of
//!    the rule before.
//! 4. [`TellApart`] names the calls of table functions, before anything compares scans by their names.
//! 5. [`FindGaps`] and [`FindAsOf`] put nodes of ours over what DataFusion takes for plain groups and joins, before
//!    conditions wander below them.
//!
//! Rules for how it is answered (optimizer) run until nothing changes, in this order:
//!
//! 1. DataFusion's own. In the place of its `push_down_filter` stand [`LiteralsRight`] and [`PushDown`]: it drops
//!    conditions.
//! 2. [`BoundGaps`] and [`PushBelowAsOf`] need the conditions where those rules put them: at the scans.
//! 3. [`ReadFromEdge`], [`LagInScan`], [`KnowNewest`] and [`SummarizeInScan`] put questions to the store in the place
//!    of plans over a scan. They come last, as no other rule knows their tables, and the special ones before the
//!    general one: newest rows are an aggregate, too.
//!
//! Of DataFusion's rules for physical plans, those that go by the names of columns run only where names are unique
//! ([`UniqueNames`]).

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::context::{QueryPlanner, SessionState};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use runner::Runner;
use tsdb::DEFAULT_SCHEMA;

use crate::asof::{AsOfPlanner, FindAsOf, PushBelowAsOf};
use crate::base::error::Error;
use crate::exec::shared_pool::SharedPool;
use crate::functions;
use crate::functions::guarded::PlanExtract;
use crate::gaps::{BoundGaps, FindGaps, GapPlanner};
use crate::rules::know_newest::KnowNewest;
use crate::rules::lag_in_scan::LagInScan;
use crate::rules::one_zero::OneZero;
use crate::rules::push_down::{LiteralsRight, PushDown};
use crate::rules::read_from_edge::ReadFromEdge;
use crate::rules::sound_operators::SoundOperators;
use crate::rules::subqueries::CheckSubqueries;
use crate::rules::summarize_in_scan::SummarizeInScan;
use crate::rules::tell_apart::TellApart;
use crate::rules::unique_names::UniqueNames;
use crate::sql::read_only;

/// The name of the one catalogue.
pub(crate) const CATALOG: &str = "fournines";
/// Functions may make texts of this part of `query.memory` at a time.
const TEXT_PARTS: usize = 8;
/// A text that is given once a row is there so often at a time, twice.
const TEXT_ROWS: usize = 16 * 1024;

/// The state that all statements are planned with.
///
/// # Errors
///
/// The folder for spilling cannot be made.
pub(crate) fn session_state(runner: &Runner, spill_dir: &Path) -> Result<SessionState> {
    let environment = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(SharedPool::new(runner.memory().clone())))
        .with_temp_file_path(spill_dir)
        .build_arc()?;
    let mut config = SessionConfig::new()
        .with_information_schema(true)
        .with_target_partitions(runner.limits().threads)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA);
    // What aggregates learn while they run is unsound where there are several, or FILTER, or a partition of NULLs: rows
    // that count were dropped. Joins and top-k stay: what they learn is about their own rows only.
    config.options_mut().optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    let text_bytes_max = runner.limits().memory_bytes_max / TEXT_PARTS;
    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(environment)
        .with_default_features()
        .with_optimizer_rules(sound_rules())
        .with_physical_optimizer_rules(sound_physical_rules())
        // No file formats: nothing in a statement can name a file.
        .with_file_formats(Vec::new())
        .with_table_factories(std::collections::HashMap::new())
        .with_analyzer_rule(Arc::new(CheckSubqueries))
        .with_analyzer_rule(Arc::new(SoundOperators::new(text_bytes_max)))
        .with_analyzer_rule(Arc::new(OneZero))
        .with_analyzer_rule(Arc::new(TellApart))
        .with_analyzer_rule(Arc::new(FindGaps))
        .with_analyzer_rule(Arc::new(FindAsOf))
        .with_optimizer_rule(Arc::new(BoundGaps))
        .with_optimizer_rule(Arc::new(PushBelowAsOf))
        .with_optimizer_rule(Arc::new(ReadFromEdge))
        .with_optimizer_rule(Arc::new(LagInScan))
        .with_optimizer_rule(Arc::new(KnowNewest))
        .with_optimizer_rule(Arc::new(SummarizeInScan))
        .with_query_planner(Arc::new(Planner));
    builder.expr_planners().get_or_insert_default().insert(0, Arc::new(PlanExtract));
    let mut state = builder.build();
    functions::register(&mut state, text_bytes_max)?;
    Ok(state)
}

/// DataFusion's optimizer rules, but for one that is not sound.
fn sound_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::new();
    for rule in Optimizer::new().rules {
        match rule.name() {
            "push_down_filter" => {
                rules.push(Arc::new(LiteralsRight));
                rules.push(Arc::new(PushDown(PushDownFilter::new())));
            }
            _ => rules.push(rule),
        }
    }
    rules
}

/// DataFusion's rules for physical plans, but for those that go by names of columns.
fn sound_physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let by_name = ["FilterPushdown", "FilterPushdown(Post)"];
    let rule = |rule: Arc<dyn PhysicalOptimizerRule + Send + Sync>| match by_name.contains(&rule.name()) {
        true => Arc::new(UniqueNames(rule)),
        false => rule,
    };
    PhysicalOptimizer::new().rules.into_iter().map(rule).collect()
}

/// DataFusion's planner, and our own nodes.
#[derive(Debug)]
struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner =
            DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(GapPlanner), Arc::new(AsOfPlanner)]);
        planner.create_physical_plan(plan, session).await
    }
}

/// Plans a statement that only reads.
///
/// # Errors
///
/// It is wrong, not read-only, or would make texts beyond the memory that there is.
pub(crate) async fn plan(
    state: &SessionState,
    statement: Statement,
    memory_bytes_max: usize,
) -> Result<Arc<dyn ExecutionPlan>, Error> {
    let failed = |error: DataFusionError| Error::from_datafusion(&error, memory_bytes_max);
    let plan = state.statement_to_plan(statement).await.map_err(failed)?;
    read_only::check_plan(&plan)?;
    let plan = state.optimize(&plan).map_err(failed)?;
    check_texts(&plan, memory_bytes_max / TEXT_ROWS).map_err(failed)?;
    state.query_planner().create_physical_plan(&plan, state).await.map_err(failed)
}

/// Refuses long texts that would stand in every row of an answer: a batch has thousands of them.
fn check_texts(plan: &LogicalPlan, bytes_max: usize) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if !matches!(node, LogicalPlan::Projection(_)) {
            return Ok(TreeNodeRecursion::Continue);
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| match part {
                Expr::Literal(value, _) if value.try_as_str().flatten().is_some_and(|text| text.len() > bytes_max) => {
                    Err(DataFusionError::ResourcesExhausted(format!(
                        "a text in it would be given once a row, and is longer than {bytes_max} bytes"
                    )))
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })
    .map(drop)
}
