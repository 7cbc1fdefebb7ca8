//! What goes to whom.

use std::collections::BTreeMap;

use promql::base::labels::Labels;
use promql::syntax::Matcher;
use serde::{Deserialize, Serialize};

/// Alerts that go to some channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// What their labels have; nothing: all alerts.
    pub matchers: Vec<Matcher>,
    /// Names of channels.
    pub channels: Vec<String>,
    /// Are those behind it looked at, too?
    pub goes_on: bool,
    /// What is told together, and when; nothing: each evaluation of a group of rules by itself, at once.
    pub grouping: Option<Grouping>,
}

/// What is told together, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// Alerts with the same values of these labels are told together.
    pub by: Vec<String>,
    /// So long the first notice of a group waits for others, in milliseconds.
    pub wait_ms: i64,
    /// So long lies between two notices of a group.
    pub interval_ms: i64,
}

/// A notice that waits for others of its group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// The labels that its alerts have in common.
    pub labels: BTreeMap<String, String>,
    /// The number of its route.
    pub route: usize,
    /// As [`Grouping`] has it.
    pub wait_ms: i64,
    /// As [`Grouping`] has it.
    pub interval_ms: i64,
}

/// A channel that is told of an alert, and with what else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Going {
    /// The channel.
    pub channel: String,
    /// Its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// Who is told of what, and who was.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: Vec<Route>,
    /// Who is told where no route says it.
    everybody: Vec<String>,
    /// Who was told that an alert fires, by the alert.
    told: BTreeMap<String, Vec<Going>>,
}

impl Routes {
    pub(super) fn replace(&mut self, routes: Vec<Route>, everybody: Vec<String>) {
        (self.routes, self.everybody) = (routes, everybody);
    }

    /// Who was told that an alert fires.
    pub(super) fn remember(&mut self, alert: &str, channels: Vec<Going>) {
        self.told.insert(alert.to_owned(), channels);
    }

    /// Who is told that an alert fires.
    pub(super) fn begin(&mut self, alert: &str, labels: &Labels) -> Vec<Going> {
        let channels = self.of(labels);
        self.remember(alert, channels.clone());
        channels
    }

    /// Who was told that it fires, and is told of its end.
    pub(super) fn end(&mut self, alert: &str, labels: &Labels) -> Vec<Going> {
        self.told.remove(alert).unwrap_or_else(|| self.of(labels))
    }

    /// Who was told that it fires.
    pub(super) fn who(&self, alert: &str) -> Option<&Vec<Going>> {
        self.told.get(alert)
    }

    fn of(&self, labels: &Labels) -> Vec<Going> {
        let (mut all, mut is_about) = (Vec::<Going>::new(), false);
        for (number, route) in self.routes.iter().enumerate() {
            if !route.matchers.iter().all(|own| own.matches(labels.get(&own.label))) {
                continue;
            }
            is_about = true;
            for channel in &route.channels {
                if all.iter().all(|going| going.channel != *channel) {
                    let held = route.grouping.as_ref().map(|grouping| grouping.held(number, labels));
                    all.push(Going { channel: channel.clone(), held });
                }
            }
            if !route.goes_on {
                break;
            }
        }
        // What nobody thought of is told to everybody, rather than to nobody.
        let everybody =
            || self.everybody.iter().map(|channel| Going { channel: channel.clone(), held: None }).collect();
        if is_about { all } else { everybody() }
    }
}

impl Grouping {
    fn held(&self, route: usize, labels: &Labels) -> Held {
        let of = |name: &String| (name.clone(), labels.get(name).to_owned());
        let Grouping { by, wait_ms, interval_ms } = self;
        Held { labels: by.iter().map(of).collect(), route, wait_ms: *wait_ms, interval_ms: *interval_ms }
    }
}

impl Held {
    /// What tells its group from others.
    pub(super) fn key(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{{}}/{}:{{{}}}", self.route + 1, labels.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use promql::syntax::parse_selector;

    use super::*;

    fn route(matchers: &str, channels: &[&str], goes_on: bool) -> Route {
        let channels = channels.iter().map(|name| (*name).to_owned()).collect();
        Route { matchers: parse_selector(matchers).unwrap(), channels, goes_on, grouping: None }
    }

    #[test]
    fn the_first_route_that_is_about_an_alert_says_who_is_told() {
        let mut routes = Routes::default();
        let everybody = || ["sms", "ops"].map(str::to_owned).to_vec();
        let labels = |severity: &str, target: &str| Labels::new([("severity", severity), ("target", target)]);
        let names = |all: Vec<Going>| all.into_iter().map(|going| going.channel).collect::<Vec<_>>();
        routes.replace(Vec::new(), everybody());
        assert_eq!(names(routes.of(&labels("critical", "a"))), ["sms", "ops"]);
        let all = vec![
            route("{severity=\"critical\"}", &["sms"], true),
            route("{target=~\"shop.*\"}", &["modem", "sms"], false),
            route("{severity=\"warning\"}", &["ops"], false),
        ];
        routes.replace(all, everybody());
        for (severity, target, expected) in [
            ("critical", "a", vec!["sms"]),
            ("critical", "shop1", vec!["sms", "modem"]),
            ("warning", "shop1", vec!["modem", "sms"]),
            ("warning", "a", vec!["ops"]),
            ("info", "a", vec!["sms", "ops"]),
        ] {
            assert_eq!(names(routes.of(&labels(severity, target))), expected, "{severity} {target}");
        }
        // Whoever was told is told of the end, whatever routes say by then.
        assert_eq!(names(routes.begin("1", &labels("warning", "a"))), ["ops"]);
        routes.replace(Vec::new(), everybody());
        assert_eq!(names(routes.end("1", &labels("warning", "a"))), ["ops"]);
    }
}
