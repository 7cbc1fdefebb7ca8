//! Rollups from outside: declared by command and configuration, kept up to date with late rows, deletions, crashes and
//! damage; answers are the same with them and without.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::server::{BIN, Server, post, wait_for};

const START_NS: i64 = 1_767_225_600_000_000_000;
const DAY_NS: i64 = 86_400_000_000_000;

/// A slot every five minutes over three days, of three targets; few fail.
fn lines() -> String {
    let line = |n: i64| {
        let (target, slot) = (n % 3, n / 3);
        let up = n % 97 != 5;
        let ms = if up { 20.0 + (n * 7919 % 1000) as f64 / 7.0 } else { 5000.0 };
        let time = START_NS + slot * 300_000_000_000;
        format!(
            "probe,target=t{target},kind=http up={up},total_ms={ms},status={}i {time}\n",
            if up { 200 } else { 500 }
        )
    };
    (0..3 * 3 * 288).map(line).collect()
}

const DAILY: &str = "SELECT target, date_trunc('day', time) AS day, count(*) AS slots, avg(total_ms) AS mean,
    approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) AS p99, max(total_ms) AS top, last(total_ms, time) AS last
    FROM probe WHERE up GROUP BY target, day ORDER BY target, day";

/// Of how many days a rollup gives the answer.
fn days(server: &Server, sql: &str) -> u32 {
    let plan = server.sql(&format!("EXPLAIN {sql}"), "json").body;
    let Some((_, rest)) = plan.split_once("rollups=[") else { return 0 };
    let (list, _) = rest.split_once(']').unwrap();
    list.split(", ").map(|one| one.split(' ').nth(2).unwrap().parse::<u32>().unwrap()).sum()
}

fn command(server: &Server, arguments: &[&str]) -> Output {
    Command::new(BIN).arg("rollup").args(arguments).args(["--url", &server.url]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn compact(server: &Server) {
    assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200);
}

fn is_close(a: &[Vec<String>], b: &[Vec<String>]) -> bool {
    let same = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * a.abs(),
        _ => a == b,
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.iter().zip(b).all(same))
}

#[track_caller]
fn assert_same(found: &[Vec<String>], expected: &[Vec<String>]) {
    assert!(!expected.is_empty() && is_close(found, expected), "{found:?}\nexpected {expected:?}");
}

#[test]
fn a_rollup_is_used_as_far_as_it_knows_all() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir, "");
    assert_eq!(server.write("?db=watch", lines().as_bytes()).status, 204);
    let rows = |server: &Server| {
        let reply = server.sql_in("watch", DAILY, "csv");
        assert_eq!(reply.status, 200, "{}", reply.body);
        let rows = reply.body.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect());
        rows.collect::<Vec<Vec<String>>>()
    };
    let in_watch = DAILY.replace("FROM probe", "FROM watch.probe");
    let raw = rows(&server);
    assert_eq!(days(&server, &in_watch), 0);
    let added = command(&server, &["add", "probe", "--db", "watch", "--interval", "1h", "--where", "up"]);
    assert_eq!(text(&added.stdout), "probe_1h\n", "{}", text(&added.stderr));
    // The rows are in a head, which rollups do not know.
    assert_eq!(days(&server, &in_watch), 0);
    compact(&server);
    assert_eq!(days(&server, &in_watch), 3);
    assert_same(&rows(&server), &raw);
    // The same rows in other words, and others: without the condition, of a part of an hour, by minutes.
    assert_eq!(days(&server, &in_watch.replace("WHERE up", "WHERE up = true AND up")), 3);
    assert_eq!(days(&server, &in_watch.replace("WHERE up", "")), 0);
    assert_eq!(days(&server, &in_watch.replace("WHERE up", "WHERE up AND status < 400")), 0);
    assert_eq!(days(&server, &in_watch.replace("date_trunc('day'", "date_trunc('minute'")), 0);
    let part =
        in_watch.replace("WHERE up", "WHERE up AND time >= '2026-01-01T23:30:00Z' AND time < '2026-01-02T06:10:00Z'");
    assert_eq!(days(&server, &part), 1, "of the first day there is no whole hour");

    // Late rows count at once, and the rollup of their day no more; those of the others do.
    let late = "probe,target=t0,kind=http up=true,total_ms=900,status=200i 1767312000000000001\n";
    assert_eq!(server.write("?db=watch", late.as_bytes()).status, 204);
    assert_eq!(days(&server, &in_watch), 2);
    let with_late = rows(&server);
    assert_ne!(with_late, raw);
    assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
    assert_same(&rows(&server), &with_late);
    compact(&server);
    assert_eq!(days(&server, &in_watch), 3);
    assert_same(&rows(&server), &with_late);
    // So do deletions.
    let delete = json!({ "db": "watch", "table": "probe", "from": START_NS + 2 * DAY_NS, "to": START_NS + 3 * DAY_NS, "tags": { "target": ["t1"] } });
    assert_eq!(
        post(&format!("{}/api/v1/admin/delete", server.url), delete.to_string().as_bytes()).unwrap().status,
        200
    );
    assert_eq!(days(&server, &in_watch), 2);
    let without = rows(&server);
    assert_eq!(without.len(), with_late.len() - 1);

    // Killed and started again: what was made is still there.
    let server = server.crash(&data_dir, Duration::ZERO);
    assert_eq!(days(&server, &in_watch), 2);
    assert_same(&rows(&server), &without);
    compact(&server);
    assert_eq!(days(&server, &in_watch), 3);
    assert_same(&rows(&server), &without);
    let listed = server.rows(
        "SELECT name, table_schema, \"interval\", condition, days, days_behind, bytes > 0, problem FROM system.rollups",
    );
    assert_eq!(listed, [["probe_1h", "watch", "1h", "up", "3", "0", "true", ""]]);
    server.stop(Signal::SIGTERM);

    // A damaged file costs nothing but its own making.
    let file = rollup_files(&data_dir).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1; // of the first block's series, which every query reads
    std::fs::write(&file, bytes).unwrap();
    let verified = Command::new(BIN).arg("verify").arg(&data_dir).output().unwrap();
    assert!(text(&verified.stdout).contains(".rollup"), "{}", text(&verified.stdout));
    let server = Server::start(&data_dir, "");
    assert_same(&rows(&server), &without);
    assert_eq!(days(&server, &in_watch), 2, "it was found when it was read");
    compact(&server);
    assert_eq!(days(&server, &in_watch), 3);
    assert_same(&rows(&server), &without);
    let removed = command(&server, &["remove", "probe_1h"]);
    assert!(removed.status.success(), "{}", text(&removed.stderr));
    assert_eq!((days(&server, &in_watch), rollup_files(&data_dir)), (0, vec![]));
    assert_same(&rows(&server), &without);
}

fn rollup_files(data_dir: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(data_dir.join("rollups")).unwrap();
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn the_configuration_declares_and_ends_rollups() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let rollup = |interval: &str| {
        format!("[[rollup]]\nname = 'own'\nmeasurement = 'm'\ninterval = '{interval}'\nwhere = 'f > 0.5'\n")
    };
    let server = Server::start(&data_dir, &rollup("1h"));
    let listed = |server: &Server| {
        server.rows("SELECT name, \"interval\", condition, configured, days, problem FROM system.rollups")
    };
    assert_eq!(listed(&server), [["own", "1h", "f > 0.5", "true", "0", ""]], "its table need not be there yet");
    assert_eq!(server.write("", format!("m f=1 {START_NS}\nm f=0.25 {}", START_NS + 1).as_bytes()).status, 204);
    compact(&server);
    assert_eq!(days(&server, "SELECT max(f) FROM m WHERE f > 0.5"), 1);
    assert_eq!(server.rows("SELECT count(*) FROM m WHERE f > 0.5"), [["1"]]);
    for (arguments, said) in [
        (vec!["remove", "own"], "declared in the configuration"),
        (vec!["add", "m", "--interval", "1d", "--name", "own"], "declared in the configuration"),
        (vec!["add", "m", "--interval", "7h"], "divides a day"),
        (vec!["add", "m", "--interval", "1500ms"], "whole seconds"),
        (vec!["add", "m", "--interval", "1d", "--where", "f > g"], "comparisons of fields with values"),
        (vec!["remove", "nothing"], "there is none of that name"),
    ] {
        let refused = command(&server, &arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(text(&refused.stderr).contains(said), "{arguments:?}: {}", text(&refused.stderr));
    }
    // What the table has not, or has of another type, is said.
    assert!(
        command(&server, &["add", "m", "--interval", "1d", "--where", "f = 'x'", "--name", "odd"]).status.success()
    );
    assert!(command(&server, &["add", "m", "--interval", "1d", "--field", "g", "--name", "strange"]).status.success());
    let problems = server.rows("SELECT problem FROM system.rollups WHERE name <> 'own' ORDER BY name");
    assert!(problems[0][0].contains("is a float and is compared with a string"), "{problems:?}");
    assert!(problems[1][0].contains("has no column g"), "{problems:?}");
    assert!(command(&server, &["remove", "odd"]).status.success());
    assert!(command(&server, &["remove", "strange"]).status.success());
    server.stop(Signal::SIGTERM);

    let server = Server::start(&data_dir, &rollup("1d"));
    wait_for("the day in its new form", || listed(&server) == [["own", "1d", "f > 0.5", "true", "1", ""]]);
    assert_eq!(days(&server, "SELECT max(f) FROM m WHERE f > 0.5"), 1);
    server.stop(Signal::SIGTERM);
    let server = Server::start(&data_dir, "");
    assert_eq!(listed(&server).len(), 0);
    assert_eq!(days(&server, "SELECT max(f) FROM m WHERE f > 0.5"), 0);
}

#[test]
fn calendars_are_folded_in_the_scan_and_put_together_from_hours() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    // Every half hour from January to April, over the night when clocks are put forward.
    let line = |n: i64| {
        format!("m,host=h{} v={} {}\n", n % 3, (n * 7919 % 1000) as f64 / 8.0, START_NS + n * 1_800_000_000_000)
    };
    assert_eq!(server.write("", (0..120 * 48).map(line).collect::<String>().as_bytes()).status, 204);
    let statement = |bucket: &str, condition: &str| {
        format!(
            "SELECT {bucket} AS start, host, count(*) AS n, avg(v) AS mean, min(v), max(v), first(v, time), last(v, time),
            approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY v) FROM m {condition} GROUP BY start, host ORDER BY start, host"
        )
    };
    let buckets = [
        ("time_bucket('1d', time, 'Europe/Berlin')", 0, 120),
        ("time_bucket('1mo', time, 'Europe/Berlin')", 0, 120),
        ("time_bucket('1w', time, 'Asia/Kolkata')", 0, 0),
        ("time_bucket('1mo', time)", 120, 120),
        ("date_trunc('month', time)", 120, 120),
        ("date_trunc('quarter', time)", 120, 120),
        ("time_bucket('6h', time, 'America/New_York')", 0, 120),
    ];
    // A condition that the store does not know keeps the groups from being folded.
    let expected = buckets.map(|(bucket, ..)| server.rows(&statement(bucket, "WHERE length(host) = 2")));
    for interval in ["1d", "1h"] {
        assert!(command(&server, &["add", "m", "--interval", interval]).status.success());
        compact(&server);
        for ((bucket, by_days, by_hours), expected) in buckets.iter().zip(&expected) {
            let sql = statement(bucket, "");
            let plan = server.sql(&format!("EXPLAIN {sql}"), "json").body;
            assert!(plan.contains("SummaryExec"), "{plan}");
            // Where hours do not fit either, as in Kolkata, days on which no week begins do.
            let used = days(&server, &sql);
            let at_least = if interval == "1d" { by_days } else { by_hours };
            assert!(used >= *at_least && (used == *at_least || *at_least == 0), "{used} days: {plan}");
            assert_same(&server.rows(&sql), expected);
        }
    }
}
