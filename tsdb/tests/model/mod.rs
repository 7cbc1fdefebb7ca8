//! A plain map that behaves as the store should, random steps for both, and how to read the store as such a map.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use tsdb::{Aggregate, AggregateRequest, Bucket, Function, Row, Scan, ScanRequest, Sketch, Store, TagPredicate, Value};

/// The start of 2026.
pub const START: i64 = 1_767_225_600_000_000_000;
const DAY: i64 = 86_400_000_000_000;

/// What the model knows of a row: the fields that were set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    pub load: Option<f64>,
    pub count: Option<i64>,
    pub note: Option<String>,
    pub up: Option<bool>,
}

/// Table, host and time of a row; the host may be left out.
pub type Key = (String, Option<String>, i64);

/// One change, or something that must change nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Rows of one table.
    Write(Vec<(Key, Fields)>),
    /// Rows of a table from a time to another, of these hosts or all.
    Delete {
        table: String,
        from: i64,
        to: i64,
        hosts: Option<Vec<String>>,
    },
    Flush,
    /// Rolls the days that are due, too.
    Compact,
    Reopen,
}

/// The tables that there are.
pub const TABLES: [&str; 2] = ["m", "other table/with @ odd=name"];

/// Random steps: few keys, so that rows meet, over a few days, out of order.
pub fn steps(random: &mut fastrand::Rng, count: usize) -> Vec<Step> {
    (0..random.usize(1..count)).map(|_| step(random)).collect()
}

fn time(random: &mut fastrand::Rng) -> i64 {
    START + random.i64(0..4) * DAY + random.i64(0..10) * 1_000_000_007
}

fn host(random: &mut fastrand::Rng) -> String {
    ["a", "b", "c"][random.usize(..3)].to_owned()
}

pub fn step(random: &mut fastrand::Rng) -> Step {
    let table = TABLES[usize::from(random.usize(..5) == 0)].to_owned();
    match random.usize(..14) {
        0..7 => {
            let rows = (0..random.usize(1..30)).map(|_| {
                let host = (random.usize(..8) > 0).then(|| host(random));
                ((table.clone(), host, time(random)), fields(random))
            });
            Step::Write(rows.collect())
        }
        7..9 => {
            let (a, b) = (time(random), time(random));
            let hosts = random.bool().then(|| (0..random.usize(1..3)).map(|_| host(random)).collect());
            Step::Delete { table, from: a.min(b), to: a.max(b), hosts }
        }
        9..11 => Step::Flush,
        11..13 => Step::Compact,
        _ => Step::Reopen,
    }
}

fn fields(random: &mut fastrand::Rng) -> Fields {
    loop {
        let fields = Fields {
            load: random.bool().then(|| [f64::from(random.i8(..)) / 8.0, f64::INFINITY, 1.0 / 3.0][random.usize(..3)]),
            count: random.bool().then(|| random.i64(..)),
            note: random.bool().then(|| "abcd"[..random.usize(..4)].to_owned()),
            up: random.bool().then(|| random.bool()),
        };
        if fields != Fields::default() {
            return fields; // a row needs a field
        }
    }
}

/// The rows that should be there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model(pub BTreeMap<Key, Fields>);

impl Model {
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Write(rows) => {
                for (key, new) in rows {
                    let old = self.0.entry(key.clone()).or_default();
                    old.load = new.load.or(old.load);
                    old.count = new.count.or(old.count);
                    old.note = new.note.clone().or(old.note.take());
                    old.up = new.up.or(old.up);
                }
            }
            Step::Delete { table, from, to, hosts } => self.0.retain(|(own, host, time), _| {
                let met = hosts.as_ref().is_none_or(|hosts| host.as_ref().is_some_and(|host| hosts.contains(host)));
                !(own == table && met && (from..=to).contains(&time))
            }),
            Step::Flush | Step::Compact | Step::Reopen => {}
        }
    }
}

/// What is in one map and not in the other, or different; nothing if they are the same.
pub fn difference(found: &BTreeMap<Key, Fields>, expected: &BTreeMap<Key, Fields>) -> Option<String> {
    let only = |a: &BTreeMap<Key, Fields>, b: &BTreeMap<Key, Fields>| -> Vec<String> {
        a.iter().filter(|(key, own)| b.get(*key) != Some(*own)).map(|row| format!("{row:?}")).collect()
    };
    let (extra, missing) = (only(found, expected), only(expected, found));
    let some = |rows: &[String]| rows.iter().take(3).cloned().collect::<Vec<_>>().join("\n  ");
    (!extra.is_empty() || !missing.is_empty()).then(|| {
        let (extras, misses) = (extra.len(), missing.len());
        format!("{extras} rows more, like\n  {}\n{misses} rows less, like\n  {}", some(&extra), some(&missing))
    })
}

/// Does a step to a store; a reopening is the caller's.
pub fn apply_to_store(store: &Store, step: &Step) -> tsdb::Result<()> {
    match step {
        Step::Write(rows) => {
            let mut batch = store.batch("public");
            for ((table, host, time), fields) in rows {
                let tags: Vec<_> = host.iter().map(|host| ("host", host.as_str())).collect();
                let mut values = Vec::new();
                values.extend(fields.load.map(|load| ("load", Value::F64(load))));
                values.extend(fields.count.map(|count| ("count", Value::I64(count))));
                values.extend(fields.note.as_ref().map(|note| ("note", Value::Str(note))));
                values.extend(fields.up.map(|up| ("up", Value::Bool(up))));
                batch.push(&Row { measurement: table, tags: &tags, time: *time, fields: &values }).unwrap();
            }
            store.write(batch)
        }
        Step::Delete { table, from, to, hosts } => {
            let tags = hosts.iter().map(|hosts| TagPredicate::In("host".into(), hosts.clone()));
            match store.delete("public", table, *from, *to, &tags.collect::<Vec<_>>()) {
                // Nothing was ever written to it, or nothing with that tag.
                Err(tsdb::Error::UnknownTable { .. } | tsdb::Error::UnknownColumn { .. }) => Ok(()),
                outcome => outcome,
            }
        }
        Step::Flush => store.flush(),
        Step::Compact => store.compact(),
        Step::Reopen => Ok(()),
    }
}

/// Every row of a store.
pub fn read(store: &Store) -> Model {
    let mut model = Model::default();
    for table in TABLES {
        model.0.extend(read_table(store, table, &ScanRequest::default()));
    }
    model
}

/// Rows of a table.
pub fn read_table(store: &Store, table: &str, request: &ScanRequest) -> BTreeMap<Key, Fields> {
    match store.scan("public", table, request) {
        Ok(scan) => rows(table, &scan),
        Err(_) => BTreeMap::new(), // not made yet
    }
}

/// Every row of a table, read by whole series: each of them has to be in one partition, in the order of time.
pub fn read_whole_series(store: &Store, table: &str, partitions: usize) -> BTreeMap<Key, Fields> {
    let request = ScanRequest { partitions, whole_series: true, ..ScanRequest::default() };
    let Ok(scan) = store.scan("public", table, &request) else { return BTreeMap::new() };
    let mut newest: BTreeMap<Option<String>, (usize, i64)> = BTreeMap::new();
    for partition in 0..scan.partitions() {
        for batch in scan.read(partition).map(Result::unwrap) {
            let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>();
            let hosts = batch.column_by_name("host").map(AsArray::as_dictionary::<Int32Type>);
            let key = |row: usize| hosts.and_then(|hosts| hosts.key(row));
            let mut runs: Vec<_> = (0..batch.num_rows()).map(key).collect();
            runs.dedup();
            let series: std::collections::BTreeSet<_> = runs.iter().collect();
            assert_eq!(series.len(), runs.len(), "a series has several runs in a batch");
            for (row, time) in times.values().iter().enumerate() {
                let host = hosts.and_then(|hosts| Some((hosts, hosts.key(row)?)));
                let host = host.map(|(hosts, key)| hosts.values().as_string::<i32>().value(key).to_owned());
                if let Some((before, last)) = newest.insert(host, (partition, *time)) {
                    assert!(before == partition && last < *time, "a series came in pieces or out of order");
                }
            }
        }
    }
    rows(table, &scan)
}

/// The newest row of every series of a table.
pub fn read_last(store: &Store, table: &str) -> BTreeMap<Key, Fields> {
    match store.last_rows("public", table, None, &[]) {
        Ok((batch, warnings)) => {
            assert_eq!(warnings, Vec::<String>::new());
            batch_rows(table, [batch].into_iter())
        }
        Err(_) => BTreeMap::new(), // not made yet
    }
}

/// What is known of a group of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub rows: i64,
    pub loads: i64,
    pub sum: Option<i64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub median: Option<f64>,
}

/// Host and start of the bucket of a group.
pub type GroupKey = (Option<String>, i64);

const WIDTH: i64 = 2_500_000_000;

/// Rows grouped by host and bucket, as the model has them.
pub fn groups(rows: &BTreeMap<Key, Fields>) -> BTreeMap<GroupKey, Group> {
    let mut groups: BTreeMap<GroupKey, Vec<&Fields>> = BTreeMap::new();
    for ((_, host, time), fields) in rows {
        groups.entry((host.clone(), time - (time - START).rem_euclid(WIDTH))).or_default().push(fields);
    }
    let group = |(key, rows): (GroupKey, Vec<&Fields>)| {
        let loads = || rows.iter().filter_map(|fields| fields.load);
        let mut sketch = Sketch::default();
        loads().for_each(|load| sketch.add(load));
        let group = Group {
            rows: rows.len() as i64,
            loads: loads().count() as i64,
            sum: rows.iter().filter_map(|fields| fields.count).reduce(i64::wrapping_add),
            min: loads().reduce(f64::min),
            max: loads().reduce(f64::max),
            median: sketch.quantile(0.5),
        };
        (key, group)
    };
    groups.into_iter().map(group).collect()
}

/// Rows of a table grouped by host and bucket by the store.
pub fn read_groups(store: &Store, table: &str, partitions: usize) -> BTreeMap<GroupKey, Group> {
    let of = |function, field: Option<&str>| Aggregate { function, field: field.map(str::to_owned) };
    let known = store.table("public", table);
    let has = |name| known.as_ref().is_some_and(|table| table.columns.index_of(name).is_ok());
    let by: Vec<String> = has("host").then(|| "host".to_owned()).into_iter().collect();
    let mut aggregates = vec![of(Function::Count, None)];
    if has("load") {
        let functions = [Function::Count, Function::Min, Function::Max, Function::Quantile(0.5)];
        aggregates.extend(functions.map(|function| of(function, Some("load"))));
    }
    if has("count") {
        aggregates.push(of(Function::Sum, Some("count")));
    }
    let rows = ScanRequest { partitions, ..ScanRequest::default() };
    let bucket = Some(Bucket { width_ns: WIDTH, origin_ns: START });
    let request = AggregateRequest { rows, bucket, by, aggregates };
    let Ok(aggregation) = store.aggregate("public", table, &request) else { return BTreeMap::new() };
    let mut parts = (0..aggregation.scan().partitions()).map(|part| aggregation.fold(part, |_| true).unwrap().unwrap());
    let mut all = parts.next().unwrap();
    parts.for_each(|part| all.merge(part));
    let batch = aggregation.finish(&all);
    let names: Vec<(String, &str)> = (request.aggregates.iter().enumerate())
        .map(|(at, aggregate)| match (aggregate.function, aggregate.field.is_some()) {
            (Function::Count, false) => (at.to_string(), "rows"),
            (Function::Count, true) => (at.to_string(), "loads"),
            (Function::Sum, _) => (at.to_string(), "sum"),
            (Function::Min, _) => (at.to_string(), "min"),
            (Function::Max, _) => (at.to_string(), "max"),
            _ => (at.to_string(), "median"),
        })
        .collect();
    let row = |row: usize| {
        let column = |name: &str| {
            let (at, _) = names.iter().find(|(_, known)| *known == name)?;
            batch.column_by_name(at).filter(|column| column.is_valid(row))
        };
        let int = |name| column(name).map(|column| column.as_primitive::<Int64Type>().value(row));
        let float = |name| column(name).map(|column| column.as_primitive::<Float64Type>().value(row));
        let host = batch.column_by_name("host").filter(|column| column.is_valid(row)).map(|column| {
            let column = column.as_dictionary::<Int32Type>();
            column.values().as_string::<i32>().value(column.key(row).unwrap()).to_owned()
        });
        let start = batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>().value(row);
        let group = Group {
            rows: int("rows").unwrap(),
            loads: int("loads").unwrap_or(0),
            sum: int("sum"),
            min: float("min"),
            max: float("max"),
            median: float("median"),
        };
        ((host, start), group)
    };
    let groups: BTreeMap<_, _> = (0..batch.num_rows()).map(row).collect();
    assert_eq!(groups.len(), batch.num_rows(), "a group came twice");
    groups
}

fn rows(table: &str, scan: &Scan) -> BTreeMap<Key, Fields> {
    let rows = batch_rows(table, scan.read_all().map(Result::unwrap));
    assert_eq!(scan.warnings(), Vec::<String>::new());
    rows
}

fn batch_rows(table: &str, batches: impl Iterator<Item = RecordBatch>) -> BTreeMap<Key, Fields> {
    let mut rows = BTreeMap::new();
    for batch in batches {
        let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampNanosecondType>();
        for row in 0..batch.num_rows() {
            let column = |name| batch.column_by_name(name).filter(|column: &&ArrayRef| column.is_valid(row));
            let host = column("host").map(|column| {
                let column = column.as_dictionary::<Int32Type>();
                column.values().as_string::<i32>().value(column.key(row).unwrap()).to_owned()
            });
            let fields = Fields {
                load: column("load").map(|column| column.as_primitive::<Float64Type>().value(row)),
                count: column("count").map(|column| column.as_primitive::<Int64Type>().value(row)),
                note: column("note").map(|column| column.as_string::<i32>().value(row).to_owned()),
                up: column("up").map(|column| column.as_boolean().value(row)),
            };
            let twice = rows.insert((table.to_owned(), host, times.value(row)), fields);
            assert!(twice.is_none(), "a key came twice");
        }
    }
    rows
}
