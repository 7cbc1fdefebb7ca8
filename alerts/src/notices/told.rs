//! What is told.

use std::collections::BTreeMap;

use promql::base::labels::Labels;
use serde::{Deserialize, Serialize};

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
            EventKind::Pending => return None,
            EventKind::Firing => None,
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
}

/// What channels have to be told of events: one notice a group of rules and channel.
pub fn notices<'a>(events: &[Event], channels: impl Iterator<Item = &'a str>) -> Vec<Notice> {
    let mut groups: BTreeMap<&str, (i64, Vec<Told>)> = BTreeMap::new();
    for event in events {
        if let Some(told) = Told::of(event) {
            let own = groups.entry(&event.group).or_insert((event.at_ms, Vec::new()));
            own.1.push(told);
        }
    }
    let of_channel = |channel: &str| -> Vec<Notice> {
        let notice = |(group, (queued_ms, alerts)): (&&str, &(i64, Vec<Told>))| Notice {
            id: id_of_notice(channel, group, *queued_ms, alerts),
            channel: channel.to_owned(),
            group: (*group).to_owned(),
            queued_ms: *queued_ms,
            alerts: alerts.clone(),
        };
        groups.iter().map(notice).collect()
    };
    channels.flat_map(of_channel).collect()
}

fn id_of_notice(channel: &str, group: &str, queued_ms: i64, alerts: &[Told]) -> String {
    let queued = queued_ms.to_string();
    let told = alerts.iter().flat_map(|own| [own.alert.as_str(), own.status.name()]);
    id([channel, group, queued.as_str()].into_iter().chain(told))
}
