//! What must not end the server, and what must be seen when something did end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::parts::free_port;
use crate::server::{BIN, Server, agent, post, wait_for};

/// A server with its streams where the test wants them.
struct Bare {
    child: Child,
    url: String,
}

impl Bare {
    fn start(data_dir: &Path, config: &str, stderr: Stdio, fault: Option<&str>) -> Bare {
        let (port, file) = (free_port(), data_dir.with_extension("toml"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(BIN);
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&file);
        command
            .arg("--data-dir")
            .arg(data_dir)
            .env("RUST_LOG", "debug")
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::null())
            .stderr(stderr);
        if let Some(fault) = fault {
            command.env("FOURNINES_FAULT", fault);
        }
        let bare = Bare { child: command.spawn().unwrap(), url: format!("http://127.0.0.1:{port}") };
        wait_for("the server", || bare.get("/health").is_some_and(|(status, _)| status == 200));
        bare
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut answer = agent().get(format!("{}{path}", self.url)).call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().unwrap_or_default()))
    }

    fn write(&self, line: &str) -> Option<u16> {
        post(&format!("{}/write", self.url), line.as_bytes()).ok().map(|reply| reply.status)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `2> /dev/full` ended the server, or the thread that writes, while `/health` went on saying that all was well.
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    // Nobody reads it: it is full after 64 KiB.
    let (stuck_reader, stuck) = std::io::pipe().unwrap();
    for (what, stderr) in
        [("a full disk", full()), ("a closed pipe", closed()), ("a pipe that nobody reads", Stdio::from(stuck))]
    {
        let dir = tempfile::tempdir().unwrap();
        let server = Bare::start(&dir.path().join("data"), "", stderr, None);
        for n in 1..=300 {
            assert_eq!(server.write(&format!("m v={n} {n}")), Some(204), "{what}, {n}");
            if n % 50 == 0 {
                // What is logged: a mistake, a flush.
                server.write("nonsense");
                assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200, "{what}");
            }
        }
        let (status, body) = server.get("/api/v3/query_sql?q=SELECT+count(*)+AS+n+FROM+m&format=csv").unwrap();
        assert_eq!((status, body.as_str()), (200, "n\n300\n"), "{what}");
        assert_eq!(server.get("/ready").unwrap().0, 200, "{what}");
    }
    drop(stuck_reader);
}

/// Commands panicked where their output could not be written.
#[test]
fn commands_say_that_their_output_could_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data, "");
    assert_eq!(server.write("", b"m v=1 1").status, 204);
    let (status, _) = server.stop(nix::sys::signal::Signal::SIGTERM);
    assert!(status.success());
    let data = data.to_str().unwrap();
    for args in [
        vec!["verify", data],
        vec!["token", "list", "--data-dir", data],
        vec!["snapshot", "--data-dir", data],
        vec!["sql", "--data-dir", data, "SELECT 1"],
        vec!["export", "--data-dir", data, "m", "--format", "csv"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(BIN).args(&args).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && !said.contains("panicked"), "{args:?}: {:?} {said}", output.status);
        let both_full = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" > /dev/full 2> /dev/full", BIN])
            .args(&args)
            .status()
            .unwrap();
        assert_eq!((both_full.code(), both_full.signal()), (Some(2), None), "{args:?}");
    }
}

/// A thread of the store that had panicked was missed by nobody: writes waited for ever, and `/ready` said that all was
/// well.
#[test]
fn a_thread_of_the_store_that_ends_is_seen() {
    for (fault, poke) in
        [("writer:3", "/write"), ("sealer:1", "/api/v1/admin/flush"), ("keeper:1", "/api/v1/admin/compact")]
    {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        // It measures nothing by itself, so that passes can be counted.
        let mut server = Bare::start(&data, "", Stdio::null(), Some(fault));
        let mut acknowledged = 0;
        let poked = std::thread::scope(|scope| {
            let url = format!("{}{poke}", server.url);
            let poked = scope.spawn(move || post(&url, b"poke v=1 1").ok().map(|reply| reply.status));
            let mut was_unready = false;
            let start = Instant::now();
            while server.child.try_wait().unwrap().is_none() {
                assert!(start.elapsed() < Duration::from_secs(20), "{fault}: the server goes on");
                was_unready |=
                    server.get("/ready").is_some_and(|(status, body)| status == 503 && body.contains("has ended"));
                if server.write(&format!("m v=1 {}", acknowledged + 1)) == Some(204) {
                    acknowledged += 1;
                }
            }
            assert!(was_unready, "{fault}: /ready did not say so");
            poked.join().unwrap()
        });
        assert!(poke == "/write" || poked != Some(200), "{fault}: {poked:?}");
        let status = server.child.wait().unwrap();
        assert_eq!(status.code(), Some(2), "{fault}: an end that is to be started again");
        // What was acknowledged is there.
        let server = Server::start(&data, "");
        let rows: u64 =
            if acknowledged == 0 { 0 } else { server.rows("SELECT count(*) FROM m")[0][0].parse().unwrap() };
        assert!(rows >= acknowledged, "{fault}: {rows} of {acknowledged}");
    }
}

/// A panic in a query or a request is that query's or request's.
#[test]
fn a_panic_takes_down_what_it_is_in() {
    for fault in ["query:1", "request:30"] {
        let dir = tempfile::tempdir().unwrap();
        let server = Bare::start(&dir.path().join("data"), "", Stdio::null(), Some(fault));
        let mut refused = 0;
        for n in 1..=40 {
            assert!(server.write(&format!("m v=1 {n}")).is_none_or(|status| status == 204));
            let asked = server.get("/api/v3/query_sql?q=SELECT+1%2B1+AS+n&format=csv");
            refused += u32::from(asked.is_none_or(|(status, _)| status != 200));
        }
        assert!(refused <= 1, "{fault}: {refused}");
        assert_eq!(server.get("/ready").unwrap().0, 200);
    }
}

/// Nor does one in a check: its slot says so, and those after it are measured.
#[test]
fn a_panic_in_a_check_is_that_checks() {
    let dir = tempfile::tempdir().unwrap();
    let target = "[[target]]\nname = 'own'\nurl = 'tcp://127.0.0.1:1'\ninterval = '200ms'\ntimeout = '100ms'\n";
    let server = Bare::start(&dir.path().join("data"), target, Stdio::null(), Some("check:4"));
    let count = |condition: &str| -> u64 {
        let sql = format!("SELECT count(*) FROM probe WHERE {condition}").replace(' ', "+");
        let (_, body) = server.get(&format!("/api/v3/query_sql?q={sql}&format=csv")).unwrap();
        body.lines().last().unwrap().parse().unwrap()
    };
    wait_for("slots behind it", || count("outcome = 'fail'") >= 8);
    assert_eq!(count("outcome = 'missed' AND message LIKE '%25broke off%25'"), 1);
    assert_eq!(server.get("/ready").unwrap().0, 200);
}

/// Ten seconds are how long a head may take, and were how long a connection could be idle: agents that write every ten
/// seconds found it closed under their next request.
#[test]
fn an_idle_connection_stays_and_a_slow_head_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[server]\nheader_timeout = '500ms'\nidle_timeout = '6s'\nconnections_max = 3\n";
    let server = Server::start(&dir.path().join("data"), config);
    let address = server.url.strip_prefix("http://").unwrap();
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    };
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    let mut idle = connect();
    for pause_ms in [0, 1500, 3000] {
        std::thread::sleep(Duration::from_millis(pause_ms));
        assert!(ask(&mut idle).starts_with("HTTP/1.1 200"), "after {pause_ms} ms");
    }
    let mut slow = connect();
    slow.write_all(b"GET /health HT").unwrap();
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "a head that does not go on was waited for {:?}",
        start.elapsed()
    );
    // One too many is told so, and can read it.
    let kept: Vec<TcpStream> = (0..2).map(|_| connect()).collect();
    std::thread::sleep(Duration::from_millis(200));
    let mut more = connect();
    more.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut told = String::new();
    more.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("server.connections_max"), "{told}");
    drop(kept);
}

/// Values that nobody can mean were taken, and the server answered nothing.
#[test]
fn silly_values_are_refused_where_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for (config, key) in [
        ("[server]\nconnections_max = 0", "server.connections_max"),
        ("[store]\nhead_max = '64'", "store.head_max"),
        ("[store]\nstring_max = '1GiB'", "store.string_max"),
        ("[query]\nthreads = 0", "query.threads"),
        ("[query]\nmemory = '1kB'", "query.memory"),
        ("[query]\ntimeout = '0s'", "query.timeout"),
        ("[query]\ndepth_max = 1000000", "query.depth_max"),
    ] {
        let file = dir.path().join("silly.toml");
        std::fs::write(&file, config).unwrap();
        let output = Command::new(BIN)
            .arg("serve")
            .arg("--config")
            .arg(&file)
            .arg("--data-dir")
            .arg(dir.path().join("data"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(key) && said.contains("expected"), "{config}: {said}");
    }
    let server = Server::start(&dir.path().join("data"), "");
    assert_eq!(server.write("", b"m v=1 1000").status, 204);
    let reply =
        post(&format!("{}/api/v1/admin/delete", server.url), br#"{"table":"m","from":2000,"to":1000}"#).unwrap();
    assert!(reply.status == 400 && reply.body.contains("after from"), "{} {}", reply.status, reply.body);
    assert_eq!(server.rows("SELECT count(*) FROM m"), [["1"]]);
}

pub const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// A server whose clock is read from a file (`+0`, `+3650d`), while what only goes on does as ever.
fn with_clock(data_dir: &Path, config: &str, clock: &Path) -> Server {
    let mut command = Command::new("env");
    command.arg(format!("LD_PRELOAD={FAKETIME}")).arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()));
    command.args(["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "RUST_LOG=info"]).arg(BIN);
    Server::start_under(&mut command, data_dir, config)
}

/// Ten years forward, a compaction, and back: every table refused all rows for good, with restarts and with the key
/// removed, as the floor of retention had been raised once and was only ever raised.
#[test]
#[cfg_attr(not(part = "faketime"), ignore = "needs faketime: .ci/run installs it")]
fn a_clock_that_was_ahead_refuses_nothing_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let (data, clock) = (dir.path().join("data"), dir.path().join("clock"));
    let config = "[store]\nretention = '30d'\n";
    let compact = |server: &Server| {
        assert_eq!(post(&format!("{}/api/v1/admin/compact", server.url), b"").unwrap().status, 200);
    };
    let count = |server: &Server| server.rows("SELECT count(*) FROM m WHERE host = 'a'")[0][0].clone();
    std::fs::write(&clock, "+0").unwrap();
    let server = with_clock(&data, config, &clock);
    assert_eq!(server.write("", b"m,host=a v=1").status, 204);
    // While it runs, a jump is not believed for an hour: nothing leaves.
    std::fs::write(&clock, "+3650d").unwrap();
    compact(&server);
    std::fs::write(&clock, "+0").unwrap();
    compact(&server);
    assert_eq!(server.write("", b"m,host=a v=2").status, 204);
    assert_eq!(count(&server), "2");
    assert!(server.stop(nix::sys::signal::Signal::SIGTERM).0.success());
    // One that starts with a wrong clock has nothing to compare it with.
    std::fs::write(&clock, "+3650d").unwrap();
    let server = with_clock(&data, config, &clock);
    compact(&server);
    assert!(server.stop(nix::sys::signal::Signal::SIGTERM).0.success());
    let server = Server::start(&data, config);
    assert_eq!(server.write("", b"m,host=a v=3").status, 204);
    assert_eq!(count(&server), "1");
    let refused = server.write("", b"m,host=a v=3 1000000000");
    assert!(refused.status == 400 && refused.body.contains("store.retention"), "{}", refused.body);
    assert!(server.stop(nix::sys::signal::Signal::SIGTERM).0.success());
    // A retention that is gone refuses nothing.
    let server = Server::start(&data, "");
    assert_eq!(server.write("", b"m,host=a v=3 1000000000").status, 204);
    assert_eq!(count(&server), "2");
}

/// Behind a clock that was set back by an hour the prober waited for an hour, without a word.
#[test]
#[cfg_attr(not(part = "faketime"), ignore = "needs faketime: .ci/run installs it")]
fn a_prober_goes_on_behind_a_clock_that_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let (data, clock) = (dir.path().join("data"), dir.path().join("clock"));
    std::fs::write(&clock, "+0").unwrap();
    let target = "[[target]]\nname = 'own'\nurl = 'tcp://127.0.0.1:1'\ninterval = '1s'\ntimeout = '500ms'\n";
    let server = with_clock(&data, target, &clock);
    let slots = |condition: &str| -> u64 {
        server.rows(&format!("SELECT count(*) FROM probe WHERE target = 'own' AND {condition}"))[0][0].parse().unwrap()
    };
    wait_for("slots", || slots("true") >= 2);
    std::fs::write(&clock, "-3600").unwrap();
    wait_for("slots of an hour ago", || slots("time < now() + INTERVAL '10 minutes'") >= 3);
}
