//! Rollups as the keeper sees them: which days have to be made anew, and how; and declaring and removing rollups.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::bucket::{Bucket, Buckets};
use crate::base::day::Day;
use crate::base::error::{Error, Result};
use crate::base::function::Function;
use crate::base::ids::RollupId;
use crate::base::value::FieldType;
use crate::catalog::field_predicate::FieldPredicate;
use crate::catalog::registry::Table;
use crate::catalog::rollup::{Rollup, RollupState};
use crate::read::aggregate::{Aggregate, AggregateRequest, Aggregation};
use crate::read::scan::ScanRequest;
use crate::rollup::day::RollupDay;
use crate::rollup::file::{FieldCells, RollupFile, RollupWriter};
use crate::state::shared::Shared;
use crate::state::view::View;

/// Cells of a block, about: what a query decodes for one series.
const BLOCK_CELLS: i64 = 8192;
/// Series of a block at the most, so that their sketches need not much memory while they are made.
const BLOCK_SERIES_MAX: i64 = 256;

/// Which days are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that the newest segment is not about: while rows of many days come in, each day would be made anew with
    /// each segment.
    Quiet,
    /// All that are behind.
    All,
}

/// Makes days of rollups that are closed and behind, and forgets those that have no rows any more.
pub(crate) fn make_due(shared: &Arc<Shared>, now: i64, which: Which) -> Result<()> {
    let view = shared.view.load_full();
    if view.rollups.is_empty() || !shared.health.general().is_empty() {
        // What was lost as a whole may be found again.
        return Ok(());
    }
    let newest = view.segments.last().map_or(0, |segment| segment.id().number);
    let mut behind: Vec<(u32, Arc<Table>, Day)> = Vec::new();
    let mut gone: Vec<RollupId> = Vec::new();
    for table in shared.catalog.tables() {
        if table.is_dropped() {
            gone.extend(days_of(&view, table.id).map(|day| day.id));
            continue;
        }
        let own: Vec<_> = view.rollups.iter().filter(|(_, rollup)| rollup.is_of(table)).collect();
        if own.is_empty() {
            continue;
        }
        let youngest = view.youngest(table.id);
        gone.extend(days_of(&view, table.id).filter(|day| !youngest.contains_key(&day.id.day)).map(|day| day.id));
        let wanted = |youngest: u64| youngest < newest || (which == Which::All && youngest < u64::MAX);
        for (number, rollup) in own.into_iter().filter(|(_, rollup)| problem(rollup, table).is_none()) {
            let closed = youngest.iter().filter(|(day, youngest)| is_closed(**day, now) && wanted(**youngest));
            let is_behind =
                |(day, youngest): &(&Day, &u64)| !is_current(&view, *number, rollup, table.id, **day, **youngest);
            behind.extend(closed.filter(is_behind).map(|(day, _)| (*number, table.clone(), *day)));
        }
    }
    forget(shared, &gone)?;
    for (number, table, day) in behind {
        if shared.closing.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        make(shared, number, &table, day)?;
    }
    Ok(())
}

/// Is a day over? The first and the last of all are no whole days, and never are.
fn is_closed(day: Day, now: i64) -> bool {
    day.last() < now && day.first() > i64::MIN
}

fn days_of(view: &View, table: u32) -> impl Iterator<Item = &RollupDay> {
    view.rollup_days.range((table, Day(i32::MIN))..=(table, Day(i32::MAX))).flat_map(|(_, days)| days)
}

fn is_current(view: &View, number: u32, rollup: &Arc<Rollup>, table: u32, day: Day, youngest: u64) -> bool {
    let known = view.rollup_days.get(&(table, day)).into_iter().flatten();
    known.into_iter().any(|known| {
        let same = known.id.rollup == number && Arc::ptr_eq(&known.rollup, rollup);
        same && known.id.through >= youngest && known.file.may_be_sound()
    })
}

/// Why a rollup cannot be made of a table as it is, if it cannot.
fn problem(rollup: &Rollup, table: &Table) -> Option<String> {
    let outcome = rollup.typed_conditions(table).and_then(|_| rollup.fields_of(table));
    outcome.err().map(|error| error.to_string())
}

/// Forgets days of rollups.
fn forget(shared: &Shared, gone: &[RollupId]) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    let view = shared.view.load_full();
    shared.change(
        |manifest| manifest.rollup_days.retain(|id| !gone.contains(id)),
        |view| {
            view.rollup_days.values_mut().for_each(|days| days.retain(|day| !gone.contains(&day.id)));
            view.rollup_days.retain(|_, days| !days.is_empty());
        },
    )?;
    let files = view.rollup_days.values().flatten().filter(|day| gone.contains(&day.id));
    files.for_each(|day| shared.dir.remove_leftover(day.file.path()));
    Ok(())
}

/// Makes a day of a rollup of what is sealed and rolled. If something of it is damaged or is too much for a rollup, the
/// day stays without.
fn make(shared: &Arc<Shared>, number: u32, table: &Arc<Table>, day: Day) -> Result<()> {
    let view = shared.view.load_full();
    let (Some(rollup), Some(youngest)) = (view.rollups.get(&number), view.youngest(table.id).get(&day).copied()) else {
        return Ok(());
    };
    let newest = view.segments.last().map_or(0, |segment| segment.id().number);
    let made = newest.max(if youngest == u64::MAX { 0 } else { youngest });
    let id = RollupId { rollup: number, table: table.id, day, made, through: made };
    let fields = rollup.fields_of(table)?;
    let mut writer = RollupWriter::create(&shared.dir, &id, fields.clone())?;
    let names: Vec<String> = {
        let columns = table.columns();
        fields.iter().map(|(field, _)| columns.fields[*field as usize].0.to_string()).collect()
    };
    let request = request(rollup, day, &fields, &names);
    let step = (BLOCK_CELLS * rollup.width_ns / (day.last() - day.first() + 1)).clamp(1, BLOCK_SERIES_MAX) as u32;
    for first in (0..table.series_count()).step_by(step as usize) {
        if shared.closing.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        let reach = first..=first.saturating_add(step - 1);
        let aggregation = Aggregation::of_series(shared, &view, table, &request, &reach)?;
        let groups = aggregation.fold(0, |_| true)?.expect("nothing ends it early");
        if let Some(warning) = aggregation.warnings().first() {
            tracing::warn!("rollup {}: {} of {day} is left out: {warning}", rollup.name, table.name);
            return Ok(());
        }
        let mut keys: Vec<(u32, i64, usize)> = groups.of_series_and_start().collect();
        keys.sort_unstable();
        let starts: Vec<i64> = keys.iter().map(|(_, start, _)| *start).collect();
        let bucket = |start: i64| ((start - day.first()) / rollup.width_ns) as u32;
        let keys: Vec<_> = keys.into_iter().map(|(series, start, place)| (series, bucket(start), place)).collect();
        let mut cells: Vec<FieldCells<'_>> = vec![BTreeMap::new(); fields.len()];
        for (fold, kept) in aggregation.folds().iter().zip(groups.cells()).skip(1) {
            let (place, _) = fold.field.expect("only the first fold counts rows");
            cells[place].insert(fold.kind, kept);
        }
        let columns = table.columns();
        if fields.iter().any(|(field, _)| columns.is_dropped(*field)) {
            return Ok(()); // meanwhile; a name may have meant another field
        }
        if !writer.block(&keys, &starts, &groups.cells()[0], &cells)? {
            tracing::warn!(
                "rollup {}: {} of {day} is left out: a sum is beyond the type of its field",
                rollup.name,
                table.name
            );
            return Ok(());
        }
    }
    writer.finish()?;
    let file = Arc::new(RollupFile::open(&shared.dir, &id)?);
    let new = RollupDay { id, rollup: rollup.clone(), file };
    publish(shared, &view, new)
}

/// What is kept of every series and bucket: how many rows there are, then what each field's type has.
fn request(rollup: &Rollup, day: Day, fields: &[(u32, FieldType)], names: &[String]) -> AggregateRequest {
    let mut aggregates = vec![Aggregate { function: Function::Count, field: None }];
    for ((_, kind), name) in fields.iter().zip(names) {
        let all = [
            Function::Count,
            Function::First,
            Function::Last,
            Function::Sum,
            Function::Min,
            Function::Max,
            Function::Sketch,
            Function::Mean,
        ];
        let own = all.into_iter().filter(|function| function.takes(*kind));
        aggregates.extend(own.map(|function| Aggregate { function, field: Some(name.clone()) }));
    }
    AggregateRequest {
        rows: ScanRequest {
            from: day.first(),
            to: day.last(),
            fields: rollup.conditions.clone(),
            ..ScanRequest::default()
        },
        bucket: Some(Buckets::Equal(Bucket { width_ns: rollup.width_ns, origin_ns: 0 })),
        by: Vec::new(),
        aggregates,
    }
}

/// Lets a day count in the place of the one before, unless its rollup was removed meanwhile.
fn publish(shared: &Shared, before: &View, new: RollupDay) -> Result<()> {
    let is_same = |id: &RollupId| (id.rollup, id.table, id.day) == (new.id.rollup, new.id.table, new.id.day);
    shared.change(
        |manifest| {
            manifest.rollup_days.retain(|id| !is_same(id));
            if manifest.rollups.contains_key(&new.id.rollup) {
                manifest.rollup_days.push(new.id);
            }
            manifest.rollup_days.sort_unstable();
        },
        |view| {
            let days = view.rollup_days.entry((new.id.table, new.id.day)).or_default();
            days.retain(|day| !is_same(&day.id));
            if view.rollups.contains_key(&new.id.rollup) {
                days.push(new.clone());
            }
        },
    )?;
    shared.counters.rollup_day();
    let old = before.rollup_days.get(&(new.id.table, new.id.day)).into_iter().flatten();
    let old = old.filter(|day| is_same(&day.id) && day.id.made != new.id.made);
    old.for_each(|day| shared.dir.remove_leftover(day.file.path()));
    Ok(())
}

/// Declares a rollup. One of the same name with the same contents stays as it is; with others it is replaced if both
/// are of the configuration.
pub(crate) fn declare(shared: &Shared, rollup: Rollup) -> Result<()> {
    rollup.check()?;
    let known = shared.view.load_full();
    let old = known.rollups.iter().find(|(_, known)| known.name == rollup.name);
    match old {
        Some((_, known)) if **known == rollup => return Ok(()),
        Some((number, known)) if known.configured && rollup.configured => remove_all(shared, &[*number].into())?,
        Some((_, known)) => {
            let whose = if known.configured { "in the configuration" } else { "already" };
            let reason =
                format!("it is declared {whose}, and differently or elsewhere; remove it first, or take another name");
            return Err(Error::Rollup { name: rollup.name, reason });
        }
        None => {}
    }
    let (own, number) = (Arc::new(rollup.clone()), Cell::new(0));
    shared.change(
        |manifest| {
            // A number is given once: files of one that was removed may still be there.
            number.set(manifest.next_rollup);
            manifest.next_rollup += 1;
            manifest.rollups.insert(number.get(), rollup);
        },
        |view| drop(view.rollups.insert(number.get(), own.clone())),
    )
}

/// Removes a rollup and its files.
pub(crate) fn remove(shared: &Shared, name: &str) -> Result<()> {
    let view = shared.view.load_full();
    let missing = || Error::Rollup { name: name.into(), reason: "there is none of that name".into() };
    let (number, rollup) = view.rollups.iter().find(|(_, rollup)| rollup.name == name).ok_or_else(missing)?;
    if rollup.configured {
        let reason = "it is declared in the configuration, which is where to remove it".into();
        return Err(Error::Rollup { name: name.into(), reason });
    }
    remove_all(shared, &[*number].into())
}

/// Says which rollup names a field that is about to be dropped: what it has made goes by what the field was.
pub(crate) fn refuse_to_drop(shared: &Shared, table: &Table, field: &str) -> Result<()> {
    let view = shared.view.load();
    let names = |rollup: &Rollup| {
        let fields = rollup.fields.iter().flatten().map(String::as_str);
        fields.chain(rollup.conditions.iter().map(FieldPredicate::field)).any(|name| name == field)
    };
    match view.rollups.values().find(|rollup| rollup.is_of(table) && names(rollup)) {
        Some(rollup) => {
            let reason = format!("it names the field '{field}', which is to be dropped: remove the rollup first");
            Err(Error::Rollup { name: rollup.name.clone(), reason })
        }
        None => Ok(()),
    }
}

/// Removes those of the configuration that it does not have any more.
pub(crate) fn keep_configured(shared: &Shared, names: &[&str]) -> Result<()> {
    let view = shared.view.load_full();
    let gone = view.rollups.iter().filter(|(_, rollup)| rollup.configured && !names.contains(&rollup.name.as_str()));
    remove_all(shared, &gone.map(|(number, _)| *number).collect())
}

fn remove_all(shared: &Shared, gone: &BTreeSet<u32>) -> Result<()> {
    if gone.is_empty() {
        return Ok(());
    }
    let view = shared.view.load_full();
    shared.change(
        |manifest| {
            manifest.rollups.retain(|number, _| !gone.contains(number));
            manifest.rollup_days.retain(|id| !gone.contains(&id.rollup));
        },
        |view| {
            view.rollups.retain(|number, _| !gone.contains(number));
            view.rollup_days.values_mut().for_each(|days| days.retain(|day| !gone.contains(&day.id.rollup)));
            view.rollup_days.retain(|_, days| !days.is_empty());
        },
    )?;
    let files = view.rollup_days.values().flatten().filter(|day| gone.contains(&day.id.rollup));
    files.for_each(|day| shared.dir.remove_leftover(day.file.path()));
    Ok(())
}

/// The rollups that are declared, by name, and how far they are.
pub(crate) fn states(shared: &Shared, now: i64) -> Vec<RollupState> {
    let view = shared.view.load_full();
    let state = |(number, rollup): (&u32, &Arc<Rollup>)| {
        let mut state = RollupState { rollup: Rollup::clone(rollup), days: 0, days_behind: 0, bytes: 0, problem: None };
        let Some(table) = shared.catalog.find_table(&rollup.schema, &rollup.table) else { return state };
        state.problem = problem(rollup, table);
        let closed = view.youngest(table.id).into_iter().filter(|(day, _)| is_closed(*day, now));
        for (day, youngest) in closed {
            match is_current(&view, *number, rollup, table.id, day, youngest) {
                true => state.days += 1,
                false => state.days_behind += 1,
            }
        }
        let own = days_of(&view, table.id).filter(|day| day.id.rollup == *number);
        state.bytes = own.map(|day| day.file.file_bytes() as u64).sum();
        state
    };
    let mut states: Vec<RollupState> = view.rollups.iter().map(state).collect();
    states.sort_by(|a, b| a.rollup.name.cmp(&b.rollup.name));
    states
}
