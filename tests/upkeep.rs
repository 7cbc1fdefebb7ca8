//! Verify, snapshot, restore, export and delete, as an operator uses them.

use std::path::Path;
use std::process::{Command, Output};

use crate::server::{BIN, Server, agent, post};

fn fournines(arguments: &[&str]) -> Output {
    Command::new(BIN).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Rows `numbers` of a measurement; everything follows from the number.
fn lines(numbers: std::ops::Range<i64>) -> String {
    let line = |n: i64| {
        let time = 1_767_225_600_000_000_000 + n * 3_600_000_000_000;
        format!("m\\ x,host=h{},a\\=b=c\\,d i={n}i,f={}.5,s=\"say \\\"{n}\\\"\",b={} {time}\n", n % 3, n, n % 2 == 0)
    };
    numbers.map(line).collect()
}

fn count(data_dir: &Path) -> String {
    let statement = "SELECT count(*), sum(i) FROM \"m x\"";
    let output = fournines(&["sql", "--data-dir", data_dir.to_str().unwrap(), "--format", "csv", statement]);
    text(&output.stdout).lines().nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_snapshot_is_whole_while_writes_go_on_and_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "[store]\nhead_max = '20KiB'\n");
    assert_eq!(server.write("", lines(0..500).as_bytes()).status, 204);
    let output = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 0..40 {
                assert_eq!(server.write("", lines(500 + n * 50..550 + n * 50).as_bytes()).status, 204);
            }
        });
        let output = fournines(&["snapshot", "--url", &server.url]);
        writing.join().unwrap();
        output
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
    let snapshot = text(&output.stdout).trim().to_owned();
    assert!(Path::new(&snapshot).is_dir(), "{snapshot}");
    let verified = fournines(&["verify", &snapshot]);
    assert_eq!(verified.status.code(), Some(0), "{}", text(&verified.stdout));

    let restored = dir.path().join("restored");
    let output = fournines(&["restore", &snapshot, restored.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let again = fournines(&["restore", &snapshot, restored.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(2), "a directory with data in it is not written to");
    // Every row from before, and a beginning of those that came meanwhile: they follow from their number.
    let (rows, sum) = count(&restored).split_once(',').map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())).unwrap();
    let (rows, sum): (i64, i64) = (rows, sum);
    assert!((500..=2500).contains(&rows) && rows % 50 == 0 && sum == rows * (rows - 1) / 2, "{rows} rows, sum {sum}");
    assert_eq!(server.rows("SELECT count(*) FROM \"m x\""), [["2500"]]);
}

#[test]
fn verify_names_what_is_damaged_and_answers_carry_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir, "");
    assert_eq!(server.write("", lines(0..100).as_bytes()).status, 204);
    assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200);
    let (status, _) = server.stop(nix::sys::signal::Signal::SIGTERM);
    assert!(status.success());
    let whole = fournines(&["verify", data_dir.to_str().unwrap()]);
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole.stdout));

    let segments = std::fs::read_dir(data_dir.join("segments")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.max().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[60] ^= 4;
    std::fs::write(&segment, bytes).unwrap();
    let damaged = fournines(&["verify", data_dir.to_str().unwrap(), "--format", "json"]);
    assert_eq!(damaged.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&damaged.stdout).unwrap();
    let named = report["damage"][0].as_str().unwrap();
    assert!(named.contains(segment.file_name().unwrap().to_str().unwrap()), "{report}");

    // The first answer that meets the page says so behind its rows or before them; later ones before them.
    let server = Server::start(&data_dir, "");
    for _ in 0..2 {
        let mut warnings = String::new();
        // Whichever table the first page of the file is of.
        for table in ["\"m x\"", "probe", "host"] {
            let output = fournines(&["sql", "--url", &server.url, &format!("SELECT * FROM {table}")]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            warnings += &text(&output.stderr);
        }
        assert_eq!(warnings.matches("warning: damaged rows were left out").count(), 1, "{warnings}");
    }
    let metrics = ureq::get(format!("{}/metrics", server.url)).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(metrics.contains("fournines_store_damaged_total 1"), "{metrics}");
    assert_eq!(std::fs::read_dir(data_dir.join("quarantine")).unwrap().count(), 1);
    let refused = fournines(&["restore", data_dir.to_str().unwrap(), dir.path().join("other").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("is damaged at byte"), "{}", text(&refused.stderr));
}

#[test]
fn exported_line_protocol_is_written_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir, "");
    assert_eq!(server.write("", lines(0..200).as_bytes()).status, 204);
    let statement = "SELECT * FROM \"m x\" ORDER BY time";
    let rows = server.sql(statement, "csv").body;
    drop(server);
    let export = |arguments: &[&str]| {
        let all = [&["export", "m x", "--data-dir", data_dir.to_str().unwrap()], arguments].concat();
        let output = fournines(&all);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let lines = export(&["--format", "lp"]);
    let other = Server::start(&dir.path().join("other"), "");
    assert_eq!(other.write("", lines.as_bytes()).status, 204);
    assert_eq!(other.sql(statement, "csv").body, rows);
    // A part by time: its end is not in it.
    let part = export(&["--format", "csv", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-02T02:00:00Z"]);
    assert_eq!(part.lines().count(), 3, "{part}");
}

#[test]
fn a_delete_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    assert_eq!(server.write("", lines(0..10).as_bytes()).status, 204);
    let delete = |body: &str| post(&format!("{}/api/v1/admin/delete", server.url), body.as_bytes()).unwrap();
    for (body, status, said) in [
        ("", 400, "expected something like"),
        (r#"{"table":"m x"}"#, 400, "missing field `from`"),
        (r#"{"table":"m x","from":"yesterday","to":0}"#, 400, "neither a time like"),
        (r#"{"table":"m x","from":0,"to":1,"wher":1}"#, 400, "unknown field `wher`"),
        (r#"{"table":"nothing","from":0,"to":1}"#, 404, "there is no table"),
        (r#"{"table":"m x","from":0,"to":1,"tags":{"no":["x"]}}"#, 404, "has no column no"),
    ] {
        let reply = delete(body);
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
        assert!(reply.body.contains(said), "{body}: {}", reply.body);
    }
    assert_eq!(server.rows("SELECT count(*) FROM \"m x\""), [["10"]]);
    let good =
        r#"{"table":"m x","from":"2026-01-01T00:00:00Z","to":"2026-01-01T05:00:00Z","tags":{"host":["h1","h2"]}}"#;
    assert_eq!(delete(good).status, 200);
    assert_eq!(server.rows("SELECT count(*) FROM \"m x\""), [["7"]]);
}

/// A field that first came as text refused numbers for good; nothing but a new data directory helped.
#[test]
fn a_table_or_a_field_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir, "");
    let statement = "SELECT count(*), count(v), max(v) FROM m";
    assert_eq!(server.write("", b"m,host=a v=\"12\",w=1 1000\nm,host=a v=\"13\" 2000").status, 204);
    assert_eq!(server.rows(statement), [["2", "2", "13"]]);
    assert_eq!(server.write("", b"m,host=a v=14 3000").status, 400);
    let drop =
        |server: &Server, body: &str| post(&format!("{}/api/v1/admin/drop", server.url), body.as_bytes()).unwrap();
    for (body, status, said) in [
        ("", 400, "expected something like"),
        (r#"{"table":"m","fields":"v"}"#, 400, "unknown field `fields`"),
        (r#"{"table":"none"}"#, 404, "there is no table"),
        (r#"{"table":"m","field":"none"}"#, 404, "has no column none"),
        (r#"{"table":"m","field":"host"}"#, 400, "expected a field"),
        (r#"{"table":"probe"}"#, 400, "is the server's own and stays"),
        (r#"{"table":"outages"}"#, 400, "is a view"),
    ] {
        let reply = drop(&server, body);
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
        assert!(reply.body.contains(said), "{body}: {}", reply.body);
    }
    let rollup = br#"{"measurement":"m","interval":"1d","fields":["v"],"name":"m_v"}"#;
    assert_eq!(post(&format!("{}/api/v1/admin/rollups", server.url), rollup).unwrap().status, 200);
    let refused = drop(&server, r#"{"table":"m","field":"v"}"#);
    assert!(refused.status == 400 && refused.body.contains("rollup 'm_v': it names the field 'v'"), "{}", refused.body);
    assert_eq!(post(&format!("{}/api/v1/admin/rollups/remove", server.url), br#"{"name":"m_v"}"#).unwrap().status, 200);

    assert_eq!(drop(&server, r#"{"table":"m","field":"v"}"#).status, 200);
    let gone = server.sql("SELECT v FROM m", "csv");
    assert!(gone.status == 400 && gone.body.contains('v'), "{}", gone.body);
    assert_eq!(server.write("", b"m,host=a v=14 3000").status, 204);
    assert_eq!(server.rows(statement), [["3", "1", "14.0"]]);
    server.kill();
    let server = Server::start(&data_dir, "");
    assert_eq!(server.rows(statement), [["3", "1", "14.0"]]);

    // As InfluxDB 3 has it.
    let path = format!("{}/api/v3/configure/table?db=public&table=m", server.url);
    assert_eq!(agent().delete(&path).call().unwrap().status(), 200);
    assert_eq!(agent().delete(&path).call().unwrap().status(), 404);
    assert_eq!(server.sql("SELECT * FROM m", "csv").status, 400);
    assert_eq!(server.write("", b"m host=true,v=7i 1000").status, 204);
    assert_eq!(server.rows("SELECT host, v FROM m"), [["true", "7"]]);
}

#[test]
fn rows_that_retention_has_left_are_refused_by_line_and_old_days_leave() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let days_ago = |days: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        (now - days * 86_400) * 1_000_000_000
    };
    let lines =
        |table: &str| -> String { (0..10).map(|day| format!("{table} v={day}i {}\n", days_ago(day))).collect() };
    let server = Server::start(&data_dir, "");
    assert_eq!(server.write("", lines("old").as_bytes()).status, 204);
    assert_eq!(server.write("", lines("kept").as_bytes()).status, 204);
    drop(server);

    let server = Server::start(&data_dir, "[store]\nretention = '5d'\n[store.table.kept]\nretention = '400d'\n");
    let refused = server.write("", lines("new").as_bytes());
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("(store.retention); this row is older"), "{}", refused.body);
    assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200);
    // Whole days leave: today and the five before it stay.
    for (table, rows) in [("new", "6"), ("old", "6"), ("kept", "10")] {
        assert_eq!(server.rows(&format!("SELECT count(*) FROM {table}")), [[rows]], "{table}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn background_work_lets_writers_and_queries_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let niceness = |name: &str| -> String {
        let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).ok());
        let stat = stats.into_iter().find(|stat| stat.contains(&format!("({name})"))).unwrap();
        // proc_pid_stat(5): the name in parentheses is the 2nd word, the niceness the 19th.
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned()
    };
    // The tests may run under `nice` themselves.
    let own = std::fs::read_to_string("/proc/self/stat").unwrap();
    let own: i32 = own.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap();
    crate::server::wait_for("the keeper", || niceness("tsdb-keeper") == own.max(10).to_string());
    // One waits for what piles up where others take all processors: it is no nicer than they are.
    for name in ["tsdb-writer", "tsdb-sealer", "tsdb-hurried"] {
        assert_eq!(niceness(name), own.to_string(), "{name}");
    }
}
