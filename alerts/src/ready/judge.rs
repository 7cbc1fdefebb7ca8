//! What slots say.

use std::collections::HashSet;

use promql::base::labels::Labels;

use super::group::Confirm;
use super::slots::{Became, Known, Slot, Slots};
use crate::base::clock::rfc3339;
use crate::rules::Ready;
use crate::state::{Bad, Hinders, Judgement};

const DAY_MS: i64 = 86_400_000;
/// So long a change of content is told as one.
const CHANGED_MS: i64 = 3_600_000;

/// What is known of a series or a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Bad,
    Good,
    Unknown,
}

impl Slots {
    /// What is known of all targets; `active` are the labels of alerts. That something is good is said of these only.
    #[must_use]
    pub fn judge(&self, ready: Ready, at_ms: i64, active: &[Labels]) -> Judgement {
        let mut judgement = Judgement::default();
        let is_active: HashSet<(&str, &str)> = active.iter().map(|own| (own.get("target"), own.get("edge"))).collect();
        for (target, edges) in self.series.iter().filter(|(target, _)| self.has(target, ready)) {
            for (edge, places) in edges {
                let known: Vec<&Known> = places.values().collect();
                // Most are good, of most of which nobody was told otherwise: they cost no labels.
                match self.look_for(ready, target, &known, at_ms) {
                    Finding::Good if is_active.contains(&(target, edge)) => {
                        judgement.good.insert(self.labels(target, edge, places));
                    }
                    Finding::Good | Finding::Unknown => {}
                    Finding::Bad(texts) => {
                        let labels = self.labels(target, edge, places);
                        let (texts, value) = texts(&labels);
                        judgement.bad.push(Bad { labels, texts, value });
                    }
                }
            }
        }
        let is_gone = |own: &&Labels| {
            let (target, edge) = (own.get("target"), own.get("edge"));
            if !self.has(target, ready) {
                return true;
            }
            match self.series.get(target).and_then(|edges| edges.get(edge)) {
                // Of another group now.
                Some(places) => self.labels(target, edge, places) != **own,
                None => !self.configured.contains_key(target),
            }
        };
        judgement.gone = active.iter().filter(is_gone).cloned().collect();
        judgement
    }

    fn look_for<'a>(&self, ready: Ready, target: &str, places: &[&'a Known], at_ms: i64) -> Finding<'a> {
        let (confirm, count) = (self.confirm(target), places.len());
        let most = |is: fn(&Slot) -> bool| most(places, confirm, at_ms, is);
        match ready {
            Ready::Down => {
                let (verdict, bad) = most(|slot| slot.became == Became::Bad);
                verdict.with(move |labels| down_texts(labels, &bad, count))
            }
            Ready::Slow => {
                let (verdict, bad) = most(|slot| slot.became == Became::Slow);
                // A slot that is down is not good either: what is not slow any more has to be fast.
                match verdict == Verdict::Unknown || most(|slot| slot.became == Became::Bad).0 == Verdict::Bad {
                    true => Finding::Unknown,
                    false => verdict.with(move |labels| slow_texts(labels, &bad, count)),
                }
            }
            Ready::EdgeIsStale => {
                // Of a target that is no edge nothing of this is known.
                let is_edge = |known: &&Known| known.slots.values().flatten().any(|slot| slot.is_stale.is_some());
                if !places.iter().any(is_edge) {
                    return Finding::Unknown;
                }
                let (verdict, bad) = most(|slot| slot.is_stale == Some(true));
                verdict.with(move |labels| stale_texts(labels, bad.len(), count))
            }
            Ready::ContentChanges => {
                let Some((_, changed_ms)) = places.iter().filter_map(|known| known.content).max() else {
                    return Finding::Unknown;
                };
                let verdict = match changed_ms {
                    Some(ms) if at_ms - ms < CHANGED_MS => Verdict::Bad,
                    Some(_) => Verdict::Good,
                    // It was not watched for long enough: a change that is told may still be one.
                    None if self.read_since_ms.is_some_and(|since| at_ms - since >= CHANGED_MS) => Verdict::Good,
                    None => Verdict::Unknown,
                };
                verdict.with(move |labels| content_texts(labels, changed_ms.unwrap_or(at_ms)))
            }
            Ready::CertificateEnds { within_s } => {
                let Some((_, ends_ms)) = places.iter().filter_map(|own| own.certificate).min_by_key(|(_, ends)| *ends)
                else {
                    return Finding::Unknown;
                };
                let left_ms = ends_ms - at_ms;
                let verdict = if left_ms < within_s.saturating_mul(1000) { Verdict::Bad } else { Verdict::Good };
                verdict.with(move |labels| certificate_texts(labels, left_ms))
            }
        }
    }

    /// What explains an alert at a time: a target that is down or about to be, or of which that is not known yet.
    #[must_use]
    pub fn hindrance(&self, what: &Hinders<'_>, at_ms: i64) -> Option<String> {
        let mut left: Vec<&str> = what.others.iter().chain(self.parents(what.target)).map(String::as_str).collect();
        let mut seen: HashSet<&str> = HashSet::from([what.target]);
        if what.is_itself && self.look(what.target, what.since_ms, at_ms) == Look::Down {
            return Some(format!("{} is down", what.target));
        }
        while let Some(name) = left.pop() {
            if !seen.insert(name) {
                continue;
            }
            match self.look(name, what.since_ms, at_ms) {
                Look::Down => return Some(format!("{name} is down")),
                Look::NotYet => return Some(format!("whether {name} is up is not known yet")),
                Look::Up => left.extend(self.parents(name).iter().map(String::as_str)),
            }
        }
        None
    }

    /// What is known of a target as a whole: of all its edges.
    fn look(&self, target: &str, since_ms: i64, at_ms: i64) -> Look {
        let (mut is_down, mut is_late) = (None, false);
        for places in self.series.get(target).into_iter().flat_map(|edges| edges.values()) {
            let places: Vec<&Known> = places.values().collect();
            is_down = Some(is_down.unwrap_or(true) && is_failing(&places, self.confirm(target), at_ms));
            is_late |= places.iter().all(|known| known.is_late(since_ms, at_ms));
        }
        match is_down {
            Some(true) => Look::Down,
            Some(false) if is_late => Look::NotYet,
            // One of which nothing was ever heard explains nothing.
            Some(false) | None => Look::Up,
        }
    }
}

/// What is known of a target that others depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Down,
    NotYet,
    Up,
}

/// Is it down, or was its newest slot bad at most of the places that know?
fn is_failing(places: &[&Known], confirm: Confirm, at_ms: i64) -> bool {
    let (verdict, _) = most(places, confirm, at_ms, |slot| slot.became == Became::Bad);
    let newest: Vec<bool> = places
        .iter()
        .filter_map(|known| known.counted(1, at_ms).first().map(|slot| slot.became == Became::Bad))
        .collect();
    verdict == Verdict::Bad || newest.iter().filter(|is_bad| **is_bad).count() * 2 > newest.len()
}

/// What is found of an edge by a rule; where it is bad, what makes the texts and value of its alert.
enum Finding<'a> {
    Bad(Box<dyn FnOnce(&Labels) -> Texts + 'a>),
    Good,
    Unknown,
}

impl Verdict {
    fn with<'a>(self, texts: impl FnOnce(&Labels) -> Texts + 'a) -> Finding<'a> {
        match self {
            Verdict::Bad => Finding::Bad(Box::new(texts)),
            Verdict::Good => Finding::Good,
            Verdict::Unknown => Finding::Unknown,
        }
    }
}

/// Texts and value of an alert.
type Texts = (Vec<(String, String)>, f64);

/// What more than half of the places that know say; and the newest slot of each that finds it so.
fn most<'a>(
    places: &[&'a Known],
    confirm: Confirm,
    at_ms: i64,
    is: impl Fn(&Slot) -> bool,
) -> (Verdict, Vec<&'a Slot>) {
    let (mut bad, mut good) = (Vec::new(), 0);
    for known in places {
        let slots = known.counted(confirm.of, at_ms);
        let count = slots.iter().filter(|slot| is(slot)).count();
        let others = slots.iter().take(confirm.needed).filter(|slot| !is(slot)).count();
        if count >= confirm.needed {
            bad.extend(slots.iter().find(|slot| is(slot)));
        } else if others == confirm.needed {
            good += 1;
        }
    }
    let verdict = match (bad.len(), good) {
        (0, 0) => Verdict::Unknown,
        (bad, good) if bad > good => Verdict::Bad,
        _ => Verdict::Good,
    };
    (verdict, bad)
}

fn name_of(labels: &Labels) -> String {
    match labels.get("edge") {
        "" => labels.get("target").to_owned(),
        edge => format!("{} at {edge}", labels.get("target")),
    }
}

/// ` (2 of 3 places)`, if there are several.
fn of_places(bad: usize, places: usize) -> String {
    if places > 1 { format!(" ({bad} of {places} places)") } else { String::new() }
}

fn down_texts(labels: &Labels, bad: &[&Slot], places: usize) -> Texts {
    let (error, message) = bad.first().map_or(("", ""), |slot| (slot.error.as_str(), slot.message.as_str()));
    let why = [error, message].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let summary = format!("{} is down{}{why}", name_of(labels), of_places(bad.len(), places));
    let texts = [("summary", summary.as_str()), ("error", error), ("message", message)];
    (owned(&texts), bad.len() as f64)
}

fn slow_texts(labels: &Labels, bad: &[&Slot], places: usize) -> Texts {
    let slowest = bad.iter().map(|slot| slot.total_ms).fold(f64::NAN, f64::max);
    let summary = format!("{} is slow{}: {slowest:.0} ms", name_of(labels), of_places(bad.len(), places));
    (owned(&[("summary", &summary)]), slowest)
}

fn stale_texts(labels: &Labels, bad: usize, places: usize) -> Texts {
    let summary = format!("{} is stale{}", name_of(labels), of_places(bad, places));
    (owned(&[("summary", &summary)]), bad as f64)
}

fn content_texts(labels: &Labels, changed_ms: i64) -> Texts {
    let summary = format!("the content of {} changed at {}", name_of(labels), rfc3339(Some(changed_ms)));
    (owned(&[("summary", &summary)]), changed_ms as f64 / 1000.0)
}

fn certificate_texts(labels: &Labels, left_ms: i64) -> Texts {
    let days = left_ms.div_euclid(DAY_MS);
    let when = match days {
        ..0 => "has ended".to_owned(),
        0 => "ends today".to_owned(),
        1 => "ends in a day".to_owned(),
        days => format!("ends in {days} days"),
    };
    (owned(&[("summary", &format!("the certificate of {} {when}", name_of(labels)))]), left_ms as f64 / 1000.0)
}

fn owned(texts: &[(&str, &str)]) -> Vec<(String, String)> {
    let there = texts.iter().filter(|(_, text)| !text.is_empty());
    there.map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tsdb::{Options, Row, Store, Value};

    use super::*;
    use crate::ready::{Kinds, Watch};

    /// Slots of a target at a place, one every 10 s: `.` is good, `s` slow, `x` down, `-` missed, `m` of maintenance, a blank none.
    fn write(store: &Store, target: &str, location: &str, slots: &str) {
        let mut batch = store.batch("public");
        for (at, letter) in slots.chars().enumerate() {
            let outcome = match letter {
                '.' => "ok",
                's' => "slow",
                'x' => "fail",
                '-' => "missed",
                'm' => "maintenance",
                _ => continue,
            };
            let fields = [
                ("outcome", Value::Str(outcome)),
                ("total_ms", Value::F64(5.0)),
                ("interval_ms", Value::F64(10_000.0)),
            ];
            let tags = [("target", target), ("location", location), ("group", "g")];
            let time = at as i64 * 10_000_000_000;
            batch.push(&Row { measurement: "probe", tags: &tags, time, fields: &fields }).unwrap();
        }
        store.write(batch).unwrap();
    }

    const ALL: Kinds =
        Kinds { down: true, slow: true, certificate: true, content: true, stale: true, disk: true, no_data: true };

    fn verdict(ready: Ready, places: &[(&str, &str)]) -> &'static str {
        verdict_of(Watch::default(), ready, places)
    }

    fn verdict_of(watch: Watch, ready: Ready, places: &[(&str, &str)]) -> &'static str {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let longest = places.iter().map(|(_, slots)| slots.len()).max().unwrap();
        places.iter().for_each(|(location, slots)| write(&store, "t", location, slots));
        let mut slots = Slots::default();
        slots.configure(HashMap::from([("t".to_owned(), watch)]), ALL, "a");
        let at_ms = longest as i64 * 10_000;
        slots.read(&store, at_ms).unwrap();
        let labels = Labels::new([("target", "t"), ("group", "g")]);
        let judgement = slots.judge(ready, at_ms, std::slice::from_ref(&labels));
        match (judgement.bad.first().map(|own| &own.labels), judgement.good.contains(&labels)) {
            (Some(own), false) if *own == labels => "bad",
            (None, true) => "good",
            (None, false) => "unknown",
            both => panic!("{both:?}"),
        }
    }

    /// What is told of a target, by its last slots at one place and at several.
    #[test]
    fn two_of_three_slots_and_most_places_decide() {
        for (slots, expected) in [
            ("...", "good"),
            ("..x", "unknown"),
            (".x.", "unknown"),
            ("x..", "good"),
            ("xx.", "bad"),
            ("x.x", "bad"),
            (".xx", "bad"),
            ("x", "unknown"),
            (".", "unknown"),
            ("xx", "bad"),
            // What says nothing does not count.
            ("xx---", "bad"),
            ("x-x", "bad"),
            ("..mm", "good"),
            ("xxmmm", "bad"),
            ("", "unknown"),
            // Too long ago to say anything of now.
            ("xx            ", "unknown"),
            ("x           x", "unknown"),
            ("sss", "good"),
        ] {
            if !slots.is_empty() {
                assert_eq!(verdict(Ready::Down, &[("a", slots)]), expected, "{slots:?}");
            }
        }
        for (slots, expected) in
            [("ss.", "bad"), ("s..", "good"), ("sxx", "unknown"), ("..s", "unknown"), ("xss", "bad")]
        {
            assert_eq!(verdict(Ready::Slow, &[("a", slots)]), expected, "{slots:?}");
        }
        for (places, expected) in [
            (vec![("a", "xxx"), ("b", "...")], "good"),
            (vec![("a", "xxx"), ("b", "xxx"), ("c", "...")], "bad"),
            // A place that knows nothing does not count.
            (vec![("a", "xxx"), ("b", "---")], "bad"),
            (vec![("a", "..."), ("b", "---")], "good"),
        ] {
            assert_eq!(verdict(Ready::Down, &places), expected, "{places:?}");
        }
    }

    /// A target can want more slots than others, or fewer, and leave rules out.
    #[test]
    fn a_target_says_how_it_is_watched() {
        let confirmed = |needed: usize, of: usize, slots: &str| {
            let watch = Watch { confirm: Some(Confirm { needed, of }), ..Watch::default() };
            verdict_of(watch, Ready::Down, &[("a", slots)])
        };
        for (needed, of, slots, expected) in [
            (1, 1, "..x", "bad"),
            (1, 1, "xx.", "good"),
            (3, 5, "..xxx", "bad"),
            (3, 5, "x.x.x", "bad"),
            (3, 5, "..x.x", "unknown"),
            (3, 5, "xxx...", "good"),
            (4, 4, "xxx", "unknown"),
        ] {
            assert_eq!(confirmed(needed, of, slots), expected, "{needed} of {of}: {slots}");
        }
        let watch = Watch { ready: Some(Kinds { slow: true, ..Kinds::default() }), ..Watch::default() };
        assert_eq!(verdict_of(watch.clone(), Ready::Down, &[("a", "xxx")]), "unknown");
        assert_eq!(verdict_of(watch, Ready::Slow, &[("a", "sss")]), "bad");
    }

    /// A page was changed by somebody who was not to. That is told for an hour, and what happened before anybody looked is not
    /// known; an edge is stale by its own slots, and what is no edge is not.
    #[test]
    fn contents_and_edges_are_judged_by_what_slots_say_of_them() {
        let at = |changes: &[(i64, bool)], first_look_s: i64, at_s: i64| {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), Options::default()).unwrap();
            let mut batch = store.batch("public");
            for (time_s, is_changed) in changes {
                let fields = [("outcome", Value::Str("ok")), ("content_changed", Value::Bool(*is_changed))];
                let tags = [("target", "t"), ("location", "a")];
                let time = time_s * 1_000_000_000;
                batch.push(&Row { measurement: "probe", tags: &tags, time, fields: &fields }).unwrap();
            }
            store.write(batch).unwrap();
            let mut slots = Slots::default();
            slots.configure(HashMap::from([("t".to_owned(), Watch::default())]), ALL, "a");
            slots.read(&store, first_look_s * 1000).unwrap();
            let labels = Labels::new([("target", "t")]);
            let judgement = slots.judge(Ready::ContentChanges, at_s * 1000, std::slice::from_ref(&labels));
            (judgement.bad.len(), judgement.good.contains(&labels))
        };
        for (changes, first_look_s, at_s, expected) in [
            (vec![(1000, false), (1010, true), (1020, false)], 1020, 1020, (1, false)),
            (vec![(1000, false), (1010, true), (1020, false)], 1020, 1010 + 3599, (1, false)),
            (vec![(1000, false), (1010, true), (1020, false)], 1020, 1010 + 3600, (0, true)),
            // It may have changed before.
            (vec![(1000, false), (1010, false)], 1010, 1020, (0, false)),
            (vec![(1000, false), (1010, false)], 1010, 1010 + 3600, (0, true)),
        ] {
            assert_eq!(at(&changes, first_look_s, at_s), expected, "{changes:?} {at_s}");
        }
        let stale = |slots: &[&str]| {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), Options::default()).unwrap();
            let mut batch = store.batch("public");
            for (number, freshness) in slots.iter().enumerate() {
                let mut fields = vec![("outcome", Value::Str("ok")), ("interval_ms", Value::F64(10_000.0))];
                fields.extend((!freshness.is_empty()).then_some(("freshness", Value::Str(freshness))));
                let tags = [("target", "t"), ("location", "a"), ("edge", "192.0.2.1")];
                let time = number as i64 * 10_000_000_000;
                batch.push(&Row { measurement: "probe", tags: &tags, time, fields: &fields }).unwrap();
            }
            store.write(batch).unwrap();
            let mut own = Slots::default();
            own.configure(HashMap::from([("t".to_owned(), Watch::default())]), ALL, "a");
            own.read(&store, 30_000).unwrap();
            let labels = Labels::new([("target", "t"), ("edge", "192.0.2.1")]);
            let judgement = own.judge(Ready::EdgeIsStale, 30_000, std::slice::from_ref(&labels));
            (judgement.bad.len(), judgement.good.contains(&labels))
        };
        assert_eq!(stale(&["current", "stale", "stale"]), (1, false));
        assert_eq!(stale(&["stale", "current", "current"]), (0, true));
        assert_eq!(stale(&["", "", ""]), (0, false));
    }

    /// What is not looked at any more is gone; what nobody could look at is not.
    #[test]
    fn only_what_is_not_there_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        for (target, location) in [("here", "a"), ("removed", "a"), ("elsewhere", "b")] {
            write(&store, target, location, "xxx");
        }
        let mut slots = Slots::default();
        let of =
            |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Watch::default())).collect::<HashMap<_, _>>();
        slots.configure(of(&["here", "new", "removed"]), ALL, "a");
        slots.read(&store, 30_000).unwrap();
        slots.configure(of(&["here", "new"]), ALL, "a");
        slots.read(&store, 31_000).unwrap();
        let alert = |target: &str, group: &str| Labels::new([("target", target), ("group", group)]);
        let active = [
            alert("here", "g"),
            alert("new", "g"),
            alert("elsewhere", "g"),
            // These are gone: of another group now, taken out, never heard of.
            alert("here", "old"),
            alert("removed", "g"),
            alert("nobody", "g"),
        ];
        let judgement = slots.judge(Ready::Down, 31_000, &active);
        assert_eq!(judgement.gone, active[3..]);
        let mut bad: Vec<&str> = judgement.bad.iter().map(|own| own.labels.get("target")).collect();
        bad.sort_unstable();
        assert_eq!(bad, ["elsewhere", "here"]);
    }

    /// Behind a gateway that is down nobody is told of forty sites: of the gateway only. A site may be looked at before
    /// the gateway is: it waits for that, but not forever.
    #[test]
    fn what_stands_behind_another_one_is_explained_by_it() {
        let explained = |gateway: &str, since_s: i64| {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), Options::default()).unwrap();
            write(&store, "gateway", "a", gateway);
            write(&store, "site", "a", "...xxx");
            let mut slots = Slots::default();
            let parents = [("site", vec!["switch"]), ("switch", vec!["gateway"]), ("gateway", vec!["site"])];
            let owned = |(name, own): (&str, Vec<&str>)| {
                let depends_on = own.into_iter().map(str::to_owned).collect();
                (name.to_owned(), Watch { depends_on, ..Watch::default() })
            };
            slots.configure(parents.map(owned).into(), ALL, "a");
            slots.read(&store, 60_000).unwrap();
            let what = Hinders { target: "site", is_itself: false, others: &[], since_ms: since_s * 1000 };
            slots.hindrance(&what, 60_000)
        };
        let down = Some("gateway is down".to_owned());
        for (gateway, since_s, expected) in [
            ("....xx", 45, down.clone()),
            // One bad slot says enough: the next one says whether it is down.
            (".....x", 45, down.clone()),
            ("......", 45, None),
            // Its last slot is older than the alert.
            ("...", 45, Some("whether gateway is up is not known yet".into())),
            // It had two of its intervals to say something.
            ("...", 35, None),
            ("", 45, None),
        ] {
            assert_eq!(explained(gateway, since_s), expected, "{gateway:?} {since_s}");
        }
    }
}
