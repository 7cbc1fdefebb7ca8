//! Clients as the world has them: what they ask when they start, and what they send that is wrong in part.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};

use crate::clients::{python, token};
use crate::protocols::{Message, pair, snappy};
use crate::server::{BIN, Reply, Server, agent, post, reply};

fn start() -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Server::start(&dir.path().join("data"), ""), dir)
}

fn send(server: &Server, path: &str, kind: &str, body: &[u8]) -> Reply {
    let answer = agent().post(format!("{}{path}", server.url)).header("Content-Type", kind).send(body).unwrap();
    let (status, body) = (answer.status().as_u16(), answer.into_body().read_to_vec().unwrap());
    Reply { status, body: String::from_utf8_lossy(&body).into_owned() } // protobuf is no text
}

/// A series of remote write, of either version, with one sample.
fn sample(value: f64) -> Vec<u8> {
    Message::default().eight(1, value.to_bits()).number(2, 1_767_225_600_000).0
}

/// One series with a label that is no UTF-8 was refused with the 2,000 beside it, and the agent threw all of them away.
#[test]
fn one_series_that_cannot_be_read_costs_that_series() {
    let (server, _dir) = start();
    let series = |labels: &[Vec<u8>], value: f64| {
        let labels = labels.iter().fold(Message::default(), |series, label| series.bytes(1, label));
        labels.bytes(2, &sample(value)).0
    };
    let label = |value: &[u8]| Message::default().bytes(1, b"host").bytes(2, value).0;
    let all = [label(b"a"), label(b"\xff\xfe"), label(b"c")].map(|host| series(&[pair("__name__", "rw1"), host], 1.0));
    let request = all.iter().fold(Message::default(), |request, series| request.bytes(1, series));
    let answer = send(&server, "/api/v1/write", "application/x-protobuf", &snappy(request));
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("1 of 3 samples were refused, the others are stored"), "{}", answer.body);
    assert!(answer.body.contains("series 2: a label's value is not UTF-8"), "{}", answer.body);
    assert_eq!(server.rows("SELECT host FROM rw1 ORDER BY host"), [["a"], ["c"]]);

    // A symbol that is none costs who uses it.
    let symbols = [&b""[..], b"__name__", b"rw2", b"host", b"a", b"\xff", b"c"];
    let request = symbols.iter().fold(Message::default(), |request, symbol| request.bytes(4, symbol));
    let request = [4, 5, 6, 99].into_iter().fold(request, |request, host| {
        let mut references = Message::default();
        [1, 2, 3, host].into_iter().for_each(|symbol| references.varint(symbol));
        request.bytes(5, &Message::default().bytes(1, &references.0).bytes(2, &sample(1.0)).0)
    });
    let kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let answer = send(&server, "/api/v1/write", kind, &snappy(request));
    assert!(answer.body.contains("2 of 4 samples were refused"), "{}", answer.body);
    assert_eq!(server.rows("SELECT host FROM rw2 ORDER BY host"), [["a"], ["c"]]);

    // Where nothing can be read, it is another message.
    let bad = Message::default().bytes(1, &series(&[label(b"\xff")], 1.0));
    let answer = send(&server, "/api/v1/write", "application/x-protobuf", &snappy(bad));
    assert!(answer.status == 400 && answer.body.contains("no remote write request"), "{}", answer.body);
}

/// A data point without a value became 0, and one attribute that is no UTF-8 cost the request.
#[test]
fn one_data_point_that_cannot_be_read_costs_that_point() {
    let (server, _dir) = start();
    let attribute =
        |value: &[u8]| Message::default().bytes(1, b"host").bytes(2, &Message::default().bytes(1, value).0).0;
    let point = |host: &[u8]| {
        Message::default().eight(3, 1_767_225_600_000_000_000).eight(4, 1.5f64.to_bits()).bytes(7, &attribute(host)).0
    };
    let without = Message::default().eight(3, 1_767_225_600_000_000_000).bytes(7, &attribute(b"b")).0;
    let gauge = [point(b"a"), point(b"\xff"), without, point(b"d")];
    let gauge = gauge.iter().fold(Message::default(), |gauge, point| gauge.bytes(1, point));
    let good = Message::default().bytes(1, b"otlp").bytes(5, &gauge.0);
    // Its name is none, with two points below it.
    let pair = Message::default().bytes(1, &point(b"x")).bytes(1, &point(b"y"));
    let nameless = Message::default().bytes(1, b"\xff\xff").bytes(5, &pair.0);
    let scope = Message::default().bytes(2, &good.0).bytes(2, &nameless.0);
    let request = Message::default().bytes(1, &Message::default().bytes(2, &scope.0).0);
    let answer = send(&server, "/v1/metrics", "application/x-protobuf", &request.0);
    assert!(answer.status == 200 && answer.body.contains("2 of 6 data points stored, 4 refused"), "{}", answer.body);
    assert_eq!(server.rows("SELECT host, value FROM otlp ORDER BY host"), [["a", "1.5"], ["d", "1.5"]]);

    let point = |host: &str, rest: &str| {
        format!(r#"{{"timeUnixNano":"1767225600000000000","attributes":[{{"key":"host","value":{host}}}]{rest}}}"#)
    };
    let points = [
        point(r#"{"stringValue":"a"}"#, r#","asDouble":1.5"#),
        point("7", r#","asDouble":1.5"#),
        point(r#"{"stringValue":"c"}"#, ""),
        point(r#"{"stringValue":"d"}"#, r#","asInt":"x""#),
        point(r#"{"stringValue":"e"}"#, r#","asInt":"2""#),
    ];
    let request = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"json","gauge":{{"dataPoints":[{}]}}}},
            {{"name":5,"gauge":{{"dataPoints":[{{}},{{}}]}}}}]}}]}}]}}"#,
        points.join(",")
    );
    let answer = send(&server, "/v1/metrics", "application/json", request.as_bytes());
    assert!(answer.status == 200 && answer.body.contains(r#""rejectedDataPoints":"5""#), "{}", answer.body);
    assert_eq!(server.rows("SELECT host, value FROM json ORDER BY host"), [["a", "1.5"], ["e", "2.0"]]);
}

/// An agent packed its bodies and did not say so; a proxy unpacked them and left the word.
#[test]
fn bodies_that_are_packed_otherwise_than_they_say_are_taken() {
    let (server, _dir) = start();
    let gzip = |text: &str| {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let zlib = |text: &str| {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    for (encoding, body) in [
        ("", gzip("m,host=a f=1 1\n")),
        ("", zstd::encode_all(&b"m,host=b f=1 1\n"[..], 1).unwrap()),
        ("gzip", b"m,host=c f=1 1\n".to_vec()),
        ("deflate", zlib("m,host=d f=1 1\n")),
        ("GZIP", gzip("m,host=e f=1 1\n")),
    ] {
        let request = agent().post(format!("{}/write", server.url)).header("Content-Encoding", encoding);
        let answer = reply(request.send(&body)).unwrap();
        assert_eq!(answer.status, 204, "'{encoding}': {}", answer.body);
    }
    let hosts: Vec<String> = server.rows("SELECT host FROM m ORDER BY host").concat();
    assert_eq!(hosts, ["a", "b", "c", "d", "e"]);
}

/// A body of 3 s was cut off by a limit of 1 s for the whole of it, although a line came every 400 ms.
#[test]
fn a_body_that_moves_is_not_too_slow() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "[server]\nbody_timeout = '1s'\n");
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let lines: Vec<String> = (0..8).map(|n| format!("slow f={n} {n}\n")).collect();
    let length = lines.concat().len();
    write!(stream, "POST /write HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
        .unwrap();
    for line in &lines {
        std::thread::sleep(Duration::from_millis(400));
        stream.write_all(line.as_bytes()).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(server.rows("SELECT count(*) FROM slow"), [["8"]]);
}

/// What scripts push to the Pushgateway, and what VictoriaMetrics' agents add to pages.
#[test]
fn pushed_pages_have_the_labels_of_their_group() {
    let (server, _dir) = start();
    let page = "# TYPE done counter\ndone{job=\"inside\",disk=\"sda\"} 7\n";
    for path in ["/metrics/job/backup/host/a", "/metrics/job@base64/YmFjL3Vw"] {
        let answer = reply(agent().put(format!("{}{path}", server.url)).send(page)).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }
    let rows = server.rows("SELECT job, host, disk, value FROM done ORDER BY job");
    assert_eq!(rows, [["bac/up", "", "sda", "7.0"], ["backup", "a", "sda", "7.0"]]);
    assert_eq!(server.rows("SELECT count(*) FROM push_time_seconds WHERE value > 1.7e9"), [["2"]]);
    let answer = reply(agent().put(format!("{}/metrics/job/x", server.url)).send("oops\n")).unwrap();
    assert!(answer.status == 400 && answer.body.contains("line 1"), "{answer:?}");
    let answer = reply(agent().put(format!("{}/metrics/job/x/host", server.url)).send(page)).unwrap();
    assert!(answer.status == 400 && answer.body.contains("'host' in the path has no value"), "{answer:?}");
    let answer = reply(agent().delete(format!("{}/metrics/job/backup", server.url)).call()).unwrap();
    assert_eq!(answer.status, 202);

    let path = "/api/v1/import/prometheus?extra_label=dc=north&extra_label=disk=none&timestamp=1767225600000";
    assert_eq!(post(&format!("{}{path}", server.url), b"extra{disk=\"sda\"} 1\n").unwrap().status, 204);
    let rows = server.rows("SELECT dc, disk, CAST(time AS BIGINT) FROM extra");
    assert_eq!(rows, [["north", "none", "1767225600000000000"]]);
    let answer = post(&format!("{}/api/v1/import/prometheus?extra_label=x", server.url), b"a 1\n").unwrap();
    assert!(answer.status == 400 && answer.body.contains("expected name=value"), "{answer:?}");
}

/// Telegraf, Home Assistant and others ask before they write, and gave up when nobody answered.
#[test]
fn clients_of_influxdb_find_what_they_ask_for_when_they_start() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let [write, read] = ["write", "read"].map(|scope| token(&data_dir, &[scope]));
    let server = Server::start(&data_dir, "");
    let answer = agent().get(format!("{}/ping", server.url)).call().unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("X-Influxdb-Version").as_deref(), Some("1.8.10"));
    assert!(header("X-Influxdb-Build").unwrap().starts_with("fournines "));

    let ask = |token: &str, method: &str, path: &str, body: &str| {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", server.url));
        let request = request.header("Authorization", format!("Token {token}"));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let answer = reply(agent().run(request.body(body.to_owned()).unwrap())).unwrap();
        (answer.status, answer.body)
    };
    // Telegraf: a token that may only write makes its database, and writes with the unit that it is told, which is none.
    let (status, body) = ask(&write, "POST", "/query", "q=CREATE+DATABASE+%22telegraf%22");
    assert_eq!((status, body.as_str()), (200, r#"{"results":[{"statement_id":0}]}"#));
    let (status, body) = ask(&write, "POST", "/query", "q=SHOW+DATABASES");
    assert!(status == 403 && body.contains("scope read"), "{body}");
    assert_eq!(ask(&write, "POST", "/write?db=telegraf&precision=&consistency=any", "cpu,host=a f=1 1").0, 204);
    assert_eq!(ask(&write, "POST", "/write?db=telegraf&no_sync=True&accept_partial=False", "cpu,host=a f=1 2").0, 204);
    // Nobody who has only a name and a password, as in the addresses of InfluxDB 1.
    let unsigned = |path: &str| post(&format!("{}{path}", server.url), b"cpu,host=b f=1 1").unwrap();
    assert_eq!(unsigned(&format!("/write?db=telegraf&u=any&p={write}")).status, 204);
    let refused = agent().post(format!("{}/write?db=telegraf&u=any&p=wrong", server.url)).send("x f=1").unwrap();
    assert_eq!(refused.status(), 401);
    let challenges: Vec<_> =
        refused.headers().get_all("www-authenticate").iter().map(|v| v.to_str().unwrap()).collect();
    assert!(challenges.iter().any(|challenge| challenge.starts_with("Basic realm=")), "{challenges:?}");

    for (query, expected) in [
        ("SHOW DATABASES", r#"{"columns":["name"],"name":"databases","values":[["public"],["telegraf"]]}"#),
        ("SHOW MEASUREMENTS ON telegraf", r#""values":[["cpu"]]"#),
        ("SHOW TAG KEYS ON telegraf FROM cpu", r#"{"columns":["tagKey"],"name":"cpu","values":[["host"]]}"#),
        ("SHOW FIELD KEYS ON telegraf", r#""values":[["f","float"]]"#),
        ("SHOW TAG VALUES ON telegraf WITH KEY = host LIMIT 1", r#""values":[["host","a"]]"#),
        ("SHOW MEASUREMENTS ON nowhere", r#""error":"database not found: nowhere""#),
    ] {
        let path = url::form_urlencoded::Serializer::new("/query?".to_owned()).append_pair("q", query).finish();
        let (status, body) = ask(&read, "GET", &path, "");
        assert!(status == 200 && body.contains(expected), "{query}: {body}");
    }
    let (status, body) = ask(&read, "GET", "/query?db=telegraf&q=SELECT+mean(f)+FROM+cpu", "");
    assert!(status == 400 && body.contains("/api/v3/query_sql"), "{body}");

    // InfluxDB 2 and 3.
    let (status, body) = ask(&read, "GET", "/api/v2/buckets?name=telegraf", "");
    assert!(status == 200 && body.contains(r#""name":"telegraf""#) && !body.contains("public"), "{body}");
    assert_eq!(ask(&write, "POST", "/api/v2/buckets", r#"{"name":"home","orgID":"x"}"#).0, 201);
    assert_eq!(ask(&write, "POST", "/api/v2/buckets", r#"{"name":"home"}"#).0, 422);
    assert_eq!(ask(&write, "POST", "/api/v3/configure/database", r#"{"db":"home3"}"#).0, 201);
    assert_eq!(ask(&write, "POST", "/api/v3/configure/database", r#"{"db":"system"}"#).0, 400);
    let (_, body) = ask(&read, "GET", "/api/v3/configure/database?format=json", "");
    assert!(body.contains(r#"{"iox::database":"home3"}"#), "{body}");
    assert_eq!(ask(&read, "POST", "/api/v2/buckets", r#"{"name":"x"}"#).0, 403);
    assert!(ask(&read, "GET", "/api/v2/orgs?org=mine", "").1.contains(r#""name":"mine""#));
}

/// An end of a line in a name broke every table, header and file that showed it.
#[test]
fn names_with_control_characters_are_refused_on_every_way_in() {
    let (server, _dir) = start();
    let lines = b"good f=1 1\nb\x07d f=1 1\nm,t\x1b[31m=a f=1 1\nm,t=a f\x00=1 1\nm,t=a\x07b f=1 1\n";
    let answer = server.write("", lines);
    assert_eq!(answer.status, 400);
    assert!(
        answer.body.contains("the name of a measurement has a control character: \\\"b\\\\u{7}d"),
        "{}",
        answer.body
    );
    let send = |path: &str, kind: &str, body: &str| send(&server, path, kind, body.as_bytes());
    for (path, kind, body) in [
        ("/api/v1/import/json?measurement=m&tags=t", "application/json", "{\"time\":1,\"t\":\"a\",\"f\\n\":1}"),
        ("/api/v1/import/csv?measurement=m", "text/csv", "time,\"f\u{7}\"\n1,1\n"),
        ("/api/v1/import/json?measurement=m%0A", "application/json", "{\"time\":1,\"f\":1}"),
    ] {
        let answer = send(path, kind, body);
        assert!(answer.status == 400 && answer.body.contains("control character"), "{path}: {}", answer.body);
    }
    let tables =
        server.rows("SELECT table_name FROM information_schema.tables WHERE table_name IN ('good', 'm') ORDER BY 1");
    assert_eq!(tables, [["good"], ["m"]]);
    assert_eq!(server.rows("SELECT count(*) FROM m"), [["1"]], "values may have all characters");
}

/// Rows of a span of time go by InfluxDB 2's path, and others stay.
#[test]
fn rows_are_deleted_as_influxdb_2_has_it() {
    let (server, _dir) = start();
    let lines = "cpu,host=a f=1 1\ncpu,host=b f=1 1\ncpu,host=a f=1 5000000000\nmem,host=a f=1 1\ndisk f=1 1\n";
    assert_eq!(server.write("", lines.as_bytes()).status, 204);
    let delete = |predicate: &str| {
        let body = serde_json::json!({ "start": "1970-01-01T00:00:00Z", "stop": "1970-01-01T00:00:01Z", "predicate": predicate });
        post(&format!("{}/api/v2/delete?org=o&bucket=public", server.url), body.to_string().as_bytes()).unwrap()
    };
    let count = |table: &str| server.rows(&format!("SELECT count(*) FROM {table}"))[0][0].clone();
    assert_eq!(delete("_measurement=\"cpu\" AND host=\"a\"").status, 204);
    assert_eq!([count("cpu"), count("mem"), count("disk")], ["2", "1", "1"]);
    // Of all measurements that have the tag.
    assert_eq!(delete("host=\"a\"").status, 204);
    assert_eq!([count("cpu"), count("mem"), count("disk")], ["2", "0", "1"]);
    let answer = delete("host!=\"a\"");
    assert!(answer.status == 400 && answer.body.contains("expected conditions like"), "{answer:?}");
    assert_eq!(delete("").status, 204);
    assert_eq!([count("cpu"), count("disk")], ["1", "0"]);
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn influxdb_1_client_starts_writes_and_lists() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let token = token(&data_dir, &["write", "read"]);
    let server = Server::start(&data_dir, "").with_token(&token);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/influxdb1.py");
    let output = Command::new(python()).arg("-B").arg(script).args([&server.url, &token]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sent = String::from_utf8(output.stdout).unwrap();
    let stored = server.sql_in("plant", "SELECT count(*) FROM m", "csv").body;
    assert_eq!(stored.lines().nth(1), Some(sent.trim()));
}

#[test]
#[cfg_attr(not(part = "influx"), ignore = "needs influx: .ci/run installs it")]
fn the_influx_command_connects_imports_and_lists() {
    let (server, dir) = start();
    let file = dir.path().join("export.txt");
    let export = "# DDL\nCREATE DATABASE plant WITH NAME autogen\n# DML\n# CONTEXT-DATABASE:plant\n# CONTEXT-RETENTION-POLICY:autogen\ncpu,host=a f=1 1767225600\ncpu,host=b f=2 1767225600\n";
    std::fs::write(&file, export).unwrap();
    let port = server.url.rsplit(':').next().unwrap();
    let influx = |args: &[&str]| {
        let mut command = Command::new("influx");
        let output = command.args(["-host", "127.0.0.1", "-port", port]).args(args).env("HOME", dir.path()).output();
        let output = output.unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let said = influx(&["-import", "-path", file.to_str().unwrap(), "-precision", "s"]);
    assert!(said.contains("Processed 1 commands") && said.contains("Processed 2 inserts"), "{said}");
    assert_eq!(server.sql_in("plant", "SELECT sum(f) FROM cpu", "csv").body.trim(), "sum(cpu.f)\n3.0");
    let said = influx(&["-execute", "SHOW DATABASES"]);
    assert!(said.contains("plant") && said.contains("public"), "{said}");
    let said = influx(&["-database", "plant", "-execute", "SHOW TAG VALUES WITH KEY = host"]);
    assert!(said.contains("host a") && said.contains("host b"), "{said}");
    let said = influx(&["-database", "plant", "-execute", "INSERT cpu,host=c f=4 1"]);
    assert_eq!(said, "");
    assert_eq!(server.sql_in("plant", "SELECT sum(f) FROM cpu", "csv").body.trim(), "sum(cpu.f)\n7.0");
    // Of the same export, our own import takes the lines.
    let output =
        Command::new(BIN).args(["import", "--url", &server.url, "--precision", "s"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.sql_in("plant", "SELECT count(*) FROM cpu", "csv").body.trim(), "count(*)\n3");
}
