//! Items on their way from the task that makes them to whoever asked: a reader that goes away ends the task, a panic of
//! the task is no end.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::refused::Refused;

/// Items that may wait for a slow reader before the task pauses.
const WAITING_MAX: usize = 4;

/// The reader's end.
#[derive(Debug)]
pub struct Flow<T> {
    items: mpsc::Receiver<Result<T, Refused>>,
    /// Gone once its end was looked at.
    task: Option<JoinHandle<()>>,
}

/// The task's end, before anything was said: `B` is what there is to say before the first item.
#[derive(Debug)]
pub struct Outlet<B, T> {
    begun: oneshot::Sender<B>,
    begun_outlet: BegunOutlet<T>,
}

/// The task's end, once the reader waits for items.
#[derive(Debug)]
pub struct BegunOutlet<T> {
    items: mpsc::Sender<Result<T, Refused>>,
    deadline: Instant,
    limit: Duration,
}

/// Both ends, and where the beginning comes out. The task is to have ended by the deadline, which is so long after its
/// start.
pub(crate) fn flow<B, T>(deadline: Instant, limit: Duration) -> (Outlet<B, T>, oneshot::Receiver<B>, Flow<T>) {
    let (begun, beginning) = oneshot::channel();
    let (sender, items) = mpsc::channel(WAITING_MAX);
    let outlet = Outlet { begun, begun_outlet: BegunOutlet { items: sender, deadline, limit } };
    (outlet, beginning, Flow { items, task: None })
}

impl<T> Flow<T> {
    /// The task that fills it.
    pub(crate) fn of(mut self, task: JoinHandle<()>) -> Flow<T> {
        self.task = Some(task);
        self
    }

    /// The next item; `None` after the last. Dropping the flow stops the task.
    pub async fn next(&mut self) -> Option<Result<T, Refused>> {
        if let Some(item) = self.items.recv().await {
            return Some(item);
        }
        // No more: because that is all, or because the task panicked, which must not look the same.
        let broken = self.task.take()?.await.is_err();
        broken.then_some(Err(Refused::Broken))
    }
}

impl<B, T> Outlet<B, T> {
    /// Says what there is to say before the first item; nothing comes back if nobody waits for it any more.
    pub fn begin(self, beginning: B) -> Option<BegunOutlet<T>> {
        self.begun.send(beginning).is_ok().then_some(self.begun_outlet)
    }
}

impl<T> BegunOutlet<T> {
    /// Sends what a stream gives, until its reader has gone or its time is up.
    pub async fn send_all(self, items: impl Stream<Item = T>) {
        let mut items = pin!(items);
        loop {
            // A reader that went away ends the query, however long the next item would take.
            let next = tokio::select! {
                next = items.next() => next,
                () = self.items.closed() => return,
                () = tokio::time::sleep_until(self.deadline) => {
                    return drop(self.items.send(Err(Refused::Timeout { limit: self.limit })).await);
                }
            };
            let Some(item) = next else { return };
            if self.items.send(Ok(item)).await.is_err() {
                return;
            }
        }
    }
}
