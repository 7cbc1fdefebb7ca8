//! What waits for a channel, and what of it is told next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::channel::Channel;
use super::route::Held;
use super::told::Notice;

/// So many notices of a channel wait in memory. What comes behind them is read from the store when these are told.
pub(super) const WAITING_MAX: usize = 1000;

/// What a channel has to be told.
pub(super) struct Queue {
    pub channel: Channel,
    notices: Mutex<VecDeque<(Notice, i64)>>,
    /// Are there others in the store?
    pub has_more: AtomicBool,
    pub wake: Notify,
    became: Became,
}

/// What became of attempts since the start.
#[derive(Debug, Default)]
struct Became {
    sent: AtomicU64,
    failed: AtomicU64,
    gave_up: AtomicU64,
}

/// What a channel does, as numbers.
#[derive(Debug, Clone)]
pub struct ChannelStats {
    /// Its name.
    pub name: String,
    /// Notices that wait in memory.
    pub waiting: u64,
    /// Notices since the start, or since the channel is as it is: `sent` and `gave_up`, and attempts that `failed`.
    pub ended: [(&'static str, u64); 3],
}

impl Queue {
    pub(super) fn new(channel: Channel, notices: VecDeque<(Notice, i64)>, has_more: bool) -> Queue {
        let (notices, has_more) = (Mutex::new(notices), AtomicBool::new(has_more));
        Queue { channel, notices, has_more, wake: Notify::new(), became: Became::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, VecDeque<(Notice, i64)>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told next. `groups` says when each group was told last, in milliseconds.
    pub(super) fn next(&self, groups: &BTreeMap<String, i64>, now_ms: i64) -> Next {
        let waiting = self.lock();
        let takes_few = self.channel.per_minute.is_some();
        // Mostly so.
        if let Some(first) = waiting.front().filter(|(notice, _)| notice.held.is_none() && !takes_few) {
            return Next::Now(vec![first.clone()]);
        }
        let mut due_of: BTreeMap<Option<String>, i64> = BTreeMap::new();
        let of = |notice: &Notice| notice.held.as_ref().map(Held::key);
        for (notice, _) in waiting.iter() {
            due_of.entry(of(notice)).or_insert_with(|| due_ms(notice, groups, now_ms));
        }
        let is_due = |notice: &Notice| due_of.get(&of(notice)).is_some_and(|due| *due <= now_ms);
        let Some((first, _)) = waiting.iter().find(|(notice, _)| is_due(notice)) else {
            return match due_of.values().min() {
                None => Next::Nothing,
                Some(due) => Next::Later(Duration::from_millis((due - now_ms).unsigned_abs())),
            };
        };
        let key = of(first);
        let together = |notice: &Notice| {
            is_due(notice) && (takes_few || if key.is_some() { of(notice) == key } else { notice.id == first.id })
        };
        Next::Now(waiting.iter().filter(|(notice, _)| together(notice)).cloned().collect())
    }

    /// These are tried now: somebody may hear them from here on.
    pub(super) fn begin(&self, together: &[(Notice, i64)]) {
        self.each(together, |(notice, _)| notice.may_be_heard = true);
    }

    /// These were not taken, and are tried again: by another task, too, where the channel is another one by then.
    pub(super) fn failed(&self, together: &[(Notice, i64)]) {
        self.each(together, |(_, attempts)| *attempts += 1);
    }

    /// These wait no more.
    pub(super) fn ended(&self, together: &[(Notice, i64)]) {
        self.lock().retain(|(notice, _)| !is_one_of(together, notice));
    }

    fn each(&self, together: &[(Notice, i64)], change: impl FnMut(&mut (Notice, i64))) {
        self.lock().iter_mut().filter(|(notice, _)| is_one_of(together, notice)).for_each(change);
    }
}

fn is_one_of(together: &[(Notice, i64)], notice: &Notice) -> bool {
    together.iter().any(|(own, _)| own.id == notice.id)
}

impl Queue {
    /// Counts what became of notices.
    pub(super) fn count(&self, event: &str, notices: usize) {
        let (counter, count) = match event {
            "sent" => (&self.became.sent, notices),
            "gave_up" => (&self.became.gave_up, notices),
            _ => (&self.became.failed, 1),
        };
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// What the channel does.
    pub(super) fn stats(&self) -> ChannelStats {
        let Became { sent, failed, gave_up } = &self.became;
        let ended = [("sent", sent), ("failed", failed), ("gave_up", gave_up)];
        ChannelStats {
            name: self.channel.name.clone(),
            waiting: self.lock().len() as u64,
            ended: ended.map(|(name, count)| (name, count.load(Ordering::Relaxed))),
        }
    }
}

/// What a channel is told next.
pub(super) enum Next {
    /// Nothing waits.
    Nothing,
    /// What waits has to wait for so long still.
    Later(Duration),
    /// These, as one, each with the number of its attempts.
    Now(Vec<(Notice, i64)>),
}

/// When the first notice of a group is told: when it has waited for others, or, where the group was told not long ago, when
/// its interval is over.
fn due_ms(notice: &Notice, groups: &BTreeMap<String, i64>, now_ms: i64) -> i64 {
    let Some(held) = &notice.held else { return now_ms };
    // A clock that was set back: it waits from now on.
    let queued_ms = notice.queued_ms.min(now_ms);
    let last_ms = groups.get(&held.key()).copied().filter(|last| *last <= now_ms);
    match last_ms.map(|last| last.saturating_add(held.interval_ms)) {
        Some(next) if queued_ms < next => next,
        _ => queued_ms.saturating_add(held.wait_ms),
    }
}
