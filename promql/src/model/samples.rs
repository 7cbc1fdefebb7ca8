//! What a store has of a series, and the part of it that a window shows.

use std::sync::Arc;

use crate::histogram::{Hint, Histogram};

/// The samples of a series, by time.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Floats: milliseconds since the epoch.
    pub times: Vec<i64>,
    /// Floats: their values; marks that a series has ended are among them.
    pub values: Vec<f64>,
    /// Native histograms.
    pub histograms: Vec<(i64, Arc<Histogram>)>,
    /// Since when each float counts, 0 where it is not known; empty if none is.
    pub starts: Vec<i64>,
    /// The same of the histograms.
    pub histogram_starts: Vec<i64>,
}

/// What can be at one time.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl Samples {
    /// One more float, behind all others.
    pub fn push(&mut self, time: i64, value: f64) {
        self.times.push(time);
        self.values.push(value);
    }

    /// One more of either, behind all others.
    pub fn push_sample(&mut self, time: i64, sample: Sample) {
        match sample {
            Sample::Float(value) => self.push(time, value),
            Sample::Histogram(histogram) => self.histograms.push((time, histogram)),
        }
    }

    /// The newest one up to a time: when, what, and since when it counts.
    #[must_use]
    pub fn newest(&self, until: i64) -> Option<(i64, Sample, i64)> {
        let float = self.times.partition_point(|time| *time <= until).checked_sub(1);
        let histogram = self.histograms.partition_point(|(time, _)| *time <= until).checked_sub(1);
        let time_of = |at: Option<usize>| at.map(|at| self.histograms[at].0);
        if histogram.is_some() && time_of(histogram) > float.map(|at| self.times[at]) {
            let (time, histogram_at) = (&self.histograms[histogram?], histogram?);
            let start = self.histogram_starts.get(histogram_at).copied().unwrap_or(0);
            return Some((time.0, Sample::Histogram(time.1.clone()), start));
        }
        let at = float?;
        Some((self.times[at], Sample::Float(self.values[at]), self.starts.get(at).copied().unwrap_or(0)))
    }

    /// Without marks of the end, which are no values.
    #[must_use]
    pub fn without_marks(mut self) -> Samples {
        let is_mark = |value: &f64| tsdb::is_stale_mark(*value);
        if self.values.iter().any(is_mark) {
            let kept: Vec<bool> = self.values.iter().map(|value| !is_mark(value)).collect();
            retain(&mut self.times, &kept);
            retain(&mut self.values, &kept);
            retain(&mut self.starts, &kept);
        }
        if self.histograms.iter().any(|(_, histogram)| is_mark(&histogram.sum)) {
            let kept: Vec<bool> = self.histograms.iter().map(|(_, histogram)| !is_mark(&histogram.sum)).collect();
            retain(&mut self.histograms, &kept);
            retain(&mut self.histogram_starts, &kept);
        }
        self
    }

    /// With hints that tell, of every histogram behind another one, whether it was reset.
    #[must_use]
    pub fn with_hints(mut self) -> Samples {
        let mut before: Option<Arc<Histogram>> = None;
        for (_, own) in &mut self.histograms {
            if tsdb::is_stale_mark(own.sum) {
                continue;
            }
            let known = before.replace(own.clone());
            if let Some(known) = known.filter(|_| own.hint == Hint::Unknown) {
                let hint = if own.is_reset_since(&known) { Hint::Reset } else { Hint::NotReset };
                *own = Arc::new(Histogram { hint, ..Histogram::clone(own) });
            }
        }
        self
    }

    /// What lies behind one time and not behind another one.
    #[must_use]
    pub fn window(&self, after: i64, until: i64) -> Window<'_> {
        let low = self.times.partition_point(|time| *time <= after);
        let high = self.times.partition_point(|time| *time <= until).max(low);
        let first = self.histograms.partition_point(|(time, _)| *time <= after);
        let last = self.histograms.partition_point(|(time, _)| *time <= until).max(first);
        Window {
            times: &self.times[low..high],
            values: &self.values[low..high],
            histograms: &self.histograms[first..last],
            starts: self.starts.get(low..high).unwrap_or_default(),
            histogram_starts: self.histogram_starts.get(first..last).unwrap_or_default(),
        }
    }
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| *kept.next().unwrap_or(&false));
}

/// Samples within a time.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// Floats: when.
    pub times: &'a [i64],
    /// Floats: what.
    pub values: &'a [f64],
    /// Histograms.
    pub histograms: &'a [(i64, Arc<Histogram>)],
    /// Since when the floats count.
    pub starts: &'a [i64],
    /// Since when the histograms count.
    pub histogram_starts: &'a [i64],
}

impl Window<'_> {
    /// Is there nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty() && self.histograms.is_empty()
    }

    /// Floats and histograms both?
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        !self.times.is_empty() && !self.histograms.is_empty()
    }
}
