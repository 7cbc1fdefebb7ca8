//! The store against a plain map: random writes, overwrites, deletions, seals, compactions, rolls, retentions and
//! reopenings must give the same rows.
//!
//! `PROPTEST_CASES=5000 cargo test -p tsdb --test map` looks longer; a failure prints the steps that led to it.
#![allow(clippy::unwrap_used)]

mod model;
mod simulated_disk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{
    Key, Model, Question, START, Step, TABLES, apply_to_store, difference, groups, overflows, question, read_groups,
    read_last, read_newest, read_table, read_whole_series, rollups, steps, time,
};
use proptest::prelude::*;
use simulated_disk::SimulatedDisk;
use tsdb::{Error, FieldPredicate, Options, Retention, ScanRequest, Store, TagPredicate};

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(600, |number| number.parse().unwrap())
}

/// Rows that a predicate on the host wants.
type Wanted = Box<dyn Fn(Option<&str>) -> bool>;

fn predicates() -> Vec<(TagPredicate, Wanted)> {
    vec![
        (TagPredicate::In("host".into(), vec!["a".into(), "x".into()]), Box::new(|host| host == Some("a"))),
        (TagPredicate::NotIn("host".into(), vec!["a".into()]), Box::new(|host| host.is_some_and(|host| host != "a"))),
        (TagPredicate::StartsWith("host".into(), "a".into()), Box::new(|host| host == Some("a"))),
        (TagPredicate::Matches("host".into(), "^[ab]".into()), Box::new(|host| host.is_some_and(|host| host < "c"))),
        (TagPredicate::NotMatches("host".into(), "a|c".into()), Box::new(|host| host == Some("b"))),
        (TagPredicate::IsNull("host".into()), Box::new(|host| host.is_none())),
        (TagPredicate::IsNotNull("host".into()), Box::new(|host| host.is_some())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_that_survives(seed: u64, partitions in 1usize..4, page_rows in 1usize..9, roll: bool) {
        // In memory: thousands of cases would mostly wait for a real disk's syncs.
        let disk = Arc::new(SimulatedDisk::new());
        let open = |options: &Options| Store::open_on(disk.clone(), "/data", options.clone()).unwrap();
        // A tiny head, so that seals also happen by themselves, with writes going on; tiny pages, so that there are
        // many.
        let roll_after = roll.then_some(Duration::ZERO);
        // Of footers of rolled days none are kept, or a few, or all.
        let footers_bytes_max = [0, 20_000, 1 << 20][page_rows % 3];
        let options = Options { head_bytes_max: 4096, page_rows, roll_after, footers_bytes_max, ..Options::default() };
        let mut store = open(&options);
        let mut model = Model::default();
        let mut random = fastrand::Rng::with_seed(seed);
        for rollup in TABLES.into_iter().flat_map(rollups).filter(|_| page_rows % 2 == 0 && random.bool()) {
            store.declare_rollup(rollup).unwrap();
        }
        for step in steps(&mut random, 25) {
            match apply_to_store(&store, &step) {
                // A field that a rollup names stays.
                Err(Error::Rollup { .. }) if matches!(step, Step::DropField { .. }) => continue,
                outcome => outcome.unwrap(),
            }
            model.apply(&step);
            if step == Step::Reopen {
                drop(store);
                store = open(&options);
            }
            prop_assert!(store.stats().footers_bytes <= footers_bytes_max as u64);
            for table in TABLES {
                let all = ScanRequest { partitions, ..ScanRequest::default() };
                let own: BTreeMap<Key, _> = model.0.iter().filter(|(key, _)| key.0 == table).map(|(k, f)| (k.clone(), f.clone())).collect();
                prop_assert_eq!(difference(&read_table(&store, table, &all), &own), None, "after {:?}", step);
                let whole = read_whole_series(&store, table, partitions);
                prop_assert_eq!(difference(&whole, &own), None, "whole series, after {:?}", step);
                if !own.is_empty() {
                    let question = question(&mut random);
                    let has_field = |condition: &FieldPredicate| {
                        store.table("public", table).unwrap().columns.index_of(condition.field()).is_ok()
                    };
                    if question.condition.as_ref().is_none_or(has_field) {
                        let expected = groups(&own, &question);
                        match read_groups(&store, table, &question, partitions) {
                            Some((found, days)) => {
                                let context = format!("{question:?}, {days} days of rollups, after {step:?}");
                                prop_assert_eq!(found, expected, "{}", context);
                            }
                            None => prop_assert!(overflows(&expected), "{question:?}, after {step:?}"),
                        }
                    }
                }
                let mut last: BTreeMap<Option<String>, (Key, _)> = BTreeMap::new();
                last.extend(own.into_iter().map(|(key, fields)| (key.1.clone(), (key, fields))));
                let last: BTreeMap<Key, _> = last.into_values().collect();
                // What is known reaches back as far as it was asked for, and then further.
                for from in (0..random.usize(..3)).map(|_| time(&mut random)).collect::<Vec<_>>() {
                    let wanted = last.clone().into_iter().filter(|(key, _)| key.2 >= from).collect();
                    let found = read_newest(&store, table, from);
                    prop_assert_eq!(difference(&found, &wanted), None, "newest from {}, after {:?}", from, step);
                }
                if random.bool() {
                    prop_assert_eq!(difference(&read_last(&store, table), &last), None, "newest, after {:?}", step);
                }
            }
        }
        let (from, to) = (START + 3_000_000_000, START + 2 * 86_400_000_000_000);
        for (predicate, wanted) in predicates() {
            if store.table("public", "m").is_none_or(|table| table.tags.is_empty()) {
                break;
            }
            let part = ScanRequest { from, to, tags: vec![predicate], partitions, ..ScanRequest::default() };
            let expected = model.0.iter().filter(|((table, host, time), _)| table == "m" && wanted(host.as_deref()) && (from..=to).contains(time));
            let expected: BTreeMap<_, _> = expected.map(|(key, fields)| (key.clone(), fields.clone())).collect();
            prop_assert_eq!(difference(&read_table(&store, "m", &part), &expected), None);
        }
        // Everything is over, so that after this rollups answer all that they can.
        store.compact().unwrap();
        for state in store.rollups() {
            // A day with a sum that is beyond its type is left to the rows.
            let own: BTreeMap<Key, _> = model.0.iter().filter(|(key, _)| key.0 == state.rollup.table).map(|(k, f)| (k.clone(), f.clone())).collect();
            let condition = state.rollup.conditions.first().cloned();
            let cells = Question { bucket: Some((state.rollup.width_ns, 0)), by_host: true, from: i64::MIN, to: i64::MAX, condition };
            let is_known = state.problem.is_some() || overflows(&groups(&own, &cells));
            prop_assert!(state.days_behind == 0 || is_known, "{:?}", state);
        }
        for rollup in store.rollups().into_iter().filter(|state| state.problem.is_none() && state.days > 0) {
            let own: BTreeMap<Key, _> = model.0.iter().filter(|(key, _)| key.0 == rollup.rollup.table).map(|(k, f)| (k.clone(), f.clone())).collect();
            let bucket = Some((rollup.rollup.width_ns, 0));
            let condition = rollup.rollup.conditions.first().cloned();
            let whole = Question { bucket, by_host: true, from: i64::MIN, to: i64::MAX, condition };
            let expected = groups(&own, &whole);
            let Some((found, days)) = read_groups(&store, &rollup.rollup.table, &whole, partitions) else {
                prop_assert!(overflows(&expected), "{:?}", rollup);
                continue;
            };
            prop_assert_eq!(found, expected, "{:?}", rollup);
            prop_assert!(rollup.rollup.fields.is_some() || days == rollup.days || rollup.days_behind > 0, "{} days of {:?}", days, rollup);
        }
        let damage = tsdb::verify_on(disk.clone(), "/data", |_, _| ()).unwrap().damage;
        prop_assert!(damage.is_empty(), "{:?}", damage);
        // Retention takes whole days, at once and for good.
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let second_day = START + 86_400_000_000_000;
        let age = Duration::from_nanos((now - second_day).unsigned_abs());
        drop(store);
        let retaining = Options { retention: Retention { age: Some(age), bytes: None }, ..options.clone() };
        let store = open(&retaining);
        store.compact().unwrap();
        model.0.retain(|(_, _, time), _| *time >= second_day);
        let parts = format!("{:#?}", store.parts());
        prop_assert_eq!(difference(&model::read(&store).0, &model.0), None, "{}", parts);
        drop(store);
        prop_assert_eq!(difference(&model::read(&open(&options)).0, &model.0), None, "opened again");
    }
}
