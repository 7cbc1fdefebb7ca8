//! What is to be told, channel by channel, in its order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tsdb::{Batch, DEFAULT_SCHEMA, RowError, Store};

use super::body;
use super::channel::{Channel, Kind};
use super::rows;
use super::sender::{Outcome, Sender};
use super::told::{Notice, Told};
use crate::base::clock::{Clock, now_ms};
use crate::base::keep_on::keep_on;

/// So long a notice is tried.
const TRIED_MS: i64 = 24 * 3_600_000;
/// So far back it is looked for in the store. One that is older than it is tried has its last attempt then: a server that was
/// away for days still says what became of it.
const LOOKED_FOR_MS: i64 = 30 * TRIED_MS;
/// Behind the first failure the next attempt comes so soon; behind each further one in twice the time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// An Alertmanager hears of what fires so often.
const REPEAT: Duration = Duration::from_secs(60);
/// So many alerts are posted at a time.
const REPEATED_MAX: usize = 64;

/// So many notices of a channel wait in memory. What comes behind them is read from the store when these are told.
const WAITING_MAX: usize = 1000;

/// What fires.
pub type Firing = Arc<dyn Fn() -> Vec<Told> + Send + Sync>;

/// Tells channels what they have to be told, each by a task of its own.
pub struct Outbox {
    shared: Arc<Shared>,
    workers: Mutex<BTreeMap<String, Worker>>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("channels", &self.channels()).finish_non_exhaustive()
    }
}

struct Shared {
    store: Arc<Store>,
    /// Of its own: what happened to alerts keeps the times of evaluations.
    clock: Arc<Clock>,
    sender: Sender,
    external_url: String,
}

struct Worker {
    queue: Arc<Queue>,
    task: AbortHandle,
}

/// What a channel has to be told.
struct Queue {
    channel: Channel,
    notices: Mutex<VecDeque<(Notice, i64)>>,
    /// Are there others in the store?
    has_more: AtomicBool,
    wake: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Notice, i64)>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// One without channels.
    #[must_use]
    pub fn new(store: Arc<Store>, external_url: String) -> Outbox {
        let shared = Shared { store, clock: Arc::default(), sender: Sender::default(), external_url };
        Outbox { shared: Arc::new(shared), workers: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of its channels.
    #[must_use]
    pub fn channels(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// What was queued by an earlier start and never told: to be given to [`replace`](Outbox::replace).
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn open(&self) -> Result<Vec<(Notice, i64)>, tsdb::Error> {
        rows::open(&self.shared.store, now_ms() - LOOKED_FOR_MS, &self.shared.clock)
    }

    /// Goes on with these channels instead, and at a start with what is open of an earlier one. A channel that is the same,
    /// or of the same name, keeps what it has to be told; what one has to be told that is not there any more waits in the store.
    pub fn replace(&self, channels: Vec<Channel>, open: Option<Vec<(Notice, i64)>>, firing: &Firing) {
        let mut workers = self.lock();
        let mut before = std::mem::take(&mut *workers);
        let mut open_of: BTreeMap<String, VecDeque<(Notice, i64)>> = BTreeMap::new();
        // What a channel that was not there has to be told still is in the store.
        let is_in_store = open.is_none();
        for (notice, attempts) in open.into_iter().flatten() {
            open_of.entry(notice.channel.clone()).or_default().push_back((notice, attempts));
        }
        for channel in channels {
            let (mut notices, mut has_more) = (open_of.remove(&channel.name).unwrap_or_default(), is_in_store);
            if let Some(worker) = before.remove(&channel.name) {
                if worker.queue.channel == channel {
                    workers.insert(channel.name.clone(), worker);
                    continue;
                }
                worker.task.abort();
                notices.append(&mut worker.queue.lock());
                has_more = worker.queue.has_more.load(Ordering::Relaxed);
            }
            let name = channel.name.clone();
            let has_more = AtomicBool::new(has_more);
            let queue = Arc::new(Queue { channel, notices: Mutex::new(notices), has_more, wake: Notify::new() });
            let (shared, own, firing) = (self.shared.clone(), queue.clone(), firing.clone());
            let task = tokio::spawn(async move {
                let what = format!("telling the channel {:?}", own.channel.name);
                keep_on(&what, || work(shared.clone(), own.clone(), firing.clone())).await;
            });
            workers.insert(name, Worker { queue, task: task.abort_handle() });
        }
        before.into_values().for_each(|worker| worker.task.abort());
    }

    /// Adds the rows of what is to be told.
    ///
    /// # Errors
    ///
    /// A row cannot be taken.
    pub fn record(&self, notices: &[Notice], batch: &mut Batch) -> Result<(), RowError> {
        let workers = self.lock();
        let recipient = |notice: &Notice| workers.get(&notice.channel).map(|own| own.queue.channel.recipient());
        let queue = |notice| rows::queue(notice, &recipient(notice).unwrap_or_default(), &self.shared.clock, batch);
        notices.iter().try_for_each(queue)
    }

    /// Tells it, as soon as may be.
    pub fn tell(&self, notices: Vec<Notice>) {
        let workers = self.lock();
        for notice in notices {
            if let Some(worker) = workers.get(&notice.channel) {
                let mut waiting = worker.queue.lock();
                if waiting.iter().any(|(other, _)| other.id == notice.id) {
                    continue; // it was read from the store already
                }
                match waiting.len() < WAITING_MAX && !worker.queue.has_more.load(Ordering::Relaxed) {
                    true => waiting.push_back((notice, 0)),
                    false => worker.queue.has_more.store(true, Ordering::Relaxed),
                }
                drop(waiting);
                worker.queue.wake.notify_one();
            }
        }
    }

    /// Tells nobody any more. What is left is told after the next start.
    pub fn stop(&self) {
        std::mem::take(&mut *self.lock()).into_values().for_each(|worker| worker.task.abort());
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn work(shared: Arc<Shared>, queue: Arc<Queue>, firing: Firing) {
    let mut repeat = tokio::time::interval(REPEAT);
    repeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = queue.lock().front().cloned();
        let Some((notice, attempts)) = next else {
            if queue.has_more.swap(false, Ordering::Relaxed) {
                if let Err(error) = shared.read_more(&queue).await {
                    queue.has_more.store(true, Ordering::Relaxed);
                    tracing::error!("what waits for {} is not read: {error}", queue.channel.name);
                    tokio::time::sleep(PAUSE_MAX).await;
                }
                continue;
            }
            tokio::select! {
                () = queue.wake.notified() => {}
                _ = repeat.tick() => {
                    if queue.channel.kind == Kind::Alertmanager {
                        shared.repeat(&queue.channel, firing()).await;
                    }
                }
            }
            continue;
        };
        let pause = shared.attempt(&queue.channel, &notice, attempts + 1).await;
        // It is still the first: only this task takes it.
        let Some(pause) = pause else {
            queue.lock().pop_front();
            continue;
        };
        if let Some(first) = queue.lock().front_mut() {
            first.1 = attempts + 1;
        }
        tokio::time::sleep(pause).await;
    }
}

impl Shared {
    /// Tries once. What comes back is how long to wait until it is tried again; nothing if that is not to be.
    async fn attempt(&self, channel: &Channel, notice: &Notice, attempt: i64) -> Option<Duration> {
        let now = now_ms();
        let (event, error, pause) = match self.sender.send(channel, notice, &self.external_url).await {
            Outcome::Sent => ("sent", None, None),
            Outcome::Refused(error) => ("gave_up", Some(error), None),
            Outcome::Failed { error, .. } if now - notice.queued_ms > TRIED_MS => ("gave_up", Some(error), None),
            Outcome::Failed { error, after } => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).clamp(0, 10));
                ("failed", Some(error), Some(after.unwrap_or(doubled).min(PAUSE_MAX)))
            }
        };
        match (event, &error) {
            ("gave_up", Some(error)) => {
                tracing::error!("{} is not told of {} alerts: {error}", channel.name, notice.alerts.len());
            }
            // Once: the others are rows.
            ("failed", Some(error)) if attempt == 1 => tracing::warn!("{} is not told yet: {error}", channel.name),
            _ => {}
        }
        self.record(channel, notice, event, attempt, error).await;
        pause
    }

    /// Reads what waits in the store.
    async fn read_more(&self, queue: &Queue) -> Result<(), String> {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let read = tokio::task::spawn_blocking(move || rows::open(&store, now_ms() - LOOKED_FOR_MS, &clock)).await;
        let open = read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let mut waiting = queue.lock();
        // What came meanwhile is among them, unless it could not be stored.
        let meanwhile = std::mem::take(&mut *waiting);
        waiting.extend(open.into_iter().filter(|(notice, _)| notice.channel == queue.channel.name));
        for (notice, attempts) in meanwhile {
            if waiting.iter().all(|(other, _)| other.id != notice.id) {
                waiting.push_back((notice, attempts));
            }
        }
        Ok(())
    }

    async fn record(
        &self,
        channel: &Channel,
        notice: &Notice,
        event: &'static str,
        attempt: i64,
        error: Option<String>,
    ) {
        let (store, clock, notice) = (self.store.clone(), self.clock.clone(), notice.clone());
        let recipient = channel.recipient();
        let written = tokio::task::spawn_blocking(move || {
            let mut batch = store.batch(DEFAULT_SCHEMA);
            rows::ended((&notice, &recipient), event, attempt, error.as_deref(), &clock, &mut batch)
                .map_err(|error| error.to_string())
                .and_then(|()| store.write(batch).map_err(|error| error.to_string()))
        });
        if let Ok(Err(error)) = written.await {
            tracing::error!("what became of a notice is not stored: {error}");
        }
    }

    /// Tells an Alertmanager again of all that fires.
    async fn repeat(&self, channel: &Channel, firing: Vec<Told>) {
        for some in firing.chunks(REPEATED_MAX) {
            let body = body::alertmanager(some, &self.external_url, now_ms()).to_string();
            if let Outcome::Failed { error, .. } | Outcome::Refused(error) =
                self.sender.send_body(channel, "", body).await
            {
                tracing::warn!("{} does not hear what fires: {error}", channel.name);
                return;
            }
        }
    }
}
