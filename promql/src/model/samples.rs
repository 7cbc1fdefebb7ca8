//! What a store has of a series, and the part of it that a window shows.

use std::ops::Range;
use std::sync::Arc;

use statistics::growth;
use statistics::histogram::{Hint, Histogram};

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

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty() && self.histograms.is_empty()
    }

    /// Are they floats alone, of which nothing is known but when and what?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_empty()
    }

    /// The newest one up to a time: when, what, and since when it counts.
    #[must_use]
    pub fn newest(&self, until: i64) -> Option<(i64, Sample, i64)> {
        self.walk().newest(until)
    }

    /// A look at one time after the other.
    #[must_use]
    pub fn walk(&self) -> Walk<'_> {
        Walk { samples: self, floats: [Cursor::default(); 2], histograms: [Cursor::default(); 2], falls: None }
    }

    /// The places of floats that are below the one before them.
    #[must_use]
    pub fn falls(&self) -> Vec<usize> {
        growth::falls(&self.values).collect()
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
        self.walk().window(after, until)
    }
}

/// So many samples are stepped over before it is searched where to go on, first nearby and then ever further.
const STRIDE: usize = 8;

/// How many samples lie up to a time, found from where it was looked at last: questions look at one step after the other.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor(usize);

impl Cursor {
    fn count<T>(&mut self, all: &[T], is_before: impl Fn(&T) -> bool) -> usize {
        let mut at = self.0.min(all.len());
        if at > 0 && !is_before(&all[at - 1]) {
            // Back in time.
            at = all[..at].partition_point(is_before);
        } else {
            let near = (at + STRIDE).min(all.len());
            while at < near && is_before(&all[at]) {
                at += 1;
            }
            if at == near {
                let mut ahead = STRIDE;
                while at + ahead < all.len() && is_before(&all[at + ahead]) {
                    at += ahead;
                    ahead *= 2;
                }
                let end = (at + ahead).min(all.len());
                at += all[at..end].partition_point(is_before);
            }
        }
        self.0 = at;
        at
    }
}

/// Samples that are looked at one time after the other. What it finds does not depend on where it looked before.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    samples: &'a Samples,
    /// Where a window begins, and where it ends.
    floats: [Cursor; 2],
    histograms: [Cursor; 2],
    /// Where floats fall, and which of these places was seen last.
    falls: Option<(&'a [usize], Cursor)>,
}

impl<'a> Walk<'a> {
    /// The same, whose windows know where floats fall.
    #[must_use]
    pub fn knowing(self, falls: &'a [usize]) -> Walk<'a> {
        Walk { falls: Some((falls, Cursor::default())), ..self }
    }

    /// What is walked over, where it is floats alone, of which nothing is known but when and what.
    #[inline]
    #[must_use]
    pub fn plain(&self) -> Option<&'a Samples> {
        Some(self.samples).filter(|samples| samples.is_plain())
    }

    /// The place of the newest float up to a time.
    #[inline]
    pub fn newest_float(&mut self, until: i64) -> Option<usize> {
        self.floats[1].count(&self.samples.times, |time| *time <= until).checked_sub(1)
    }

    /// The places of the floats behind one time and not behind another one.
    #[inline]
    pub fn places(&mut self, after: i64, until: i64) -> Range<usize> {
        let low = self.floats[0].count(&self.samples.times, |time| *time <= after);
        low..self.floats[1].count(&self.samples.times, |time| *time <= until).max(low)
    }

    /// As [`Samples::newest`].
    pub fn newest(&mut self, until: i64) -> Option<(i64, Sample, i64)> {
        let own = self.samples;
        let float = self.newest_float(until);
        let histogram = self.histograms[1].count(&own.histograms, |(time, _)| *time <= until).checked_sub(1);
        let time_of = |at: Option<usize>| at.map(|at| own.histograms[at].0);
        if histogram.is_some() && time_of(histogram) > float.map(|at| own.times[at]) {
            let (time, histogram_at) = (&own.histograms[histogram?], histogram?);
            let start = own.histogram_starts.get(histogram_at).copied().unwrap_or(0);
            return Some((time.0, Sample::Histogram(time.1.clone()), start));
        }
        let at = float?;
        Some((own.times[at], Sample::Float(own.values[at]), own.starts.get(at).copied().unwrap_or(0)))
    }

    /// As [`Samples::window`].
    pub fn window(&mut self, after: i64, until: i64) -> Window<'a> {
        let own = self.samples;
        let Range { start: low, end: high } = self.places(after, until);
        let (first, last) = match own.histograms.is_empty() {
            true => (0, 0),
            false => {
                let first = self.histograms[0].count(&own.histograms, |(time, _)| *time <= after);
                (first, self.histograms[1].count(&own.histograms, |(time, _)| *time <= until).max(first))
            }
        };
        let falls = self.falls.as_mut().map(|(all, cursor)| {
            let all: &'a [usize] = all;
            let first = cursor.count(all, |at| *at <= low);
            let count = all[first..].iter().take_while(|at| **at < high).count();
            Falls { places: &all[first..first + count], low }
        });
        Window {
            falls,
            times: &own.times[low..high],
            values: &own.values[low..high],
            histograms: &own.histograms[first..last],
            starts: own.starts.get(low..high).unwrap_or_default(),
            histogram_starts: own.histogram_starts.get(first..last).unwrap_or_default(),
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
    /// Where floats fall, if that is known.
    falls: Option<Falls<'a>>,
}

/// The places among all samples of floats that are below the one before them, and the place of the window's first.
#[derive(Debug, Clone, Copy)]
struct Falls<'a> {
    places: &'a [usize],
    low: usize,
}

impl Window<'_> {
    /// Is there nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty() && self.histograms.is_empty()
    }

    /// The places of floats in it that are below the one before them.
    pub fn falls(&self) -> impl Iterator<Item = usize> {
        let known = self.falls.iter().flat_map(|falls| falls.places.iter().map(|at| at - falls.low));
        let unknown = if self.falls.is_some() { &[] } else { self.values };
        known.chain(growth::falls(unknown))
    }

    /// By how much floats grew from the first to the last, as a counter.
    #[must_use]
    #[inline]
    pub fn grown(&self) -> f64 {
        match (self.falls, self.values) {
            (Some(falls), [first, .., last]) if falls.places.is_empty() => last - first,
            _ => growth::grown(self.values, self.falls()),
        }
    }

    /// Floats and histograms both?
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        !self.times.is_empty() && !self.histograms.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever was looked at before, a time has what a search finds.
    #[test]
    fn a_walk_finds_what_a_search_does() {
        let mut random = 88_172_645_463_325_252u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below) as i64
        };
        for _ in 0..300 {
            let mut samples = Samples::default();
            let mut time = 0;
            for _ in 0..next(60) {
                time += 1 + next(10);
                match next(4) {
                    0 => samples.push_sample(time, Sample::Histogram(Arc::default())),
                    _ => samples.push(time, time as f64),
                }
            }
            samples.values.iter_mut().for_each(|value| *value = next(4) as f64);
            let falls = samples.falls();
            let (mut walk, mut at) = (samples.walk().knowing(&falls), -5);
            for _ in 0..80 {
                at = if next(8) == 0 { next(400) } else { at + next(12) };
                let (after, until) = (at - next(40), at);
                let window = walk.window(after, until);
                let expected: Vec<i64> =
                    samples.times.iter().copied().filter(|time| (after + 1..=until).contains(time)).collect();
                assert_eq!(window.times, expected);
                // What is known of falls is what is seen.
                let seen: Vec<usize> = samples.window(after, until).falls().collect();
                assert_eq!(window.falls().collect::<Vec<_>>(), seen);
                let histograms = samples.histograms.iter().filter(|(time, _)| (after + 1..=until).contains(time));
                assert_eq!(window.histograms.len(), histograms.count());
                let both = samples.times.iter().chain(samples.histograms.iter().map(|(time, _)| time));
                let newest = both.copied().filter(|time| *time <= until).max();
                assert_eq!(walk.newest(until).map(|(time, ..)| time), newest);
            }
        }
    }
}
