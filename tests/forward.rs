//! Probers at several places that send what they see to one server, and what that makes of it.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::parts::free_port;
use crate::server::{BIN, Server, wait_for};

/// A prober that looks from a place and sends what it sees elsewhere.
fn prober(dir: &Path, location: &str, targets: &str, to: &str) -> Server {
    let mut command = Command::new(BIN);
    command.env("FOURNINES_FORWARD", to).env("FOURNINES_LOCATION", location);
    Server::start_under(&mut command, &dir.join(location), targets)
}

fn rows(server: &Server, location: &str) -> Vec<Vec<String>> {
    server.rows(&format!(
        "SELECT time, target, outcome, up, total_ms, lag_ms, error, message, address, interval_ms FROM probe WHERE location = '{location}' ORDER BY target, time"
    ))
}

#[test]
fn rows_reach_another_server_once_whatever_ends_in_between() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let targets: String = [("a", open), ("b, c = d", open), ("closed", free_port())]
        .map(|(name, port)| {
            format!("[[target]]\nname = '{name}'\nurl = 'tcp://127.0.0.1:{port}'\ninterval = '100ms'\n")
        })
        .concat();
    let center_dir = dir.path().join("center");
    let center = Server::start(&center_dir, "");
    let port = center.url.clone();
    let there = prober(dir.path(), "there", &targets, &center.url);
    wait_for("rows from there", || rows(&center, "there").len() > 50);

    // The other server crashes: what is measured meanwhile waits, over a crash of the prober, too.
    center.kill();
    let waiting = dir.path().join("there/forward");
    wait_for("that several files wait", || web_probe_files(&waiting) > 2);
    there.kill();
    let there = prober(dir.path(), "there", &targets, &port);
    wait_for("rows of after the crash", || rows(&there, "there").len() > 100);
    let center = Server::restart(&port, &center_dir);
    wait_for("that nothing waits", || web_probe_files(&waiting) <= 1);
    // Without targets nothing new comes, and both have the same.
    std::fs::write(dir.path().join("there.toml"), "").unwrap();
    nix::sys::signal::kill(there.pid(), nix::sys::signal::Signal::SIGHUP).unwrap();
    let is_same = || {
        let (own, sent) = (rows(&there, "there"), rows(&center, "there"));
        let without_own =
            |rows: Vec<Vec<String>>| rows.into_iter().filter(|row| row[1] != "fournines").collect::<Vec<_>>();
        let (own, sent) = (without_own(own), without_own(sent));
        own.len() > 100 && own == sent
    };
    wait_for("the same rows on both sides", is_same);
    let doubled = center
        .rows("SELECT target, time FROM probe WHERE location = 'there' GROUP BY target, time HAVING count(*) > 1");
    assert!(doubled.is_empty(), "{doubled:?}");
}

/// The prober is killed after it has kept rows for the other server and before it has stored them.
#[test]
fn rows_that_only_wait_for_another_server_are_stored_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let waiting = dir.path().join("there/forward");
    std::fs::create_dir_all(&waiting).unwrap();
    let row = |second: u64| format!("probe,target=x,location=there up=true,total_ms=1.5 {second}000000000\n");
    for second in [1_767_225_600, 1_767_225_610] {
        std::fs::write(waiting.join(format!("{second:020}.lp")), row(second)).unwrap();
    }
    let there = prober(dir.path(), "there", "", &format!("http://127.0.0.1:{}", free_port()));
    let stored = "SELECT time, target, up, total_ms FROM probe WHERE target = 'x'";
    let last = ["2026-01-01T00:00:10Z", "x", "true", "1.5"];
    assert_eq!(there.rows(stored), [last], "older files were stored before the next one was begun");
    // It still waits, and once more changes nothing.
    there.kill();
    assert_eq!(web_probe_files(&waiting), 2);
    let there = prober(dir.path(), "there", "", &format!("http://127.0.0.1:{}", free_port()));
    assert_eq!(there.rows(stored), [last]);
}

fn web_probe_files(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "lp"))
        .count()
}

/// Three places, one of which cannot reach the site: most see it up, and the third is an advisory.
#[test]
fn most_places_decide_and_one_alone_is_an_advisory() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap().port();
    let site = |port: u16| format!("[[target]]\nname = 'site'\nurl = 'tcp://127.0.0.1:{port}'\ninterval = '200ms'\n");
    let center = Server::start(&dir.path().join("center"), &site(open));
    let _one = prober(dir.path(), "one", &site(open), &center.url);
    let _two = prober(dir.path(), "two", &site(free_port()), &center.url);
    wait_for("rows of all places", || {
        center.rows("SELECT location FROM probe WHERE target = 'site' GROUP BY location HAVING count(up) > 10").len()
            == 3
    });
    let advisories = center.rows("SELECT target, location, error, locations, locations_up FROM advisories");
    assert_eq!(advisories, [["site", "two", "connect_refused", "3", "2"]]);
    // From when all of them report on, the site is up: one of three does not decide.
    let from = &center
        .rows("SELECT max(first) FROM (SELECT min(time) AS first FROM probe WHERE target = 'site' GROUP BY location)")
        [0][0];
    let state =
        center.rows(&format!("SELECT availability, down_s FROM availability('probe', '{from}') WHERE target = 'site'"));
    assert_eq!(state, [["1.0", "0.0"]]);
    let by_place = center.rows(&format!(
        "SELECT location, availability FROM availability('probe', '{from}', by => 'target, location') WHERE target = 'site' ORDER BY location"
    ));
    assert_eq!(by_place, [["local", "1.0"], ["one", "1.0"], ["two", "0.0"]]);
}
