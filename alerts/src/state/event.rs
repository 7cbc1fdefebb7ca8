//! What happens to alerts.

use promql::base::labels::Labels;

use crate::base::text::id;
use crate::rules::Severity;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was found; it fires if that lasts.
    Pending,
    /// It would fire, and is not told: something else explains it.
    Suppressed,
    /// It fires; or is known again to fire.
    Firing,
    /// It fired, and nothing is known of it any more.
    Unknown,
    /// It is over, or was pending and is not found any more.
    Recovered,
}

impl EventKind {
    const ALL: [EventKind; 5] =
        [EventKind::Pending, EventKind::Suppressed, EventKind::Firing, EventKind::Unknown, EventKind::Recovered];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Pending => "pending",
            EventKind::Suppressed => "suppressed",
            EventKind::Firing => "firing",
            EventKind::Unknown => "unknown",
            EventKind::Recovered => "recovered",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that happened to an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// At which evaluation, in milliseconds.
    pub at_ms: i64,
    /// Of which rule.
    pub rule: String,
    /// Of which group of rules, by its key.
    pub group: String,
    /// The alert's labels.
    pub labels: Labels,
    /// Its texts.
    pub annotations: Vec<(String, String)>,
    /// What was found last.
    pub value: f64,
    /// Since when it is active, in milliseconds.
    pub active_at_ms: i64,
    /// When it fired, if it did.
    pub fired_at_ms: Option<i64>,
    /// Why, where that is not what was found.
    pub reason: Option<String>,
}

impl Event {
    /// What tells its alert from all others.
    #[must_use]
    pub fn alert(&self) -> String {
        id_of(&self.group, &self.rule, &self.labels)
    }

    /// Does it fire since just now? What is known again was told when it began.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.kind == EventKind::Firing && self.fired_at_ms == Some(self.at_ms)
    }

    /// How grave it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        Severity::of_label(self.labels.get("severity"))
    }
}

/// What tells an alert from all others, the same after every start: 16 hexadecimal digits.
#[must_use]
pub fn id_of(group: &str, rule: &str, labels: &Labels) -> String {
    id([group, rule].into_iter().chain(labels.iter().flat_map(|(name, value)| [name, value])))
}
