//! The last slots of every series of `probe`, read as they come.

use std::collections::{BTreeMap, HashMap};

use domain::tables::PROBE;
use promql::base::labels::Labels;
use tsdb::{DEFAULT_SCHEMA, ScanRequest, Store, TIME_COLUMN};

use super::group::{Confirm, Kinds, Watch};
use crate::base::clock::NS_PER_MS;
use crate::base::rows::{Rows, columns_there};
use crate::rules::Ready;

/// So many slots of a series are kept: a target is judged by no more.
pub const KEPT_MAX: usize = 10;
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
    /// Of an edge, if that is known: does it keep what it should not any more?
    pub is_stale: Option<bool>,
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
    /// The newest slot that says whether its content is another one, and when that was the case last, in ms.
    pub content: Option<(i64, Option<i64>)>,
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

    /// Has it said nothing since a time, and may still be about to? It has two of its intervals for that.
    pub(super) fn is_late(&self, since_ms: i64, at_ms: i64) -> bool {
        let newest_ms = self.newest() / NS_PER_MS;
        newest_ms < since_ms && at_ms - since_ms < self.step_ms().saturating_mul(2)
    }

    /// The newest slots that count, the newest first, as far as they are of one stretch of time.
    pub(super) fn counted(&self, count: usize, at_ms: i64) -> Vec<&Slot> {
        // A gap of several slots is no stretch any more.
        let far = self.step_ms().saturating_mul(2 * count as i64).saturating_mul(NS_PER_MS);
        let from = at_ms.saturating_mul(NS_PER_MS).saturating_sub(far.saturating_add(AGAIN_MS * NS_PER_MS));
        self.slots.range(from..).rev().filter_map(|(_, slot)| slot.as_ref()).take(count).collect()
    }
}

/// What places know of a target or an edge of it, by their names.
pub(super) type Places = BTreeMap<String, Known>;

/// The last slots of all series.
#[derive(Debug, Default)]
pub struct Slots {
    /// By the target, the address of its edge if it has several, and the place that looks.
    pub(super) series: HashMap<String, BTreeMap<String, Places>>,
    read_ms: Option<i64>,
    /// Since when slots are known, in ms.
    pub(super) read_since_ms: Option<i64>,
    read_far_ms: i64,
    /// The targets that are looked at from here, and how each is watched.
    pub(super) configured: HashMap<String, Watch>,
    /// Does one of them say something of its own?
    has_own: bool,
    /// Which rules those have that say nothing of it.
    default: Kinds,
    /// What the place is called.
    location: String,
}

impl Slots {
    /// These are the targets that are looked at from here, with how each is watched; the rules of all others; and what the
    /// place is called. Of others that were looked at from here nothing is known any more.
    pub fn configure(&mut self, targets: HashMap<String, Watch>, default: Kinds, location: &str) {
        self.retain(|target, place, _| place != location || targets.contains_key(target));
        self.has_own = targets.values().any(|watch| watch.ready.is_some() || watch.confirm.is_some());
        (self.configured, self.default, self.location) = (targets, default, location.to_owned());
    }

    /// Does a target have a ready rule?
    pub(super) fn has(&self, target: &str, ready: Ready) -> bool {
        self.own(target).and_then(|watch| watch.ready).unwrap_or(self.default).has(ready)
    }

    /// How many slots of a target have to be alike.
    pub(super) fn confirm(&self, target: &str) -> Confirm {
        self.own(target).and_then(|watch| watch.confirm).unwrap_or_default()
    }

    /// How a target is watched, where that may be otherwise than others. It is asked of all targets once a second.
    fn own(&self, target: &str) -> Option<&Watch> {
        if self.has_own { self.configured.get(target) } else { None }
    }

    /// What a target stands behind.
    pub(super) fn parents(&self, target: &str) -> &[String] {
        self.configured.get(target).map_or(&[], |watch| &watch.depends_on)
    }

    /// The labels of alerts of what is watched: its group as it is called here, or else at the first place by name.
    pub(super) fn labels(&self, target: &str, edge: &str, places: &Places) -> Labels {
        let known = places.get(&self.location).or_else(|| places.values().next());
        let group = known.map_or("", |known| known.group.as_str());
        Labels::new([("target", target), ("edge", edge), ("group", group)])
    }

    /// Reads what has come.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn read(&mut self, store: &Store, at_ms: i64) -> Result<(), tsdb::Error> {
        const WANTED: [&str; 14] = [
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
            "content_changed",
            "freshness",
        ];
        let Some(columns) = columns_there(store, PROBE.name, &WANTED) else { return Ok(()) };
        if self.read_ms.is_none() {
            let (rows, _) = store.last_rows(DEFAULT_SCHEMA, PROBE.name, Some(&columns), &[])?;
            self.take(&Rows::new(&rows));
        }
        self.read_since_ms.get_or_insert(at_ms - FIRST_MS);
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
        // Most rows were looked at before, and of those that were not most are good: no text of them is copied.
        let texts = |column: &str| rows.texts(column);
        let (targets, edges, locations) = (texts("target"), texts("edge"), texts("location"));
        let (groups, outcomes, errors, messages) = (texts("group"), texts("outcome"), texts("error"), texts("message"));
        let freshness = texts("freshness");
        for at in 0..rows.len() {
            let (target, Some(time)) = (targets.at(at).unwrap_or_default(), rows.whole(TIME_COLUMN, at)) else {
                continue;
            };
            let location = locations.at(at).unwrap_or_default();
            if location == self.location && !self.configured.contains_key(target) {
                continue;
            }
            if !self.series.contains_key(target) {
                self.series.insert(target.to_owned(), BTreeMap::new());
            }
            let Some(of_target) = self.series.get_mut(target) else { continue };
            let known = entry(entry(of_target, edges.at(at).unwrap_or_default()), location);
            let number = |column: &str| rows.float(column, at);
            let became = match (outcomes.at(at).unwrap_or_default(), rows.truth("up", at)) {
                ("ok", _) | ("", Some(true)) => Some(Became::Good),
                ("slow", _) => Some(Became::Slow),
                ("fail", _) | ("", Some(false)) => Some(Became::Bad),
                // Missed, of maintenance, excluded: they say nothing.
                _ => None,
            };
            let slot = became.map(|became| Slot {
                became,
                total_ms: number("total_ms").unwrap_or(f64::NAN),
                error: errors.at(at).unwrap_or_default().to_owned(),
                message: messages.at(at).unwrap_or_default().to_owned(),
                is_stale: freshness.at(at).map(|freshness| freshness == "stale"),
            });
            known.slots.insert(time, slot);
            while known.slots.len() > KEPT_MAX {
                known.slots.pop_first();
            }
            if time == known.newest() {
                known.interval_ms = number("interval_ms").unwrap_or(0.0) as i64;
                let group = groups.at(at).unwrap_or_default();
                if known.group != group {
                    known.group = group.to_owned();
                }
            }
            if let Some(is_changed) = rows.truth("content_changed", at) {
                let (newest, changed_ms) = known.content.unwrap_or((time, None));
                let own_ms = is_changed.then_some(time / NS_PER_MS);
                known.content = Some((newest.max(time), changed_ms.max(own_ms)));
            }
            let ends_ms = rows.whole("cert_expires_s", at).map(|left_s| time / NS_PER_MS + left_s.saturating_mul(1000));
            if let Some(ends_ms) = ends_ms.filter(|_| known.certificate.is_none_or(|(before, _)| before <= time)) {
                known.certificate = Some((time, ends_ms));
            }
        }
    }

    fn forget(&mut self, at_ms: i64) {
        self.retain(|_, _, known| {
            let kept_ms = FORGOTTEN_MS.max(known.step_ms().saturating_mul(10));
            known.newest() / NS_PER_MS >= at_ms.saturating_sub(kept_ms)
        });
    }

    /// Keeps what this says of it: by target, place, and what that knows.
    fn retain(&mut self, mut is_kept: impl FnMut(&str, &str, &Known) -> bool) {
        self.series.retain(|target, edges| {
            edges.retain(|_, places| {
                places.retain(|place, known| is_kept(target, place, known));
                !places.is_empty()
            });
            !edges.is_empty()
        });
    }
}

/// What is known by a name, which is copied only where nothing is yet.
fn entry<'a, V: Default>(map: &'a mut BTreeMap<String, V>, name: &str) -> &'a mut V {
    if !map.contains_key(name) {
        map.insert(name.to_owned(), V::default());
    }
    map.get_mut(name).expect("it is there since just now")
}
