//! The command line: what people and scripts meet first.

use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::server::{BIN, Server, wait_for};

fn run(args: &[&str]) -> Output {
    Command::new(BIN).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn sql_asks_a_server_or_opens_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let path = data_dir.to_str().unwrap().to_owned();
    let server = Server::start(&data_dir, "");
    server.write("", b"cpu,host=a usage=1.5 1");
    let sql = "SELECT host, usage FROM cpu";

    let asked = run(&["sql", "--url", &server.url, sql]);
    assert_eq!(
        stdout(&asked),
        "+------+-------+\n| host | usage |\n+------+-------+\n| a    | 1.5   |\n+------+-------+\n"
    );
    let busy = run(&["sql", "--data-dir", &path, sql]);
    assert_eq!(busy.status.code(), Some(2));
    assert!(stderr(&busy).contains("is open in another process"), "{}", stderr(&busy));
    let refused = run(&["sql", "--url", &server.url, "DROP TABLE cpu"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("DROP TABLE is not allowed"), "{}", stderr(&refused));

    let url = server.url.clone();
    server.stop(Signal::SIGTERM);
    let opened = run(&["sql", "--data-dir", &path, "--format", "csv", sql]);
    assert_eq!(stdout(&opened), "host,usage\na,1.5\n");
    assert_eq!((opened.status.code(), stderr(&opened).as_str()), (Some(0), ""));
    let alone = run(&["sql", "--url", &url, sql]);
    assert!(stderr(&alone).contains("does not answer; start it with 'fournines serve'"), "{}", stderr(&alone));
    let nowhere = run(&["sql", "--data-dir", "/nowhere/at/all", sql]);
    assert!(stderr(&nowhere).contains("/nowhere/at/all is not there"), "{}", stderr(&nowhere));
}

#[test]
fn probe_tells_up_from_down_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let health = format!("{}/health", server.url);
    let up = run(&["probe", &health]);
    assert_eq!(up.status.code(), Some(0), "{}", stderr(&up));
    for part in ["is up: status 200", "connect", "wait", "transfer", "total"] {
        assert!(stdout(&up).contains(part), "{}", stdout(&up));
    }
    let host = run(&["probe", "--format", "json", "host:"]);
    let found: serde_json::Value = serde_json::from_slice(&host.stdout).unwrap();
    assert!(found["up"] == true && found["memory_total_bytes"].as_i64() > Some(0), "{found}");
    let missing = run(&["probe", "--format", "json", &format!("{}/missing", server.url)]);
    assert_eq!(missing.status.code(), Some(1));
    let json: Vec<_> = ["\"outcome\":\"fail\"", "\"status\":404", "\"up\":false", "status 404 is not expected"].into();
    assert!(json.iter().all(|part| stdout(&missing).contains(part)), "{}", stdout(&missing));
    server.stop(Signal::SIGTERM);
    let down = run(&["probe", &health]);
    assert_eq!(down.status.code(), Some(1));
    assert!(stdout(&down).contains("is down") && stdout(&down).contains("refused"), "{}", stdout(&down));
    let metadata = run(&["probe", "http://169.254.169.254/latest/meta-data/"]);
    assert!(stdout(&metadata).contains("link-local or metadata address"), "{}", stdout(&metadata));
    let nonsense = run(&["probe", "exa mple"]);
    assert_eq!(nonsense.status.code(), Some(2));
    assert!(stderr(&nonsense).contains("is not an address like https://example.org/"), "{}", stderr(&nonsense));
}

#[test]
fn signals_stop_it_in_time_and_everything_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    for (round, signal) in [Signal::SIGTERM, Signal::SIGINT].into_iter().enumerate() {
        let server = Server::start(&data_dir, "[[target]]\nurl = 'http://127.0.0.1:1/'\ninterval = '1s'\n");
        for line in 0..50 {
            assert_eq!(server.write("", format!("m,round={round} f=1 {line}").as_bytes()).status, 204);
        }
        let (status, took) = server.stop(signal);
        assert!(status.success(), "{status}");
        assert!(took < Duration::from_secs(2), "it took {took:?}");
    }
    let server = Server::start(&data_dir, "");
    assert_eq!(server.rows("SELECT count(*) FROM m"), [["100"]]);
}

#[test]
fn configuration_mistakes_stop_it_before_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.toml");
    let data_dir = dir.path().join("data");
    for (text, said) in [
        ("[server]\nlissen = '127.0.0.1:0'\n", "lissen"),
        ("[server]\nlisten = '0.0.0.0:0'\n", "server.allow_without_token"),
        ("[[target]]\nurl = 'example.org'\n", "is not an address like"),
        ("[[target]]\nurl = 'http://x/'\n[[target]]\nurl = 'http://x/'\n", "two targets are called 'http://x/'"),
        ("[[target]]\nname = 'fournines'\nurl = 'http://127.0.0.1:1/'\n", "two targets are called 'fournines'"),
    ] {
        std::fs::write(&file, text).unwrap();
        let listen: &[&str] = if text.contains("listen =") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let args = ["serve", "--config", file.to_str().unwrap(), "--data-dir", data_dir.to_str().unwrap()];
        let output = run(&[&args, listen].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(said), "{text}: {}", stderr(&output));
        assert!(!data_dir.exists(), "{text}: it made a data directory all the same");
    }
}

#[test]
fn a_stalled_prober_records_missed_slots() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[[target]]\nname = 'gone'\nurl = 'http://127.0.0.1:1/'\ninterval = '200ms'\ntimeout = '100ms'\n";
    let server = Server::start(&dir.path().join("data"), config);
    let count = |outcome: &str| -> usize {
        let sql = format!("SELECT count(*) FROM probe WHERE target = 'gone' AND outcome = '{outcome}'");
        server.rows(&sql)[0][0].parse().unwrap()
    };
    wait_for("a failed probe", || count("fail") >= 2);
    nix::sys::signal::kill(server.pid(), Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    nix::sys::signal::kill(server.pid(), Signal::SIGCONT).unwrap();
    wait_for("the missed slots", || count("missed") >= 8);
    let missed = server.rows("SELECT count(*), count(up), count(total_ms) FROM probe WHERE outcome = 'missed'");
    assert_eq!(missed[0][1..], ["0", "0"], "nothing is known about a missed slot");
    // Every slot has its row: none is left out silently.
    let gaps = "SELECT count(*) FROM (SELECT time - lag(time) OVER (ORDER BY time) AS gap FROM probe WHERE target = 'gone') \
                WHERE gap > INTERVAL '200 milliseconds'";
    wait_for("the slots to be without gaps", || server.rows(gaps) == [["0"]]);
}

/// A supervisor that waits for "ready" started what comes behind it too early, or gave the server up.
#[test]
fn a_supervisor_is_told_when_it_is_ready_and_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let server = Server::start_under(Command::new(BIN).env("NOTIFY_SOCKET", &path), &dir.path().join("data"), "");
    let told = || {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    assert_eq!(told(), "READY=1");
    assert!(server.stop(Signal::SIGTERM).0.success());
    assert_eq!(told(), "STOPPING=1");
}

/// What packages install beside the binary.
#[test]
fn manual_pages_and_completions_are_of_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| Command::new(BIN).args(args).output().unwrap();
    assert!(run(&["man", dir.path().to_str().unwrap()]).status.success());
    for page in ["fournines.1", "fournines-serve.1", "fournines-sql.1", "fournines-token-create.1"] {
        let text = std::fs::read_to_string(dir.path().join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}: {text}");
    }
    let token = std::fs::read_to_string(dir.path().join("fournines-token.1")).unwrap();
    assert!(token.contains("fournines token create"), "examples: {token}");
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(run(&["completions", shell]).stdout).unwrap();
        assert!(script.contains("accept\\-damage") || script.contains("accept-damage"), "{shell}");
    }
}

/// A second server said only that the address is in use, and a name was no address at all.
#[test]
fn a_place_that_is_taken_is_told_with_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let place = server.url.replace("http://127.0.0.1", "localhost");
    let serve = |place: &str| {
        let data = dir.path().join("second");
        let output = Command::new(BIN).args(["serve", "--listen", place, "--data-dir"]).arg(data).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = serve(&place);
    assert!(said.contains("another one is running there; --listen takes another address"), "{said}");
    let said = serve("nowhere");
    assert!(said.contains("like 127.0.0.1:9999, localhost:9999 or :9999"), "{said}");
}
