//! Samples in memory, as scripts load them.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql::base::labels::{Labels, NAME};
use promql::engine::{Failure, Source, Wanted};
use promql::model::notation::points;
use promql::model::samples::{Sample, Samples};
use statistics::histogram::{CUSTOM, Histogram};
use tsdb::is_stale_mark;

use super::{labels, ms};

/// What a series has: times, samples, since when each counts.
pub type Loaded = BTreeMap<i64, (Sample, i64)>;

#[derive(Default)]
pub struct Memory {
    series: BTreeMap<Labels, Loaded>,
}

impl Memory {
    /// Loads the lines of a block, a value a step, and says what they were.
    pub fn load(&mut self, step_ms: i64, block: &[&str], with_custom: bool) -> Vec<(Labels, Loaded)> {
        let mut starts: Vec<Option<i64>> = Vec::new();
        let mut loaded: Vec<(Labels, Loaded)> = Vec::new();
        for line in block {
            let (labels, rest) = labels(line);
            if let Some(rest) = rest.strip_prefix("@st") {
                starts = starts_of(rest);
                continue;
            }
            let mut samples = Loaded::new();
            for (at, point) in points(rest).unwrap().into_iter().enumerate() {
                let Some(sample) = point else { continue };
                let time = at as i64 * step_ms;
                let start = starts.get(at).copied().flatten().map_or(0, |before| time + before);
                samples.insert(time, (sample, start));
            }
            starts.clear();
            loaded.push((labels, samples));
        }
        if with_custom {
            loaded.extend(custom(&loaded));
        }
        for (labels, samples) in &loaded {
            self.series.entry(labels.clone()).or_default().extend(samples.clone());
        }
        loaded
    }
}

/// `-30s-1mx2 _`: since when samples count, from their own times on.
fn starts_of(text: &str) -> Vec<Option<i64>> {
    let mut starts = Vec::new();
    for word in text.split_whitespace() {
        let (value, count) = word.rsplit_once('x').map_or((word, None), |(value, count)| (value, count.parse().ok()));
        if value == "_" {
            starts.extend(std::iter::repeat_n(None, count.unwrap_or(1)));
            continue;
        }
        let at = (1..value.len()).find(|at| matches!(value.as_bytes()[*at], b'+' | b'-')).unwrap_or(value.len());
        let (base, step) = value.split_at(at);
        let step = if step.is_empty() { 0 } else { ms(step.trim_start_matches('+')) };
        let base = ms(base.trim_start_matches('+'));
        starts.extend((0..=count.unwrap_or(0) as i64).map(|at| Some(base + at * step)));
    }
    starts
}

/// Histograms of a series a bucket as native ones with given bounds, beside them.
fn custom(loaded: &[(Labels, Loaded)]) -> Vec<(Labels, Loaded)> {
    #[derive(Default)]
    struct Parts {
        buckets: Vec<(f64, f64)>,
        count: Option<f64>,
        sum: f64,
    }
    let mut groups: BTreeMap<Labels, BTreeMap<i64, Parts>> = BTreeMap::new();
    for (labels, samples) in loaded {
        for end in ["_bucket", "_count", "_sum"] {
            let Some(name) = labels.metric().strip_suffix(end) else { continue };
            let key = labels.with(NAME, name).without_one("le");
            for (time, (sample, _)) in samples {
                let Sample::Float(value) = sample else { continue };
                if is_stale_mark(*value) {
                    continue;
                }
                let parts = groups.entry(key.clone()).or_default().entry(*time).or_default();
                match end {
                    "_bucket" => parts.buckets.push((labels.get("le").replace("+Inf", "inf").parse().unwrap(), *value)),
                    "_count" => parts.count = Some(*value),
                    _ => parts.sum = *value,
                }
            }
        }
    }
    let native = |parts: Parts| {
        let mut buckets = parts.buckets;
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect();
        let mut before = 0.0;
        let mut positive = Vec::new();
        for (at, (_, count)) in buckets.iter().enumerate() {
            positive.push((at as i32, count - before));
            before = *count;
        }
        let count = parts.count.unwrap_or(before);
        if buckets.len() == bounds.len() && count > before {
            positive.push((buckets.len() as i32, count - before));
        }
        positive.retain(|(_, count)| *count != 0.0);
        Histogram { schema: CUSTOM, count, sum: parts.sum, positive, bounds: bounds.into(), ..Histogram::default() }
    };
    let series = |(labels, times): (Labels, BTreeMap<i64, Parts>)| {
        let times = times.into_iter().filter(|(_, parts)| !parts.buckets.is_empty());
        let samples = times.map(|(time, parts)| (time, (Sample::Histogram(Arc::new(native(parts))), 0)));
        (labels, samples.collect())
    };
    groups.into_iter().map(series).collect()
}

impl Source for Memory {
    fn select(
        &self,
        Wanted { matchers, after_ms, until_ms, .. }: Wanted<'_>,
        each: &mut dyn FnMut(Labels, Samples) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for (labels, loaded) in &self.series {
            if !matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.label))) {
                continue;
            }
            let mut samples = Samples::default();
            for (time, (sample, start)) in loaded.range(after_ms + 1..until_ms.max(after_ms) + 1) {
                match sample {
                    Sample::Float(_) => samples.starts.push(*start),
                    Sample::Histogram(_) => samples.histogram_starts.push(*start),
                }
                samples.push_sample(*time, sample.clone());
            }
            if !samples.times.is_empty() || !samples.histograms.is_empty() {
                each(labels.clone(), samples)?;
            }
        }
        Ok(())
    }
}
