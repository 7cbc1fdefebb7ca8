//! Rolled days are Parquet that DuckDB and pyarrow read as it stands, and the store answers the same before and after.

use std::path::Path;
use std::process::Command;

use crate::clients::python;
use crate::server::{BIN, Server, post};

/// Three days of three hosts, one of which has fewer tags, with values that are missing now and then.
fn lines() -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let mut lines = String::new();
    for step in 0..4_000 {
        for host in 0..3 {
            let time = 1_767_225_600_000_000_000i64 + step * 64_000_000_000 + i64::from(host) * 1_000;
            let place = if host == 2 { "" } else { ",place=here\\ and\\ there" };
            let load = f64::from(random.u32(0..10_000)) / 100.0;
            let odd = random.f64() * 1e6;
            lines +=
                &format!("load,host=h{host}{place} count={}i,load={load},odd={odd},up={}", random.i32(..), load < 95.0);
            if random.bool() {
                lines += &format!(",size={}u,note=\"note {}, \\\"quoted\\\"\"", random.u32(..), random.u8(0..5));
            }
            lines += &format!(" {time}\n");
        }
    }
    lines
}

/// Statements that both understand; `ns(...)` is a time as nanoseconds.
const STATEMENTS: [&str; 8] = [
    "SELECT count(*), count(size), count(note), count(place), sum(count), min(ns(time)), max(ns(time)) FROM load",
    "SELECT host, count(*), avg(load), min(odd), max(odd), sum(size) FROM load GROUP BY host ORDER BY host",
    "SELECT place, count(*) FROM load WHERE place IS NOT NULL GROUP BY place",
    "SELECT ns(date_trunc('hour', time)) AS hour, avg(load), max(count) FROM load WHERE host = 'h1' GROUP BY 1 ORDER BY 1",
    "SELECT note, count(*), avg(odd) FROM load WHERE note IS NOT NULL GROUP BY note ORDER BY note",
    "SELECT ns(time) AS at, host, load, count, up FROM load WHERE load > 99.5 ORDER BY 1, 2",
    "SELECT host, sum(CASE WHEN up THEN 1 ELSE 0 END) FROM load WHERE time >= TIMESTAMP '2026-01-02 00:00:00' GROUP BY host ORDER BY host",
    "SELECT count(*), sum(odd) FROM load WHERE time >= TIMESTAMP '2026-01-01 12:00:00' AND time < TIMESTAMP '2026-01-02 12:00:00' AND host <> 'h0'",
];

const DUCKDB: &str = r"
import csv, sys, duckdb
connection = duckdb.connect()
connection.execute('SET TimeZone = ''UTC''')
connection.execute(f'CREATE VIEW load AS SELECT * REPLACE (CAST(time AS TIMESTAMP_NS) AS time) FROM {sys.argv[1]}')
out = csv.writer(sys.stdout)
for statement in sys.argv[2:]:
    for row in connection.execute(statement.replace('ns(', 'epoch_ns(')).fetchall():
        out.writerow(row)
    print('--')
";

const PYARROW: &str = r"
import sys, pyarrow.dataset as ds
table = ds.dataset(sys.argv[1], partitioning='hive').to_table()
print(table.num_rows, sorted(set(table['host'].to_pylist())), table.schema.field('time').type)
print(sorted(set(str(day) for day in table['date'].to_pylist())))
";

fn run(python: &Path, script: &str, arguments: &[&str]) -> String {
    let output = Command::new(python).arg("-c").arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Cells of CSV, comparable: numbers as numbers, absent as nothing.
fn cells(csv: &str) -> Vec<String> {
    let cell = |cell: &str| match (cell, cell.parse::<f64>()) {
        ("True" | "true", _) => "true".to_owned(),
        ("False" | "false", _) => "false".to_owned(),
        (whole, Ok(_)) if whole.parse::<i128>().is_ok() => whole.to_owned(),
        // Sums of floats depend on their order in the last digits.
        (_, Ok(number)) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        (_, Ok(number)) => format!("{number:.9e}"),
        (text, Err(_)) => text.to_owned(),
    };
    csv.lines().flat_map(|line| line.split(',').map(cell).chain(["|".to_owned()]).collect::<Vec<_>>()).collect()
}

fn ours(server: &Server) -> Vec<Vec<String>> {
    let answer = |statement: &&str| {
        let mut sql = (*statement).to_owned();
        // Nested only once in these statements.
        sql = sql
            .replace("ns(date_trunc('hour', time))", "CAST(date_trunc('hour', time) AS BIGINT)")
            .replace("ns(time)", "CAST(time AS BIGINT)");
        let reply = server.sql(&sql, "csv");
        assert_eq!(reply.status, 200, "{sql}: {}", reply.body);
        cells(&reply.body.lines().skip(1).collect::<Vec<_>>().join("\n"))
    };
    STATEMENTS.iter().map(answer).collect()
}

fn duckdb(python: &Path, from: &str) -> Vec<Vec<String>> {
    let output = run(python, DUCKDB, &[&[from], &STATEMENTS[..]].concat());
    output.replace('\r', "").split("--\n").take(STATEMENTS.len()).map(cells).collect()
}

#[test]
#[cfg_attr(not(part = "python-duckdb"), ignore = "there is no Python with duckdb and pyarrow (FOURNINES_PYTHON)")]
fn duckdb_and_pyarrow_read_what_was_rolled_and_the_store_answers_the_same() {
    let python = python();
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir, "");
    assert_eq!(server.write("", lines().as_bytes()).status, 204);
    assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200);
    let before = ours(&server);
    drop(server);

    let exported = dir.path().join("load.parquet");
    let status =
        Command::new(BIN).args(["export", "load", "--data-dir"]).arg(&data_dir).arg("-o").arg(&exported).status();
    assert!(status.unwrap().success());
    let theirs = duckdb(&python, &format!("'{}'", exported.display()));
    for ((statement, ours), theirs) in STATEMENTS.iter().zip(&before).zip(&theirs) {
        assert_eq!(ours, theirs, "before the roll: {statement}");
    }

    let server = Server::start(&data_dir, "[store]\nroll_after = '1s'\n");
    assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200);
    let kinds =
        server.rows("SELECT kind, count(*), sum(rows) FROM system.segments WHERE table_name = 'load' GROUP BY kind");
    assert_eq!(kinds, [["rolled", "3", "12000"]]);
    assert_eq!(ours(&server), before, "after the roll");
    let files = data_dir.join("parquet/load/*/*.parquet");
    let theirs = duckdb(&python, &format!("read_parquet('{}', hive_partitioning = true)", files.display()));
    for ((statement, ours), theirs) in STATEMENTS.iter().zip(&before).zip(&theirs) {
        assert_eq!(ours, theirs, "of the rolled days: {statement}");
    }
    let seen = run(&python, PYARROW, &[data_dir.join("parquet/load").to_str().unwrap()]);
    let mut seen = seen.lines();
    assert_eq!(seen.next(), Some("12000 ['h0', 'h1', 'h2'] timestamp[ns, tz=UTC]"));
    assert_eq!(seen.next(), Some("['2026-01-01', '2026-01-02', '2026-01-03']"));

    // Late rows are seen at once, and rolled in the next time; so is what is deleted.
    assert_eq!(server.write("", b"load,host=h0,place=here\\ and\\ there load=1000 1767225600000000000").status, 204);
    let delete =
        br#"{"table":"load","from":"2026-01-03T00:00:00Z","to":"2026-01-04T00:00:00Z","tags":{"host":["h2"]}}"#;
    assert_eq!(post(&format!("{}/api/v1/admin/delete", server.url), delete).unwrap().status, 200);
    let now = server.rows("SELECT count(*), max(load) FROM load");
    assert!(now[0][0].parse::<u32>().unwrap() < 12_000 && now[0][1] == "1000.0", "{now:?}");
    assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200);
    assert_eq!(server.rows("SELECT count(*), max(load) FROM load"), now);
    let theirs = duckdb(&python, &format!("read_parquet('{}', hive_partitioning = true)", files.display()));
    assert_eq!(ours(&server), theirs);
}
