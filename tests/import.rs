//! `fournines import`, and scrape targets: rows that are fetched, not posted.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::{Compression, write::GzEncoder};

use crate::parts::site;
use crate::server::{BIN, Server, post, wait_for};

fn import(server: &Server, args: &[&str], file: &Path) -> Output {
    Command::new(BIN).arg("import").args(args).args(["--url", &server.url]).arg(file).output().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn files_of_every_format_come_in_whole() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let rows = 200_000;
    // Several pieces, with texts that hold newlines.
    let lines: String = (0..rows).map(|n| format!("lp,host=h{} f={n},s=\"a\nb {n}\" {}\n", n % 7, n * 1000)).collect();
    let csv: String = (0..rows).map(|n| format!("{},h{},{n},\"a\nb, {n}\"\n", n * 1000, n % 7)).collect();
    let json: String = (0..rows)
        .map(|n| format!("{{\"time\":{},\"host\":\"h{}\",\"f\":{n},\"s\":\"a\\nb, {n}\"}}\n", n * 1000, n % 7))
        .collect();
    let files = [
        ("rows.lp.gz", gzip(lines.as_bytes()), &[][..]),
        ("rows.csv", format!("time,host,f,s\ntime,tag,float,string\n{csv}").into_bytes(), &["--measurement", "csv"]),
        ("rows.jsonl.zst", zstd::encode_all(json.as_bytes(), 1).unwrap(), &["--measurement", "json", "--tags", "host"]),
    ];
    for (name, bytes, args) in files {
        let file = dir.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let output = import(&server, args, &file);
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(note_of(dir.path()).is_none(), "{name}: it is done");
    }
    for table in ["lp", "csv", "json"] {
        let sql = format!(
            "SELECT count(*), sum(f), count(DISTINCT host), count(DISTINCT s), min(strpos(s, 'b')) FROM {table}"
        );
        let sum = (0..rows).sum::<i64>();
        assert_eq!(
            server.rows(&sql),
            [[rows.to_string(), format!("{sum}.0"), "7".into(), rows.to_string(), "3".into()]]
        );
    }
}

#[test]
fn an_import_that_was_broken_off_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let rows = 400_000;
    let lines: String = (0..rows).map(|n| format!("m,host=h{} f={n}i {n}\n", n % 50)).collect();
    let file = dir.path().join("rows.lp");
    std::fs::write(&file, &lines).unwrap();
    let mut running = Command::new(BIN)
        .args(["import", "--url", &server.url])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the first piece", || note_of(dir.path()).is_some());
    running.kill().unwrap();
    running.wait().unwrap();
    let note = note_of(dir.path()).unwrap();
    let position: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&note).unwrap()).unwrap();
    let done = position["done"].as_u64().unwrap();
    assert!(done > 0 && done < lines.len() as u64, "{position}");
    let stored = server.rows("SELECT count(*) FROM m")[0][0].parse::<u64>().unwrap();
    // What this server has another one lacks, and another schema, too: 116,994 rows were missing there, and the exit code
    // was 0.
    let others = tempfile::tempdir().unwrap();
    let other = Server::start(&others.path().join("data"), "");
    for (server, db) in [(&other, "public"), (&server, "second")] {
        let output = import(server, &["--db", db], &file);
        assert!(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("going on"));
        assert_eq!(server.rows(&format!("SELECT count(*) FROM {db}.m")), [[rows.to_string()]]);
    }
    let output = import(&server, &[], &file);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("going on"), "{said}");
    assert_eq!(server.rows("SELECT count(*), sum(f) FROM m"), [[rows.to_string(), (0..rows).sum::<i64>().to_string()]]);
    // It did go on: what was stored before was not sent once more, but for the piece under way.
    let sent =
        server.rows("SELECT rows FROM system.ingest WHERE protocol = 'line_protocol'")[0][0].parse::<u64>().unwrap();
    let sent = sent - rows as u64; // those of the second schema
    assert!(sent < rows as u64 + stored, "{sent} of {rows} were sent, {stored} were stored before");
}

/// Where it is kept how far an import has come.
fn note_of(dir: &Path) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path());
    files.find(|file| file.extension().is_some_and(|end| end == "import"))
}

/// An import to nobody tried for a minute, and then said only that the server does not answer.
#[test]
fn an_import_to_nobody_says_so_at_once_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rows.lp");
    std::fs::write(&file, "m f=1 1\n").unwrap();
    for (url, why) in [
        ("http://127.0.0.1:1", "refused"),
        ("http://nobody.invalid:9999", "lookup"),
        ("ftp://127.0.0.1", "--url takes an address like"),
    ] {
        let start = std::time::Instant::now();
        let output = Command::new(BIN).args(["import", "--url", url]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{url}: {said}");
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{url}: {:?}", start.elapsed());
    }
}

/// Rows whose time column was misnamed or empty became rows of now, of which one was left: "0 refused".
#[test]
fn rows_without_a_time_are_refused_unless_now_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let json = "{\"timestamp\":\"2026-01-01T00:00:00Z\",\"v\":1}\n{\"time\":null,\"v\":2}\n{\"time\":\"\",\"v\":3}\n{\"time\":5,\"v\":4}\n";
    let post = |path: &str, body: &str| post(&format!("{}{path}", server.url), body.as_bytes()).unwrap();
    let reply = post("/api/v1/import/json?measurement=j", json);
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert!(reply.body.contains("\"lines_refused\":3") && reply.body.contains("time=now"), "{}", reply.body);
    assert_eq!(server.rows("SELECT count(*) FROM j"), [["1"]]);
    let reply = post("/api/v1/import/json?measurement=now&time=now", "{\"v\":1}\n");
    assert_eq!(reply.status, 204, "{}", reply.body);
    assert_eq!(server.rows("SELECT count(*) FROM now WHERE time > now() - INTERVAL '1 minute'"), [["1"]]);
    let typed = "timestamp,v\ntime,float\n5,1\n,2\n";
    let reply = post("/api/v1/import/csv?measurement=c", typed);
    assert!(reply.status == 400 && reply.body.contains("\"lines_refused\":1"), "{}", reply.body);
    for (untyped, said) in [
        ("timestamp,v\n2026-01-01T00:00:00Z,1\n", "a column 'time'"),
        ("time,v\n", "expected rows behind"),
        ("time,h,v\ntime,tag,flot\n1,a,2\n", "has the type 'flot'"),
    ] {
        let reply = post("/api/v1/import/csv?measurement=u", untyped);
        assert!(reply.status == 400 && reply.body.contains(said), "{untyped}: {}", reply.body);
        let file = dir.path().join("u.csv");
        std::fs::write(&file, untyped).unwrap();
        let output = import(&server, &["--measurement", "u"], &file);
        assert!(!output.status.success(), "{untyped}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Times as programs write them, a mark of byte order at the start of a file, and CSV without a row of types.
#[test]
fn rows_are_taken_as_the_world_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let csv = "\u{feff}time,host,n,ok,note\n2026-01-01 00:00:00,a,1,true,x\n2026-01-01T00:00:01Z,b,2.5,false,1\n1767225602,c,3,,\n\
               1767225603.25,d,4,true,\n";
    let args = ["--measurement", "c", "--tags", "host", "--precision", "s"];
    let output = import(&server, &args, &file("rows.csv", csv));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("4 lines, 0 refused"));
    assert_eq!(
        server.rows("SELECT host, CAST(time AS BIGINT) / 1000000 AS ms, n, ok, note FROM c ORDER BY time"),
        [
            ["a", "1767225600000", "1.0", "true", "x"],
            ["b", "1767225601000", "2.5", "false", "1"],
            ["c", "1767225602000", "3.0", "", ""],
            ["d", "1767225603250", "4.0", "true", ""],
        ]
    );
    let json = "\u{feff}{\"time\":1767225600.125,\"v\":1}\n{\"time\":\"2026-01-01 00:00:01\",\"v\":2}\n{\"time\":\"1767225602\",\"v\":3}\n";
    let output = import(&server, &["--measurement", "j", "--precision", "s"], &file("rows.jsonl", json));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        server.rows("SELECT CAST(time AS BIGINT) / 1000000 AS ms FROM j ORDER BY time"),
        [["1767225600125"], ["1767225601000"], ["1767225602000"]]
    );
    let output = import(&server, &[], &file("rows.lp", "\u{feff}l f=1 1\nl f=2 2\n"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(server.rows("SELECT count(*) FROM l"), [["2"]]);
}

#[test]
fn bad_lines_are_shown_with_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let mut lines: String = (0..150_000).map(|n| format!("m,host=h1 f={n}i {n}\n")).collect();
    lines.push_str("m f=oops 1\nm,host=h2 f=1i 1\n");
    lines.extend((0..30).map(|n| format!("m f=1,g {n}\n")));
    let file = dir.path().join("rows.lp");
    std::fs::write(&file, &lines).unwrap();
    let output = import(&server, &[], &file);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("line 150001: field 'f'"), "{said}");
    assert_eq!(said.matches("line ").count(), 20, "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("150032 lines, 31 refused"), "{output:?}");
    assert_eq!(server.rows("SELECT count(*) FROM m"), [["150001"]]);
    let unknown = import(&server, &[], &dir.path().join("rows.unknown"));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("--format"));
}

#[test]
fn a_scrape_target_is_fetched_in_its_slots() {
    let dir = tempfile::tempdir().unwrap();
    let page = Server::start(&dir.path().join("page"), "");
    let config = format!(
        "[[target]]\nname = 'other'\nkind = 'scrape'\nurl = '{}/metrics'\ninterval = '200ms'\ngroup = 'own'\n\
         [[target]]\nname = 'down'\nkind = 'scrape'\nurl = 'http://127.0.0.1:1/metrics'\ninterval = '200ms'\n",
        page.url
    );
    let server = Server::start(&dir.path().join("data"), &config);
    let count = |sql: &str| {
        let reply = server.sql(sql, "csv");
        if reply.status == 200 { reply.body.lines().nth(1).unwrap().parse::<usize>().unwrap() } else { 0 }
    };
    wait_for("scrapes", || count("SELECT count(*) FROM up WHERE job = 'other' AND value = 1") >= 5);
    wait_for("failures", || count("SELECT count(*) FROM up WHERE job = 'down' AND value = 0") >= 5);
    let instance = page.url.trim_start_matches("http://");
    let rows = server.rows("SELECT DISTINCT job, instance, \"group\" FROM fournines_store_rows_written_total");
    assert_eq!(rows, [["other", instance, "own"]]);
    // One row a slot, at its time; the first may be what was left of one.
    let steps = server.rows(
        "SELECT count(*) FROM (SELECT CAST(time AS BIGINT) % 200000000 AS offset FROM up WHERE job = 'other'
           AND time > (SELECT min(time) FROM up WHERE job = 'other') GROUP BY 1)",
    );
    assert_eq!(steps, [["1"]]);
    let samples = server.rows("SELECT min(value), count(*) FROM scrape_samples_scraped WHERE job = 'other'");
    assert!(samples[0][0].parse::<f64>().unwrap() > 50.0, "{samples:?}");
    let seconds = server.rows("SELECT max(value) FROM scrape_duration_seconds WHERE job = 'other'");
    assert!(seconds[0][0].parse::<f64>().unwrap() < 5.0, "{seconds:?}");
    let said = server.rows("SELECT type FROM metric_metadata WHERE metric = 'fournines_store_rows_written'");
    assert_eq!(said[0], ["counter"]);

    // At a hang-up one goes, one is changed, one is new, and one goes on; no slot is lost or scraped twice.
    let target = |name: &str, interval: &str, group: &str| {
        format!(
            "[[target]]\nname = '{name}'\nkind = 'scrape'\nurl = '{}/metrics'\ninterval = '{interval}'\ngroup = '{group}'\n",
            page.url
        )
    };
    let hang_up = |config: String| {
        std::fs::write(dir.path().join("data.toml"), config).unwrap();
        nix::sys::signal::kill(server.pid(), nix::sys::signal::Signal::SIGHUP).unwrap();
    };
    let up = |job: &str, group: &str| {
        count(&format!("SELECT count(*) FROM up WHERE job = '{job}' AND \"group\" = '{group}'"))
    };
    hang_up(target("other", "200ms", "own") + &target("new", "1s", "a"));
    wait_for("the new one", || up("new", "a") >= 2);
    let down = count("SELECT count(*) FROM up WHERE job = 'down'");
    let before = up("other", "own");
    hang_up(target("other", "200ms", "own") + &target("new", "1s", "b"));
    wait_for("the changed one", || up("new", "b") >= 2 && up("other", "own") >= before + 5);
    hang_up("[[target]]\nkind = 'scrape'\nurl = 'nowhere'\n".into());
    let before = up("new", "b");
    wait_for("slots behind a bad file", || up("new", "b") >= before + 2);
    assert_eq!(count("SELECT count(*) FROM up WHERE job = 'down'"), down, "what is gone is not scraped");
    let gaps = server.rows(
        "SELECT job, count(*), (CAST(max(time) AS BIGINT) - CAST(min(time) AS BIGINT) + 999999999) / 1000000000 + 1 AS expected FROM up
         WHERE job = 'new' GROUP BY job HAVING count(*) <> expected",
    );
    assert!(gaps.is_empty(), "{gaps:?}");
}

/// A page that only who has a token sees, with one line that is wrong.
fn guarded_page() -> u16 {
    site(|request| {
        let is_let_in = request.contains("authorization: bearer secret")
            && request.contains("x-prometheus-scrape-timeout-seconds: 2");
        let status = if is_let_in { "200 OK" } else { "401 Unauthorized" };
        (status.into(), "good{a=\"b\"} 1\nbad{ 2\ngood{a=\"c\"} 2\n".into())
    })
}

/// A scrape is a check like all others, and says in `probe` how it went.
#[test]
fn scrapes_are_checks() {
    let dir = tempfile::tempdir().unwrap();
    let page = Server::start(&dir.path().join("page"), "");
    let guarded = format!("http://127.0.0.1:{}/metrics", guarded_page());
    let target = |name: &str, url: &str, more: &str| {
        format!("[[target]]\nname = '{name}'\nkind = 'scrape'\nurl = '{url}'\ninterval = '2s'\n{more}\n")
    };
    let targets = [
        target("good", &format!("{}/metrics", page.url), ""),
        target("down", "http://127.0.0.1:1/metrics", ""),
        target("none", &format!("{}/health", page.url), ""),
        target("let in", &guarded, "bearer_token = 'secret'"),
        target("kept out", &guarded, ""),
        target("late", &guarded, "bearer_token = 'secret'\nfail = '1us'"),
        target("metadata", "http://169.254.169.254/metrics", ""),
    ];
    let server = Server::start(&dir.path().join("data"), &targets.concat());
    let rows = || {
        server.rows(
            "SELECT DISTINCT target, kind, error, samples > 0, lines_refused, up FROM probe
             WHERE kind = 'scrape' AND outcome <> 'missed' ORDER BY target",
        )
    };
    let expected = [
        ["down", "scrape", "connect_refused", "", "", "false"],
        ["good", "scrape", "", "true", "0", "true"],
        ["kept out", "scrape", "status", "", "", "false"],
        ["late", "scrape", "too_slow", "true", "1", "false"],
        ["let in", "scrape", "", "true", "1", "true"],
        ["metadata", "scrape", "address_not_allowed", "", "", "false"],
        ["none", "scrape", "page", "", "", "false"],
    ];
    wait_for("columns", || server.sql("SELECT samples, lines_refused FROM probe", "csv").status == 200);
    wait_for("scrapes of all", || rows() == expected);
    let said = server.rows(
        "SELECT split_part(min(message), ',', 1) FROM probe WHERE target IN ('late', 'let in', 'none') GROUP BY target ORDER BY target",
    );
    assert!(said[0][0].starts_with("it took "), "a page that came too late has one sentence: {said:?}");
    assert!(said[1][0].starts_with("1 lines of the page are refused; line 2: "), "{said:?}");
    assert!(said[2][0].starts_with("no line of the page is a sample; line 1: "), "{said:?}");
    // What Prometheus says of them, in the same slots: there was a page, even if it came too late.
    let ups = server.rows("SELECT job, min(value), max(value) FROM up GROUP BY job ORDER BY job");
    let expected =
        [("down", 0), ("good", 1), ("kept out", 0), ("late", 1), ("let in", 1), ("metadata", 0), ("none", 0)];
    assert_eq!(ups, expected.map(|(job, up)| [job.to_owned(), format!("{up}.0"), format!("{up}.0")]));
    let differ = server.rows(
        "SELECT p.target, p.time FROM probe AS p JOIN up AS u ON p.target = u.job AND p.time = u.time
         WHERE p.up <> (u.value = 1) AND p.error IS DISTINCT FROM 'too_slow'",
    );
    assert!(differ.is_empty(), "{differ:?}");
    let stored = server.rows("SELECT DISTINCT job, a FROM good ORDER BY job, a");
    assert_eq!(stored, [["late", "b"], ["late", "c"], ["let in", "b"], ["let in", "c"]]);
}

#[test]
fn the_load_harness_says_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    for (protocol, sql) in
        [("line-protocol", "SELECT count(*) * 3 FROM cpu"), ("remote-write", "SELECT count(*) * 3 FROM cpu_usage_2")]
    {
        let log = dir.path().join(protocol);
        let output = Command::new(BIN)
            .args([
                "bench",
                "ingest",
                "--url",
                &server.url,
                "--protocol",
                protocol,
                "--duration",
                "1s",
                "--rate",
                "3000",
            ])
            .args([
                "--series",
                "20",
                "--fields",
                "3",
                "--batch",
                "10",
                "--connections",
                "2",
                "--format",
                "json",
                "--hdr",
            ])
            .arg(&log)
            .output()
            .unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(output.status.success() && told["failed"] == 0, "{told}");
        assert_eq!(server.rows(sql), [[told["values"].to_string()]], "{told}");
        // A thousand rows a second, ten a request: whatever the server does, so many are due.
        assert_eq!(told["requests"].as_u64().unwrap() + told["busy"].as_u64().unwrap(), 100, "{told}");
        assert!(std::fs::read_to_string(log).unwrap().contains("HIST"), "an HDR log");
    }
}

/// What `export` wrote could not be read back but as line protocol: Parquet was no format, and integers of CSV became
/// floats.
#[test]
fn what_export_writes_comes_back_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir, "");
    let lines = "odd\\ table,host=a\\ b,dc=north f=0.1,i=9007199254740993i,u=18446744073709551615u,b=true,s=\"007\" 1767225600000000001\n\
                 odd\\ table,host=c f=-0,i=-1i,s=\"a, \\\"b\\\"\nc\" 1767225600000000002\nodd\\ table f=5e-324,b=false 3\n";
    assert_eq!(server.write("", lines.as_bytes()).status, 204);
    let statement = r#"SELECT time, host, dc, f, i, u, b, s FROM "odd table" ORDER BY time"#;
    let expected = server.sql(statement, "json").body;
    let types =
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'odd table' ORDER BY 1";
    let expected_types = server.rows(types);
    server.stop(nix::sys::signal::Signal::SIGTERM);
    let others = tempfile::tempdir().unwrap();
    let other = Server::start(&others.path().join("data"), "");
    for (format, end, more, told) in [
        ("parquet", "parquet", &[][..], &[][..]),
        ("lp", "lp", &[], &[]),
        ("csv", "csv", &["--types"], &["--measurement", "odd table"]),
    ] {
        let file = dir.path().join(format!("rows.{end}"));
        let mut export = Command::new(BIN);
        export.args(["export", "odd table", "--format", format, "--data-dir"]).arg(&data_dir).args(more);
        let output = export.arg("--output").arg(&file).output().unwrap();
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        let output = import(&other, &[told, &["--db", format]].concat(), &file);
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(other.sql_in(format, statement, "json").body, expected, "{format}");
        let own_types =
            other.sql_in(format, &types.replace("WHERE", &format!("WHERE table_schema = '{format}' AND")), "csv");
        let own_types: Vec<Vec<String>> =
            own_types.body.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect();
        assert_eq!(own_types, expected_types, "{format}");
    }
    // Without its types a column of integers is one of floats, unless a float cannot say them.
    let plain = b"time,f,i,u,s\n1,1,9007199254740993,18446744073709551615,x\n2,2,-5,,\n";
    let file = dir.path().join("plain.csv");
    std::fs::write(&file, plain).unwrap();
    assert!(import(&other, &["--measurement", "plain"], &file).status.success());
    assert_eq!(
        other.rows("SELECT f, i, u FROM plain ORDER BY time"),
        [["1.0", "9007199254740993", "18446744073709551615"], ["2.0", "-5", ""]]
    );
}

/// Answers of InfluxDB 2 (`influx query --raw`) and files for `influx write`, of several tables.
#[test]
fn annotated_csv_of_influxdb_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let head = |kind: &str| {
        format!(
            "#group,false,false,true,true,false,false,true,true,true\r\n#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,{kind},string,string,string\r\n#default,_result,,,,,,,,\r\n,result,table,_start,_stop,_time,_value,_field,_measurement,host\r\n"
        )
    };
    let rows = |table: usize, field: &str, values: &[String]| -> String {
        let row = |(n, value): (usize, &String)| {
            format!(
                ",,{table},2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-01-01T00:00:{:02}.5Z,{value},{field},cpu,h{}\r\n",
                n % 60,
                n / 60
            )
        };
        values.iter().enumerate().map(row).collect()
    };
    let floats: Vec<String> = (0..3000).map(|n| format!("{n}.25")).collect();
    let texts: Vec<String> = (0..3).map(|n| format!("\"a, {n}\"")).collect();
    let text =
        format!("{}{}\r\n{}{}", head("double"), rows(0, "usage", &floats), head("string"), rows(1, "note", &texts));
    let file = dir.path().join("raw.csv");
    std::fs::write(&file, [b"\xef\xbb\xbf", text.as_bytes()].concat()).unwrap();
    let output = import(&server, &[], &file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sql = "SELECT count(usage), sum(usage), count(note), max(note), count(DISTINCT host) FROM cpu";
    assert!(server.sql(sql, "json").body.contains("a, 2"));
    assert_eq!(
        server.rows("SELECT count(usage), sum(usage), count(note), count(DISTINCT host) FROM cpu"),
        [["3000", "4499250.0", "3", "50"]]
    );
    assert_eq!(server.rows("SELECT min(CAST(time AS BIGINT)) FROM cpu"), [["1767225600500000000"]]);

    // Pivoted, and with a word over every column.
    let pivoted = "#group,false,false,false,true,true,false,false\n#datatype,string,long,dateTime:RFC3339,string,string,double,long\n#default,_result,,,,,,\n,result,table,_time,_measurement,host,load,cores\n,,0,2026-01-01T00:00:00Z,sys,a,0.5,8\n";
    let worded = "#datatype measurement,tag,double,boolean,dateTime:number\nm,site,v,ok,time\nextra,x,1.5,true,1767225600000000000\n";
    for (name, text) in [("pivoted.csv", pivoted), ("worded.csv", worded)] {
        std::fs::write(dir.path().join(name), text).unwrap();
        let output = import(&server, &[], &dir.path().join(name));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(server.rows("SELECT host, load, cores FROM sys"), [["a", "0.5", "8"]]);
    assert_eq!(server.rows("SELECT site, v, ok FROM extra"), [["x", "1.5", "true"]]);
    // A line of a later table is told by its number in the file.
    let bad = format!(
        "{}{}\r\n{}{}",
        head("double"),
        rows(0, "usage", &floats[..2]),
        head("long"),
        rows(1, "n", &["1".into(), "x".into()])
    );
    std::fs::write(&file, bad).unwrap();
    let said = String::from_utf8_lossy(&import(&server, &["--restart"], &file).stderr).into_owned();
    assert!(said.contains("line 13: '_value'"), "{said}");
}
