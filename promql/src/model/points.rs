//! What a series has at each step of a question.

use std::sync::Arc;

use super::samples::Sample;
use super::steps::Steps;
use crate::base::labels::Labels;
use statistics::histogram::Histogram;

/// Floats by step with a bit for each that is there, and histograms in a lane beside.
#[derive(Debug, Clone, Default)]
pub struct Points {
    floats: Vec<f64>,
    present: Steps,
    histograms: Option<Vec<Option<Arc<Histogram>>>>,
}

impl Points {
    /// Nothing at any of so many steps.
    #[must_use]
    pub fn empty(steps: usize) -> Points {
        Points { floats: vec![0.0; steps], present: Steps::none(steps), histograms: None }
    }

    /// The memory that so many steps take, in bytes.
    #[must_use]
    pub fn bytes(steps: usize) -> usize {
        size_of::<Points>().saturating_add(steps.saturating_mul(size_of::<f64>())).saturating_add(Steps::bytes(steps))
    }

    /// The same at every step.
    #[must_use]
    pub fn constant(steps: usize, value: f64) -> Points {
        let mut points = Points::empty(steps);
        (0..steps).for_each(|step| points.set_float(step, value));
        points
    }

    /// So many steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.floats.len()
    }

    /// What is there at a step.
    #[must_use]
    pub fn get(&self, step: usize) -> Option<Sample> {
        self.float(step).map(Sample::Float).or_else(|| self.histogram(step).map(|own| Sample::Histogram(own.clone())))
    }

    /// The float at a step.
    #[must_use]
    pub fn float(&self, step: usize) -> Option<f64> {
        self.present.has(step).then(|| self.floats[step])
    }

    /// The histogram at a step.
    #[must_use]
    pub fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.as_ref()?[step].as_ref()
    }

    /// Is there something at a step?
    #[must_use]
    pub fn has(&self, step: usize) -> bool {
        self.float(step).is_some() || self.histogram(step).is_some()
    }

    /// Is there nothing at any step?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present.is_empty() && self.histograms.as_ref().is_none_or(|all| all.iter().all(Option::is_none))
    }

    /// Are there histograms?
    #[must_use]
    pub fn has_histograms(&self) -> bool {
        self.histograms.is_some()
    }

    /// The floats, by step.
    pub fn floats(&self) -> impl Iterator<Item = (usize, f64)> {
        self.present.iter().map(|step| (step, self.floats[step]))
    }

    /// The steps at which there is something, into those of others.
    pub fn add_steps(&self, steps: &mut Steps) {
        steps.add(&self.present);
        for (step, _) in self.histograms.iter().flatten().enumerate().filter(|(_, own)| own.is_some()) {
            steps.insert(step);
        }
    }

    /// Keeps what is at some steps, or what is not.
    pub fn keep(&mut self, steps: &Steps, have: bool) {
        self.present.keep(steps, have);
        let histograms = self.histograms.iter_mut().flatten().enumerate();
        histograms.filter(|(step, _)| steps.has(*step) != have).for_each(|(_, own)| *own = None);
        self.histograms.take_if(|all| all.iter().all(Option::is_none));
    }

    /// Makes of every float something else, or nothing.
    pub fn change_floats(&mut self, mut make: impl FnMut(usize, f64) -> Option<f64>) {
        let Points { floats, present, .. } = self;
        let before = present.clone();
        for step in before.iter() {
            match make(step, floats[step]) {
                Some(value) => floats[step] = value,
                None => present.remove(step),
            }
        }
    }

    /// Takes in the floats of others: the first at a step as one thing, those behind it as another one.
    pub fn fold(&mut self, others: &Points, first: impl Fn(f64) -> f64, next: impl Fn(f64, f64) -> f64) {
        for (step, value) in others.floats() {
            let value = match self.float(step) {
                Some(before) => next(before, value),
                None => first(value),
            };
            self.set_float(step, value);
        }
    }

    /// Puts a float at a step.
    pub fn set_float(&mut self, step: usize, value: f64) {
        self.floats[step] = value;
        self.present.insert(step);
    }

    /// Puts something at a step.
    pub fn set(&mut self, step: usize, sample: Sample) {
        match sample {
            Sample::Float(value) => self.set_float(step, value),
            Sample::Histogram(histogram) => {
                let steps = self.steps();
                self.histograms.get_or_insert_with(|| vec![None; steps])[step] = Some(histogram);
            }
        }
    }

    /// What is there, by step.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Sample)> {
        (0..self.steps()).filter_map(|step| self.get(step).map(|sample| (step, sample)))
    }

    /// Every sample as something else, or nothing.
    #[must_use]
    pub fn map(&self, mut make: impl FnMut(usize, Sample) -> Option<Sample>) -> Points {
        let mut made = Points::empty(self.steps());
        for (step, sample) in self.iter() {
            if let Some(sample) = make(step, sample) {
                made.set(step, sample);
            }
        }
        made
    }

    /// The first of so many steps at all of them.
    #[must_use]
    pub fn repeated(&self, steps: usize) -> Points {
        let mut points = Points::empty(steps);
        if let Some(sample) = self.get(0) {
            (0..steps).for_each(|step| points.set(step, sample.clone()));
        }
        points
    }
}

/// A series of an answer.
#[derive(Debug, Clone)]
pub struct Series {
    /// What it is told apart by.
    pub labels: Labels,
    /// Is the name of the metric not its own any more? It goes at the end, where names go late.
    pub drops_name: bool,
    /// What it has at each step.
    pub points: Points,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_where_they_were_put() {
        let mut points = Points::empty(130);
        points.set_float(129, 1.0);
        points.set(64, Sample::Histogram(Arc::default()));
        assert!(points.has(64) && points.has(129) && !points.has(0));
        assert_eq!(points.iter().map(|(step, _)| step).collect::<Vec<_>>(), [64, 129]);
        assert!(!points.is_empty() && Points::empty(3).is_empty());
        points.set_float(0, 3.0);
        assert_eq!(points.floats().collect::<Vec<_>>(), [(0, 3.0), (129, 1.0)]);
        let (mut some, mut steps) = (points.clone(), Steps::none(130));
        Points::constant(130, 1.0).add_steps(&mut steps);
        points.add_steps(&mut steps);
        some.keep(&steps, true);
        assert_eq!(some.iter().count(), 3);
        let mut late = Steps::none(130);
        late.insert(129);
        some.keep(&late, false);
        assert!(some.has(64) && some.has(0) && !some.has(129));
        some.keep(&late, true);
        assert!(some.is_empty() && !some.has_histograms());
        some = points.clone();
        some.change_floats(|step, value| (step > 0).then_some(value + 1.0));
        assert_eq!(some.floats().collect::<Vec<_>>(), [(129, 2.0)]);
        let mut sums = Points::constant(130, 1.0);
        sums.fold(&points, |value| value, |before, value| before + value);
        assert_eq!((sums.float(0), sums.float(1), sums.float(129)), (Some(4.0), Some(1.0), Some(2.0)));
        assert_eq!(Points::constant(1, 2.0).repeated(3).float(2), Some(2.0));
    }
}
