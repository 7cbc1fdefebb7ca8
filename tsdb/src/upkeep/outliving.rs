//! Days of rollups that go on when what is sealed is merged or rolled.

use std::collections::BTreeMap;

use crate::base::day::Day;
use crate::base::ids::RollupId;
use crate::state::view::View;

/// The days that count as far as what is sealed says. They go on when some of that is merged or rolled: its number
/// changes, and not what it says.
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
