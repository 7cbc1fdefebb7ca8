//! The group of ready rules.

use crate::rules::{Asks, Group, Kind, Ready, Rule, Severity, Text};
use crate::template::Template;

/// The name of the group, and of the file that it stands in.
pub const GROUP: &str = "ready";
/// It is evaluated so often.
const INTERVAL_MS: i64 = 1000;
const DAY_S: i64 = 86_400;

/// Which ready rules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds {
    /// A target is down.
    pub down: bool,
    /// It is slow.
    pub slow: bool,
    /// Its certificate ends.
    pub certificate: bool,
}

/// The group; nothing if it has no rule.
#[must_use]
pub fn group(kinds: Kinds) -> Option<Group> {
    let all = [
        (kinds.down, "Down", Ready::Down, Severity::Critical),
        (kinds.slow, "Slow", Ready::Slow, Severity::Warning),
        (kinds.certificate, "CertificateEnds", Ready::CertificateEnds { within_s: 30 * DAY_S }, Severity::Warning),
        (kinds.certificate, "CertificateEnds", Ready::CertificateEnds { within_s: 7 * DAY_S }, Severity::Critical),
    ];
    let rules: Vec<Rule> = all
        .into_iter()
        .filter(|(is_wanted, ..)| *is_wanted)
        .map(|(_, name, ready, grave)| rule(name, ready, grave))
        .collect();
    let group =
        Group { name: GROUP.into(), file: GROUP.into(), interval_ms: Some(INTERVAL_MS), offset_ms: 0, limit: 0, rules };
    (!group.rules.is_empty()).then_some(group)
}

fn rule(name: &str, ready: Ready, severity: Severity) -> Rule {
    let template = Template::plain(severity.name()).expect("a name is short");
    Rule {
        name: name.into(),
        line: 0,
        asks: Asks::Ready(ready),
        query: ready.describe(),
        labels: vec![Text { name: "severity".into(), template, source: severity.name().into() }],
        kind: Kind::Alert { for_ms: 0, keep_firing_for_ms: 0, annotations: Vec::new() },
    }
}
