//! What slots say.

use promql::base::labels::Labels;

use super::slots::{Became, Known, Slot, Slots, Watched};
use crate::rules::Ready;
use crate::state::{Bad, Judgement};

/// So many of the last slots are looked at, and so many of them have to be alike.
const LAST: usize = 3;
const ALIKE: usize = 2;
const DAY_MS: i64 = 86_400_000;

/// What is known of a series or a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Bad,
    Good,
    Unknown,
}

impl Slots {
    /// What is known of all targets; `active` are the labels of alerts.
    #[must_use]
    pub fn judge(&self, ready: Ready, at_ms: i64, active: &[Labels]) -> Judgement {
        let mut judgement = Judgement::default();
        for (watched, places) in &self.series {
            let labels = &self.labels(watched, places);
            let places: Vec<&Known> = places.values().collect();
            match ready {
                Ready::Down => {
                    let (verdict, bad) = most(&places, at_ms, |slot| slot.became == Became::Bad);
                    add(&mut judgement, labels, verdict, || down_texts(labels, &bad, places.len()));
                }
                Ready::Slow => {
                    let (down, _) = most(&places, at_ms, |slot| slot.became == Became::Bad);
                    // A slot that is down is not good either: what is not slow any more has to be fast.
                    let (verdict, bad) = most(&places, at_ms, |slot| slot.became == Became::Slow);
                    let verdict = if down == Verdict::Bad { Verdict::Unknown } else { verdict };
                    add(&mut judgement, labels, verdict, || slow_texts(labels, &bad, places.len()));
                }
                Ready::CertificateEnds { within_s } => {
                    let Some(ends_ms) = places.iter().filter_map(|own| own.certificate).map(|(_, ends)| ends).min()
                    else {
                        continue;
                    };
                    let left_ms = ends_ms - at_ms;
                    let verdict = if left_ms < within_s.saturating_mul(1000) { Verdict::Bad } else { Verdict::Good };
                    add(&mut judgement, labels, verdict, || certificate_texts(labels, left_ms));
                }
            }
        }
        let is_gone = |own: &&Labels| {
            let watched = Watched { target: own.get("target").to_owned(), edge: own.get("edge").to_owned() };
            match self.series.get(&watched) {
                // Of another group now.
                Some(places) => self.labels(&watched, places) != **own,
                None => !self.configured.contains(&watched.target),
            }
        };
        judgement.gone = active.iter().filter(is_gone).cloned().collect();
        judgement
    }
}

/// Texts and value of an alert.
type Texts = (Vec<(String, String)>, f64);

fn add(judgement: &mut Judgement, labels: &Labels, verdict: Verdict, texts: impl FnOnce() -> Texts) {
    match verdict {
        Verdict::Bad => {
            let (texts, value) = texts();
            judgement.bad.push(Bad { labels: labels.clone(), texts, value });
        }
        Verdict::Good => drop(judgement.good.insert(labels.clone())),
        Verdict::Unknown => {}
    }
}

/// What more than half of the places that know say; and the newest slot of each that finds it so.
fn most<'a>(places: &[&'a Known], at_ms: i64, is: impl Fn(&Slot) -> bool) -> (Verdict, Vec<&'a Slot>) {
    let (mut bad, mut good) = (Vec::new(), 0);
    for known in places {
        let slots = known.counted(LAST, at_ms);
        let count = slots.iter().filter(|slot| is(slot)).count();
        let others = slots.iter().take(ALIKE).filter(|slot| !is(slot)).count();
        if count >= ALIKE {
            bad.extend(slots.iter().find(|slot| is(slot)));
        } else if others == ALIKE {
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
    use std::collections::HashSet;

    use tsdb::{Options, Row, Store, Value};

    use super::*;

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

    fn verdict(ready: Ready, places: &[(&str, &str)]) -> &'static str {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let longest = places.iter().map(|(_, slots)| slots.len()).max().unwrap();
        places.iter().for_each(|(location, slots)| write(&store, "t", location, slots));
        let mut slots = Slots::default();
        slots.configure(HashSet::from(["t".to_owned()]), "a");
        let at_ms = longest as i64 * 10_000;
        slots.read(&store, at_ms).unwrap();
        let judgement = slots.judge(ready, at_ms, &[]);
        let labels = Labels::new([("target", "t"), ("group", "g")]);
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

    /// What is not looked at any more is gone; what nobody could look at is not.
    #[test]
    fn only_what_is_not_there_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        for (target, location) in [("here", "a"), ("removed", "a"), ("elsewhere", "b")] {
            write(&store, target, location, "xxx");
        }
        let mut slots = Slots::default();
        let configured = ["here", "new", "removed"].map(str::to_owned);
        slots.configure(HashSet::from(configured), "a");
        slots.read(&store, 30_000).unwrap();
        slots.configure(HashSet::from(["here".to_owned(), "new".to_owned()]), "a");
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
}
