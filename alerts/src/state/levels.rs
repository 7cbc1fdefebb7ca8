//! Alerts by bounds of values, series by series: level by level they are raised and cleared, each by its own bound, and
//! where nothing is known nothing is over.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use promql::base::labels::Labels;

use super::active::{Active, Happened, Phase, Texts};
use super::event::EventKind;
use crate::rules::{Level, Levels, NoData, Severity};

/// A series of which nothing is found for so long is forgotten, and its alerts are over.
const FORGOTTEN_MS: i64 = 86_400_000;
/// The label that tells levels apart.
pub(super) const SEVERITY: &str = "severity";

/// What is remembered of series beside their alerts.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    /// When each was found last, in milliseconds, or first missed.
    seen: BTreeMap<Labels, i64>,
    /// Whether the last evaluations found it over the bound, by the labels of the alert. The newest is the last.
    recent: BTreeMap<Labels, VecDeque<bool>>,
}

/// What an evaluation found of a level of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// Over the bound; nothing if that there is no value is critical by itself.
    Raised(Option<f64>),
    /// Neither: what is raised stays.
    Between(f64),
    Cleared(f64),
    Unknown,
}

impl Verdict {
    fn of(level: &Level, value: Option<f64>, no_data: NoData) -> Verdict {
        match value {
            Some(value) if level.raise.holds(value) => Verdict::Raised(Some(value)),
            Some(value) if level.is_cleared(value) => Verdict::Cleared(value),
            Some(value) => Verdict::Between(value),
            None if no_data == NoData::Critical && level.severity == Severity::Critical => Verdict::Raised(None),
            None => Verdict::Unknown,
        }
    }
}

/// What the world around an evaluation knows.
pub(super) struct Around<'a> {
    /// The texts of an alert of a series, with what was found.
    pub texts: &'a dyn Fn(&Labels, &Level, Option<f64>) -> Texts,
    /// What explains an alert that would fire.
    pub hindrance: &'a dyn Fn(&Labels, &Active) -> Option<String>,
}

/// An evaluation of a rule.
pub(super) struct Step<'a> {
    pub rule: &'a Levels,
    pub at_ms: i64,
    pub around: Around<'a>,
    pub active: &'a mut BTreeMap<Labels, Active>,
    pub tell: &'a mut dyn FnMut(&Labels, &Active, Happened),
}

impl Step<'_> {
    /// Takes what was found of series, by their labels without those of levels.
    pub(super) fn take(&mut self, found: &BTreeMap<Labels, Option<f64>>, series: &mut Series) {
        for (base, value) in found {
            if value.is_some() {
                series.seen.insert(base.clone(), self.at_ms);
            }
        }
        let active: BTreeSet<Labels> = self.active.keys().map(|labels| labels.without_one(SEVERITY)).collect();
        for base in found.keys().chain(&active) {
            series.seen.entry(base.clone()).or_insert(self.at_ms);
        }
        let all: Vec<(Labels, i64)> = series.seen.iter().map(|(base, seen_ms)| (base.clone(), *seen_ms)).collect();
        for (base, seen_ms) in all {
            let is_forgotten = self.at_ms - seen_ms > FORGOTTEN_MS;
            if is_forgotten {
                series.seen.remove(&base);
            }
            for severity in [Severity::Critical, Severity::Warning] {
                let labels = base.with(SEVERITY, severity.name());
                let level = self.rule.levels.iter().find(|level| level.severity == severity);
                match level {
                    Some(level) if !is_forgotten => {
                        let value = found.get(&base).copied().flatten();
                        self.level(&base, labels, level, value, series);
                    }
                    _ => {
                        series.recent.remove(&labels);
                        let reason =
                            if is_forgotten { "nothing was found of it for a day" } else { "its level is gone" };
                        self.end(&labels, Some(reason));
                    }
                }
            }
        }
    }

    fn level(&mut self, base: &Labels, labels: Labels, level: &Level, value: Option<f64>, series: &mut Series) {
        let verdict = Verdict::of(level, value, self.rule.no_data);
        let (hits, needed) = self.hits(&labels, verdict, series);
        let is_firing = self.active.get(&labels).is_some_and(|own| own.phase != Phase::Pending);
        match verdict {
            Verdict::Unknown => return self.unknown(&labels),
            Verdict::Raised(value) => self.raised(base, &labels, level, value),
            Verdict::Between(value) if is_firing => self.raised(base, &labels, level, Some(value)),
            Verdict::Cleared(value) if is_firing => return self.cleared(&labels, value),
            // One of several evaluations does not end what another one began.
            Verdict::Between(_) | Verdict::Cleared(_) if hits == 0 || self.rule.confirm.is_none() => {
                return self.end(&labels, None);
            }
            Verdict::Between(_) | Verdict::Cleared(_) => {}
        }
        let Some(own) = self.active.get_mut(&labels) else { return };
        // A clock that was set back: it is active since now, at the latest.
        own.active_at_ms = own.active_at_ms.min(self.at_ms);
        let lasts = self.at_ms - own.active_at_ms >= self.rule.for_ms;
        if own.phase != Phase::Firing && (own.phase == Phase::Suppressed || hits >= needed && lasts) {
            self.fire(base, &labels, level);
        }
    }

    /// How many of the last evaluations found it over the bound, and how many have to.
    fn hits(&self, labels: &Labels, verdict: Verdict, series: &mut Series) -> (usize, usize) {
        let is_raised = matches!(verdict, Verdict::Raised(_));
        let Some((needed, of)) = self.rule.confirm else { return (usize::from(is_raised), 1) };
        let recent = series.recent.entry(labels.clone()).or_default();
        if verdict != Verdict::Unknown {
            recent.push_back(is_raised);
        }
        while recent.len() > of {
            recent.pop_front();
        }
        (recent.iter().filter(|hit| **hit).count(), needed)
    }

    fn raised(&mut self, base: &Labels, labels: &Labels, level: &Level, value: Option<f64>) {
        let texts = (self.around.texts)(base, level, value);
        let value = value.unwrap_or(f64::NAN);
        match self.active.entry(labels.clone()) {
            Entry::Occupied(entry) => {
                let own = entry.into_mut();
                (own.annotations, own.value, own.keep_firing_since_ms) = (texts, value, None);
                self.known(labels);
            }
            Entry::Vacant(entry) => {
                let own = entry.insert(Active::new(texts, value, self.at_ms));
                let is_told_later = self.rule.for_ms > 0 || self.rule.confirm.is_some_and(|(needed, _)| needed > 1);
                if is_told_later {
                    (self.tell)(labels, own, (EventKind::Pending, None));
                }
            }
        }
    }

    fn fire(&mut self, base: &Labels, labels: &Labels, level: &Level) {
        let critical = self.active.get(&base.with(SEVERITY, Severity::Critical.name()));
        let is_graver = level.severity == Severity::Warning && critical.is_some_and(|own| own.phase == Phase::Firing);
        let Some(own) = self.active.get_mut(labels) else { return };
        let hindrance = match is_graver {
            true => Some("it is critical".to_owned()),
            false => (self.around.hindrance)(labels, own),
        };
        if let Some(happened) = own.fire(self.at_ms, hindrance) {
            (self.tell)(labels, own, happened);
        }
    }

    fn cleared(&mut self, labels: &Labels, value: f64) {
        self.known(labels);
        let Some(own) = self.active.get_mut(labels) else { return };
        own.value = value;
        let since = *own.keep_firing_since_ms.get_or_insert(self.at_ms);
        if self.at_ms - since >= self.rule.clear_for_ms || since > self.at_ms {
            self.end(labels, None);
        }
    }

    fn end(&mut self, labels: &Labels, reason: Option<&str>) {
        if let Some(own) = self.active.remove(labels) {
            (self.tell)(labels, &own, (EventKind::Recovered, reason.map(str::to_owned)));
        }
    }

    fn unknown(&mut self, labels: &Labels) {
        let Some(own) = self.active.get_mut(labels) else { return };
        // What was good for a while may not be any more.
        own.keep_firing_since_ms = None;
        if own.phase == Phase::Firing && !own.is_unknown && self.rule.no_data != NoData::Keep {
            own.is_unknown = true;
            (self.tell)(labels, own, (EventKind::Unknown, None));
        }
    }

    fn known(&mut self, labels: &Labels) {
        let Some(own) = self.active.get_mut(labels) else { return };
        if std::mem::take(&mut own.is_unknown) {
            (self.tell)(labels, own, (EventKind::Firing, Some("it is known again".into())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(warning: Option<[&str; 2]>, critical: Option<[&str; 2]>) -> Levels {
        let level = |severity, [raise, clear]: [&str; 2]| Level {
            severity,
            raise: raise.parse().unwrap(),
            clear: (!clear.is_empty()).then(|| clear.parse().unwrap()),
        };
        let warning = warning.map(|bounds| level(Severity::Warning, bounds));
        let critical = critical.map(|bounds| level(Severity::Critical, bounds));
        Levels { levels: warning.into_iter().chain(critical).collect(), ..Levels::default() }
    }

    /// What happens to a series with these values, one a second; NaN is none. `down` are the seconds in which something
    /// explains it.
    fn lived(rule: &Levels, values: &[f64], down: &[i64]) -> Vec<String> {
        let base = Labels::new([("target", "a")]);
        let (mut active, mut series, mut told) = (BTreeMap::new(), Series::default(), Vec::new());
        for (at, value) in values.iter().enumerate() {
            let at_ms = at as i64 * 1000;
            let found = BTreeMap::from([(base.clone(), Some(*value).filter(|value| !value.is_nan()))]);
            let mut tell = |labels: &Labels, own: &Active, (kind, _): Happened| {
                let is_known = own.fired_at_ms.is_some_and(|fired| fired < at_ms) && kind == EventKind::Firing;
                let again = if is_known { " again" } else { "" };
                told.push(format!("{at} {} {}{again}", labels.get(SEVERITY), kind.name()));
            };
            let hindrance = |_: &Labels, _: &Active| down.contains(&(at as i64)).then(|| "b is down".to_owned());
            let around = Around { texts: &|_, _, _| Vec::new(), hindrance: &hindrance };
            Step { rule, at_ms, around, active: &mut active, tell: &mut tell }.take(&found, &mut series);
        }
        told
    }

    const NONE: f64 = f64::NAN;

    /// Between the bounds what is raised stays, and what is not does not begin.
    #[test]
    fn a_level_is_raised_and_cleared_by_its_own_bound() {
        let rule = levels(Some(["> 8", "< 6"]), None);
        assert_eq!(lived(&rule, &[7.0, 9.0, 7.0, 6.0, 5.0, 7.0], &[]), ["1 warning firing", "4 warning recovered"]);
        let rule = levels(Some(["> 8", ""]), None);
        assert_eq!(lived(&rule, &[9.0, 8.0], &[]), ["0 warning firing", "1 warning recovered"]);
    }

    /// Who is told that something is critical is not told that it is worth a warning, too: only what stays behind it.
    #[test]
    fn a_warning_waits_while_it_is_critical() {
        let rule = levels(Some(["> 8", "< 6"]), Some(["> 20", "< 15"]));
        let jump = lived(&rule, &[1.0, 30.0, 16.0, 10.0, 1.0], &[]);
        let expected = [
            "1 critical firing",
            "1 warning suppressed",
            "3 critical recovered",
            "3 warning firing",
            "4 warning recovered",
        ];
        assert_eq!(jump, expected);
        let steps = lived(&rule, &[9.0, 30.0, 1.0], &[]);
        assert_eq!(steps, ["0 warning firing", "1 critical firing", "2 critical recovered", "2 warning recovered"]);
        // It is over at once: nobody hears of the warning.
        let blip = lived(&rule, &[30.0, 1.0], &[]);
        let expected = ["0 critical firing", "0 warning suppressed", "1 critical recovered", "1 warning recovered"];
        assert_eq!(blip, expected);
    }

    #[test]
    fn it_has_to_last_or_to_come_often() {
        let base = levels(None, Some(["> 8", ""]));
        let lasting = Levels { for_ms: 2000, clear_for_ms: 2000, ..base.clone() };
        let told = lived(&lasting, &[9.0, 9.0, 1.0, 9.0, 9.0, 9.0, 1.0, 9.0, 1.0, 1.0, 1.0], &[]);
        let expected = [
            "0 critical pending",
            "2 critical recovered",
            "3 critical pending",
            "5 critical firing",
            "10 critical recovered",
        ];
        assert_eq!(told, expected);
        let often = Levels { confirm: Some((2, 3)), ..base };
        let told = lived(&often, &[9.0, 1.0, 9.0, 1.0, 1.0, 9.0, 1.0, 1.0, 1.0], &[]);
        let expected = [
            "0 critical pending",
            "2 critical firing",
            "3 critical recovered",
            "5 critical pending",
            "8 critical recovered",
        ];
        assert_eq!(told, expected);
    }

    /// No data resolves nothing: the history of the fault is not at its end because nobody looked.
    #[test]
    fn nothing_known_is_a_state() {
        let base = levels(None, Some(["> 8", ""]));
        let values = [9.0, NONE, NONE, 9.0, NONE, 1.0];
        let unknown = lived(&base, &values, &[]);
        let expected = [
            "0 critical firing",
            "1 critical unknown",
            "3 critical firing again",
            "4 critical unknown",
            "5 critical firing again",
            "5 critical recovered",
        ];
        assert_eq!(unknown, expected);
        let keep = Levels { no_data: NoData::Keep, ..base.clone() };
        assert_eq!(lived(&keep, &values, &[]), ["0 critical firing", "5 critical recovered"]);
        let critical = Levels { no_data: NoData::Critical, ..base.clone() };
        let told = lived(&critical, &[1.0, NONE, NONE, 1.0], &[]);
        assert_eq!(told, ["1 critical firing", "3 critical recovered"]);
        // What was pending goes on to be, and does not fire by itself.
        let lasting = Levels { for_ms: 2000, ..base };
        assert_eq!(lived(&lasting, &[9.0, NONE, NONE, NONE], &[]), ["0 critical pending"]);
        // In memory of one day only.
        let mut gone = vec![9.0];
        gone.resize(86_403, NONE);
        let told = lived(&levels(None, Some(["> 8", ""])), &gone, &[]);
        assert_eq!(told, ["0 critical firing", "1 critical unknown", "86401 critical recovered"]);
    }

    /// While something else explains it nobody is told; what was told is told to its end.
    #[test]
    fn what_is_explained_waits() {
        let rule = levels(None, Some(["> 8", ""]));
        let waiting = lived(&rule, &[9.0, 9.0, 9.0, 1.0], &[0, 1]);
        assert_eq!(waiting, ["0 critical suppressed", "2 critical firing", "3 critical recovered"]);
        assert_eq!(lived(&rule, &[9.0, 1.0], &[0]), ["0 critical suppressed", "1 critical recovered"]);
        assert_eq!(lived(&rule, &[9.0, 9.0, 1.0], &[1, 2]), ["0 critical firing", "2 critical recovered"]);
    }
}
