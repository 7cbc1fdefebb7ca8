//! Real programs, unmodified, that read us as if we were Prometheus.

use std::fmt::Write;
use std::process::Command;

use crate::agents::{get, is_up};
use crate::clients::{python, token};
use crate::door::browse;
use crate::parts::{Program, free_port, nginx, site};
use crate::server::{Server, agent, post, wait_for};

fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// vmalert asks by POST with everything in the address and a step where none is needed, writes what its rules make, and reads
/// the state of alerts back when it starts.
#[test]
#[cfg_attr(not(part = "vmalert"), ignore = "needs vmalert: .ci/run installs it")]
fn vmalert_evaluates_rules() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let rules = dir.path().join("rules.yml");
    std::fs::write(
        &rules,
        "groups:\n- name: g\n  interval: 1s\n  rules:\n  - record: job:up:sum\n    expr: sum by (job) (up)\n    \
         labels: {by: rule}\n  - alert: Down\n    expr: up == 0\n    for: 1s\n    annotations: {text: \"{{ $labels.instance }} is {{ $value }}\"}\n",
    )
    .unwrap();
    let page = "up{job=\"a\",instance=\"x\"} 1\nup{job=\"a\",instance=\"y\"} 1\nup{job=\"b\",instance=\"z\"} 0\n";
    assert_eq!(post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes()).unwrap().status, 204);
    let address = format!("127.0.0.1:{}", free_port());
    // Where it tells of alerts.
    let notified = site(|_| ("200 OK".into(), String::new()));
    let _vmalert = Program::start(
        Command::new("vmalert")
            .arg(format!("-rule={}", rules.display()))
            .args(["datasource", "remoteWrite", "remoteRead"].map(|what| format!("-{what}.url={}", server.url)))
            .arg(format!("-notifier.url=http://127.0.0.1:{notified}"))
            .args(["-evaluationInterval=1s", "-remoteWrite.flushInterval=1s"])
            .arg(format!("-httpListenAddr={address}")),
    );
    let ask = |query: &str| {
        let parameters = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer = get(&format!("{}/api/v1/query?{parameters}", server.url));
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()["data"]["result"].clone()
    };
    let value = |query: &str| ask(query)[0]["value"][1].as_str().map(str::to_owned);
    wait_for("what a rule records", || value("job:up:sum{job=\"a\",by=\"rule\"}").as_deref() == Some("2"));
    wait_for("an alert", || {
        value("ALERTS{alertname=\"Down\",alertstate=\"firing\",instance=\"z\"}").as_deref() == Some("1")
    });
    let rules = get(&format!("http://{address}/api/v1/rules"));
    let rules: serde_json::Value = serde_json::from_str(&rules).unwrap();
    for rule in rules["data"]["groups"][0]["rules"].as_array().unwrap() {
        assert_eq!((&rule["health"], &rule["lastError"]), (&"ok".into(), &"".into()), "{rule}");
    }
    // In SQL it is a table like any other.
    assert_eq!(server.rows("SELECT DISTINCT value FROM \"job:up:sum\" WHERE job = 'a'"), [["2.0"]]);
}

#[test]
#[cfg_attr(not(part = "python-clients"), ignore = "needs the Python clients: .ci/run installs them")]
fn prometheus_api_client_finds_all_that_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let token = token(dir.path(), &["write", "read"]);
    let server = Server::start(dir.path(), "").with_token(&token);
    let mut page = String::from("# TYPE c_total counter\n# HELP c_total Things.\n");
    let now_ms = now_s() * 1000;
    for minute in 0..60 {
        writeln!(page, "c_total{{job=\"a\"}} {minute} {}", now_ms - (60 - minute) * 60_000).unwrap();
    }
    for (job, instance, up) in [("a", "x", 1), ("a", "y", 1), ("b", "z", 0)] {
        writeln!(page, "up{{job=\"{job}\",instance=\"{instance}\"}} {up} {}", now_ms - 1000).unwrap();
    }
    let mut sent = agent()
        .post(format!("{}/api/v1/import/prometheus", server.url))
        .header("Authorization", format!("Bearer {token}"))
        .send(page)
        .unwrap();
    assert_eq!(sent.status(), 204, "{}", sent.body_mut().read_to_string().unwrap());
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/prometheus_api.py");
    let done = Command::new(python()).arg("-B").arg(script).args([&server.url, &token]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Prometheus' own page, as Debian ships it, in a browser: its pages come from a Prometheus that has nothing, and all that
/// they ask from us, as behind a proxy. A graph of it once asked for what no other reader asks for.
#[test]
#[cfg_attr(
    not(all(part = "prometheus", part = "nginx", part = "chromium")),
    ignore = "needs prometheus, nginx and chromium: .ci/run installs them"
)]
fn prometheus_own_page_shows_what_we_have() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let mut page = String::new();
    for at in 0..60 {
        for (host, value) in [("a", 10 + at), ("\\\"b\\\"", 500)] {
            let time_ms = now_s() * 1000 - at * 10_000;
            page.push_str(&format!("our_metric{{host=\"{host}\"}} {value} {time_ms}\n"));
        }
    }
    assert_eq!(post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes()).unwrap().status, 204);
    let [own, proxy] = [(); 2].map(|()| free_port());
    let config = dir.path().join("prometheus.yml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let _prometheus = Program::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{own}")),
    );
    let address = server.url.trim_start_matches("http://");
    let sites = format!(
        "server {{ listen 127.0.0.1:{proxy}; location / {{ proxy_pass http://127.0.0.1:{own}; }}\n\
         location /api/ {{ proxy_pass http://{address}; proxy_set_header Host {address}; }} }}"
    );
    let _nginx = nginx(dir.path(), &sites, proxy);
    wait_for("Prometheus", || is_up(&format!("http://127.0.0.1:{own}/-/ready")));
    let shown = |address: &str| browse(&format!("http://127.0.0.1:{proxy}{address}"));
    // Which of its two pages Debian has.
    let root = if shown("/classic/graph").contains("404") { "/graph" } else { "/classic/graph" };
    let table = shown(&format!("{root}?g0.expr=our_metric&g0.tab=1"));
    // The page puts values between quotes as they are.
    for expected in ["{host=\"a\"}</td><td>10</td>", "{host=\"\"b\"\"}</td><td>500</td>"] {
        assert!(table.contains(expected), "{expected} is not in {table}");
    }
    let graph = shown(&format!("{root}?g0.expr=max+by+(host)+(our_metric)&g0.tab=0&g0.range_input=10m"));
    assert!(graph.contains("<svg") && graph.contains("<path"), "{graph}");
    let wrong = shown(&format!("{root}?g0.expr=rate(our_metric)&g0.tab=1"));
    assert!(wrong.contains("expected type range vector"), "{wrong}");
}
