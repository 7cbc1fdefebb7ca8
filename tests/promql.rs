//! An oracle: the same samples in a real Prometheus and here, asked in PromQL of both, and in SQL of us.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::agents::{get, is_up};
use crate::parts::{Program, free_port};
use crate::server::{Server, agent, post, wait_for};

/// The samples begin here, in s; Debian's Prometheus imports what is past.
const START_S: i64 = 1_767_225_600;
const LENGTH_S: i64 = 1800;
const SERIES: usize = 12;

fn seed() -> u64 {
    let seed = std::env::var("FOURNINES_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("FOURNINES_SEED={seed}");
    seed
}

/// Counters with resets and gaps, gauges, and a histogram, as OpenMetrics: `c` and `g` with the label `series`,
/// `h_bucket` with `le`.
///
/// Debian's Prometheus 2 and Prometheus 3, which we follow, say different things of a counter that would come to zero
/// before the span's edge, behind a gap: one that is small, or that began anew. So counters that do have no gaps here,
/// and those with gaps stay far from zero. Where windows may begin before the first sample nothing begins anew.
fn samples(random: &mut fastrand::Rng, has_resets: bool) -> String {
    let mut text = String::new();
    for (name, kind) in [("c", "counter"), ("g", "gauge")] {
        writeln!(text, "# TYPE {name} {kind}").unwrap();
        for series in 0..SERIES {
            let has_gaps = series % 2 == 1;
            let least = if has_gaps || !has_resets { 10_000.0 } else { 0.0 };
            let (mut value, mut at_ms) = (least + random.f64() * 100.0, START_S * 1000 + 2 * random.i64(0..7500) + 1);
            while at_ms < (START_S + LENGTH_S) * 1000 {
                let suffix = if kind == "counter" { "_total" } else { "" };
                writeln!(text, "{name}{suffix}{{series=\"{series}\"}} {value} {}.{:03}", at_ms / 1000, at_ms % 1000)
                    .unwrap();
                // Always odd: no edge of a window, which is even, has a sample on it. To which side such a sample belongs is
                // one of the things that Prometheus 3 says otherwise.
                at_ms += match has_gaps {
                    true => 13_000 + 2 * random.i64(0..2000) + if random.u8(..) < 6 { 200_000 } else { 0 },
                    false => 15_000 + 1,
                };
                at_ms += i64::from(at_ms % 2 == 0);
                value = match random.u8(..) {
                    0..8 if kind == "counter" && has_resets && !has_gaps => random.f64() * 3.0,
                    0..128 if kind == "gauge" => value - random.f64() * 10.0,
                    _ => value + random.f64() * 10.0,
                };
            }
        }
    }
    writeln!(text, "# TYPE h histogram").unwrap();
    for series in 0..SERIES {
        let mut count = 0.0;
        for le in ["0.005", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"] {
            count += f64::from(random.u8(..) / 8);
            writeln!(text, "h_bucket{{series=\"{series}\",le=\"{le}\"}} {count} {START_S}").unwrap();
        }
    }
    text + "# EOF\n"
}

/// A Prometheus and a server of ours with the same samples.
struct Both {
    _program: Program,
    prometheus: String,
    server: Server,
}

impl Both {
    fn start(dir: &Path, text: &str) -> Both {
        let (page, blocks, config) = (dir.join("page"), dir.join("blocks"), dir.join("prometheus.yml"));
        std::fs::write(&page, text).unwrap();
        std::fs::write(&config, "").unwrap();
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([&page, &blocks])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let program = Program::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.tsdb.path={}", blocks.display()))
                .arg("--storage.tsdb.retention.time=100y")
                .arg(format!("--web.listen-address=127.0.0.1:{port}")),
        );
        let prometheus = format!("http://127.0.0.1:{port}");
        let server = Server::start(&dir.join("data"), "");
        let reply = post(&format!("{}/api/v1/import/prometheus", server.url), text.as_bytes()).unwrap();
        assert_eq!(reply.status, 204, "{}", reply.body);
        wait_for("prometheus", || is_up(&format!("{prometheus}/-/ready")));
        Both { _program: program, prometheus, server }
    }
}

/// Prometheus' answer by series; series without one are left out.
fn ask(url: &str, query: &str, at_s: f64) -> Vec<(String, f64)> {
    let form: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("query", query)
        .append_pair("time", &at_s.to_string())
        .finish();
    let answer: serde_json::Value = serde_json::from_str(&get(&format!("{url}/api/v1/query?{form}"))).unwrap();
    let result = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{query}: {answer}"));
    let one = |row: &serde_json::Value| {
        let value = row["value"][1].as_str().unwrap().parse().unwrap();
        (row["metric"]["series"].as_str().unwrap().to_owned(), value)
    };
    let mut rows: Vec<(String, f64)> = result.iter().map(one).collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows
}

#[test]
#[cfg_attr(not(part = "prometheus"), ignore = "needs prometheus: .ci/run installs it")]
fn counters_and_histograms_are_as_prometheus_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(seed());
    let both = Both::start(dir.path(), &samples(&mut random, true));
    let Both { prometheus, server, .. } = &both;

    let mut compared = 0;
    let mut compare = |promql: &str, at_s: f64, sql: &str| {
        let theirs = ask(prometheus, promql, at_s);
        let ours = server.rows(sql);
        let ours =
            ours.iter().filter(|row| !row[1].is_empty()).map(|row| (row[0].clone(), row[1].parse::<f64>().unwrap()));
        let ours: Vec<(String, f64)> = ours.collect();
        assert_eq!(ours.len(), theirs.len(), "{promql} at {at_s}: {theirs:?}, {sql}: {ours:?}");
        for ((series, own), (other, their)) in ours.iter().zip(&theirs) {
            let same =
                own == their || (own.is_nan() && their.is_nan()) || (own - their).abs() <= 1e-9 * their.abs().max(1.0);
            assert!(series == other && same, "{promql} at {at_s}, series {other}: {their}; {sql}: {own}");
        }
        compared += theirs.len();
    };
    for _ in 0..60 {
        // No sample is at such an edge, so it does not matter to which side it belongs.
        let length_s = random.i64(30..900);
        let from_ms = (START_S + random.i64(15..LENGTH_S)) * 1000 + 2 * random.i64(0..500);
        let to_ms = from_ms + length_s * 1000;
        let (at, window) = (to_ms as f64 / 1000.0, format!("{length_s}s"));
        let time = |ms: i64| format!("to_timestamp_millis({ms})");
        let (from, to) = (time(from_ms), time(to_ms));
        let over = |call: &str, table: &str| {
            format!(
                "SELECT series, {call} FROM {table} WHERE time >= {from} AND time <= {to} GROUP BY series ORDER BY series"
            )
        };
        let spanned = |name: &str| format!("{name}(value, time, {from}, {to})");
        compare(&format!("increase(c_total[{window}])"), at, &over(&spanned("increase"), "c_total"));
        compare(&format!("rate(c_total[{window}])"), at, &over(&spanned("rate"), "c_total"));
        compare(&format!("delta(g[{window}])"), at, &over(&spanned("delta"), "g"));
        compare(&format!("irate(c_total[{window}])"), at, &over("irate(value, time)", "c_total"));
        compare(&format!("resets(c_total[{window}])"), at, &over("resets(value, time)", "c_total"));
    }
    for quantile in [0.0, 0.1, 0.5, 0.75, 0.9, 0.99, 1.0] {
        let sql = format!(
            "SELECT series, histogram_quantile({quantile}, le, value) FROM h_bucket GROUP BY series ORDER BY series"
        );
        compare(&format!("histogram_quantile({quantile}, h_bucket)"), START_S as f64 + 1.0, &sql);
    }
    assert!(compared > 1500, "{compared}");
}

/// Expressions that mean the same in Debian's Prometheus 2 and in 3.
struct Questions<'a>(&'a mut fastrand::Rng);

impl Questions<'_> {
    fn choose<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.0.usize(..texts.len())]
    }

    fn window(&mut self) -> String {
        format!("{}s", self.0.u32(40..900))
    }

    fn selector(&mut self, name: &str) -> String {
        let labels = ["", "", r#"{series="3"}"#, r#"{series=~"[0-5]"}"#, r#"{series!="1"}"#, r#"{series!~"1.*"}"#];
        format!("{name}{}", self.choose(&labels))
    }

    fn offset(&mut self) -> String {
        if self.0.u8(..5) == 0 { format!(" offset {}s", self.0.u32(1..300)) } else { String::new() }
    }

    fn over_time(&mut self, depth: u8) -> String {
        if depth > 0 && self.0.u8(..4) == 0 {
            let function =
                self.choose(&["max_over_time", "avg_over_time", "sum_over_time", "count_over_time", "deriv"]);
            // A millisecond more, so that no step is on the edge of a window that is itself in one: it belongs to it in 2 only.
            let (of, window) = (self.vector(depth - 1), self.window());
            return format!("{function}(({of})[{window}1ms:{}s])", self.0.u32(10..60));
        }
        let counters = ["rate", "increase", "irate", "resets"];
        let gauges = [
            "avg_over_time",
            "min_over_time",
            "max_over_time",
            "sum_over_time",
            "count_over_time",
            "last_over_time",
            "stddev_over_time",
            "stdvar_over_time",
            "present_over_time",
            "changes",
            "delta",
            "idelta",
            "deriv",
        ];
        let (window, offset) = (self.window(), self.offset());
        match self.0.u8(..4) {
            0 | 1 => format!("{}({}[{window}]{offset})", self.choose(&counters), self.selector("c_total")),
            2 => format!("{}({}[{window}]{offset})", self.choose(&gauges), self.selector("g")),
            _ => match self.0.bool() {
                true => format!("quantile_over_time(0.{}, g[{window}])", self.0.u8(1..9)),
                false => format!("predict_linear(g[{window}], {})", self.0.u32(1..600)),
            },
        }
    }

    fn vector(&mut self, depth: u8) -> String {
        if depth == 0 || self.0.u8(..6) == 0 {
            return match self.0.u8(..4) {
                0 => self.selector("g") + &self.offset(),
                1 => self.selector("c_total") + &self.offset(),
                _ => self.over_time(depth),
            };
        }
        let below = depth - 1;
        match self.0.u8(..7) {
            0 => self.over_time(depth),
            1 => {
                // None that jumps: where the last digit differs, so would the value.
                let functions = ["abs", "sqrt", "ln", "exp", "sort", "timestamp", "-"];
                format!("{}({})", self.choose(&functions), self.vector(below))
            }
            2 | 3 => self.aggregate(below),
            4 => {
                let op = self.choose(&["+", "-", "*", "/", ">", "<=", "== bool", "!=", "> bool"]);
                let (vector, number) = (self.vector(below), self.0.u8(1..20));
                if self.0.bool() { format!("({vector}) {op} {number}") } else { format!("{number} {op} ({vector})") }
            }
            5 => {
                let op = self.choose(&["+", "-", "*", "/", "and", "or", "unless", ">", "< bool"]);
                let on = self.choose(&[" on(series)", "", " ignoring(le)"]);
                format!("({}) {op}{on} ({})", self.vector(below), self.vector(below))
            }
            _ => match self.0.u8(..4) {
                0 => format!("clamp({}, {}, {})", self.vector(below), self.0.u8(0..9), self.0.u8(9..99)),
                1 => format!("absent({})", self.vector(below)),
                2 => format!("label_replace({}, \"to\", \"x$1\", \"series\", \"(.).*\")", self.vector(below)),
                _ => format!("vector(scalar({}))", self.vector(below)),
            },
        }
    }

    fn aggregate(&mut self, depth: u8) -> String {
        let of = self.vector(depth);
        let by = self.choose(&["", " by (series)", " without (series)", " by (nothing)"]);
        match self.0.u8(..6) {
            // Of equal values 2 keeps others than 3 does: these have none that are.
            0 => format!("topk{by} ({}, {})", self.0.u8(1..5), self.selector("g")),
            1 => format!("quantile{by} (0.{}, {of})", self.0.u8(1..9)),
            _ => format!(
                "{}{by} ({of})",
                // `stddev` of one NaN is 0 in 2.
                self.choose(&["sum", "avg", "min", "max", "count", "group"])
            ),
        }
    }
}

/// An answer: what it is, and values by labels and times.
type Found = Result<(String, BTreeMap<String, BTreeMap<String, f64>>), String>;

fn answer(url: &str, path: &str, parameters: &[(&str, &str)]) -> Found {
    let form: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let mut reply = agent()
        .post(format!("{url}/api/v1/{path}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .send(form)
        .unwrap();
    let text = reply.body_mut().with_config().limit(1 << 28).read_to_string().unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    if json["status"] != "success" {
        return Err(json["error"].to_string());
    }
    let mut all = BTreeMap::new();
    for row in json["data"]["result"].as_array().unwrap() {
        let points = row["values"].as_array().cloned().unwrap_or_else(|| vec![row["value"].clone()]);
        let point = |point: &serde_json::Value| (point[0].to_string(), point[1].as_str().unwrap().parse().unwrap());
        all.insert(row["metric"].to_string(), points.iter().map(point).collect());
    }
    Ok((json["data"]["resultType"].to_string(), all))
}

fn is_near(one: f64, other: f64) -> bool {
    one == other || one.is_nan() && other.is_nan() || (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
}

/// How many values agree; the last digits may not, as Prometheus 2 adds without what is lost.
fn compare(question: &str, theirs: &Found, ours: &Found) -> usize {
    let (theirs, ours) = match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => (theirs, ours),
        (Err(_), Err(_)) => return 0,
        _ => panic!("{question}: Prometheus: {theirs:?}\nfournines: {ours:?}"),
    };
    assert_eq!(theirs.0, ours.0, "{question}");
    let names = |all: &BTreeMap<String, BTreeMap<String, f64>>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&theirs.1), names(&ours.1), "{question}");
    for (labels, points) in &theirs.1 {
        let own = &ours.1[labels];
        let is_same = points.len() == own.len()
            && points.iter().zip(own).all(|(one, other)| one.0 == other.0 && is_near(*one.1, *other.1));
        assert!(is_same, "{question} {labels}: Prometheus: {points:?}\nfournines: {own:?}");
    }
    theirs.1.values().map(BTreeMap::len).sum()
}

/// Random questions at one time and at many, of both.
#[test]
#[cfg_attr(not(part = "prometheus"), ignore = "needs prometheus: .ci/run installs it")]
fn random_questions_are_answered_as_prometheus_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(seed());
    let both = Both::start(dir.path(), &samples(&mut random, false));
    let Both { prometheus, server, .. } = &both;
    let mut compared = 0;
    for round in 0..400 {
        if round == 200 {
            assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
        }
        let question = Questions(&mut random).vector(3);
        let at_ms = START_S * 1000 + 2 * random.i64(0..LENGTH_S * 500);
        let at = format!("{}.{:03}", at_ms / 1000, at_ms % 1000);
        let instant = [("query", question.as_str()), ("time", at.as_str())];
        compared += compare(&question, &answer(prometheus, "query", &instant), &answer(&server.url, "query", &instant));
        let end = format!("{}.{:03}", at_ms / 1000 + 600, at_ms % 1000);
        let step = format!("{}", random.u32(5..60));
        let range = [("query", question.as_str()), ("start", &at), ("end", &end), ("step", &step)];
        let ours = answer(&server.url, "query_range", &range);
        compared += compare(&question, &answer(prometheus, "query_range", &range), &ours);
    }
    assert!(compared > 10_000, "{compared}");
}

/// What promtool prints of an answer.
fn promtool(url: &str, command: &str, flags: &[&str], of: &[&str]) -> String {
    let done = Command::new("promtool").args(["query", command]).args(flags).arg(url).args(of).output().unwrap();
    assert!(done.status.success(), "{command} {of:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// promtool as it is prints the same of both.
#[test]
#[cfg_attr(not(part = "prometheus"), ignore = "needs prometheus: .ci/run installs it")]
fn promtool_prints_the_same_of_prometheus_and_of_us() {
    let dir = tempfile::tempdir().unwrap();
    let both = Both::start(dir.path(), &samples(&mut fastrand::Rng::with_seed(seed()), true));
    let (start, end) = (format!("--start={START_S}"), format!("--end={}", START_S + LENGTH_S));
    let at = format!("--time={}", START_S + LENGTH_S / 2);
    let questions: [(&str, &[&str], &[&str]); 7] = [
        ("instant", &[&at], &["sum by (le) (h_bucket)"]),
        ("instant", &[&at], &["count_over_time(c_total{series=~\"[0-3]\"}[5m])"]),
        ("instant", &[&at], &["1 + 1"]),
        ("range", &[&start, &end, "--step=5m"], &["max(c_total)"]),
        ("range", &[&start, &end, "--step=5m"], &["g{series=\"2\"} > bool 0"]),
        ("series", &[&start, &end, "--match=c_total", "--match={le=\"+Inf\"}"], &[]),
        ("labels", &[], &["le"]),
    ];
    for (command, flags, of) in questions {
        let [theirs, ours] = [&both.prometheus, &both.server.url].map(|url| promtool(url, command, flags, of));
        assert!(!theirs.is_empty());
        assert_eq!(theirs, ours, "{command} {of:?}");
    }
}

/// `fournines promql` shows what the API answers, and says what is wrong with a question.
#[test]
fn the_command_shows_tables_json_and_csv() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let page = b"requests{site=\"a\"} 5 1767225600000\nrequests{site=\"b,c\"} 7 1767225600000\nrequests{site=\"a\"} 9 1767225660000\n";
    assert_eq!(post(&format!("{}/api/v1/import/prometheus", server.url), page).unwrap().status, 204);
    let run = |of: &[&str]| {
        let done =
            Command::new(crate::server::BIN).arg("promql").args(of).args(["--url", &server.url]).output().unwrap();
        let [out, said] = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
        (done.status.code(), out, said)
    };
    let at = ["--at", "2026-01-01T00:00:00Z"];
    let csv = run(&[&["requests", "--format", "csv"][..], &at].concat());
    let expected =
        "__name__,site,time,value\nrequests,a,2026-01-01T00:00:00Z,5\nrequests,\"b,c\",2026-01-01T00:00:00Z,7\n";
    assert_eq!(csv, (Some(0), expected.into(), String::new()));
    let times = ["--from", "1767225600", "--to", "1767225660", "--step", "1m"];
    let (code, table, said) = run(&[&["rate(requests[2m]) or sum(requests)"][..], &times].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(table.contains("2026-01-01T00:01:00Z"), "{table}");
    assert!(said.starts_with("info: PromQL info: metric might not be a counter"), "{said}");
    let (_, json, _) = run(&[&["sum(requests)", "--format", "json"][..], &at].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["data"]["result"][0]["value"], serde_json::json!([1_767_225_600, "12"]));
    let listed = server.rows("SELECT language, state FROM system.queries WHERE statement = 'sum(requests)'");
    assert_eq!(listed, [["promql", "done"]]);
    let (code, _, said) = run(&["sum("]);
    assert_eq!(code, Some(2));
    assert!(said.contains("1:5: parse error: unclosed left parenthesis"), "{said}");
    // The same of its directory, once nobody has it open.
    server.stop(nix::sys::signal::Signal::SIGTERM);
    let of_directory = |question: &str| {
        let done = Command::new(crate::server::BIN)
            .args(["promql", question, "--format", "csv", "--data-dir"])
            .arg(dir.path().join("data"))
            .args(at)
            .output()
            .unwrap();
        let [out, said] = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
        (done.status.code(), out, said)
    };
    assert_eq!(of_directory("requests"), csv);
    let (code, _, said) = of_directory("sum(");
    assert!(code == Some(2) && said.contains("1:5: parse error: unclosed left parenthesis"), "{code:?} {said}");
}

/// Answers that are worth it are packed for who takes that, and are the same.
#[test]
fn long_answers_are_packed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let page: String = (0..100).map(|number| format!("m{{number=\"{number}\"}} 1 1767225600000\n")).collect();
    assert_eq!(post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes()).unwrap().status, 204);
    let ask = |query: &str, coding: &str| {
        let url = format!("{}/api/v1/query?time=1767225600&query={query}", server.url);
        let mut reply = agent().get(url).header("Accept-Encoding", coding).call().unwrap();
        let said = reply.headers().get("Content-Encoding").map(|coding| coding.to_str().unwrap().to_owned());
        (said, reply.body_mut().read_to_vec().unwrap())
    };
    let (coding, plain) = ask("m", "identity");
    assert_eq!(coding, None);
    let (coding, packed) = ask("m", "zstd");
    assert_eq!(coding.as_deref(), Some("zstd"));
    assert!(packed.len() < plain.len() / 4);
    assert_eq!(zstd::decode_all(&packed[..]).unwrap(), plain);
    assert_eq!(ask("1", "zstd").0, None);
}

/// `sum_over_time(vector(1)[100y:1ms])` would have been an array of three thousand billion numbers, and the end of the
/// process; three windows in each other would have held a thread long after their time. Both end, and say why.
#[test]
fn questions_too_large_or_too_long_end_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[query]\nthreads = 2\nmemory = \"256MB\"\ntimeout = \"2s\"\nconcurrency = 2\n";
    let server = Server::start(&dir.path().join("data"), config);
    let ask = |question: &str| answer(&server.url, "query", &[("query", question), ("time", "1767225600")]);
    for large in [
        "sum_over_time(vector(1)[100y:1ms])",
        "sum_over_time(vector(time())[290y:1ms] @ 9e15)",
        "count_over_time(topk(1, vector(1))[1y:1ms])",
    ] {
        let error = ask(large).unwrap_err();
        assert!(error.contains("query.memory"), "{large}: {error}");
    }
    let long_label = (0..4).fold("label_replace(vector(1), \"a\", \"value\", \"\", \"\")".to_owned(), |of, _| {
        format!("label_replace({of}, \"a\", \"{}\", \"a\", \"(.*)\")", "$1".repeat(1000))
    });
    assert!(ask(&long_label).unwrap_err().contains("query.memory"));
    // As many as there are threads, again and again: none is held.
    let long = "max_over_time(max_over_time(max_over_time(vector(1)[2m:1ms])[2m:1ms])[2m:1ms])";
    for _ in 0..3 {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let error = ask(long).unwrap_err();
                    assert!(error.contains("query.timeout") || error.contains("timed out"), "{error}");
                });
            }
        });
    }
    assert!(ask("vector(1)").is_ok());
    assert_eq!(server.rows("SELECT 1"), [["1"]]);
}

/// Whoever asks may go: with one thread, the next one would wait for as long as the first question takes.
#[test]
fn a_question_whose_client_went_away_ends() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[query]\nthreads = 1\nmemory = \"256MB\"\ntimeout = \"1h\"\n";
    let server = Server::start(&dir.path().join("data"), config);
    let long = "max_over_time(max_over_time(max_over_time(vector(1)[4m:1ms])[4m:1ms])[4m:1ms])";
    let impatient: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(std::time::Duration::from_millis(300))).build().into();
    let url = format!("{}/api/v1/query", server.url);
    assert!(impatient.get(url).query("query", long).query("time", "1767225600").call().is_err());
    let since = std::time::Instant::now();
    assert!(answer(&server.url, "query", &[("query", "vector(1)")]).is_ok());
    assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
    let states = server.rows("SELECT state FROM system.queries WHERE language = 'promql' AND statement LIKE 'max%'");
    assert_eq!(states, [["given up"]]);
}

/// Labels called `value` and `time` came back as `exported_value` and `exported_time`; a histogram of a metric with a label
/// `schema` was refused, and so was a label `schema` of a metric with histograms, and a metric called `series`.
#[test]
fn labels_come_back_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    let page =
        "m{time=\"t\",value=\"v\",exported_value=\"e\",count=\"c\",schema=\"s\",host=\"h\"} 1\nseries{a=\"b\"} 2\n";
    let pushed = post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes()).unwrap();
    assert_eq!(pushed.status, 204, "{}", pushed.body);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let histogram = |metric: &str, schema: &str| {
        let attributes = match schema {
            "" => String::new(),
            schema => format!(r#"{{"key":"schema","value":{{"stringValue":"{schema}"}}}}"#),
        };
        let body = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"{metric}","exponentialHistogram":{{
            "aggregationTemporality":2,"dataPoints":[{{"attributes":[{attributes}],"timeUnixNano":"{now}","count":"5",
            "sum":7.5,"scale":1,"zeroCount":"1","positive":{{"offset":0,"bucketCounts":["1","3"]}},"negative":{{}}}}]}}}}]}}]}}]}}"#
        );
        let url = format!("{}/v1/metrics", server.url);
        let sent = agent().post(url).header("Content-Type", "application/json").send(body.as_str()).unwrap();
        assert_eq!(sent.status(), 200);
    };
    // The label first, then the column; and the other way round.
    histogram("m", "h");
    histogram("n", "");
    let pushed =
        post(&format!("{}/api/v1/import/prometheus", server.url), b"n{schema=\"x\",schema_=\"y\",sum=\"z\"} 3\n")
            .unwrap();
    assert_eq!(pushed.status, 204, "{}", pushed.body);
    histogram("n", "late");

    let ask = |path: &str| {
        let text = get(&format!("{}/api/v1/{path}", server.url));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["data"].clone()
    };
    let all = "match[]=%7B__name__=~%22m%7Cn%7Cseries%22%7D";
    let series = ask(&format!("series?{all}"));
    let expected = serde_json::json!([
        {"__name__": "m", "count": "c", "exported_value": "e", "host": "h", "schema": "s", "time": "t", "value": "v"},
        {"__name__": "m", "schema": "h"},
        {"__name__": "n"},
        {"__name__": "n", "schema": "late"},
        {"__name__": "n", "schema": "x", "schema_": "y", "sum": "z"},
        {"__name__": "series", "a": "b"},
    ]);
    assert_eq!(series, expected);
    for (query, value) in [
        ("m{value=\"v\",time=\"t\",exported_value=\"e\",schema=~\"s\"}", "1"),
        ("series{a=\"b\"}", "2"),
        ("n{schema=\"x\",schema_!=\"\"}", "3"),
        ("histogram_count(m{schema=\"h\"})", "5"),
        ("histogram_sum(n{schema=\"late\"})", "7.5"),
        ("count(histogram_count(n{schema=\"\"}))", "1"),
        ("count by (value) (m{value!=\"\"})", "1"),
    ] {
        let query_string: String =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let found = ask(&format!("query?{query_string}"));
        assert_eq!(found["result"][0]["value"][1], value, "{query}: {found}");
    }
    assert_eq!(ask("label/value/values"), serde_json::json!(["v"]));
    assert_eq!(ask("label/schema/values"), serde_json::json!(["h", "late", "s", "x"]));
    let names = ["__name__", "a", "count", "exported_value", "host", "schema", "schema_", "sum", "time", "value"];
    assert_eq!(ask(&format!("labels?{all}")), serde_json::json!(names));
    assert_eq!(server.rows("SELECT exported_value, exported_value_, schema FROM m WHERE value = 1"), [["v", "e", "s"]]);
    assert_eq!(server.rows("SELECT histogram_schema FROM m WHERE schema = 'h'"), [["1"]]);
    assert_eq!(server.rows("SELECT a, value FROM stored_series"), [["b", "2.0"]]);
}

/// The mean of a series that ended was NaN in SQL, as the mark that says so is a NaN.
#[test]
fn a_series_that_ended_has_a_mean_in_sql_and_ends_in_promql() {
    let dir = tempfile::tempdir().unwrap();
    let page = std::sync::Arc::new(std::sync::Mutex::new("stays 1\ngoes 2\n"));
    let shown = page.clone();
    let port = crate::parts::site(move |_| ("200 OK".into(), shown.lock().unwrap().to_string()));
    let config =
        format!("[[target]]\nname = 'a'\nurl = 'http://127.0.0.1:{port}/metrics'\nkind = 'scrape'\ninterval = '1s'\n");
    let server = Server::start(dir.path(), &config);
    wait_for("two pages", || server.sql("SELECT count(*) > 1 AS some FROM goes", "csv").body.contains("true"));
    *page.lock().unwrap() = "stays 1\n";
    let ended = "SELECT count(*) FILTER (WHERE value IS NULL) > 0 AS ended FROM goes";
    wait_for("the mark", || server.sql(ended, "csv").body.contains("true"));
    assert_eq!(
        server.rows("SELECT avg(value), min(value), max(value), count(*) - count(value) FROM goes"),
        [["2.0", "2.0", "2.0", "1"]]
    );
    assert_eq!(
        server.rows("SELECT DISTINCT date_bin(INTERVAL '1 day', time) IS NULL, avg(value) FROM goes GROUP BY 1"),
        [["false", "2.0"]]
    );
    let found = get(&format!("{}/api/v1/query?query=%7B__name__=~%22goes%7Cstays%22%7D", server.url));
    assert!(found.contains("stays") && !found.contains("goes"), "{found}");
}

/// A real Prometheus reads our samples as if they were its own, as a stream and in one message, and scrapes `/federate`.
#[test]
fn prometheus_reads_remotely_and_federates() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(seed());
    let server = Server::start(&dir.path().join("data"), "");
    let now_s =
        i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let mut page = String::new();
    for series in 0..5 {
        let mut value = 0.0;
        for at in 0..400 {
            value += random.f64();
            // The newest are of now, for who federates.
            writeln!(
                page,
                "c_total{{series=\"{series}\",odd=\"a\\\\\\\"b\"}} {value} {}",
                (now_s - 4000 + at * 10) * 1000 + at % 7
            )
            .unwrap();
        }
    }
    writeln!(page, "{{\"a.name\",\"a label\"=\"x\"}} 5 {}", now_s * 1000).unwrap();
    let pushed = post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes()).unwrap();
    assert_eq!(pushed.status, 204, "{}", pushed.body);
    let config = dir.path().join("prometheus.yml");
    let address = server.url.trim_start_matches("http://");
    std::fs::write(
        &config,
        format!(
            "remote_read:\n- url: {}/api/v1/read\n  read_recent: true\nscrape_configs:\n- job_name: federate\n  \
             scrape_interval: 1s\n  metrics_path: /federate\n  honor_labels: true\n  params:\n    'match[]': ['{{__name__=~\".+\"}}']\n  \
             metric_relabel_configs:\n  - source_labels: [__name__]\n    target_label: __name__\n    replacement: federated_$1\n  \
             static_configs:\n  - targets: [{address}]\n",
            server.url
        ),
    )
    .unwrap();
    let port = free_port();
    let _program = Program::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("blocks").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let prometheus = format!("http://127.0.0.1:{port}");
    wait_for("prometheus", || is_up(&format!("{prometheus}/-/ready")));
    for query in [
        "c_total",
        "c_total[20m]",
        "sum by (series) (rate(c_total[5m]))",
        "c_total{odd=\"a\\\\\\\"b\",series=~\"1|2\"}",
    ] {
        let at = (now_s - 300).to_string();
        let parameters = [("query", query), ("time", at.as_str())];
        let (theirs, ours) = (answer(&prometheus, "query", &parameters), answer(&server.url, "query", &parameters));
        assert!(!theirs.as_ref().unwrap().1.is_empty());
        assert!(compare(query, &theirs, &ours) > 0);
    }
    wait_for("what is federated", || !ask(&prometheus, "federated_c_total", now_s as f64 + 5.0).is_empty());
    let federated = get(&format!("{}/federate?match[]=c_total&match[]=%7B%22a.name%22%7D", server.url));
    assert!(
        federated.contains("# TYPE c_total untyped\nc_total{odd=\"a\\\\\\\"b\",series=\"0\",instance=\"\"} "),
        "{federated}"
    );
    assert!(federated.contains(&format!("a_name{{a_label=\"x\",instance=\"\"}} 5 {}\n", now_s * 1000)), "{federated}");
    assert!(federated.lines().count() < 12, "{federated}");

    // In one message, as readers of old ask for it; and what is asked wrongly.
    let mut request = vec![0x0a, 0, 0x08];
    let start_ms = ((now_s - 4000) * 1000) as u64;
    wire::put_varint(&mut request, start_ms);
    request.push(0x10);
    wire::put_varint(&mut request, start_ms + 5_000);
    request.extend(b"\x1a\x13\x12\x08__name__\x1a\x07c_total");
    request[1] = u8::try_from(request.len() - 2).unwrap();
    let read = |body: &[u8]| {
        let packed = snap::raw::Encoder::new().compress_vec(body).unwrap();
        agent().post(format!("{}/api/v1/read", server.url)).send(&packed[..]).unwrap()
    };
    let mut answer = read(&request);
    assert_eq!((answer.status().as_u16(), answer.headers()["content-encoding"].to_str().unwrap()), (200, "snappy"));
    let packed = answer.body_mut().read_to_vec().unwrap();
    let message = snap::raw::Decoder::new().decompress_vec(&packed).unwrap();
    let mut results = wire::Message::new(&message).next().unwrap().unwrap().1.message("a result").unwrap();
    let mut series = 0;
    while let Some((_, wire)) = results.next().unwrap() {
        let (mut fields, mut samples) = (wire.message("a series").unwrap(), 0);
        while let Some((field, _)) = fields.next().unwrap() {
            samples += usize::from(field == 2);
        }
        (series, _) = (series + 1, assert_eq!(samples, 1));
    }
    assert_eq!(series, 5);
    let mut refused = read(b"\x0a\x05\x1a\x03\x08\x09\x00");
    let said = refused.body_mut().read_to_string().unwrap();
    assert!(refused.status() == 400 && said.contains("bad_data"), "{said}");
}

/// What Prometheus' own page and Grafana ask beside questions.
#[test]
fn pages_of_others_find_what_they_ask_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    let page = "up{job=\"a\",instance=\"b:1\"} 1\nup{job=\"a\",instance=\"c:1\"} 0\nm{job=\"a\"} 5\n";
    assert_eq!(post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes()).unwrap().status, 204);
    let ask = |path: &str| {
        let text = get(&format!("{}/api/v1/{path}", server.url));
        let answer = serde_json::from_str::<serde_json::Value>(&text).unwrap();
        assert_eq!(answer["status"], "success", "{text}");
        answer["data"].clone()
    };
    assert_eq!(ask("format_query?query=sum(up)by(job)"), "sum by (job) (up)");
    assert_eq!(ask("parse_query?query=sum(up)")["expr"]["name"], "up");
    let all = ask("status/tsdb");
    assert_eq!(all["headStats"]["numSeries"], 3);
    assert_eq!(
        all["seriesCountByMetricName"],
        serde_json::json!([{"name": "up", "value": 2}, {"name": "m", "value": 1}])
    );
    assert_eq!(all["seriesCountByLabelValuePair"][0], serde_json::json!({"name": "job=a", "value": 3}));
    let some = ask("status/tsdb?match[]=up&limit=1");
    assert_eq!(some["seriesCountByMetricName"], serde_json::json!([{"name": "up", "value": 2}]));
    assert_eq!(some["labelValueCountByLabelName"], serde_json::json!([{"name": "instance", "value": 2}]));
    let targets = ask("targets");
    let health: BTreeMap<&str, &str> = targets["activeTargets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| (own["labels"]["instance"].as_str().unwrap(), own["health"].as_str().unwrap()))
        .collect();
    assert_eq!(health, [("b:1", "up"), ("c:1", "down")].into());
    let started = || ask("status/runtimeinfo")["startTime"].clone();
    let first = started();
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert!(first.is_string() && first == started(), "it was started once");
    for path in ["status/flags", "status/config", "status/runtimeinfo", "status/buildinfo"] {
        assert!(ask(path).is_object(), "{path}");
    }
    for path in ["", "-/healthy", "-/ready"] {
        get(&format!("{}/{path}", server.url));
    }
}

/// Exemplars were thrown away and counted. They come by remote write and in OpenMetrics, and are answered for the series that a
/// question selects.
#[test]
fn exemplars_are_kept_and_answered() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    let page = "# TYPE h histogram\nh_bucket{le=\"1\",host=\"a\"} 3 1767225600 # {trace_id=\"t1\",span=\"\"} 0.5 1767225599.25\n\
                h_bucket{le=\"+Inf\",host=\"a\"} 4 1767225600 # {trace_id=\"t2\"} 7\n\
                h_bucket{le=\"1\",host=\"b\"} 4 1767225600 # broken\nh_count{host=\"a\"} 4 1767225600\n# EOF\n";
    assert_eq!(post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes()).unwrap().status, 204);
    // Remote write 1.0 and 2.0: a series with a sample and an exemplar each.
    let text = |writer: &mut wire::Writer, name: &str, value: &str| {
        writer.message(1, |label| {
            label.bytes(1, name.as_bytes());
            label.bytes(2, value.as_bytes());
        });
    };
    let mut one = wire::Writer::default();
    one.message(1, |series| {
        text(series, "__name__", "c_total");
        text(series, "host", "a");
        series.message(2, |sample| {
            sample.double(1, 9.0);
            sample.varint(2, 1_767_225_600_000);
        });
        series.message(3, |exemplar| {
            text(exemplar, "trace_id", "t3");
            exemplar.double(2, 1.5);
            exemplar.varint(3, 1_767_225_600_001);
        });
    });
    let mut two = wire::Writer::default();
    ["", "__name__", "d_total", "trace_id", "t4"].iter().for_each(|symbol| two.bytes(4, symbol.as_bytes()));
    two.message(5, |series| {
        series.bytes(1, &[1, 2]);
        series.message(2, |sample| {
            sample.double(1, 9.0);
            sample.varint(2, 1_767_225_600_000);
        });
        series.message(4, |exemplar| {
            exemplar.bytes(1, &[3, 4]);
            exemplar.double(2, 2.5);
            exemplar.varint(3, 1_767_225_600_002);
        });
    });
    for (message, kind) in
        [(one, "application/x-protobuf"), (two, "application/x-protobuf;proto=io.prometheus.write.v2.Request")]
    {
        let packed = snap::raw::Encoder::new().compress_vec(&message.finish()).unwrap();
        let url = format!("{}/api/v1/write", server.url);
        let sent = agent().post(url).header("Content-Type", kind).send(&packed[..]).unwrap();
        assert_eq!(
            (sent.status().as_u16(), &sent.headers()["x-prometheus-remote-write-exemplars-written"]),
            (204, &"1".parse().unwrap())
        );
    }
    let ask = |query: &str, more: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer = get(&format!("{}/api/v1/query_exemplars?{query}{more}", server.url));
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        answer["data"].clone()
    };
    let bucket = |le: &str, exemplar: serde_json::Value| serde_json::json!({"seriesLabels": {"__name__": "h_bucket", "host": "a", "le": le}, "exemplars": [exemplar]});
    let first =
        bucket("1", serde_json::json!({"labels": {"trace_id": "t1"}, "value": "0.5", "timestamp": 1_767_225_599.25}));
    let second =
        bucket("+Inf", serde_json::json!({"labels": {"trace_id": "t2"}, "value": "7", "timestamp": 1_767_225_600}));
    assert_eq!(
        ask("histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m])))", ""),
        serde_json::json!([second, first])
    );
    assert_eq!(ask("h_bucket{le=~\"1\"}", "&start=1767225599&end=1767225600"), serde_json::json!([first]));
    assert_eq!(ask("h_bucket", "&start=1767225601"), serde_json::json!([]));
    // As Grafana tries whether there are any: in ms, where seconds are meant.
    assert_eq!(ask("test", "&start=1767225600000&end=1767225601000"), serde_json::json!([]));
    let both = ask("c_total + on () d_total", "");
    let values: Vec<&str> =
        both.as_array().unwrap().iter().map(|own| own["exemplars"][0]["value"].as_str().unwrap()).collect();
    assert_eq!(values, ["1.5", "2.5"], "{both}");
    assert_eq!(server.rows("SELECT count(*) FROM exemplars"), [["4"]]);
}

/// What OTLP said of exemplars was counted as refused. They are of the bucket that their value is in, as in Prometheus.
#[test]
fn exemplars_of_otlp_are_of_their_buckets() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    let at = |offset: u64| (1_767_225_600_000_000_000u64 + offset).to_string();
    let exemplar = |value: f64, trace: &str| {
        serde_json::json!({"timeUnixNano": at(5_000_000), "asDouble": value, "traceId": trace, "spanId": "",
            "filteredAttributes": [{"key": "path", "value": {"stringValue": "/x"}}]})
    };
    let histogram = serde_json::json!({"timeUnixNano": at(0), "count": "4", "sum": 9, "bucketCounts": ["1", "2", "1"],
        "explicitBounds": [0.5, 1], "attributes": [{"key": "value", "value": {"stringValue": "a"}}],
        "exemplars": [exemplar(1.0, "t1"), exemplar(7.0, "t2")]});
    let number = serde_json::json!({"timeUnixNano": at(0), "asInt": "3", "exemplars": [exemplar(0.25, "t3")]});
    let metrics = serde_json::json!([
        {"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [histogram]}},
        {"name": "c_total", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [number]}}
    ]);
    let body = serde_json::json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]}).to_string();
    let url = format!("{}/v1/metrics", server.url);
    let sent = agent().post(url).header("Content-Type", "application/json").send(&body).unwrap();
    assert_eq!(sent.status(), 200);
    // The same as protobuf.
    let mut message = wire::Writer::default();
    message.message(1, |resource| {
        resource.message(2, |scope| {
            scope.message(2, |metric| {
                metric.bytes(1, b"g");
                metric.message(5, |gauge| {
                    gauge.message(1, |point| {
                        // As many bytes, and as they stand.
                        point.double(3, f64::from_bits(1_767_225_600_000_000_000));
                        point.double(4, 2.0);
                        point.message(5, |exemplar| {
                            exemplar.double(3, 0.75);
                            exemplar.bytes(4, &[0xab, 1]);
                            exemplar.bytes(5, &[0xcd, 2]);
                        });
                    });
                });
            });
        });
    });
    let url = format!("{}/v1/metrics", server.url);
    let sent = agent().post(url).header("Content-Type", "application/x-protobuf").send(&message.finish()[..]).unwrap();
    assert_eq!(sent.status(), 200);
    let ask = |query: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer: serde_json::Value =
            serde_json::from_str(&get(&format!("{}/api/v1/query_exemplars?{query}", server.url))).unwrap();
        answer["data"].clone()
    };
    let shown = |labels: serde_json::Value, value: &str, time: f64| {
        let mut labels = labels;
        labels["path"] = "/x".into();
        serde_json::json!([{"labels": labels, "value": value, "timestamp": time}])
    };
    let of_bucket = |le: &str, trace: &str, value: &str| {
        serde_json::json!({"seriesLabels": {"__name__": "h_bucket", "le": le, "value": "a"},
            "exemplars": shown(serde_json::json!({"trace_id": trace}), value, 1_767_225_600.005)})
    };
    assert_eq!(ask("h_bucket"), serde_json::json!([of_bucket("+Inf", "t2", "7"), of_bucket("1", "t1", "1")]));
    assert_eq!(ask("c_total")[0]["exemplars"], shown(serde_json::json!({"trace_id": "t3"}), "0.25", 1_767_225_600.005));
    assert_eq!(ask("g")[0]["exemplars"][0]["labels"], serde_json::json!({"span_id": "ab01", "trace_id": "cd02"}));
    assert_eq!(ask("g")[0]["exemplars"][0]["timestamp"], serde_json::json!(1_767_225_600));
}

/// The times since when samples count were thrown away. They are kept beside them, come back, and rates heed them where asked:
/// what was there by the first sample was counted since then, and nothing is guessed.
#[test]
fn rates_know_since_when_samples_count() {
    const T: u64 = 1_767_225_600_000;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "[promql]\nstart_timestamps = true\n");
    let mut message = wire::Writer::default();
    ["", "__name__", "c_total", "start_timestamp_ms", "label"]
        .iter()
        .for_each(|symbol| message.bytes(4, symbol.as_bytes()));
    message.message(5, |series| {
        // A label of the column's name, too.
        series.bytes(1, &[1, 2, 3, 4]);
        for (time, value) in [(T, 10.0), (T + 60_000, 12.0)] {
            series.message(2, |sample| {
                sample.double(1, value);
                sample.varint(2, time);
                sample.varint(3, T - 30_000);
            });
        }
    });
    let packed = snap::raw::Encoder::new().compress_vec(&message.finish()).unwrap();
    let kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let sent = agent().post(format!("{}/api/v1/write", server.url)).header("Content-Type", kind).send(&packed[..]);
    assert_eq!(sent.unwrap().status(), 204);
    let point = |time: u64, value: u64| {
        serde_json::json!({"timeUnixNano": (time * 1_000_000).to_string(), "asInt": value.to_string(),
            "startTimeUnixNano": ((T - 30_000) * 1_000_000).to_string()})
    };
    let sum = serde_json::json!({"aggregationTemporality": 2, "isMonotonic": true,
        "dataPoints": [point(T, 10), point(T + 60_000, 12)]});
    let body =
        serde_json::json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "o_total", "sum": sum}]}]}]});
    let url = format!("{}/v1/metrics", server.url);
    let sent = agent().post(url).header("Content-Type", "application/json").send(body.to_string()).unwrap();
    assert_eq!(sent.status(), 200);
    let value = |query: &str| {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer = get(&format!("{}/api/v1/query?{query}&time={}", server.url, T / 1000 + 60));
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["data"]["result"][0].clone()
    };
    for metric in ["c_total", "o_total"] {
        assert_eq!(value(&format!("increase({metric}[2m])"))["value"][1], "12", "{metric}");
        assert_eq!(value(&format!("start_timestamp({metric})"))["value"][1], (T / 1000 - 30).to_string(), "{metric}");
    }
    assert_eq!(value("c_total")["metric"], serde_json::json!({"__name__": "c_total", "start_timestamp_ms": "label"}));
    let names = get(&format!("{}/api/v1/label/__name__/values", server.url));
    assert!(!names.contains("_start"), "{names}");
    let rows = server.rows("SELECT value, start_timestamp_ms FROM o_total ORDER BY time");
    assert_eq!(rows, [["10.0", "1767225570000"], ["12.0", "1767225570000"]]);
}

/// A large answer was one text in memory. It comes piece by piece, packed or not, and a reader that goes away ends it.
#[test]
fn large_answers_come_piece_by_piece() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    let rows: String = (0..3000).map(|number| format!("m,series=s{number:04} value={number} 1767225600\n")).collect();
    assert_eq!(server.write("?precision=s", rows.as_bytes()).status, 204);
    let url = format!("{}/api/v1/query_range?query=m&start=1767225600&end=1767225849&step=1", server.url);
    let whole = agent().get(&url).call().unwrap();
    assert_eq!(whole.headers().get("content-length"), None);
    let text = whole.into_body().with_config().limit(1 << 30).read_to_string().unwrap();
    assert!(text.len() > 10 << 20, "{}", text.len());
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    let series = read["data"]["result"].as_array().unwrap();
    assert_eq!(series.len(), 3000);
    for (number, series) in series.iter().enumerate() {
        let values = series["values"].as_array().unwrap();
        assert_eq!(
            (series["metric"]["series"].as_str().unwrap(), values.len()),
            (format!("s{number:04}").as_str(), 250)
        );
        assert_eq!(values[249], serde_json::json!([1_767_225_849, number.to_string()]));
    }
    let packed = agent().get(&url).header("Accept-Encoding", "zstd").call().unwrap();
    assert_eq!(packed.headers()["content-encoding"], "zstd");
    let bytes = packed.into_body().with_config().limit(1 << 30).read_to_vec().unwrap();
    assert_eq!(zstd::decode_all(&bytes[..]).unwrap(), text.as_bytes());
    // What is short has a length.
    let short = agent().get(format!("{}/api/v1/query?query=1", server.url)).call().unwrap();
    assert!(short.headers().contains_key("content-length"));
    drop(agent().get(&url).call().unwrap());
    let states = || server.rows("SELECT state FROM system.queries WHERE language = 'promql' ORDER BY id");
    wait_for("the reader that went away", || states().last() == Some(&vec!["given up".to_owned()]));
    assert_eq!(states().concat(), ["done", "done", "done", "given up"]);
}

/// Asked by an expression for names, metrics came in the order of their tables: a field of an older table won over the table of the
/// metric's own name.
#[test]
fn a_table_wins_over_a_field_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    for rows in ["m b=1 1767225600", "m_b value=2 1767225600"] {
        assert_eq!(server.write("?precision=s", rows.as_bytes()).status, 204);
    }
    for query in ["m_b", "%7B__name__=~%22m_.*%22%7D", "%7B__name__=~%22m_b%22%7D"] {
        let url = format!("{}/api/v1/query?query={query}&time=1767225600", server.url);
        let answer: serde_json::Value = serde_json::from_str(&get(&url)).unwrap();
        let found = answer["data"]["result"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{query}: {answer}");
        assert_eq!(found[0]["value"][1], "2", "{query}");
    }
}

/// A question that ran out of time could be listed as given up, as the end of its time ends the waiting, too.
#[test]
fn a_question_out_of_time_is_listed_as_failed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "[query]\ntimeout = '1s'\n");
    let ask = |parameters: &str| {
        // Ten thousand windows of 36,000 numbers: little memory, and minutes.
        let query = "quantile_over_time(0.5,(time()%2Bvector(1))[10h:1s])&start=1767225600&end=1767235600&step=1";
        let url = format!("{}/api/v1/query_range?query={query}{parameters}", server.url);
        let answer = agent().get(&url).call().unwrap();
        (answer.status().as_u16(), answer.into_body().read_to_string().unwrap())
    };
    for parameters in ["", "&timeout=50ms"] {
        let (status, body) = ask(parameters);
        assert_eq!(status, 503, "{body}");
        assert!(body.contains(r#""errorType":"timeout""#), "{body}");
        let listed = || {
            let sql = "SELECT state, error FROM system.queries WHERE language = 'promql' ORDER BY id DESC LIMIT 1";
            server.rows(sql).concat()
        };
        wait_for("the end of the question", || listed()[0] != "running");
        assert_eq!(listed()[0], "failed", "{parameters} {:?}", listed());
    }
}

/// Values of labels came from the labels of all series, which took a second at a million of them. They are read off the numbers of
/// series where predicates say all that is asked, and are the same.
#[test]
fn values_of_labels_are_those_of_the_series() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    let mut rows = String::new();
    for number in 0..120 {
        let tags: String = [("a", number % 3), ("b", number % 5), ("c", number % 7)]
            .iter()
            .filter(|(_, value)| *value > 0)
            .map(|(name, value)| format!(",{name}=v{value}"))
            .collect();
        rows += &format!("m{}{tags} value=1,other=2 {}\n", number % 2, 1_767_225_600 + number * 60);
    }
    assert_eq!(server.write("?precision=s", rows.as_bytes()).status, 204);
    let ask = |path: &str, parameters: &[(&str, &str)]| -> serde_json::Value {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let answer: serde_json::Value =
            serde_json::from_str(&get(&format!("{}/api/v1/{path}?{query}", server.url))).unwrap();
        answer["data"].clone()
    };
    let matchers = [
        "m0",
        "{__name__=~\"m.\"}",
        "m0{a=\"v1\"}",
        "m1{a=\"\"}",
        "m0{a!=\"v1\"}",
        "m0{b=~\"v[12]\"}",
        "m0{b=~\"v1|\"}",
        "m0{b!~\"v1\"}",
        "m0{b!~\"v1|\"}",
        "m0_other{c=\"v3\",a!=\"\"}",
        "m0{d=\"\"}",
        "m0{d=\"x\"}",
        "m0{d!=\"x\",a=\"v2\"}",
        "none",
    ];
    for is_sealed in [false, true] {
        for matcher in matchers {
            for (start, end) in
                [("1767225600", "1767232800"), ("1767226000", "1767226500"), ("1767232801", "1767240000")]
            {
                let parameters = [("match[]", matcher), ("start", start), ("end", end)];
                let series = ask("series", &parameters);
                let all = series.as_array().unwrap();
                let names: std::collections::BTreeSet<&String> =
                    all.iter().flat_map(|own| own.as_object().unwrap().keys()).collect();
                let found = ask("labels", &parameters);
                assert_eq!(found, serde_json::json!(names), "labels of {matcher}, {start}, sealed: {is_sealed}");
                for label in ["a", "b", "c", "d", "__name__"] {
                    let of_series = series.as_array().unwrap().iter().filter_map(|own| own[label].as_str());
                    let expected: std::collections::BTreeSet<&str> = of_series.collect();
                    let found = ask(&format!("label/{label}/values"), &parameters);
                    assert_eq!(
                        found,
                        serde_json::json!(expected),
                        "{label} of {matcher}, {start}, sealed: {is_sealed}"
                    );
                }
            }
        }
        assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
    }
    // What was known of names is not kept when there are new ones.
    let parameters = [("match[]", "{__name__=~\"m.*\"}"), ("start", "1767225600"), ("end", "1767232800")];
    assert_eq!(ask("label/__name__/values", &parameters), serde_json::json!(["m0", "m0_other", "m1", "m1_other"]));
    assert_eq!(server.write("?precision=s", b"m2,e=v1 value=1 1767225600\nm1 third=1 1767225600").status, 204);
    let expected = ["m0", "m0_other", "m1", "m1_other", "m1_third", "m2"];
    assert_eq!(ask("label/__name__/values", &parameters), serde_json::json!(expected));
    assert_eq!(ask("labels", &parameters), serde_json::json!(["__name__", "a", "b", "c", "e"]));
}
