//! Reading the partitions of a scan, side by side if there is much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

/// Scans of fewer rows are not worth another thread.
const ALONE_ROWS_MAX: usize = 100_000;

/// What a partition is read under.
#[derive(Debug)]
pub(crate) struct Leave {
    stopped: Arc<AtomicBool>,
    reservation: MemoryReservation,
}

impl Leave {
    /// May the reading go on, holding so many bytes?
    ///
    /// # Errors
    ///
    /// The query went away, or its memory is used up.
    pub(crate) fn ask(&self, bytes: usize) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution("the query was given up".into()));
        }
        self.reservation.try_resize(bytes)
    }
}

/// Says stop when the query goes away.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What `read` makes of each of some partitions, which have so many rows together at the most; in any order.
pub(crate) async fn read_partitions<T: Send + 'static>(
    (partitions, rows_max): (usize, usize),
    context: &TaskContext,
    read: impl Fn(usize, &Leave) -> Result<T> + Send + Sync + 'static,
) -> Result<Vec<T>> {
    let stopped = Arc::new(AtomicBool::new(false));
    let _stop = StopOnDrop(stopped.clone());
    let pool = context.memory_pool().clone();
    let leave = move || Leave {
        stopped: stopped.clone(),
        reservation: MemoryConsumer::new("partition of a scan").register(&pool),
    };
    if rows_max <= ALONE_ROWS_MAX {
        return (0..partitions).map(|partition| read(partition, &leave())).collect();
    }
    let (read, mut tasks) = (Arc::new(read), tokio::task::JoinSet::new());
    for partition in 0..partitions {
        let (read, leave) = (read.clone(), leave());
        tasks.spawn_blocking(move || read(partition, &leave));
    }
    let mut all = Vec::with_capacity(tasks.len());
    while let Some(part) = tasks.join_next().await {
        all.push(part.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??);
    }
    Ok(all)
}
