//! The front: a statement is parsed, answered directly if it is one of the subset, and else planned and run ([`runner`]
//! has the threads and the limits).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionState;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, stream};
use runner::{Language, Outlet, Runner};
use tokio::time::Instant;
use tsdb::{Store, fault};

use crate::answer::{Answer, Rows, Started};
use crate::availability;
use crate::availability::exclusions;
use crate::base::error::Error;
use crate::direct::subset;
use crate::direct::wanted::Direct;
use crate::exec::reading::{Reading, readings};
use crate::planner::{self, CATALOG};
use crate::sql::parameters;
use crate::sql::read_only;
use crate::sql::size::SizeLimits;
use crate::sql::statement::{self, Parsed};
use crate::tables::catalog::StoreCatalog;
use crate::tables::queries;
use crate::tables::system::SystemTable;
use crate::tables::views::StateOf;

/// A statement that is deeper is read on threads with a large stack only.
const SHALLOW_DEPTH_MAX: usize = 64;

/// What is particular to SQL.
#[derive(Debug, Clone)]
pub struct Options {
    /// How deep and how large a statement may be (`query.depth_max`, `query.terms_max`).
    pub size: SizeLimits,
    /// Where queries spill to: a folder for nothing else, emptied at the start.
    pub spill_dir: PathBuf,
}

/// Runs SQL over a store.
pub struct Engine {
    store: Arc<Store>,
    runner: Arc<Runner>,
    session: SessionContext,
    size: SizeLimits,
    /// For statements that need no plan.
    context: Arc<TaskContext>,
}

impl Engine {
    /// An engine over a store, whose queries run on the threads and within the limits of a runner.
    ///
    /// # Errors
    ///
    /// The folder for spilling cannot be made.
    pub fn new(
        store: Arc<Store>,
        runner: Arc<Runner>,
        options: Options,
        mut system: Vec<SystemTable>,
    ) -> Result<Engine, Error> {
        // What a killed process spilled is of no use to anybody.
        match std::fs::remove_dir_all(&options.spill_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Failed(format!("{} cannot be emptied: {error}", options.spill_dir.display())));
            }
            _ => {}
        }
        let state = planner::session_state(&runner, &options.spill_dir);
        let state = state.map_err(|error| Error::Failed(error.strip_backtrace()))?;
        let session = SessionContext::new_with_state(state);
        availability::register(&session, &store);
        system.push(queries::table(runner.queries().clone()));
        let planner = Arc::new(StateOf::new());
        // Weak, as the session holds the catalogue.
        let own = session.state_weak_ref();
        let _ = planner.set(Box::new(move || own.upgrade().map(|state| state.read().clone())));
        let catalog = StoreCatalog { store: store.clone(), system: system.into(), state: planner };
        session.register_catalog(CATALOG, Arc::new(catalog));
        let context = session.task_ctx();
        Ok(Engine { store, runner, session, size: options.size, context })
    }

    /// Where its statements run, and those of other languages.
    pub fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    /// Answers a statement that only reads. Names without a schema are looked up in `schema`.
    ///
    /// # Errors
    ///
    /// The statement is wrong or not read-only, or planning hit a limit; the rows bring later errors themselves.
    pub async fn query(&self, sql: &str, schema: &str) -> Result<Answer, Error> {
        self.query_at(sql, schema, SystemTime::now()).await
    }

    /// Answers a statement whose `now()` is another time.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn query_at(&self, sql: &str, schema: &str, now: SystemTime) -> Result<Answer, Error> {
        let running = self.runner.queries().begin(Language::Sql, sql, schema);
        match self.start(sql, schema, now).await {
            Ok(started) => Ok(Answer::new(started, running, self.runner.limits())),
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
    async fn start(&self, sql: &str, schema: &str, now: SystemTime) -> Result<Started, Error> {
        let deadline = self.runner.deadline();
        let parsed = statement::parse(sql, self.size).map_err(|error| self.error(&error))?;
        read_only::check_statement(&parsed.statement)?;
        match self.direct(&parsed, schema)? {
            Some(direct) => self.answer(direct, deadline).await,
            None => self.run(parsed, self.state_at(schema, now), deadline).await,
        }
    }

    /// A statement of the subset, if it is one and has little enough to read.
    fn direct(&self, parsed: &Parsed, schema: &str) -> Result<Option<Direct>, Error> {
        // What is deep is nothing for the stack of a thread that serves requests.
        if parsed.size.depth > SHALLOW_DEPTH_MAX {
            return Ok(None);
        }
        let Some(wanted) = subset::read(&parsed.statement, schema, &self.store) else { return Ok(None) };
        wanted.start(self.runner.limits().threads).map_err(|error| self.error(&error))
    }

    /// Answers what needs no plan: here if there is little to read, else where queries run.
    async fn answer(&self, direct: Direct, deadline: Instant) -> Result<Started, Error> {
        let (schema, readings) = (direct.schema(), vec![Reading::Once(direct.once.clone())]);
        let batch = if direct.is_small() {
            direct.run(&self.context).await
        } else {
            let context = self.context.clone();
            self.runner.work_out(deadline, async move { direct.run(&context).await }).await?
        };
        Ok((schema, Rows::Ready(Some(batch.map_err(|error| self.error(&error))?)), readings))
    }

    /// Plans a statement and runs the plan.
    async fn run(&self, parsed: Parsed, state: SessionState, deadline: Instant) -> Result<Started, Error> {
        let memory_bytes_max = self.runner.limits().memory_bytes_max;
        let work = move |outlet: Outlet<_, _>| async move {
            fault("query");
            let plan = match planner::plan(&state, parsed.statement, memory_bytes_max).await {
                Ok(plan) => plan,
                Err(error) => return drop(outlet.begin(Err(error))),
            };
            // Nobody waits for it any more where planning took all the time.
            let Some(outlet) = outlet.begin(Ok((plan.schema(), readings(&plan)))) else { return };
            let failed = move |error: DataFusionError| Error::from_datafusion(&error, memory_bytes_max);
            match execute_stream(plan, state.task_ctx()) {
                Ok(rows) => outlet.send_all(rows.map(|batch| batch.map_err(failed))).await,
                Err(error) => outlet.send_all(stream::iter([Err(failed(error))])).await,
            }
        };
        let (begun, flow) = self.runner.flow(deadline, work).await?;
        let (schema, readings) = begun?;
        Ok((schema, Rows::Coming(flow), readings))
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

    /// The state for statements whose `now()` is this time.
    fn state_at(&self, schema: &str, now: SystemTime) -> SessionState {
        let mut state = self.state(schema);
        state.execution_props_mut().query_execution_start_time = Some(now.into());
        state
    }

    fn error(&self, error: &DataFusionError) -> Error {
        Error::from_datafusion(error, self.runner.limits().memory_bytes_max)
    }
}

/// Refuses a statement that can be seen to be wrong before it is planned: its grammar, its size, that it only reads.
///
/// # Errors
///
/// What is wrong with it.
///
/// ```
/// let limits = query::SizeLimits::default();
/// assert!(query::check("SELECT target, avg(total_ms) AS value FROM probe GROUP BY target", limits).is_ok());
/// assert!(query::check("SELEC 1", limits).is_err());
/// assert!(query::check("DROP TABLE probe", limits).is_err());
/// ```
pub fn check(sql: &str, limits: SizeLimits) -> Result<(), Error> {
    let parsed = statement::parse(sql, limits).map_err(|error| Error::from_datafusion(&error, usize::MAX))?;
    read_only::check_statement(&parsed.statement)
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("runner", &self.runner).finish_non_exhaustive()
    }
}
