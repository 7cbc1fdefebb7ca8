//! The targets that are probed now, and how others take their places without losing or doubling a slot.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};

use crate::run::prober::Prober;
use crate::run::target::Target;

/// Targets under way. Dropped, they are given up.
#[derive(Debug)]
pub struct Probing {
    prober: Prober,
    running: HashMap<String, Running>,
    /// Those that were told to stop, while checks of theirs are under way.
    ending: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    target: Arc<Target>,
    stop: watch::Sender<bool>,
    /// The end of the last slot that it began, once it has stopped.
    ended: oneshot::Receiver<i64>,
    /// Ends once all that was begun is recorded.
    task: JoinHandle<()>,
    _abort: AbortOnDrop,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a new list of targets changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Targets that go on as they were.
    pub kept: usize,
    /// Targets that are new.
    pub begun: usize,
    /// Targets that go on otherwise.
    pub changed: usize,
    /// Targets that are not probed any more.
    pub ended: usize,
}

impl Probing {
    /// Begins to probe these targets, whose names differ.
    pub fn start(prober: Prober, targets: Vec<Target>) -> Probing {
        let mut probing = Probing { prober, running: HashMap::new(), ending: Vec::new() };
        targets.into_iter().for_each(|target| probing.begin(target, i64::MIN));
        probing
    }

    /// Probes these targets from now on, and no others. What goes on as it was is not touched; a target that is changed
    /// begins anew with the slot behind the last one that was begun. Nobody waits for checks under way: they are
    /// recorded when they end.
    pub async fn replace(&mut self, targets: Vec<Target>) -> Changes {
        let mut changes = Changes::default();
        let mut old = std::mem::take(&mut self.running);
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for target in targets {
            match old.remove(&target.name) {
                Some(running) if *running.target == target => {
                    changes.kept += 1;
                    self.running.insert(target.name.clone(), running);
                }
                Some(running) => changed.push((target, running)),
                None => new.push(target),
            }
        }
        (changes.begun, changes.changed, changes.ended) = (new.len(), changed.len(), old.len());
        new.into_iter().for_each(|target| self.begin(target, i64::MIN));
        // All are told first, then waited for.
        let ending = old.into_values().map(|running| (None, running));
        let ending: Vec<_> =
            ending.chain(changed.into_iter().map(|(target, running)| (Some(target), running))).collect();
        for (_, running) in &ending {
            let _ = running.stop.send(true); // one that has ended needs not be told
        }
        for (target, mut running) in ending {
            let last = (&mut running.ended).await.unwrap_or(i64::MIN);
            target.into_iter().for_each(|target| self.begin(target, last));
            self.ending.push(running);
        }
        self.ending.retain(|running| !running.task.is_finished());
        changes
    }

    /// Begins to probe a target, behind a slot that ends at `after`.
    fn begin(&mut self, target: Target, after: i64) {
        let (stop, stopped) = watch::channel(false);
        let (name, target) = (target.name.clone(), Arc::new(target));
        let (tell, ended) = oneshot::channel();
        let task = tokio::spawn(self.prober.clone().run(target.clone(), after, stopped, tell));
        let abort = AbortOnDrop(task.abort_handle());
        self.running.insert(name, Running { target, stop, ended, task, _abort: abort });
    }
}
