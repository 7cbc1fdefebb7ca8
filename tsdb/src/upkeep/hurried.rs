//! A thread for background work that cannot wait: it is no nicer than the process. The keeper lets everything else go
//! first, and where others take all processors it gets next to nothing: then segments pile up faster than it merges
//! them, and every question reads more of them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};

use crate::base::error::Result;
use crate::state::shared::Shared;

type Work = fn(&Arc<Shared>) -> Result<()>;
type Outcome = std::result::Result<Result<()>, Box<dyn Any + Send>>;

/// The thread. Ends when this is dropped.
pub(crate) struct Hurried {
    work: Option<Sender<Work>>,
    outcomes: crossbeam::channel::Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
}

impl Hurried {
    /// To be called before the keeper becomes nice, which threads inherit. `None` where there can be no more threads.
    pub(crate) fn start(shared: &Arc<Shared>) -> Option<Hurried> {
        let (work, waiting) = bounded::<Work>(0);
        let (done, outcomes) = bounded(1);
        let shared = shared.clone();
        let run = move || {
            for work in waiting {
                let _ = done.send(catch_unwind(AssertUnwindSafe(|| work(&shared)))); // the keeper waits for it
            }
        };
        let thread = std::thread::Builder::new().name("tsdb-hurried".into()).spawn(run);
        let thread = thread.inspect_err(|error| tracing::warn!("background work cannot hurry: {error}")).ok()?;
        Some(Hurried { work: Some(work), outcomes, thread: Some(thread) })
    }

    /// Does something there, and waits for it.
    ///
    /// # Panics
    ///
    /// As it does.
    pub(crate) fn run(&self, shared: &Arc<Shared>, work: Work) -> Result<()> {
        let sent = self.work.as_ref().is_some_and(|sender| sender.send(work).is_ok());
        match sent.then(|| self.outcomes.recv()) {
            Some(Ok(Ok(outcome))) => outcome,
            Some(Ok(Err(panic))) => resume_unwind(panic),
            // The thread is gone, which it is not while this is here.
            _ => work(shared),
        }
    }
}

impl Drop for Hurried {
    fn drop(&mut self) {
        self.work.take();
        self.thread.take().map(JoinHandle::join);
    }
}
