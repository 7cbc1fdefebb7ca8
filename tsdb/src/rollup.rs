//! Rollups: buckets of a table's rows that are worked out ahead, so that an aggregation over a year reads buckets and not rows.
//!
//! A rollup has a file for each closed day of its table. Such a file says up to which log file it knows the day's rows and deletions: it counts as long
//! as nothing younger is about that day. So late rows and deletions make a day's rows be read again at once, until the keeper has
//! written the file anew, and no answer depends on whether there is a rollup.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bucket::Buckets;
use crate::catalog::{ColumnRef, Table};
use crate::cells::Fold;
use crate::day::Day;
use crate::error::{Error, Result};
use crate::field_predicate::{FieldPredicate, Literal};
use crate::filter::Filter;
use crate::rollup_file::RollupFile;
use crate::view::View;

const DAY_NS: i64 = 86_400_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// What is worked out ahead: of each series and bucket how many rows there are, and of each field the count, the sum, the smallest, the largest, the first and
/// the last value, and a [`Sketch`](crate::Sketch).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollup {
    /// What it is called; no other has the name.
    pub name: String,
    /// The schema of the table.
    pub schema: String,
    /// The table; it need not be there yet.
    pub table: String,
    /// The length of a bucket, ns: whole seconds that divide a day.
    pub width_ns: i64,
    /// Only rows that meet all of these. It answers only what asks for just these rows.
    pub conditions: Vec<FieldPredicate>,
    /// Only these fields; `None` for all that the table has.
    pub fields: Option<Vec<String>>,
    /// Is it declared in the configuration, and goes with it?
    pub configured: bool,
}

/// A rollup, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct RollupState {
    /// The rollup.
    pub rollup: Rollup,
    /// Closed days that are answered from it.
    pub days: usize,
    /// Closed days whose rows are read, as they changed or as the keeper has not come to them.
    pub days_behind: usize,
    /// The bytes of its files.
    pub bytes: u64,
    /// Why it cannot be made, if it cannot.
    pub problem: Option<String>,
}

/// A day of a rollup as the manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct RollupId {
    /// The number of the rollup.
    pub rollup: u32,
    pub table: u32,
    pub day: Day,
    /// The youngest log file at the time when it was made: part of the file's name.
    pub made: u64,
    /// The youngest log file of which it is known that it knows all about the day.
    pub through: u64,
}

/// A day of a rollup.
#[derive(Debug, Clone)]
pub(crate) struct RollupDay {
    pub id: RollupId,
    pub rollup: Arc<Rollup>,
    pub file: Arc<RollupFile>,
}

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

impl Rollup {
    /// Can it be at all?
    ///
    /// # Errors
    ///
    /// [`Error::Rollup`] says what is wrong.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |reason: String| Err(Error::Rollup { name: self.name.clone(), reason });
        if self.name.is_empty() || self.table.is_empty() {
            return wrong("expected a name and a measurement".into());
        }
        let divides = self.width_ns > 0 && self.width_ns % SECOND_NS == 0 && DAY_NS % self.width_ns == 0;
        if !divides {
            let width = std::time::Duration::from_nanos(self.width_ns.unsigned_abs());
            return wrong(format!(
                "expected an interval of whole seconds that divides a day, like 1m, 1h or 1d, found {width:?}"
            ));
        }
        if self.fields.as_ref().is_some_and(Vec::is_empty) {
            return wrong("expected fields, or none named for all".into());
        }
        let is_finite = |literal: &Literal| !matches!(literal, Literal::F64(value) if !value.is_finite());
        if !self.conditions.clone().iter_mut().all(|condition| condition.literals_mut().iter().all(is_finite)) {
            return wrong("expected conditions with finite numbers".into());
        }
        Ok(())
    }

    /// Its conditions in the types of the table's fields.
    pub(crate) fn typed_conditions(&self, table: &Table) -> Result<Vec<FieldPredicate>> {
        self.conditions.iter().map(|condition| Ok(condition.typed(table)?.1)).collect()
    }

    /// The fields that it has of a table as it is now, by number.
    pub(crate) fn fields_of(&self, table: &Table) -> Result<Vec<(u32, crate::FieldType)>> {
        let columns = table.columns();
        match &self.fields {
            None => Ok(columns.fields.iter().enumerate().map(|(number, (_, kind))| (number as u32, *kind)).collect()),
            Some(names) => {
                let field = |name: &String| match columns.find(name) {
                    Some(ColumnRef::Field(number, kind)) => Ok((number, kind)),
                    _ => Err(Error::UnknownColumn { table: table.name.clone(), column: name.clone() }),
                };
                names.iter().map(field).collect()
            }
        }
    }

    pub(crate) fn is_of(&self, table: &Table) -> bool {
        (&self.schema, &self.table) == (&table.schema, &table.name)
    }

    /// Can its buckets be put together to what is asked for, as far as those are of whole ones?
    fn answers(&self, wanted: &Wanted<'_>) -> bool {
        let has_field = |fold: &Fold| match (fold.field, &self.fields) {
            (Some((place, _)), Some(own)) => own.contains(&wanted.fields[place]),
            _ => true,
        };
        if !self.is_of(wanted.table) || !wanted.folds.iter().all(has_field) {
            return false;
        }
        let Ok(own) = self.typed_conditions(wanted.table) else { return false };
        own.len() == wanted.conditions.len() && wanted.conditions.iter().all(|condition| own.contains(condition))
    }
}

/// What of the wanted rows is answered from rollups: of each day whose rollup counts, the whole buckets.
pub(crate) fn cuts(view: &View, wanted: &Wanted<'_>, filter: &Filter) -> Vec<Cut> {
    let answering = view.rollups.iter().filter(|(_, rollup)| rollup.answers(wanted));
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

/// The days that count as far as what is sealed says. They go on when some of that is merged or rolled: its number changes, and not what it says.
pub(crate) fn outliving(view: &View) -> Vec<RollupId> {
    let mut known: BTreeMap<u32, BTreeMap<Day, u64>> = BTreeMap::new();
    let days = view.rollup_days.values().flatten().map(|day| day.id);
    days.filter(|id| {
        let youngest = known.entry(id.table).or_insert_with(|| view.youngest_sealed(id.table));
        youngest.get(&id.day).is_some_and(|youngest| id.through >= *youngest)
    })
    .collect()
}

/// Says of the days in `outliving` that they know all up to `through`.
pub(crate) fn prolong<'a>(ids: impl Iterator<Item = &'a mut RollupId>, outliving: &[RollupId], through: u64) {
    let is_same =
        |id: &RollupId, other: &RollupId| (id.rollup, id.table, id.day) == (other.rollup, other.table, other.day);
    for id in ids {
        if id.through < through && outliving.iter().any(|other| is_same(id, other)) {
            id.through = through;
        }
    }
}
