//! SQL over HTTP: tables, push-down, formats, mistakes, limits.

use std::time::Duration;

use crate::server::{Server, agent, post, wait_for};

/// Hours of work without a limit.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 8";

fn server() -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Server::start(&dir.path().join("data"), ""), dir)
}

/// Rows in segments and in the head, overlapping: hosts a and b, ten seconds each, some written twice.
fn fill(server: &Server) {
    let line =
        |host: &str, second: i64, usage: i64| format!("cpu,host={host} usage={usage}i {}\n", second * 1_000_000_000);
    let older: String = (0..8).flat_map(|s| [line("a", s, s), line("b", s, 10 * s)]).collect();
    assert_eq!(server.write("", older.as_bytes()).status, 204);
    assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
    let newer: String = (5..10).flat_map(|s| [line("a", s, 100 + s), line("b", s, 10 * s)]).collect();
    assert_eq!(server.write("", newer.as_bytes()).status, 204);
}

#[test]
fn head_and_segments_are_one_table() {
    let (server, _dir) = server();
    fill(&server);
    let rows =
        server.rows("SELECT host, count(*), sum(usage), min(usage), max(usage) FROM cpu GROUP BY host ORDER BY host");
    assert_eq!(rows, [["a", "10", "545", "0", "109"], ["b", "10", "450", "0", "90"]]);
    let rows = server.rows("SELECT count(*) FROM cpu WHERE host = 'a' AND time >= TIMESTAMP '1970-01-01 00:00:05'");
    assert_eq!(rows, [["5"]]);
    let rows = server.rows("SELECT host, usage FROM cpu WHERE usage > 85 AND host <> 'a'");
    assert_eq!(rows, [["b", "90"]]);
    let rows = server.rows("SELECT usage FROM cpu WHERE host = 'a' ORDER BY time DESC LIMIT 2");
    assert_eq!(rows, [["109"], ["108"]]);
    assert_eq!(server.rows("SELECT usage FROM cpu LIMIT 3").len(), 3);
    // Later columns appear; rows without them read NULL.
    server.write("", b"cpu,host=a,dc=x temp=1.5 99");
    let rows = server.rows("SELECT count(*), count(dc), count(temp), count(usage) FROM cpu");
    assert_eq!(rows, [["21", "1", "1", "20"]]);
}

/// Statements of one shape were planned once; what differs must count all the same.
#[test]
fn statements_of_one_shape_have_answers_of_their_own() {
    let (server, _dir) = server();
    fill(&server);
    let at_most = |host: &str, second: u32| {
        let sql = format!(
            "SELECT host, max(usage) AS top FROM cpu WHERE host = '{host}' AND time <= '1970-01-01T00:00:0{second}Z' GROUP BY host"
        );
        server.rows(&sql)
    };
    assert_eq!(at_most("a", 9), [["a", "109"]]);
    assert_eq!(at_most("b", 9), [["b", "90"]]);
    assert_eq!(at_most("b", 7), [["b", "70"]]);
    assert!(at_most("c", 9).is_empty());
    assert!(at_most("1970-01-01 00:00:00", 9).is_empty(), "a host that looks like a time");
    // What a key has in the place of a literal is no literal.
    let odd =
        server.sql("SELECT host, max(usage) AS top FROM cpu WHERE host = \u{2} AND time <= \u{1} GROUP BY host", "csv");
    assert_eq!(odd.status, 400, "{}", odd.body);
    // Time goes on.
    let recent = "SELECT count(*) FROM cpu WHERE time > now() - INTERVAL '3 seconds'";
    assert_eq!(server.write("", b"cpu,host=now usage=1i").status, 204);
    assert_eq!(server.rows(recent), [["1"]]);
    wait_for("the row to be too old", || server.rows(recent) == [["0"]]);
}

/// The newest row of each group comes from memory; it must be the one that reading everything gives.
#[test]
fn newest_rows_are_those_of_the_whole_table() {
    let (server, _dir) = server();
    fill(&server);
    server.write(
        "",
        b"cpu,host=c usage=7i,idle=1.5 3000000000\ncpu,host=c idle=2.5 9000000000\ncpu,host=a,dc=x usage=1i 2000000000",
    );
    let newest = [
        "SELECT DISTINCT ON (host) host, time, usage, idle FROM cpu ORDER BY host, time DESC",
        "SELECT host, first_value(time ORDER BY time DESC) AS time, first_value(usage ORDER BY time DESC) AS usage, first_value(idle ORDER BY time DESC) AS idle FROM cpu GROUP BY host ORDER BY host",
        "SELECT host, last_value(time ORDER BY time) AS time, last_value(usage ORDER BY time) AS usage, last_value(idle ORDER BY time) AS idle FROM cpu GROUP BY host ORDER BY host",
    ];
    let expected = [
        ["a", "1970-01-01T00:00:09Z", "109", ""],
        ["b", "1970-01-01T00:00:09Z", "90", ""],
        ["c", "1970-01-01T00:00:09Z", "", "2.5"],
    ];
    for sql in newest {
        // Planned first, then without a plan.
        for _ in 0..3 {
            assert_eq!(server.rows(sql), expected, "{sql}");
        }
        let plan = server.sql(&format!("EXPLAIN {sql}"), "pretty").body;
        assert!(plan.contains("NewestExec: table=cpu, by=[host]"), "{plan}");
    }
    let of = |host: &str| {
        server.rows(&format!(
            "SELECT DISTINCT ON (host) host, usage FROM cpu WHERE host = '{host}' ORDER BY host, time DESC"
        ))
    };
    assert_eq!(
        (of("a"), of("b"), of("d").len()),
        (vec![vec!["a".into(), "109".into()]], vec![vec!["b".into(), "90".into()]], 0)
    );
    // What has conditions on time or on fields, or an order of its own, is read.
    for (sql, usage) in [
        (
            "SELECT DISTINCT ON (host) usage FROM cpu WHERE host = 'a' AND time < TIMESTAMP '1970-01-01T00:00:04' ORDER BY host, time DESC",
            "3",
        ),
        ("SELECT DISTINCT ON (host) usage FROM cpu WHERE host = 'a' AND usage < 100 ORDER BY host, time DESC", "4"),
        ("SELECT DISTINCT ON (host) usage FROM cpu WHERE host = 'a' ORDER BY host, time", "0"),
        ("SELECT DISTINCT ON (host) usage FROM cpu WHERE host = 'b' ORDER BY host, usage DESC", "90"),
        ("SELECT last(usage, time) FROM cpu WHERE host = 'c' GROUP BY host", "7"),
    ] {
        assert_eq!(server.rows(sql), [[usage]], "{sql}");
        assert!(!server.sql(&format!("EXPLAIN {sql}"), "pretty").body.contains("NewestExec"), "{sql}");
    }
    let delete = r#"{"table":"cpu","from":"1970-01-01T00:00:08Z","to":"1970-01-01T00:01:00Z","tags":{"host":["a"]}}"#;
    assert_eq!(post(&format!("{}/api/v1/admin/delete", server.url), delete.as_bytes()).unwrap().status, 200);
    assert_eq!(server.rows(newest[0])[0], ["a", "1970-01-01T00:00:07Z", "107", ""]);
}

/// The latest buckets are read from the end on; they must be those of the whole table, however far back they lie.
#[test]
fn the_latest_buckets_are_those_of_the_whole_table() {
    let (server, _dir) = server();
    let line = |second: i64| format!("m,host=h{} v={second}i {}\n", second % 3, second * 1_000_000_000);
    // Dense in the end, with a long gap before, and sparse far back.
    let seconds: Vec<i64> = (0..20).map(|n| n * 5000).chain((0..600).map(|n| 10_000_000 + n)).collect();
    assert_eq!(server.write("", seconds.iter().map(|second| line(*second)).collect::<String>().as_bytes()).status, 204);
    let by_minute = |condition: &str, limit: usize, offset: usize| {
        let sql = |order: &str| {
            format!(
                "SELECT date_bin(INTERVAL '1 minute', time) AS minute, max(v) AS top, count(*) AS n FROM m WHERE {condition} GROUP BY minute {order}"
            )
        };
        let latest = server.rows(&sql(&format!("ORDER BY minute DESC LIMIT {limit} OFFSET {offset}")));
        let mut all = server.rows(&sql("ORDER BY minute"));
        all.reverse();
        let expected: Vec<_> = all.into_iter().skip(offset).take(limit).collect();
        assert_eq!(latest, expected, "{condition} {limit} {offset}");
        latest.len()
    };
    for _ in 0..2 {
        assert_eq!(by_minute("time < TIMESTAMP '1970-04-26T18:00:00Z'", 5, 0), 5);
        assert_eq!(by_minute("time < TIMESTAMP '1970-04-26T18:00:00Z'", 15, 2), 15);
        assert_eq!(by_minute("time < TIMESTAMP '1970-04-26T17:50:30Z'", 3, 0), 3);
        assert_eq!(by_minute("time < TIMESTAMP '1970-01-02T00:00:00Z'", 4, 1), 4);
        assert_eq!(by_minute("time < TIMESTAMP '1970-01-01T01:00:00Z'", 4, 0), 1);
        assert_eq!(by_minute("time < TIMESTAMP '1969-01-01T00:00:00Z'", 4, 0), 0);
        assert_eq!(by_minute("host = 'h1'", 100, 0), 17);
    }
}

/// `lag` by series comes from the scan; it must be what a sort gives.
#[test]
fn the_row_before_is_that_of_the_same_series() {
    let (server, _dir) = server();
    let line = |host: &str, second: i64, up: i64| {
        format!("s,host={host},dc=x up={up}i,v={second} {}\n", second * 7_000 * 1_000_000_000)
    };
    let mut random = fastrand::Rng::with_seed(7);
    let mut lines = |range: std::ops::Range<i64>| {
        let mut lines = String::new();
        for second in range {
            for host in ["c", "a", "b"] {
                // Some rows are missing, some come twice, some have no value.
                if random.u8(..) > 30 {
                    lines.push_str(&line(host, second, i64::from(random.u8(..) > 90)));
                }
            }
            lines.push_str(&format!("s,host=a,dc=y v=1 {}\n", second * 9_000 * 1_000_000_000));
        }
        lines
    };
    assert_eq!(server.write("", lines(0..150).as_bytes()).status, 204);
    assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
    assert_eq!(server.write("", lines(100..200).as_bytes()).status, 204);
    let lag = |over: &str, condition: &str| {
        format!(
            "SELECT host, dc, time, up, lag(up) OVER (PARTITION BY {over} ORDER BY time) AS before FROM s {condition} ORDER BY host, dc, time"
        )
    };
    for condition in [
        "",
        "WHERE host <> 'b'",
        "WHERE time >= '1970-01-03T00:00:00Z' AND time < '1970-01-12T00:00:00Z' AND host IN ('a', 'c')",
        "WHERE host = 'none'",
    ] {
        let in_scan = lag("dc, host", condition);
        let plan = server.sql(&format!("EXPLAIN {in_scan}"), "pretty").body;
        assert!(plan.contains("with the row before") && !plan.contains("WindowAgg"), "{plan}");
        // An expression that is no tag is left to DataFusion.
        let sorted = lag("dc, host, upper(dc)", condition);
        assert!(server.sql(&format!("EXPLAIN {sorted}"), "pretty").body.contains("WindowAgg"));
        assert_eq!(server.rows(&in_scan), server.rows(&sorted), "{condition}");
    }
    let falls = |over: &str, condition: &str| {
        format!(
            "SELECT host, count(*) AS falls FROM (SELECT host, up, time, lag(up) OVER (PARTITION BY {over} ORDER BY time) AS before FROM s) WHERE {condition} GROUP BY host ORDER BY host"
        )
    };
    for condition in [
        "up = 0 AND before = 1",
        "before IS NULL",
        "up IS NULL OR before IS NULL",
        "up <> before AND host <> 'b'",
        "before = 0",
        "up = 1 AND before IS NOT NULL",
        "up = (SELECT min(up) FROM s) AND before > 0",
        "up + before = 1 AND time > '1970-01-01T00:00:10Z'",
        "up = 7 AND before = 7",
    ] {
        let (in_scan, sorted) = (falls("host, dc", condition), falls("host, dc, upper(dc)", condition));
        let plan = server.sql(&format!("EXPLAIN {in_scan}"), "pretty").body;
        assert!(plan.contains("with the row before"), "{plan}");
        assert_eq!(plan.contains("FilterExec"), condition.contains("SELECT"), "{plan}");
        assert_eq!(server.rows(&in_scan), server.rows(&sorted), "{condition}");
    }
    assert!(server.rows(&falls("host, dc", "up = 0 AND before = 1")).len() == 3);
    // By fewer tags several series may be one partition, or not.
    let alone = lag("host", "WHERE dc = 'x'");
    assert!(server.sql(&format!("EXPLAIN {alone}"), "pretty").body.contains("with the row before"));
    assert_eq!(server.rows(&alone), server.rows(&lag("host, upper(dc)", "WHERE dc = 'x'")));
    assert!(server.sql(&format!("EXPLAIN {}", lag("host", "")), "pretty").body.contains("WindowAgg"));
    // Only those count that are read: this one begins a year later.
    let later: String =
        (0..50).map(|n| format!("s,host=a,dc=z up={}i {}\n", n % 2, 31_536_000_000_000_000i64 + n)).collect();
    assert_eq!(server.write("", later.as_bytes()).status, 204);
    assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
    let (early, all) = ("WHERE dc <> 'y' AND time < '1970-06-01T00:00:00Z'", "WHERE dc <> 'y'");
    assert!(server.sql(&format!("EXPLAIN {}", lag("host", early)), "pretty").body.contains("with the row before"));
    assert!(server.sql(&format!("EXPLAIN {}", lag("host", all)), "pretty").body.contains("WindowAgg"));
    for condition in [early, all] {
        assert_eq!(
            server.rows(&lag("host", condition)),
            server.rows(&lag("host, upper(host)", condition)),
            "{condition}"
        );
    }
    for other in ["lag(up, 2)", "lag(up, 1, 0)", "lead(up)", "lag(up) IGNORE NULLS"] {
        let sql = lag("host, dc", "").replace("lag(up)", other);
        assert!(server.sql(&format!("EXPLAIN {sql}"), "pretty").body.contains("WindowAgg"), "{other}");
    }
}

/// A table that lacks columns which it is known to have is read through a view; what is answered in the scan stays so.
#[test]
fn a_probe_table_of_few_columns_is_answered_in_the_scan_too() {
    let (server, _dir) = server();
    let lines = "probe,target=a up=true,total_ms=1 1000000000\nprobe,target=a up=false,total_ms=3 2000000000\nprobe,target=b up=true,total_ms=5 2000000000";
    assert_eq!(server.write("?db=few", lines.as_bytes()).status, 204);
    let rows = |sql: &str| {
        let reply = server.sql_in("few", sql, "csv");
        assert_eq!(reply.status, 200, "{sql}: {}", reply.body);
        reply.body.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    for (sql, node, expected) in [
        (
            "SELECT target, max(total_ms) AS top FROM probe WHERE time >= '1970-01-01T00:00:01Z' GROUP BY target ORDER BY target",
            "SummaryExec",
            vec!["a,3.0", "b,5.0"],
        ),
        (
            "SELECT DISTINCT ON (target) target, total_ms FROM probe ORDER BY target, time DESC",
            "NewestExec",
            vec!["a,3.0", "b,5.0"],
        ),
        (
            "SELECT total_ms, lag(total_ms) OVER (PARTITION BY target ORDER BY time) AS before FROM probe ORDER BY total_ms",
            "with the row before",
            vec!["1.0,", "3.0,1.0", "5.0,"],
        ),
    ] {
        let plan = server.sql_in("few", &format!("EXPLAIN {sql}"), "pretty").body;
        assert!(plan.contains(node), "{sql}: {plan}");
        for _ in 0..2 {
            assert_eq!(rows(sql), expected, "{sql}");
        }
    }
    let missing = "SELECT location, max(total_ms) AS top FROM probe GROUP BY location";
    assert_eq!(rows(missing), [",5.0"]);
    assert_eq!(rows("SELECT location, total_ms FROM probe WHERE target = 'b'"), [",5.0"]);
}

/// A few rows by conditions need no plan from the second statement on; what differs must count all the same.
#[test]
fn some_rows_have_answers_of_their_own() {
    let (server, _dir) = server();
    fill(&server);
    let of = |host: &str, usage: i64, from: i64| {
        let sql = format!(
            "SELECT time, usage FROM cpu WHERE host = '{host}' AND usage > {usage} AND time >= '1970-01-01T00:00:0{from}Z' AND time < '1970-01-01T00:00:09Z' ORDER BY time DESC LIMIT 2"
        );
        server.rows(&sql).into_iter().map(|row| row[1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("a", 3, 0), ["108", "107"]);
    assert_eq!(of("b", 3, 0), ["80", "70"]);
    assert_eq!(of("b", 79, 0), ["80"]);
    assert_eq!(of("b", 3, 8), ["80"]);
    assert!(of("c", 3, 0).is_empty());
    server.write("", b"cpu,host=c usage=5i,more=1 8000000000");
    assert_eq!(of("c", 3, 0), ["5"], "a table that has got a column since");
    let all =
        |host: &str| server.rows(&format!("SELECT * FROM cpu WHERE host = '{host}' AND time = '1970-01-01T00:00:08Z'"));
    assert_eq!(all("b"), [["1970-01-01T00:00:08Z", "b", "80", ""]]);
    assert_eq!(all("c"), [["1970-01-01T00:00:08Z", "c", "5", "1.0"]]);
    // NULL is not more than 0.
    let more = |host: &str| server.rows(&format!("SELECT usage FROM cpu WHERE more > 0 AND host = '{host}'"));
    assert_eq!((more("a").len(), more("c").len()), (0, 1));
}

#[test]
fn percentiles_of_sketches_are_right_and_merge() {
    let (server, _dir) = server();
    let lines: String = (0..3000).map(|n| format!("ms v={} {n}\n", 1.01f64.powi(n % 1000))).collect();
    assert_eq!(server.write("", lines.as_bytes()).status, 204);
    let number = |sql: &str| server.rows(sql)[0][0].parse::<f64>().unwrap();
    let exact = 1.01f64.powi(989);
    let in_scan = number("SELECT approx_percentile_cont(v, 0.99) FROM ms");
    assert!((in_scan / exact - 1.0).abs() < 0.001, "{in_scan} for {exact}");
    for other in [
        "SELECT approx_percentile_cont(v * 1.0, 0.99) FROM ms",
        "SELECT approx_percentile_cont(0.01) WITHIN GROUP (ORDER BY v DESC) FROM ms",
        "SELECT hdr_quantile(hdr_sketch(v), 0.99) FROM ms",
        "SELECT hdr_quantile(hdr_merge(s), 0.99) FROM (SELECT date_bin(INTERVAL '100 nanoseconds', time) AS t, hdr_sketch(v) AS s FROM ms GROUP BY t)",
    ] {
        assert_eq!(number(other), in_scan, "{other}");
    }
    assert_eq!(number("SELECT hdr_count(hdr_sketch(v)) FROM ms"), 3000.0);
    assert_eq!(number("SELECT hdr_rank(hdr_sketch(v), 1e9) FROM ms"), 1.0);
    for wrong in
        ["approx_percentile_cont(v, 1.5)", "approx_percentile_cont(v * 1.0, 1.5)", "hdr_quantile(hdr_sketch(v), 1.5)"]
    {
        let reply = server.sql(&format!("SELECT {wrong} FROM ms"), "json");
        assert!(reply.status == 400 && reply.body.contains("from 0 to 1"), "{wrong}: {} {}", reply.status, reply.body);
    }
}

#[test]
fn explain_shows_what_is_pushed_down() {
    let (server, _dir) = server();
    fill(&server);
    let plan = server.sql(
        "EXPLAIN SELECT usage FROM cpu WHERE host IN ('a', 'b') AND time >= '1970-01-01T00:00:01Z' AND time < '1970-01-01T00:00:02Z'",
        "pretty",
    );
    let scan = plan.body.lines().find(|line| line.contains("ScanExec")).expect(&plan.body);
    assert!(scan.contains("columns=[usage]"), "{scan}");
    assert!(scan.contains("time=1970-01-01T00:00:01Z..=1970-01-01T00:00:01.999999999Z"), "{scan}");
    assert!(scan.contains("tags=[host in (a, b)]"), "{scan}");
    assert!(!plan.body.contains("FilterExec"), "what the store filters is not filtered again: {}", plan.body);
    let plan = server.sql(
        "EXPLAIN SELECT host, date_bin(INTERVAL '1 minute', time) AS t, avg(usage) FROM cpu WHERE host IN ('a', 'b') GROUP BY t, host HAVING count(*) > 1",
        "pretty",
    );
    let scan = plan.body.lines().find(|line| line.contains("SummaryExec")).expect(&plan.body);
    assert!(
        scan.contains("table=cpu, bucket=60s, by=[host], aggregates=[mean(usage), count(*)], tags=[host in (a, b)]"),
        "{scan}"
    );
    assert!(!plan.body.contains("AggregateExec"), "what the store aggregates is not aggregated again: {}", plan.body);
}

#[test]
fn every_format_and_every_way_to_ask() {
    let (server, _dir) = server();
    server.write("", b"m,t=x f=1.5,s=\"a,b\\\"c\" 1\nm f=2 2");
    let sql = "SELECT * FROM m ORDER BY time";
    assert_eq!(
        server.sql(sql, "json").body,
        "[{\"time\":\"1970-01-01T00:00:00.000000001Z\",\"t\":\"x\",\"f\":1.5,\"s\":\"a,b\\\"c\"},\
         {\"time\":\"1970-01-01T00:00:00.000000002Z\",\"t\":null,\"f\":2.0,\"s\":null}]\n"
    );
    assert_eq!(server.sql(sql, "jsonl").body.lines().count(), 2);
    assert_eq!(
        server.sql(sql, "csv").body,
        "time,t,f,s\n1970-01-01T00:00:00.000000001Z,x,1.5,\"a,b\"\"c\"\n1970-01-01T00:00:00.000000002Z,,2.0,\n"
    );
    assert!(server.sql(sql, "pretty").body.contains("| 1970-01-01T00:00:00.000000001Z | x | 1.5 | a,b\"c |"));
    let none = "SELECT f FROM m WHERE f > 99";
    assert_eq!(server.sql(none, "json").body, "[]\n");
    assert_eq!(server.sql(none, "csv").body, "f\n");
    let url = format!("{}/api/v3/query_sql", server.url);
    let json = agent().post(&url).header("content-type", "application/json");
    let body = r#"{"q": "SELECT f FROM m WHERE f = 2", "format": "jsonl"}"#;
    assert_eq!(json.send(body).unwrap().body_mut().read_to_string().unwrap(), "{\"f\":2.0}\n");
    let form = agent().post(&url).send_form([("q", "SELECT f FROM m WHERE f = 2"), ("format", "csv")]);
    assert_eq!(form.unwrap().body_mut().read_to_string().unwrap(), "f\n2.0\n");
}

#[test]
fn mistakes_say_what_was_expected() {
    let (server, _dir) = server();
    for (sql, format, said) in [
        ("SELEC 1", "json", "SELEC"),
        ("SELECT * FROM nothing", "json", "nothing"),
        ("SELECT missing FROM host", "json", "missing"),
        ("SELECT 1", "xml", "format: expected one of json, jsonl, csv, parquet, arrow, pretty"),
        ("", "json", "expected a statement in the parameter q"),
    ] {
        let reply = server.sql(sql, format);
        assert!(reply.status == 400 && reply.body.contains(said), "{sql}: {} {}", reply.status, reply.body);
    }
    let reply = post(&format!("{}/api/v3/query_sql?w=1", server.url), b"").unwrap();
    assert!(reply.status == 400 && reply.body.contains("parameter 'w' is not known"), "{}", reply.body);
    let reply = post(&format!("{}/nowhere", server.url), b"").unwrap();
    assert!(reply.status == 404 && reply.body.contains("/write"), "{}", reply.body);
    let reply = post(&format!("{}/health", server.url), b"").unwrap();
    assert!(reply.status == 405 && reply.body.contains("GET"), "{}", reply.body);
}

#[test]
fn limits_name_their_knob_and_the_server_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[query]\ntimeout = '1s'\nmemory = '4MB'\n";
    let server = Server::start(&dir.path().join("data"), config);
    let reply = server.sql(ENDLESS, "json");
    assert!(reply.status == 503 && reply.body.contains("query.timeout"), "{} {}", reply.status, reply.body);
    // The table of a hash join is not spilled.
    let greedy =
        "SELECT count(*) FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b ON a.value = b.value";
    let reply = server.sql(greedy, "json");
    assert!(reply.status == 503 && reply.body.contains("query.memory"), "{} {}", reply.status, reply.body);
    assert_eq!(server.rows("SELECT 1"), [["1"]]);
}

#[test]
fn an_error_after_the_first_rows_cuts_the_answer_off() {
    let (server, _dir) = server();
    let late = "SELECT 1 / (900000 - value) AS x FROM generate_series(1, 1000000)";
    for format in ["json", "jsonl", "csv"] {
        let request = agent().get(format!("{}/api/v3/query_sql", server.url)).query("q", late).query("format", format);
        let mut answer = request.call().unwrap();
        assert_eq!(answer.status(), 200, "{format}: rows were on their way");
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec();
        assert!(body.is_err(), "{format}: a cut answer must not look like a whole one");
    }
    let cli = std::process::Command::new(crate::server::BIN)
        .args(["sql", "--format", "csv", "--url", &server.url, late])
        .output();
    let cli = cli.unwrap();
    assert_eq!(cli.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&cli.stderr).contains("the answer broke off"), "{cli:?}");
    // Before the first row it is an error like any other.
    let reply = server.sql("SELECT 1 / (1 - value) AS x FROM generate_series(1, 1)", "json");
    assert!(
        reply.status >= 400 && reply.body.to_lowercase().contains("divide by zero"),
        "{} {}",
        reply.status,
        reply.body
    );
}

#[test]
fn a_query_whose_client_went_away_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "[query]\ntimeout = '1h'\n");
    let impatient: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_millis(300))).build().into();
    let given_up = impatient.get(format!("{}/api/v3/query_sql", server.url)).query("q", ENDLESS).call();
    assert!(given_up.is_err());
    let cpu_ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // A running query burns about a hundred ticks a second.
    wait_for("the server to be idle", || {
        let before = cpu_ticks();
        std::thread::sleep(Duration::from_millis(500));
        cpu_ticks() - before < 25
    });
}

#[test]
fn metrics_tell_what_was_done() {
    let (server, _dir) = server();
    server.write("", b"m,t=a f=1 1\nm,t=b f=2 2\nm f=bad 3");
    post(&format!("{}/nowhere", server.url), b"").unwrap();
    let text = agent().get(format!("{}/metrics", server.url)).call().unwrap().body_mut().read_to_string().unwrap();
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(value("fournines_store_rows_written_total") >= 2.0);
    assert!(value("fournines_store_series") >= 2.0);
    assert!(value("fournines_store_commits_total") >= 1.0);
    assert!(value("fournines_store_head_bytes") > 0.0);
    assert_eq!(value("fournines_store_read_only"), 0.0);
    assert_eq!(value(r#"fournines_http_requests_total{path="/write",status="400"}"#), 1.0);
    assert_eq!(value(r#"fournines_http_requests_total{path="other",status="404"}"#), 1.0);
    assert!(text.ends_with("# EOF\n"), "OpenMetrics ends so");
}

#[test]
fn the_first_and_the_last_rows_are_those_of_a_sort() {
    let (server, _dir) = server();
    // Two bursts with a gap of days between them, and times that several rows share.
    let line = |n: i64| {
        let time = if n < 90_000 { n / 3 } else { 500_000_000_000_000 + n / 2 };
        format!("m,host=h{} v={},up={} {time}\n", n % 7, n % 1000, n % 10 != 0)
    };
    for part in 0..11 {
        let lines: String = (part * 10_000..(part + 1) * 10_000).map(line).collect();
        assert_eq!(server.write("", lines.as_bytes()).status, 204);
        if part % 4 == 0 {
            assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
        }
    }
    let tail = ["DESC LIMIT 5", "LIMIT 7", "DESC LIMIT 20 OFFSET 12345", "DESC LIMIT 30000", "LIMIT 100 OFFSET 89950"];
    for conditions in
        ["", "WHERE up", "WHERE host = 'h3' AND v > 990", "WHERE time < '1970-01-02T00:00:00Z'", "WHERE v > 5000"]
    {
        for tail in tail {
            let sql = format!("SELECT CAST(time AS BIGINT) AS t, host, v FROM m {conditions} ORDER BY time {tail}");
            let sql = sql.replace(" LIMIT", ", host, v LIMIT");
            assert!(server.sql(&format!("EXPLAIN {sql}"), "json").body.contains("EdgeRowsExec"), "{sql}");
            // A sum in the place of the time is no time.
            let slow = sql.replace("ORDER BY time", "ORDER BY CAST(time AS BIGINT) + 0");
            assert!(!server.sql(&format!("EXPLAIN {slow}"), "json").body.contains("EdgeRowsExec"), "{slow}");
            assert_eq!(server.rows(&sql), server.rows(&slow), "{sql}");
        }
    }
    let named = "SELECT host, time FROM (SELECT host AS h, host, time FROM m AS x) AS y WHERE h = 'h1' ORDER BY time DESC LIMIT 1";
    assert!(server.sql(&format!("EXPLAIN {named}"), "json").body.contains("EdgeRowsExec"));
    assert_eq!(server.rows(named)[0][0], "h1");
}

/// A table of some hosts, a row each half hour: many days in segments, in the order of writing from the last day to the
/// first, and one in the head.
fn fill_days(server: &Server, days: i64) {
    for day in (0..days).rev() {
        let row = |slot: i64| {
            let time = (day * 86400 + slot / 3 * 1800) * 1_000_000_000;
            format!("m,host=h{} v={} {time}\n", slot % 3, (day * 7919 + slot * 104_729) % 1009)
        };
        assert_eq!(server.write("", (0..144).map(row).collect::<String>().as_bytes()).status, 204);
        if day > 0 {
            assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
        }
    }
}

#[test]
fn rows_of_one_series_come_in_the_order_of_time() {
    let (server, _dir) = server();
    fill_days(&server, 5);
    let explain = |sql: &str| server.sql(&format!("EXPLAIN {sql}"), "pretty").body;
    let one = "SELECT CAST(time AS BIGINT) AS at, v FROM m WHERE host = 'h1' ORDER BY time";
    assert!(!explain(one).contains("SortExec"), "{}", explain(one));
    assert!(explain(&one.replace("h1' ", "h1' OR host = 'h2' ")).contains("SortExec"));
    let rows = server.rows(one);
    let times: Vec<i64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(times.len() == 240 && times.is_sorted(), "{times:?}");
    assert_eq!(rows, server.rows(&one.replace("ORDER BY time", "ORDER BY at + 0")));
    // A table of one series needs no condition; a second series ends that.
    server.write("", b"only,host=a v=1 1\n");
    assert!(!explain("SELECT v FROM only ORDER BY time").contains("SortExec"));
    server.write("", b"only,host=b v=1 1\n");
    assert!(explain("SELECT v FROM only ORDER BY time").contains("SortExec"));
}

#[test]
fn what_a_running_query_learns_thins_out_its_scans() {
    let (server, _dir) = server();
    fill_days(&server, 20);
    // How many rows a statement's scan of `m` gave, and out of how many.
    let given = |sql: &str| {
        let plan = server.sql(&format!("EXPLAIN ANALYZE {sql}"), "pretty").body;
        let scan = plan.lines().find(|line| line.contains("ScanExec: table=m,")).expect(&plan).to_owned();
        assert!(scan.contains("dynamic=[DynamicFilter"), "{plan}");
        let rows = scan.split("output_rows=").nth(1).expect(&scan).split([',', ' ', ']']).next().unwrap();
        rows.parse::<usize>().unwrap_or_else(|_| panic!("{scan}"))
    };
    let top = "SELECT host, v FROM m ORDER BY v DESC, host LIMIT 4";
    assert!(given(top) < 2880 / 2, "{}", given(top));
    assert_eq!(server.rows(top), server.rows(&top.replace("BY v", "BY v + 0")));
    // A join with few rows, of which the scan of many learns times and hosts.
    let incidents = ["h0", "h2"].map(|host| format!("incident,host={host} n=1 {}\n", 7 * 86400 * 1_000_000_000i64));
    server.write("", incidents.concat().as_bytes());
    let join = "SELECT m.host, v FROM m JOIN incident AS i ON m.time = i.time AND m.host = i.host ORDER BY m.host";
    assert!(given(join) <= 2, "{}", given(join));
    let expected = [0, 2].map(|slot: i64| [format!("h{slot}"), format!("{}.0", (7 * 7919 + slot * 104_729) % 1009)]);
    assert_eq!(server.rows(join), expected);
    // Which rows a limit leaves is decided below of what is above it.
    let limited = "SELECT count(*) FROM (SELECT v FROM (SELECT v FROM m LIMIT 50) ORDER BY v LIMIT 50)";
    assert_eq!(server.rows(limited), [["50"]]);
    // A recursive query runs its plan again and again, each time from the start.
    let recursive = "WITH RECURSIVE r AS (SELECT 0 AS n, CAST(-1 AS DOUBLE) AS v UNION ALL \
         SELECT n + 1, t.v FROM r, (SELECT v FROM m ORDER BY v LIMIT 1) AS t WHERE n < 3) SELECT n, v FROM r ORDER BY n";
    let least = server.rows("SELECT min(v) FROM m")[0][0].clone();
    let rows = server.rows(recursive);
    assert!(rows.len() == 4 && rows[1..].iter().all(|row| row[1] == least), "{rows:?}");
}

#[test]
fn the_nearest_row_of_another_table_is_joined() {
    let (server, _dir) = server();
    let lines = "a,host=x n=1 10\na,host=x n=2 20\na,host=y n=3 30\na n=4 40\nb,host=x m=100 10\nb,host=x m=200 15\nb,host=y m=300 31\n";
    assert_eq!(server.write("", lines.as_bytes()).status, 204);
    let nearest = |operator: &str| {
        let sql = format!(
            "SELECT n, m FROM a ASOF JOIN b MATCH_CONDITION (a.time {operator} b.time) ON a.host = b.host ORDER BY n"
        );
        server.rows(&sql).into_iter().map(|row| row[1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(nearest(">="), ["100.0", "200.0", "", ""]);
    assert_eq!(nearest(">"), ["", "200.0", "", ""]);
    assert_eq!(nearest("<="), ["100.0", "", "300.0", ""]);
    assert_eq!(nearest("<"), ["200.0", "", "300.0", ""]);
    // Without keys; the other way around; nested; a condition on the left side alone is applied below.
    let rows = "SELECT n, m FROM a ASOF JOIN b MATCH_CONDITION (b.time <= a.time) WHERE n > 1 AND m < 300 ORDER BY n";
    assert_eq!(server.rows(rows), [["2.0", "200.0"], ["3.0", "200.0"]]);
    let plan = server.sql(&format!("EXPLAIN {rows}"), "pretty").body;
    assert!(plan.contains("AsOfExec: on=[time@") && plan.contains("fields=[n > 1]"), "{plan}");
    assert!(!plan.contains("fields=[m < 300]"), "the right side is not narrowed by conditions above: {plan}");
    let nested = "SELECT c.n, b.m FROM (a AS c ASOF JOIN b AS d MATCH_CONDITION (c.time >= d.time)) JOIN b ON d.m = b.m ORDER BY c.n";
    assert_eq!(server.rows(nested), [["1.0", "100.0"], ["2.0", "200.0"], ["3.0", "200.0"], ["4.0", "300.0"]]);
    for (wrong, says) in [
        ("MATCH_CONDITION (a.time = b.time)", "by >=, >, <= or <"),
        ("MATCH_CONDITION (a.time >= a.time)", "a time of the left side with one of the right"),
        ("MATCH_CONDITION (a.time >= b.time) ON a.n > b.m", "equalities between its two sides"),
        ("MATCH_CONDITION (a.time >= b.time) USING (host)", "expected ON"),
        ("MATCH_CONDITION (a.time >= b.m)", "cannot be compared"),
    ] {
        let reply = server.sql(&format!("SELECT n FROM a ASOF JOIN b {wrong}"), "json");
        assert!(reply.status == 400 && reply.body.contains(says), "{wrong}: {} {}", reply.status, reply.body);
    }
}

/// The planner took subqueries for one whose plans look the same, and did not look at where their rows come from.
#[test]
fn subqueries_that_look_the_same_are_told_apart() {
    let (server, _dir) = server();
    let lines = "a,t=x f=1,up=true 1000000000\na,t=x f=2,up=true 2000000000\nb,t=x f=5,up=false 1000000000\n";
    assert_eq!(server.write("", lines.as_bytes()).status, 204);
    assert_eq!(server.write("?db=two", b"probe,target=x total_ms=9 1000000000").status, 204);
    assert_eq!(server.write("?db=one", b"probe,target=x total_ms=7 1000000000").status, 204);
    let all = |selects: [&str; 2]| {
        server.rows(&format!("SELECT ({}) AS one, ({}) AS two", selects[0], selects[1]))[0].clone()
    };
    assert_eq!(all(["SELECT count(*) FROM a", "SELECT count(*) FROM b"]), ["2", "1"]);
    assert_eq!(all(["SELECT max(f) FROM a", "SELECT max(f) FROM a WHERE f < 2"]), ["2.0", "1.0"]);
    assert_eq!(all(["SELECT max(total_ms) FROM one.probe", "SELECT max(total_ms) FROM two.probe"]), ["7.0", "9.0"]);
    let newest =
        |table: &str| format!("SELECT f FROM (SELECT DISTINCT ON (t) t, f FROM {table} ORDER BY t, time DESC)");
    assert_eq!(all([&newest("a"), &newest("b")]), ["2.0", "5.0"]);
    let lag = |table: &str| {
        format!("SELECT count(before) FROM (SELECT lag(f) OVER (PARTITION BY t ORDER BY time) AS before FROM {table})")
    };
    assert_eq!(all([&lag("a"), &lag("b")]), ["1", "0"]);
    let up = |table: &str| {
        let span = "\"from\" => '1970-01-01T00:00:00Z', \"to\" => '1970-01-01T00:00:04Z'";
        format!("SELECT up_s > 0 FROM availability(\"table\" => '{table}', state => 'up', {span})")
    };
    assert_eq!(all([&up("a"), &up("b")]), ["true", "false"]);
}

#[test]
fn the_server_measures_itself_and_its_machine() {
    let (server, _dir) = server();
    wait_for("the table of this machine", || server.sql("SELECT 1 FROM host LIMIT 1", "csv").status == 200);
    wait_for("rows of this machine and of the server's own health", || {
        let rows =
            server.rows("SELECT (SELECT count(DISTINCT kind) FROM probe WHERE up), (SELECT count(*) > 0 FROM host)");
        rows == [["2", "true"]]
    });
    // The first row is of what was left of a slot.
    let rows = server.rows(
        "SELECT target, kind, location, outcome, status, total_ms > 0, lag_ms >= 0,
                interval_ms > 0 AND interval_ms <= 10000 FROM probe WHERE up ORDER BY kind DESC",
    );
    let name = server.rows("SELECT host FROM host LIMIT 1")[0][0].clone();
    let host = format!("host:{name}");
    assert!(rows.iter().any(|row| *row == [&host, "host", "local", "ok", "", "true", "true", "true"]), "{rows:?}");
    assert_eq!(rows[0], ["fournines", "http", "local", "ok", "200", "true", "true", "true"]);
    let rows = server.rows("SELECT memory_used_bytes > 0, processes > 0, load1 >= 0, cpu_percent >= 0 FROM host");
    assert_eq!(rows[0], ["true", "true", "true", "true"]);
    let columns = server.rows("SELECT column_name FROM information_schema.columns WHERE table_name = 'probe'");
    for column in ["group", "dns_ms", "tls_ms", "error", "cert_expires_s"] {
        assert!(columns.iter().any(|row| row[0] == column), "{column} can be named before it has a value");
    }
}
