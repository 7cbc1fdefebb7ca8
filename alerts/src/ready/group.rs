//! The groups of ready rules.

use crate::rules::{Asks, Group, Kind, Level, Levels, NoData, Ready, Rule, Severity, Text};
use crate::template::Template;

/// The name of the group of targets, and of the file that it stands in.
pub const GROUP: &str = "ready";
/// It is evaluated so often.
const INTERVAL_MS: i64 = 1000;
/// Those of hosts are evaluated so often; what looks at days, more seldom.
const HOSTS_MS: i64 = 10_000;
const DAYS_MS: i64 = 3_600_000;
const DAY_S: i64 = 86_400;

/// Which ready rules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds {
    /// A target is down.
    pub down: bool,
    /// It is slow.
    pub slow: bool,
    /// Its certificate ends.
    pub certificate: bool,
    /// Its content changes.
    pub content: bool,
    /// An edge of a CDN is stale.
    pub stale: bool,
    /// A disk of a host is full, or will be.
    pub disk: bool,
    /// Nothing comes from a host any more.
    pub no_data: bool,
}

impl Kinds {
    /// Is there this rule of targets?
    pub(super) fn has(self, ready: Ready) -> bool {
        match ready {
            Ready::Down => self.down,
            Ready::Slow => self.slow,
            Ready::CertificateEnds { .. } => self.certificate,
            Ready::ContentChanges => self.content,
            Ready::EdgeIsStale => self.stale,
        }
    }

    /// What one of two has.
    #[must_use]
    pub fn or(self, other: Kinds) -> Kinds {
        Kinds {
            down: self.down || other.down,
            slow: self.slow || other.slow,
            certificate: self.certificate || other.certificate,
            content: self.content || other.content,
            stale: self.stale || other.stale,
            disk: self.disk || other.disk,
            no_data: self.no_data || other.no_data,
        }
    }
}

/// How a target is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    /// Targets that it stands behind, by name.
    pub depends_on: Vec<String>,
    /// Which ready rules it has, where these are not those of all.
    pub ready: Option<Kinds>,
    /// So many of so many slots have to be bad, where these are not two of three.
    pub confirm: Option<Confirm>,
}

/// So many of the last slots have to be alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    /// How many.
    pub needed: usize,
    /// Of how many.
    pub of: usize,
}

impl Default for Confirm {
    fn default() -> Confirm {
        Confirm { needed: 2, of: 3 }
    }
}

/// The groups; those that would have no rule are not there.
#[must_use]
pub fn groups(kinds: Kinds) -> Vec<Group> {
    use Severity::{Critical, Warning};
    let of_targets = [
        (kinds.down, "Down", Ready::Down, Critical),
        (kinds.slow, "Slow", Ready::Slow, Warning),
        (kinds.certificate, "CertificateEnds", Ready::CertificateEnds { within_s: 30 * DAY_S }, Warning),
        (kinds.certificate, "CertificateEnds", Ready::CertificateEnds { within_s: 7 * DAY_S }, Critical),
        (kinds.content, "ContentChanges", Ready::ContentChanges, Critical),
        (kinds.stale, "EdgeIsStale", Ready::EdgeIsStale, Warning),
    ];
    let wanted = of_targets.into_iter().filter(|(is_wanted, ..)| *is_wanted);
    let rules = wanted.map(|(_, name, ready, grave)| rule(name, ready, grave)).collect();
    let of_hosts = [
        (kinds.disk, DISK_IS_FULL),
        (kinds.disk, DISK_GROWS),
        (kinds.disk, DISK_WILL_BE_FULL),
        (kinds.no_data, NO_DATA),
    ];
    let of_hosts = of_hosts.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, own)| own.group());
    let all = std::iter::once(group(GROUP, INTERVAL_MS, rules)).chain(of_hosts);
    all.filter(|group| !group.rules.is_empty()).collect()
}

fn group(name: &str, interval_ms: i64, rules: Vec<Rule>) -> Group {
    Group { name: name.into(), file: GROUP.into(), interval_ms: Some(interval_ms), offset_ms: 0, limit: 0, rules }
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

/// A rule of hosts: a value of each, and what it must not be.
#[derive(Debug, Clone, Copy)]
struct OfHosts {
    name: &'static str,
    interval_ms: i64,
    statement: &'static str,
    /// Bounds at which it begins and ends.
    warning: Option<[&'static str; 2]>,
    critical: Option<[&'static str; 2]>,
    for_ms: i64,
    summary: &'static str,
}

const DISK_IS_FULL: OfHosts = OfHosts {
    name: "DiskIsFull",
    interval_ms: HOSTS_MS,
    statement: "SELECT target, value FROM (SELECT DISTINCT ON (host) host AS target, disk_fullest_percent AS value, time FROM host \
                WHERE disk_fullest_percent IS NOT NULL AND time > now() - INTERVAL '10 minutes' ORDER BY host, time DESC)",
    warning: Some([">= 96", "< 95"]),
    critical: Some([">= 100", "< 99"]),
    for_ms: 0,
    summary: "a disk of {{ $labels.target }} is {{ $value | printf \"%.1f\" }} % full",
};

/// Days of which most is there, so that a single step is no trend.
const DISK_GROWS: OfHosts = OfHosts {
    name: "DiskGrows",
    interval_ms: DAYS_MS,
    statement: "SELECT target, t.slope_per_day AS value FROM (SELECT host AS target, trend(disk_fullest_percent, time) AS t FROM host \
                WHERE time > now() - INTERVAL '3 days' GROUP BY host HAVING max(time) > min(time) + INTERVAL '2 days')",
    warning: Some(["> 2", "< 1.5"]),
    critical: None,
    for_ms: 0,
    summary: "the fullest disk of {{ $labels.target }} grows by {{ $value | printf \"%.1f\" }} % a day",
};

const DISK_WILL_BE_FULL: OfHosts = OfHosts {
    name: "DiskWillBeFull",
    interval_ms: DAYS_MS,
    statement: "SELECT target, CASE WHEN t.slope_per_day > 0.1 \
                THEN (CAST(reaches(t, 100.0) AS BIGINT) - CAST(now() AS BIGINT)) / 86400e9 ELSE 36500 END AS value \
                FROM (SELECT host AS target, trend(disk_fullest_percent, time) AS t FROM host \
                WHERE time > now() - INTERVAL '3 days' GROUP BY host HAVING max(time) > min(time) + INTERVAL '2 days')",
    warning: Some(["< 7", "> 10"]),
    critical: None,
    for_ms: 0,
    summary: "a disk of {{ $labels.target }} will be full in {{ $value | printf \"%.1f\" }} days",
};

/// It waits for a minute: a server that was away itself has to hear from hosts first.
const NO_DATA: OfHosts = OfHosts {
    name: "NoData",
    interval_ms: HOSTS_MS,
    statement: "SELECT host AS target, (CAST(now() AS BIGINT) - CAST(max(time) AS BIGINT)) / 1e9 AS value FROM host \
                WHERE time > now() - INTERVAL '1 day' GROUP BY host",
    warning: None,
    critical: Some(["> 180", "< 120"]),
    for_ms: 60_000,
    summary: "nothing comes from {{ $labels.target }} any more",
};

impl OfHosts {
    fn group(&self) -> Group {
        let level = |severity, [raise, clear]: [&str; 2]| Level {
            severity,
            raise: raise.parse().expect("a bound of ours"),
            clear: Some(clear.parse().expect("a bound of ours")),
        };
        let critical = self.critical.map(|bounds| level(Severity::Critical, bounds));
        let warning = self.warning.map(|bounds| level(Severity::Warning, bounds));
        let levels = Levels {
            levels: critical.into_iter().chain(warning).collect(),
            for_ms: self.for_ms,
            no_data: NoData::Unknown,
            annotations: vec![Text::parse("summary", self.summary).expect("a template of ours")],
            ..Levels::default()
        };
        let rule = Rule {
            name: self.name.into(),
            line: 0,
            asks: Asks::Sql(self.statement.into()),
            query: self.statement.into(),
            labels: Vec::new(),
            kind: Kind::Levels(levels),
        };
        group(self.name, self.interval_ms, vec![rule])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_texts_of_hosts_are_right() {
        let all =
            Kinds { down: true, slow: true, certificate: true, content: true, stale: true, disk: true, no_data: true };
        let groups = groups(all);
        assert_eq!(groups.len(), 5);
        for rule in groups.iter().flat_map(|group| &group.rules) {
            if let Kind::Levels(levels) = &rule.kind {
                levels.check().unwrap();
            }
        }
    }
}
