//! What is to be told, channel by channel, in its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::Instant;
use tsdb::{Batch, DEFAULT_SCHEMA, RowError, Store};

use super::channel::{Channel, Kind};
use super::outcome::Outcome;
use super::queue::{ChannelStats, Next, Queue, WAITING_MAX};
use super::route::{Going, Route, Routes};
use super::rows;
use super::sender::Sender;
use super::told::{Notice, Together, Told};
use crate::base::clock::{Clock, now_ms};
use crate::base::keep_on::keep_on;
use crate::state::{Event, EventKind};

/// So far back a notice is looked for in the store. One that is older than it is tried has its last attempt then: a server
/// that was away for days still says what became of it.
const LOOKED_FOR_MS: i64 = 30 * 24 * 3_600_000;
/// The clock is looked at so often while notices wait for others.
const LOOK: Duration = Duration::from_millis(500);
/// What a channel takes in a minute is counted over this time.
const MINUTE: Duration = Duration::from_secs(60);
/// Behind the first failure the next attempt comes so soon; behind each further one in twice the time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// An Alertmanager hears of what fires so often.
const REPEAT: Duration = Duration::from_secs(60);
/// So many alerts are posted at a time.
const REPEATED_MAX: usize = 64;

/// What fires.
pub type Firing = Arc<dyn Fn() -> Vec<Told> + Send + Sync>;

/// Tells channels what they have to be told, each by a task of its own.
pub struct Outbox {
    shared: Arc<Shared>,
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
    /// By the names of channels.
    workers: Mutex<BTreeMap<String, Worker>>,
    routes: Mutex<Routes>,
}

struct Worker {
    queue: Arc<Queue>,
    task: AbortHandle,
}

impl Outbox {
    /// One without channels.
    #[must_use]
    pub fn new(store: Arc<Store>, external_url: String) -> Outbox {
        let (clock, sender, workers, routes) = Default::default();
        Outbox { shared: Arc::new(Shared { store, clock, sender, external_url, workers, routes }) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Worker>> {
        self.shared.lock()
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

    /// Alerts go to channels by these routes from now on; whoever was told of one is told of its end.
    pub fn route(&self, routes: Vec<Route>, channels: &[Channel]) {
        // Who stands in for somebody else is told instead of them.
        let stand_ins: BTreeSet<&String> = channels.iter().filter_map(|channel| channel.fallback.as_ref()).collect();
        let others = channels.iter().filter(|channel| !stand_ins.contains(&channel.name));
        self.shared.routes().replace(routes, others.map(|channel| channel.name.clone()).collect());
    }

    /// Who was told that an alert fires, by an earlier start.
    pub fn remember(&self, alert: &str, channels: Vec<Going>) {
        self.shared.routes().remember(alert, channels);
    }

    /// Who is told of an event; and of an alert that goes on, who was.
    #[must_use]
    pub fn whom(&self, event: &Event) -> Vec<Going> {
        let mut routes = self.shared.routes();
        match event.kind {
            EventKind::Firing if event.is_new() => routes.begin(&event.alert(), &event.labels),
            EventKind::Recovered => routes.end(&event.alert(), &event.labels),
            _ => routes.who(&event.alert()).cloned().unwrap_or_default(),
        }
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
            let queue = Arc::new(Queue::new(channel, notices, has_more));
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
        let queue = |notice| rows::queue(notice, &self.shared.recipient(notice), &self.shared.clock, batch);
        notices.iter().try_for_each(queue)
    }

    /// What channels do.
    #[must_use]
    pub fn stats(&self) -> Vec<ChannelStats> {
        self.lock().values().map(|worker| worker.queue.stats()).collect()
    }

    /// Tells it, as soon as may be.
    pub fn tell(&self, notices: Vec<Notice>) {
        self.shared.tell(notices);
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
    let (mut told_at, mut groups) = (VecDeque::new(), BTreeMap::new());
    loop {
        let pause = match queue.next(&groups, now_ms()) {
            Next::Now(mut together) => {
                // The same again until it is taken or given up, whatever comes meanwhile: whoever heard it knows it by its id.
                loop {
                    queue.channel.wait_for_turn(&mut told_at).await;
                    queue.begin(&together);
                    let Some(pause) = shared.attempt(&queue, &together).await else { break };
                    queue.failed(&together);
                    together.iter_mut().for_each(|(_, attempts)| *attempts += 1);
                    tokio::time::sleep(pause).await;
                }
                queue.ended(&together);
                let keys = together.iter().filter_map(|(notice, _)| Some((notice.held.as_ref()?.key(), now_ms())));
                groups.extend(keys);
                continue;
            }
            Next::Nothing if queue.has_more.swap(false, Ordering::Relaxed) => {
                if let Err(error) = shared.read_more(&queue).await {
                    queue.has_more.store(true, Ordering::Relaxed);
                    tracing::error!("what waits for {} is not read: {error}", queue.channel.name);
                    tokio::time::sleep(PAUSE_MAX).await;
                }
                continue;
            }
            Next::Nothing => PAUSE_MAX,
            // The clock may be set meanwhile.
            Next::Later(pause) => pause.min(LOOK),
        };
        tokio::select! {
            () = queue.wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
            _ = repeat.tick() => {
                if queue.channel.kind == Kind::Alertmanager {
                    shared.repeat(&queue.channel, firing()).await;
                }
            }
        }
    }
}

impl Channel {
    /// Waits until it takes another notice.
    async fn wait_for_turn(&self, told_at: &mut VecDeque<Instant>) {
        let Some(per_minute) = self.per_minute else { return };
        while told_at.len() >= per_minute.max(1) as usize {
            if let Some(first) = told_at.pop_front() {
                tokio::time::sleep_until(first + MINUTE).await;
            }
        }
        told_at.push_back(Instant::now());
    }
}

impl Shared {
    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Worker>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it, as soon as may be.
    fn tell(&self, notices: Vec<Notice>) {
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

    /// Tries once to tell notices as one. What comes back is how long to wait until they are tried again; nothing if that
    /// is not to be.
    async fn attempt(&self, queue: &Queue, together: &[(Notice, i64)]) -> Option<Duration> {
        let channel = &queue.channel;
        let Together { notice, passed_over } = Together::of(together.iter().map(|(notice, _)| notice));
        let attempt = together.iter().map(|(_, attempts)| attempts + 1).max().unwrap_or(1);
        let given_ms = i64::try_from(channel.give_up_after.as_millis()).unwrap_or(i64::MAX);
        let is_late = now_ms() - notice.queued_ms > given_ms;
        if notice.alerts.is_empty() {
            self.record(channel, together, ("sent", None), Vec::new(), passed_over).await;
            return None;
        }
        let (event, error, pause) = match self.sender.send(channel, &notice, &self.external_url).await {
            Outcome::Sent => ("sent", None, None),
            Outcome::Refused(error) => ("gave_up", Some(error), None),
            Outcome::Failed { error, .. } if is_late => ("gave_up", Some(error), None),
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
        queue.count(event, together.len());
        let others = match (event, &channel.fallback) {
            ("gave_up", Some(other)) => together.iter().map(|(notice, _)| notice.instead(other, now_ms())).collect(),
            _ => Vec::new(),
        };
        self.record(channel, together, (event, error), others.clone(), passed_over).await;
        self.tell(others);
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

    /// Adds the rows of what became of notices, and of those that are queued instead.
    async fn record(
        &self,
        channel: &Channel,
        together: &[(Notice, i64)],
        (event, error): (&'static str, Option<String>),
        instead: Vec<Notice>,
        passed_over: BTreeSet<(String, String)>,
    ) {
        let (store, clock, together) = (self.store.clone(), self.clock.clone(), together.to_vec());
        let recipient = channel.recipient();
        let others: Vec<(Notice, String)> =
            instead.into_iter().map(|notice| (self.recipient(&notice), notice)).map(|(to, own)| (own, to)).collect();
        let written = tokio::task::spawn_blocking(move || {
            let mut batch = store.batch(DEFAULT_SCHEMA);
            let ended = together.iter().try_for_each(|(notice, attempts)| {
                let of = (notice, recipient.as_str());
                let is_over = |own: &&Told| passed_over.contains(&(notice.id.clone(), own.alert.clone()));
                let over: Vec<&Told> = notice.alerts.iter().filter(is_over).collect();
                if event == "sent" {
                    over.iter().try_for_each(|own| rows::over(of, own, &clock, &mut batch))?;
                    if over.len() == notice.alerts.len() {
                        return Ok(());
                    }
                }
                rows::ended(of, event, attempts + 1, error.as_deref(), &clock, &mut batch)
            });
            let mut queued = || others.iter().try_for_each(|(notice, to)| rows::queue(notice, to, &clock, &mut batch));
            ended.and_then(|()| queued()).map_err(|error| error.to_string())?;
            store.write(batch).map_err(|error| error.to_string())
        });
        if let Ok(Err(error)) = written.await {
            tracing::error!("what became of a notice is not stored: {error}");
        }
    }

    /// Who gets a notice, by its channel.
    fn recipient(&self, notice: &Notice) -> String {
        let workers = self.lock();
        workers.get(&notice.channel).map(|own| own.queue.channel.recipient()).unwrap_or_default()
    }

    /// Tells an Alertmanager again of all that fires.
    async fn repeat(&self, channel: &Channel, firing: Vec<Told>) {
        let is_told = |own: &Told| {
            self.routes().who(&own.alert).is_none_or(|who| who.iter().any(|own| own.channel == channel.name))
        };
        let firing: Vec<Told> = firing.into_iter().filter(is_told).collect();
        for some in firing.chunks(REPEATED_MAX) {
            if let Outcome::Failed { error, .. } | Outcome::Refused(error) =
                self.sender.alertmanager(channel, "", some, &self.external_url).await
            {
                tracing::warn!("{} does not hear what fires: {error}", channel.name);
                return;
            }
        }
    }
}
