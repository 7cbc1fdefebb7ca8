//! Groups of rules, evaluated.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use promql::base::labels::{Labels, NAME};
use promql::model::samples::Sample;
use promql::syntax::{Limits, parse};
use tsdb::STALE_MARK;

use super::active::{Active, Found, Holds, event, step};
use super::engine::{Engine, Made};
use super::event::EventKind;
use super::names::may_read;
use crate::rules::{Asks, Group, Kind, Ready, Rule, Text};
use crate::template::{Ask, Given, Template, Value};

/// The metrics that alerts are shown by, as Prometheus has them.
const ALERTS: &str = "ALERTS";
const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
const ALERT_NAME: &str = "alertname";
const ALERT_STATE: &str = "alertstate";
/// The series that show alerts of ready rules have a sample so often.
const SHOWN_EVERY_MS: i64 = 15_000;

/// What templates know of the world around.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// `$externalLabels`
    pub labels: Labels,
    /// `$externalURL`
    pub url: String,
}

/// Whether a rule works.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// It was not evaluated yet.
    #[default]
    Unknown,
    /// It works.
    Good,
    /// It does not, and why.
    Bad(String),
}

/// What is known of a rule.
#[derive(Debug, Clone, Default)]
pub struct RuleState {
    /// Its alerts, by their labels.
    pub active: BTreeMap<Labels, Active>,
    /// Whether it works.
    pub health: Health,
    /// For when it was evaluated last, in milliseconds.
    pub evaluated_ms: Option<i64>,
    /// How long that took.
    pub took: Duration,
    /// The series that it made then: what is not made again has ended.
    made: BTreeSet<Labels>,
}

/// What is known of a group.
#[derive(Debug, Clone, Default)]
pub struct GroupState {
    /// Of its rules, in their order.
    pub rules: Vec<RuleState>,
    /// For when it was evaluated last, in milliseconds.
    pub evaluated_ms: Option<i64>,
    /// How long that took.
    pub took: Duration,
}

impl GroupState {
    /// That of a group of which nothing is known.
    #[must_use]
    pub fn new(group: &Group) -> GroupState {
        GroupState { rules: vec![RuleState::default(); group.rules.len()], ..GroupState::default() }
    }

    /// Evaluates a group for a time: each rule sees what those before it made.
    ///
    /// A rule that does not work leaves its alerts as they are. What comes back is why something could not be kept; alerts
    /// go on all the same.
    pub fn evaluate(&mut self, group: &Group, at_ms: i64, outside: &Outside, engine: &dyn Engine) -> Vec<String> {
        let begun = Instant::now();
        let mut unkept = Vec::new();
        let mut pending = Made::default();
        let mut names = HashSet::new();
        for (rule, state) in group.rules.iter().zip(&mut self.rules) {
            if !pending.is_empty() && reads(rule, &names) {
                unkept.extend(engine.keep(&std::mem::take(&mut pending)).err());
                names.clear();
            }
            let begun = Instant::now();
            let evaluating = Evaluating { group, rule, at_ms, outside, engine };
            let outcome = evaluating.rule(state, &mut pending);
            state.health = outcome.map_or_else(Health::Bad, |()| Health::Good);
            (state.evaluated_ms, state.took) = (Some(at_ms), begun.elapsed());
            match rule.kind {
                Kind::Record => drop(names.insert(rule.name.clone())),
                Kind::Alert { .. } => names.extend([ALERTS.to_owned(), ALERTS_FOR_STATE.to_owned()]),
            }
        }
        if !pending.is_empty() {
            unkept.extend(engine.keep(&pending).err());
        }
        (self.evaluated_ms, self.took) = (Some(at_ms), begun.elapsed());
        unkept
    }

    /// The marks of all series that it made, for a group that ends.
    #[must_use]
    pub fn ended(&self, at_ms: i64) -> Made {
        let made = self.rules.iter().flat_map(|rule| &rule.made);
        let samples = made.map(|labels| (labels.clone(), at_ms, Sample::Float(STALE_MARK))).collect();
        Made { samples, events: Vec::new() }
    }
}

/// May a rule read one of these metrics?
fn reads(rule: &Rule, metrics: &HashSet<String>) -> bool {
    match &rule.asks {
        Asks::Expr(expr) => may_read(expr, metrics) || asks(rule),
        Asks::Ready(_) => false,
    }
}

/// Does a template of it ask questions of its own?
fn asks(rule: &Rule) -> bool {
    let annotations: &[_] = match &rule.kind {
        Kind::Alert { annotations, .. } => annotations,
        Kind::Record => &[],
    };
    rule.labels.iter().chain(annotations).any(|own| own.source.contains("query"))
}

struct Evaluating<'a> {
    group: &'a Group,
    rule: &'a Rule,
    at_ms: i64,
    outside: &'a Outside,
    engine: &'a dyn Engine,
}

impl Evaluating<'_> {
    /// The time for which it asks, and which its samples have.
    fn asked_ms(&self) -> i64 {
        self.at_ms - self.group.offset_ms
    }

    fn rule(&self, state: &mut RuleState, into: &mut Made) -> Result<(), String> {
        let expr = match &self.rule.asks {
            Asks::Expr(expr) => expr,
            Asks::Ready(ready) => return self.ready(*ready, state, into),
        };
        let found = self.engine.ask(expr, self.asked_ms())?;
        let samples = match &self.rule.kind {
            Kind::Record => self.recorded(found)?,
            Kind::Alert { for_ms, keep_firing_for_ms, annotations } => {
                let found = self.alerts(found, annotations)?;
                let limit = self.group.limit;
                let holds = Holds { for_ms: *for_ms, keep_firing_for_ms: *keep_firing_for_ms, limit };
                self.step(&mut state.active, found, holds, into)?;
                self.shown(&state.active)
            }
        };
        self.made(samples, state, into);
        Ok(())
    }

    /// A rule that needs no file: what is not known leaves alerts as they are.
    fn ready(&self, ready: Ready, state: &mut RuleState, into: &mut Made) -> Result<(), String> {
        let plain = |labels: &Labels| {
            let own = labels.without_one(ALERT_NAME);
            self.rule.labels.iter().fold(own, |own, label| own.without_one(&label.name))
        };
        let active: BTreeMap<Labels, Labels> = state.active.keys().map(|own| (plain(own), own.clone())).collect();
        let known: Vec<Labels> = active.keys().cloned().collect();
        let judgement = self.engine.judge(ready, self.at_ms, &known)?;
        let over: HashSet<&Labels> = judgement.good.iter().chain(&judgement.gone).collect();
        let mut found = Found::new();
        for (own, labels) in active.iter().filter(|(own, _)| !over.contains(own)) {
            if let Some(before) = state.active.get(labels) {
                found.insert(self.labelled(own), (before.annotations.clone(), before.value));
            }
        }
        found.extend(judgement.bad.into_iter().map(|own| (self.labelled(&own.labels), (own.texts, own.value))));
        let before = into.events.len();
        self.step(&mut state.active, found, Holds { for_ms: 0, keep_firing_for_ms: 0, limit: 0 }, into)?;
        // It is evaluated often, and what it shows seldom changes.
        let due = |ms: i64| ms.div_euclid(SHOWN_EVERY_MS);
        if into.events.len() > before || state.evaluated_ms.map(due) != Some(due(self.at_ms)) {
            self.made(self.shown(&state.active), state, into);
        }
        Ok(())
    }

    fn labelled(&self, own: &Labels) -> Labels {
        let with = self.rule.labels.iter().fold(own.clone(), |own, label| own.with(&label.name, &label.source));
        with.with(ALERT_NAME, &self.rule.name)
    }

    /// Samples that a rule made; the series that it made before and not now have ended.
    fn made(&self, samples: Vec<(Labels, Sample)>, state: &mut RuleState, into: &mut Made) {
        let at_ms = self.asked_ms();
        let made: BTreeSet<Labels> = samples.iter().map(|(labels, _)| labels.clone()).collect();
        let ended = state.made.difference(&made).map(|labels| (labels.clone(), at_ms, Sample::Float(STALE_MARK)));
        into.samples.extend(ended);
        into.samples.extend(samples.into_iter().map(|(labels, sample)| (labels, at_ms, sample)));
        state.made = made;
    }

    fn recorded(&self, found: Vec<(Labels, Sample)>) -> Result<Vec<(Labels, Sample)>, String> {
        let limit = self.group.limit;
        if limit > 0 && found.len() > limit {
            return Err(format!("exceeded limit of {limit} with {} series", found.len()));
        }
        let mut seen = HashSet::new();
        let mut samples = Vec::with_capacity(found.len());
        for (labels, sample) in found {
            let mut labels = labels.with(NAME, &self.rule.name);
            for own in &self.rule.labels {
                labels = labels.with(&own.name, &own.source);
            }
            if !seen.insert(labels.clone()) {
                return Err("vector contains metrics with the same labelset after applying rule labels".into());
            }
            samples.push((labels, sample));
        }
        Ok(samples)
    }

    /// The alerts that samples are.
    fn alerts(&self, found: Vec<(Labels, Sample)>, annotations: &[Text]) -> Result<Found, String> {
        let mut alerts = Found::new();
        for (labels, sample) in found {
            let value = match &sample {
                Sample::Float(value) => Value::Float(*value),
                Sample::Histogram(own) => own.to_string().into(),
            };
            let given = Given {
                labels: &labels,
                external_labels: &self.outside.labels,
                external_url: &self.outside.url,
                value,
                at_ms: self.at_ms,
            };
            // What does not work out is said in the text's place: nobody is left untold by it.
            let filled = |template: &Template| {
                template.fill(&given, self).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
            };
            let mut own = labels.without_metric();
            for label in &self.rule.labels {
                own = own.with(&label.name, &filled(&label.template));
            }
            own = own.with(ALERT_NAME, &self.rule.name);
            let texts = annotations.iter().map(|own| (own.name.clone(), filled(&own.template))).collect();
            let value = match sample {
                Sample::Float(value) => value,
                Sample::Histogram(own) => own.count,
            };
            if alerts.insert(own, (texts, value)).is_some() {
                return Err("vector contains metrics with the same labelset after applying alert labels".into());
            }
        }
        Ok(alerts)
    }

    fn step(
        &self,
        active: &mut BTreeMap<Labels, Active>,
        found: Found,
        holds: Holds,
        into: &mut Made,
    ) -> Result<(), String> {
        let key = self.group.key();
        let of = (key.as_str(), self.rule.name.as_str());
        let start = into.events.len();
        let outcome = step(active, found, self.at_ms, holds, |labels, own, kind| {
            into.events.push(event(of, self.at_ms, labels, own, kind, None));
        });
        if let Err(reason) = &outcome {
            // What began in this step never was.
            into.events.truncate(start);
            for (labels, own) in std::mem::take(active) {
                if own.active_at_ms < self.at_ms {
                    into.events.push(event(of, self.at_ms, &labels, &own, EventKind::Recovered, Some(reason)));
                }
            }
        }
        outcome
    }

    /// The series that show alerts.
    fn shown(&self, active: &BTreeMap<Labels, Active>) -> Vec<(Labels, Sample)> {
        let of = |(labels, own): (&Labels, &Active)| {
            let state = labels.with(NAME, ALERTS).with(ALERT_STATE, own.phase.name());
            let since = labels.with(NAME, ALERTS_FOR_STATE);
            let seconds = own.active_at_ms.div_euclid(1000) as f64;
            [(state, Sample::Float(1.0)), (since, Sample::Float(seconds))]
        };
        active.iter().flat_map(of).collect()
    }
}

impl Ask for Evaluating<'_> {
    fn ask(&self, question: &str) -> Result<Vec<(Labels, f64)>, String> {
        let expr = parse(question, &Limits::default()).map_err(|error| error.to_string())?;
        let found = self.engine.ask(&expr, self.asked_ms())?;
        let floats = found.into_iter().map(|(labels, sample)| match sample {
            Sample::Float(value) => (labels, value),
            Sample::Histogram(own) => (labels, own.count),
        });
        Ok(floats.collect())
    }
}
