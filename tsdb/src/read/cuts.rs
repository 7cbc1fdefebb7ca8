//! Cuts: what of an aggregation is answered from rollups.

use crate::base::bucket::Buckets;
use crate::base::day::Day;
use crate::catalog::field_predicate::FieldPredicate;
use crate::catalog::filter::Filter;
use crate::catalog::registry::Table;
use crate::catalog::rollup::Rollup;
use crate::rollup::day::RollupDay;
use crate::rows::cells::Fold;
use crate::state::view::View;

/// A span of a day that is answered from a rollup.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    pub day: RollupDay,
    /// The first time and the last, where buckets begin and end.
    pub from: i64,
    pub to: i64,
}

/// What an aggregation asks for.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub table: &'a Table,
    pub bucket: Option<&'a Buckets>,
    pub conditions: &'a [FieldPredicate],
    pub folds: &'a [Fold],
    /// The fields of the folds, by their places: their names.
    pub fields: &'a [String],
}

/// Can a rollup's buckets be put together to what is asked for, as far as those are of whole ones?
fn answers(rollup: &Rollup, wanted: &Wanted<'_>) -> bool {
    let has_field = |fold: &Fold| match (fold.field, &rollup.fields) {
        (Some((place, _)), Some(own)) => own.contains(&wanted.fields[place]),
        _ => true,
    };
    if !rollup.is_of(wanted.table) || !wanted.folds.iter().all(has_field) {
        return false;
    }
    let Ok(own) = rollup.typed_conditions(wanted.table) else { return false };
    own.len() == wanted.conditions.len() && wanted.conditions.iter().all(|condition| own.contains(condition))
}

/// What of the wanted rows is answered from rollups: of each day whose rollup counts, the whole buckets.
pub(crate) fn cuts(view: &View, wanted: &Wanted<'_>, filter: &Filter) -> Vec<Cut> {
    let answering = view.rollups.iter().filter(|(_, rollup)| answers(rollup, wanted));
    let mut answering: Vec<(u32, i64)> = answering.map(|(number, rollup)| (*number, rollup.width_ns)).collect();
    if answering.is_empty() {
        return Vec::new();
    }
    // The longest buckets first: there are fewest of them.
    answering.sort_by_key(|(_, width)| std::cmp::Reverse(*width));
    let cut = |(day, youngest): (Day, u64)| {
        let known = view.rollup_days.get(&(wanted.table.id, day))?;
        let (from, to) = filter.span_on(day)?;
        answering.iter().find_map(|(number, width)| {
            let day = known.iter().find(|known| known.id.rollup == *number)?;
            // Days begin where buckets do.
            let from = from.checked_add(width - 1).map(|from| from - from.rem_euclid(*width))?;
            let to = to.checked_add(1).map_or(to, |end| end - end.rem_euclid(*width) - 1);
            let fits = |buckets: &Buckets| buckets.are_made_of(*width, from, to);
            let counts =
                day.id.through >= youngest && day.file.may_be_sound() && from <= to && wanted.bucket.is_none_or(fits);
            counts.then(|| Cut { day: day.clone(), from, to })
        })
    };
    view.youngest(wanted.table.id).into_iter().filter_map(cut).collect()
}
