//! Samples in memory, up to a time that moves on.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use promql::base::labels::Labels;
use promql::engine::{Allowance, Failure, Settings, Source, Wanted};
use promql::model::samples::{Sample, Samples};
use promql::syntax::Expr;

use crate::rules::Ready;
use crate::state::{Engine, Hinders, Judgement, Made, instant};

type Series = BTreeMap<i64, Sample>;

/// Series by metric and labels.
#[derive(Default)]
pub(super) struct Memory {
    metrics: RwLock<HashMap<String, BTreeMap<Labels, Series>>>,
    /// What is behind this time is not there yet.
    until_ms: RwLock<i64>,
}

impl Memory {
    pub(super) fn add(&self, labels: &Labels, time_ms: i64, sample: Sample) {
        let mut metrics = self.metrics.write().unwrap_or_else(PoisonError::into_inner);
        let of_metric = metrics.entry(labels.metric().to_owned()).or_default();
        of_metric.entry(labels.clone()).or_default().insert(time_ms, sample);
    }

    pub(super) fn go_to(&self, time_ms: i64) {
        *self.until_ms.write().unwrap_or_else(PoisonError::into_inner) = time_ms;
    }
}

impl Source for Memory {
    fn select(
        &self,
        wanted: Wanted<'_>,
        each: &mut dyn FnMut(Labels, Samples) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let last = *self.until_ms.read().unwrap_or_else(PoisonError::into_inner);
        let until = wanted.until_ms.min(last);
        let metrics = self.metrics.read().unwrap_or_else(PoisonError::into_inner);
        for (labels, series) in metrics.values().flatten() {
            if wanted.after_ms >= until || !wanted.matchers.iter().all(|own| own.matches(labels.get(&own.label))) {
                continue;
            }
            let mut samples = Samples::default();
            for (time, sample) in series.range(wanted.after_ms + 1..=until) {
                samples.push_sample(*time, sample.clone());
            }
            if !samples.is_empty() {
                each(labels.clone(), samples)?;
            }
        }
        Ok(())
    }
}

impl Engine for Memory {
    fn ask(&self, expr: &Expr, at_ms: i64) -> Result<Vec<(Labels, Sample)>, String> {
        instant(expr, at_ms, &Settings::default(), self, &Allowance::default())
    }

    fn ask_sql(&self, _: &str, _: i64) -> Result<Vec<(Labels, Option<f64>)>, String> {
        Err("there are no tables here".into())
    }

    fn hindrance(&self, _: &Labels, _: Option<&Hinders<'_>>, _: i64) -> Option<String> {
        None
    }

    fn judge(&self, _: Ready, _: i64, _: &[Labels]) -> Result<Judgement, String> {
        Err("there are no targets here".into())
    }

    fn keep(&self, made: &Made) -> Result<(), String> {
        made.samples.iter().for_each(|(labels, time_ms, sample)| self.add(labels, *time_ms, sample.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rules;
    use crate::state::{GroupState, Outside};

    /// Rules of a group are written together until one may read what those before it made. That gives what comes of each
    /// rule by itself, one behind the other.
    #[test]
    fn rules_together_make_what_each_makes_by_itself() {
        let mut random = fastrand::Rng::new();
        let seed = random.get_seed();
        for round in 0..200 {
            let selector = |random: &mut fastrand::Rng| match random.u8(0..7) {
                0 => "{__name__=~\"r[0-3]\"}".to_owned(),
                1 => "max_over_time(r0[3m])".to_owned(),
                2 => "sum({__name__=~\"r.+\"})".to_owned(),
                3 => "count(ALERTS)".to_owned(),
                _ => format!("r{}", random.u8(0..5)),
            };
            let rule = |random: &mut fastrand::Rng| {
                let expr = format!("sum({}) or sum({}) + 1 or vector(1)", selector(random), selector(random));
                match random.u8(0..4) {
                    0 => format!(
                        "  - alert: a\n    expr: '{expr} > {}'\n    annotations: {{x: '{{{{ query \"r1\" }}}}'}}\n",
                        random.u8(0..9)
                    ),
                    _ => format!("  - record: r{}\n    expr: '{expr}'\n", random.u8(0..5)),
                }
            };
            let all: Vec<String> = (0..random.usize(1..8)).map(|_| rule(&mut random)).collect();
            let together = format!("groups:\n- name: g\n  rules:\n{}", all.concat());
            let alone: String =
                all.iter().enumerate().map(|(at, rule)| format!("- name: g{at}\n  rules:\n{rule}")).collect();
            let made = |text: &str| {
                let file = rules::read(Path::new("r"), text, &Default::default()).unwrap();
                let memory = Memory::default();
                let mut states: Vec<GroupState> = file.groups.iter().map(GroupState::new).collect();
                for at_ms in (0..5).map(|minute| minute * 60_000) {
                    memory.go_to(at_ms);
                    for (group, state) in file.groups.iter().zip(&mut states) {
                        state.evaluate(group, at_ms, &Outside::default(), &memory);
                    }
                }
                let texts = states.iter().flat_map(|state| &state.rules).flat_map(|rule| rule.active.values());
                let texts: Vec<_> = texts.map(|own| (own.annotations.clone(), own.active_at_ms)).collect();
                (format!("{:?}", memory.metrics.read().unwrap().iter().collect::<BTreeMap<_, _>>()), texts)
            };
            assert_eq!(made(&together), made(&format!("groups:\n{alone}")), "seed {seed}, round {round}:\n{together}");
        }
    }
}
