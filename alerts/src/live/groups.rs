//! The groups that are evaluated, each by a task of its own.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use promql::base::labels::Labels;
use promql::engine::Settings;
use promql::stored::Metrics;
use runner::Runner;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tsdb::Store;

use super::grid::Grid;
use super::ledger::{Ledger, Open};
use super::over_store::OverStore;
use super::sql::Sql;
use crate::base::clock::now_ms;
use crate::base::keep_on::keep_on;
use crate::notices::{Channel, ChannelStats, Firing, Outbox, Route, Told};
use crate::ready::{self, Kinds, Slots, Watch};
use crate::rules::{Asks, Group, Rule, RuleFile};
use crate::silences::Silences;
use crate::state::{Active, Engine, Event, EventKind, GroupState, Health, Made, Outside, RuleState, id_of};

/// An evaluation may come so much later than it should.
const LATE_MS: i64 = 60_000;

/// How groups are evaluated.
#[derive(Debug, Clone)]
pub struct Options {
    /// From one evaluation to the next, where a group does not say it.
    pub interval: Duration,
    /// What templates know of the world around.
    pub outside: Outside,
    /// What questions mean.
    pub settings: Settings,
}

/// What is evaluated, and who is told.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Files of rules.
    pub files: Vec<RuleFile>,
    /// Who is told.
    pub channels: Vec<Channel>,
    /// Of what.
    pub routes: Vec<Route>,
    /// The targets that are looked at from here, and how each is watched.
    pub targets: HashMap<String, Watch>,
    /// Which rules there are without a file, of those that say nothing of it.
    pub ready: Kinds,
    /// What the place is called.
    pub location: String,
}

/// How many groups a reload found to be what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// As they were.
    pub kept: usize,
    /// New.
    pub begun: usize,
    /// Of the same name, and otherwise than before.
    pub changed: usize,
    /// Not there any more.
    pub ended: usize,
}

/// Groups of rules over a store. Dropped, it evaluates nothing any more.
#[derive(Debug)]
pub struct Live {
    evaluator: Arc<Evaluator>,
    running: Arc<Mutex<Vec<Running>>>,
}

#[derive(Debug, Clone)]
struct Running {
    group: Arc<LiveGroup>,
    task: AbortHandle,
}

/// A group, and what is known of it.
#[derive(Debug)]
pub(super) struct LiveGroup {
    pub group: Group,
    pub interval_ms: i64,
    /// Since when it is evaluated.
    since_ms: i64,
    state: RwLock<Arc<GroupState>>,
    /// Held by whoever evaluates it or ends it.
    evaluating: tokio::sync::Mutex<()>,
}

impl LiveGroup {
    pub(super) fn state(&self) -> Arc<GroupState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn firing(&self) -> Vec<Told> {
        let state = self.state();
        let of = |(rule, state): (&Rule, &RuleState)| -> Vec<Told> {
            let told = |(labels, own)| Told::active(&self.group.key(), &rule.name, labels, own);
            state.active.iter().filter_map(told).collect()
        };
        self.group.rules.iter().zip(&state.rules).flat_map(of).collect()
    }

    fn publish(&self, state: GroupState) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }
}

#[derive(Debug)]
struct Evaluator {
    store: Arc<Store>,
    runner: Arc<Runner>,
    sql: Arc<dyn Sql>,
    metrics: Metrics,
    options: Options,
    ledger: Ledger,
    silences: Silences,
    outbox: Outbox,
    slots: Mutex<Slots>,
    /// So many groups with questions in PromQL are evaluated at a time as queries have threads.
    turns: Semaphore,
    /// Evaluations, and the ns that they took.
    evaluated: (AtomicU64, AtomicU64),
}

impl Live {
    /// Begins with these files. Alerts that were active when the server stopped are active again; those whose rules are
    /// gone are over.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn start(
        store: Arc<Store>,
        runner: Arc<Runner>,
        sql: Arc<dyn Sql>,
        options: Options,
        plan: Plan,
    ) -> Result<Live, tsdb::Error> {
        let Plan { files, channels, routes, targets, ready, location } = plan;
        let kinds = targets.values().filter_map(|watch| watch.ready).fold(ready, Kinds::or);
        let outbox = Outbox::new(store.clone(), options.outside.url.clone());
        let (metrics, ledger, silences, slots) = Default::default();
        let turns = Semaphore::new(runner.limits().threads.max(1));
        let evaluator = Arc::new(Evaluator {
            store,
            runner,
            sql,
            metrics,
            options,
            ledger,
            silences,
            outbox,
            slots,
            turns,
            evaluated: Default::default(),
        });
        let own = evaluator.clone();
        let read = move || {
            own.silences.open(&own.store)?;
            Ok((own.ledger.open(&own.store)?, own.outbox.open()?))
        };
        let open = tokio::task::spawn_blocking(read).await;
        let (mut open, untold) = open.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        let live = Live { evaluator: evaluator.clone(), running: Arc::default() };
        evaluator.outbox.route(routes, &channels);
        for own in &mut open {
            if let Some(channels) = own.channels.take() {
                evaluator.outbox.remember(&id_of(&own.group, &own.rule, &own.labels), channels);
            }
        }
        // Before anything happens: each channel has to hear of it behind what it has not heard yet.
        evaluator.outbox.replace(channels, Some(untold), &live.firing());
        evaluator.slots.lock().unwrap_or_else(PoisonError::into_inner).configure(targets, ready, &location);
        for group in groups(kinds, files) {
            let mut state = GroupState::new(&group);
            for (rule, state) in group.rules.iter().zip(&mut state.rules) {
                take_open(&mut open, &group, rule, state);
            }
            live.lock().push(evaluator.clone().run(group, state));
        }
        let gone = open.into_iter().map(|own| (own.group, own.rule, own.labels, own.active)).collect();
        evaluator.end(gone).await;
        Ok(live)
    }

    /// Goes on with these files instead. Rules that are the same keep their alerts; those of rules that are gone are over.
    pub async fn replace(&self, plan: Plan) -> Changes {
        let Plan { files, channels, routes, targets, ready, location } = plan;
        let kinds = targets.values().filter_map(|watch| watch.ready).fold(ready, Kinds::or);
        self.evaluator.slots.lock().unwrap_or_else(PoisonError::into_inner).configure(targets, ready, &location);
        let mut changes = Changes::default();
        self.evaluator.outbox.route(routes, &channels);
        self.evaluator.outbox.replace(channels, None, &self.firing());
        let mut before = self.lock().clone();
        let mut next = Vec::new();
        for group in groups(kinds, files) {
            let same = |own: &Running| own.group.group.name == group.name && own.group.group.file == group.file;
            let Some(at) = before.iter().position(same) else {
                changes.begun += 1;
                let state = GroupState::new(&group);
                next.push(self.evaluator.clone().run(group, state));
                continue;
            };
            let running = before.swap_remove(at);
            if running.group.group.is_same(&group) {
                changes.kept += 1;
                next.push(running);
                continue;
            }
            changes.changed += 1;
            let (mut old, mut state) = (self.evaluator.stopped(&running).await, GroupState::new(&group));
            state.take_over(&group, &running.group.group, &mut old);
            self.evaluator.end_group(&running.group.group, old).await;
            next.push(self.evaluator.clone().run(group, state));
        }
        for running in before {
            changes.ended += 1;
            let old = self.evaluator.stopped(&running).await;
            self.evaluator.end_group(&running.group.group, old).await;
        }
        *self.lock() = next;
        changes
    }

    /// Evaluates nothing any more. What has begun ends first.
    pub async fn stop(&self) {
        let all = std::mem::take(&mut *self.lock());
        for running in &all {
            let _held = running.group.evaluating.lock().await;
            running.task.abort();
        }
        self.evaluator.outbox.stop();
    }

    /// What fires, for channels that hear of it again and again.
    fn firing(&self) -> Firing {
        let running = self.running.clone();
        Arc::new(move || {
            let groups: Vec<_> =
                running.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|own| own.group.clone()).collect();
            groups.iter().flat_map(|own| own.firing()).collect()
        })
    }

    /// The name of a group that is not evaluated any more, if there is one: it had two of its intervals and a minute.
    #[must_use]
    pub fn late(&self) -> Option<String> {
        let now_ms = now_ms();
        let is_late = |own: &Arc<LiveGroup>| {
            let last_ms = own.state().evaluated_ms.unwrap_or(0).max(own.since_ms);
            now_ms - last_ms > own.interval_ms.saturating_mul(2).saturating_add(LATE_MS)
        };
        self.groups().iter().find(|own| is_late(own)).map(|own| own.group.name.clone())
    }

    /// Evaluations since the start, and how long they took together.
    pub(super) fn evaluated(&self) -> (u64, Duration) {
        let (count, ns) = &self.evaluator.evaluated;
        (count.load(Ordering::Relaxed), Duration::from_nanos(ns.load(Ordering::Relaxed)))
    }

    /// What channels do.
    pub(super) fn channels(&self) -> Vec<ChannelStats> {
        self.evaluator.outbox.stats()
    }

    /// The silences that there are.
    #[must_use]
    pub fn silences(&self) -> &Silences {
        &self.evaluator.silences
    }

    /// The groups, in their order.
    pub(super) fn groups(&self) -> Vec<Arc<LiveGroup>> {
        self.lock().iter().map(|running| running.group.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.lock().iter().for_each(|running| running.task.abort());
    }
}

/// Gives a rule the alerts that were active.
fn take_open(open: &mut Vec<Open>, group: &Group, rule: &Rule, state: &mut RuleState) {
    if !rule.kind.is_alert() {
        return;
    }
    // Rules of one name are told apart by the labels that they give as they stand.
    let fixed: Vec<_> = rule.labels.iter().filter(|own| !own.source.contains("{{")).collect();
    let has_labels = |own: &Open| fixed.iter().all(|label| own.labels.get(&label.name) == label.source);
    let is_own = |own: &mut Open| own.group == group.key() && own.rule == rule.name && has_labels(own);
    for own in open.extract_if(.., is_own) {
        state.active.insert(own.labels, own.active);
    }
}

/// The groups of what needs no file, and of files.
fn groups(ready: Kinds, files: Vec<RuleFile>) -> impl Iterator<Item = Group> {
    ready::groups(ready).into_iter().chain(files.into_iter().flat_map(|file| file.groups))
}

/// An alert with its group and rule.
type Ended = (String, String, Labels, Active);

impl Evaluator {
    fn run(self: Arc<Self>, group: Group, state: GroupState) -> Running {
        let interval = i64::try_from(self.options.interval.as_millis()).unwrap_or(i64::MAX);
        let interval_ms = group.interval_ms.unwrap_or(interval);
        let state = RwLock::new(Arc::new(state));
        let since_ms = now_ms();
        let group =
            Arc::new(LiveGroup { group, interval_ms, since_ms, state, evaluating: tokio::sync::Mutex::default() });
        let own = group.clone();
        let task = tokio::spawn(async move {
            let what = format!("evaluating the group of rules {:?}", own.group.name);
            keep_on(&what, || self.clone().go_on(own.clone())).await;
        });
        Running { group, task: task.abort_handle() }
    }

    async fn go_on(self: Arc<Self>, own: Arc<LiveGroup>) {
        /// The clock is looked at so often: it may be set.
        const LOOK: Duration = Duration::from_millis(500);
        let grid = Grid::new(&own.group.key(), own.interval_ms);
        let mut next_ms = grid.after(now_ms());
        loop {
            let left_ms = next_ms - now_ms();
            if left_ms > 0 {
                // Set back, it has times before that one.
                next_ms = next_ms.min(grid.after(now_ms()));
                tokio::time::sleep(LOOK.min(Duration::from_millis(left_ms.unsigned_abs()))).await;
                continue;
            }
            self.clone().evaluate(own.clone(), next_ms).await;
            next_ms = grid.after(now_ms().max(next_ms));
        }
    }

    /// Evaluates a group on a thread that may wait: for a disk, too.
    async fn evaluate(self: Arc<Self>, own: Arc<LiveGroup>, at_ms: i64) {
        let _held = own.evaluating.lock().await;
        // What takes long must not keep the rules from being looked at that everybody has; SQL has turns of its own.
        let is_heavy = own.group.rules.iter().any(|rule| matches!(rule.asks, Asks::Expr(_)));
        let _turn = if is_heavy { self.turns.acquire().await.ok() } else { None };
        let (evaluator, group) = (self.clone(), own.clone());
        let work = move || {
            tsdb::fault("alerts");
            let deadline = Instant::now() + evaluator.runner.limits().timeout;
            let mut state = GroupState::clone(&group.state());
            let engine = evaluator.over_store(deadline);
            let unkept = state.evaluate(&group.group, at_ms, &evaluator.options.outside, &engine);
            (state, unkept)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok((state, unkept)) => {
                self.evaluated.0.fetch_add(1, Ordering::Relaxed);
                self.evaluated.1.fetch_add(state.took.as_nanos() as u64, Ordering::Relaxed);
                let before = own.state();
                own.publish(state);
                tell(&own.group, &before, &own.state(), &unkept);
            }
            Err(_) => {
                let mut state = GroupState::clone(&own.state());
                let error = "its evaluation panicked; the server's log says why";
                state.rules.iter_mut().for_each(|rule| rule.health = Health::Bad(error.into()));
                own.publish(state);
            }
        }
    }

    fn over_store(&self, deadline: Instant) -> OverStore<'_> {
        let Evaluator { store, runner, sql, metrics, options, ledger, silences, outbox, slots, .. } = self;
        let (settings, memory, sql, has_read) = (&options.settings, runner.memory(), sql.as_ref(), Cell::new(false));
        OverStore { store, metrics, settings, memory, sql, ledger, silences, outbox, slots, has_read, deadline }
    }

    /// The state of a group that is not evaluated any more.
    async fn stopped(&self, running: &Running) -> GroupState {
        // Between two evaluations: what one has begun is kept.
        let _held = running.group.evaluating.lock().await;
        running.task.abort();
        GroupState::clone(&running.group.state())
    }

    /// Its series have ended, and its alerts are over.
    async fn end_group(self: &Arc<Self>, group: &Group, state: GroupState) {
        let ended = state.ended(now_ms());
        self.keep(ended).await;
        let rules = group.rules.iter().zip(state.rules);
        let gone = rules.flat_map(|(rule, state)| {
            let of = (group.key(), rule.name.clone());
            state.active.into_iter().map(move |(labels, active)| (of.0.clone(), of.1.clone(), labels, active))
        });
        self.end(gone.collect()).await;
    }

    async fn end(self: &Arc<Self>, gone: Vec<Ended>) {
        let at_ms = now_ms();
        let event = |(group, rule, labels, own): Ended| Event {
            kind: EventKind::Recovered,
            at_ms,
            rule,
            group,
            labels,
            annotations: own.annotations,
            value: own.value,
            active_at_ms: own.active_at_ms,
            fired_at_ms: own.fired_at_ms,
            reason: Some("its rule is gone".into()),
        };
        self.keep(Made { samples: Vec::new(), events: gone.into_iter().map(event).collect() }).await;
    }

    async fn keep(self: &Arc<Self>, made: Made) {
        if made.is_empty() {
            return;
        }
        let own = self.clone();
        let kept = tokio::task::spawn_blocking(move || own.over_store(Instant::now()).keep(&made));
        if let Ok(Err(error)) = kept.await {
            tracing::error!("what became of alerts is not stored: {error}");
        }
    }
}

/// Says what does not work, once, and that it works again.
fn tell(group: &Group, before: &GroupState, now: &GroupState, unkept: &[String]) {
    for error in unkept {
        tracing::error!("what the rules of {:?} make is not stored: {error}", group.name);
    }
    for (rule, (before, now)) in group.rules.iter().zip(before.rules.iter().zip(&now.rules)) {
        match (&before.health, &now.health) {
            (before, now) if before == now => {}
            (_, Health::Bad(error)) => {
                // What stands in the configuration has no line.
                let line = if rule.line > 0 { format!(":{}", rule.line) } else { String::new() };
                tracing::error!("{}{line}: the rule {:?}: {error}", group.file, rule.name);
            }
            (Health::Bad(_), Health::Good) => tracing::info!("the rule {:?} works again", rule.name),
            _ => {}
        }
    }
}

/// Alerts of a rule by the name and labels that it has in its group.
type ByRule = BTreeMap<(String, Vec<(String, String)>), Vec<RuleState>>;

impl GroupState {
    /// Takes from the state of a group as it was what belongs to rules that it still has.
    fn take_over(&mut self, group: &Group, old_group: &Group, old: &mut GroupState) {
        let key = |rule: &Rule| {
            let labels = rule.labels.iter().map(|own| (own.name.clone(), own.source.clone())).collect();
            (rule.name.clone(), labels)
        };
        let mut left = ByRule::new();
        for (rule, state) in old_group.rules.iter().zip(std::mem::take(&mut old.rules)) {
            left.entry(key(rule)).or_default().push(state);
        }
        for (rule, state) in group.rules.iter().zip(&mut self.rules) {
            if let Some(same) = left.get_mut(&key(rule)).filter(|same| !same.is_empty()) {
                *state = same.remove(0);
            }
        }
        // In the order of the old group, so that what is left is told under its own rule.
        let rest = |rule: &Rule| left.get_mut(&key(rule)).filter(|rest| !rest.is_empty()).map(|rest| rest.remove(0));
        old.rules = old_group.rules.iter().map(rest).map(Option::unwrap_or_default).collect();
    }
}
