//! Heartbeats: a backup that no one ran for weeks was found when it was needed. Jobs call the server; one that is late,
//! or says that it failed, is down like every other target.

use std::process::Command;

use crate::server::{BIN, Server, agent, post, wait_for};

const CONFIG: &str = "
[[target]]
name = 'nightly'
url = 'heartbeat:backup?within=3s'
interval = '500ms'
[[target]]
name = 'restored'
url = 'heartbeat:restore?within=1h'
interval = '500ms'
";

/// The rows of an answer; texts may have commas and ends of lines.
fn ask(server: &Server, sql: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(&server.sql(sql, "json").body).unwrap()
}

/// Outcome, error and message of the newest slot of a target.
fn newest(server: &Server, target: &str) -> [String; 3] {
    let rows = ask(
        server,
        &format!("SELECT outcome, error, message FROM probe WHERE target = '{target}' ORDER BY time DESC LIMIT 1"),
    );
    let text = |name: &str| rows.first().and_then(|row| row[name].as_str()).unwrap_or("-").to_owned();
    ["outcome", "error", "message"].map(text)
}

fn waits_for(server: &Server, target: &str, outcome: &str, error: &str) -> String {
    wait_for(&format!("{target} to be {outcome} {error}"), || newest(server, target)[..2] == [outcome, error]);
    newest(server, target)[2].clone()
}

#[test]
fn a_job_that_does_not_call_is_down_and_comes_back_when_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir, CONFIG);
    let call = |path: &str| agent().get(format!("{}/heartbeat/{path}", server.url)).call().unwrap().status().as_u16();
    assert!(waits_for(&server, "nightly", "missed", "-").contains("has not called yet"));
    let message = waits_for(&server, "nightly", "fail", "heartbeat");
    assert!(message.contains("'backup' has never called, and should every 3s"), "{message}");
    assert_eq!(call("backup"), 200);
    waits_for(&server, "nightly", "ok", "-");
    let message = waits_for(&server, "nightly", "fail", "heartbeat");
    assert!(message.contains("ago, and should every 3s"), "{message}");
    assert_eq!((call("backup/start"), call("backup/0")), (200, 200));
    waits_for(&server, "nightly", "ok", "-");
    let said =
        post(&format!("{}/heartbeat/backup/2", server.url), b"copying...\nno space left on the device\n").unwrap();
    assert_eq!((said.status, said.body.as_str()), (200, "OK\n"));
    let message = waits_for(&server, "nightly", "fail", "job_failed");
    assert!(message.contains("with the code 2: copying...\nno space left on the device"), "{message}");
    assert_eq!((call("a%20b"), call("backup/never"), call("")), (400, 400, 404));

    // What was heard is known behind a restart; a job whose time is not over is not down.
    assert_eq!(call("restore"), 200);
    waits_for(&server, "restored", "ok", "-");
    let rows = "SELECT event, code, message FROM heartbeat WHERE job = 'backup' ORDER BY time DESC LIMIT 2";
    let calls = ask(&server, rows);
    assert_eq!((&calls[0]["event"], &calls[0]["code"]), (&"fail".into(), &2.into()), "{calls:?}");
    assert_eq!((&calls[1]["event"], &calls[1]["code"]), (&"ok".into(), &0.into()), "{calls:?}");
    assert_eq!(calls[0]["message"], "copying...\nno space left on the device");
    server.kill();
    let server = Server::start(&data_dir, CONFIG);
    let count = "SELECT count(*) FROM probe WHERE target = 'restored'";
    let before = server.rows(count);
    wait_for("another slot", || server.rows(count) != before);
    assert_eq!(newest(&server, "restored")[0], "ok");
}

/// A token of one job speaks for that job alone, and nobody without one for any.
#[test]
fn a_token_can_be_of_one_job() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let mut create = Command::new(BIN);
    create.args(["token", "create", "--name", "backup", "--scope", "write", "--measurement", "heartbeat"]);
    let created = create.args(["--tag", "job=backup", "--data-dir"]).arg(&data_dir).output().unwrap();
    let own = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let server = Server::start(&data_dir, "");
    let call = |path: &str, token: &str| {
        let request = agent().get(format!("{}/heartbeat/{path}", server.url));
        request.header("Authorization", format!("Bearer {token}")).call().unwrap().status().as_u16()
    };
    assert_eq!((call("backup", &own), call("backup/fail", &own)), (200, 200));
    assert_eq!((call("restore", &own), call("backup", "x")), (400, 401));
}
