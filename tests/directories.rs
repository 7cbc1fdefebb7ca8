//! What commands do in a data directory that is not theirs: one that cannot be written, one of another owner, one with
//! a last write in doubt.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::server::{BIN, Server, post};

/// Makes a folder a medium that nobody can write, for the command that follows.
const READ_ONLY: &str = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@""#;

fn admin(server: &Server, path: &str) -> u16 {
    post(&format!("{}/api/v1/admin/{path}", server.url), b"").unwrap().status
}

/// Rows in a rolled day, a segment and the log, left behind by a kill.
fn filled(data_dir: &Path) {
    let server = Server::start(data_dir, "[store]\nroll_after = '1h'");
    assert_eq!(server.write("?precision=s", b"m,t=a v=1 1767225600\nm,t=b v=2 1767312000").status, 204);
    assert_eq!(admin(&server, "compact"), 200);
    assert_eq!(server.write("?precision=s", b"m,t=a v=3 1767225601").status, 204);
    assert_eq!(admin(&server, "flush"), 200);
    assert_eq!(server.write("?precision=s", b"m,t=a v=4 1767225602").status, 204);
    drop(server); // killed
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        }
        files.push(path);
    }
    files
}

/// What is in a folder: each file with its length, its time of change and its owner.
fn state(dir: &Path) -> BTreeMap<PathBuf, (u64, i64, i64, u32)> {
    let about = |path: PathBuf| {
        let about = std::fs::symlink_metadata(&path).unwrap();
        (path, (about.len(), about.mtime(), about.mtime_nsec(), about.uid()))
    };
    files(dir).into_iter().map(about).collect()
}

fn on_read_only(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh"]);
    command.arg(dir).arg(BIN).args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A backup on a medium that cannot be written could be copied, and not be asked: each command took a lock, cut the
/// log, and made what was missing.
#[test]
#[cfg_attr(not(part = "mounts"), ignore = "unshare may make no mount here")]
fn what_only_reads_needs_no_writing() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    filled(&data_dir);
    let before = state(&data_dir);
    let path = data_dir.to_str().unwrap();
    let sql = "SELECT t, v FROM m ORDER BY v";
    let asked = on_read_only(&data_dir, &["sql", "--data-dir", path, "--format", "csv", sql]);
    assert_eq!(text(&asked), "t,v\na,1.0\nb,2.0\na,3.0\na,4.0\n");
    let exported = on_read_only(&data_dir, &["export", "m", "--format", "csv", "--data-dir", path]);
    assert_eq!(text(&exported).lines().count(), 5);
    assert!(text(&on_read_only(&data_dir, &["verify", path])).contains("0 damaged"));
    let restored = dir.path().join("restored");
    text(&on_read_only(&data_dir, &["restore", path, restored.to_str().unwrap()]));
    assert_eq!(state(&data_dir), before);
    // Where it could be written nothing is, either.
    let scratch = dir.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let mut command = Command::new(BIN);
    command.args(["sql", "--data-dir"]).arg(&restored).args(["--format", "csv", sql]).env("TMPDIR", &scratch);
    assert_eq!(text(&command.output().unwrap()).lines().count(), 5);
    assert_eq!(files(&scratch), Vec::<PathBuf>::new());
    let server = Server::start(&restored, "");
    assert_eq!(server.rows("SELECT count(*) FROM m"), [["4"]]);
    // A restore onto a store, of a server that runs or not, says what to do, and does nothing.
    let onto = Command::new(BIN).args(["restore", path]).arg(&restored).output().unwrap();
    let said = String::from_utf8_lossy(&onto.stderr).into_owned();
    assert!(!onto.status.success() && said.contains("restore to a new directory, stop the server"), "{said}");
    assert_eq!(server.rows("SELECT count(*) FROM m"), [["4"]]);
    // While a server is at work the answer would be of another moment.
    let asked = Command::new(BIN).args(["sql", "SELECT 1", "--data-dir"]).arg(&restored).output().unwrap();
    assert!(String::from_utf8_lossy(&asked.stderr).contains("is open in another process"), "{asked:?}");
}

/// `fournines token create` by root left a file that the server, which is not root, could not read; a snapshot left
/// folders that it could not remove.
#[test]
#[cfg_attr(not(part = "root"), ignore = "only root can be another")]
fn what_root_makes_belongs_to_the_owner_of_the_directory() {
    const OTHER: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    filled(&data_dir);
    for path in files(&data_dir).into_iter().chain([data_dir.clone()]) {
        std::os::unix::fs::lchown(&path, Some(OTHER), Some(OTHER)).unwrap();
    }
    let run = |args: &[&str]| text(&Command::new(BIN).args(args).output().unwrap());
    let path = data_dir.to_str().unwrap();
    run(&["sql", "--data-dir", path, "SELECT count(*) FROM m"]);
    run(&["token", "create", "--data-dir", path, "--name", "someone", "--scope", "read"]);
    let snapshot = run(&["snapshot", "--data-dir", path]);
    run(&["accept-damage", "--data-dir", path]);
    let restored = dir.path().join("restored");
    run(&["restore", snapshot.trim(), restored.to_str().unwrap()]);
    let owned = state(&data_dir).into_iter().chain(state(&restored));
    let others: Vec<_> = owned.filter(|(_, (.., owner))| *owner != OTHER).map(|(path, _)| path).collect();
    assert_eq!(others, Vec::<PathBuf>::new());
    assert_eq!(std::fs::metadata(&restored).unwrap().uid(), OTHER);
}

/// A killed server's last block had a flipped bit: its rows were gone, and only the first log after it said so.
#[test]
fn a_last_write_in_doubt_is_told_until_somebody_says_that_it_is_well() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    filled(&data_dir);
    let log = files(&data_dir).into_iter().find(|path| path.extension().is_some_and(|kind| kind == "log"));
    let log = log.filter(|path| path.parent().unwrap().ends_with("wal")).unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    let last = bytes.len() - 5;
    bytes[last] ^= 4;
    std::fs::write(&log, bytes).unwrap();
    let verified = || Command::new(BIN).arg("verify").arg(&data_dir).output().unwrap();
    assert_eq!(verified().status.code(), Some(1));
    for _ in 0..2 {
        let server = Server::start(&data_dir, "");
        let reply = server.sql("SELECT count(*) FROM m WHERE t = 'a'", "csv");
        assert!(reply.body.ends_with("2\n"), "{reply:?}");
        let asked = Command::new(BIN).args(["sql", "SELECT count(*) FROM m", "--url", &server.url]).output().unwrap();
        assert!(String::from_utf8_lossy(&asked.stderr).contains("in doubt"), "{asked:?}");
    }
    let found = verified();
    assert!(String::from_utf8_lossy(&found.stdout).contains("missing "), "{found:?}");
    let server = Server::start(&data_dir, "");
    let accepted = Command::new(BIN).args(["accept-damage", "--url", &server.url]).output().unwrap();
    assert!(text(&accepted).contains("in doubt"));
    let asked = Command::new(BIN).args(["sql", "SELECT count(*) FROM m", "--url", &server.url]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stderr), "");
    drop(server);
    let (server, found) = (Server::start(&data_dir, ""), verified());
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    let asked = Command::new(BIN).args(["sql", "SELECT count(*) FROM m", "--url", &server.url]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stderr), "");
}
