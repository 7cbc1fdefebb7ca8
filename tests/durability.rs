//! A 204 is sent after the rows are written to the log *and* synced, and requests that wait share one sync: as the
//! kernel sees it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::server::{Server, agent};

/// What the server asked of the kernel, in order.
#[derive(Debug, PartialEq)]
enum Call {
    /// A frame was written to the log.
    LogWritten,
    /// A file was synced.
    Synced,
    /// A 204 was sent.
    Acknowledged,
}

/// Runs `work` against a server under strace, whose syncs take `sync_ms` longer, and returns its calls.
fn trace(dir: &Path, sync_ms: u32, work: impl FnOnce(&Server)) -> Vec<Call> {
    let log = dir.join("strace.log");
    let mut command = Command::new("strace");
    // -D leaves the server our child; -z shows only calls that succeeded.
    command.args(["-D", "-f", "-z", "-s", "64", "-e", "trace=fdatasync,write,writev", "-o"]);
    command.arg(&log).arg(format!("--inject=fdatasync:delay_enter={}", sync_ms * 1000)).arg(crate::server::BIN);
    let server = Server::start_under(&mut command, &dir.join("data"), "");
    work(&server);
    server.stop(Signal::SIGTERM);
    let calls = std::fs::read_to_string(&log).unwrap();
    let call = |line: &str| match line {
        // A frame's magic stands in its first 16 bytes.
        _ if line.contains("writev(") && (line.contains("FRAM") || line.contains("SMPL")) => Some(Call::LogWritten),
        // A call that another thread interrupts is shown in two parts: it is done with the second.
        _ if line.contains("fdatasync") && !line.contains("unfinished") => Some(Call::Synced),
        _ if line.contains("HTTP/1.1 204") => Some(Call::Acknowledged),
        _ => None,
    };
    calls.lines().filter_map(call).collect()
}

#[test]
#[cfg_attr(not(part = "strace"), ignore = "strace is not installed, or may not trace here")]
fn acknowledgements_come_after_the_sync() {
    let dir = tempfile::tempdir().unwrap();
    let requests = 50;
    let calls = trace(dir.path(), 0, |server| {
        for request in 0..requests {
            assert_eq!(server.write("", format!("m f=1 {request}").as_bytes()).status, 204);
        }
    });
    assert_eq!(calls.iter().filter(|call| **call == Call::Acknowledged).count(), requests);
    // The client sends its next request only after the answer: so between two answers there is a write and then a sync.
    // (A measurement of our own may come between, too.)
    for (number, between) in calls.split(|call| *call == Call::Acknowledged).take(requests).enumerate() {
        let written = between.iter().position(|call| *call == Call::LogWritten);
        let synced = written.is_some_and(|written| between[written..].contains(&Call::Synced));
        assert!(synced, "request {number} was acknowledged before it was written and synced: {between:?}");
    }
}

#[test]
#[cfg_attr(not(part = "strace"), ignore = "strace is not installed, or may not trace here")]
fn requests_that_wait_share_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (clients, requests) = (16, 20);
    // A sync that lasts is what requests share: on a disk that syncs at once, beside tests that leave few requests at a
    // time, there was nothing to share.
    let calls = trace(dir.path(), 20, |server| {
        std::thread::scope(|scope| {
            for client in 0..clients {
                scope.spawn(move || {
                    let agent = agent(); // keeps its connection
                    for request in 0..requests {
                        let line = format!("m,client={client} f=1 {request}");
                        assert_eq!(agent.post(format!("{}/write", server.url)).send(line).unwrap().status(), 204);
                    }
                });
            }
        });
    });
    let count = |wanted: Call| calls.iter().filter(|call| **call == wanted).count();
    let (acknowledged, synced) = (count(Call::Acknowledged), count(Call::Synced));
    println!("{acknowledged} requests, {synced} syncs");
    assert_eq!(acknowledged, clients * requests);
    // Without sharing there would be one for each, and more for our own measurements.
    assert!(synced * 2 < acknowledged, "{synced} syncs for {acknowledged} requests of {clients} clients");
}

#[test]
#[cfg_attr(not(part = "strace"), ignore = "strace is not installed, or may not trace here")]
fn a_new_data_directory_is_durable_with_all_folders_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("strace.log");
    let mut server = Command::new("strace")
        .args(["-D", "-f", "-z", "-y", "-e", "trace=fsync", "-o"])
        .arg(&log)
        .args([crate::server::BIN, "serve", "--listen", "127.0.0.1:0", "--data-dir", "new/data"])
        .current_dir(&dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut greeting = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let calls = std::fs::read_to_string(&log).unwrap();
    let root = dir.path().canonicalize().unwrap();
    for folder in [root.clone(), root.join("new"), root.join("new/data")] {
        assert!(calls.contains(&format!("<{}>)", folder.display())), "{} is not synced:\n{calls}", folder.display());
    }
}
