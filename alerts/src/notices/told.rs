//! What is told.

use std::collections::{BTreeMap, BTreeSet};

use promql::base::labels::Labels;
use serde::{Deserialize, Serialize};

use super::route::{Going, Held};
use crate::base::text::id;
use crate::rules::Severity;
use crate::state::{Active, Event, EventKind, id_of};

/// Does an alert fire, or is it over?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
}

impl Status {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

/// What is told of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What tells it from all others.
    pub alert: String,
    /// Does it fire?
    pub status: Status,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its texts.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires, in milliseconds.
    pub starts_ms: i64,
    /// Until when it fired, if it is over.
    pub ends_ms: Option<i64>,
    /// What was found last; nothing if that is no number.
    pub value: Option<f64>,
    /// How grave it is.
    pub severity: String,
}

impl Told {
    /// What is to be told of an event, if anything is: what was pending only is nobody's concern.
    fn of(event: &Event) -> Option<Told> {
        let ends_ms = match event.kind {
            EventKind::Firing if event.is_new() => None,
            EventKind::Pending | EventKind::Suppressed | EventKind::Unknown | EventKind::Firing => return None,
            EventKind::Recovered => Some(event.at_ms),
        };
        let (labels, annotations) = (&event.labels, &event.annotations);
        Some(Told::new(event.alert(), labels, annotations, event.value, event.fired_at_ms?, ends_ms))
    }

    /// The same of an alert that fires.
    #[must_use]
    pub fn active(group: &str, rule: &str, labels: &Labels, own: &Active) -> Option<Told> {
        let alert = id_of(group, rule, labels);
        Some(Told::new(alert, labels, &own.annotations, own.value, own.fired_at_ms?, None))
    }

    fn new(
        alert: String,
        labels: &Labels,
        annotations: &[(String, String)],
        value: f64,
        starts_ms: i64,
        ends_ms: Option<i64>,
    ) -> Told {
        Told {
            alert,
            status: if ends_ms.is_some() { Status::Resolved } else { Status::Firing },
            labels: labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            annotations: annotations.iter().cloned().collect(),
            starts_ms,
            ends_ms,
            value: Some(value).filter(|value| value.is_finite()),
            severity: Severity::of_label(labels.get("severity")).name().into(),
        }
    }
}

/// All that an evaluation of a group has to tell a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The same however often it is told: 16 hexadecimal digits.
    pub id: String,
    /// Whom it is told.
    pub channel: String,
    /// Of which group of rules it is, by its key.
    pub group: String,
    /// When it was queued, in milliseconds.
    pub queued_ms: i64,
    /// What.
    pub alerts: Vec<Told>,
    /// The group in which it waits for others.
    pub held: Option<Held>,
    /// Was it tried, or may an earlier start have tried it? Then somebody may have heard it, whatever came of it.
    pub may_be_heard: bool,
}

/// Notices that are told as one.
#[derive(Debug)]
pub(super) struct Together {
    /// What is told.
    pub notice: Notice,
    /// What of them is not, as something newer is or nothing is: ids of notices, and alerts.
    pub passed_over: BTreeSet<(String, String)>,
}

impl Together {
    /// Of each alert what is newest, in the order in which they were found. There is one notice at the least.
    pub(super) fn of<'a>(all: impl Iterator<Item = &'a Notice>) -> Together {
        let all: Vec<&Notice> = all.collect();
        let (first, newest) = match all.as_slice() {
            [] => unreachable!("nobody is told nothing"),
            [one] => return Together { notice: (*one).clone(), passed_over: BTreeSet::new() },
            [first, .., newest] => (*first, *newest),
        };
        let key = |notice: &Notice, own: &Told| (notice.id.clone(), own.alert.clone());
        let mut passed_over = BTreeSet::new();
        // With whether its beginning is among them, and nobody can have heard it.
        let mut alerts: Vec<(bool, &Notice, &Told)> = Vec::new();
        for (notice, own) in all.iter().flat_map(|notice| notice.alerts.iter().map(|own| (*notice, own))) {
            match alerts.iter_mut().find(|(_, _, before)| before.alert == own.alert) {
                Some((_, notice_before, before)) => {
                    passed_over.insert(key(notice_before, before));
                    (*notice_before, *before) = (notice, own);
                }
                None => alerts.push((own.status == Status::Firing && !notice.may_be_heard, notice, own)),
            }
        }
        // What began and ended while its group waited was never told, and is not now.
        let is_over = |(is_unheard, _, own): &(bool, &Notice, &Told)| {
            first.held.is_some() && *is_unheard && own.status == Status::Resolved
        };
        passed_over.extend(alerts.iter().filter(|own| is_over(own)).map(|(_, notice, own)| key(notice, own)));
        alerts.retain(|own| !is_over(own));
        let alerts = alerts.into_iter().map(|(_, _, own)| own.clone()).collect();
        let id = id(all.iter().map(|notice| notice.id.as_str()));
        let notice = Notice { id, alerts, group: newest.group.clone(), ..first.clone() };
        Together { notice, passed_over }
    }
}

impl Notice {
    /// The same for another channel.
    pub(super) fn instead(&self, channel: &str, queued_ms: i64) -> Notice {
        let id = id([self.id.as_str(), channel]);
        // Who stands in does not wait for others again.
        Notice { id, channel: channel.to_owned(), queued_ms, held: None, may_be_heard: false, ..self.clone() }
    }
}

/// What channels have to be told of events, each with those that are told of it: one notice a channel, a
/// group of rules, and what is told together by a route.
#[must_use]
pub fn notices(events: &[(Event, Vec<Going>)]) -> Vec<Notice> {
    type Of<'a> = (&'a str, &'a str, Option<&'a Held>);
    let mut all: BTreeMap<Of<'_>, (i64, Vec<Told>)> = BTreeMap::new();
    for (event, going) in events {
        let Some(told) = Told::of(event) else { continue };
        for Going { channel, held } in going {
            let own = all.entry((channel, &event.group, held.as_ref())).or_insert((event.at_ms, Vec::new()));
            own.1.push(told.clone());
        }
    }
    let notice = |((channel, group, held), (queued_ms, alerts)): (Of<'_>, (i64, Vec<Told>))| Notice {
        id: id_of_notice(channel, group, queued_ms, &alerts),
        channel: channel.to_owned(),
        group: group.to_owned(),
        queued_ms,
        alerts,
        held: held.cloned(),
        may_be_heard: false,
    };
    all.into_iter().map(notice).collect()
}

fn id_of_notice(channel: &str, group: &str, queued_ms: i64, alerts: &[Told]) -> String {
    let queued = queued_ms.to_string();
    let told = alerts.iter().flat_map(|own| [own.alert.as_str(), own.status.name()]);
    id([channel, group, queued.as_str()].into_iter().chain(told))
}
