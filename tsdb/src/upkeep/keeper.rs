//! The keeper: the background thread that keeps the data in shape. It retains, rolls, compacts and makes
//! rollups, one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};

use crate::base::clock::now_ns;
use crate::base::error::{Error, Result};
use crate::base::fault::fault;
use crate::read::newest::newest_rows;
use crate::state::shared::Shared;
use crate::upkeep::compactor;
use crate::upkeep::hurried::Hurried;
use crate::upkeep::retainer;
use crate::upkeep::roller;
use crate::upkeep::rollup_maker::{self, Which};
use crate::write::log_writer::Waiter;

/// How often the keeper looks whether days have closed or rows have grown too old.
const INTERVAL: Duration = Duration::from_mins(5);

/// What is more than clocks are corrected by, and how long one that was set forward is not believed.
const JUMP: Duration = Duration::from_mins(5);
const DISTRUST: Duration = Duration::from_mins(60);

/// Merges that keep up leave fewer segments than this, however much is stored.
const SEGMENTS_BEHIND: usize = 64;

/// How nice the keeper's thread is to others: where processors are short, it gets a tenth of what a writer or a query
/// gets.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// What the keeper is asked to do.
pub(crate) enum Task {
    /// Do what is worth doing now.
    Look(Which),
    /// Do all that can be done, and merge all segments into one; answered when that is done.
    All { answer: Waiter },
}

/// Works until nobody can give tasks any more.
pub(crate) fn run(shared: &Arc<Shared>, tasks: &Receiver<Task>) {
    let hurried = Hurried::start(shared);
    yield_to_others();
    let mut clock = Clock::new();
    loop {
        match tasks.recv_timeout(INTERVAL) {
            Ok(Task::Look(which)) => note(look(shared, &mut clock, which, hurried.as_ref())),
            Err(RecvTimeoutError::Timeout) => note(look(shared, &mut clock, Which::All, hurried.as_ref())),
            Ok(Task::All { answer }) => {
                fault("keeper");
                let outcome = look(shared, &mut clock, Which::Quiet, hurried.as_ref())
                    .and_then(|()| compactor::compact_all(shared));
                let outcome = outcome.and_then(|()| rollup_maker::make_due(shared, now_ns(), Which::All));
                let _ = answer.send(outcome); // whoever asked may have gone away
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The wall clock beside the one that only goes on: a jump is told, and one forward takes nothing away for a while.
struct Clock {
    started: Instant,
    /// What the wall clock would say at the start, by what it says now.
    start_ns: i64,
    /// When it jumped forward.
    jumped: Option<Instant>,
}

impl Clock {
    fn new() -> Clock {
        Clock { started: Instant::now(), start_ns: now_ns(), jumped: None }
    }

    /// May rows leave by what the clock says?
    fn is_trusted(&mut self, now: i64) -> bool {
        let expected = self.start_ns.saturating_add(self.started.elapsed().as_nanos() as i64);
        let jump = now.saturating_sub(expected);
        if jump.unsigned_abs() > JUMP.as_nanos() as u64 {
            let way = if jump > 0 { "forward" } else { "back" };
            let by = Duration::from_secs(jump.unsigned_abs() / 1_000_000_000);
            tracing::warn!(
                "the clock was set {way} by {by:?}; retention goes by it, {}",
                if jump > 0 { "after an hour" } else { "at once" }
            );
            self.jumped = (jump > 0).then(Instant::now);
            self.start_ns = self.start_ns.saturating_add(jump);
        }
        self.jumped.take_if(|jumped| jumped.elapsed() >= DISTRUST);
        self.jumped.is_none()
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
    {
        // A process that is nicer already stays as it is.
        let own = rustix::process::getpriority_process(None).unwrap_or(0);
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS.max(own)) {
            tracing::warn!("background work runs at full priority: {error}");
        }
    }
}

fn look(shared: &Arc<Shared>, clock: &mut Clock, which: Which, hurried: Option<&Hurried>) -> Result<()> {
    // Before a sealed head is merged into something large, the newest rows take in what it has.
    for table in shared.last_rows.known() {
        let table = shared.catalog.table(table).expect("it was asked for");
        newest_rows(shared, table, i64::MAX)?;
    }
    let now = now_ns();
    if clock.is_trusted(now) {
        retainer::retain(shared, now)?;
    }
    roller::roll_due(shared, now)?;
    while compactor::is_worthwhile(shared) {
        // What piles up is merged before others.
        match hurried.filter(|_| shared.view.load().segments.len() > SEGMENTS_BEHIND) {
            Some(hurried) => hurried.run(shared, compactor::compact_once)?,
            None => compactor::compact_once(shared)?,
        }
    }
    rollup_maker::make_due(shared, now, which)
}
