//! Real agents: Debian's Prometheus and vmagent scrape a real node_exporter and write here, while the server is killed
//! and started again; curl and jq post what they have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::clients::token;
use crate::parts::{Program, free_port};
use crate::server::{Server, agent, wait_for};

/// How long the server is away.
const PAUSE: Duration = Duration::from_millis(1500);

pub fn get(url: &str) -> String {
    agent().get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

pub fn is_up(url: &str) -> bool {
    agent().get(url).call().is_ok_and(|answer| answer.status().is_success())
}

/// A node_exporter, and where its page is.
fn node_exporter() -> (Program, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let exporter =
        Program::start(Command::new("prometheus-node-exporter").arg(format!("--web.listen-address={address}")));
    let page = format!("http://{address}/metrics");
    wait_for("node_exporter", || is_up(&page));
    (exporter, address)
}

/// What Prometheus has of a job: by name and labels, time in ms and value of each sample.
fn samples_of_prometheus(url: &str) -> BTreeMap<String, Vec<(i64, u64)>> {
    let query = "query=%7Bjob%3D%22node%22%7D%5B5m%5D";
    let answer: serde_json::Value = serde_json::from_str(&get(&format!("{url}/api/v1/query?{query}"))).unwrap();
    let series = answer["data"]["result"].as_array().unwrap().iter().map(|series| {
        let samples = series["values"].as_array().unwrap().iter().map(|pair| {
            let time = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
            (time, pair[1].as_str().unwrap().parse::<f64>().unwrap().to_bits())
        });
        (series["metric"].to_string(), samples.collect())
    });
    series.collect()
}

#[test]
#[cfg_attr(
    not(all(part = "prometheus", part = "prometheus-node-exporter")),
    ignore = "needs prometheus, prometheus-node-exporter: .ci/run installs them"
)]
fn prometheus_writes_what_it_scrapes() {
    let (_exporter, address) = node_exporter();
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let token = token(&data_dir, &["write", "read"]);
    let server = Server::start(&data_dir, "").with_token(&token);
    let (own, config) = (free_port(), dir.path().join("prometheus.yml"));
    let text = format!(
        "global: {{ scrape_interval: 500ms, scrape_timeout: 400ms }}\n\
         remote_write:\n- url: {}/api/v1/write\n  authorization: {{ credentials: {token} }}\n  \
           queue_config: {{ batch_send_deadline: 200ms, max_backoff: 500ms }}\n  metadata_config: {{ send_interval: 1s }}\n\
         scrape_configs:\n- job_name: node\n  static_configs: [{{ targets: ['{address}'] }}]\n",
        server.url
    );
    std::fs::write(&config, text).unwrap();
    let prometheus = Program::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{own}"))
            .arg("--web.enable-lifecycle"),
    );
    let url = format!("http://127.0.0.1:{own}");
    let rows = |server: &Server| {
        let sql = "SELECT count(*) FROM up WHERE job = 'node'";
        let answer = server.sql(sql, "csv");
        if answer.status == 200 { answer.body.lines().nth(1).unwrap().parse::<usize>().unwrap() } else { 0 }
    };
    wait_for("the first samples", || rows(&server) >= 3);
    let server = server.crash(&data_dir, PAUSE);
    wait_for("samples after the kill", || rows(&server) >= 10);
    // No more scrapes: what it has by then must arrive.
    let quiet = std::fs::read_to_string(&config).unwrap().replace(&address, "127.0.0.1:1");
    std::fs::write(&config, quiet).unwrap();
    agent().post(format!("{url}/-/reload")).send_empty().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let sent = samples_of_prometheus(&url);
    let scrapes = sent.values().map(Vec::len).max().unwrap();
    assert!(sent.len() > 300 && scrapes >= 10, "{} series of {scrapes} scrapes", sent.len());
    let metrics: BTreeSet<String> = sent
        .keys()
        .map(|labels| {
            serde_json::from_str::<serde_json::Value>(labels).unwrap()["__name__"].as_str().unwrap().to_owned()
        })
        .collect();
    let stored = |server: &Server| {
        let mut stored: BTreeMap<String, BTreeSet<(i64, u64)>> = BTreeMap::new();
        for metric in &metrics {
            let answer = server
                .sql(&format!("SELECT *, CAST(time AS BIGINT) AS ns FROM \"{metric}\" WHERE job = 'node'"), "json");
            assert_eq!(answer.status, 200, "{metric}: {}", answer.body);
            for row in serde_json::from_str::<Vec<serde_json::Map<String, serde_json::Value>>>(&answer.body).unwrap() {
                let labels = row
                    .iter()
                    .filter(|(name, text)| !matches!(name.as_str(), "time" | "ns" | "value") && !text.is_null());
                let mut labels: serde_json::Map<_, _> =
                    labels.map(|(name, text)| (name.clone(), text.clone())).collect();
                labels.insert("__name__".into(), metric.as_str().into());
                // Infinity has no number in JSON; the page has it as a bucket's label only.
                let value = row["value"].as_f64().unwrap_or(f64::NAN);
                let is_new = stored
                    .entry(serde_json::Value::Object(labels).to_string())
                    .or_default()
                    .insert((row["ns"].as_i64().unwrap() / 1_000_000, value.to_bits()));
                assert!(is_new, "twice: {row:?}");
            }
        }
        stored
    };
    let has_all = |stored: BTreeMap<String, BTreeSet<(i64, u64)>>| {
        sent.iter().all(|(labels, samples)| {
            let stored = stored.get(labels);
            samples.iter().all(|sample| stored.is_some_and(|stored| stored.contains(sample)))
        })
    };
    wait_for("every sample of every series", || has_all(stored(&server)));
    let said = "SELECT count(DISTINCT metric) FROM metric_metadata WHERE type = 'gauge' AND help <> ''";
    assert!(server.rows(said)[0][0].parse::<usize>().unwrap() > 50);
    // Series that ended: Prometheus says so by a NaN of its own, which is no value.
    wait_for("marks of series that ended", || {
        let ended = server.rows("SELECT count(*) FROM node_load1 WHERE value IS NULL");
        ended[0][0] == "1"
    });
    assert_eq!(server.rows("SELECT count(*) FROM node_load1 WHERE isnan(value)"), [["0"]]);
    drop(prometheus);
}

#[test]
#[cfg_attr(
    not(all(part = "vmagent", part = "prometheus-node-exporter")),
    ignore = "needs vmagent, prometheus-node-exporter: .ci/run installs them"
)]
fn vmagent_writes_what_it_scrapes() {
    let (_exporter, address) = node_exporter();
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let token = token(&data_dir, &["write", "read"]);
    let server = Server::start(&data_dir, "").with_token(&token);
    let config = dir.path().join("scrape.yml");
    let text = format!(
        "global: {{ scrape_interval: 500ms }}\nscrape_configs:\n- job_name: node\n  static_configs: [{{ targets: ['{address}'] }}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let _vmagent = Program::start(
        Command::new("vmagent")
            .arg(format!("-promscrape.config={}", config.display()))
            .arg(format!("-remoteWrite.url={}/api/v1/write", server.url))
            .arg(format!("-remoteWrite.bearerToken={token}"))
            .arg("-remoteWrite.flushInterval=200ms")
            .arg(format!("-remoteWrite.tmpDataPath={}", dir.path().join("vmagent").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{}", free_port())),
    );
    let times = |server: &Server| -> Vec<i64> {
        let answer = server.sql("SELECT CAST(time AS BIGINT) AS ns FROM up WHERE value = 1 ORDER BY ns", "csv");
        if answer.status == 200 {
            answer.body.lines().skip(1).map(|ns| ns.parse().unwrap()).collect()
        } else {
            Vec::new()
        }
    };
    wait_for("the first samples", || times(&server).len() >= 3);
    let server = server.crash(&data_dir, PAUSE);
    wait_for("samples after the kill", || times(&server).len() >= 9);
    // It has kept what was scraped while the server was down: none of its steps is missing.
    let times = times(&server);
    let steps: Vec<i64> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
    assert!(steps.iter().all(|step| (400..=600).contains(step)), "{steps:?}");
    for metric in ["node_load1", "node_cpu_seconds_total", "node_memory_MemTotal_bytes"] {
        let rows = server.rows(&format!("SELECT count(*), min(value), count(DISTINCT instance) FROM \"{metric}\""));
        assert!(rows[0][0].parse::<usize>().unwrap() >= 8 && rows[0][2] == "1", "{metric}: {rows:?}");
    }
}

/// The sum of a metric over its series on a page.
fn total(page: &str, metric: &str) -> f64 {
    let own = page.lines().filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' '])));
    own.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// A tenth of the sends failed where connections were closed after ten seconds, which is how often agents write. Two
/// minutes here, or `FOURNINES_AGENTS=5min`.
#[test]
#[cfg_attr(
    not(all(part = "prometheus", part = "vmagent", part = "prometheus-node-exporter")),
    ignore = "needs prometheus, vmagent, prometheus-node-exporter: .ci/run installs them"
)]
fn agents_that_write_every_ten_seconds_never_fail() {
    let length = std::env::var("FOURNINES_AGENTS")
        .map_or(Duration::from_mins(2), |text| domain::duration::parse(&text).unwrap());
    let (_exporter, address) = node_exporter();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let file = |name: &str| dir.path().join(name);
    let scrape = |job: &str| {
        format!(
            "global: {{ scrape_interval: 10s }}\nscrape_configs:\n- job_name: {job}\n  static_configs: [{{ targets: ['{address}'] }}]\n"
        )
    };
    let write = format!("{}/api/v1/write", server.url);
    let prometheus = format!("{}remote_write: [{{ url: '{write}' }}]\n", scrape("prometheus"));
    std::fs::write(file("prometheus.yml"), prometheus).unwrap();
    std::fs::write(file("vmagent.yml"), scrape("vmagent")).unwrap();
    let [prometheus, vmagent] = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
    let _programs = [
        Program::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", file("prometheus.yml").display()))
                .arg(format!("--storage.tsdb.path={}", file("prometheus").display()))
                .arg(format!("--web.listen-address={prometheus}")),
        ),
        Program::start(
            Command::new("vmagent")
                .arg(format!("-promscrape.config={}", file("vmagent.yml").display()))
                .arg(format!("-remoteWrite.url={write}"))
                .arg("-remoteWrite.flushInterval=10s")
                .arg(format!("-remoteWrite.tmpDataPath={}", file("vmagent").display()))
                .arg(format!("-httpListenAddr={vmagent}")),
        ),
    ];
    std::thread::sleep(length);
    let pages = [&prometheus, &vmagent].map(|address| get(&format!("http://{address}/metrics")));
    for (page, sent, failed) in [
        (
            &pages[0],
            "prometheus_remote_storage_samples_total",
            ["prometheus_remote_storage_samples_failed_total", "prometheus_remote_storage_samples_retried_total"],
        ),
        (
            &pages[1],
            "vmagent_remotewrite_requests_total",
            ["vmagent_remotewrite_retries_count_total", "vmagent_remotewrite_packets_dropped_total"],
        ),
    ] {
        assert!(total(page, sent) >= 2.0, "{sent}: {}", total(page, sent));
        for failed in failed {
            assert!(page.contains(failed), "there is no {failed}");
            assert_eq!(total(page, failed), 0.0, "{failed}");
        }
    }
    let writes = server.rows("SELECT job, count(*) > 1 FROM up GROUP BY job ORDER BY job");
    assert_eq!(writes, [["prometheus", "true"], ["vmagent", "true"]]);
}

/// The values of each metric of a page, sorted.
fn values_of_page(page: &str) -> BTreeMap<&str, Vec<f64>> {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        values.entry(name).or_default().push(value.parse().unwrap());
    }
    values.values_mut().for_each(|values| values.sort_by(f64::total_cmp));
    values
}

#[test]
#[cfg_attr(
    not(all(part = "curl", part = "jq", part = "prometheus-node-exporter")),
    ignore = "needs curl, jq, prometheus-node-exporter: .ci/run installs them"
)]
fn curl_posts_a_page_and_jq_makes_json() {
    let (_exporter, address) = node_exporter();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let page = get(&format!("http://{address}/metrics"));
    let file = dir.path().join("page");
    std::fs::write(&file, &page).unwrap();
    let curl = |path: &str, file: &Path| {
        let url = format!("{}{path}", server.url);
        let body = format!("@{}", file.display());
        let output = Command::new("curl").args(["-sS", "-w", "%{http_code}", "--data-binary", &body, &url]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(curl("/api/v1/import/prometheus", &file), "204");
    for (metric, expected) in values_of_page(&page) {
        let rows = server.rows(&format!("SELECT value FROM \"{metric}\" ORDER BY value"));
        let mut values: Vec<f64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
        values.sort_by(f64::total_cmp);
        assert_eq!(values, expected, "{metric}");
    }
    let program = r#"range(100) | {measurement: "made", tags: {odd: (. % 2 == 1 | tostring)}, fields: {n: ., third: (. / 3)},
        time: (1767225600000000000 + . * 1000000000)}"#;
    let made = Command::new("jq").args(["-nc", program]).output().unwrap().stdout;
    let file = dir.path().join("rows.json");
    std::fs::write(&file, made).unwrap();
    assert_eq!(curl("/api/v1/import/json", &file), "204");
    assert!(is_up(&format!("{}/ping", server.url)));
    let rows = server.rows("SELECT odd, count(*), sum(n) FROM made GROUP BY odd ORDER BY odd");
    assert_eq!(rows, [["false", "50", "2450.0"], ["true", "50", "2500.0"]]);
}
