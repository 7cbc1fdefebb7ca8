//! The targets that are probed now, and how others take their places without losing or doubling a slot.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use crate::run::prober::Prober;
use crate::run::target::Target;

/// Targets under way. Dropped, they are given up.
#[derive(Debug)]
pub struct Probing {
    prober: Prober,
    running: HashMap<String, Running>,
}

#[derive(Debug)]
struct Running {
    target: Arc<Target>,
    stop: watch::Sender<bool>,
    /// Ends with the start of the last slot, once all that was begun is recorded.
    task: JoinHandle<i64>,
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
        let mut probing = Probing { prober, running: HashMap::new() };
        targets.into_iter().for_each(|target| probing.begin(target, i64::MIN));
        probing
    }

    /// Probes these targets from now on, and no others. What goes on as it was is not touched; a target that is changed
    /// begins anew with the slot behind the last one that was begun, once that is recorded.
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
        for (target, running) in ending {
            let Running { task, _abort, .. } = running;
            let last = task.await.unwrap_or(i64::MIN);
            target.into_iter().for_each(|target| self.begin(target, last));
        }
        changes
    }

    /// Begins to probe a target, behind the slot that starts at `after`.
    fn begin(&mut self, target: Target, after: i64) {
        let (stop, stopped) = watch::channel(false);
        let (name, target) = (target.name.clone(), Arc::new(target));
        let task = tokio::spawn(self.prober.clone().run(target.clone(), after, stopped));
        let abort = AbortOnDrop(task.abort_handle());
        self.running.insert(name, Running { target, stop, task, _abort: abort });
    }
}
