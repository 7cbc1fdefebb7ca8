//! Tests of rules, run as `promtool test rules` does it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use promql::base::labels::Labels;
use promql::model::notation::points;
use promql::model::samples::Sample;
use promql::syntax::{Limits, parse};
use statistics::histogram::Histogram;

use super::file::{AlertText, QuestionText, TestText, ms, read};
use super::memory::Memory;
use super::series::labels;
use crate::rules::{self, Group, Kind, RuleFile};
use crate::state::{Engine, GroupState, Health, Outside, Phase};

/// Evaluations that a test has at the most.
const STEPS_MAX: i64 = 1_000_000;
const INTERVAL_MS: i64 = 60_000;

/// What a test file came to.
#[derive(Debug, Default)]
pub struct Tested {
    /// How many tests there were.
    pub tests: usize,
    /// What does not agree, or is wrong with the file.
    pub failures: Vec<String>,
}

/// A file of rules, found and read: the paths that a pattern stands for.
type Find<'a> = &'a dyn Fn(&Path) -> Result<Vec<PathBuf>, String>;

/// Runs the tests of a file. `find` gives the files that a pattern in `rule_files` stands for.
#[must_use]
pub fn test(path: &Path, text: &str, find: Find<'_>) -> Tested {
    let mut tested = Tested::default();
    match prepared(path, text, find) {
        Ok((file, rule_files)) => {
            tested.tests = file.tests.len();
            let interval_ms = match ms(file.evaluation_interval.as_deref()) {
                Ok(own) => own.filter(|ms| *ms > 0).unwrap_or(INTERVAL_MS),
                Err(error) => {
                    tested.failures.push(format!("evaluation_interval: {error}"));
                    return tested;
                }
            };
            let groups = ordered(&rule_files, &file.group_eval_order);
            for (number, own) in file.tests.iter().enumerate() {
                let running = Running { test: own, groups: &groups, interval_ms, is_fuzzy: file.fuzzy_compare };
                let named = match own.name.is_empty() {
                    true => format!("test {}", number + 1),
                    false => format!("test {} ({})", number + 1, own.name),
                };
                let failures = running.run().unwrap_or_else(|error| vec![error]);
                tested.failures.extend(failures.into_iter().map(|failure| format!("{named}: {failure}")));
            }
        }
        Err(problems) => tested.failures.extend(problems),
    }
    tested
}

fn prepared(path: &Path, text: &str, find: Find<'_>) -> Result<(super::file::TestFile, Vec<RuleFile>), Vec<String>> {
    let file = read(path, text).map_err(|problem| vec![problem.to_string()])?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for pattern in &file.rule_files {
        match find(&folder.join(pattern)) {
            Ok(found) if found.is_empty() => problems.push(format!("rule_files: no file is {pattern}")),
            Ok(found) => files.extend(found),
            Err(error) => problems.push(format!("rule_files: {error}")),
        }
    }
    let mut read = Vec::new();
    for path in files {
        match std::fs::read_to_string(&path) {
            Ok(text) => match rules::read(&path, &text, &Limits::default()) {
                Ok(file) => read.push(file),
                Err(own) => problems.extend(own.iter().map(ToString::to_string)),
            },
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
    }
    if problems.is_empty() { Ok((file, read)) } else { Err(problems) }
}

/// The groups: those that are named first, the others behind them as they stand.
fn ordered<'a>(files: &'a [RuleFile], order: &[String]) -> Vec<&'a Group> {
    let mut groups: Vec<&Group> = files.iter().flat_map(|file| &file.groups).collect();
    groups.sort_by_key(|group| order.iter().position(|name| *name == group.name).unwrap_or(order.len()));
    groups
}

struct Running<'a> {
    test: &'a TestText,
    groups: &'a [&'a Group],
    interval_ms: i64,
    is_fuzzy: bool,
}

/// Labels and texts of an alert.
type Shown = (BTreeMap<String, String>, BTreeMap<String, String>);

impl Running<'_> {
    fn run(&self) -> Result<Vec<String>, String> {
        let start_ms = self.start_ms()?;
        let memory = self.loaded(start_ms)?;
        let time = |text: &str| Ok::<i64, String>(start_ms + ms(Some(text))?.unwrap_or(0));
        let mut alerts: BTreeMap<i64, Vec<&AlertText>> = BTreeMap::new();
        for own in &self.test.alert_rule_test {
            alerts.entry(time(&own.eval_time)?).or_default().push(own);
        }
        let mut questions = Vec::new();
        for own in &self.test.promql_expr_test {
            questions.push((time(&own.eval_time)?, own));
        }
        let last = alerts.keys().copied().chain(questions.iter().map(|(at, _)| *at)).max().unwrap_or(start_ms);
        if (last - start_ms) / self.interval_ms > STEPS_MAX {
            return Err(format!("it has more than {STEPS_MAX} evaluations"));
        }
        let outside = Outside {
            labels: Labels::new(self.test.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            url: self.test.external_url.clone(),
        };
        let mut states: Vec<GroupState> = self.groups.iter().map(|group| GroupState::new(group)).collect();
        let mut failures = Vec::new();
        let mut at = start_ms;
        while at <= last {
            memory.go_to(at);
            for (group, state) in self.groups.iter().zip(&mut states) {
                state.evaluate(group, at, &outside, &memory);
            }
            let errors = self.errors(&states, at - start_ms);
            if !errors.is_empty() {
                return Ok(errors);
            }
            for (own_at, tests) in alerts.range(at..at + self.interval_ms) {
                for own in tests {
                    failures.extend(self.compare_alerts(own, &states, own_at - start_ms));
                }
            }
            at += self.interval_ms;
        }
        memory.go_to(i64::MAX);
        for (at, own) in questions {
            failures.extend(self.compare_samples(own, at, &memory));
        }
        Ok(failures)
    }

    fn start_ms(&self) -> Result<i64, String> {
        let Some(text) = &self.test.start_timestamp else { return Ok(0) };
        if let Ok(seconds) = text.parse::<f64>() {
            return Ok((seconds * 1000.0).round() as i64);
        }
        let time: jiff::Timestamp = text.parse().map_err(|error| format!("start_timestamp: {error}"))?;
        Ok(time.as_millisecond())
    }

    fn loaded(&self, start_ms: i64) -> Result<Memory, String> {
        let step_ms = ms(self.test.interval.as_deref())?.filter(|ms| *ms > 0).unwrap_or(self.interval_ms);
        let memory = Memory::default();
        for own in &self.test.input_series {
            let labels = labels(&own.series)?;
            let points = points(&own.values).map_err(|error| format!("{}: {error}", own.series))?;
            for (at, point) in points.into_iter().enumerate() {
                if let Some(sample) = point {
                    memory.add(&labels, start_ms + at as i64 * step_ms, sample);
                }
            }
        }
        Ok(memory)
    }

    fn errors(&self, states: &[GroupState], after_ms: i64) -> Vec<String> {
        let rules = self.groups.iter().zip(states).flat_map(|(group, state)| group.rules.iter().zip(&state.rules));
        let bad = rules.filter_map(|(rule, state)| match &state.health {
            Health::Bad(error) => Some(format!("rule: {}, time: {}, err: {error}", rule.name, shown(after_ms))),
            _ => None,
        });
        bad.collect()
    }

    fn compare_alerts(&self, own: &AlertText, states: &[GroupState], after_ms: i64) -> Option<String> {
        let mut got: Vec<Shown> = Vec::new();
        for (group, state) in self.groups.iter().zip(states) {
            let rules = group.rules.iter().zip(&state.rules);
            let named = rules.filter(|(rule, _)| rule.name == own.alertname && matches!(rule.kind, Kind::Alert { .. }));
            for (labels, alert) in named.flat_map(|(_, state)| &state.active) {
                if alert.phase == Phase::Firing {
                    let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                    got.push((labels, alert.annotations.iter().cloned().collect()));
                }
            }
        }
        let expected = own.exp_alerts.iter().flatten().map(|expected| {
            let mut labels = expected.exp_labels.clone().unwrap_or_default();
            labels.insert("alertname".into(), own.alertname.clone());
            (labels, expected.exp_annotations.clone().unwrap_or_default())
        });
        let mut expected: Vec<Shown> = expected.collect();
        expected.sort();
        got.sort();
        (got != expected).then(|| {
            format!(
                "alertname: {}, time: {}\n  exp:{}\n  got:{}",
                own.alertname,
                shown(after_ms),
                list_alerts(&expected),
                list_alerts(&got)
            )
        })
    }

    fn compare_samples(&self, own: &QuestionText, at_ms: i64, memory: &Memory) -> Option<String> {
        let what = || format!("expr: {:?}, time: {}", own.expr, own.eval_time);
        let found = parse(&own.expr, &Limits::default()).map_err(|error| error.to_string());
        let got = match found.and_then(|expr| memory.ask(&expr, at_ms)) {
            Ok(got) => got.into_iter().collect::<Vec<_>>(),
            Err(error) => return Some(format!("{}, err: {error}", what())),
        };
        let expected: Result<Vec<(Labels, Sample)>, String> = own.exp_samples.iter().flatten().map(expected).collect();
        let expected = match expected {
            Ok(expected) => expected,
            Err(error) => return Some(format!("{}: {error}", what())),
        };
        let is_same = expected.len() == got.len()
            && expected
                .iter()
                .all(|(labels, sample)| got.iter().any(|(own, found)| own == labels && self.same(sample, found)));
        (!is_same).then(|| format!("{}\n  exp: {}\n  got: {}", what(), list(&expected), list(&got)))
    }

    fn same(&self, expected: &Sample, got: &Sample) -> bool {
        match (expected, got) {
            (Sample::Float(one), Sample::Float(other)) => {
                let near = (one - other).abs() <= 1e-15 * one.abs().max(other.abs());
                one == other || one.is_nan() && other.is_nan() || self.is_fuzzy && near
            }
            (Sample::Histogram(one), Sample::Histogram(other)) => plain(one) == plain(other),
            _ => false,
        }
    }
}

fn expected(own: &super::file::ExpectedSample) -> Result<(Labels, Sample), String> {
    let sample = match &own.histogram {
        Some(text) => match points(text)?.as_slice() {
            [Some(Sample::Histogram(own))] => Sample::Histogram(own.clone()),
            _ => return Err(format!("'{text}' is no histogram")),
        },
        None => Sample::Float(own.value),
    };
    Ok((labels(&own.labels)?, sample))
}

/// Without what only counters know of.
fn plain(own: &Histogram) -> Histogram {
    Histogram { hint: statistics::histogram::Hint::Unknown, ..own.clone() }
}

fn shown(ms: i64) -> String {
    promql::syntax::show_duration(ms * 1_000_000)
}

fn list(samples: &[(Labels, Sample)]) -> String {
    let texts: BTreeSet<String> = samples
        .iter()
        .map(|(labels, sample)| match sample {
            Sample::Float(value) => format!("{labels} {value}"),
            Sample::Histogram(own) => format!("{labels} {own}"),
        })
        .collect();
    if texts.is_empty() { "nil".into() } else { texts.into_iter().collect::<Vec<_>>().join(", ") }
}

fn list_alerts(alerts: &[Shown]) -> String {
    if alerts.is_empty() {
        return "[]".into();
    }
    let show = |texts: &BTreeMap<String, String>| {
        texts.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(", ")
    };
    let each = alerts.iter().enumerate().map(|(at, (labels, annotations))| {
        format!("\n    {at}:\n      Labels:{{{}}}\n      Annotations:{{{}}}", show(labels), show(annotations))
    });
    format!("[{}\n  ]", each.collect::<String>())
}
