//! What goes to whom.

use std::collections::{BTreeMap, BTreeSet};

use promql::base::labels::Labels;
use promql::syntax::Matcher;

use super::channel::Channel;

/// Alerts that go to some channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// What their labels have; nothing: all alerts.
    pub matchers: Vec<Matcher>,
    /// Names of channels.
    pub channels: Vec<String>,
    /// Are those behind it looked at, too?
    pub goes_on: bool,
}

/// Who is told of what, and who was.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: Vec<Route>,
    /// Who is told where no route says it.
    everybody: Vec<String>,
    /// Who was told that an alert fires, by the alert.
    told: BTreeMap<String, Vec<String>>,
}

impl Routes {
    pub(super) fn replace(&mut self, routes: Vec<Route>, channels: &[Channel]) {
        // Who stands in for somebody else is told instead of them.
        let stand_ins: BTreeSet<&String> = channels.iter().filter_map(|channel| channel.fallback.as_ref()).collect();
        let others = channels.iter().filter(|channel| !stand_ins.contains(&channel.name));
        (self.routes, self.everybody) = (routes, others.map(|channel| channel.name.clone()).collect());
    }

    /// Who was told that an alert fires.
    pub(super) fn remember(&mut self, alert: &str, channels: Vec<String>) {
        self.told.insert(alert.to_owned(), channels);
    }

    /// Who is told that an alert fires.
    pub(super) fn begin(&mut self, alert: &str, labels: &Labels) -> Vec<String> {
        let channels = self.of(labels);
        self.remember(alert, channels.clone());
        channels
    }

    /// Who was told that it fires, and is told of its end.
    pub(super) fn end(&mut self, alert: &str, labels: &Labels) -> Vec<String> {
        self.told.remove(alert).unwrap_or_else(|| self.of(labels))
    }

    /// Who was told that it fires.
    pub(super) fn who(&self, alert: &str) -> Option<&Vec<String>> {
        self.told.get(alert)
    }

    fn of(&self, labels: &Labels) -> Vec<String> {
        let (mut channels, mut is_about) = (Vec::new(), false);
        for route in &self.routes {
            if route.matchers.iter().all(|own| own.matches(labels.get(&own.label))) {
                is_about = true;
                channels.extend(
                    route.channels.iter().filter(|name| !channels.contains(*name)).cloned().collect::<Vec<_>>(),
                );
                if !route.goes_on {
                    break;
                }
            }
        }
        // What nobody thought of is told to everybody, rather than to nobody.
        if is_about { channels } else { self.everybody.clone() }
    }
}

#[cfg(test)]
mod tests {
    use promql::syntax::parse_selector;

    use super::*;
    use crate::notices::Kind;

    fn route(matchers: &str, channels: &[&str], goes_on: bool) -> Route {
        let channels = channels.iter().map(|name| (*name).to_owned()).collect();
        Route { matchers: parse_selector(matchers).unwrap(), channels, goes_on }
    }

    #[test]
    fn the_first_route_that_is_about_an_alert_says_who_is_told() {
        let mut routes = Routes::default();
        let sms = Channel { fallback: Some("modem".into()), ..Channel::new("sms", Kind::Webhook, "") };
        let channels = [sms, Channel::new("ops", Kind::Webhook, ""), Channel::new("modem", Kind::Webhook, "")];
        let labels = |severity: &str, target: &str| Labels::new([("severity", severity), ("target", target)]);
        routes.replace(Vec::new(), &channels);
        assert_eq!(routes.of(&labels("critical", "a")), ["sms", "ops"]);
        let all = vec![
            route("{severity=\"critical\"}", &["sms"], true),
            route("{target=~\"shop.*\"}", &["modem", "sms"], false),
            route("{severity=\"warning\"}", &["ops"], false),
        ];
        routes.replace(all, &channels);
        for (severity, target, expected) in [
            ("critical", "a", vec!["sms"]),
            ("critical", "shop1", vec!["sms", "modem"]),
            ("warning", "shop1", vec!["modem", "sms"]),
            ("warning", "a", vec!["ops"]),
            ("info", "a", vec!["sms", "ops"]),
        ] {
            assert_eq!(routes.of(&labels(severity, target)), expected, "{severity} {target}");
        }
        // Whoever was told is told of the end, whatever routes say by then.
        assert_eq!(routes.begin("1", &labels("warning", "a")), ["ops"]);
        routes.replace(Vec::new(), &channels);
        assert_eq!(routes.end("1", &labels("warning", "a")), ["ops"]);
    }
}
