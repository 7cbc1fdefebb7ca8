//! Samples in memory, up to a time that moves on.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use promql::base::labels::Labels;
use promql::engine::{Allowance, Failure, Settings, Source, Wanted};
use promql::model::samples::{Sample, Samples};
use promql::syntax::Expr;

use crate::rules::Ready;
use crate::state::{Engine, Judgement, Made, instant};

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

    fn judge(&self, _: Ready, _: i64, _: &[Labels]) -> Result<Judgement, String> {
        Err("there are no targets here".into())
    }

    fn keep(&self, made: &Made) -> Result<(), String> {
        made.samples.iter().for_each(|(labels, time_ms, sample)| self.add(labels, *time_ms, sample.clone()));
        Ok(())
    }
}
