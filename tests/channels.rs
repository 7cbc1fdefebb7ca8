//! Channels that are requests or programs: services check how they are signed and answer as they do, and who gives up is
//! stood in for.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::agents::get;
use crate::clients::python;
use crate::notices::{Answer, Receiver};
use crate::parts::free_port;
use crate::ready::told;
use crate::server::{BIN, Server, wait_for};

/// Services, and what they were told.
struct Services {
    program: Child,
    port: u16,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Services {
    fn start() -> Services {
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/services.py");
        let mut program = Command::new(python())
            .arg("-B")
            .arg(script)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let own = told.clone();
        std::thread::spawn(move || {
            lines.for_each(|line| own.lock().unwrap().push(serde_json::from_str(&line.unwrap()).unwrap()));
        });
        wait_for("the services", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Services { program, port, told }
    }

    fn told(&self, service: &str) -> Vec<Value> {
        let all = self.told.lock().unwrap();
        all.iter().filter(|own| own["service"] == service).map(|own| own["told"].clone()).collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        let _ = self.program.wait();
    }
}

const ALERT: &str = r#"
rules.ready = []
[[alert]]
name = "High"
promql = "load"
critical = { raise = "> 5" }
interval = "100ms"
texts = { summary = "{{ $labels.target }} has {{ $value }}\r\n<b>\"值班\" 😀" }
"#;

fn write(server: &Server, value: u64) {
    server.write("", format!("load,target=www.portal.example value={value}").as_bytes());
}

/// Each is told of an alert and of its end, by requests that it takes as its own. One that says with status 200 that it was
/// too much is asked again; what one does not take for good goes to the channel that stands in for it.
#[test]
#[cfg_attr(not(part = "python-servers"), ignore = "needs a Python: .ci/run installs it")]
fn services_take_what_they_are_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), "kéy\n").unwrap();
    let services = Services::start();
    let channel = |kind: &str, path: &str, more: &str| {
        format!(
            "[[channel]]\nname = \"{kind}\"\nkind = \"{kind}\"\nurl = \"http://127.0.0.1:{}{path}\"\nper_minute = 1000\n{more}\n",
            services.port
        )
    };
    let key = format!("secrets = {{ key = \"{}\" }}\n", dir.path().join("key").display());
    std::fs::write(dir.path().join("token"), "12:ab\n").unwrap();
    let token = format!("secrets = {{ token = \"{}\" }}\n", dir.path().join("token").display());
    let sms = "settings = { id = \"id\", sign = \"值班\", template = \"SMS_1\", app = \"1\" }\n";
    let channels = [
        channel("dingtalk", "/dingtalk?access_token=x", &(key.clone() + "to = [\"13800000000\"]")),
        channel("feishu", "/feishu", &key),
        channel("wecom", "/wecom", "fallback = \"slack\""),
        channel("slack", "/slack", ""),
        channel("telegram", "/telegram", &(token + "to = [\"-100\"]")),
        channel("pagerduty", "/pagerduty", &key),
        channel("aliyun_sms", "/", &(key.clone() + sms + "to = [\"13800000000\", \"13900000000\"]")),
        channel("tencent_sms", "/", &(key.clone() + sms + "to = [\"+8613800000000\"]")),
        format!(
            "[[channel]]\nname = \"own\"\nkind = \"http\"\nurl = \"http://127.0.0.1:{}/own?id={{{{ notice }}}}\"\nmethod = \"PUT\"\ncharset = \"gb18030\"\n\
             define = [\"hash = secrets.key | sha256 | hex\"]\nheaders = {{ X-Key = \"{{{{ hash }}}}\" }}\n\
             body = \"<sms>{{{{ title | xml }}}}</sms>\"\nsuccess = {{ \"$.result.state\" = \"^taken$\" }}\n{key}",
            services.port
        ),
    ];
    let server = Server::start(&dir.path().join("data"), &(ALERT.to_owned() + &channels.concat()));
    write(&server, 9);
    let names = ["dingtalk", "feishu", "telegram", "pagerduty", "aliyun_sms", "tencent_sms", "own"];
    let all = |count: usize| names.iter().all(|name| services.told(name).len() == count);
    let errors =
        || server.rows("SELECT channel, event, error FROM notices WHERE event <> 'queued' ORDER BY channel, time");
    let wait = |count: usize| {
        let begun = std::time::Instant::now();
        while !(all(count) && services.told("slack").len() == count) {
            assert!(begun.elapsed().as_secs() < 30, "{:?} {:?}", services.told.lock().unwrap(), errors());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    wait(1);
    let title = "[critical] www.portal.example has 9  <b>\"值班\" 😀";
    for name in ["dingtalk", "feishu", "telegram"] {
        assert_eq!(services.told(name), [title], "{name}");
    }
    assert_eq!(services.told("slack"), [title], "instead of another one, and not by itself");
    let variables = serde_json::json!({"1": "www-portal-example", "2": "High", "3": "critical"});
    assert_eq!(services.told("aliyun_sms"), [variables]);
    assert_eq!(services.told("tencent_sms"), [serde_json::json!(["www-portal-example", "High", "critical"])]);
    // What GB18030 does not lack, and what is none in XML.
    let text = "<sms>[critical] www.portal.example has 9  &lt;b&gt;&#34;值班&#34; 😀</sms>";
    assert_eq!(services.told("own"), [text]);
    write(&server, 1);
    wait(2);
    assert!(services.told("pagerduty")[0].as_str().unwrap().starts_with("trigger "));
    assert!(services.told("pagerduty")[1].as_str().unwrap().starts_with("resolve "));
    let counts = "SELECT channel, count(CASE WHEN event = 'sent' THEN 1 END), count(CASE WHEN event = 'failed' THEN 1 END), \
                  count(CASE WHEN event = 'gave_up' THEN 1 END) FROM notices GROUP BY channel ORDER BY channel";
    wait_for("all rows", || {
        let rows = server.rows(counts);
        let of = |name: &str| rows.iter().find(|row| row[0] == name).map(|row| row[1..].join(" ")).unwrap_or_default();
        of("dingtalk") == "2 1 0" && of("wecom") == "0 0 2" && of("slack") == "2 0 0"
    });
    let metrics = get(&format!("{}/metrics", server.url));
    for line in [
        "fournines_notices_total{channel=\"dingtalk\",event=\"failed\"} 1",
        "fournines_notices_total{channel=\"wecom\",event=\"gave_up\"} 2",
        "fournines_notices_total{channel=\"slack\",event=\"sent\"} 2",
        "fournines_notices_waiting{channel=\"slack\"} 0",
        "fournines_alerts{state=\"firing\"} 0",
        "fournines_rules_failing 0",
        "fournines_rules_late 0",
    ] {
        assert!(metrics.lines().any(|own| own.starts_with(line)), "{line} is not in {metrics}");
    }
}

/// A program is given what a webhook is; its exit code says what became of it. One that does not end is killed.
#[test]
fn programs_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("tell");
    let script = format!(
        "#!/bin/sh\ncd {}\ncase \"$1\" in\nlater) [ -e tried ] || {{ touch tried; echo busy >&2; exit 75; }} ;;\nno) echo no such phone >&2; exit 3 ;;\n\
         slow) [ -e slow ] || {{ touch slow; exec sleep 60; }} ;;\nesac\ncat > \"$1.$FOURNINES_NOTICE\"\n",
        dir.path().display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let channel = |name: &str| {
        format!(
            "[[channel]]\nname = \"{name}\"\nkind = \"exec\"\ncommand = [\"{}\", \"{name}\"]\ntimeout = \"500ms\"\n",
            program.display()
        )
    };
    let channels = ["now", "later", "no", "slow"].map(channel).concat();
    let server = Server::start(&dir.path().join("data"), &(ALERT.to_owned() + &channels));
    write(&server, 9);
    let ends = "SELECT channel, event, error FROM notices WHERE event <> 'queued' ORDER BY channel, time";
    wait_for("what became of it", || server.rows(ends).len() == 6);
    let rows: Vec<String> = server.rows(ends).iter().map(|row| row.join(" ").trim().to_owned()).collect();
    assert_eq!(
        rows,
        [
            "later failed exit status: 75: busy",
            "later sent",
            "no gave_up exit status: 3: no such phone",
            "now sent",
            "slow failed it did not end within 500ms and was killed",
            "slow sent",
        ]
    );
    let files = std::fs::read_dir(dir.path()).unwrap().map(|own| own.unwrap().path());
    let heard: Vec<_> = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("now.")).collect();
    let text: Value = serde_json::from_str(&std::fs::read_to_string(&heard[0]).unwrap()).unwrap();
    assert_eq!(text["alerts"][0]["labels"]["alertname"], "High");
}

/// A robot that takes one message a minute: what happens meanwhile is one message, and of each alert what is newest. (Here
/// the minute is not waited for: the first message hangs, and all that comes is told with the second one.)
#[test]
fn what_waits_is_told_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut asked = 0;
    let receiver = Receiver::start(move || {
        asked += 1;
        if asked == 1 {
            std::thread::sleep(std::time::Duration::from_millis(1500));
        }
        Answer::Status("200 OK")
    });
    let channel =
        format!("[[channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\nper_minute = 2\n", receiver.url);
    let server = Server::start(&dir.path().join("data"), &(ALERT.to_owned() + &channel));
    let queued = |count: usize| {
        let notices = "SELECT count(DISTINCT notice) FROM notices WHERE event = 'queued'";
        wait_for("notices", || server.rows(notices) == [[count.to_string()]]);
    };
    write(&server, 9);
    queued(1);
    server.write("", b"load,target=b value=9");
    queued(2);
    write(&server, 1);
    queued(3);
    wait_for("all to be told", || server.rows("SELECT count(*) FROM notices WHERE event = 'sent'") == [["3"]]);
    let texts: Vec<String> = told(&receiver).iter().map(|text| text[..text.find(" has").unwrap()].to_owned()).collect();
    let expected = ["firing critical www.portal.example", "firing critical b", "resolved critical www.portal.example"];
    assert_eq!(texts, expected);
    assert_eq!(receiver.heard().len(), 2);
    let counts = "SELECT target, status, notices FROM notice_counts ORDER BY target, status";
    let expected =
        [["b", "firing", "1"], ["www.portal.example", "firing", "1"], ["www.portal.example", "resolved", "1"]];
    assert_eq!(server.rows(counts), expected);
}

/// A view that counts what was told: an alert that began and ended while its group waited is in no message, and of one that
/// ended and began again only the newest is.
#[test]
fn what_a_group_passes_over_is_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let channel = format!("[[channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\n", receiver.url);
    let route = "[[route]]\nchannels = [\"ops\"]\nwait = \"3s\"\ninterval = \"10ms\"\n";
    let server = Server::start(&dir.path().join("data"), &(ALERT.to_owned() + &channel + route));
    let queued = |count: usize| {
        let rows = "SELECT count(*) FROM notices WHERE event = 'queued'";
        wait_for("rows", || server.rows(rows) == [[count.to_string()]]);
    };
    for (at, text) in ["a value=9", "b value=9", "a value=1"].iter().enumerate() {
        server.write("", format!("load,target={text}").as_bytes());
        queued(at + 1);
    }
    wait_for("one message", || receiver.heard().len() == 1);
    let texts: Vec<String> = told(&receiver).iter().map(|text| text[..text.find(" has").unwrap()].to_owned()).collect();
    assert_eq!(texts, ["firing critical b"]);
    wait_for("its rows", || server.rows("SELECT count(*) FROM notices WHERE event IN ('sent', 'over')") == [["3"]]);
    assert_eq!(server.rows("SELECT target, status, notices FROM notice_counts"), [["b", "firing", "1"]]);
    server.kill();
    let server = Server::start(&dir.path().join("data"), &(ALERT.to_owned() + &channel + route));
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(receiver.heard().len(), 1, "nothing is told again");
    drop(server);
}

/// Each level goes to whom its route names, and the end to whoever heard of the beginning: also where routes are others by
/// then, and the server was killed.
#[test]
fn routes_say_who_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let receivers = ["sms", "ops", "boss"].map(|name| (name, Receiver::start(|| Answer::Status("200 OK"))));
    let channels: String = receivers
        .iter()
        .map(|(name, own)| format!("[[channel]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{}\"\n", own.url))
        .collect();
    let alert = "rules.ready = []\n[[alert]]\nname = \"High\"\npromql = \"load\"\ninterval = \"100ms\"\n\
                 warning = { raise = \"> 5\" }\ncritical = { raise = \"> 50\" }\n";
    let routes = "[[route]]\nmatch = [\"severity=critical\"]\nchannels = [\"sms\"]\ncontinue = true\n\
                  [[route]]\nmatch = [\"target=~shop.*\", \"severity!=warning\"]\nchannels = [\"boss\"]\n\
                  [[route]]\nchannels = [\"ops\"]\n";
    let heard = || -> Vec<String> {
        let of = |(name, own): &(&str, Receiver)| {
            let texts = told(own).into_iter().map(|text| text.split(": ").next().unwrap().to_owned());
            texts.map(|text| format!("{name} {text}")).collect::<Vec<_>>()
        };
        let mut all: Vec<String> = receivers.iter().flat_map(of).collect();
        all.sort();
        all
    };
    let config = |routes: &str| format!("{alert}{routes}{channels}");
    let server = Server::start(&dir.path().join("data"), &config(routes));
    server.write("", b"load,target=shop1 value=60\nload,target=blog value=60\nload,target=wiki value=6");
    let began = [
        "boss firing critical High of shop1",
        "ops firing critical High of blog",
        "ops firing warning High of wiki",
        "sms firing critical High of blog",
        "sms firing critical High of shop1",
    ];
    wait_for("what routes say", || heard().len() >= began.len());
    assert_eq!(heard(), began);
    server.kill();
    let server = Server::start(&dir.path().join("data"), &config("[[route]]\nchannels = [\"boss\"]\n"));
    server.write("", b"load,target=shop1 value=1\nload,target=blog value=1\nload,target=wiki value=1");
    wait_for("all to be over", || heard().len() >= 2 * began.len());
    let mut expected: Vec<String> = began.iter().map(|own| own.replace("firing", "resolved")).collect();
    expected.extend(began.map(str::to_owned));
    expected.sort();
    assert_eq!(heard(), expected);
}

/// Somebody outside is called while all is well; whoever misses the calls knows that it is not. One fournines watches
/// another.
#[test]
fn the_watcher_is_watched() {
    let dir = tempfile::tempdir().unwrap();
    let watching = "[[target]]\nname = \"watcher\"\nurl = \"heartbeat:fournines?within=1s\"\ninterval = \"200ms\"\n";
    let other = Server::start(&dir.path().join("other"), watching);
    let up = || other.rows("SELECT last_value(up ORDER BY time) FROM probe WHERE target = 'watcher'")[0][0].clone();
    let config = format!("[heartbeat]\nurl = \"{}/heartbeat/fournines\"\ninterval = \"300ms\"\n", other.url);
    let server = Server::start(&dir.path().join("data"), &config);
    wait_for("calls", || up() == "true");
    server.kill();
    wait_for("no calls", || up() == "false");
}

/// What is wrong with a channel is said before anybody relies on it.
#[test]
fn wrong_channels_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let check = |channel: &str| {
        let file = dir.path().join("fournines.toml");
        std::fs::write(&file, format!("[[channel]]\nname = \"a\"\n{channel}\n")).unwrap();
        let mut command = Command::new(BIN);
        let output = command.args(["notify", "test", "--config"]).arg(&file).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (channel, said) in [
        ("kind = \"http\"", "url: it is missing"),
        ("kind = \"http\"\nurl = \"http://x/\"\nbody = \"{{ titel }}\"", "body: "),
        ("kind = \"http\"\nurl = \"http://x/\"\nbody = \"{{ title | nope }}\"", "body: "),
        ("kind = \"http\"\nurl = \"{{ title }}\"", "url: what it gives is not an address"),
        ("kind = \"http\"\nurl = \"http://x/\"\ndefine = [\"a b\"]", "define: expected name = expression, found 'a b'"),
        ("kind = \"http\"\nurl = \"http://x/\"\nsuccess = { \"$[\" = \"x\" }", "success: '$[' is no JSONPath"),
        ("kind = \"http\"\nurl = \"http://x/\"\ncharset = \"morse\"", "charset: 'morse' is not known"),
        ("kind = \"http\"\nurl = \"http://x/\"\nheaders = { A = \"a\\nb\" }", "headers.A: a header is one line"),
        (
            "kind = \"http\"\nurl = \"http://x/\"\nbody = \"{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}\"",
            "body: ",
        ),
        ("kind = \"dingtalk\"", "url: it is missing"),
        ("kind = \"telegram\"\nto = [\"1\"]", "needs secrets.token, to: secrets.token is missing"),
        ("kind = \"slack\"\nurl = \"http://x/\"\nbody = \"x\"", "body is not for kind = \"slack\""),
        ("kind = \"webhook\"\nurl = \"http://x/\"\nto = [\"x\"]", "to is not for kind = \"webhook\""),
        ("kind = \"exec\"", "expected command = ["),
        (
            "kind = \"webhook\"\nurl = \"http://x/\"\nfallback = \"b\"",
            "fallback: 'b' is not the name of another channel",
        ),
        (
            "kind = \"webhook\"\nurl = \"http://x/\"\nfallback = \"a\"",
            "fallback: 'a' is not the name of another channel",
        ),
        ("kind = \"webhook\"\nurl = \"http://x/\"\nper_minute = 0", "per_minute: expected 1 or more"),
    ] {
        let (code, words) = check(channel);
        assert!(code == Some(2) && words.contains("channel 'a'") && words.contains(said), "{channel}: {words}");
    }
}
