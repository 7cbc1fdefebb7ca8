//! Real clients, unmodified, against a server that asks for tokens and is killed under them twice: what they were told
//! is stored is there, each row once and to the bit.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::server::{BIN, Server};

/// The rows that `tests/clients/rows.py` has.
const ROWS: i64 = 400;

fn row(n: i64) -> (String, i64, f64, i64, String, bool) {
    let host = format!("h{}", n % 5);
    (host, 1_767_225_600 + n, (n - 200) as f64 / 7.0, n * 1_000_003, format!("note \"{}\", a=b", n % 3), n % 2 == 0)
}

/// The Python that has the clients; nothing if there is none, which in CI is an error.
pub fn python() -> PathBuf {
    std::env::var_os("FOURNINES_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// A token of a data directory.
pub fn token(data_dir: &Path, scopes: &[&str]) -> String {
    let mut command = Command::new(BIN);
    command.args(["token", "create", "--name", "test", "--data-dir"]).arg(data_dir);
    for scope in scopes {
        command.args(["--scope", scope]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs a client while the server is killed and started again, twice; gives a server with what it stored.
fn run(script: &str, arguments: &[&str]) -> (Server, tempfile::TempDir) {
    let python = python();
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let token = token(&data_dir, &["write", "read"]);
    let mut server = Server::start(&data_dir, "").with_token(&token);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let client = Command::new(python)
        .arg("-B")
        .arg(scripts.join(script))
        .args([&server.url, &token])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let waiting = std::thread::spawn(move || client.wait_with_output().unwrap());
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(900));
        server = server.crash(&data_dir, Duration::ZERO);
    }
    let output = waiting.join().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    (server, dir)
}

/// The whole of what the clients that know rows have sent.
fn check_rows(server: &Server) {
    let sql = "SELECT host, CAST(time AS BIGINT) AS ns, f, n, s, b FROM m WHERE host LIKE 'h_' ORDER BY ns";
    let answer = server.sql(sql, "json");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(rows.len(), ROWS as usize);
    for (n, got) in (0..).zip(&rows) {
        let (host, second, float, integer, text, boolean) = row(n);
        assert_eq!(got["f"].as_f64().unwrap().to_bits(), float.to_bits(), "row {n}: {got}");
        let others = serde_json::json!([host, second * 1_000_000_000, integer, text, boolean]);
        assert_eq!(serde_json::json!([got["host"], got["ns"], got["n"], got["s"], got["b"]]), others);
    }
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn influxdb_client_writes() {
    let (server, _dir) = run("influxdb2.py", &[]);
    // The good line of its partial write has another time.
    assert_eq!(server.rows("SELECT f FROM m WHERE time = TIMESTAMP '1970-01-01 00:00:00.000000001'"), [["1.0"]]);
    assert_eq!(server.sql("SELECT 1", "json").status, 200);
    let others = "SELECT count(*) FROM m WHERE time > TIMESTAMP '2000-01-01 00:00:00'";
    assert_eq!(server.rows(others), [[ROWS.to_string()]]);
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn influxdb3_python_writes() {
    let (server, _dir) = run("influxdb3.py", &[]);
    let rest = "SELECT count(*) FROM m WHERE host = 'whole'";
    assert_eq!(server.rows(rest), [["0"]], "accept_partial=false stores all or nothing");
    assert_eq!(server.rows("SELECT f FROM m WHERE host = 'h0' ORDER BY time LIMIT 1"), [["1.0"]]);
}

/// Its times among the fields were refused, and their rows with them.
#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn questdb_client_writes() {
    let (server, _dir) = run("ilp.py", &[]);
    check_rows(&server);
    let seen = "SELECT count(*) FROM m WHERE seen = CAST(time AS BIGINT) / 1000";
    assert_eq!(server.rows(seen), [[ROWS.to_string()]]);
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn pyarrow_writes() {
    let (server, _dir) = run("arrow.py", &[]);
    check_rows(&server);
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn remote_write_of_other_encoders_is_kept() {
    let (server, _dir) = run("remote_write2.py", &[]);
    for table in ["one", "two"] {
        let rows = server.rows(&format!("SELECT host, CAST(time AS BIGINT) AS ns, value FROM {table} ORDER BY ns"));
        assert_eq!(rows.len(), ROWS as usize);
        for (n, got) in (0..).zip(rows) {
            let (host, second, float, ..) = row(n);
            assert_eq!(got[..2], [host, (second * 1_000_000_000).to_string()]);
            assert_eq!(got[2].parse::<f64>().unwrap().to_bits(), float.to_bits());
        }
    }
    let columns = "count, sum, schema, zero_threshold, zero_count, positive, negative, reset_hint";
    for (table, expected) in [
        ("native_one", "9.0,1.0,3,1e-128,2.0,\"-2:1,3 1:2\",\"\",1"),
        ("native_two", "9.5,1.0,3,1e-128,2.0,\"-2:1,3 1:2.5\",\"\",0"),
    ] {
        assert_eq!(server.rows(&format!("SELECT count(*) FROM {table}")), [[ROWS.to_string()]]);
        let third = format!("SELECT {columns} FROM {table} ORDER BY time OFFSET 3 LIMIT 1");
        let answer = server.sql(&third, "csv").body;
        assert_eq!(answer.lines().nth(1).unwrap().replace("\"\"", ""), expected.replace("\"\"", ""), "{table}");
    }
    let said = "SELECT metric, type, unit, help FROM metric_metadata GROUP BY ALL ORDER BY metric";
    let said = said.replace("GROUP BY ALL", "GROUP BY metric, type, unit, help");
    assert_eq!(server.rows(&said), [["one", "counter", "s", "the first"], ["two", "gauge", "m", "the second"]]);
    // Each written as often as it was sent, and there once.
    assert_ne!(server.rows("SELECT count(*) FROM exemplars"), [["0"]]);
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn opentelemetry_sdk_exports_over_http() {
    check_otlp(&run("otlp.py", &["http"]).0);
}

/// Collectors and SDKs speak gRPC first: nothing came in from those that were not told otherwise.
#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn opentelemetry_sdk_exports_over_grpc() {
    check_otlp(&run("otlp.py", &["grpc"]).0);
}

/// What `otlp.py` has sent.
fn check_otlp(server: &Server) {
    let last = |table: &str, column: &str| {
        let sql =
            format!("SELECT host, {column} FROM {table} WHERE time = (SELECT max(time) FROM {table}) ORDER BY host");
        server.rows(&sql)
    };
    let sum = |host: i64, value: &dyn Fn(i64) -> f64| (0..ROWS).filter(|n| n % 5 == host).map(value).sum::<f64>();
    for host in 0..5 {
        let counted = &last("counter", "value")[host as usize];
        assert_eq!(counted[1].parse::<f64>().unwrap(), sum(host, &|n| row(n).3 as f64));
        assert_eq!(last("updown", "value")[host as usize][1], "-120.0");
        assert_eq!(last("histogram_count", "value")[host as usize][1], "80.0");
        let below = (0..ROWS).filter(|n| n % 5 == host && row(*n).2.abs() <= 2.5).count();
        let sql = "SELECT value FROM histogram_bucket WHERE le = '2.5' AND host = 'h{}' ORDER BY time DESC LIMIT 1";
        assert_eq!(server.rows(&sql.replace("{}", &host.to_string())), [[format!("{below}.0")]]);
        let counts = &last("exponential", "count, zero_count, positive, negative")[host as usize];
        // Every recorded value is in a bucket.
        let all: f64 = counts[3..]
            .join(",")
            .replace('"', "")
            .split(' ')
            .flat_map(|span| {
                span.split(',').map(|part| part.rsplit(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
            })
            .filter_map(|count| count.parse::<f64>().ok())
            .sum();
        assert_eq!(all + counts[2].parse::<f64>().unwrap(), counts[1].parse::<f64>().unwrap(), "{counts:?}");
    }
    let sql = "SELECT \"service.name\", numbers, otel_scope_name, otel_scope_version, \"scope.attribute\", host, exported_value, value \
               FROM gauge ORDER BY time DESC LIMIT 1";
    let gauge = server.sql(sql, "json").body;
    let gauge: serde_json::Value = serde_json::from_str(&gauge).unwrap();
    let expected = serde_json::json!({
        "service.name": "tests", "numbers": "[1,2]", "otel_scope_name": "scope", "otel_scope_version": "1.2",
        "scope.attribute": "true", "host": "h0", "exported_value": "x", "value": row(ROWS - 1).2,
    });
    assert_eq!(gauge[0], expected);
    let said = "SELECT DISTINCT metric, type, unit FROM metric_metadata WHERE metric IN ('counter', 'gauge', 'updown') ORDER BY metric";
    assert_eq!(
        server.rows(said),
        [["counter", "counter", ""], ["gauge", "gauge", "s"], ["updown", "updowncounter", ""]]
    );
}
