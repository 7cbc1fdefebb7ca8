//! Merges of what is sealed while a large merge goes on, against a plain map: rows that replace others, deletions, rollups.
#![allow(clippy::unwrap_used)]

mod model;

use std::collections::BTreeMap;

use model::{
    Fields, Key, Model, Question, START, Step, apply_to_store, difference, groups, read_groups, read_table, rollups,
    step,
};
use tsdb::{Durability, Options, ScanRequest, Store};

const DAY: i64 = 86_400_000_000_000;
/// Segments with so many rows of each of four days are merged.
const LARGE: i64 = 3;

/// Rows of all days, a `part` of them.
fn large(part: i64, rows_a_day: i64) -> Step {
    let row = |day: i64, at: i64| {
        let number = (at * LARGE + part) * 1_000_000_003;
        let fields =
            Fields { load: Some((number as f64).sin()), count: Some(at), up: Some(at % 3 == 0), ..Fields::default() };
        (("m".to_owned(), Some("a".to_owned()), START + day * DAY + number), fields)
    };
    Step::Write((0..4).flat_map(|day| (0..rows_a_day).map(move |at| row(day, at))).collect())
}

fn check(store: &Store, model: &Model, when: &str) {
    let own: BTreeMap<Key, Fields> = model.0.clone();
    assert_eq!(difference(&read_table(store, "m", &ScanRequest::default()), &own), None, "{when}");
    for rollup in rollups("m") {
        let bucket = Some((rollup.width_ns, 0));
        let condition = rollup.conditions.first().cloned();
        let question = Question { bucket, by_host: true, from: i64::MIN, to: i64::MAX, condition };
        let (found, _) = read_groups(store, "m", &question, 1).unwrap();
        let expected = groups(&own, &question);
        assert_eq!(found.len(), expected.len(), "{when}: {}", rollup.name);
        for (key, group) in expected {
            assert_eq!(found.get(&key), Some(&group), "{when}: {} {key:?}", rollup.name);
        }
    }
}

#[test]
fn what_changes_while_a_large_merge_goes_on_is_as_in_a_map() {
    let seed = std::env::var("FOURNINES_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("FOURNINES_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut changes = 0;
    for rows_a_day in [8_000, 16_000, 32_000, 64_000] {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { durability: Durability::Process, head_bytes_max: 1 << 30, page_rows: 1000, ..Options::default() };
        let store = Store::open(dir.path(), options.clone()).unwrap();
        rollups("m").into_iter().for_each(|rollup| store.declare_rollup(rollup).unwrap());
        let mut model = Model::default();
        let change = |step: &Step, model: &mut Model| {
            apply_to_store(&store, step).unwrap();
            model.apply(step);
        };
        for part in 0..LARGE {
            change(&large(part, rows_a_day), &mut model);
            change(&Step::Flush, &mut model);
        }
        let files = || std::fs::read_dir(dir.path().join("segments")).unwrap().map(|file| file.unwrap().path());
        let large: Vec<_> = files().collect();
        let before = changes;
        while large.iter().all(|path| path.exists()) {
            // Whole days of `a` are left, so that there is something to merge.
            let own = match step(&mut random) {
                // Sums that are beyond their type are another matter.
                Step::Write(rows) => Step::Write(
                    rows.into_iter()
                        .filter(|((table, ..), _)| table == "m")
                        .map(|(key, own)| (key, Fields { count: own.count.map(|count| count % 1000), ..own }))
                        .filter(|(_, own)| *own != Fields::default())
                        .collect(),
                ),
                Step::Delete { from, hosts, .. } => {
                    Step::Delete { table: "m".into(), from, to: from + DAY / 1000, hosts }
                }
                _ => continue,
            };
            if matches!(&own, Step::Write(rows) if rows.is_empty()) {
                continue;
            }
            change(&own, &mut model);
            change(&Step::Flush, &mut model);
            changes += 1;
        }
        let merges = store.stats().compactions;
        check(&store, &model, "behind the merge");
        store.compact().unwrap();
        check(&store, &model, "behind all merges");
        drop(store);
        check(&Store::open(dir.path(), options).unwrap(), &model, "opened again");
        println!("{} changes, {merges} merges", changes - before);
        if changes - before > 25 && merges > 3 {
            return;
        }
    }
    panic!("the merges of this machine are too fast to be looked at: {changes} changes");
}
