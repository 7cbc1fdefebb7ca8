//! Rules and alerts, as Prometheus' API shows them.

use std::collections::HashSet;
use std::time::Duration;

use promql::base::labels::Labels;
use promql::syntax::{Matcher, parse_selector};
use serde_json::{Map, Value, json};
use statistics::float::show_exponent;

use super::groups::{Live, LiveGroup};
use crate::base::clock::rfc3339;
use crate::base::text::id;
use crate::rules::{Kind, Rule, Text};
use crate::state::{Active, Health, Phase, RuleState};

/// What is wanted of the rules.
#[derive(Debug, Default)]
struct Wanted {
    is_alert: Option<bool>,
    names: HashSet<String>,
    groups: HashSet<String>,
    files: HashSet<String>,
    excludes_alerts: bool,
    matchers: Vec<Vec<Matcher>>,
    groups_max: usize,
    from_group: Option<String>,
}

/// What `group_next_token` of a group is.
fn token_of(own: &LiveGroup) -> String {
    id([own.group.key().as_str()])
}

impl Wanted {
    fn of<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Wanted, String> {
        let mut wanted = Wanted::default();
        for (name, value) in parameters {
            match name {
                "type" => {
                    wanted.is_alert = match value.to_lowercase().as_str() {
                        "" => None,
                        "alert" => Some(true),
                        "record" => Some(false),
                        other => return Err(format!("not supported value {other:?}")),
                    }
                }
                "rule_name[]" => drop(wanted.names.insert(value.to_owned())),
                "rule_group[]" => drop(wanted.groups.insert(value.to_owned())),
                "file[]" => drop(wanted.files.insert(value.to_owned())),
                "exclude_alerts" => {
                    wanted.excludes_alerts = match value.to_lowercase().as_str() {
                        "1" | "t" | "true" => true,
                        "" | "0" | "f" | "false" => false,
                        _ => return Err("invalid value for exclude_alerts: it is true or false".into()),
                    }
                }
                "match[]" => wanted.matchers.push(parse_selector(value).map_err(|error| error.to_string())?),
                "group_limit" => {
                    let limit = value.parse::<usize>().ok().filter(|limit| *limit > 0);
                    wanted.groups_max = limit.ok_or("group_limit needs to be a valid number, greater than 0")?;
                }
                "group_next_token" if !value.is_empty() => wanted.from_group = Some(value.to_owned()),
                _ => {}
            }
        }
        if wanted.from_group.is_some() && wanted.groups_max == 0 {
            return Err("group_limit needs to be present in order to paginate over the groups".into());
        }
        Ok(wanted)
    }

    fn group(&self, own: &LiveGroup) -> bool {
        let all = |set: &HashSet<String>, name: &str| set.is_empty() || set.contains(name);
        all(&self.groups, &own.group.name) && all(&self.files, &own.group.file)
    }

    fn rule(&self, rule: &Rule) -> bool {
        let is_alert = rule.kind.is_alert();
        let labels = Labels::new(rule.labels.iter().map(Text::pair));
        let matches = |all: &Vec<Matcher>| all.iter().all(|matcher| matcher.matches(labels.get(&matcher.label)));
        self.is_alert.is_none_or(|wanted| wanted == is_alert)
            && (self.names.is_empty() || self.names.contains(&rule.name))
            && (self.matchers.is_empty() || self.matchers.iter().any(matches))
    }
}

impl Live {
    /// `data` of `/api/v1/rules`.
    ///
    /// # Errors
    ///
    /// A parameter is wrong, in words.
    pub fn rules<'a>(&self, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Value, String> {
        let wanted = Wanted::of(parameters)?;
        let mut groups = self.groups();
        groups.sort_by(|one, other| (&*one.group.file, &one.group.name).cmp(&(&*other.group.file, &other.group.name)));
        let mut next = wanted.from_group.as_ref();
        let (mut shown, mut token) = (Vec::new(), None);
        for own in groups.iter().filter(|own| wanted.group(own)) {
            if next.is_some_and(|next| *next != token_of(own)) {
                continue;
            }
            next = None;
            let rules = rules_of(own, &wanted);
            // A group of which nothing is wanted is not shown.
            if rules.is_empty() && !own.group.rules.is_empty() {
                continue;
            }
            if wanted.groups_max > 0 && shown.len() == wanted.groups_max {
                token = Some(token_of(own));
                break;
            }
            shown.push(group_of(own, rules));
        }
        if next.is_some() {
            return Err("invalid group_next_token: no group has it any more".into());
        }
        let mut data = json!({ "groups": shown });
        if let Some(token) = token {
            data["groupNextToken"] = token.into();
        }
        Ok(data)
    }

    /// `data` of `/api/v1/alerts`.
    #[must_use]
    pub fn alerts(&self) -> Value {
        let mut all = Vec::new();
        for own in self.groups() {
            for rule in &own.state().rules {
                all.extend(rule.active.iter().map(|(labels, active)| alert(labels, active)));
            }
        }
        json!({ "alerts": all })
    }
}

fn group_of(own: &LiveGroup, rules: Vec<Value>) -> Value {
    let state = own.state();
    json!({
        "name": own.group.name,
        "file": &*own.group.file,
        "rules": rules,
        "interval": seconds(Duration::from_millis(own.interval_ms.unsigned_abs())),
        "limit": own.group.limit,
        "evaluationTime": seconds(state.took),
        "lastEvaluation": rfc3339(state.evaluated_ms),
    })
}

fn rules_of(own: &LiveGroup, wanted: &Wanted) -> Vec<Value> {
    let state = own.state();
    let rules = own.group.rules.iter().zip(&state.rules).filter(|(rule, _)| wanted.rule(rule));
    rules.map(|(rule, state)| rule_of(rule, state, wanted.excludes_alerts)).collect()
}

fn rule_of(rule: &Rule, state: &RuleState, excludes_alerts: bool) -> Value {
    let (health, error) = match &state.health {
        Health::Unknown => ("unknown", None),
        Health::Good => ("ok", None),
        Health::Bad(error) => ("err", Some(error)),
    };
    let mut shown = json!({
        "name": rule.name,
        "query": rule.query,
        "labels": texts(rule.labels.iter().map(Text::pair)),
        "health": health,
        "evaluationTime": seconds(state.took),
        "lastEvaluation": rfc3339(state.evaluated_ms),
    });
    if let Some(error) = error {
        shown["lastError"] = error.as_str().into();
    }
    let (for_ms, keep_firing_for_ms) = match &rule.kind {
        Kind::Record => {
            shown["type"] = "recording".into();
            return shown;
        }
        Kind::Alert { for_ms, keep_firing_for_ms, .. } => (*for_ms, *keep_firing_for_ms),
        Kind::Levels(levels) => (levels.for_ms, levels.clear_for_ms),
    };
    let is = |phase| state.active.values().any(|own| own.phase == phase);
    let whole = match (is(Phase::Firing) || is(Phase::Suppressed), is(Phase::Pending), state.evaluated_ms) {
        (true, ..) => "firing",
        (_, true, _) => "pending",
        (.., None) => "unknown",
        _ => "inactive",
    };
    shown["type"] = "alerting".into();
    shown["state"] = whole.into();
    shown["duration"] = (for_ms as f64 / 1000.0).into();
    shown["keepFiringFor"] = (keep_firing_for_ms as f64 / 1000.0).into();
    shown["annotations"] = texts(rule.kind.annotations().iter().map(Text::pair));
    let all = state.active.iter().filter(|_| !excludes_alerts);
    shown["alerts"] = all.map(|(labels, active)| alert(labels, active)).collect();
    shown
}

fn alert(labels: &Labels, own: &Active) -> Value {
    let mut shown = json!({
        "labels": texts(labels.iter()),
        "annotations": texts(own.annotations.iter().map(|(name, text)| (name.as_str(), text.as_str()))),
        "state": own.phase.name(),
        "activeAt": rfc3339(Some(own.active_at_ms)),
        // As Prometheus has it: `1e+00`.
        "value": show_exponent(own.value, None),
    });
    if let Some(since) = own.keep_firing_since_ms {
        shown["keepFiringSince"] = rfc3339(Some(since)).into();
    }
    shown
}

fn texts<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    Value::Object(pairs.map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>())
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
