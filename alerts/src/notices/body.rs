//! What is posted.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::channel::Channel;
use super::route::Held;
use super::told::{Notice, Status, Told};
use crate::base::clock::rfc3339;

/// So long an Alertmanager takes an alert for firing, if it hears of it no more: four times what it waits for.
pub(super) const BELIEVED_MS: i64 = 4 * 60_000;

/// What notices that wait for nothing have in common.
static NONE: BTreeMap<String, String> = BTreeMap::new();

/// As Alertmanager's webhook, version 4, with the id of the notice.
pub(super) fn webhook(notice: &Notice, channel: &Channel, external_url: &str) -> Value {
    let is_firing = notice.alerts.iter().any(|own| own.status == Status::Firing);
    let alerts: Vec<Value> = notice.alerts.iter().map(|own| webhook_alert(own, external_url)).collect();
    json!({
        "version": "4",
        "notice": notice.id,
        "groupKey": notice.held.as_ref().map_or_else(|| format!("{{}}/{}", notice.group), Held::key),
        "truncatedAlerts": 0,
        "status": if is_firing { "firing" } else { "resolved" },
        "receiver": channel.name,
        "groupLabels": notice.held.as_ref().map(|held| &held.labels).unwrap_or(&NONE),
        "commonLabels": common(notice.alerts.iter().map(|own| &own.labels)),
        "commonAnnotations": common(notice.alerts.iter().map(|own| &own.annotations)),
        "externalURL": external_url,
        "alerts": alerts,
    })
}

fn webhook_alert(own: &Told, external_url: &str) -> Value {
    json!({
        "status": own.status.name(),
        "labels": own.labels,
        "annotations": own.annotations,
        "startsAt": rfc3339(Some(own.starts_ms)),
        "endsAt": rfc3339(own.ends_ms),
        "generatorURL": external_url,
        "fingerprint": own.alert,
        "value": own.value,
        "severity": own.severity,
    })
}

/// What an Alertmanager takes.
pub(super) fn alertmanager(alerts: &[Told], external_url: &str, now_ms: i64) -> Value {
    let alert = |own: &Told| {
        json!({
            "labels": own.labels,
            "annotations": own.annotations,
            "startsAt": rfc3339(Some(own.starts_ms)),
            "endsAt": rfc3339(Some(own.ends_ms.unwrap_or(now_ms + BELIEVED_MS))),
            "generatorURL": external_url,
        })
    };
    alerts.iter().map(alert).collect()
}

/// What all have, with the same value.
fn common<'a>(mut all: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<&'a str, &'a str> {
    let Some(first) = all.next() else { return BTreeMap::new() };
    let mut common: BTreeMap<&str, &str> = first.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for other in all {
        common.retain(|name, value| other.get(*name).is_some_and(|own| own == value));
    }
    common
}
