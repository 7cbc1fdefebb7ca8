//! What slots say.

use promql::base::labels::Labels;

use super::slots::{Became, Known, Slot, Slots};
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
        for (labels, places) in &self.series {
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
        let is_gone = |labels: &&Labels| {
            let target = labels.get("target");
            !self.series.contains_key(*labels) && !self.configured.contains(target)
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
