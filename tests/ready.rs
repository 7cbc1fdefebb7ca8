//! What every target has without a file: somebody is told that it is down, slow, or that its certificate ends.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::notices::{Answer, Receiver};
use crate::parts::{Authority, free_port, nginx, site};
use crate::server::{Server, wait_for};

/// Slots of targets here.
const INTERVAL: &str = "200ms";

/// A site that is well (0), slow (1), broken (2) or broken once (3).
fn switched() -> (u16, Arc<AtomicU64>) {
    let state = Arc::new(AtomicU64::new(0));
    let own = state.clone();
    let broken = || ("500 Internal Server Error".into(), String::new());
    let port = site(move |_| match own.load(Ordering::Relaxed) {
        3 => {
            own.store(0, Ordering::Relaxed);
            broken()
        }
        0 => ("200 OK".into(), String::new()),
        1 => {
            std::thread::sleep(Duration::from_millis(60));
            ("200 OK".into(), String::new())
        }
        _ => broken(),
    });
    (port, state)
}

fn target(name: &str, url: &str) -> String {
    format!(
        "[[target]]\nname = \"{name}\"\nurl = \"{url}\"\ninterval = \"{INTERVAL}\"\nslow = \"40ms\"\ngroup = \"outer\"\n"
    )
}

pub fn told(receiver: &Receiver) -> Vec<String> {
    let mut heard = receiver.heard();
    // Killed before it knew that a notice was taken, a server tells it again.
    let mut ids = HashSet::new();
    heard.retain(|notice| ids.insert(notice["notice"].as_str().unwrap().to_owned()));
    let alerts = heard.iter().flat_map(|notice| notice["alerts"].as_array().unwrap());
    let text = |alert: &serde_json::Value| {
        let texts = ["status", "severity"].map(|name| alert[name].as_str().unwrap().to_owned());
        format!("{} {} {}", texts[0], texts[1], alert["annotations"]["summary"].as_str().unwrap())
    };
    alerts.map(text).collect()
}

fn start(dir: &Path, receiver: &Receiver, targets: &str) -> Server {
    let channel = format!("[[channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\n", receiver.url);
    Server::start(&dir.join("data"), &(channel + targets))
}

/// Down and slow, each from the second of three slots on, over with the second good one; through a kill in the midst.
#[test]
fn an_outage_is_told_and_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let (port, state) = switched();
    let targets = target("portal", &format!("http://127.0.0.1:{port}/"));
    let server = start(dir.path(), &receiver, &targets);
    let slots = |server: &Server, outcome: &str| {
        let count = format!("SELECT count(*) FROM probe WHERE target = 'portal' AND outcome = '{outcome}'");
        server.rows(&count)[0][0].parse::<u64>().unwrap()
    };
    wait_for("good slots", || slots(&server, "ok") >= 3);
    // One bad slot is no outage.
    state.store(3, Ordering::Relaxed);
    wait_for("a bad slot", || slots(&server, "fail") == 1);
    let good = slots(&server, "ok");
    wait_for("good slots behind it", || slots(&server, "ok") >= good + 8);
    let blips = told(&receiver);
    state.store(2, Ordering::Relaxed);
    wait_for("an outage", || told(&receiver).len() > blips.len());
    let down = "firing critical portal is down: status: status 500";
    assert!(told(&receiver)[blips.len()].starts_with(down), "{:?}", told(&receiver));
    server.kill();
    let server = start(dir.path(), &receiver, &targets);
    let bad = slots(&server, "fail");
    wait_for("bad slots after the restart", || slots(&server, "fail") >= bad + 4);
    state.store(1, Ordering::Relaxed);
    // Slow slots are no outage: it is over, and slow.
    wait_for("the end, and slow slots", || told(&receiver).len() >= blips.len() + 3);
    let after = told(&receiver)[blips.len() + 1..].to_vec();
    assert!(after.iter().any(|text| text.starts_with("resolved critical portal is down")), "{after:?}");
    assert!(after.iter().any(|text| text.starts_with("firing warning portal is slow: ")), "{after:?}");
    state.store(0, Ordering::Relaxed);
    wait_for("the end of slow slots", || told(&receiver).len() == blips.len() + 4);
    assert!(told(&receiver)[blips.len() + 3].starts_with("resolved warning portal is slow"));
    // Nobody was told of one bad slot.
    assert_eq!(blips, Vec::<String>::new());
    let alerts = "SELECT target, \"group\", severity, rule, count(*), count(closed) FROM alerts GROUP BY target, \"group\", severity, rule ORDER BY rule";
    assert_eq!(
        server.rows(alerts),
        [["portal", "outer", "critical", "Down", "1", "1"], ["portal", "outer", "warning", "Slow", "1", "1"]]
    );
}

/// A target that is taken away while it is down is over; one that nobody could look at is not.
#[test]
fn a_target_that_is_gone_is_down_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let closed = free_port();
    let both =
        target("a", &format!("http://127.0.0.1:{closed}/")) + &target("b", &format!("http://127.0.0.1:{closed}/x"));
    let server = start(dir.path(), &receiver, &both);
    wait_for("both to be down", || told(&receiver).len() == 2);
    let config = dir.path().join("data.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.split("[[target]]\nname = \"b\"").next().unwrap()).unwrap();
    kill(server.pid(), Signal::SIGHUP).unwrap();
    wait_for("the end of one", || told(&receiver).len() == 3);
    assert!(told(&receiver)[2].starts_with("resolved critical b is down"), "{:?}", told(&receiver));
    // Taken away while the server is not there.
    server.kill();
    let channel = std::fs::read_to_string(&config).unwrap();
    let server = Server::start(&dir.path().join("data"), channel.split("[[target]]").next().unwrap());
    wait_for("the end of the other", || told(&receiver).len() == 4);
    assert!(told(&receiver)[3].starts_with("resolved critical a is down"), "{:?}", told(&receiver));
    // Their last slots are still there, and say nothing any more.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(told(&receiver).len(), 4, "{:?}", told(&receiver));
    assert_eq!(server.rows("SELECT count(*) FROM alerts WHERE closed IS NULL"), [["0"]]);
}

/// A certificate that ends in five days is told twice: as a warning, and as grave.
#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn a_certificate_that_ends_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let authority = Authority::new(root);
    authority.certificate("soon", "localhost", 5, true);
    authority.certificate("later", "localhost", 300, true);
    let (soon, later) = (free_port(), free_port());
    let server_of = |port: u16, name: &str| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {0}/{name}.pem; ssl_certificate_key {0}/{name}.key; return 200; }}",
            root.display()
        )
    };
    let _nginx = nginx(root, &(server_of(soon, "soon") + &server_of(later, "later")), later);
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let target = |name: &str, port: u16| {
        format!(
            "[[target]]\nname = \"{name}\"\nurl = \"https://localhost:{port}/\"\ninterval = \"{INTERVAL}\"\nca = \"{}/roots.pem\"\n",
            root.display()
        )
    };
    let server = start(root, &receiver, &(target("soon", soon) + &target("later", later)));
    wait_for("both levels", || told(&receiver).len() == 2);
    let mut all = told(&receiver);
    all.sort();
    let text = |level: &str| format!("firing {level} the certificate of soon ends in 4 days");
    assert_eq!(all, [text("critical"), text("warning")]);
    // The same after a restart, and nothing is told again.
    let text = std::fs::read_to_string(root.join("data.toml")).unwrap();
    server.kill();
    let server = Server::start(&root.join("data"), &text);
    wait_for("slots", || server.rows("SELECT count(*) > 20 FROM probe WHERE target = 'soon'") == [["true"]]);
    assert_eq!(
        (told(&receiver).len(), server.rows("SELECT count(*) FROM alert_events")),
        (2, vec![vec!["2".to_owned()]])
    );
}

/// Behind a gateway that is down everything is: somebody was told of each site. Only the gateway is told, and the site when
/// it is down with the gateway up.
#[test]
fn what_stands_behind_another_one_is_told_by_that() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let (port, state) = switched();
    state.store(2, Ordering::Relaxed);
    let targets = target("gateway", &format!("http://127.0.0.1:{port}/"))
        + &target("site", &format!("http://127.0.0.1:{}/", free_port()))
        + "depends_on = [\"gateway\"]\n";
    let server = start(dir.path(), &receiver, &targets);
    let events = "SELECT DISTINCT event FROM alert_events WHERE target = 'site'";
    wait_for("the site to be found", || server.rows(events) == [["suppressed"]]);
    wait_for("more slots of it", || server.rows("SELECT count(*) > 9 FROM probe WHERE target = 'site'") == [["true"]]);
    let texts = told(&receiver);
    assert!(texts.len() == 1 && texts[0].starts_with("firing critical gateway is down"), "{texts:?}");
    server.kill();
    let server = start(dir.path(), &receiver, &targets);
    state.store(0, Ordering::Relaxed);
    wait_for("the gateway to be up, and the site to be told", || told(&receiver).len() >= 3);
    let mut texts = told(&receiver)[1..].to_vec();
    texts.sort();
    assert!(texts[0].starts_with("firing critical site is down"), "{texts:?}");
    assert!(texts[1].starts_with("resolved critical gateway is down"), "{texts:?}");
    drop(server);
}
