//! An oracle for counters and histograms: the same samples in a real Prometheus, asked in PromQL.

use std::fmt::Write;
use std::process::Command;

use crate::agents::{get, is_up};
use crate::parts::{Program, free_port};
use crate::server::{Server, post, wait_for};

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
/// and those with gaps stay far from zero.
fn samples(random: &mut fastrand::Rng) -> String {
    let mut text = String::new();
    for (name, kind) in [("c", "counter"), ("g", "gauge")] {
        writeln!(text, "# TYPE {name} {kind}").unwrap();
        for series in 0..SERIES {
            let has_gaps = series % 2 == 1;
            let least = if has_gaps { 10_000.0 } else { 0.0 };
            let (mut value, mut at_ms) = (least + random.f64() * 100.0, START_S * 1000 + random.i64(0..15_000));
            while at_ms < (START_S + LENGTH_S) * 1000 {
                let suffix = if kind == "counter" { "_total" } else { "" };
                writeln!(text, "{name}{suffix}{{series=\"{series}\"}} {value} {}.{:03}", at_ms / 1000, at_ms % 1000)
                    .unwrap();
                at_ms += match has_gaps {
                    true => 13_000 + random.i64(0..4000) + if random.u8(..) < 6 { 200_000 } else { 0 },
                    false => 15_000,
                };
                value = match random.u8(..) {
                    0..8 if kind == "counter" && !has_gaps => random.f64() * 3.0,
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
    let text = samples(&mut random);
    let (page, blocks, config) =
        (dir.path().join("page"), dir.path().join("blocks"), dir.path().join("prometheus.yml"));
    std::fs::write(&page, &text).unwrap();
    std::fs::write(&config, "").unwrap();
    let made =
        Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics"]).args([&page, &blocks]).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = free_port();
    let _prometheus = Program::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", blocks.display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let prometheus = format!("http://127.0.0.1:{port}");
    let server = Server::start(&dir.path().join("data"), "");
    let reply = post(&format!("{}/api/v1/import/prometheus", server.url), text.as_bytes()).unwrap();
    assert_eq!(reply.status, 204, "{}", reply.body);
    wait_for("prometheus", || is_up(&format!("{prometheus}/-/ready")));

    let mut compared = 0;
    let mut compare = |promql: &str, at_s: f64, sql: &str| {
        let theirs = ask(&prometheus, promql, at_s);
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
        let from_ms = (START_S + random.i64(15..LENGTH_S)) * 1000 + random.i64(1..1000);
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
