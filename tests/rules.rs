//! Rules of Prometheus' kind: files as they stand, alerts that live as there, through kills and reloads.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::agents::{get, is_up};
use crate::parts::{Program, free_port, site};
use crate::server::{BIN, Server, agent, post, wait_for};

fn data(url: &str) -> Value {
    let answer: Value = serde_json::from_str(&get(url)).unwrap();
    assert_eq!(answer["status"], "success", "{answer}");
    answer["data"].clone()
}

/// What a program says of files, and whether it is content.
fn verdict(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The life of an alert, minute by minute: at each the file expects that it fires, and both programs have to agree on
/// whether it does, with every text and every function of templates that Prometheus 2.42 has.
#[test]
#[cfg_attr(not(part = "prometheus"), ignore = "needs prometheus: .ci/run installs it")]
fn promtool_comes_to_the_same_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    std::fs::copy(files.join("rules.yml"), dir.path().join("rules.yml")).unwrap();
    let life = std::fs::read_to_string(files.join("life.yml")).unwrap();
    let sections = ["alertname: Down", "alertname: Sum", "promql_expr_test"];
    let mut passed = BTreeMap::new();
    for minute in 0..48 {
        // Each part for itself, so that one that fails does not hide another.
        for section in sections {
            let path = dir.path().join("test.yml");
            let mut tests = yaml(&life.replace("EVAL_TIME", &format!("{}s", minute * 30)));
            let own = &mut tests["tests"][0];
            match section.strip_prefix("alertname: ") {
                Some(name) => {
                    own.as_object_mut().unwrap().remove("promql_expr_test");
                    own["alert_rule_test"].as_array_mut().unwrap().retain(|test| test["alertname"] == name);
                }
                None => drop(own.as_object_mut().unwrap().remove("alert_rule_test")),
            }
            std::fs::write(&path, tests.to_string()).unwrap();
            let (theirs, their_words) = verdict(Command::new("promtool").args(["test", "rules"]).arg(&path));
            let (ours, words) = verdict(Command::new(BIN).args(["rules", "test"]).arg(&path));
            assert_eq!(ours, theirs, "at {} s, {section}:\n{words}\n{their_words}", minute * 30);
            *passed.entry(section).or_insert(0) += usize::from(ours);
        }
    }
    // It does fire, and not all the time.
    assert!(passed.values().all(|count| (3..45).contains(count)), "{passed:?}");
}

/// A test file as JSON, which is YAML, too.
fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// Files are taken or refused as by `promtool check rules`.
#[test]
#[cfg_attr(not(part = "prometheus"), ignore = "needs prometheus: .ci/run installs it")]
fn promtool_takes_the_same_files() {
    let rule = |text: &str| format!("groups:\n- name: g\n  rules:\n  - {{{text}}}\n");
    let alert = |text: &str| rule(&format!("alert: a, expr: up, {text}"));
    let record = |text: &str| rule(&format!("record: a, expr: up, {text}"));
    let mut files: Vec<String> = [
        "",
        "groups:\n",
        "abc\n",
        "- a\n",
        "groups:\n\t- name: g\n",
        "group:\n- name: g\n",
        "groups:\n- name: g\n  rules:\n",
        "groups:\n- name: g\n  foo: 1\n  rules: []\n",
        "groups:\n- name: g\n  name: h\n  rules: []\n",
        "groups:\n- name: g\n  rules: []\n- name: g\n  rules: []\n",
        "groups:\n- name: ''\n  rules: []\n",
        "groups:\n- rules: []\n",
        "groups:\n- name: g\n  interval: abc\n  rules: []\n",
        "groups:\n- name: g\n  interval: 0s\n  rules: []\n",
        "groups:\n- name: g\n  limit: -1\n  rules: []\n",
        "groups:\n- name: g\n  limit: x\n  rules: []\n",
        "groups:\n- name: g\n  rules:\n  - &r {record: a, expr: up}\n  - *r\n",
        "groups:\n- name: g\n  rules:\n  - &r {alert: a, expr: up}\n  - <<: *r\n    for: 1m\n",
    ]
    .map(str::to_owned)
    .into();
    let rules =
        ["record: a", "record: a, expr: ''", "expr: up", "record: a, alert: b, expr: up", "record: a, expr: 'sum('"];
    let rules = rules.into_iter().chain(["record: a, expr: 12", "alert: 12, expr: up", "alert: a, expr: 'up[5m]'"]);
    files.extend(rules.map(rule));
    let records =
        ["foo: 1", "for: 1m", "for: 0s", "keep_firing_for: 1m", "annotations: {a: b}", "labels: {a: '{{ foo }}'}"];
    files.extend(records.map(record));
    let alerts = [
        "for: 1x",
        "for: 60",
        "for: 1h30m",
        "labels: {__name__: b}",
        "labels: {severity: 1}",
        "labels: {severity: true}",
        "labels: {severity: }",
        "labels: {severity: [a]}",
        "annotations: {a: '{{ foo }}'}",
        "annotations: {a: '{{ $foo }}'}",
        "annotations: {a: '{{ if true }}'}",
        "annotations: {a: '{{ end }}'}",
        "annotations: {a: '{{ query \"up\" | first }}'}",
        "annotations: {a: '{{ \"a }}'}",
        "annotations: {a: '{{ .Labels.x | toUpper }}'}",
        "annotations: {a: '{{ break }}'}",
        "annotations: {a: '{{ range .Labels }}{{ break }}{{ end }}'}",
        "annotations: {a: '{{ with $x := .Value }}{{ $x }}{{ end }}'}",
        "annotations: {a: '{{ with $x := .Value }}{{ end }}{{ $x }}'}",
        "annotations: {a: '{{ define \"x\" }}{{ $value }}{{ end }}'}",
        "annotations: {a: '{{/* a */}}'}",
        "annotations: {a: '{{ /* a */ }}'}",
        "annotations: {a: '{{- /* a */ -}}'}",
        "annotations: {a: '{{ (1) }}{{ ( }}'}",
        "annotations: {a: '{{ 1 | 2 }}'}",
        "annotations: {a: '{{ $x, $y := 1 }}'}",
        "annotations: {a: '{{ template \"x\" . }}'}",
    ];
    files.extend(alerts.map(alert));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.yml");
    let mut taken = 0;
    for file in &files {
        std::fs::write(&path, file).unwrap();
        let (theirs, their_words) = verdict(Command::new("promtool").args(["check", "rules"]).arg(&path));
        let (ours, words) = verdict(Command::new(BIN).args(["rules", "check"]).arg(&path));
        assert_eq!(ours, theirs, "{file}\n{words}\n{their_words}");
        // What is wrong is told by file and line.
        assert!(ours || words.contains("rules.yml:"), "{file}\n{words}");
        taken += usize::from(ours);
    }
    assert!((10..files.len() - 10).contains(&taken), "{taken} of {}", files.len());
}

/// The alerts that an API tells: labels, texts, state and value of each.
fn alerts(url: &str) -> Vec<String> {
    let data = data(&format!("{url}/api/v1/alerts"));
    let shown =
        |alert: &Value| format!("{} {} {} {}", alert["labels"], alert["annotations"], alert["state"], alert["value"]);
    let mut all: Vec<String> = data["alerts"].as_array().unwrap().iter().map(shown).collect();
    all.sort();
    all
}

/// The rules that an API tells, without what is of the moment.
fn rules(url: &str) -> Value {
    let mut data = data(&format!("{url}/api/v1/rules"));
    for group in data["groups"].as_array_mut().unwrap() {
        for field in ["file", "evaluationTime", "lastEvaluation"] {
            group.as_object_mut().unwrap().remove(field).unwrap();
        }
        for rule in group["rules"].as_array_mut().unwrap() {
            let rule = rule.as_object_mut().unwrap();
            for field in ["evaluationTime", "lastEvaluation", "alerts", "labels"] {
                rule.remove(field);
            }
        }
    }
    data
}

/// Debian's Prometheus beside ours with the same rules: it scrapes, and sends us what it scraped. Both have the same
/// alerts, with the same texts, and the same rules.
#[test]
#[cfg_attr(not(part = "prometheus"), ignore = "needs prometheus: .ci/run installs it")]
fn prometheus_beside_us_has_the_same_alerts() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("rules.yml"),
        "groups:\n- name: g\n  interval: 1s\n  limit: 20\n  rules:\n  - record: room:free:min\n    expr: min by (room) (free)\n  \
         - alert: Full\n    expr: room:free:min < 5\n    for: 2s\n    keep_firing_for: 3s\n    labels: {severity: page}\n    annotations:\n      \
         summary: \"{{ $labels.room }} has {{ $value }} left of {{ with query \\\"sum(free)\\\" }}{{ . | first | value | humanize }}{{ end }}\"\n  \
         - alert: Gone\n    expr: absent(free)\n    labels: {room: \"{{ $externalLabels.site }}\"}\n",
    )
    .unwrap();
    let least = Arc::new(AtomicU64::new(10));
    let page = least.clone();
    let port = site(move |_| {
        let least = page.load(Ordering::Relaxed);
        let rooms = (0..4).map(|room| format!("free{{room=\"r{room}\"}} {}\n", least + room));
        ("200 OK".into(), if least == 99 { "other 1\n".to_owned() } else { rooms.collect::<String>() })
    });
    let server = Server::start(
        &dir.path().join("data"),
        "rule_files = [\"rules.yml\"]\n[rules]\nready = []\nexternal_labels = { site = \"s\" }\n",
    );
    let (own, config) = (free_port(), dir.path().join("prometheus.yml"));
    let text = format!(
        "global: {{scrape_interval: 1s, external_labels: {{site: s}}}}\nrule_files: [rules.yml]\n\
         scrape_configs: [{{job_name: j, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n\
         remote_write: [{{url: '{}/api/v1/write', write_relabel_configs: [{{regex: site, action: labeldrop}}, \
         {{source_labels: [__name__], regex: 'free', action: keep}}], queue_config: {{batch_send_deadline: 100ms}}}}]\n",
        server.url
    );
    std::fs::write(&config, text).unwrap();
    let prometheus = format!("http://127.0.0.1:{own}");
    let _prometheus = Program::start(
        Command::new("prometheus")
            .args([format!("--config.file={}", config.display()), format!("--web.listen-address=127.0.0.1:{own}")])
            .arg(format!("--storage.tsdb.path={}", dir.path().join("prometheus").display())),
    );
    wait_for("Prometheus", || is_up(&format!("{prometheus}/-/ready")));
    for (value, expected) in [(10, 0), (3, 2), (0, 4), (10, 0), (99, 1)] {
        least.store(value, Ordering::Relaxed);
        let settled = || {
            let (theirs, ours) = (alerts(&prometheus), alerts(&server.url));
            let fires = ours.iter().all(|alert| alert.contains("\"firing\""));
            theirs == ours && ours.len() == expected && fires
        };
        wait_for(&format!("the same {expected} alerts"), settled);
    }
    let (mut theirs, ours) = (rules(&prometheus), rules(&server.url));
    // What 3.14 says beside what 2.42 does.
    for rule in theirs["groups"][0]["rules"].as_array_mut().unwrap() {
        if rule["type"] == "alerting" && rule["keepFiringFor"].is_null() {
            rule["keepFiringFor"] = 0.into();
        }
    }
    assert_eq!(numbers(ours), numbers(theirs));
    // In PromQL, as Prometheus shows them, and in SQL.
    let question = "/api/v1/query?query=count%20by%20(alertname,alertstate)%20(ALERTS)";
    let shown = data(&format!("{}{question}", server.url));
    assert_eq!(shown["result"][0]["metric"].to_string(), r#"{"alertname":"Gone","alertstate":"firing"}"#);
    let counts = "SELECT severity, count(*), count(closed) FROM alerts WHERE rule = 'Full' GROUP BY severity";
    assert_eq!(server.rows(counts), [["critical", "4", "4"]]);
    // It was gone before anything was there, too.
    assert_eq!(server.rows("SELECT rule, severity FROM alerts WHERE closed IS NULL"), [["Gone", "warning"]]);
}

/// Whole numbers as floats, which is how both mean them.
fn numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().into(),
        Value::Array(all) => all.into_iter().map(numbers).collect(),
        Value::Object(all) => Value::Object(all.into_iter().map(|(name, value)| (name, numbers(value))).collect()),
        other => other,
    }
}

fn write(server: &Server, value: u64) {
    let page = format!("load{{host=\"a\"}} {value}\nload{{host=\"b\"}} {value}\n");
    let _ = post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes());
}

const RULES: &str = "groups:\n- name: g\n  interval: 100ms\n  rules:\n  - record: load:max\n    expr: max(load)\n  \
                     - alert: High\n    expr: load > 5\n    for: 200ms\n    labels: {severity: critical}\n    \
                     annotations: {summary: \"{{ $labels.host }} has {{ $value }}\"}\n";

/// What happened to each alert, in its order.
fn events(server: &Server) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in server.rows("SELECT alert, event FROM alert_events ORDER BY time") {
        all.entry(row[0].clone()).or_default().push(row[1].clone());
    }
    all
}

/// Killed at any moment, it goes on with the alerts that were active: none is begun twice, none is forgotten.
#[test]
fn alerts_live_through_kills() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    std::fs::write(dir.path().join("rules.yml"), RULES).unwrap();
    let mut random = fastrand::Rng::new();
    let seed = random.get_seed();
    for round in 0..12 {
        let server = Server::start(&data_dir, "rule_files = [\"rules.yml\"]\n");
        let pause = Duration::from_millis(random.u64(50..700));
        write(&server, if random.bool() { 9 } else { 1 });
        std::thread::sleep(pause);
        for (alert, events) in events(&server) {
            let names: Vec<&str> = events.iter().map(String::as_str).collect();
            let follows = |pair: &[&str]| {
                matches!(pair, ["pending", "firing" | "recovered"] | ["firing", "recovered"] | ["recovered", "pending"])
            };
            assert!(
                names[0] == "pending" && names.windows(2).all(follows),
                "seed {seed}, round {round}, {alert}: {names:?}"
            );
        }
        server.kill();
    }
    let server = Server::start(&data_dir, "rule_files = [\"rules.yml\"]\n");
    write(&server, 9);
    wait_for("both alerts", || {
        write(&server, 9);
        alerts(&server.url).iter().filter(|alert| alert.contains("\"firing\"")).count() == 2
    });
    let before = data(&format!("{}/api/v1/alerts", server.url));
    server.kill();
    // While it is away, nothing changes; and it is the same alert, since the same time.
    let server = Server::start(&data_dir, "rule_files = [\"rules.yml\"]\n");
    assert_eq!(
        data(&format!("{}/api/v1/alerts", server.url))["alerts"][0]["activeAt"],
        before["alerts"][0]["activeAt"]
    );
    wait_for("the end", || {
        write(&server, 1);
        alerts(&server.url).is_empty()
    });
    assert!(events(&server).values().all(|events| events.last().unwrap() == "recovered"));
    // The same moment has one row, and rows of one evaluation are told apart.
    assert_eq!(server.rows("SELECT count(*) - count(DISTINCT time) FROM alert_events"), [["0"]]);
    let (status, _) = server.stop(Signal::SIGTERM);
    assert!(status.success());
}

/// Two files may have a group of the same name with rules of the same name: after a kill each goes on with its own alerts.
#[test]
fn groups_of_one_name_in_two_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let rule = |host: &str| RULES.replace("load > 5", &format!("load{{host='{host}'}} > 5"));
    std::fs::write(dir.path().join("a.yml"), rule("a")).unwrap();
    std::fs::write(dir.path().join("b.yml"), rule("b")).unwrap();
    let config = "rule_files = [\"a.yml\", \"b.yml\"]\nrules.ready = []\n";
    let server = Server::start(&data_dir, config);
    let fires = |server: &Server| {
        write(server, 9);
        alerts(&server.url).iter().filter(|alert| alert.contains("\"firing\"")).count() == 2
    };
    wait_for("both alerts", || fires(&server));
    server.kill();
    let server = Server::start(&data_dir, config);
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        write(&server, 9);
    }
    assert!(fires(&server));
    assert!(events(&server).values().all(|events| events == &["pending", "firing"]), "{:?}", events(&server));
}

/// A panic in an evaluation is that evaluation's: the rule says so, and works again with the next one.
#[test]
fn a_panic_in_an_evaluation_is_that_evaluations() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.yml"), RULES).unwrap();
    let config = "rule_files = [\"rules.yml\"]\nrules.ready = []\n";
    let mut command = Command::new(BIN);
    let server = Server::start_under(command.env("FOURNINES_FAULT", "alerts"), &dir.path().join("data"), config);
    let health = || data(&format!("{}/api/v1/rules", server.url))["groups"][0]["rules"][1]["health"].clone();
    wait_for("the rule to work", || {
        write(&server, 1);
        health() == "ok"
    });
    assert_eq!(agent().get(format!("{}/ready", server.url)).call().unwrap().status(), 200);
}

/// Files are read anew as a whole or not at all. What is the same goes on; what is gone is over, and says why.
#[test]
fn rules_are_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.yml");
    std::fs::write(&rules, RULES).unwrap();
    let server = Server::start(&dir.path().join("data"), "rule_files = [\"*.yml\"]\nrules.ready = []\n");
    let firing = || {
        write(&server, 9);
        alerts(&server.url).iter().filter(|alert| alert.contains("\"firing\"")).count() == 2
    };
    wait_for("both alerts", firing);
    let since = |server: &Server| data(&format!("{}/api/v1/alerts", server.url))["alerts"][0]["activeAt"].clone();
    let begun = since(&server);
    let reload = || kill(server.pid(), Signal::SIGHUP).unwrap();
    let names = || {
        let data = data(&format!("{}/api/v1/rules?type=alert", server.url));
        let names: Vec<String> = data["groups"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap())
            .map(|rule| rule["name"].as_str().unwrap().to_owned())
            .collect();
        names.join(" ")
    };
    // A text and another rule are new: the alerts are those that they were.
    let more = format!("{}  - alert: Low\n    expr: load < 0\n", RULES.replace("has", "bears"));
    std::fs::write(&rules, &more).unwrap();
    reload();
    wait_for("another rule", || names() == "High Low");
    wait_for("another text", || alerts(&server.url).iter().all(|alert| alert.contains("bears")));
    assert!(firing() && since(&server) == begun);
    // One of two files is wrong: nothing changes.
    std::fs::write(&rules, RULES).unwrap();
    std::fs::write(dir.path().join("wrong.yml"), RULES.replace("max(load)", "max(load")).unwrap();
    reload();
    std::thread::sleep(Duration::from_millis(500));
    assert!(firing() && names() == "High Low");
    // Its rule is gone.
    std::fs::remove_file(dir.path().join("wrong.yml")).unwrap();
    std::fs::write(&rules, "groups: []\n").unwrap();
    reload();
    wait_for("no rule", || names().is_empty());
    wait_for("the end of both", || {
        server.rows("SELECT DISTINCT reason FROM alert_events WHERE event = 'recovered'") == [["its rule is gone"]]
    });
    assert_eq!(alerts(&server.url), Vec::<String>::new());
    // What it recorded has ended.
    let ended = data(&format!("{}/api/v1/query?query=load:max%20or%20ALERTS", server.url));
    assert_eq!(ended["result"], Value::Array(Vec::new()));
}

/// What is wrong keeps the server from starting, with all that is wrong at once.
#[test]
fn a_wrong_rule_is_told_by_file_and_line() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("fournines.toml");
    std::fs::write(&config, "rule_files = [\"rules.yml\"]\n").unwrap();
    let serve = || {
        let data_dir = dir.path().join("data");
        verdict(Command::new(BIN).args(["serve", "--config"]).arg(&config).arg("--data-dir").arg(data_dir))
    };
    let (is_well, words) = serve();
    assert!(!is_well && words.contains("rule_files: there is no file"), "{words}");
    std::fs::write(dir.path().join("rules.yml"), RULES.replace("max(load)", "max(load").replace("$value", "$valeu"))
        .unwrap();
    let (is_well, words) = serve();
    assert!(!is_well && words.contains("rules.yml:6: group \"g\", rule 1, \"load:max\": could not parse"), "{words}");
    assert!(
        words.contains(
            "rules.yml:11: group \"g\", rule 2, \"High\": annotation \"summary\": there is no variable $valeu"
        ),
        "{words}"
    );
    let (is_well, words) = verdict(Command::new(BIN).args(["rules", "check", "--config"]).arg(&config));
    assert!(!is_well && words.contains("rules.yml:6:"), "{words}");
    let server = Server::start(&dir.path().join("other"), "");
    let bad = agent().get(format!("{}/api/v1/rules?type=x", server.url)).call();
    assert_eq!(bad.unwrap().status(), 400);
}
