//! `[[alert]]`: values of SQL and PromQL against bounds, with two levels, through kills.

use std::path::Path;
use std::time::Duration;

use crate::notices::{Answer, Receiver};
use crate::ready::told;
use crate::server::{Server, wait_for};

const ALERTS: &str = r#"
rules.ready = ["down"]
[[alert]]
name = "Full"
sql = "SELECT host, last_value(value ORDER BY time) AS value FROM load WHERE time > now() - INTERVAL '1 hour' GROUP BY host"
warning = { raise = ">= 80", clear = "< 70" }
critical = { raise = ">= 95", clear = "< 90" }
interval = "100ms"
labels = { team = "{{ $labels.host }}s" }

[[alert]]
name = "Loud"
promql = "load"
critical = { raise = "> 50" }
interval = "100ms"
no_data = "keep"
texts = { summary = "{{ $labels.host }} makes {{ $value }} dB", runbook = "http://wiki.example/loud" }
"#;

fn start(dir: &Path, receiver: &Receiver, more: &str) -> Server {
    let channel = format!("[[channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\n", receiver.url);
    Server::start(&dir.join("data"), &format!("{more}\n{channel}"))
}

/// A value that jumps over both bounds is told as critical, once; falling it is a warning that is told then; between its
/// bounds nothing changes; and killed in the midst the server goes on with what it knew.
#[test]
fn values_are_told_level_by_level() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let heard = |name: &str| -> Vec<String> {
        let all = told(&receiver).into_iter();
        all.filter(|text| text.contains(name)).collect()
    };
    let mut server = start(dir.path(), &receiver, ALERTS);
    let mut expected = Vec::new();
    for (value, more) in [
        (10, vec![]),
        (97, vec!["firing critical Full of a: 97 (>= 95)"]),
        (92, vec![]),
        // It is still above what the warning ends at.
        (75, vec!["resolved critical Full of a: 92 (>= 95)", "firing warning Full of a: 75 (>= 80)"]),
        (85, vec![]),
        (65, vec!["resolved warning Full of a: 85 (>= 80)"]),
        (75, vec![]),
    ] {
        server.write("", format!("load,host=a value={value}").as_bytes());
        expected.extend(more);
        wait_for(&format!("what is told of {value}"), || heard("Full").len() >= expected.len());
        server.kill();
        server = start(dir.path(), &receiver, ALERTS);
        // Several evaluations, of which none tells it again.
        std::thread::sleep(Duration::from_millis(400));
        assert_eq!(heard("Full"), expected, "at {value}");
    }
    let events = "SELECT severity, string_agg(event, ' ' ORDER BY time) FROM alert_events WHERE rule = 'Full' GROUP BY severity ORDER BY severity";
    assert_eq!(server.rows(events), [["critical", "firing recovered"], ["warning", "suppressed firing recovered"]]);
    wait_for("the other alert", || heard("dB").len() == 1);
    assert_eq!(heard("dB"), ["firing critical a makes 97 dB"]);
    let heard = receiver.heard();
    let mut alerts = heard.iter().flat_map(|notice| notice["alerts"].as_array().unwrap());
    let labels = &alerts.find(|alert| alert["labels"]["alertname"] == "Full").unwrap()["labels"];
    assert_eq!((labels["team"].as_str(), labels["host"].as_str()), (Some("as"), Some("a")));
}

/// Where nothing comes any more nothing is over: an event says that it is not known. What is critical by itself then is
/// told.
#[test]
fn no_data_resolves_nothing() {
    let alert = |name: &str, no_data: &str| {
        format!(
            "[[alert]]\nname = \"{name}\"\npromql = \"load\"\ncritical = {{ raise = \"> 50\" }}\ninterval = \"100ms\"\n{no_data}"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    // A sample is the newest one of its series for so long.
    let config = format!(
        "rules.ready = []\npromql.lookback = \"1s\"\n{}{}",
        alert("Loud", ""),
        alert("Silent", "no_data = \"critical\"\n")
    );
    let server = start(dir.path(), &receiver, &config);
    server.write("", b"load,host=a value=60");
    server.write("", b"load,host=b value=10");
    let of = |name: &str| -> Vec<String> { told(&receiver).into_iter().filter(|text| text.contains(name)).collect() };
    wait_for("what is critical by itself", || of("Silent").len() == 2);
    let events = |rule: &str| {
        server.rows(&format!("SELECT string_agg(event, ' ' ORDER BY time) FROM alert_events WHERE rule = '{rule}'"))
    };
    wait_for("nothing to be known", || events("Loud") == [["firing unknown"]]);
    server.write("", b"load,host=a value=60");
    wait_for("it to be known again", || events("Loud")[0][0].starts_with("firing unknown firing"));
    server.write("", b"load,host=a value=10");
    wait_for("its end", || events("Loud")[0][0].ends_with("recovered"));
    assert_eq!(of("Loud").len(), 2, "{:?}", of("Loud"));
    assert_eq!(server.rows("SELECT count(*), count(closed) FROM alerts WHERE rule = 'Loud'"), [["1", "1"]]);
}

/// What hosts have without a rule: a disk that is full is told; and the statements that look at days, which are asked once
/// an hour, find what grows and what will be full, and nobody else.
#[test]
fn hosts_are_watched() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let server = start(dir.path(), &receiver, "rules.ready = [\"disk\", \"no_data\"]");
    let now_s = jiff::Timestamp::now().as_second();
    let mut lines = String::new();
    // From three days ago on: one grows by 5 % a day, one stands, one is too new to say anything, one fell silent.
    for hour in 0..71 {
        let time = now_s - (71 - hour) * 3600;
        lines.push_str(&format!("host,host=grows disk_fullest_percent={} {time}\n", 70.0 + hour as f64 * 5.0 / 24.0));
        lines.push_str(&format!("host,host=stands disk_fullest_percent=40 {time}\n"));
        if hour > 60 {
            lines.push_str(&format!("host,host=new disk_fullest_percent={} {time}\n", hour - 60));
        }
    }
    lines.push_str(&format!(
        "host,host=full disk_fullest_percent=97 {now_s}\nhost,host=stands disk_fullest_percent=40 {now_s}\n"
    ));
    assert_eq!(server.write("?precision=s", lines.as_bytes()).status, 204);
    wait_for("a full disk", || {
        told(&receiver).iter().any(|text| text == "firing warning a disk of full is 97.0 % full")
    });
    let rules: serde_json::Value =
        serde_json::from_str(&crate::agents::get(&format!("{}/api/v1/rules", server.url))).unwrap();
    let rules = rules["data"]["groups"].as_array().unwrap().iter().map(|group| &group["rules"][0]);
    let found = |name: &str, is_bad: &dyn Fn(f64) -> bool| -> Vec<String> {
        let rule = rules.clone().find(|rule| rule["name"] == name).unwrap();
        let rows = server.rows(rule["query"].as_str().unwrap());
        let bad = rows.iter().filter(|row| is_bad(row[1].parse().unwrap()));
        let mut hosts: Vec<String> = bad.map(|row| row[0].clone()).collect();
        hosts.sort();
        hosts
    };
    assert_eq!(found("DiskGrows", &|percent| (percent - 5.0).abs() < 0.01), ["grows"]);
    // 84.6 % an hour ago, and 5 % a day.
    assert_eq!(found("DiskWillBeFull", &|days| days < 7.0), ["grows"]);
    assert_eq!(found("DiskWillBeFull", &|days| (2.9..3.2).contains(&days)), ["grows"]);
    assert_eq!(found("NoData", &|age_s| age_s > 180.0), ["grows", "new"]);
}
