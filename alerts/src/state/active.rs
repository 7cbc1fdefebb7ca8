//! The alerts of a rule: found, pending, firing, over. The steps are those of Prometheus.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use promql::base::labels::Labels;

use super::event::{Event, EventKind};

/// How far an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It was found, and does not fire yet.
    Pending,
    /// It would fire, and is not told: something else explains it.
    Suppressed,
    /// It fires.
    Firing,
}

impl Phase {
    /// As the label `alertstate` has it: those who read it know two, and telling is another matter.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Suppressed | Phase::Firing => "firing",
        }
    }
}

/// An alert that is active.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    /// How far it is.
    pub phase: Phase,
    /// Its texts, of the last evaluation that found it.
    pub annotations: Vec<(String, String)>,
    /// What that found.
    pub value: f64,
    /// Since when it is found, in milliseconds.
    pub active_at_ms: i64,
    /// When it fired.
    pub fired_at_ms: Option<i64>,
    /// Since when it fires only because its rule keeps it so.
    pub keep_firing_since_ms: Option<i64>,
    /// Nothing is known of it any more.
    pub is_unknown: bool,
}

impl Active {
    /// One that was found just now.
    pub(super) fn new(annotations: Texts, value: f64, at_ms: i64) -> Active {
        Active {
            phase: Phase::Pending,
            annotations,
            value,
            active_at_ms: at_ms,
            fired_at_ms: None,
            keep_firing_since_ms: None,
            is_unknown: false,
        }
    }

    /// It fires, unless something else explains it; what happened to it, if anything did, and why.
    pub(super) fn fire(&mut self, at_ms: i64, hindrance: Option<String>) -> Option<(EventKind, Option<String>)> {
        match hindrance {
            None => {
                (self.phase, self.fired_at_ms) = (Phase::Firing, Some(at_ms));
                Some((EventKind::Firing, None))
            }
            Some(_) if self.phase == Phase::Suppressed => None,
            Some(why) => {
                self.phase = Phase::Suppressed;
                Some((EventKind::Suppressed, Some(why)))
            }
        }
    }
}

/// Texts by name.
pub(super) type Texts = Vec<(String, String)>;

/// What an evaluation found: texts and value of each alert, by its labels.
pub(super) type Found = BTreeMap<Labels, (Texts, f64)>;

/// How long a rule waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holds {
    pub for_ms: i64,
    pub keep_firing_for_ms: i64,
    pub limit: usize,
}

/// What happened to an alert, and why where that is not what was found.
pub(super) type Happened = (EventKind, Option<String>);

/// Takes what was found at a time, and tells what that changes: labels of alerts, and what happened to each. `hindrance`
/// is what explains an alert that would fire, so that it is not told.
///
/// # Errors
///
/// There are more than the limit allows. All are over then.
pub(super) fn step(
    active: &mut BTreeMap<Labels, Active>,
    found: Found,
    at_ms: i64,
    holds: Holds,
    hindrance: impl Fn(&Labels, &Active) -> Option<String>,
    mut tell: impl FnMut(&Labels, &Active, Happened),
) -> Result<(), String> {
    let gone: Vec<Labels> = active.keys().filter(|labels| !found.contains_key(*labels)).cloned().collect();
    for labels in gone {
        let Entry::Occupied(mut entry) = active.entry(labels) else { continue };
        let own = entry.get_mut();
        if own.phase == Phase::Firing && holds.keep_firing_for_ms > 0 {
            let since = *own.keep_firing_since_ms.get_or_insert(at_ms);
            if at_ms - since < holds.keep_firing_for_ms {
                continue;
            }
        }
        let (labels, own) = entry.remove_entry();
        tell(&labels, &own, (EventKind::Recovered, None));
    }
    for (labels, (annotations, value)) in found {
        let own = match active.entry(labels.clone()) {
            Entry::Occupied(entry) => {
                let own = entry.into_mut();
                (own.annotations, own.value, own.keep_firing_since_ms) = (annotations, value, None);
                own
            }
            Entry::Vacant(entry) => {
                let own = entry.insert(Active::new(annotations, value, at_ms));
                if holds.for_ms > 0 {
                    tell(&labels, own, (EventKind::Pending, None));
                }
                own
            }
        };
        // A clock that was set back: it is active since now, at the latest.
        own.active_at_ms = own.active_at_ms.min(at_ms);
        if own.phase != Phase::Firing && at_ms - own.active_at_ms >= holds.for_ms {
            let hindrance = hindrance(&labels, own);
            if let Some(happened) = own.fire(at_ms, hindrance) {
                tell(&labels, own, happened);
            }
        }
    }
    if holds.limit > 0 && active.len() > holds.limit {
        return Err(format!("exceeded limit of {} with {} alerts", holds.limit, active.len()));
    }
    Ok(())
}

/// What happened to an alert, to be kept.
pub(super) fn event(
    (group, rule): (&str, &str),
    at_ms: i64,
    labels: &Labels,
    own: &Active,
    (kind, reason): Happened,
) -> Event {
    Event {
        kind,
        at_ms,
        rule: rule.to_owned(),
        group: group.to_owned(),
        labels: labels.clone(),
        annotations: own.annotations.clone(),
        value: own.value,
        active_at_ms: own.active_at_ms,
        fired_at_ms: own.fired_at_ms,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Prometheus' rules do, step by step, with `for: 2` and `keep_firing_for: 3`.
    #[test]
    fn an_alert_lives_as_in_prometheus() {
        let labels = Labels::new([("alertname", "a")]);
        let holds = Holds { for_ms: 2, keep_firing_for_ms: 3, limit: 0 };
        let mut active = BTreeMap::new();
        let mut told = Vec::new();
        for (at, is_found) in [1, 0, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1].into_iter().enumerate() {
            let found = (is_found == 1).then(|| (labels.clone(), (Vec::new(), 1.0)));
            let at = at as i64;
            let tell = |_: &Labels, _: &Active, (kind, _): Happened| told.push((at, kind.name()));
            step(&mut active, found.into_iter().collect(), at, holds, |_, _| None, tell).unwrap();
        }
        let expected = [
            (0, "pending"),
            (1, "recovered"),
            (2, "pending"),
            (4, "firing"),
            // Gone at 6 and 7, found at 8; gone for 3 at 12.
            (12, "recovered"),
            (13, "pending"),
        ];
        assert_eq!(told, expected);
    }

    /// A clock that is set back by an hour: what is found goes on being found from the new time on.
    #[test]
    fn an_alert_does_not_wait_for_the_clock_to_come_back() {
        let labels = Labels::new([("alertname", "a")]);
        let holds = Holds { for_ms: 2, keep_firing_for_ms: 0, limit: 0 };
        let (mut active, mut fired) = (BTreeMap::new(), Vec::new());
        for at in [3600, 1, 2, 3] {
            let found = Found::from([(labels.clone(), (Vec::new(), 1.0))]);
            let tell =
                |_: &Labels, _: &Active, (kind, _): Happened| fired.extend((kind == EventKind::Firing).then_some(at));
            step(&mut active, found, at, holds, |_, _| None, tell).unwrap();
        }
        assert_eq!(fired, [3]);
    }
}
