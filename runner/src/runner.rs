//! Threads for queries, and leave to run on them.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::flow::{self, Flow, Outlet};
use crate::memory::Memory;
use crate::queries::Queries;
use crate::refused::Refused;

/// The stack of a thread that plans and runs queries. Pages of it take memory only once they were used.
/// `tests/figures.rs` has statements of the greatest depth.
const STACK_BYTES: usize = 256 << 20;

/// What queries of all languages may take together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
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
}

/// Runs queries on threads of their own, so that a heavy one delays no acknowledgement.
#[derive(Debug)]
pub struct Runner {
    limits: Limits,
    permits: Arc<Semaphore>,
    memory: Arc<Memory>,
    queries: Arc<Queries>,
    /// Taken when the runner is dropped.
    runtime: Option<Runtime>,
}

/// Leave to run, given back when it is dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl Runner {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// They cannot be made.
    pub fn new(limits: Limits) -> std::io::Result<Runner> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(limits.threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_time()
            .build()?;
        let permits = Arc::new(Semaphore::new(limits.concurrency.max(1)));
        let memory = Arc::new(Memory::new(limits.memory_bytes_max));
        Ok(Runner { limits, permits, memory, queries: Arc::default(), runtime: Some(runtime) })
    }

    /// What queries may take.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What they hold.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Those that run, and the last that ended.
    pub fn queries(&self) -> &Arc<Queries> {
        &self.queries
    }

    /// When a query that begins now is to have ended.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.limits.timeout
    }

    /// That a query was out of time.
    pub fn timeout(&self) -> Refused {
        Refused::Timeout { limit: self.limits.timeout }
    }

    /// Leave to run; waits while too many others do, as long as there is time left to run.
    ///
    /// # Errors
    ///
    /// Half of the time went by without leave.
    pub async fn permit(&self) -> Result<Permit, Refused> {
        match tokio::time::timeout(self.limits.timeout / 2, self.permits.clone().acquire_owned()).await {
            Ok(permit) => Ok(Permit(permit.expect("nobody closes the semaphore"))),
            Err(_) => Err(Refused::Busy { limit: self.limits.concurrency }),
        }
    }

    /// Works something out where queries run, under a permit. Dropping the future stops it.
    ///
    /// # Errors
    ///
    /// It got no leave, was not done by the deadline, or panicked.
    pub async fn work_out<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Refused> {
        let _permit = self.permit().await?;
        // Dropped with this future, it stops.
        let mut task = JoinSet::new();
        task.spawn_on(work, self.runtime().handle());
        match tokio::time::timeout_at(deadline, task.join_next()).await {
            Ok(Some(Ok(done))) => Ok(done),
            Ok(_) => Err(Refused::Broken),
            Err(_) => Err(self.timeout()),
        }
    }

    /// Starts a task where queries run, under a permit: what it begins with comes back, and its items as they come.
    ///
    /// # Errors
    ///
    /// It got no leave, had not begun by the deadline, or panicked before.
    pub async fn flow<B, T, W>(
        &self,
        deadline: Instant,
        work: impl FnOnce(Outlet<B, T>) -> W,
    ) -> Result<(B, Flow<T>), Refused>
    where
        B: Send + 'static,
        T: Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let permit = self.permit().await?;
        let (outlet, beginning, flow) = flow::flow(deadline, self.limits.timeout);
        let work = work(outlet);
        let task = self.runtime().spawn(async move {
            let _permit = permit;
            work.await;
        });
        match tokio::time::timeout_at(deadline, beginning).await {
            Ok(Ok(beginning)) => Ok((beginning, flow.of(task))),
            Ok(Err(_)) => Err(Refused::Broken),
            Err(_) => Err(self.timeout()),
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("only dropping takes the runtime")
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    fn asked<T>(asking: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(asking)
    }

    fn runner(timeout_ms: u64, concurrency: usize) -> Runner {
        let timeout = Duration::from_millis(timeout_ms);
        Runner::new(Limits { threads: 1, memory_bytes_max: 1 << 20, timeout, concurrency, rows_max: 100 }).unwrap()
    }

    /// A query that panicked looked like one whose rows had ended.
    #[test]
    fn a_panic_is_no_end() {
        let runner = runner(10_000, 1);
        asked(async {
            let work = |outlet: Outlet<(), u8>| async move {
                let items = futures::stream::iter([1, 2]).map(|item| if item == 2 { panic!("injected") } else { item });
                outlet.begin(()).unwrap().send_all(items).await;
            };
            let ((), mut flow) = runner.flow(runner.deadline(), work).await.unwrap();
            assert_eq!(flow.next().await, Some(Ok(1)));
            assert_eq!(flow.next().await, Some(Err(Refused::Broken)));
            let before = |_: Outlet<(), u8>| async { panic!("injected") };
            assert_eq!(runner.flow(runner.deadline(), before).await.err(), Some(Refused::Broken));
            let panics: Result<u8, Refused> = runner.work_out(runner.deadline(), async { panic!("injected") }).await;
            assert_eq!(panics, Err(Refused::Broken));
            // And the leave is there again.
            assert_eq!(runner.work_out(runner.deadline(), async { 7 }).await, Ok(7));
        });
    }

    #[test]
    fn time_is_up_before_the_beginning_between_items_and_without_any() {
        let runner = runner(200, 3);
        asked(async {
            let never = |outlet: Outlet<(), u8>| async move {
                let _outlet = outlet;
                futures::future::pending::<()>().await;
            };
            assert_eq!(runner.flow(runner.deadline(), never).await.err(), Some(runner.timeout()));
            let stuck = |outlet: Outlet<(), u8>| async move {
                outlet.begin(()).unwrap().send_all(futures::stream::iter([1]).chain(futures::stream::pending())).await;
            };
            let ((), mut flow) = runner.flow(runner.deadline(), stuck).await.unwrap();
            assert_eq!((flow.next().await, flow.next().await), (Some(Ok(1)), Some(Err(runner.timeout()))));
            let work = futures::future::pending::<()>();
            assert_eq!(runner.work_out(runner.deadline(), work).await, Err(runner.timeout()));
        });
    }

    #[test]
    fn a_reader_that_goes_away_gives_the_leave_back() {
        let runner = runner(2_000, 1);
        asked(async {
            let endless = |outlet: Outlet<(), u8>| async move {
                outlet.begin(()).unwrap().send_all(futures::stream::pending()).await;
            };
            let ((), flow) = runner.flow(runner.deadline(), endless).await.unwrap();
            assert_eq!(runner.permit().await.err(), Some(Refused::Busy { limit: 1 }));
            drop(flow);
            runner.permit().await.unwrap();
        });
    }
}
