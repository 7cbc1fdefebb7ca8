//! What is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::Xxh64;

use crate::state::{Active, Event, EventKind, id_of};
use promql::base::labels::Labels;

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
        let (status, ends_ms) = match event.kind {
            EventKind::Pending => return None,
            EventKind::Firing => (Status::Firing, None),
            EventKind::Recovered => (Status::Resolved, Some(event.at_ms)),
        };
        Some(Told {
            alert: event.alert(),
            status,
            labels: pairs(&event.labels),
            annotations: event.annotations.iter().cloned().collect(),
            starts_ms: event.fired_at_ms?,
            ends_ms,
            value: Some(event.value).filter(|value| value.is_finite()),
            severity: event.severity().name().into(),
        })
    }

    /// The same of an alert that fires.
    #[must_use]
    pub fn active(group: &str, rule: &str, labels: &Labels, own: &Active) -> Option<Told> {
        Some(Told {
            alert: id_of(group, rule, labels),
            status: Status::Firing,
            labels: pairs(labels),
            annotations: own.annotations.iter().cloned().collect(),
            starts_ms: own.fired_at_ms?,
            ends_ms: None,
            value: Some(own.value).filter(|value| value.is_finite()),
            severity: crate::rules::Severity::of_label(labels.get("severity")).name().into(),
        })
    }
}

fn pairs(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// All that an evaluation of a group has to tell a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// The same however often it is told: 16 hexadecimal digits.
    pub id: String,
    /// Whom it is told.
    pub channel: String,
    /// Of which group of rules it is.
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
    let mut hash = Xxh64::new(0);
    for text in
        [channel, group].into_iter().chain(alerts.iter().flat_map(|own| [own.alert.as_str(), own.status.name()]))
    {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(&queued_ms.to_le_bytes());
    format!("{:016x}", hash.digest())
}
