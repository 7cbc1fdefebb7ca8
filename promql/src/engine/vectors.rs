//! Operators between two vectors: which samples belong together, and the labels of what they give.

use std::collections::HashMap;

use super::binary::Operator;
use super::context::Failure;
use crate::base::labels::{Labels, NAME};
use crate::model::points::Series;
use crate::model::samples::Sample;
use crate::model::steps::Steps;
use crate::syntax::{Cardinality, Matching};

/// What two samples are matched by.
pub(crate) fn signature(labels: &Labels, matching: &Matching) -> Labels {
    if matching.is_on { labels.only(&matching.labels) } else { labels.without(&matching.labels).without_one(NAME) }
}

/// Series of both sides that belong together, by their places.
#[derive(Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// What an operator gives of two vectors.
pub(crate) fn matched(
    operator: &Operator,
    matching: &Matching,
    left: Vec<Series>,
    right: Vec<Series>,
) -> Result<Vec<Series>, Failure> {
    let is_swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if is_swapped { (right, left) } else { (left, right) };
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Group)> = Vec::new();
    for (is_one, side) in [(true, &one), (false, &many)] {
        for (at, series) in side.iter().enumerate() {
            let place = *places.entry(signature(&series.labels, matching)).or_insert_with_key(|labels| {
                groups.push((labels.clone(), Group::default()));
                groups.len() - 1
            });
            let group = &mut groups[place].1;
            if is_one { group.one.push(at) } else { group.many.push(at) }
        }
    }
    let mut pairs = Pairs::new(operator, matching, &many, &one);
    for (labels, group) in &groups {
        pairs.group(labels, group)?;
    }
    pairs.series()
}

/// Pairs of samples, and the series that are made of them.
struct Pairs<'a> {
    operator: &'a Operator<'a>,
    matching: &'a Matching,
    many: &'a [Series],
    one: &'a [Series],
    /// Steps at which neither side is empty: at others nothing belongs together.
    is_asked: Vec<bool>,
    places: HashMap<Labels, usize>,
    made: Vec<Series>,
}

/// The steps at which something of a group was matched, and for which of the series that are made.
struct Matched {
    any: Steps,
    of: HashMap<usize, Steps>,
    steps: usize,
}

impl Matched {
    fn none(steps: usize) -> Matched {
        Matched { any: Steps::none(steps), of: HashMap::new(), steps }
    }

    /// One more. Was it not there?
    fn insert(&mut self, place: usize, step: usize) -> bool {
        self.any.insert(step);
        self.of.entry(place).or_insert_with(|| Steps::none(self.steps)).insert(step)
    }
}

/// One of a pair: a series, or what stands for one that is missing.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Series(usize),
    Fill,
}

impl<'a> Pairs<'a> {
    fn new(operator: &'a Operator<'a>, matching: &'a Matching, many: &'a [Series], one: &'a [Series]) -> Pairs<'a> {
        let steps = operator.context.steps();
        let is_filled = matching.fill.left.is_some() || matching.fill.right.is_some();
        let some = |side: &[Series], step: usize| side.iter().any(|series| series.points.has(step));
        let is_asked = (0..steps).map(|step| is_filled || some(many, step) && some(one, step)).collect();
        Pairs { operator, matching, many, one, is_asked, places: HashMap::new(), made: Vec::new() }
    }

    fn group(&mut self, labels: &Labels, group: &Group) -> Result<(), Failure> {
        let steps = self.operator.context.steps();
        let only = self.only(labels, group)?;
        let fill = self.matching.fill;
        let mut matched = Matched::none(steps);
        for &many in &group.many {
            let mut before: Option<(Side, usize)> = None;
            for (step, one) in only.iter().enumerate() {
                let Some(sample) = self.many[many].points.get(step).filter(|_| self.is_asked[step]) else { continue };
                let (side, other) = match (*one, fill.right) {
                    (Some(one), _) => (Side::Series(one), self.one[one].points.get(step)),
                    (None, Some(fill)) => (Side::Fill, Some(Sample::Float(fill))),
                    (None, None) => continue,
                };
                let Some(other) = other else { continue };
                let place = match before.filter(|(known, _)| *known == side) {
                    Some((_, place)) => place,
                    None => {
                        let one = if let Side::Series(one) = side { &self.one[one].labels } else { labels };
                        self.place(&self.many[many].labels, one)?
                    }
                };
                before = Some((side, place));
                self.pair(&sample, &other, place, step, &mut matched)?;
            }
        }
        let Some(fill) = fill.left else { return Ok(()) };
        for (step, one) in only.iter().enumerate() {
            let Some(one) = one.filter(|_| !matched.any.has(step)) else { continue };
            let Some(other) = self.one[one].points.get(step) else { continue };
            let place = self.place(labels, &self.one[one].labels)?;
            self.pair(&Sample::Float(fill), &other, place, step, &mut matched)?;
        }
        Ok(())
    }

    /// The series of the side that may have only one, at each step.
    fn only(&self, labels: &Labels, group: &Group) -> Result<Vec<Option<usize>>, Failure> {
        let mut only: Vec<Option<usize>> = vec![None; self.operator.context.steps()];
        for &one in &group.one {
            for (step, found) in only.iter_mut().enumerate() {
                if !self.is_asked[step] || !self.one[one].points.has(step) {
                    continue;
                }
                if let Some(twice) = found.replace(one) {
                    let side = if self.matching.cardinality == Cardinality::OneToMany { "left" } else { "right" };
                    let mut both = [twice, one].map(|at| self.one[at].labels.to_string());
                    both.sort();
                    let [one, other] = both;
                    return Failure::new(format!(
                        "found duplicate series for the match group {labels} on the {side} hand-side of the operation: [{one}, {other}];many-to-many matching not allowed: matching labels must be unique on one side"
                    ));
                }
            }
        }
        Ok(only)
    }

    /// What is made of a pair, put into its series.
    fn pair(
        &mut self,
        many: &Sample,
        one: &Sample,
        place: usize,
        step: usize,
        matched: &mut Matched,
    ) -> Result<(), Failure> {
        let is_swapped = self.matching.cardinality == Cardinality::OneToMany;
        let (left, right) = if is_swapped { (one, many) } else { (many, one) };
        let Some(made) = self.operator.made(left, right) else { return Ok(()) };
        let is_one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        if is_one_to_one && matched.any.has(step) {
            return Failure::new(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            );
        }
        if !matched.insert(place, step) {
            return Failure::new("multiple matches for labels: grouping labels must ensure unique matches");
        }
        let is_bool = self.operator.own.is_bool;
        if !made.is_kept && !is_bool {
            return Ok(());
        }
        let sample = if is_bool { Sample::Float(f64::from(u8::from(made.is_kept))) } else { made.sample };
        let points = &mut self.made[place].points;
        if points.has(step) {
            return Failure::new("vector cannot contain metrics with the same labelset");
        }
        points.set(step, sample);
        Ok(())
    }

    /// The place of the series that a pair of series makes.
    fn place(&mut self, many: &Labels, one: &Labels) -> Result<usize, Failure> {
        let is_bool = self.operator.own.is_bool;
        let is_delayed = self.operator.context.settings.delayed_name_removal;
        let mut labels = many.clone();
        if self.operator.changes_metric() || is_bool && !is_delayed {
            labels = labels.without_metric();
        }
        if self.matching.cardinality == Cardinality::OneToOne {
            labels = match self.matching.is_on {
                true => labels.only(&self.matching.labels),
                false => labels.without(&self.matching.labels),
            };
        }
        for name in &self.matching.include {
            labels = labels.with(name, one.get(name));
        }
        if let Some(place) = self.places.get(&labels) {
            return Ok(*place);
        }
        let points = self.operator.context.points()?;
        self.places.insert(labels.clone(), self.made.len());
        self.made.push(Series { labels, drops_name: is_bool, points });
        Ok(self.made.len() - 1)
    }

    fn series(self) -> Result<Vec<Series>, Failure> {
        Ok(self.made.into_iter().filter(|series| !series.points.is_empty()).collect())
    }
}
