//! The retainer: lets days leave that retention does not keep.
//!
//! Whole days leave, the oldest first. A table's floor is the first time that has not left: nothing below it is
//! visible, and rows below it are refused.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::base::day::Day;
use crate::base::error::Result;
use crate::catalog::registry::DROPPED;
use crate::rolled::file as rolled;
use crate::state::shared::Shared;

/// Sets the floors of tables to what retention leaves now, and removes the rolled days that have left. A floor goes
/// down again where a retention was made longer, or the clock was ahead: what was not removed meanwhile is there again,
/// and rows are taken as of now.
pub(crate) fn retain(shared: &Shared, now: i64) -> Result<()> {
    let view = shared.view.load_full();
    let mut floors: BTreeMap<u32, i64> = BTreeMap::new();
    let mut leaving: Vec<(u32, i64)> = Vec::new();
    // What was rolled while its table was dropped.
    let dropped = shared.catalog.tables().filter(|table| table.is_dropped()).map(|table| table.id);
    let has_rolled =
        |table: &u32| view.rolled.range((*table, Day(i32::MIN))..=(*table, Day(i32::MAX))).next().is_some();
    floors.extend(dropped.filter(has_rolled).map(|table| (table, DROPPED)));
    for table in shared.catalog.live_tables() {
        let retention = shared.catalog.retentions().of(&table.schema, &table.name);
        let mut floor = retention.floor(now);
        if let Some(limit) = retention.bytes {
            floor = floor.max(floor_by_bytes(&days_bytes(shared, table.id), limit));
        }
        // What is taken is what would stay.
        table.set_floor(floor);
        let known = view.floor(table.id);
        if floor == known {
            continue;
        }
        floors.insert(table.id, floor);
        let leaves = |day: &Day| day.last() < floor && day.last() >= known;
        if floor > known && days_bytes(shared, table.id).keys().any(leaves) {
            leaving.push((table.id, floor));
        }
    }
    if floors.is_empty() {
        return Ok(());
    }
    leave(shared, &floors)?;
    for (table, floor) in leaving {
        let table = shared.catalog.table(table).expect("it was just listed");
        tracing::info!("retention: rows of {} before {} have left", table.name, Day::of(floor));
    }
    Ok(())
}

/// Lets go what a table has that was dropped.
pub(crate) fn let_go(shared: &Shared, table: u32) -> Result<()> {
    shared.last_rows.forget(table);
    leave(shared, &[(table, DROPPED)].into())
}

/// Raises or lowers the floors of tables, and removes the rolled days and those of rollups that are below.
fn leave(shared: &Shared, floors: &BTreeMap<u32, i64>) -> Result<()> {
    let gone = |table: u32, day: Day| floors.get(&table).is_some_and(|floor| day.last() < *floor);
    let removed = RefCell::new(Vec::new());
    shared.change(
        |manifest| {
            manifest.floors.extend(floors);
            removed.borrow_mut().extend(manifest.rolled.extract_if(.., |id| gone(id.table, id.day)));
        },
        |view| {
            view.floors.extend(floors);
            view.rolled.retain(|(table, day), _| !gone(*table, *day));
        },
    )?;
    for id in removed.into_inner() {
        let table = shared.catalog.table(id.table).expect("a rolled day is of a known table");
        shared.dir.remove_leftover(&rolled::path(&shared.dir, table, id));
    }
    crate::upkeep::roller::remove_empty_folders(shared, floors.keys());
    Ok(())
}

/// The first time that stays when days leave until the others have no more than `limit` bytes.
fn floor_by_bytes(days: &BTreeMap<Day, u64>, limit: u64) -> i64 {
    let mut sum = 0;
    let mut floor = i64::MIN;
    for (at, (day, bytes)) in days.iter().rev().enumerate() {
        sum += bytes;
        if at > 0 && sum > limit {
            break;
        }
        floor = day.first();
    }
    // As long as all days stay, so may older ones that are yet to come.
    if days.keys().next().is_some_and(|first| first.first() == floor) { i64::MIN } else { floor }
}

/// Bytes of each day of a table, in segments and rolled, that are there; those below its floor, too.
fn days_bytes(shared: &Shared, table: u32) -> BTreeMap<Day, u64> {
    let view = shared.view.load();
    let mut days: BTreeMap<Day, u64> = BTreeMap::new();
    for segment in &view.segments {
        for (day, bytes) in segment.bytes_of(table) {
            if view.counts(segment, table, day) {
                *days.entry(day).or_default() += bytes as u64;
            }
        }
    }
    for ((_, day), rolled) in view.rolled.range((table, Day(i32::MIN))..=(table, Day(i32::MAX))) {
        *days.entry(*day).or_default() += rolled.file_bytes() as u64;
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_days_leave_until_the_others_fit() {
        let days: BTreeMap<Day, u64> = [(Day(1), 10), (Day(2), 20), (Day(5), 30)].into();
        assert_eq!(floor_by_bytes(&days, 60), i64::MIN);
        assert_eq!(floor_by_bytes(&days, 59), Day(2).first());
        assert_eq!(floor_by_bytes(&days, 50), Day(2).first());
        assert_eq!(floor_by_bytes(&days, 49), Day(5).first());
        assert_eq!(floor_by_bytes(&days, 0), Day(5).first(), "the newest day stays");
        assert_eq!(floor_by_bytes(&BTreeMap::new(), 0), i64::MIN);
    }
}
