//! The engine: plans and runs statements, on a runtime of its own, within limits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::context::{QueryPlanner, SessionState};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionStateBuilder, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tsdb::{DEFAULT_SCHEMA, Store, fault};

use crate::asof::{AsOfPlanner, FindAsOf, PushBelowAsOf};
use crate::availability;
use crate::catalog::StoreCatalog;
use crate::direct::Direct;
use crate::edge_rows::ReadFromEdge;
use crate::error::Error;
use crate::exclusions;
use crate::format::{Encoder, Format};
use crate::functions;
use crate::functions::guarded::{PlanExtract, operators};
use crate::gapfill::{BoundGaps, FindGaps, GapPlanner};
use crate::lag::LagInScan;
use crate::newest::KnowNewest;
use crate::operators::{LiteralsRight, PushDown};
use crate::parameters;
use crate::read_only;
use crate::running::{Queries, Running};
use crate::scan_exec::{Reading, readings};
use crate::size::SizeLimits;
use crate::statement::{self, Parsed};
use crate::subqueries::CheckSubqueries;
use crate::subset;
use crate::summary::SummarizeInScan;
use crate::system::SystemTable;
use crate::tell_apart::TellApart;
use crate::unique_names::UniqueNames;
use crate::views::StateOf;

/// The name of the one catalogue.
const CATALOG: &str = "fournines";
/// Batches that may wait for a slow reader before the query pauses.
const WAITING_BATCHES_MAX: usize = 4;
/// Functions may make texts of this part of `query.memory` at a time.
const TEXT_PARTS: usize = 8;
/// A text that is given once a row is there so often at a time, twice.
const TEXT_ROWS: usize = 16 * 1024;
/// A statement that is deeper is read on threads with a large stack only.
const SHALLOW_DEPTH_MAX: usize = 64;
/// The stack of a thread that plans and runs queries. Pages of it take memory only once they were used. `tests/figures.rs` has statements of the
/// greatest depth.
const STACK_BYTES: usize = 256 << 20;

/// Limits of the engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that run queries (`query.threads`).
    pub threads: usize,
    /// Memory that all running queries may use together, in bytes, before they spill (`query.memory`).
    pub memory_bytes_max: usize,
    /// How long a query may take, its last row included (`query.timeout`).
    pub timeout: Duration,
    /// How many queries run at a time; others wait (`query.concurrency`).
    pub concurrency: usize,
    /// Rows of an answer at the most (`query.rows_max`).
    pub rows_max: u64,
    /// How deep and how large a statement may be (`query.depth_max`, `query.terms_max`).
    pub size: SizeLimits,
    /// Where queries spill to: a folder for nothing else, emptied at the start.
    pub spill_dir: PathBuf,
}

/// Runs SQL over a store.
pub struct Engine {
    store: Arc<Store>,
    session: SessionContext,
    options: Options,
    /// Leave to run.
    permits: Arc<Semaphore>,
    queries: Arc<Queries>,
    /// For statements that need no plan.
    context: Arc<TaskContext>,
    /// Taken when the engine is dropped.
    runtime: Option<Runtime>,
}

/// The answer to a statement: its columns, then its rows as they come.
#[derive(Debug)]
pub struct Answer {
    /// The columns of every batch.
    pub schema: SchemaRef,
    rows: Rows,
    readings: Vec<Reading>,
    running: Running,
    rows_max: u64,
    memory_bytes_max: usize,
}

/// Where the rows of an answer come from.
#[derive(Debug)]
enum Rows {
    /// All are here, unless they were taken.
    Ready(Option<RecordBatch>),
    /// They come from a task that runs the query; it is gone once its end was looked at.
    Coming { batches: mpsc::Receiver<Result<RecordBatch, Error>>, task: Option<JoinHandle<()>> },
}

impl Rows {
    async fn next(&mut self) -> Option<Result<RecordBatch, Error>> {
        let (batches, task) = match self {
            Rows::Ready(batch) => return batch.take().map(Ok),
            Rows::Coming { batches, task } => (batches, task),
        };
        if let Some(batch) = batches.recv().await {
            return Some(batch);
        }
        // No more rows: because that is all, or because the task panicked, which must not look the same.
        let broken = task.take()?.await.is_err();
        broken.then(|| Err(Error::Failed("the query broke off; the server's log says why".into())))
    }
}

impl Answer {
    /// The next rows; `None` after the last. Dropping the answer stops the query.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, Error>> {
        let next = match self.rows.next().await {
            Some(Ok(batch)) if self.running.rows(&batch) > self.rows_max => {
                Some(Err(Error::Rows { limit: self.rows_max }))
            }
            next => next,
        };
        match &next {
            None => self.running.end(None),
            Some(Err(error)) => {
                self.running.end(Some(error.to_string()));
                self.rows = Rows::Ready(None);
            }
            Some(Ok(_)) => {}
        }
        next
    }

    /// What is known to be missing from the answer so far, in words. Empty for a whole answer.
    pub fn warnings(&self) -> BTreeSet<String> {
        self.readings.iter().flat_map(Reading::warnings).collect()
    }

    /// The answer as bytes of a format.
    ///
    /// # Errors
    ///
    /// The format has no way to write a column.
    pub fn encode(self, format: Format) -> Result<Encoded, Error> {
        let encoder = Encoder::new(format, self.schema.clone(), self.memory_bytes_max);
        let encoder = encoder.map_err(|error| Error::Statement(format!("format {}: {error}", format.name())))?;
        Ok(Encoded { encoder: Some(encoder), format, answer: self })
    }
}

/// An answer on its way out as bytes.
#[derive(Debug)]
pub struct Encoded {
    answer: Answer,
    /// Gone when the last bytes are out.
    encoder: Option<Encoder>,
    format: Format,
}

impl Encoded {
    /// As [`Answer::warnings`].
    pub fn warnings(&self) -> BTreeSet<String> {
        self.answer.warnings()
    }

    /// The next bytes, never empty; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let bytes = match (self.encoder.as_mut(), self.answer.next().await) {
                (None, _) => return None,
                (Some(encoder), Some(Ok(batch))) => encoder.batch(batch),
                (Some(_), Some(Err(error))) => {
                    self.encoder = None;
                    return Some(Err(error));
                }
                (Some(_), None) => self.encoder.take()?.finish(),
            };
            match bytes {
                Ok(bytes) if bytes.is_empty() => {}
                // Bytes go to memory: what is wrong is the rows, which the format has no way to write.
                bytes => {
                    let (format, limit_bytes) = (self.format.name(), self.answer.memory_bytes_max);
                    return Some(bytes.map_err(|error| match error {
                        ArrowError::MemoryError(reason) => Error::Memory { limit_bytes, reason },
                        error => Error::Statement(format!("format {format}: {error}")),
                    }));
                }
            }
        }
    }
}

impl Engine {
    /// An engine over a store.
    ///
    /// # Errors
    ///
    /// Threads or the folder for spilling cannot be made.
    pub fn new(store: Arc<Store>, options: Options, mut system: Vec<SystemTable>) -> Result<Engine, Error> {
        let failed = |error: DataFusionError| Error::Failed(error.strip_backtrace());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads)
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()
            .map_err(|error| Error::Failed(format!("query threads cannot be started: {error}")))?;
        // What a killed process spilled is of no use to anybody.
        match std::fs::remove_dir_all(&options.spill_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Failed(format!("{} cannot be emptied: {error}", options.spill_dir.display())));
            }
            _ => {}
        }
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(options.memory_bytes_max)))
            .with_temp_file_path(&options.spill_dir)
            .build_arc()
            .map_err(failed)?;
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_target_partitions(options.threads)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA);
        // What aggregates learn while they run is unsound where there are several, or FILTER, or a partition of NULLs: rows that count were dropped.
        // Joins and top-k stay: what they learn is about their own rows only.
        config.options_mut().optimizer.enable_aggregate_dynamic_filter_pushdown = false;
        let text_bytes_max = options.memory_bytes_max / TEXT_PARTS;
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
            .with_analyzer_rule(Arc::new(operators(text_bytes_max)))
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
        functions::register(&mut state, text_bytes_max).map_err(failed)?;
        let session = SessionContext::new_with_state(state);
        availability::register(&session, &store);
        let queries = Arc::new(Queries::default());
        let listed = queries.clone();
        system.push(SystemTable { name: "queries", rows: Arc::new(move || listed.rows()) });
        let planner = Arc::new(StateOf::new());
        // Weak, as the session holds the catalogue.
        let own = session.state_weak_ref();
        let _ = planner.set(Box::new(move || own.upgrade().map(|state| state.read().clone())));
        let catalog = StoreCatalog { store: store.clone(), system: system.into(), state: planner };
        session.register_catalog(CATALOG, Arc::new(catalog));
        let context = session.task_ctx();
        let permits = Arc::new(Semaphore::new(options.concurrency.max(1)));
        Ok(Engine { store, session, options, permits, queries, context, runtime: Some(runtime) })
    }

    /// Answers a statement that only reads. Names without a schema are looked up in `schema`.
    ///
    /// # Errors
    ///
    /// The statement is wrong or not read-only, or planning hit a limit; the rows bring later errors themselves.
    pub async fn query(&self, sql: &str, schema: &str) -> Result<Answer, Error> {
        let running = self.queries.begin(sql, schema);
        match self.start(sql, schema).await {
            Ok((schema, rows, readings)) => {
                if matches!(rows, Rows::Coming { .. }) {
                    running.planned();
                }
                let Options { rows_max, memory_bytes_max, .. } = self.options;
                Ok(Answer { schema, rows, readings, running, rows_max, memory_bytes_max })
            }
            Err(error) => {
                running.end(Some(error.to_string()));
                Err(error)
            }
        }
    }

    /// Answers a statement with values for its placeholders: a list for `$1` and so on, an object for names.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query); or values and placeholders do not fit.
    pub async fn query_with(&self, sql: &str, values: &serde_json::Value, schema: &str) -> Result<Answer, Error> {
        self.query(&parameters::bind(sql, values)?, schema).await
    }

    /// Parses a statement and begins to run it, with a plan if it needs one.
    async fn start(&self, sql: &str, schema: &str) -> Result<Started, Error> {
        let deadline = Instant::now() + self.options.timeout;
        let Parsed { statement, size } =
            statement::parse(sql, self.options.size).map_err(|error| self.error(&error))?;
        read_only::check_statement(&statement)?;
        // What is deep is nothing for the stack of a thread that serves requests.
        if size.depth <= SHALLOW_DEPTH_MAX
            && let Some(wanted) = subset::read(&statement, schema, &self.store)
        {
            let direct = wanted.start(self.options.threads).map_err(|error| self.error(&error))?;
            if let Some(direct) = direct {
                return self.answer(direct, deadline).await;
            }
        }
        let permit = self.permit().await?;
        let state = self.state(schema);
        let limits = self.options.clone();
        let (planned, plan) = tokio::sync::oneshot::channel();
        let (rows, batches) = mpsc::channel(WAITING_BATCHES_MAX);
        let run = async move {
            let _permit = permit;
            fault("query");
            let plan = match plan_statement(&state, statement, limits.memory_bytes_max).await {
                Ok(plan) => plan,
                Err(Planning::Refused(error)) => return drop(planned.send(Err(error))),
                Err(Planning::Failed(error)) => {
                    return drop(planned.send(Err(Error::from_datafusion(&error, limits.memory_bytes_max))));
                }
            };
            // Nobody waits for it any more where planning took all the time.
            if planned.send(Ok((plan.schema(), readings(&plan)))).is_ok() {
                send_rows(plan, state.task_ctx(), &rows, deadline, &limits).await;
            }
        };
        let task = Some(self.runtime().spawn(run));
        match tokio::time::timeout_at(deadline, plan).await {
            Ok(Ok(planned)) => {
                let (schema, readings) = planned?;
                Ok((schema, Rows::Coming { batches, task }, readings))
            }
            Ok(Err(_)) => {
                Err(Error::Failed("the query broke off while it was planned; the server's log says why".into()))
            }
            Err(_) => Err(Error::Timeout { limit: self.options.timeout }),
        }
    }

    /// Leave to run; waits while too many others do, as long as there is time left to run.
    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = tokio::time::timeout(self.options.timeout / 2, self.permits.clone().acquire_owned()).await;
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(Error::Failed("the engine ends".into())),
            Err(_) => Err(Error::Busy { limit: self.options.concurrency }),
        }
    }

    /// Adds time that does not count; the entry's id comes back. Blocks until it is durable.
    ///
    /// # Errors
    ///
    /// The entry is wrong, or the store refuses it.
    pub fn exclude(&self, schema: &str, kind: exclusions::Kind, entry: &exclusions::Entry) -> Result<String, Error> {
        exclusions::add(&self.store, &self.state(schema), schema, kind, entry)
    }

    /// Gives an entry another end, in ns since the epoch. Blocks until it is durable.
    ///
    /// # Errors
    ///
    /// There is no such entry, it begins later, or the store refuses it.
    pub fn end_exclusion(&self, schema: &str, kind: exclusions::Kind, id: &str, until: i64) -> Result<(), Error> {
        exclusions::end(&self.store, schema, kind, id, until)
    }

    fn state(&self, schema: &str) -> SessionState {
        let mut state = self.session.state();
        state.config_mut().options_mut().catalog.default_schema = schema.into();
        state
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("only dropping takes the runtime")
    }

    fn error(&self, error: &DataFusionError) -> Error {
        Error::from_datafusion(error, self.options.memory_bytes_max)
    }

    /// Runs a statement that needs no plan: here if there is little to read, else where queries run.
    async fn answer(&self, direct: Direct, deadline: Instant) -> Result<Started, Error> {
        let (schema, readings) = (direct.schema(), vec![Reading::Once(direct.once.clone())]);
        let batch = if direct.is_small() {
            Ok(direct.run(&self.context).await)
        } else {
            let context = self.context.clone();
            let _permit = self.permit().await?;
            // Dropped with this future, it stops.
            let mut task = JoinSet::new();
            task.spawn_on(async move { direct.run(&context).await }, self.runtime().handle());
            tokio::time::timeout_at(deadline, async { task.join_next().await.expect("there is a task") })
                .await
                .map(|ended| ended.unwrap_or_else(|error| Err(DataFusionError::ExecutionJoin(Box::new(error)))))
        };
        let batch = batch.map_err(|_| Error::Timeout { limit: self.options.timeout })?;
        let batch = batch.map_err(|error| self.error(&error))?;
        Ok((schema, Rows::Ready(Some(batch)), readings))
    }
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
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let planner =
            DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(GapPlanner), Arc::new(AsOfPlanner)]);
        planner.create_physical_plan(plan, session).await
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a query that runs gives: its columns, its rows, and what reads the store for it.
type Started = (SchemaRef, Rows, Vec<Reading>);

/// Runs a plan, until its reader has gone or its time is up.
async fn send_rows(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    rows: &mpsc::Sender<Result<RecordBatch, Error>>,
    deadline: Instant,
    limits: &Options,
) {
    let error = |error| Error::from_datafusion(&error, limits.memory_bytes_max);
    let mut stream = match execute_stream(plan, context) {
        Ok(stream) => stream,
        Err(failure) => return drop(rows.send(Err(error(failure))).await),
    };
    loop {
        // A reader that went away ends the query, however long the next batch would take.
        let next = tokio::select! {
            next = stream.next() => next,
            () = rows.closed() => return,
            () = tokio::time::sleep_until(deadline) => {
                return drop(rows.send(Err(Error::Timeout { limit: limits.timeout })).await);
            }
        };
        let Some(batch) = next else { return };
        if rows.send(batch.map_err(error)).await.is_err() {
            return;
        }
    }
}

/// Why a statement has no plan.
enum Planning {
    Refused(Error),
    Failed(DataFusionError),
}

async fn plan_statement(
    state: &SessionState,
    statement: Statement,
    memory_bytes_max: usize,
) -> Result<Arc<dyn ExecutionPlan>, Planning> {
    let plan = state.statement_to_plan(statement).await.map_err(Planning::Failed)?;
    read_only::check_plan(&plan).map_err(Planning::Refused)?;
    let plan = state.optimize(&plan).map_err(Planning::Failed)?;
    check_texts(&plan, memory_bytes_max / TEXT_ROWS).map_err(Planning::Failed)?;
    state.query_planner().create_physical_plan(&plan, state).await.map_err(Planning::Failed)
}

/// Refuses long texts that would stand in every row of an answer: a batch has thousands of them.
fn check_texts(plan: &LogicalPlan, bytes_max: usize) -> DfResult<()> {
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
