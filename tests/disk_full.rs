//! A disk that is full: writes are refused, reads go on, writes resume by themselves when there is room.

use std::process::Command;

use crate::notices::{Answer, Receiver};
use crate::server::{BIN, Server, wait_for};

/// Mounts a small file system over the data directory, visible to the server only, then becomes the server.
const MOUNT_AND_RUN: &str = r#"mount -t tmpfs -o size=4m tmpfs "$DATA_DIR" && exec "$0" "$@""#;

#[test]
#[cfg_attr(not(part = "mounts"), ignore = "unshare may make no mount here")]
fn writes_are_refused_until_there_is_room_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT_AND_RUN, BIN]).env("DATA_DIR", &data_dir);
    let server = Server::start_under(&mut command, &data_dir, "");
    // The server's own view of the file system.
    let inside = format!("/proc/{}/root{}", server.pid(), data_dir.display());
    let ballast = format!("{inside}/ballast");
    std::fs::write(&ballast, vec![1; 2 << 20]).unwrap();

    let mut sent = 0;
    let mut write = || {
        let lines: String = (0..1000).map(|line| format!("m,t=a f={line} {}\n", sent * 1000 + line)).collect();
        let status = server.write("", lines.as_bytes()).status;
        sent += usize::from(status == 204);
        (status, sent)
    };
    let mut written = 0;
    let refused = (0..1000).find_map(|_| match write() {
        (204, sent) => {
            written = sent;
            None
        }
        (status, _) => Some(status),
    });
    assert_eq!(refused, Some(507), "after {written} requests");
    assert!(written > 10, "{written} requests fitted");
    let count = || server.rows("SELECT count(*) FROM m")[0][0].parse::<usize>().unwrap();
    assert_eq!(count(), written * 1000, "what was acknowledged can be read, what was refused is not there");
    assert_eq!(write().0, 507, "it stays full");

    std::fs::remove_file(&ballast).unwrap();
    wait_for("writes to resume", || write().0 == 204);
    assert_eq!(count(), (written + 1) * 1000);
}

/// Where nothing can be stored any more somebody is told all the same.
#[test]
#[cfg_attr(not(part = "mounts"), ignore = "unshare may make no mount here")]
fn a_full_disk_keeps_nobody_from_being_told() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    std::fs::create_dir(&data_dir).unwrap();
    let rule = "groups:\n- name: g\n  interval: 200ms\n  rules:\n  - {alert: Always, expr: 'vector(time()) > @at'}\n";
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 12;
    std::fs::write(dir.path().join("rules.yml"), rule.replace("@at", &at.to_string())).unwrap();
    let receiver = Receiver::start(|| Answer::Status("200 OK"));
    let config = format!(
        "rule_files = [\"rules.yml\"]\nrules.ready = []\n[[channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{}\"\n",
        receiver.url
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT_AND_RUN, BIN]).env("DATA_DIR", &data_dir);
    let server = Server::start_under(&mut command, &data_dir, &config);
    let inside = format!("/proc/{}/root{}", server.pid(), data_dir.display());
    // All of it, to the last byte.
    let ballast = std::fs::write(format!("{inside}/ballast"), vec![1; 5 << 20]);
    assert!(ballast.is_err(), "the file system is larger than it was made");
    wait_for("writes to be refused", || server.write("", b"m f=1").status == 507);
    wait_for("somebody to be told", || !receiver.heard().is_empty());
    assert_eq!(receiver.heard()[0]["alerts"][0]["labels"]["alertname"], "Always");
    assert_eq!(server.write("", b"m f=1").status, 507, "it was full all the time");
}
