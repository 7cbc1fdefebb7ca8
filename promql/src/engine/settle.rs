//! Series of one name: what they have at different steps is one series, what they have at one step is a fault.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::context::{Context, Failure};
use crate::model::points::Series;

const SAME: &str = "vector cannot contain metrics with the same labelset";

/// Series of the same labels as one.
pub(crate) fn merged(all: Vec<Series>) -> Result<Vec<Series>, Failure> {
    let mut places = HashMap::with_capacity(all.len());
    let mut merged: Vec<Series> = Vec::with_capacity(all.len());
    for series in all {
        match places.entry(series.labels.clone()) {
            Entry::Vacant(place) => {
                place.insert(merged.len());
                merged.push(series);
            }
            Entry::Occupied(place) => {
                let into = &mut merged[*place.get()];
                for (step, sample) in series.points.iter() {
                    if into.points.has(step) {
                        return Failure::new(SAME);
                    }
                    into.points.set(step, sample);
                }
            }
        }
    }
    Ok(merged)
}

/// Fails where two series have the same labels.
pub(crate) fn distinct(all: Vec<Series>) -> Result<Vec<Series>, Failure> {
    let mut seen = std::collections::HashSet::with_capacity(all.len());
    match all.iter().all(|series| seen.insert(&series.labels)) {
        true => Ok(all),
        false => Failure::new(SAME),
    }
}

impl Context<'_> {
    /// What a node gives, as one series for each of its labels. An instant whose names go late is looked at in the end.
    pub(crate) fn settled(&self, mut all: Vec<Series>) -> Result<Vec<Series>, Failure> {
        all.retain(|series| !series.points.is_empty());
        match self.settings.delayed_name_removal && self.times.is_instant() {
            true => Ok(all),
            false => merged(all),
        }
    }
}
