//! The keeper: the background thread that keeps the data in shape. It retains, rolls, compacts and makes
//! rollups, one after the other.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::error::{Error, Result};
use crate::fault::fault;
use crate::rollups::{self, Which};
use crate::shared::Shared;
use crate::writer::Answer;
use crate::{compactor, retention, roller};

/// How often the keeper looks whether days have closed or rows have grown too old.
const INTERVAL: Duration = Duration::from_mins(5);

/// How nice the keeper's thread is to others: where processors are short, it gets a tenth of what a writer or a query gets.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What the keeper is asked to do.
pub(crate) enum Task {
    /// Do what is worth doing now.
    Look(Which),
    /// Do all that can be done, and merge all segments into one; answered when that is done.
    All { answer: Answer },
}

/// Works until nobody can give tasks any more.
pub(crate) fn run(shared: &Arc<Shared>, tasks: &Receiver<Task>) {
    yield_to_others();
    loop {
        match tasks.recv_timeout(INTERVAL) {
            Ok(Task::Look(which)) => note(look(shared, which)),
            Err(RecvTimeoutError::Timeout) => note(look(shared, Which::All)),
            Ok(Task::All { answer }) => {
                fault("keeper");
                let outcome = look(shared, Which::Quiet).and_then(|()| compactor::compact_all(shared));
                let outcome = outcome.and_then(|()| rollups::make_due(shared, retention::now(), Which::All));
                let _ = answer.send(outcome); // whoever asked may have gone away
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// After a failure it waits for the next occasion: nothing is lost by it.
fn note(outcome: Result<()>) {
    match outcome {
        Ok(()) | Err(Error::Closed) => {}
        Err(error) => tracing::error!("background work failed and is tried again later: {error}"),
    }
}

/// Lets writes, seals and queries go first.
fn yield_to_others() {
    // Elsewhere it would concern the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!("background work runs at full priority: {error}");
    }
}

fn look(shared: &Arc<Shared>, which: Which) -> Result<()> {
    // Before a sealed head is merged into something large, the newest rows take in what it has.
    for table in shared.last_rows.known() {
        let table = shared.catalog.table(table).expect("it was asked for");
        shared.last_rows.read(shared, table)?;
    }
    let now = retention::now();
    retention::retain(shared, now)?;
    roller::roll_due(shared, now)?;
    compactor::compact_worthwhile(shared)?;
    rollups::make_due(shared, now, which)
}
