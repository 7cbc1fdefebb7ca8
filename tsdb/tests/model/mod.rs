//! A plain map that behaves as the store should, random steps for both, and how to read the store as such a map.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use tsdb::{
    Aggregate, AggregateRequest, Bucket, Buckets, Comparison, Error, FieldPredicate, Function, Literal, Rollup, Row,
    Scan, ScanRequest, Sketch, Store, TagPredicate, Value,
};

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
    /// A table with its rows.
    DropTable {
        table: String,
    },
    /// A field of a table; the rows stay.
    DropField {
        table: String,
        field: &'static str,
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

pub fn time(random: &mut fastrand::Rng) -> i64 {
    START + random.i64(0..4) * DAY + random.i64(0..10) * 1_000_000_007
}

fn host(random: &mut fastrand::Rng) -> String {
    ["a", "b", "c"][random.usize(..3)].to_owned()
}

pub fn step(random: &mut fastrand::Rng) -> Step {
    let table = TABLES[usize::from(random.usize(..5) == 0)].to_owned();
    match random.usize(..16) {
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
        13 if random.bool() => Step::DropTable { table },
        13 | 14 => Step::DropField { table, field: ["load", "count", "note", "up"][random.usize(..4)] },
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
            Step::DropTable { table } => self.0.retain(|(own, ..), _| own != table),
            Step::DropField { table, field } => {
                for (_, fields) in self.0.iter_mut().filter(|((own, ..), _)| own == table) {
                    match *field {
                        "load" => fields.load = None,
                        "count" => fields.count = None,
                        "note" => fields.note = None,
                        _ => fields.up = None,
                    }
                }
            }
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
            known(store.delete("public", table, *from, *to, &tags.collect::<Vec<_>>()))
        }
        Step::DropTable { table } => known(store.drop_table("public", table)),
        Step::DropField { table, field } => known(store.drop_field("public", table, field)),
        Step::Flush => store.flush(),
        Step::Compact => store.compact(),
        Step::Reopen => Ok(()),
    }
}

/// Nothing is done where nothing was ever written to a table, or nothing with that column.
fn known(outcome: tsdb::Result<()>) -> tsdb::Result<()> {
    match outcome {
        Err(Error::UnknownTable { .. } | Error::UnknownColumn { .. }) => Ok(()),
        outcome => outcome,
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

/// The newest row of every series of a table that has one at a time or behind it.
pub fn read_newest(store: &Store, table: &str, from: i64) -> BTreeMap<Key, Fields> {
    let Some(info) = store.table("public", table) else { return BTreeMap::new() };
    let names: Vec<String> = info.columns.fields().iter().map(|field| field.name().clone()).collect();
    let newest = store.newest("public", table, &names, &[], from).unwrap().expect("there is room");
    assert!(newest.warnings().is_empty());
    let rows = newest.untagged().unwrap();
    let fields = rows.batch.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let mut columns: Vec<(String, ArrayRef)> = fields.into_iter().zip(rows.batch.columns().iter().cloned()).collect();
    columns.extend(newest.tag("host", &rows.series).map(|host| ("host".to_owned(), host)));
    batch_rows(table, [RecordBatch::try_from_iter(columns).unwrap()].into_iter())
}

/// What is asked of groups of rows.
#[derive(Debug, Clone)]
pub struct Question {
    /// The buckets' width and origin, ns.
    pub bucket: Option<(i64, i64)>,
    pub by_host: bool,
    pub from: i64,
    pub to: i64,
    pub condition: Option<FieldPredicate>,
}

const SECOND: i64 = 1_000_000_000;

pub fn question(random: &mut fastrand::Rng) -> Question {
    let compares = |field: &str, comparison, literal| FieldPredicate::Compares(field.into(), comparison, literal);
    let buckets = [(2 * SECOND, 0), (10 * SECOND, START), (DAY, 0), (2_500_000_000, START), (10 * SECOND, 1)];
    // Often all, otherwise from some instant or some second on.
    let mut bound = |none: i64| match random.u8(..4) {
        0 | 1 => none,
        2 => time(random),
        _ => START + random.i64(0..4) * DAY + random.i64(0..12) * SECOND,
    };
    let (from, to) = (bound(i64::MIN), bound(i64::MAX));
    let condition = match random.u8(..8) {
        0 | 1 => Some(compares("up", Comparison::Eq, Literal::Bool(true))),
        2 => Some(compares("load", Comparison::Gt, Literal::I64(1))),
        3 => Some(compares("note", Comparison::NotEq, Literal::Str("ab".into()))),
        4 => Some(FieldPredicate::IsNull("count".into())),
        _ => None,
    };
    let bucket = (random.u8(..4) > 0).then(|| buckets[random.usize(..buckets.len())]);
    Question { bucket, by_host: random.bool(), from, to, condition }
}

/// Rollups that answer some questions, or parts of them.
pub fn rollups(table: &str) -> Vec<Rollup> {
    let up = || vec![FieldPredicate::Compares("up".into(), Comparison::Eq, Literal::Bool(true))];
    let rollup = |name: &str, width_ns, conditions, fields: Option<&[&str]>| Rollup {
        name: format!("{table} {name}"),
        schema: "public".into(),
        table: table.into(),
        width_ns,
        conditions,
        fields: fields.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        configured: false,
    };
    vec![
        rollup("by seconds", 2 * SECOND, vec![], None),
        rollup("by days", DAY, vec![], Some(&["load", "count"])),
        rollup("up by seconds", 10 * SECOND, up(), None),
    ]
}

/// A sum or mean of floats, which depends on their order in the last digits.
#[derive(Debug, Clone, Copy)]
pub struct Rough(f64);

impl PartialEq for Rough {
    fn eq(&self, other: &Rough) -> bool {
        // Of integers up to 2^63 some digits before the point are not sure, either.
        let tolerance = if self.0.abs() > 1e9 || other.0.abs() > 1e9 { 1e6 } else { 1e-9 };
        self.0 == other.0 || (self.0 - other.0).abs() <= tolerance
    }
}

/// What is known of a group of rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    pub rows: i64,
    pub loads: i64,
    pub notes: i64,
    pub sum: Option<i128>,
    pub mean: Option<Rough>,
    pub mean_count: Option<Rough>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub median: Option<f64>,
    /// Only where groups are of one host: otherwise several may be the first or the last.
    pub first: Option<f64>,
    pub last: Option<bool>,
}

/// Host and start of the bucket of a group.
pub type GroupKey = (Option<String>, i64);

/// The answer to a question, as the model has it.
pub fn groups(rows: &BTreeMap<Key, Fields>, question: &Question) -> BTreeMap<GroupKey, Group> {
    let mut groups: BTreeMap<GroupKey, Vec<&Fields>> = BTreeMap::new();
    let wanted = |fields: &Fields| match &question.condition {
        None => true,
        Some(FieldPredicate::IsNull(_)) => fields.count.is_none(),
        Some(FieldPredicate::Compares(field, ..)) if field == "up" => fields.up == Some(true),
        Some(FieldPredicate::Compares(field, ..)) if field == "load" => fields.load.is_some_and(|load| load > 1.0),
        Some(_) => fields.note.as_ref().is_some_and(|note| note != "ab"),
    };
    // In the order of host and time.
    let rows =
        rows.iter().filter(|((_, _, time), fields)| (question.from..=question.to).contains(time) && wanted(fields));
    for ((_, host, time), fields) in rows {
        let start = question.bucket.map_or(0, |(width, origin)| time - (time - origin).rem_euclid(width));
        groups.entry((host.clone().filter(|_| question.by_host), start)).or_default().push(fields);
    }
    if question.bucket.is_none() && !question.by_host {
        groups.entry((None, 0)).or_default(); // it is there without a row
    }
    let group = |(key, rows): (GroupKey, Vec<&Fields>)| {
        let loads = || rows.iter().filter_map(|fields| fields.load);
        let counts = || rows.iter().filter_map(|fields| fields.count);
        let mean = |sum: f64, count: usize| (count > 0).then(|| Rough(sum / count as f64));
        let mut sketch = Sketch::default();
        loads().for_each(|load| sketch.add(load));
        let group = Group {
            rows: rows.len() as i64,
            loads: loads().count() as i64,
            notes: rows.iter().filter(|fields| fields.note.is_some()).count() as i64,
            // As far as it fits.
            sum: counts().map(i128::from).reduce(|a, b| a + b),
            mean: mean(loads().sum(), loads().count()),
            mean_count: mean(counts().map(|count| count as f64).sum(), counts().count()),
            min: loads().reduce(f64::min),
            max: loads().reduce(f64::max),
            median: sketch.quantile(0.5),
            first: loads().next().filter(|_| question.by_host),
            last: rows.iter().rev().find_map(|fields| fields.up).filter(|_| question.by_host),
        };
        (key, group)
    };
    groups.into_iter().map(group).collect()
}

/// Is one of the sums beyond its type?
pub fn overflows(groups: &BTreeMap<GroupKey, Group>) -> bool {
    groups.values().any(|group| group.sum.is_some_and(|sum| i64::try_from(sum).is_err()))
}

/// The answer of the store, and of how many days a rollup gave it; nothing if a sum is beyond its type.
pub fn read_groups(
    store: &Store,
    table: &str,
    question: &Question,
    partitions: usize,
) -> Option<(BTreeMap<GroupKey, Group>, usize)> {
    let known = store.table("public", table);
    let has = |name: &str| known.as_ref().is_some_and(|table| table.columns.index_of(name).is_ok());
    let by: Vec<String> = (question.by_host && has("host")).then(|| "host".to_owned()).into_iter().collect();
    let wanted = [
        ("rows", Function::Count, None),
        ("loads", Function::Count, Some("load")),
        ("notes", Function::Count, Some("note")),
        ("sum", Function::Sum, Some("count")),
        ("mean", Function::Mean, Some("load")),
        ("mean_count", Function::Mean, Some("count")),
        ("min", Function::Min, Some("load")),
        ("max", Function::Max, Some("load")),
        ("median", Function::Quantile(0.5), Some("load")),
        ("first", Function::First, Some("load")),
        ("last", Function::Last, Some("up")),
    ];
    let wanted: Vec<_> = wanted.into_iter().filter(|(_, _, field)| field.is_none_or(has)).collect();
    let of = |(_, function, field): &(&str, Function, Option<&str>)| Aggregate {
        function: *function,
        field: field.map(str::to_owned),
    };
    let (from, to) = (question.from, question.to);
    let fields = question.condition.iter().cloned().collect();
    let rows = ScanRequest { partitions, from, to, fields, ..ScanRequest::default() };
    let bucket = question.bucket.map(|(width_ns, origin_ns)| Buckets::Equal(Bucket { width_ns, origin_ns }));
    let request = AggregateRequest { rows, bucket, by, aggregates: wanted.iter().map(of).collect() };
    let aggregation = store.aggregate("public", table, &request).unwrap();
    let mut parts = (0..aggregation.partitions()).map(|part| aggregation.fold(part, |_| true).unwrap().unwrap());
    let mut all = parts.next().unwrap();
    parts.for_each(|part| all.merge(part));
    let batch = match aggregation.finish(&all) {
        Ok(batch) => batch,
        Err(Error::SumOverflow { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let row = |row: usize| {
        let column = |name: &str| {
            let at = wanted.iter().position(|(known, ..)| *known == name)?;
            batch.column_by_name(&at.to_string()).filter(|column| column.is_valid(row))
        };
        let int = |name| column(name).map(|column| column.as_primitive::<Int64Type>().value(row));
        let float = |name| column(name).map(|column| column.as_primitive::<Float64Type>().value(row));
        let host = batch.column_by_name("host").filter(|column| column.is_valid(row)).map(|column| {
            let column = column.as_dictionary::<Int32Type>();
            column.values().as_string::<i32>().value(column.key(row).unwrap()).to_owned()
        });
        let start = batch.column_by_name("time").map(AsArray::as_primitive::<TimestampNanosecondType>);
        let group = Group {
            rows: int("rows").unwrap(),
            loads: int("loads").unwrap_or(0),
            notes: int("notes").unwrap_or(0),
            sum: int("sum").map(i128::from),
            mean: float("mean").map(Rough),
            mean_count: float("mean_count").map(Rough),
            min: float("min"),
            max: float("max"),
            median: float("median"),
            first: float("first").filter(|_| question.by_host),
            last: column("last").map(|column| column.as_boolean().value(row)).filter(|_| question.by_host),
        };
        ((host, start.map_or(0, |start| start.value(row))), group)
    };
    let mut groups: BTreeMap<_, _> = (0..batch.num_rows()).map(row).collect();
    assert_eq!(groups.len(), batch.num_rows(), "a group came twice");
    // Of a table whose rows have no host, all are one group, with rows or without.
    groups.retain(|_, group| group.rows > 0 || !question.by_host);
    Some((groups, aggregation.rollups().values().sum()))
}

fn rows(table: &str, scan: &Scan) -> BTreeMap<Key, Fields> {
    let rows = batch_rows(table, scan.read_all().map(Result::unwrap));
    // The last write of a crash may be there as far as its length goes: whether it was acknowledged is not for the
    // store to say.
    let others = scan.warnings().into_iter().filter(|warning| !warning.contains("in doubt"));
    assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new());
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
