//! The last slots of every series of `probe`, read as they come.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::tables::PROBE;
use promql::base::labels::Labels;
use tsdb::{DEFAULT_SCHEMA, ScanRequest, Store, TIME_COLUMN};

use crate::base::clock::NS_PER_MS;
use crate::base::rows::{Rows, columns_there};

/// So many slots of a series are kept.
const KEPT_MAX: usize = 6;
/// Rows are written when a check has ended, at the time when it began: so far back is read again at every look, and so
/// much farther now and then.
const AGAIN_MS: i64 = 15_000;
const AGAIN_SELDOM_MS: i64 = 180_000;
const SELDOM_MS: i64 = 30_000;
/// What is read at the start.
const FIRST_MS: i64 = 600_000;
/// A series of which nothing was heard for so long is forgotten, unless its slots are longer.
const FORGOTTEN_MS: i64 = 86_400_000;

/// What became of a slot that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    Good,
    Slow,
    Bad,
}

/// A slot that was measured, outside of maintenance.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub became: Became,
    pub total_ms: f64,
    /// The class of what was wrong, and its sentence.
    pub error: String,
    pub message: String,
}

/// What a place knows of a target.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// By time, in ns; those that do not count are none.
    pub slots: BTreeMap<i64, Option<Slot>>,
    /// How long a slot is, by the newest one; 0 if it does not say that.
    pub interval_ms: i64,
    /// The group that the newest one says.
    pub group: String,
    /// When its certificate ends, in ms, by the newest slot that says so.
    pub certificate: Option<(i64, i64)>,
}

impl Known {
    fn newest(&self) -> i64 {
        self.slots.keys().next_back().copied().unwrap_or(0)
    }

    /// How long a slot is: what it says, or else from one to the next.
    fn step_ms(&self) -> i64 {
        let times: Vec<i64> = self.slots.keys().copied().collect();
        let steps = times.windows(2).map(|pair| (pair[1] - pair[0]) / NS_PER_MS);
        if self.interval_ms > 0 { self.interval_ms } else { steps.min().unwrap_or(0) }
    }

    /// The newest slots that count, the newest first, as far as they are of one stretch of time.
    pub(super) fn counted(&self, count: usize, at_ms: i64) -> Vec<&Slot> {
        // A gap of several slots is no stretch any more.
        let far = self.step_ms().saturating_mul(2 * count as i64).saturating_mul(NS_PER_MS);
        let from = at_ms.saturating_mul(NS_PER_MS).saturating_sub(far.saturating_add(AGAIN_MS * NS_PER_MS));
        self.slots.range(from..).rev().filter_map(|(_, slot)| slot.as_ref()).take(count).collect()
    }
}

/// What is watched: a target, and the address of its edge if it has several.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Watched {
    pub target: String,
    pub edge: String,
}

/// The last slots of all series.
#[derive(Debug, Default)]
pub struct Slots {
    /// By what is watched, and the place that looks.
    pub(super) series: HashMap<Watched, BTreeMap<String, Known>>,
    read_ms: Option<i64>,
    read_far_ms: i64,
    /// The targets that are looked at from here.
    pub(super) configured: HashSet<String>,
    /// What the place is called.
    location: String,
}

impl Slots {
    /// These are the targets that are looked at from here, and the place is called so. Of others that were looked at from
    /// here nothing is known any more.
    pub fn configure(&mut self, targets: HashSet<String>, location: &str) {
        self.series.retain(|watched, places| {
            if !targets.contains(&watched.target) {
                places.remove(location);
            }
            !places.is_empty()
        });
        (self.configured, self.location) = (targets, location.to_owned());
    }

    /// The labels of alerts of what is watched: its group as it is called here, or else at the first place by name.
    pub(super) fn labels(&self, watched: &Watched, places: &BTreeMap<String, Known>) -> Labels {
        let known = places.get(&self.location).or_else(|| places.values().next());
        let group = known.map_or("", |known| known.group.as_str());
        Labels::new([("target", watched.target.as_str()), ("edge", watched.edge.as_str()), ("group", group)])
    }

    /// Reads what has come.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn read(&mut self, store: &Store, at_ms: i64) -> Result<(), tsdb::Error> {
        const WANTED: [&str; 12] = [
            TIME_COLUMN,
            "target",
            "group",
            "location",
            "edge",
            "outcome",
            "total_ms",
            "error",
            "message",
            "cert_expires_s",
            "interval_ms",
            "up",
        ];
        let Some(columns) = columns_there(store, PROBE.name, &WANTED) else { return Ok(()) };
        if self.read_ms.is_none() {
            let (rows, _) = store.last_rows(DEFAULT_SCHEMA, PROBE.name, Some(&columns), &[])?;
            self.take(&Rows::new(&rows));
        }
        let from_ms = match self.read_ms {
            None => at_ms - FIRST_MS,
            // A clock that was set: what it says now.
            Some(before) if before > at_ms || at_ms - self.read_far_ms >= SELDOM_MS => {
                before.min(at_ms) - AGAIN_SELDOM_MS
            }
            Some(before) => before - AGAIN_MS,
        };
        if self.read_ms.is_none() || at_ms - self.read_far_ms >= SELDOM_MS || at_ms < self.read_far_ms {
            self.read_far_ms = at_ms;
            self.forget(at_ms);
        }
        let request =
            ScanRequest { columns: Some(columns), from: from_ms.saturating_mul(NS_PER_MS), ..ScanRequest::default() };
        for rows in store.scan(DEFAULT_SCHEMA, PROBE.name, &request)?.read_all() {
            self.take(&Rows::new(&rows?));
        }
        self.read_ms = Some(at_ms);
        Ok(())
    }

    fn take(&mut self, rows: &Rows<'_>) {
        for at in 0..rows.len() {
            let text = |column: &str| rows.text(column, at).unwrap_or_default();
            let (target, Some(time)) = (text("target"), rows.whole(TIME_COLUMN, at)) else { continue };
            let location = text("location");
            if location == self.location && !self.configured.contains(&target) {
                continue;
            }
            let places = self.series.entry(Watched { target, edge: text("edge") }).or_default();
            let known = places.entry(location).or_default();
            let number = |column: &str| rows.float(column, at);
            let became = match (text("outcome").as_str(), rows.truth("up", at)) {
                ("ok", _) | ("", Some(true)) => Some(Became::Good),
                ("slow", _) => Some(Became::Slow),
                ("fail", _) | ("", Some(false)) => Some(Became::Bad),
                // Missed, of maintenance, excluded: they say nothing.
                _ => None,
            };
            let slot = became.map(|became| Slot {
                became,
                total_ms: number("total_ms").unwrap_or(f64::NAN),
                error: text("error"),
                message: text("message"),
            });
            known.slots.insert(time, slot);
            while known.slots.len() > KEPT_MAX {
                known.slots.pop_first();
            }
            if time == known.newest() {
                known.interval_ms = number("interval_ms").unwrap_or(0.0) as i64;
                known.group = text("group");
            }
            let ends_ms = rows.whole("cert_expires_s", at).map(|left_s| time / NS_PER_MS + left_s.saturating_mul(1000));
            if let Some(ends_ms) = ends_ms.filter(|_| known.certificate.is_none_or(|(before, _)| before <= time)) {
                known.certificate = Some((time, ends_ms));
            }
        }
    }

    fn forget(&mut self, at_ms: i64) {
        self.series.retain(|_, places| {
            places.retain(|_, known| {
                let kept_ms = FORGOTTEN_MS.max(known.step_ms().saturating_mul(10));
                known.newest() / NS_PER_MS >= at_ms.saturating_sub(kept_ms)
            });
            !places.is_empty()
        });
    }
}
