//! What happened to alerts, as rows of `alert_events`.

use std::collections::BTreeMap;

use domain::tables::ALERT_EVENTS;
use promql::base::labels::Labels;
use tsdb::{Batch, DEFAULT_SCHEMA, Row, RowError, Store, TIME_COLUMN, Value};

use crate::base::clock::{Clock, NS_PER_MS};
use crate::base::rows::{Rows, columns_there};
use crate::base::text::{headline, target};
use crate::notices::Going;
use crate::state::{Active, Event, EventKind, Phase};

/// An alert that was active when the server stopped.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub rule: String,
    /// The group of its rule, by its key.
    pub group: String,
    pub labels: Labels,
    pub active: Active,
    /// Who was told that it fires; nothing if that is not known.
    pub channels: Option<Vec<Going>>,
}

/// Writes events, at times that rise strictly.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    clock: Clock,
}

impl Ledger {
    /// Adds a row for an event. Its time is that of the evaluation, or just behind the last one.
    pub(super) fn push(&self, event: &Event, channels: &[Going], batch: &mut Batch) -> Result<(), RowError> {
        let wanted = event.at_ms.saturating_mul(NS_PER_MS);
        let time = self.clock.next(wanted);
        let labels = json(event.labels.iter());
        let texts = event.annotations.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let annotations = json(texts);
        let alert = event.alert();
        let channels =
            (!channels.is_empty()).then(|| serde_json::to_string(channels).expect("names always become JSON"));
        let tags: Vec<(&str, &str)> = [
            ("rule", event.rule.as_str()),
            ("target", target(|name| Some(event.labels.get(name)))),
            ("group", event.labels.get("group")),
            ("severity", event.severity().name()),
            ("alert", alert.as_str()),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
        let mut fields = vec![
            ("event", Value::Str(event.kind.name())),
            ("slot_ns", Value::I64(wanted)),
            ("value", Value::F64(event.value)),
            ("message", Value::Str(message(event))),
            ("since_ns", Value::I64(event.active_at_ms.saturating_mul(NS_PER_MS))),
            ("labels", Value::Str(&labels)),
            ("annotations", Value::Str(&annotations)),
            ("rule_group", Value::Str(&event.group)),
        ];
        fields.extend(channels.as_deref().map(|channels| ("channels", Value::Str(channels))));
        fields.extend(event.fired_at_ms.map(|ms| ("fired_ns", Value::I64(ms.saturating_mul(NS_PER_MS)))));
        fields.extend(event.reason.as_deref().map(|reason| ("reason", Value::Str(reason))));
        batch.push(&Row { measurement: ALERT_EVENTS.name, tags: &tags, time, fields: &fields })
    }

    /// The alerts that are active by what the store has. Events from now on come behind those.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub(super) fn open(&self, store: &Store) -> Result<Vec<Open>, tsdb::Error> {
        let wanted = [
            TIME_COLUMN,
            "event",
            "value",
            "since_ns",
            "slot_ns",
            "fired_ns",
            "labels",
            "annotations",
            "rule",
            "rule_group",
            "channels",
        ];
        let Some(columns) = columns_there(store, ALERT_EVENTS.name, &wanted) else { return Ok(Vec::new()) };
        let (rows, _) = store.last_rows(DEFAULT_SCHEMA, ALERT_EVENTS.name, Some(&columns), &[])?;
        let rows = Rows::new(&rows);
        let mut open = Vec::new();
        for at in 0..rows.len() {
            self.clock.pass(rows.whole(TIME_COLUMN, at).unwrap_or(0));
            let kind = rows.text("event", at).and_then(|name| EventKind::of_name(&name));
            let phase = match kind {
                Some(EventKind::Pending) => Phase::Pending,
                Some(EventKind::Suppressed) => Phase::Suppressed,
                Some(EventKind::Firing | EventKind::Unknown) => Phase::Firing,
                Some(EventKind::Recovered) | None => continue,
            };
            let (Some(labels), Some(since)) = (rows.text("labels", at), rows.whole("since_ns", at)) else { continue };
            // Rows of earlier versions say by their slot when it fired.
            let fired = rows.whole("fired_ns", at).or_else(|| rows.whole("slot_ns", at)).map(|ns| ns / NS_PER_MS);
            let active = Active {
                phase,
                annotations: rows.text("annotations", at).map(|text| pairs(&text)).unwrap_or_default(),
                value: rows.float("value", at).unwrap_or(f64::NAN),
                active_at_ms: since / NS_PER_MS,
                fired_at_ms: fired.filter(|_| phase == Phase::Firing),
                keep_firing_since_ms: None,
                is_unknown: kind == Some(EventKind::Unknown),
            };
            let (rule, group) = (rows.text("rule", at), rows.text("rule_group", at));
            let labels = Labels::new(pairs(&labels));
            let channels = rows.text("channels", at).and_then(|text| serde_json::from_str(&text).ok());
            let channels = channels.filter(|_| phase == Phase::Firing);
            open.push(Open {
                rule: rule.unwrap_or_default(),
                group: group.unwrap_or_default(),
                labels,
                active,
                channels,
            });
        }
        Ok(open)
    }
}

/// What is to be read first of it.
fn message(event: &Event) -> &str {
    let text = |name: &str| event.annotations.iter().find(|(own, _)| own == name).map(|(_, text)| text.as_str());
    headline(text).unwrap_or(&event.rule)
}

fn json<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: BTreeMap<&str, &str> = pairs.into_iter().collect();
    serde_json::to_string(&pairs).expect("texts always become JSON")
}

fn pairs(json: &str) -> Vec<(String, String)> {
    serde_json::from_str::<BTreeMap<String, String>>(json).unwrap_or_default().into_iter().collect()
}
