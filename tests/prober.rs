//! What a prober says when it is in trouble itself, tries again, or looks from two sides.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::parts::{dnsmasq, free_port, nginx};
use crate::server::{BIN, Server, wait_for};

/// A web site that takes this long for an answer, and fails so many times before it gives one.
fn site(takes: Duration, fails: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let count = AtomicU64::new(0);
        for stream in listener.incoming() {
            let fails = count.fetch_add(1, Ordering::SeqCst) % (fails + 1) < fails;
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                std::thread::sleep(takes);
                let status = if fails { "503 Busy" } else { "200 OK" };
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            });
        }
    });
    port
}

fn target(name: &str, port: u16, more: &str) -> String {
    format!("[[target]]\nname = '{name}'\nurl = 'http://127.0.0.1:{port}/'\ninterval = '1s'\n{more}\n")
}

/// A stopped prober has probes under way: what becomes of these when it goes on is no failure of the sites.
#[test]
fn a_prober_that_is_stopped_misses_slots_and_blames_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let slow = site(Duration::from_millis(600), 0);
    let names = ["a", "b", "c", "d"];
    let targets: String = names.map(|name| target(name, slow, "timeout = '900ms'")).concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    let count =
        |wanted: &str| server.rows(&format!("SELECT count(*) FROM probe WHERE {wanted}"))[0][0].parse::<u64>().unwrap();
    wait_for("slots of all", || names.iter().all(|name| count(&format!("target = '{name}' AND up")) >= 3));
    kill(server.pid(), Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_secs(30));
    kill(server.pid(), Signal::SIGCONT).unwrap();
    let last = server.rows("SELECT max(time) FROM probe")[0][0].clone();
    wait_for("slots behind it", || {
        names.iter().all(|name| {
            count(&format!("target = '{name}' AND up AND time > TIMESTAMP '{last}' + INTERVAL '3 seconds'")) >= 2
        })
    });
    let failed = server.rows(
        "SELECT target, time, outcome, error, message FROM probe WHERE target IN ('a', 'b', 'c', 'd') AND NOT up",
    );
    assert!(failed.is_empty(), "{failed:?}");
    for name in names {
        let missed = count(&format!("target = '{name}' AND outcome = 'missed' AND up IS NULL"));
        assert!((28..=34).contains(&missed), "{name}: {missed} slots are missed");
        let first = &server.rows(&format!("SELECT min(time) FROM probe WHERE target = '{name}'"))[0][0];
        let span = server.rows(&format!(
            "SELECT availability, outages, coverage < 0.8, unknown_s >= 28 AND unknown_s <= 34
             FROM availability('probe', '{first}') WHERE target = '{name}'"
        ));
        assert_eq!(span, [["1.0", "0", "true", "true"]], "{name}");
    }
    // Every slot has its row: none is skipped. The first is what was left of one.
    let gaps = server.rows(
        "SELECT target FROM probe WHERE target IN ('a', 'b', 'c', 'd') GROUP BY target
         HAVING count(*) <> (CAST(max(time) AS BIGINT) - CAST(min(time) AS BIGINT) + 999999999) / 1000000000 + 1",
    );
    assert!(gaps.is_empty(), "{gaps:?}");
    let reasons = server.rows("SELECT count(*) > 0 FROM probe WHERE outcome = 'missed' AND message LIKE 'the prober was in trouble: it stood still for %'");
    assert_eq!(reasons, [["true"]], "at least one of four was under way");
}

/// A prober without a file left to open cannot connect to anybody: that is no failure of the sites.
#[test]
fn a_prober_that_has_no_more_files_misses_slots_and_blames_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let slow = site(Duration::from_millis(700), 0);
    let targets = |count| (0..count).map(|n| target(&format!("t{n}"), slow, "")).collect::<String>();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 110; exec \"$@\"", "sh", BIN]);
    let server = Server::start_under(&mut shell, &dir.path().join("data"), &targets(150));
    // Questions need files, too: some of them are not heard.
    let count = |wanted: &str| {
        let reply = server.try_sql_in(
            "public",
            &format!("SELECT count(*) FROM probe WHERE target LIKE 't%' AND {wanted}"),
            "csv",
        );
        reply.ok().and_then(|reply| reply.body.lines().nth(1)?.parse::<u64>().ok()).unwrap_or(0)
    };
    wait_for("missed slots", || {
        count("outcome = 'missed' AND message LIKE 'the prober was in trouble: %Too many open files%'") > 200
    });
    assert_eq!(count("outcome = 'fail' AND message LIKE '%open files%'"), 0);
    // With files for all of its sites it sees them again.
    std::fs::write(dir.path().join("data.toml"), targets(10)).unwrap();
    kill(server.pid(), Signal::SIGHUP).unwrap();
    let seen = "outcome = 'ok' AND time > now() - INTERVAL '3 seconds'";
    wait_for("slots of those that are left", || count(&format!("target IN ('t0', 't9') AND {seen}")) >= 4);
    let failed = server.rows("SELECT error, message, count(*) FROM probe WHERE NOT up GROUP BY error, message");
    assert!(failed.is_empty(), "{failed:?}");
}

/// A server that takes connections and says nothing.
fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().map(|stream| stream.unwrap()).collect::<Vec<_>>());
    port
}

/// A site that hangs for its whole timeout was never tried again, and one that refuses thrice within 0.2 ms.
#[test]
fn attempts_are_stored_and_the_last_one_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (third, never) = (site(Duration::ZERO, 2), site(Duration::ZERO, u64::MAX - 1));
    let targets = [
        target("third", third, "timeout = '200ms'\nretries = 2"),
        target("never", never, "timeout = '200ms'\nretries = 3"),
        target("once", never, ""),
        // The timeout is as long as the slot, and each answer comes at once.
        target("all time", never, "timeout = '1s'\nretries = 5"),
        // The second try has what is left.
        target("hangs", silent(), "timeout = '500ms'\nretries = 2"),
    ]
    .concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    let count =
        |wanted: &str| server.rows(&format!("SELECT count(*) FROM probe WHERE {wanted}"))[0][0].parse::<u64>().unwrap();
    // On a machine that is busy a slot may be over before all attempts are made.
    wait_for("slots with all attempts", || {
        server.rows("SELECT count(*) > 0 FROM information_schema.columns WHERE column_name = 'attempts'") == [["true"]]
            && count("target = 'never' AND attempts = 4") > 0
            && count("target = 'third' AND up AND attempts = 3") > 0
            && count("target = 'once' AND error = 'status'") > 0
            && count("target = 'all time' AND attempts = 6") > 0
            && count("target = 'hangs' AND attempts = 2") > 0
    });
    let rows = server.rows(
        "SELECT target, bool_or(up), max(status), max(attempts) FROM probe
         WHERE target IN ('never', 'once', 'all time', 'hangs') AND outcome <> 'missed' GROUP BY target ORDER BY target",
    );
    let expected = [
        ["all time", "false", "503", "6"],
        ["hangs", "false", "", "2"],
        ["never", "false", "503", "4"],
        ["once", "false", "503", ""],
    ];
    assert_eq!(rows, expected);

    // The attempts of a slot: all but the last one failed, and the last one is what the slot says.
    let wrong = server.rows(
        "SELECT p.target, p.time, p.attempts, a.made, a.failed, a.last FROM probe AS p
         JOIN (SELECT target, time, count(*) AS made, sum(CASE WHEN error IS NULL THEN 0 ELSE 1 END) AS failed,
                      last_value(outcome ORDER BY attempt) AS last FROM probe_attempt GROUP BY target, time) AS a
           ON p.target = a.target AND p.time = a.time
         WHERE p.attempts <> a.made OR p.outcome <> a.last OR a.failed < a.made - 1",
    );
    assert!(wrong.is_empty(), "{wrong:?}");
    let made = server
        .rows("SELECT target, max(attempt), bool_and(total_ms > 0) FROM probe_attempt GROUP BY target ORDER BY target");
    let expected = [["all time", "6", "true"], ["hangs", "2", "true"], ["never", "4", "true"], ["third", "3", "true"]];
    assert_eq!(made, expected);
}

#[test]
#[cfg_attr(not(all(part = "nginx", part = "dnsmasq")), ignore = "needs nginx, dnsmasq: .ci/run installs them")]
fn both_families_are_looked_at_in_every_slot() {
    let dir = tempfile::tempdir().unwrap();
    let (both, four) = (free_port(), free_port());
    let servers = format!(
        "server {{ listen 127.0.0.1:{both}; listen [::1]:{both}; listen 127.0.0.1:{four}; location / {{ return 200 $server_addr; }} }}"
    );
    let _nginx = nginx(dir.path(), &servers, both);
    let (_dnsmasq, resolver) = dnsmasq(dir.path(), &["--local=/example/", "--host-record=site.example,127.0.0.1,::1"]);
    let target = |name: &str, port: u16| {
        target(name, port, &format!("ip = 'both'\nresolvers = ['127.0.0.1:{resolver}']"))
            .replace("//127.0.0.1", "//site.example")
    };
    let server = Server::start(&dir.path().join("data"), &[target("both", both), target("four", four)].concat());
    wait_for("rows of all", || {
        server.rows("SELECT count(DISTINCT target) FROM probe WHERE edge = 'v6' AND outcome <> 'missed'") == [["2"]]
    });
    let rows = server.rows(
        "SELECT DISTINCT target, edge, outcome, error, address, kind FROM probe WHERE edge IS NOT NULL AND outcome <> 'missed' ORDER BY target, edge",
    );
    let expected = [
        ["both", "v4", "ok", "", "127.0.0.1", "http"],
        ["both", "v6", "ok", "", "::1", "http"],
        ["four", "v4", "ok", "", "127.0.0.1", "http"],
        ["four", "v6", "fail", "connect_refused", "::1", "http"],
    ];
    assert_eq!(rows, expected);
}

/// In planned work a target is probed as ever, and its slots do not count.
#[test]
fn slots_in_a_window_of_planned_work_are_marked_and_measured_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (site(Duration::ZERO, 0), site(Duration::ZERO, u64::MAX - 1));
    let now = jiff::Timestamp::now();
    let window = |to: jiff::Timestamp| {
        let all_day = "[[maintenance]]\nreason = 'move'\nauthor = 'ops'\ntarget = ['always', 'fournines']\ntimes = ['00:00-24:00']\n";
        let from = now - Duration::from_secs(600);
        let once = format!("reason = 'patch'\nauthor = 'ops'\ngroup = ['inner']\nfrom = '{from}'\nto = '{to}'\n");
        let targets = [
            target("good", good, "group = 'inner'"),
            target("bad", bad, "group = 'inner'"),
            target("other", bad, ""),
            target("always", bad, ""),
        ];
        format!("{}{all_day}[[maintenance]]\n{once}", targets.concat())
    };
    let server = Server::start(&dir.path().join("data"), &window(now + Duration::from_secs(3600)));
    let outcomes = |since: &str| {
        server.rows(&format!(
            "SELECT target, outcome, up, maintenance, status, count(*) > 2 FROM probe
             WHERE \"group\" = 'inner' AND time > '{since}' OR target IN ('other', 'always') AND time > '{since}'
             GROUP BY target, outcome, up, maintenance, status ORDER BY target"
        ))
    };
    let rest = [
        ["always", "maintenance", "false", "move (ops)", "503", "true"],
        ["other", "fail", "false", "", "503", "true"],
    ];
    let marked = |target, up, status| [target, "maintenance", up, "patch (ops)", status, "true"];
    let during = [rest[0], marked("bad", "false", "503"), marked("good", "true", "200"), rest[1]];
    wait_for("slots in planned work", || outcomes("2026-01-01T00:00:00Z") == during);
    let counted = server.rows(
        "SELECT target, availability, raw, maintenance_s > 1, outages FROM availability('probe', '2026-01-01')
         WHERE target IN ('bad', 'good', 'other') ORDER BY target",
    );
    let expected =
        [["bad", "", "0.0", "true", "0"], ["good", "", "1.0", "true", "0"], ["other", "0.0", "0.0", "false", "1"]];
    assert_eq!(counted, expected);

    // Its first slot begins up to two seconds behind the start.
    let own = || server.rows("SELECT DISTINCT outcome, maintenance FROM probe WHERE target = 'fournines'");
    wait_for("a slot of its own", || !own().is_empty());
    assert_eq!(own(), [["maintenance", "move (ops)"]]);

    // It is over sooner than was thought: slots count again, and what was written stays.
    std::fs::write(dir.path().join("data.toml"), window(jiff::Timestamp::now())).unwrap();
    kill(server.pid(), Signal::SIGHUP).unwrap();
    let after = jiff::Timestamp::now() + Duration::from_secs(1);
    let over =
        [rest[0], ["bad", "fail", "false", "", "503", "true"], ["good", "ok", "true", "", "200", "true"], rest[1]];
    wait_for("slots behind it", || outcomes(&after.to_string()) == over);
    assert_eq!(outcomes("2026-01-01T00:00:00Z").len(), 6);
}
