//! What rules and channels do, as numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::groups::Live;
use crate::notices::ChannelStats;
use crate::state::{Active, Health, Phase};

/// What rules and channels do.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Evaluations of groups since the start, and how long they took together.
    pub evaluations: u64,
    /// How long they took together.
    pub took: Duration,
    /// Rules whose last evaluation did not work.
    pub failing: u64,
    /// Groups that are not evaluated in time.
    pub late: bool,
    /// Alerts by what they are: `pending`, `suppressed`, `firing`, `unknown`.
    pub alerts: BTreeMap<&'static str, u64>,
    /// Silences that hold now.
    pub silences: u64,
    /// By channel.
    pub channels: Vec<ChannelStats>,
}

impl Live {
    /// What rules and channels do now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (evaluations, took) = self.evaluated();
        let alerts = ["pending", "suppressed", "firing", "unknown"].map(|name| (name, 0)).into();
        let now_ms = crate::base::clock::now_ms();
        let silences = self.silences().list().iter().filter(|own| own.state(now_ms) == "active").count() as u64;
        let (late, channels) = (self.late().is_some(), self.channels());
        let mut stats = Stats { evaluations, took, failing: 0, late, alerts, silences, channels };
        for group in self.groups() {
            for rule in &group.state().rules {
                stats.failing += u64::from(matches!(rule.health, Health::Bad(_)));
                for own in rule.active.values() {
                    *stats.alerts.entry(state(own)).or_default() += 1;
                }
            }
        }
        stats
    }
}

fn state(own: &Active) -> &'static str {
    match own.phase {
        Phase::Pending => "pending",
        Phase::Suppressed => "suppressed",
        Phase::Firing if own.is_unknown => "unknown",
        Phase::Firing => "firing",
    }
}
