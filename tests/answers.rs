//! Answers: formats that programs read, packing, values for placeholders, limits, and the list of queries.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::clients::python;
use crate::server::{BIN, Server, agent, wait_for};

fn server(config: &str) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Server::start(&dir.path().join("data"), config), dir)
}

/// Asks with a body of JSON.
fn ask(server: &Server, body: &serde_json::Value) -> (u16, String) {
    let request = agent().post(format!("{}/api/v3/query_sql", server.url)).header("content-type", "application/json");
    let mut answer = request.send(body.to_string()).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn parquet_and_arrow_have_the_rows_of_json_packed_or_not() {
    let python = python();
    let (server, dir) = server("");
    let line = |n: usize| {
        let text = if n.is_multiple_of(3) { String::new() } else { format!(",s=\"text {}\"", n % 7) };
        format!("m,host=h{} f={},n={n}i,b={}{text} {n}\n", n % 5, n as f64 / 7.0, n.is_multiple_of(2))
    };
    let lines: String = (1..=20_000).map(line).collect();
    assert_eq!(server.write("", lines.as_bytes()).status, 204);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/answers.py");
    let output = Command::new(python).arg("-B").arg(script).arg(&server.url).arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn placeholders_take_values_of_their_own() {
    let (server, _dir) = server("");
    server.write("", b"m,host=a f=1,n=1i 1000000000\nm,host=b f=2,n=2i 2000000000\nm,host=o'c f=3,n=3i 3000000000");
    let rows = |sql: &str, params: serde_json::Value| {
        let (status, body) = ask(&server, &serde_json::json!({ "q": sql, "params": params, "format": "csv" }));
        assert_eq!(status, 200, "{sql}: {body}");
        body.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let by_host = "SELECT host, max(f) AS top FROM m WHERE host = $host AND time >= $from GROUP BY host";
    // The same shape, asked again and again.
    for (host, expected) in
        [("a", vec!["a,1.0"]), ("b", vec!["b,2.0"]), ("o'c", vec!["o'c,3.0"]), ("' OR true --", vec![])]
    {
        assert_eq!(rows(by_host, serde_json::json!({ "host": host, "from": "1970-01-01T00:00:00Z" })), expected);
    }
    assert_eq!(rows(by_host, serde_json::json!({ "host": "b", "from": "1970-01-01T00:00:03Z" })), [""; 0]);
    let list = "SELECT f FROM m WHERE n > $1 AND f < $2 ORDER BY f LIMIT $3";
    assert_eq!(rows(list, serde_json::json!([0, 2.5, 5])), ["1.0", "2.0"]);
    assert_eq!(rows(list, serde_json::json!([-1, 2.5, 1])), ["1.0"]);
    assert_eq!(rows("SELECT $1 IS NULL AS a, $2 AS b", serde_json::json!([null, true])), ["true,true"]);
    let in_query =
        agent().get(format!("{}/api/v3/query_sql", server.url)).query("q", "SELECT host FROM m WHERE n = $n");
    let mut answer = in_query.query("params", r#"{"n": 2}"#).query("format", "csv").call().unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "host\nb\n");
    for (sql, params, reason) in [
        ("SELECT $2", serde_json::json!([1]), "there is no value for $2"),
        ("SELECT $a", serde_json::json!({ "b": 1 }), "there is no value for $a"),
        ("SELECT 1", serde_json::json!([1]), "the statement uses 0"),
        ("SELECT $1", serde_json::json!([{}]), "expected a number, a text, a boolean or null"),
    ] {
        let (status, body) = ask(&server, &serde_json::json!({ "q": sql, "params": params }));
        assert!(status == 400 && body.contains(reason), "{sql}: {status} {body}");
    }
    let (status, body) = ask(&server, &serde_json::json!({ "q": "SELECT $1" }));
    assert!(status == 400 && body.contains("$1"), "{status} {body}");
}

#[test]
fn rows_and_queries_at_a_time_have_limits() {
    let (server, _dir) = server("[query]\nrows_max = 1000\nconcurrency = 1\ntimeout = '1500ms'\n");
    let reply = server.sql("SELECT * FROM generate_series(1, 1000)", "csv");
    assert_eq!((reply.status, reply.body.lines().count()), (200, 1001));
    let reply = server.sql("SELECT * FROM generate_series(1, 1001)", "pretty");
    assert!(reply.status == 422 && reply.body.contains("query.rows_max"), "{} {}", reply.status, reply.body);
    // What is answered without a plan has the same limit.
    let lines: String = (0..1001).map(|n| format!("m,host=a n={n}i {n}\n")).collect();
    assert_eq!(server.write("", lines.as_bytes()).status, 204);
    for _ in 0..2 {
        let reply = server.sql("SELECT n FROM m WHERE host = 'a'", "csv");
        assert!(reply.status == 422 && reply.body.contains("query.rows_max"), "{} {}", reply.status, reply.body);
    }
    // One runs, the other waits in vain; a small one without a plan runs beside them.
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 8";
    std::thread::scope(|scope| {
        let ask = || server.sql(endless, "json");
        let both = [scope.spawn(ask), scope.spawn(ask)];
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(server.rows("SELECT max(n) AS n FROM m WHERE host = 'a' GROUP BY host"), [["1000"]]);
        let replies = both.map(|reply| reply.join().unwrap());
        assert!(replies.iter().all(|reply| reply.status == 503), "{replies:?}");
        assert!(replies.iter().any(|reply| reply.body.contains("query.timeout")), "{replies:?}");
        assert!(replies.iter().any(|reply| reply.body.contains("query.concurrency")), "{replies:?}");
    });
}

#[test]
fn queries_are_listed_with_what_they_cost() {
    let (server, _dir) = server("");
    server.sql("SELECT * FROM generate_series(1, 10)", "csv");
    server.sql("SELECT * FROM nowhere", "csv");
    let slow = "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 8";
    let url = format!("{}/api/v3/query_sql", server.url);
    let impatient: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(1))).build().into();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| impatient.get(&url).query("q", slow).call().is_err());
        wait_for("the slow query to be listed", || {
            server.rows(
                "SELECT count(*) FROM system.queries WHERE state = 'running' AND statement LIKE '%1000000000000%'",
            ) != [["1"]] // itself and the slow one
        });
        assert!(asked.join().unwrap());
    });
    let list = |statement: &str| {
        server.rows(&format!(
            "SELECT state, rows, bytes > 0, planned_ms > 0, total_ms >= planned_ms, error FROM system.queries WHERE statement LIKE '{statement}%' AND db = 'public'"
        ))
    };
    assert_eq!(list("SELECT * FROM generate_series(1, 10)"), [["done", "10", "true", "true", "true", ""]]);
    let failed = list("SELECT * FROM nowhere");
    assert_eq!(failed[0][..3], ["failed", "0", "false"]);
    assert!(failed[0][5..].join(",").contains("nowhere"), "{failed:?}");
    wait_for("the slow query to be given up", || {
        list("SELECT count(*) FROM generate_series(1, 1000000000000)")[0][0] == "given up"
    });
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn the_prompt_completes_goes_on_and_remembers() {
    let python = python();
    let (server, dir) = server("");
    server.write("", b"houses,street=north rooms=3i 1\nhouses,street=south rooms=4i 2");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/prompt.py");
    let output = Command::new(python).arg("-B").arg(script).args([BIN, &server.url]).arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Groups that need more memory than all queries may have are spilled, or the query is refused by name; nothing else
/// notices.
#[test]
fn a_query_of_more_groups_than_memory_disturbs_nobody() {
    let (server, dir) = server("[query]\nmemory = '24MB'\n");
    let greedy = "SELECT count(*), sum(n) FROM (SELECT 'group number ' || value AS g, count(*) AS n FROM generate_series(1, 400000) GROUP BY g)";
    let spilled = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| server.sql(greedy, "csv"));
        let mut written = 0;
        while !asked.is_finished() {
            written += 1;
            assert_eq!(server.write("", format!("m,host=a v={written} {written}").as_bytes()).status, 204);
            assert_eq!(
                server.rows("SELECT max(v) AS v FROM m WHERE host = 'a' GROUP BY host"),
                [[format!("{written}.0")]]
            );
            let folder = std::fs::read_dir(dir.path().join("data/spill")).into_iter().flatten().count();
            spilled.fetch_or(folder > 0, std::sync::atomic::Ordering::Relaxed);
        }
        let reply = asked.join().unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (200, "count(*),sum(n)\n400000,400000\n"));
    });
    assert!(spilled.into_inner(), "it had to write to disk");
}
