//! Groups of rules, evaluated.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use promql::base::labels::{Labels, NAME};
use promql::model::samples::Sample;
use promql::syntax::{Limits, parse};
use statistics::float::show_general;
use tsdb::STALE_MARK;

use super::active::{Active, Found, Happened, Holds, Texts, event, step};
use super::engine::{Engine, Hinders, Made};
use super::event::EventKind;
use super::levels::{Around, Series, Step};
use super::names::may_read;
use crate::base::text::target;
use crate::rules::{Asks, Group, Kind, Level, Levels, Ready, Rule, Text};
use crate::template::{Ask, Given, Template, Value};

/// The metrics that alerts are shown by, as Prometheus has them.
const ALERTS: &str = "ALERTS";
const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
const ALERT_NAME: &str = "alertname";
const ALERT_STATE: &str = "alertstate";
/// The text that is to be read first.
const SUMMARY: &str = "summary";
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
    /// What is remembered of series, where bounds make alerts.
    series: Series,
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
                Kind::Alert { .. } | Kind::Levels(_) => names.extend([ALERTS.to_owned(), ALERTS_FOR_STATE.to_owned()]),
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

/// A sample as one number: a histogram is how much it counts.
fn number_of(sample: &Sample) -> f64 {
    match sample {
        Sample::Float(value) => *value,
        Sample::Histogram(own) => own.count,
    }
}

/// May a rule read one of these metrics?
fn reads(rule: &Rule, metrics: &HashSet<String>) -> bool {
    match &rule.asks {
        Asks::Expr(expr) => may_read(expr, metrics) || asks(rule),
        Asks::Sql(_) => true,
        Asks::Ready(_) => false,
    }
}

/// Does a template of it ask questions of its own?
fn asks(rule: &Rule) -> bool {
    rule.labels.iter().chain(rule.kind.annotations()).any(|own| own.source.contains("query"))
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
        if let Asks::Ready(ready) = self.rule.asks {
            return self.ready(ready, state, into);
        }
        let samples = match &self.rule.kind {
            Kind::Record => self.recorded(self.found()?)?,
            Kind::Alert { for_ms, keep_firing_for_ms, annotations } => {
                let found = self.alerts(self.found()?, annotations)?;
                let limit = self.group.limit;
                let holds = Holds { for_ms: *for_ms, keep_firing_for_ms: *keep_firing_for_ms, limit };
                // Rules of Prometheus know nothing of targets that explain others.
                let hindrance = |labels: &Labels, _: &Active| self.engine.hindrance(labels, None, self.at_ms);
                self.step(&mut state.active, found, holds, hindrance, into)?;
                self.shown(&state.active)
            }
            Kind::Levels(levels) => {
                self.levels(levels, state, into)?;
                self.shown(&state.active)
            }
        };
        self.made(samples, state, into);
        Ok(())
    }

    /// What a question in PromQL finds.
    fn found(&self) -> Result<Vec<(Labels, Sample)>, String> {
        match &self.rule.asks {
            Asks::Expr(expr) => self.engine.ask(expr, self.asked_ms()),
            Asks::Sql(_) | Asks::Ready(_) => Err("what is asked here is no question in PromQL".into()),
        }
    }

    /// Alerts by bounds of values.
    fn levels(&self, levels: &Levels, state: &mut RuleState, into: &mut Made) -> Result<(), String> {
        let found = match &self.rule.asks {
            Asks::Sql(statement) => self.engine.ask_sql(statement, self.asked_ms())?,
            Asks::Expr(_) | Asks::Ready(_) => {
                let found = self.found()?.into_iter();
                found.map(|(labels, sample)| (labels.without_metric(), Some(number_of(&sample)))).collect()
            }
        };
        let mut values = BTreeMap::new();
        for (labels, value) in found {
            let value = value.filter(|value| !value.is_nan());
            let filled = self.labels(&labels, Value::Float(value.unwrap_or(f64::NAN)));
            if values.insert(filled, value).is_some() {
                return Err(format!("two rows have the same labels {labels}: one row a series is expected"));
            }
        }
        let texts = |labels: &Labels, level: &Level, value: Option<f64>| self.texts(levels, labels, level, value);
        let hindrance = |labels: &Labels, own: &Active| {
            let target = target(|name| Some(labels.get(name)));
            let others = &levels.depends_on;
            let what = Hinders { target, is_itself: true, others, since_ms: own.active_at_ms };
            self.engine.hindrance(labels, Some(&what), self.at_ms)
        };
        let key = self.group.key();
        let mut tell = |labels: &Labels, own: &Active, happened: Happened| {
            into.events.push(event((&key, &self.rule.name), self.at_ms, labels, own, happened));
        };
        let around = Around { texts: &texts, hindrance: &hindrance };
        let mut step = Step { rule: levels, at_ms: self.at_ms, around, active: &mut state.active, tell: &mut tell };
        step.take(&values, &mut state.series);
        Ok(())
    }

    /// The texts of an alert by a bound: those of its rule, and always what is to be read first.
    fn texts(&self, levels: &Levels, labels: &Labels, level: &Level, value: Option<f64>) -> Texts {
        let given = self.given(labels, Value::Float(value.unwrap_or(f64::NAN)));
        let mut texts = self.annotations(&levels.annotations, &given);
        if !texts.iter().any(|(name, _)| name == SUMMARY) {
            let of = self.series_name(labels);
            let of = if of.is_empty() { of } else { format!(" of {of}") };
            let found =
                value.map_or("no data".to_owned(), |value| format!("{} ({})", show_general(value), level.raise));
            texts.push((SUMMARY.into(), format!("{}{of}: {found}", self.rule.name)));
        }
        texts
    }

    /// What people call a series: its target, or else what tells it from the others of its rule.
    fn series_name(&self, labels: &Labels) -> String {
        let target = target(|name| Some(labels.get(name)));
        if !target.is_empty() {
            return target.to_owned();
        }
        let is_given = |name: &str| name == ALERT_NAME || self.rule.labels.iter().any(|own| own.name == name);
        labels.iter().filter(|(name, _)| !is_given(name)).map(|(_, value)| value).collect::<Vec<_>>().join(" ")
    }

    fn annotations(&self, texts: &[Text], given: &Given<'_>) -> Texts {
        texts.iter().map(|own| (own.name.clone(), self.filled(&own.template, given))).collect()
    }

    fn given<'b>(&'b self, labels: &'b Labels, value: Value) -> Given<'b> {
        let Outside { labels: external_labels, url: external_url } = self.outside;
        Given { labels, external_labels, external_url, value, at_ms: self.at_ms }
    }

    /// What does not work out is said in the text's place: nobody is left untold by it.
    fn filled(&self, template: &Template, given: &Given<'_>) -> String {
        template.fill(given, self).unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    }

    /// The labels of the alert of a series.
    fn labels(&self, labels: &Labels, value: Value) -> Labels {
        let given = self.given(labels, value);
        let with = |own: Labels, label: &Text| own.with(&label.name, &self.filled(&label.template, &given));
        self.rule.labels.iter().fold(labels.without_metric(), with).with(ALERT_NAME, &self.rule.name)
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
        let hindrance = |labels: &Labels, own: &Active| {
            let what =
                Hinders { target: labels.get("target"), is_itself: false, others: &[], since_ms: own.active_at_ms };
            self.engine.hindrance(labels, ready.is_explained().then_some(&what), self.at_ms)
        };
        let holds = Holds { for_ms: 0, keep_firing_for_ms: 0, limit: 0 };
        self.step(&mut state.active, found, holds, hindrance, into)?;
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
            let given = self.given(&labels, value.clone());
            let texts = annotations.iter().map(|own| (own.name.clone(), self.filled(&own.template, &given))).collect();
            let own = self.labels(&labels, value);
            let value = number_of(&sample);
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
        hindrance: impl Fn(&Labels, &Active) -> Option<String>,
        into: &mut Made,
    ) -> Result<(), String> {
        let key = self.group.key();
        let of = (key.as_str(), self.rule.name.as_str());
        let start = into.events.len();
        let outcome = step(active, found, self.at_ms, holds, hindrance, |labels, own, happened| {
            into.events.push(event(of, self.at_ms, labels, own, happened));
        });
        if let Err(reason) = &outcome {
            // What began in this step never was.
            into.events.truncate(start);
            for (labels, own) in std::mem::take(active) {
                if own.active_at_ms < self.at_ms {
                    let over = (EventKind::Recovered, Some(reason.clone()));
                    into.events.push(event(of, self.at_ms, &labels, &own, over));
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
        Ok(found.into_iter().map(|(labels, sample)| (labels, number_of(&sample))).collect())
    }
}
