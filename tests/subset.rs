//! Statements that need no plan, against the same statements with one: the columns with their types, and the rows.
//!
//! Shapes of statements were once planned with values that stood for theirs, and what had held for those was held for
//! all. Now a statement is read word by word (`query/src/subset.rs`), and this test says that it means what the planner
//! takes it for. `FOURNINES_SEED=7` repeats a run.

use std::collections::HashMap;
use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use fastrand::Rng;

use crate::server::{Server, agent, post};

const HOSTS: [&str; 4] = ["alpha", "beta", "it's", "2026-05-01 00:00:00"];
const START_S: i64 = 1_777_593_600;

fn server(random: &mut Rng) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    // Of rows of several series at one time nothing says which is the first or the last: a time is of one series.
    let mut series_at = HashMap::new();
    for round in 0..3 {
        let mut lines = String::new();
        for _ in 0..400 {
            let host = HOSTS[random.usize(..HOSTS.len())].replace(' ', "\\ ");
            let host = if random.u8(..8) == 0 { String::new() } else { format!(",host={host}") };
            let rack = if random.bool() { ",rack=r1" } else { "" };
            let own = (host.clone(), rack);
            let time = std::iter::repeat_with(|| START_S + random.i64(0..72) * 3600 + random.i64(0..50) * 7)
                .find(|time| *series_at.entry(*time).or_insert_with(|| own.clone()) == own)
                .unwrap();
            let (f, i) = (f64::from(random.i32(-40..40)) / 4.0, random.i64(-20..20));
            let mut fields = vec![format!("f={f:?}")];
            fields.extend(random.bool().then(|| format!("i={i}i")));
            fields.extend(random.bool().then(|| format!("u={}u", i.unsigned_abs())));
            fields.extend(random.bool().then(|| format!("up={}", random.bool())));
            fields.extend(random.bool().then(|| format!("note=\"{}\"", ["x", "y", "2026-05-02"][random.usize(..3)])));
            lines.push_str(&format!("m{host}{rack} {} {time}\n", fields.join(",")));
        }
        assert_eq!(server.write("?precision=s", lines.as_bytes()).status, 204);
        let what = ["flush", "compact"].get(round);
        if let Some(what) = what {
            assert_eq!(post(&format!("{}/api/v1/admin/{what}", server.url), b"").unwrap().status, 200);
        }
    }
    (server, dir)
}

fn pick<'a>(random: &mut Rng, all: &[&'a str]) -> &'a str {
    all[random.usize(..all.len())]
}

fn time(random: &mut Rng) -> String {
    let text = pick(
        random,
        &[
            "2026-05-01T06:00:00Z",
            "2026-05-02",
            "2026-05-02 12:00:07",
            "2026-05-03T02:00:00+02:00",
            "2026-05-01T00:00:07.000000001Z",
        ],
    );
    match random.u8(..2) {
        0 => format!("'{text}'"),
        _ => format!("TIMESTAMP '{text}'"),
    }
}

fn condition(random: &mut Rng) -> String {
    let sign = pick(random, &["=", "<>", "!=", "<", "<=", ">", ">="]);
    let order = pick(random, &["=", "<", "<=", ">", ">="]);
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let (host, other) = (quoted(HOSTS[random.usize(..4)]), quoted(HOSTS[random.usize(..4)]));
    let number = pick(random, &["0", "5", "-3", "2.5", "-7.25", "(4)", "100", "-0.0", "1e1"]);
    match random.u8(..18) {
        0 | 1 => format!("time {order} {}", time(random)),
        2 => format!("{} {order} time", time(random)),
        3 => format!("(time BETWEEN {} AND {})", time(random), time(random)),
        4 => format!("host {} {host}", pick(random, &["=", "<>"])),
        5 => format!("{host} = host AND host <> {other}"),
        6 => format!("host {} ({host}, {other})", pick(random, &["IN", "NOT IN"])),
        7 => format!("{} IS {}NULL", pick(random, &["host", "rack", "i", "up", "note"]), pick(random, &["", "NOT "])),
        8 => format!("f {sign} {number}"),
        9 => format!("{number} {sign} f"),
        10 => format!("f IN ({number}, 2)"),
        11 => format!("f BETWEEN -5 AND {number}"),
        12 => format!("i {sign} {}", pick(random, &["0", "5", "-3", "7"])),
        13 => format!("u {sign} {}", pick(random, &["0", "5", "7"])),
        14 => pick(random, &["up", "NOT up", "up = true", "false <> up"]).to_owned(),
        15 => format!("note {sign} {}", pick(random, &["'x'", "'y'", "'2026-05-02'"])),
        16 => format!("note IN ({})", pick(random, &["'x'", "'x', 'zz'"])),
        _ => format!("i IN ({})", pick(random, &["1, 2, 3", "-1"])),
    }
}

fn conditions(random: &mut Rng) -> String {
    let all: Vec<String> = (0..random.usize(..4)).map(|_| condition(random)).collect();
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}

/// Rows in an order that leaves nothing open.
fn rows(random: &mut Rng) -> String {
    let columns = pick(
        random,
        &["*", "time, host, rack, f", "host AS h, time, \"rack\", i, i AS j", "TIME, HOST, RACK, note, up, u"],
    );
    let sql = format!("SELECT {columns} FROM m{}", conditions(random));
    let direction = pick(random, &["", " DESC"]);
    let host = if columns.contains("AS h") { "h" } else { "host" };
    match random.u8(..3) {
        0 => sql,
        1 => format!("{sql} ORDER BY time{direction}, {host}, rack"),
        _ => format!(
            "{sql} ORDER BY time{direction}, {host} NULLS FIRST, rack DESC LIMIT {} OFFSET {}",
            random.u8(..30),
            random.u8(..5)
        ),
    }
}

fn newest(random: &mut Rng) -> String {
    let tags = conditions(random);
    let columns = pick(random, &["*", "host, rack, time, f", "host, i, rack"]);
    let direction = pick(random, &["", " DESC NULLS LAST"]);
    let limit = pick(random, &["", " LIMIT 2"]);
    format!("SELECT DISTINCT ON (host, rack) {columns} FROM m{tags} ORDER BY host{direction}, rack, time DESC{limit}")
}

fn groups(random: &mut Rng) -> String {
    let bucket = pick(
        random,
        &[
            "date_bin(INTERVAL '6 hours', time)",
            "date_bin(INTERVAL '7 minutes', time, TIMESTAMP '2026-05-01 00:03:00')",
            "date_trunc('day', time)",
            "date_trunc('month', time)",
            "time_bucket('1h', time)",
            "time_bucket('1d', time, 'Europe/Berlin')",
            "time_bucket('1mo', time)",
        ],
    );
    let mut items: Vec<String> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    if random.bool() {
        items.push(format!("{bucket} AS t"));
        keys.push(pick(random, &["t", "1", bucket]).to_owned());
    }
    for tag in ["host", "rack"] {
        if random.u8(..3) == 0 {
            items.push(tag.into());
            keys.push(tag.into());
        }
    }
    let order: Vec<String> =
        keys.iter().map(|key| format!("{key}{}", pick(random, &["", " DESC", " NULLS FIRST"]))).collect();
    for at in 0..random.usize(1..4) {
        let aggregate = pick(
            random,
            &[
                "count(*)",
                "count(f)",
                "count(note)",
                "sum(i)",
                "sum(f)",
                "avg(i)",
                "avg(f)",
                "min(f)",
                "max(i)",
                "min(u)",
                "first(f, time)",
                "last(i, time)",
                "last(up, time)",
                "approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY f)",
                "approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY i)",
            ],
        );
        let is_plain = !aggregate.contains(' ') && !items.iter().any(|item| item == aggregate);
        items.push(if is_plain && random.bool() { aggregate.to_owned() } else { format!("{aggregate} AS v{at}") });
    }
    let mut sql = format!("SELECT {} FROM m{}", items.join(", "), conditions(random));
    if !keys.is_empty() {
        let hidden = if random.u8(..6) == 0 && !keys.contains(&"rack".to_owned()) { ", rack" } else { "" };
        sql.push_str(&format!(" GROUP BY {}{hidden}", keys.join(", ")));
        if hidden.is_empty() && random.bool() {
            sql.push_str(&format!(
                " ORDER BY {}{}",
                order.join(", "),
                pick(random, &["", " LIMIT 3", " LIMIT 5 OFFSET 2"])
            ));
        }
    }
    sql
}

/// The columns, and the rows as texts; sorted where the statement leaves their order open.
fn answer(server: &Server, sql: &str, is_sorted: bool) -> (SchemaRef, Vec<String>) {
    let mut reply = agent()
        .get(format!("{}/api/v3/query_sql", server.url))
        .query("q", sql)
        .query("format", "arrow")
        .call()
        .unwrap();
    let status = reply.status().as_u16();
    let bytes = reply.body_mut().read_to_vec().unwrap();
    assert_eq!(status, 200, "{sql}: {}", String::from_utf8_lossy(&bytes));
    let reader = StreamReader::try_new(Cursor::new(bytes), None).unwrap();
    let schema = reader.schema();
    let mut rows: Vec<String> = reader.map(Result::unwrap).flat_map(|batch| texts(&batch)).collect();
    if !is_sorted {
        rows.sort();
    }
    (schema, rows)
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = arrow::util::display::FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|column| rounded(&column.value(row).to_string())).collect::<Vec<_>>().join("|"))
        .collect()
}

/// Sums of floats depend on their order in the last digits.
fn rounded(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(number) if text.contains('.') => format!("{number:.9}"),
        _ => text.to_owned(),
    }
}

#[test]
fn statements_mean_the_same_with_and_without_a_plan() {
    let seed = std::env::var("FOURNINES_SEED").map_or_else(|_| Rng::new().u64(..), |seed| seed.parse().unwrap());
    eprintln!("FOURNINES_SEED={seed}");
    let random = &mut Rng::with_seed(seed);
    let (server, _dir) = server(random);
    let mut found = 0;
    for _ in 0..500 {
        let sql = match random.u8(..4) {
            0 => rows(random),
            1 => newest(random),
            _ => groups(random),
        };
        let is_sorted = sql.contains(" ORDER BY ") && !sql.contains("WITHIN GROUP");
        let direct = answer(&server, &sql, is_sorted);
        // A WITH is not of the subset.
        let planned = answer(&server, &format!("WITH unused AS (SELECT 1) {sql}"), is_sorted);
        assert_eq!(direct.1, planned.1, "{sql}");
        for (own, other) in direct.0.fields().iter().zip(planned.0.fields()) {
            assert_eq!((own.name(), own.data_type()), (other.name(), other.data_type()), "{sql}");
        }
        assert_eq!(direct.0.fields().len(), planned.0.fields().len(), "{sql}");
        found += direct.1.len();
    }
    assert!(found > 1000, "{found} rows were compared");
    // Of the last ones, half are of the subset.
    let counts =
        "SELECT count(*) FILTER (WHERE planned_ms IS NULL) > 50 FROM system.queries WHERE statement NOT LIKE 'WITH%'";
    assert_eq!(server.rows(counts), [["true"]]);
}
