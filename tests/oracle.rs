//! Random statements over random rows - gaps, rows that came twice, deletions, head, segments and compacted ones -
//! answered by DuckDB and by the server: the answers are equal. `FOURNINES_SEED=7` repeats a run.

use std::collections::BTreeMap;
use std::process::Command;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::clients::python;
use crate::server::{Server, post};

const STATEMENTS: usize = 400;
/// Joins with the nearest rows.
const NEAREST: usize = 60;
/// The start of 2026, in microseconds.
const START_US: i64 = 1_767_225_600_000_000;
const HOUR_US: i64 = 3_600_000_000;
const HOSTS: [&str; 4] = ["alpha", "alps", "beta", "it's"];
const RACKS: [&str; 2] = ["r1", "r2"];

#[derive(Debug, Clone, Default)]
struct Fields {
    f: Option<f64>,
    i: Option<i64>,
    up: Option<bool>,
    note: Option<String>,
}

/// Host, rack and time of a row.
type Key = (Option<&'static str>, &'static str, i64);

fn fields(random: &mut Rng) -> Fields {
    loop {
        let fields = Fields {
            f: (random.u8(..4) > 0).then(|| f64::from(random.i32(-1000..1000)) / 8.0),
            i: random.bool().then(|| random.i64(-50..1000)),
            up: random.bool().then(|| random.bool()),
            note: random.bool().then(|| ["x", "y", "zz"][random.usize(..3)].to_owned()),
        };
        if fields.f.is_some() || fields.i.is_some() || fields.up.is_some() || fields.note.is_some() {
            return fields;
        }
    }
}

fn line(key: &Key, fields: &Fields) -> String {
    let host = key.0.map_or(String::new(), |host| format!(",host={host}"));
    let mut values = Vec::new();
    values.extend(fields.f.map(|f| format!("f={f}")));
    values.extend(fields.i.map(|i| format!("i={i}i")));
    values.extend(fields.up.map(|up| format!("up={up}")));
    values.extend(fields.note.as_ref().map(|note| format!("note=\"{note}\"")));
    format!("m{host},rack={} {} {}\n", key.1, values.join(","), key.2)
}

/// Writes, overwrites and deletes; gives the rows that must be there.
fn fill(server: &Server, random: &mut Rng) -> BTreeMap<Key, Fields> {
    let mut rows: BTreeMap<Key, Fields> = BTreeMap::new();
    for round in 0..6 {
        let mut body = String::new();
        for _ in 0..1500 {
            let host = (random.u8(..10) > 0).then(|| HOSTS[random.usize(..4)]);
            // Few instants, so that rows meet; with a gap of a day in the middle.
            let hour = random.i64(0..48) + if random.bool() { 48 } else { 0 };
            let time = START_US + hour * HOUR_US + random.i64(0..40) * 90_500_000;
            let (key, new) = ((host, RACKS[random.usize(..2)], time), fields(random));
            body.push_str(&line(&key, &new));
            let old = rows.entry(key).or_default();
            old.f = new.f.or(old.f);
            old.i = new.i.or(old.i);
            old.up = new.up.or(old.up);
            old.note = new.note.or(old.note.take());
        }
        assert_eq!(server.write("?precision=us", body.as_bytes()).status, 204);
        if round % 2 == 1 {
            let (host, from) = (HOSTS[random.usize(..4)], START_US + random.i64(0..90) * HOUR_US);
            let to = from + 2 * HOUR_US;
            let ns = |us: i64| us * 1000;
            let body = json!({ "table": "m", "from": ns(from), "to": ns(to), "tags": { "host": [host] } });
            let reply = post(&format!("{}/api/v1/admin/delete", server.url), body.to_string().as_bytes()).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.body);
            rows.retain(|key, _| key.0 != Some(host) || key.2 < from || key.2 >= to);
        }
        match round {
            1 | 4 => assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200),
            3 => assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200),
            _ => {}
        }
    }
    rows
}

/// A statement, as both take it: `bucket(..)` stands for what differs.
fn statement(random: &mut Rng) -> String {
    const VALUES: [&str; 15] = [
        "count(*)",
        "count(f)",
        "count(i)",
        "sum(i)",
        "sum(f)",
        "min(f)",
        "max(f)",
        "min(i)",
        "max(i)",
        "avg(f)",
        "avg(i)",
        "max(f) - min(f)",
        "sum(i) * 2",
        "quantile_cont(f, 0.95)",
        "quantile_cont(i, 0.123)",
    ];
    let pick = |random: &mut Rng, all: &[&'static str]| all[random.usize(..all.len())];
    let time = |random: &mut Rng| {
        let minutes = random.i64(-60..100 * 60);
        let time = jiff::Timestamp::from_second(START_US / 1_000_000 + minutes * 60).unwrap();
        format!("TIMESTAMP '{}'", time.to_string().replace('T', " ").trim_end_matches('Z'))
    };
    let mut groups: Vec<String> = Vec::new();
    if random.bool() {
        groups.push(format!("bucket('{}')", pick(random, &["1 minute", "7 minutes", "1 hour", "1 day"])));
    }
    for tag in ["host", "rack"] {
        if random.u8(..3) == 0 {
            groups.push(tag.into());
        }
    }
    random.shuffle(&mut groups);
    let mut conditions = Vec::new();
    if random.bool() {
        conditions.push(format!("time >= {}", time(random)));
    }
    if random.bool() {
        conditions.push(format!("time {} {}", pick(random, &["<", "<="]), time(random)));
    }
    if random.bool() {
        let host = format!("'{}'", pick(random, &HOSTS).replace('\'', "''"));
        let other = format!("'{}'", pick(random, &["alpha", "beta", "nobody"]));
        conditions.push(match random.u8(..7) {
            0 => format!("host = {host}"),
            1 => format!("host <> {host}"),
            2 => format!("host IN ({host}, {other})"),
            3 => format!("host NOT IN ({host}, {other})"),
            4 => "host LIKE 'al%'".into(),
            5 => "host IS NULL".into(),
            _ => "host IS NOT NULL".into(),
        });
    }
    if random.u8(..3) == 0 {
        let sign = pick(random, &["<", "<=", "=", "<>", ">=", ">"]);
        let note = pick(random, &["x", "zz", "nothing"]);
        conditions.push(match random.u8(..9) {
            0 => format!("f {sign} {}", random.i32(-50..200)),
            1 => format!("i {sign} {}", random.i32(-50..200)),
            2 | 3 => "up".into(),
            4 => "NOT up".into(),
            5 => format!("note {} '{note}'", pick(random, &["=", "<>"])),
            6 => format!("note IN ('y', '{note}')"),
            7 => format!("{} IS NULL", pick(random, &["f", "i", "up", "note"])),
            _ => format!("{} IS NOT NULL", pick(random, &["f", "i", "up", "note"])),
        });
    }
    let wanted: Vec<&str> = (0..random.usize(1..5)).map(|_| pick(random, &VALUES)).collect();
    let columns: Vec<String> = groups.iter().enumerate().map(|(at, group)| format!("{group} AS g{at}")).collect();
    let columns = columns.into_iter().chain(wanted.iter().enumerate().map(|(at, value)| format!("{value} AS v{at}")));
    let mut sql = format!("SELECT {} FROM m", columns.collect::<Vec<_>>().join(", "));
    if !conditions.is_empty() {
        sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
    }
    if !groups.is_empty() {
        let names: Vec<String> = (0..groups.len()).map(|at| format!("g{at}")).collect();
        sql.push_str(&format!(" GROUP BY {}", names.join(", ")));
        if random.u8(..5) == 0 {
            sql.push_str(&format!(" HAVING count(*) > {}", random.u8(1..5)));
        }
        let direction = pick(random, &["ASC NULLS LAST", "DESC NULLS FIRST", "DESC NULLS LAST"]);
        let order: Vec<String> = names.iter().map(|name| format!("{name} {direction}")).collect();
        sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        if random.u8(..4) == 0 {
            sql.push_str(&format!(" LIMIT {} OFFSET {}", random.u8(1..20), random.u8(..4)));
        }
    }
    sql
}

/// A statement that joins rows with the nearest ones in time, as we write it and as DuckDB does.
fn nearest_rows(random: &mut Rng) -> [String; 2] {
    let pick = |random: &mut Rng, all: &[&'static str]| all[random.usize(..all.len())];
    let keys: &[&str] = [&["host", "rack"][..], &["rack"], &["host"], &[]][random.usize(..4)];
    // One row of the right side a key and time, so that there is one nearest row.
    let by = [keys, &["time"]].concat().join(", ");
    let right = pick(random, &["i > 500", "up", "note = 'x'", "f < 0 AND rack = 'r1'", "i > 5000"]);
    let right = format!("(SELECT {by}, max(i) AS n FROM m WHERE {right} GROUP BY {by}) AS b");
    let equal = keys.iter().map(|key| format!("a.{key} = b.{key}")).collect::<Vec<_>>().join(" AND ");
    let times = pick(random, &["a.time >= b.time", "a.time > b.time", "a.time <= b.time", "a.time < b.time"]);
    let condition =
        pick(random, &["a.f > 0", "a.note = 'y' AND a.host > 'alz'", "a.f > b.n", "b.n IS NULL", "b.n > 700"]);
    let sql = |join: &str| {
        format!(
            "SELECT a.host AS v0, a.i AS v1, b.n AS v2, b.time < a.time AS v3 FROM m AS a {join} WHERE {condition} \
             ORDER BY a.time, a.host, a.rack LIMIT 300"
        )
    };
    let on = if equal.is_empty() { String::new() } else { format!(" ON {equal}") };
    let both = if equal.is_empty() { times.to_owned() } else { format!("{equal} AND {times}") };
    [
        sql(&format!("ASOF JOIN {right} MATCH_CONDITION ({times}){on}")),
        sql(&format!("ASOF LEFT JOIN {right} ON {both}")),
    ]
}

fn with_bucket(sql: &str, before: &str, after: &str) -> String {
    match sql.split_once("bucket('") {
        None => sql.to_owned(),
        Some((start, rest)) => {
            let (unit, end) = rest.split_once("')").unwrap();
            format!("{start}{before}INTERVAL '{unit}', time{after}{end}")
        }
    }
}

fn is_close(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        // Sums of floats depend on their order in the last digits.
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        _ => a == b,
    }
}

#[test]
#[cfg_attr(not(part = "python-duckdb"), ignore = "there is no Python with duckdb and pyarrow (FOURNINES_PYTHON)")]
fn duckdb_answers_the_same() {
    let python = python();
    let seed = std::env::var("FOURNINES_SEED").map_or_else(|_| Rng::new().u64(..), |seed| seed.parse().unwrap());
    eprintln!("FOURNINES_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let rows = fill(&server, &mut random);
    let mut statements: Vec<String> = (0..STATEMENTS).map(|_| statement(&mut random)).collect();
    let (nearest, their_nearest): (Vec<String>, Vec<String>) =
        (0..NEAREST).map(|_| nearest_rows(&mut random).into()).unzip();
    let file = dir.path().join("asked.json");
    let in_duckdb = |sql: &String| with_bucket(sql, "time_bucket(", ", TIMESTAMP '1970-01-01 00:00:00')");
    let theirs: Vec<String> = statements.iter().map(in_duckdb).chain(their_nearest).collect();
    statements.extend(nearest);
    let rows: Vec<Value> = rows
        .iter()
        .map(|((host, rack, time), fields)| json!([time, host, rack, fields.f, fields.i, fields.up, fields.note]))
        .collect();
    std::fs::write(&file, json!({ "rows": rows, "statements": theirs }).to_string()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/oracle.py");
    let output = Command::new(python).arg(script).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.lines().count(), statements.len());
    let expected: Vec<Vec<Vec<Value>>> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    compare(&server, &statements, &expected);
    // Once more, with buckets that were worked out ahead wherever they fit.
    for rollup in [
        json!({ "measurement": "m", "interval": "1m" }),
        json!({ "measurement": "m", "interval": "1h", "fields": ["f", "i"] }),
        json!({ "measurement": "m", "interval": "1d" }),
        json!({ "measurement": "m", "interval": "1h", "where": "up", "name": "up" }),
        json!({ "measurement": "m", "interval": "1h", "where": "note IN ('y', 'x') AND f IS NOT NULL", "name": "odd" }),
    ] {
        let reply = post(&format!("{}/api/v1/admin/rollups", server.url), rollup.to_string().as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200);
    compare(&server, &statements, &expected);
    let uses = |sql: &&String| {
        server.sql(&format!("EXPLAIN {}", with_bucket(sql, "date_bin(", ")")), "json").body.contains("rollups=[")
    };
    let used = statements.iter().filter(uses).count();
    assert!(used > STATEMENTS / 10, "{used} statements were answered from rollups");
}

/// Asks the server and compares.
fn compare(server: &Server, statements: &[String], expected: &[Vec<Vec<Value>>]) {
    let mut answered = 0;
    for (sql, expected) in statements.iter().zip(expected) {
        let ours = with_bucket(sql, "date_bin(", ")");
        let reply = server.sql(&ours, "json");
        assert_eq!(reply.status, 200, "{ours}: {}", reply.body);
        let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_str(&reply.body).unwrap();
        let names = expected.first().map_or(0, Vec::len);
        let groups = ours.matches(" AS g").count();
        let name = |at: usize| if at < groups { format!("g{at}") } else { format!("v{}", at - groups) };
        let found: Vec<Vec<Value>> =
            rows.iter().map(|row| (0..names).map(|at| row[&name(at)].clone()).collect()).collect();
        assert_eq!(found.len(), expected.len(), "{ours}");
        for (found, expected) in found.iter().zip(expected) {
            let same = found.iter().zip(expected).all(|(a, b)| is_close(a, b));
            assert!(same, "{ours}\n  ours   {found:?}\n  theirs {expected:?}");
        }
        answered += expected.len();
    }
    assert!(answered > STATEMENTS, "the statements must find rows: {answered}");
}
