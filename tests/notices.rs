//! Somebody is told: by real receivers and by ones that refuse, hang up and stall, through kills.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::agents::{get, is_up};
use crate::clients::python;
use crate::parts::{Authority, Program, free_port};
use crate::server::{BIN, Server, post, wait_for};

/// How a receiver answers.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Status(&'static str),
    /// It has read all, and says nothing.
    HangUp,
    Stall,
}

/// Somebody who is told, and what of.
pub struct Receiver {
    pub url: String,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    pub fn start(mut answer: impl FnMut() -> Answer + Send + 'static) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let own = heard.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let Some(body) = body(&stream) else { continue };
                let answer = answer();
                // What was refused was not heard; what nobody answered may have been.
                if !matches!(answer, Answer::Status(status) if !status.starts_with('2')) {
                    own.lock().unwrap().push(serde_json::from_str(&body).unwrap());
                }
                let mut stream = &stream;
                let _ = match answer {
                    Answer::Status(status) => {
                        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
                    }
                    Answer::HangUp => Ok(()),
                    Answer::Stall => {
                        std::thread::sleep(Duration::from_millis(400));
                        Ok(())
                    }
                };
            }
        });
        Receiver { url, heard }
    }

    pub fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }
}

fn body(stream: &TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}

const RULES: &str = "groups:\n- name: g\n  interval: 100ms\n  rules:\n  - alert: High\n    expr: load > 5\n    \
                     labels: {severity: critical, note: \"{{ $labels.host }}\"}\n    \
                     annotations: {summary: \"{{ $labels.host }} has {{ $value }}\"}\n";

fn start(dir: &Path, channels: &str) -> Server {
    std::fs::write(dir.join("rules.yml"), RULES).unwrap();
    Server::start(
        &dir.join("data"),
        &format!("rule_files = [\"rules.yml\"]\nrules.external_url = \"http://watch.example\"\n{channels}"),
    )
}

fn channel(name: &str, kind: &str, url: &str) -> String {
    format!("[[channel]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl = \"{url}\"\ntimeout = \"300ms\"\n")
}

fn write(server: &Server, value: u64) {
    let page: String = ["a", "\\\"b\\\"\\n😀"].map(|host| format!("load{{host=\"{host}\"}} {value}\n")).concat();
    let _ = post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes());
}

/// An alert that fired or was over, and since when it fired.
type Told = (String, String, String);

/// Whatever the receiver does, and whenever the server is killed: it hears of each alert that fires and of its end, in
/// their order, and what it hears twice it can tell by its id.
#[test]
fn all_are_told_once_through_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::new();
    let (seed, mut own) = (random.get_seed(), random.fork());
    // In the end it does what it should.
    let is_well = Arc::new(AtomicBool::new(false));
    let own_wellness = is_well.clone();
    let receiver = Receiver::start(move || match own.u8(0..10) {
        _ if own_wellness.load(Ordering::Relaxed) => Answer::Status("200 OK"),
        0 => Answer::Status("500 Internal Server Error"),
        1 => Answer::HangUp,
        2 => Answer::Stall,
        _ => Answer::Status("200 OK"),
    });
    let channels = channel("ops", "webhook", &receiver.url);
    for _ in 0..10 {
        let server = start(dir.path(), &channels);
        for _ in 0..random.u8(1..4) {
            write(&server, if random.bool() { 9 } else { 1 });
            std::thread::sleep(Duration::from_millis(random.u64(20..400)));
        }
        server.kill();
    }
    is_well.store(true, Ordering::Relaxed);
    let server = start(dir.path(), &channels);
    wait_for("the end of all", || {
        write(&server, 1);
        let open = "SELECT count(*) FROM (SELECT DISTINCT ON (alert) event FROM alert_events ORDER BY alert, time DESC) \
                    WHERE event <> 'recovered'";
        server.rows(open) == [["0"]]
    });
    let waiting = "SELECT count(DISTINCT notice) FROM notices WHERE notice NOT IN \
                   (SELECT notice FROM notices WHERE event IN ('sent', 'gave_up'))";
    let what = format!("nothing to be left to tell, seed {seed}");
    wait_for(&what, || server.rows(waiting) == [["0"]]);
    // What happened: an alert that fires has no `for` to wait for.
    let mut expected: Vec<Told> = Vec::new();
    let mut since: BTreeMap<String, String> = BTreeMap::new();
    for row in server.rows("SELECT alert, event, slot FROM alert_events ORDER BY time") {
        let [alert, event, slot] = row.try_into().unwrap();
        match event.as_str() {
            "firing" => drop(since.insert(alert.clone(), slot)),
            _ => assert_eq!(event, "recovered"),
        }
        let status = if event == "firing" { "firing" } else { "resolved" };
        expected.push((alert.clone(), status.to_owned(), since[&alert].clone()));
    }
    assert!(expected.len() >= 2, "seed {seed}: nothing happened");
    let (mut heard, mut bodies) = (Vec::new(), BTreeMap::new());
    for notice in receiver.heard() {
        let id = notice["notice"].as_str().unwrap().to_owned();
        if let Some(before) = bodies.insert(id, notice.clone()) {
            assert_eq!(before, notice, "seed {seed}: one id, and two texts");
            continue;
        }
        for alert in notice["alerts"].as_array().unwrap() {
            let text = |name: &str| alert[name].as_str().unwrap().to_owned();
            assert_eq!(alert["labels"]["note"], alert["labels"]["host"]);
            heard.push((text("fingerprint"), text("status"), text("startsAt")));
        }
    }
    // Times of SQL have more digits.
    let millis = |time: &str| time.parse::<jiff::Timestamp>().unwrap().as_millisecond().to_string();
    let order = |all: Vec<Told>| {
        let mut by_alert: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        all.into_iter().for_each(|own| by_alert.entry(own.0).or_default().push((own.1, millis(&own.2))));
        by_alert
    };
    assert_eq!(order(heard), order(expected), "seed {seed}");
    let counts = "SELECT channel, status, sum(notices) FROM notice_counts GROUP BY channel, status ORDER BY status";
    let told = bodies.values().flat_map(|notice| notice["alerts"].as_array().unwrap());
    let (firing, over): (Vec<_>, Vec<_>) = told.partition(|alert| alert["status"] == "firing");
    let counted = [["ops", "firing", &firing.len().to_string()], ["ops", "resolved", &over.len().to_string()]];
    assert_eq!(server.rows(counts), counted);
}

/// What a receiver will never take is given up, and what comes behind it is told.
#[test]
fn what_is_refused_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    let receiver = Receiver::start(move || {
        count += 1;
        Answer::Status(if count == 1 { "400 Bad Request" } else { "200 OK" })
    });
    let channels = channel("ops", "webhook", &receiver.url) + &channel("gone", "webhook", "http://127.0.0.1:1/");
    let server = start(dir.path(), &channels);
    for value in [9, 1] {
        wait_for("what happens", || {
            write(&server, value);
            let event = if value == 9 { "firing" } else { "recovered" };
            server.rows(&format!("SELECT count(*) FROM alert_events WHERE event = '{event}'")) == [["2"]]
        });
    }
    wait_for("the second notice", || !receiver.heard().is_empty());
    let notice = &receiver.heard()[0];
    assert_eq!((&notice["status"], &notice["receiver"]), (&"resolved".into(), &"ops".into()));
    assert_eq!((&notice["version"], notice["alerts"].as_array().unwrap().len()), (&"4".into(), 2));
    assert_eq!(notice["commonLabels"].to_string(), r#"{"alertname":"High","severity":"critical"}"#);
    let became = "SELECT event, attempt, error FROM notices WHERE channel = 'ops' AND event <> 'queued' ORDER BY time";
    wait_for("its row", || server.rows(became).len() == 2);
    assert_eq!(server.rows(became), [["gave_up", "1", "400 Bad Request: no"], ["sent", "1", ""]]);
    // It says when it was tried: the second attempt comes a second behind the first.
    let pause = "SELECT max(time) - min(time) >= INTERVAL '900 milliseconds' FROM notices WHERE channel = 'gone' AND event = 'failed' AND attempt <= 2";
    wait_for("a second attempt", || server.rows(pause) == [["true"]]);
    let error = "SELECT DISTINCT event FROM notices WHERE channel = 'gone' AND error LIKE '%Connection refused%'";
    assert_eq!(server.rows(error), [["failed"]]);
}

/// A receiver that says when to come back is heeded; a redirection is no way to tell somebody.
#[test]
fn answers_are_heeded() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    let later = Receiver::start(move || {
        count += 1;
        Answer::Status(if count == 1 { "429 Too Many Requests\r\nRetry-After: 3" } else { "200 OK" })
    });
    let moved = Receiver::start(|| Answer::Status("302 Found\r\nLocation: http://127.0.0.1:1/"));
    let channels = channel("later", "webhook", &later.url) + &channel("moved", "webhook", &moved.url);
    let server = start(dir.path(), &channels);
    write(&server, 9);
    wait_for("both to be told or not", || {
        server.rows("SELECT count(*) FROM notices WHERE event IN ('sent', 'gave_up')") == [["2"]]
    });
    let became = "SELECT channel, event, attempt FROM notices WHERE event <> 'queued' ORDER BY channel, time";
    assert_eq!(server.rows(became), [["later", "failed", "1"], ["later", "sent", "2"], ["moved", "gave_up", "1"]]);
    let pause = "SELECT max(time) - min(time) BETWEEN INTERVAL '2900 milliseconds' AND INTERVAL '10 seconds' FROM notices \
                 WHERE channel = 'later' AND event IN ('failed', 'sent')";
    assert_eq!(server.rows(pause), [["true"]]);
}

/// A channel that was taken away and comes back has to be told what it was not told: by a reload, without a start.
#[test]
fn a_channel_that_comes_back_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path(), &channel("ops", "webhook", "http://127.0.0.1:1/"));
    wait_for("a notice that cannot be told", || {
        write(&server, 9);
        server.rows("SELECT count(*) > 0 FROM notices WHERE event = 'failed'") == [["true"]]
    });
    let config = dir.path().join("data.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let reload = |channels: &str| {
        std::fs::write(&config, text.split("[[channel]]").next().unwrap().to_owned() + channels).unwrap();
        kill(server.pid(), Signal::SIGHUP).unwrap();
    };
    reload("");
    let failed = || server.rows("SELECT count(*) FROM notices WHERE event = 'failed'");
    wait_for("the channel to be gone", || {
        let before = failed();
        std::thread::sleep(Duration::from_millis(1500));
        failed() == before
    });
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    reload(&channel("ops", "webhook", &receiver.url));
    wait_for("what it was not told", || receiver.heard().len() == 1);
    assert_eq!(receiver.heard()[0]["alerts"].as_array().unwrap().len(), 2);
}

/// Debian's Alertmanager takes what fires, groups it, goes on hearing of it, and hears of its end.
#[test]
#[cfg_attr(not(part = "prometheus-alertmanager"), ignore = "needs prometheus-alertmanager: .ci/run installs it")]
fn an_alertmanager_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("alertmanager.yml");
    std::fs::write(&config, "route: {receiver: none, group_by: [alertname]}\nreceivers: [{name: none}]\n").unwrap();
    let port = free_port();
    let _alertmanager = Program::start(
        Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.path().join("alertmanager").display()))
            .args([&format!("--web.listen-address=127.0.0.1:{port}"), "--cluster.listen-address="]),
    );
    let url = format!("http://127.0.0.1:{port}");
    wait_for("Alertmanager", || is_up(&format!("{url}/-/ready")));
    let server = start(dir.path(), &channel("am", "alertmanager", &url));
    write(&server, 9);
    let groups = || serde_json::from_str::<Value>(&get(&format!("{url}/api/v2/alerts/groups"))).unwrap();
    let count = || groups()[0]["alerts"].as_array().map_or(0, Vec::len);
    wait_for("both alerts in one group", || count() == 2);
    assert_eq!(groups()[0]["labels"].to_string(), r#"{"alertname":"High"}"#);
    let texts: BTreeSet<String> = groups()[0]["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["annotations"]["summary"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(texts, BTreeSet::from(["a has 9".to_owned(), "\"b\"\n😀 has 9".to_owned()]));
    // It believes that they fire for as long as nothing is heard, and no longer.
    let ends: jiff::Timestamp = groups()[0]["alerts"][0]["endsAt"].as_str().unwrap().parse().unwrap();
    let left = ends.as_second() - jiff::Timestamp::now().as_second();
    assert!((200..=240).contains(&left), "{left}");
    wait_for("the end of both", || {
        write(&server, 1);
        groups().as_array().is_some_and(Vec::is_empty)
    });
}

/// A server of mail that wants TLS and a password, puts the first mail off and answers nothing to the second one. What
/// stands in texts breaks no header and no HTML; a recipient that is refused holds nobody up.
#[test]
#[cfg_attr(not(part = "python-servers"), ignore = "needs a Python with aiosmtpd: .ci/run installs it")]
fn mails_are_sent_and_answers_heeded() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    Authority::new(root).certificate("mail", "localhost", 30, true);
    std::fs::write(root.join("password"), "se cret\n").unwrap();
    let port = free_port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/mails.py");
    let mut mails = Command::new(python())
        .args([script.as_os_str(), port.to_string().as_ref()])
        .args([root.join("mail.pem"), root.join("mail.key")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(mails.stdout.take().unwrap()).lines();
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let own = heard.clone();
    std::thread::spawn(move || {
        lines.for_each(|line| own.lock().unwrap().push(serde_json::from_str(&line.unwrap()).unwrap()));
    });
    wait_for("the server of mail", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let channel = |name: &str, to: &str| {
        format!(
            "[[channel]]\nname = \"{name}\"\nkind = \"smtp\"\nurl = \"smtp://localhost:{port}?tls=required\"\nuser = \"watch\"\n\
             password_file = \"{}\"\nfrom = \"Watch <watch@example.org>\"\nto = [{to}]\n",
            root.join("password").display()
        )
    };
    let channels = channel("duty", "\"值班 <duty@example.org>\", \"boss@example.org\"")
        + &channel("none", "\"nobody@example.org\"");
    std::fs::write(
        root.join("rules.yml"),
        RULES.replace("has {{ $value }}", "<b>has</b> {{ $value }}\\r\\nBcc: all@example.org"),
    )
    .unwrap();
    let config = format!("rule_files = [\"rules.yml\"]\nrules.ready = []\n{channels}");
    let mut command = Command::new(BIN);
    let server = Server::start_under(command.env("SSL_CERT_FILE", root.join("roots.pem")), &root.join("data"), &config);
    write(&server, 9);
    wait_for("the mail, twice", || heard.lock().unwrap().len() == 2);
    wait_for("alerts that are over", || {
        write(&server, 1);
        heard.lock().unwrap().len() == 3
    });
    let heard = heard.lock().unwrap().clone();
    // Nobody knew that the first one was taken: it came again, as the same mail.
    assert_eq!(heard[0], heard[1]);
    let text = |mail: &Value, name: &str| mail[name].as_str().unwrap().to_owned();
    assert_eq!(heard[0]["recipients"].to_string(), r#"["duty@example.org","boss@example.org"]"#);
    assert_eq!(
        (text(&heard[0], "user"), text(&heard[0], "To")),
        ("watch".into(), "值班 <duty@example.org>, boss@example.org".into())
    );
    let subjects = [text(&heard[0], "Subject"), text(&heard[2], "Subject")];
    assert_eq!(subjects, ["[critical] 2 firing, 0 resolved", "[resolved] 0 firing, 2 resolved"]);
    // They are of one fault.
    assert_eq!(heard[0]["References"], heard[2]["References"]);
    assert_ne!(heard[0]["Message-ID"], heard[2]["Message-ID"]);
    let html = text(&heard[0], "html");
    assert!(html.contains("&lt;b&gt;has&lt;/b&gt; 9") && !html.contains("<b>"), "{html}");
    assert!(text(&heard[0], "plain").contains("[critical] a <b>has</b> 9"), "{}", heard[0]["plain"]);
    let became = |channel: &str| {
        let events = format!(
            "SELECT event, attempt, recipient FROM notices WHERE channel = '{channel}' AND event <> 'queued' ORDER BY time"
        );
        server.rows(&events)
    };
    wait_for("what became of all", || became("duty").len() == 4 && became("none").len() == 2);
    let events: Vec<String> = became("duty").iter().map(|row| row[..2].join(" ")).collect();
    assert_eq!(events, ["failed 1", "failed 2", "sent 3", "sent 1"]);
    assert_eq!(became("none"), [["gave_up", "1", "nobody@example.org"], ["gave_up", "1", "nobody@example.org"]]);
    drop(mails.stdin.take());
    mails.wait().unwrap();
}

/// A channel is tried before it is needed, and what is wrong with it stops the start.
#[test]
fn channels_are_tried() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("fournines.toml");
    let run = |channels: &str, arguments: &[&str]| {
        std::fs::write(&config, channels).unwrap();
        let output = Command::new(BIN).args(arguments).arg("--config").arg(&config).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let refusing = Receiver::start(|| Answer::Status("403 Forbidden"));
    let both = channel("ops", "webhook", &receiver.url) + &channel("other", "webhook", &refusing.url);
    let (code, words) = run(&both, &["notify", "test"]);
    assert_eq!((code, words.as_str()), (Some(1), "ops (webhook): taken\nother (webhook): 403 Forbidden: no\n"));
    let (code, words) = run(&both, &["notify", "test", "--channel", "ops"]);
    assert_eq!((code, words.as_str()), (Some(0), "ops (webhook): taken\n"));
    assert_eq!(receiver.heard()[1]["alerts"][0]["labels"]["alertname"], "Test");
    let (code, words) = run(&both, &["notify", "test", "--channel", "on"]);
    assert!(code == Some(2) && words.contains("there is no channel 'on'; there are: ops, other"), "{words}");
    let mail = |more: &str| channel("a", "smtp", "smtp://mail.example/") + more + "\n";
    for (channels, said) in [
        (both.replace("other", "ops"), "there are two channels with the name 'ops'"),
        (
            channel("a", "webhook", "ftp://x/"),
            "channel 'a': url: expected an address like https://example.org/hook, found 'ftp://x/'",
        ),
        (
            channel("a", "pigeon", "http://x/"),
            "kind: 'pigeon' is not one of webhook, alertmanager, smtp, http, exec, dingtalk",
        ),
        (channel("", "webhook", "http://x/"), "a channel has no name"),
        (channel("a", "smtp", "http://x/"), "channel 'a': url: expected an address like smtps://mail.example.org"),
        (channel("a", "smtp", "smtp://x/"), "channel 'a': a channel of mail needs from"),
        (mail("from = \"a@x\"\nto = [\"not one\"]"), "'not one' is no address of mail"),
        (mail("from = \"a@x\"\nto = [\"b@x\"]\nuser = \"u\""), "user and password_file belong together"),
        (
            mail("from = \"a@x\"\nto = [\"b@x\"]\nuser = \"u\"\npassword_file = \"/dev/null\""),
            "url: a password goes over TLS only",
        ),
    ] {
        let data = dir.path().join("data");
        let (code, words) = run(&channels, &["serve", "--data-dir", data.to_str().unwrap()]);
        assert!(code == Some(2) && words.contains(said), "{words}");
    }
}

/// What is silenced is told to nobody, is measured, and is told when the silence ends; what was told before is told to its
/// end. Through kills, and with Alertmanager's own tool.
#[test]
#[cfg_attr(not(part = "prometheus-alertmanager"), ignore = "needs prometheus-alertmanager: .ci/run installs it")]
fn silences_are_heeded() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let rules = || start(dir.path(), &channel("ops", "webhook", &receiver.url));
    let mut server = rules();
    let run = |server: &Server, program: &str, arguments: &[&str]| {
        let url = if program == BIN { "--url" } else { "--alertmanager.url" };
        let output = Command::new(program).args(arguments).args([url, &server.url]).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap().trim().to_owned())
    };
    let heard = || -> Vec<String> {
        let text = |alert: &Value| {
            format!("{} {}", alert["status"].as_str().unwrap(), alert["labels"]["host"].as_str().unwrap())
        };
        let mut ids = BTreeSet::new();
        let mut all = receiver.heard();
        all.retain(|notice| ids.insert(notice["notice"].to_string()));
        all.iter().flat_map(|notice| notice["alerts"].as_array().unwrap()).map(text).collect()
    };
    let set = |server: &Server, host: &str, value: u64| {
        let page = format!("load{{host=\"{host}\"}} {value}\n");
        post(&format!("{}/api/v1/import/prometheus", server.url), page.as_bytes()).unwrap();
    };
    set(&server, "told", 9);
    wait_for("what is told", || heard() == ["firing told"]);
    let words = ["--author", "me", "--reason", "known \"it\""];
    let (is_done, own) = run(&server, BIN, &[&["silence", "add", "--match", "host=~a|told"][..], &words].concat());
    assert!(is_done, "{own}");
    let (is_done, theirs) =
        run(&server, "amtool", &["silence", "add", "host=b", "alertname=~H.*", "--author", "they", "--comment", "too"]);
    assert!(is_done && theirs.len() == 36, "{theirs}");
    for host in ["a", "b"] {
        set(&server, host, 9);
    }
    let suppressed =
        "SELECT count(*) FROM alert_events WHERE event = 'suppressed' AND reason LIKE 'silenced until % by %'";
    wait_for("both to be silenced", || server.rows(suppressed) == [["2"]]);
    let (_, listed) = run(&server, "amtool", &["silence", "query", "-o", "extended"]);
    assert!(
        listed.contains("known \"it\"") && listed.contains("host=~\"a|told\"") && listed.contains(&theirs),
        "{listed}"
    );
    let (_, listed) = run(&server, BIN, &["silence", "list", "--format", "csv"]);
    assert!(listed.contains(&own) && listed.contains(&theirs) && listed.lines().count() == 3, "{listed}");
    // They are firing for whoever looks.
    let alerts: Value = serde_json::from_str(&get(&format!("{}/api/v1/alerts", server.url))).unwrap();
    let alerts = alerts["data"]["alerts"].as_array().unwrap().clone();
    assert!(alerts.len() == 3 && alerts.iter().all(|alert| alert["state"] == "firing"), "{alerts:?}");
    server.kill();
    server = rules();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(heard(), ["firing told"]);
    set(&server, "told", 1);
    wait_for("the end of what was told", || heard() == ["firing told", "resolved told"]);
    let (is_done, words) = run(&server, "amtool", &["silence", "expire", &theirs]);
    assert!(is_done, "{words}");
    wait_for("what is not silenced any more", || heard().last().is_some_and(|last| last == "firing b"));
    let (is_done, words) = run(&server, BIN, &["silence", "end", &own]);
    assert!(is_done, "{words}");
    wait_for("the other", || heard().last().is_some_and(|last| last == "firing a"));
    let (_, listed) = run(&server, BIN, &["silence", "list", "--format", "csv"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    for (arguments, said) in [
        (
            vec!["silence", "add", "--match", "host=~.*", "--author", "me", "--reason", "x"],
            "of all alerts nobody would be told",
        ),
        (vec!["silence", "add", "--match", "host=~(", "--author", "me", "--reason", "x"], "matchers: "),
        (
            vec!["silence", "add", "--match", "host", "--author", "me", "--reason", "x"],
            "'host' is not like target=portal",
        ),
        (vec!["silence", "add", "--match", "host=a", "--author", "", "--reason", "x"], "an author and a reason"),
        (vec!["silence", "end", "none"], "there is no silence none"),
    ] {
        let (is_done, words) = run(&server, BIN, &arguments);
        assert!(!is_done && words.contains(said), "{arguments:?}: {words}");
    }
}
