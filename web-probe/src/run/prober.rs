//! Runs targets on their schedules and records a row a slot.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::tables::{CDN, PROBE};
use futures::FutureExt;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tsdb::{DEFAULT_SCHEMA, ScanRequest, TagPredicate, now_ns};

use crate::base::schedule::{Schedule, Slot};
use crate::checks::check::Hearing;
use crate::found::failure::Class;
use crate::found::field::Field;
use crate::found::measurement::{Detail, Hop, Measurement, Outcome, OwnRow};
use crate::net::followed::Followed;
use crate::rows::record::Record;
use crate::rows::recorder::Recorder;
use crate::run::canary::Canary;
use crate::run::pages::{Pages, Scrape};
use crate::run::target::Target;

/// The table of attempts, of slots with more than one: a row an attempt, `attempt` being its number.
const ATTEMPTS_TABLE: &str = "probe_attempt";
/// The table of requests of chains of redirects: a row a request, `hop` being its number.
const HOPS_TABLE: &str = "probe_hop";
/// How many slots in a row are recorded as missed. A clock that jumps further was set, not slept through: what lies
/// between is left without rows, which statistics count as unknown all the same.
const MISSED_SLOTS_MAX: i64 = 10_000;
/// Between two tries of a slot: what is down for a moment should be up again. Of short slots a tenth.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// A try that would have less time is not made.
const RETRY_TIMEOUT_MIN: Duration = Duration::from_millis(200);
/// How long a sleep may be before the wall clock is looked at again: it may have been set, or the machine suspended.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// Probes targets, each in its own slots.
#[derive(Debug, Clone)]
pub struct Prober {
    recorder: Recorder,
    network: Followed,
    canary: Canary,
    /// One for each probe that may run at the same time.
    permits: Arc<Semaphore>,
    location: String,
    pages: Pages,
}

impl Prober {
    /// A prober that runs at most `concurrency` probes at the same time, and says that it looks from `location`.
    /// What is scraped goes to `pages`.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of tokio.
    pub fn new(recorder: Recorder, concurrency: usize, location: String, pages: Pages) -> Prober {
        recorder.declare(PROBE.name, PROBE.tags, PROBE.fields);
        let permits = Arc::new(Semaphore::new(concurrency));
        Prober { recorder, network: Followed::start(), canary: Canary::start(), permits, location, pages }
    }

    /// Refuses targets that would write into one another's series, by name.
    ///
    /// # Errors
    ///
    /// The name that stands twice.
    pub fn check_names(targets: &[Target]) -> Result<(), String> {
        let mut seen = HashSet::new();
        match targets.iter().find(|target| !seen.insert(&target.name)) {
            None => Ok(()),
            Some(twice) => Err(format!("two targets are called '{}'", twice.name)),
        }
    }

    /// Probes a target in all its slots that start behind `after`, until it is told to stop: then the end of the last
    /// one is told to `ended`, and what was begun is brought to its end.
    ///
    /// A slot always starts at its own time, however long the probe before it takes. If it cannot start before the
    /// next one is due, because the machine slept or too many probes run, its row says `missed`.
    pub(crate) async fn run(
        self,
        target: Arc<Target>,
        after: i64,
        mut stopped: watch::Receiver<bool>,
        ended: oneshot::Sender<i64>,
    ) {
        let schedule = Schedule::new(&target.name, target.interval);
        target.check.columns().iter().for_each(|own| self.recorder.declare(own.table, own.tags, own.fields));
        let mut probes = JoinSet::new();
        let (mut slot, mut last) = (self.first_slot(&target, &schedule, after), after);
        loop {
            tokio::select! {
                () = sleep_until(slot) => {}
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
            if now_ns() < slot.start_ns {
                // Slots of times that come again are measured again: they are what the clock says now.
                tracing::warn!("{}: the clock was set back, and its slots are those of the new time", target.name);
                slot = schedule.next(schedule.slot_at(now_ns()));
                continue;
            }
            let behind = (now_ns() - slot.start_ns) / (slot.end_ns - slot.start_ns);
            if behind > MISSED_SLOTS_MAX {
                tracing::warn!("{}: {behind} slots are left out, the clock was set forward", target.name);
                slot = schedule.slot_at(now_ns());
            }
            probes.spawn(self.clone().slot(target.clone(), slot));
            while probes.try_join_next().is_some() {}
            last = slot.end_ns;
            slot = schedule.next(slot);
        }
        let _ = ended.send(last); // whoever asked may have gone away
        while probes.join_next().await.is_some() {}
    }

    /// What is left of the present slot, or the next one if nothing is, or a part of it was measured before.
    ///
    /// What is left begins a moment from now, another one for each target, so that they do not all start at once; its
    /// row says nothing of the time before.
    fn first_slot(&self, target: &Target, schedule: &Schedule, after: i64) -> Slot {
        let now = now_ns();
        let slot = schedule.slot_at(now);
        if after > slot.start_ns || self.is_recorded(target, slot) {
            // Another one of this name began a part of it; and a slot always starts at its own time.
            return schedule.next(slot);
        }
        schedule.rest(slot, now).unwrap_or_else(|| schedule.next(slot))
    }

    /// Is there a row for this slot from before a restart? History is not written twice.
    fn is_recorded(&self, target: &Target, slot: Slot) -> bool {
        let request = ScanRequest {
            columns: Some(vec![tsdb::TIME_COLUMN.into()]),
            from: slot.start_ns,
            to: slot.end_ns - 1,
            tags: vec![
                TagPredicate::In("target".into(), vec![target.name.clone()]),
                TagPredicate::In("location".into(), vec![self.location.clone()]),
            ],
            ..ScanRequest::default()
        };
        let scan = self.recorder.store().scan(DEFAULT_SCHEMA, PROBE.name, &request);
        scan.is_ok_and(|scan| scan.read_all().any(|batch| batch.is_ok_and(|batch| batch.num_rows() > 0)))
    }

    /// Probes once for a slot, or records that it was missed.
    async fn slot(self, target: Arc<Target>, slot: Slot) {
        let left = Duration::from_nanos(u64::try_from(slot.end_ns - now_ns()).unwrap_or(0));
        let permit = match left {
            Duration::ZERO => None,
            left => tokio::time::timeout(left, self.permits.acquire()).await.ok(),
        };
        let miss = |reason| self.row(&target, slot, &Measurement::missed(reason), None);
        let Some(permit) = permit else { return self.recorder.record(miss(None)).await };
        let (start, lag) = (Instant::now(), Some(now_ns() - slot.start_ns));
        // A panic in a check is that check's only: what it had is not looked at again.
        let attempts = match target.check.hears() {
            Some(hearing) => AssertUnwindSafe(self.heard(hearing, &target)).catch_unwind().await,
            None => AssertUnwindSafe(self.attempts(&target, slot)).catch_unwind().await,
        };
        drop(permit);
        let Ok(attempts) = attempts else {
            return self.recorder.record(miss(Some("the check broke off; the server's log says why".into()))).await;
        };
        // What was found while the prober itself was in trouble says nothing about a target, nor does how long it took.
        let own_trouble = attempts.last().and_then(Measurement::own_trouble).map(str::to_owned);
        if let Some(reason) = self.canary.trouble_since(start).await.or(own_trouble) {
            return self.recorder.record(miss(Some(format!("the prober was in trouble: {reason}")))).await;
        }
        if attempts.len() > 1 {
            for (number, attempt) in attempts.iter().enumerate() {
                let mut row = self.row(&target, slot, attempt, None);
                row.table = ATTEMPTS_TABLE;
                row.tags.push(("attempt", (number + 1).to_string()));
                self.recorder.record(row).await;
            }
        }
        let count = attempts.len() as i64;
        let Some(mut measurement) = attempts.into_iter().next_back() else { return };
        if target.retries > 0 {
            measurement.fields.push(("attempts", Field::I64(count)));
        }
        self.store_page(&target, slot, &mut measurement).await;
        self.record(&target, slot, &measurement, lag).await;
    }

    /// What the store has heard of a job.
    async fn heard(&self, hearing: Hearing<'_>, target: &Target) -> Vec<Measurement> {
        // It may read from the disk: the thread hands its other tasks over meanwhile.
        vec![tokio::task::block_in_place(|| hearing(self.recorder.store(), &target.terms))]
    }

    /// Probes until it is up, as often as it may within the slot.
    async fn attempts(&self, target: &Target, slot: Slot) -> Vec<Measurement> {
        let mut attempts = Vec::new();
        loop {
            tsdb::fault("check");
            let left = Duration::from_nanos(u64::try_from(slot.end_ns - now_ns()).unwrap_or(0));
            let is_first = attempts.is_empty();
            let measurement = match left < target.terms.timeout && !is_first {
                // The last one has the time that is left.
                true => target.within(left).probe(&self.network.now()).await,
                false => target.probe(&self.network.now()).await,
            };
            let is_down = measurement.outcome == Outcome::Fail;
            attempts.push(measurement);
            if !is_down || attempts.len() > target.retries as usize {
                return attempts;
            }
            let pause = RETRY_PAUSE.min(target.interval / 10);
            let has_time = slot.end_ns - now_ns() > (pause + RETRY_TIMEOUT_MIN).as_nanos() as i64;
            if !has_time {
                return attempts;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Has the page of a scrape stored. One that turns out to be none is a failure.
    async fn store_page(&self, target: &Target, slot: Slot, measurement: &mut Measurement) {
        let Some(scraped) = measurement.scraped.take() else { return };
        let mut tags = vec![("job", target.name.clone()), ("instance", scraped.instance)];
        tags.extend(target.group.clone().map(|group| ("group", group)));
        let taken = measurement.phases.total.unwrap_or_default();
        let had_page = scraped.page.is_some();
        let stored = self.pages.store(Scrape { tags, time_ns: slot.start_ns, taken, page: scraped.page }).await;
        match stored {
            Ok(_) if !had_page => {}
            Ok(stored) => {
                let count = |count: usize| Field::I64(i64::try_from(count).unwrap_or(i64::MAX));
                measurement.fields.push(("samples", count(stored.samples)));
                measurement.fields.push(("lines_refused", count(stored.refused)));
                // A page that came too late has a sentence already.
                let trouble = stored.trouble.filter(|_| measurement.failure.is_none());
                measurement.fields.extend(trouble.map(|trouble| ("message", Field::Str(trouble))));
            }
            Err(reason) => {
                measurement.outcome = Outcome::Fail;
                measurement.failure = Some(Class::Page.because(reason));
            }
        }
    }

    /// Writes the rows of a slot.
    async fn record(&self, target: &Target, slot: Slot, measurement: &Measurement, lag: Option<i64>) {
        if measurement.edges.is_empty() {
            self.recorder.record(self.row(target, slot, measurement, lag)).await;
        }
        for (edge, own) in &measurement.edges {
            let mut row = self.row(target, slot, own, lag);
            row.tags.push(("edge", edge.clone()));
            self.recorder.record(row).await;
        }
        let fields = measurement.fields.clone();
        if !measurement.edges.is_empty() && !fields.is_empty() {
            let tags = self.tags(target);
            self.recorder.record(Record { table: CDN.name, tags, time_ns: slot.start_ns, fields }).await;
        }
        for OwnRow { table, tags, fields } in measurement.rows.iter().cloned() {
            self.recorder.record(Record { table, tags, time_ns: slot.start_ns, fields }).await;
        }
        for Detail { of, name, found } in &measurement.details {
            let mut row = self.row(target, slot, found, None);
            row.table = of.table;
            row.tags.push((of.tag, name.clone()));
            self.recorder.record(row).await;
        }
        for (number, hop) in measurement.hops.iter().enumerate() {
            self.recorder.record(self.hop_row(target, slot, number, hop)).await;
        }
    }

    fn tags(&self, target: &Target) -> Vec<(&'static str, String)> {
        let mut tags = vec![
            ("target", target.name.clone()),
            ("kind", target.kind().to_owned()),
            ("location", self.location.clone()),
        ];
        tags.extend(target.group.clone().map(|group| ("group", group)));
        tags
    }

    fn hop_row(&self, target: &Target, slot: Slot, number: usize, hop: &Hop) -> Record {
        let mut tags = self.tags(target);
        tags.push(("hop", (number + 1).to_string()));
        let mut fields = vec![("url", Field::Str(hop.url.clone()))];
        fields.extend(hop.status.map(|status| ("status", Field::I64(i64::from(status)))));
        for (name, ms) in hop.phases.columns() {
            fields.extend(ms.map(|ms| (name, Field::F64(ms))));
        }
        Record { table: HOPS_TABLE, tags, time_ns: slot.start_ns, fields }
    }

    fn row(&self, target: &Target, slot: Slot, measurement: &Measurement, lag_ns: Option<i64>) -> Record {
        let mut fields = vec![("interval_ms", Field::F64((slot.end_ns - slot.start_ns) as f64 / 1e6))];
        let window = target.maintenance.iter().find(|window| window.when.covers(slot.start_ns));
        match window.filter(|_| measurement.outcome != Outcome::Missed) {
            None => fields.push(("outcome", Field::Str(measurement.outcome.name().into()))),
            Some(window) => {
                fields.push(("outcome", Field::Str("maintenance".into())));
                fields.push(("maintenance", Field::Str(format!("{} ({})", window.reason, window.author))));
            }
        }
        fields.extend(measurement.outcome.up().map(|up| ("up", Field::Bool(up))));
        for (name, ms) in measurement.phases.columns() {
            fields.extend(ms.map(|ms| (name, Field::F64(ms))));
        }
        fields.extend(measurement.status.map(|status| ("status", Field::I64(i64::from(status)))));
        fields.extend(measurement.bytes.map(|bytes| ("bytes", Field::I64(bytes as i64))));
        if let Some(failure) = &measurement.failure {
            fields.push(("error", Field::Str(failure.class.name().into())));
            fields.push(("message", Field::Str(failure.message.clone())));
        }
        fields.extend(measurement.cert_expires_s.map(|seconds| ("cert_expires_s", Field::I64(seconds))));
        fields.extend(measurement.address.map(|address| ("address", Field::Str(address.to_string()))));
        fields.extend(lag_ns.map(|lag| ("lag_ms", Field::F64((lag / 1000) as f64 / 1e3))));
        fields.extend(measurement.fields.iter().cloned());
        Record { table: PROBE.name, tags: self.tags(target), time_ns: slot.start_ns, fields }
    }
}

/// Waits for the start of a slot on the wall clock, or until that is further away than it can be: then the clock was
/// set back.
async fn sleep_until(slot: Slot) {
    let far = (slot.end_ns - slot.start_ns).saturating_mul(2).saturating_add(1_000_000_000);
    loop {
        match u64::try_from(slot.start_ns - now_ns()) {
            Ok(left) if left > 0 && left <= far.unsigned_abs() => {
                tokio::time::sleep(Duration::from_nanos(left).min(SLEEP_MAX)).await;
            }
            _ => return,
        }
    }
}
