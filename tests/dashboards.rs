//! The dashboards of `dist/grafana`: they are as their script writes them, and every statement of every panel is asked of a
//! server that has what they are about, and answers rows. A panel that asks for a metric of yesterday's name is empty, and
//! nobody sees it until they need it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::clients::python;
use crate::server::{Server, agent, post, reply};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/grafana")
}

fn dashboards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(folder().join("dashboards")).unwrap().map(|file| file.unwrap().path());
    let read = |file: PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        (name, serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
    };
    let mut all: Vec<_> = files.map(read).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[test]
#[cfg_attr(
    not(part = "python-clients"),
    ignore = "there is no Python with the clients that .ci/run installs (FOURNINES_PYTHON)"
)]
fn dashboards_are_as_their_script_writes_them() {
    let made = Command::new(python()).arg(folder().join("dashboards.py")).arg("--check").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Three hours of two sites, one of which was down for a while, of a site with three edges, and of the machine; and what the
/// server says of itself.
fn filled(dir: &Path) -> (Server, u64) {
    let server = Server::start(dir, "");
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut rows = String::new();
    for minute in 0..180u64 {
        let at = now_s - (180 - minute) * 60;
        for (target, is_down) in [("portal", (60..70).contains(&minute)), ("intranet", false)] {
            let tags = format!("probe,target={target},kind=http,group=town,location=hamburg");
            let phases = "dns_ms=1,connect_ms=2,tls_ms=9,wait_ms=30,transfer_ms=3,lag_ms=0.5,interval_ms=60000";
            rows += &match is_down {
                true => format!(
                    "{tags} up=false,outcome=\"fail\",error=\"connect\",message=\"refused\",lag_ms=0.5,interval_ms=60000 {at}\n"
                ),
                false => format!(
                    "{tags} up=true,outcome=\"ok\",{phases},total_ms={},status=200i,cert_expires_s=8640000i {at}\n",
                    45 + minute % 7
                ),
            };
        }
        for edge in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            rows += &format!(
                "probe,target=shop,kind=cdn,group=town,location=hamburg,edge={edge} up=true,outcome=\"ok\",total_ms=20,interval_ms=60000,\
                 lag_ms=0.5,cache=\"hit\",vendor=\"Varnish\",pop=\"HAM\",age_s=7i,content_agrees=true,cert_agrees=true,error=\"\" {at}\n"
            );
        }
        rows += &format!(
            "cdn,target=shop,kind=cdn,group=town,location=hamburg edge_count=3i,up_count=3i,hit_count=2i,content_count=1i,\
             certificate_count=1i,dns_failures=0i,origin_wait_ms=12,origin_total_ms=15 {at}\n\
             host,host=web1 cpu_percent=12,load1=0.5,load5=0.4,load15=0.3,memory_used_bytes=1000000i,memory_total_bytes=4000000i,\
             memory_percent=25,disk_used_bytes=5000000i,disk_total_bytes=9000000i,disk_fullest_percent={},network_received_bytes_per_s=100,\
             network_sent_bytes_per_s=200,processes=80i {at}\n",
            50.0 + minute as f64 / 60.0
        );
    }
    let sent = server.write("?precision=s", rows.as_bytes());
    assert_eq!(sent.status, 204, "{}", sent.body);
    // What is refused is counted, too.
    assert_eq!(server.write("", b"nonsense").status, 400);
    for _ in 0..3 {
        let page = reply(agent().get(format!("{}/metrics", server.url)).call()).unwrap().body;
        let pushed = post(&format!("{}/metrics/job/fournines/instance/here", server.url), page.as_bytes()).unwrap();
        assert!(pushed.status < 300, "{}", pushed.body);
        std::thread::sleep(Duration::from_millis(300));
    }
    (server, now_s + 2)
}

/// What Grafana puts in place of its variables.
fn chosen(text: &str, now_s: u64) -> String {
    let time = |s: u64| jiff::Timestamp::from_second(s as i64).unwrap().to_string();
    let chosen = [
        ("${__from:date:iso}", time(now_s - 3 * 3600)),
        ("${__to:date:iso}", time(now_s)),
        ("$__rate_interval", "1m0s".into()),
        ("$target", ".*".into()),
        ("$group", ".*".into()),
        ("$host", ".*".into()),
    ];
    let text = chosen.into_iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, &value));
    assert!(!text.contains('$'), "a variable that nobody sets: {text}");
    text
}

fn json(server: &Server, path: &str, form: &[(&str, &str)]) -> Value {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let answer = reply(agent().get(format!("{}/api/v1/{path}?{form}", server.url)).call()).unwrap();
    assert_eq!(answer.status, 200, "{path} {form}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// The metrics of ours that an expression names. `or vector(0)` answers a row also where there is no such metric.
fn metrics(expr: &str) -> impl Iterator<Item = &str> {
    let words = expr.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| ["probe_", "cdn_", "host_", "fournines_"].iter().any(|start| word.starts_with(start)))
}

/// The rows of an answer in PromQL that have a number; there may be nothing to warn of.
fn points(server: &Server, target: &Value, now_s: u64) -> usize {
    let expr = chosen(target["expr"].as_str().unwrap(), now_s);
    let (start, end) = ((now_s - 3 * 3600).to_string(), now_s.to_string());
    let answer = match target["instant"].as_bool().unwrap() {
        true => json(server, "query", &[("query", &expr), ("time", &end)]),
        false => json(server, "query_range", &[("query", &expr), ("start", &start), ("end", &end), ("step", "30")]),
    };
    assert!(answer.get("warnings").is_none(), "{expr}: {answer}");
    let is_number = |point: &Value| point[1].as_str().unwrap().parse::<f64>().unwrap().is_finite();
    let series = answer["data"]["result"].as_array().unwrap().iter();
    series
        .map(|series| match series.get("values") {
            Some(values) => values.as_array().unwrap().iter().filter(|point| is_number(point)).count(),
            None => usize::from(is_number(&series["value"])),
        })
        .sum()
}

/// The rows of an answer in SQL, which have all columns that the panel names.
fn rows(server: &Server, target: &Value, now_s: u64) -> usize {
    let body = chosen(target["url_options"]["data"].as_str().unwrap(), now_s);
    let url = format!("{}{}", server.url, target["url"].as_str().unwrap());
    let answer = reply(agent().post(url).header("Content-Type", "application/json").send(&body)).unwrap();
    assert_eq!(answer.status, 200, "{body}: {}", answer.body);
    let rows: Vec<Value> = serde_json::from_str(&answer.body).unwrap();
    for column in target["columns"].as_array().unwrap() {
        assert!(rows.iter().all(|row| row.get(column["selector"].as_str().unwrap()).is_some()), "{column}: {body}");
    }
    rows.len()
}

#[test]
fn every_statement_of_every_panel_answers_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (server, now_s) = filled(dir.path());
    let all = dashboards();
    assert_eq!(
        all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["budgets", "edges", "machines", "server", "sites"]
    );
    let known = json(&server, "label/__name__/values", &[]);
    let known: Vec<&str> = known["data"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut empty = Vec::new();
    for (name, dashboard) in &all {
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let Some(definition) = variable["definition"].as_str() else { continue };
            let parts = definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            let (metric, label) = parts.split_once(", ").unwrap();
            let values = json(&server, &format!("label/{label}/values"), &[("match[]", metric)]);
            assert_ne!(values["data"].as_array().unwrap().len(), 0, "{name}: {definition}");
        }
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let count = match target["datasource"]["type"].as_str().unwrap() {
                    "prometheus" => {
                        let unknown = metrics(target["expr"].as_str().unwrap()).find(|name| !known.contains(name));
                        assert_eq!(unknown, None, "{name}: {target}");
                        points(&server, target, now_s)
                    }
                    _ => rows(&server, target, now_s),
                };
                if count == 0 {
                    empty.push(format!("{name}, {}: {target}", panel["title"]));
                }
            }
        }
    }
    assert!(empty.is_empty(), "{}", empty.join("\n"));
}

/// No two panels of a dashboard lie on each other, and none reaches beyond the 24 columns.
#[test]
fn panels_lie_side_by_side() {
    for (name, dashboard) in dashboards() {
        let mut taken = std::collections::HashSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(of("x") + of("w") <= 24, "{name}: {}", panel["title"]);
            for x in of("x")..of("x") + of("w") {
                for y in of("y")..of("y") + of("h") {
                    assert!(taken.insert((x, y)), "{name}: {} lies on another panel", panel["title"]);
                }
            }
        }
    }
}
