//! Databases that are probed: real PostgreSQL, MariaDB and Redis, each well, wrongly asked, and away.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::parts::{Authority, Program, free_port};
use crate::server::{BIN, Server, wait_for};

/// The folder with the programs of the newest PostgreSQL.
fn postgres_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|bin| bin.join("postgres").exists())
        .max()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A PostgreSQL on this port with the user `probe` and the password `s3cret`, and with TLS by `db.pem`.
pub fn postgres(root: &Path, port: u16) -> Program {
    let bin = postgres_bin().expect("the package has it there");
    // It does not run as root.
    let is_root = rustix::process::geteuid().is_root();
    let command = |program: &str| {
        let program = bin.join(program);
        if !is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    };
    let dir = root.join("postgres");
    std::fs::create_dir(&dir).unwrap();
    for file in ["db.pem", "db.key"] {
        std::fs::copy(root.join(file), dir.join(file)).unwrap();
    }
    std::fs::write(dir.join("password"), "s3cret").unwrap();
    run(Command::new("chmod").args(["600"]).arg(dir.join("db.key")));
    if is_root {
        run(Command::new("chmod").arg("755").arg(root));
        run(Command::new("chown").args(["-R", "postgres:"]).arg(&dir));
    }
    let data = dir.join("data");
    let login = ["--username=probe", "--auth=scram-sha-256", "--no-sync"];
    run(command("initdb").arg("-D").arg(&data).args(login).arg(format!("--pwfile={}", dir.join("password").display())));
    let setting = |name: &str, value: &Path| format!("{name}={}", value.display());
    Program::start(
        command("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-c", "fsync=off"])
            .args(["-c", &setting("ssl_cert_file", &dir.join("db.pem"))])
            .args(["-c", &setting("ssl_key_file", &dir.join("db.key"))])
            .args(["-c", &setting("unix_socket_directories", &dir)]),
    )
}

/// A MariaDB with the same, and the database `shop`.
pub fn mariadb(root: &Path, port: u16) -> Program {
    let dir = root.join("mariadb");
    let user = if rustix::process::geteuid().is_root() { "--user=root" } else { "--skip-name-resolve" };
    let data = format!("--datadir={}", dir.join("data").display());
    std::fs::create_dir_all(dir.join("data")).unwrap();
    run(Command::new("mariadb-install-db").args(["--no-defaults", &data, user, "--skip-test-db"]));
    let init =
        "CREATE DATABASE shop; CREATE USER 'probe'@'%' IDENTIFIED BY 's3cret'; GRANT ALL ON shop.* TO 'probe'@'%';";
    std::fs::write(dir.join("init.sql"), init.replace("; ", ";\n")).unwrap();
    let option = |name: &str, value: PathBuf| format!("--{name}={}", value.display());
    Program::start(
        Command::new("mariadbd")
            .args(["--no-defaults", &data, user, "--bind-address=127.0.0.1", &format!("--port={port}")])
            .arg(option("socket", dir.join("socket")))
            .arg(option("pid-file", dir.join("pid")))
            .arg(option("init-file", dir.join("init.sql")))
            .arg(option("ssl-cert", root.join("db.pem")))
            .arg(option("ssl-key", root.join("db.key"))),
    )
}

/// A Redis that wants the password `s3cret`, and a port with TLS.
pub fn redis(root: &Path, port: u16, tls_port: u16) -> Program {
    let option = |name: &str| root.join(name).display().to_string();
    Program::start(
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--requirepass", "s3cret", "--save", ""])
            .args(["--dir", &root.display().to_string(), "--tls-port", &tls_port.to_string()])
            .args(["--tls-cert-file", &option("db.pem"), "--tls-key-file", &option("db.key")])
            .args(["--tls-ca-cert-file", &option("roots.pem"), "--tls-auth-clients", "no"]),
    )
}

/// Accepts, and says nothing.
fn silence() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().map(Result::unwrap).collect::<Vec<_>>());
    port
}

#[test]
#[cfg_attr(
    not(all(part = "pg_createcluster", part = "mariadbd", part = "redis-server")),
    ignore = "needs pg_createcluster, mariadbd, redis-server: .ci/run installs them"
)]
fn databases_are_up_when_they_let_in_and_answer() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let authority = Authority::new(root);
    authority.certificate("db", "127.0.0.1", 30, true);
    let [pg, my, re, rs, closed] = std::array::from_fn(|_| free_port());
    let quiet = silence();
    let _programs = [postgres(root, pg), mariadb(root, my), redis(root, re, rs)];
    for port in [pg, my, re, rs] {
        wait_for("the databases", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    let target = |name: &str, url: String, more: &str| {
        format!("[[target]]\nname = '{name}'\nurl = '{url}'\ninterval = '2s'\ntimeout = '1900ms'\n{more}\n")
    };
    let sql = |kind: &str, port: u16| {
        let at = |rest: &str| format!("{kind}://probe:s3cret@127.0.0.1:{port}/{rest}");
        let shop = if kind == "postgres" { "postgres" } else { "shop" };
        [
            target(&format!("{kind} up"), at(shop), ""),
            target(&format!("{kind} expects"), at(shop), "send = 'SELECT 6 * 7'\nexpect = { body = '^42$' }"),
            target(&format!("{kind} other"), at(shop), "send = 'SELECT 6 * 7'\nexpect = { body = '^43$' }"),
            target(&format!("{kind} few"), at(shop), "send = 'SELECT 6 * 7'\nexpect = { value_max = 50 }"),
            target(&format!("{kind} many"), at(shop), "send = 'SELECT 6 * 7'\nexpect = { value_max = 41.5 }"),
            target(&format!("{kind} text"), at(shop), "send = \"SELECT 'a'\"\nexpect = { value_min = 0 }"),
            target(&format!("{kind} tls"), at(&format!("{shop}?tls=true")), ""),
            target(&format!("{kind} name"), at(&format!("{shop}?tls=true")).replace("127.0.0.1", "localhost"), ""),
            target(&format!("{kind} password"), at(shop).replace("s3cret", "guess"), ""),
            target(&format!("{kind} database"), at("nothing"), ""),
            target(&format!("{kind} statement"), at(shop), "send = 'SELECT nonsense'"),
            target(&format!("{kind} closed"), format!("{kind}://probe:s3cret@127.0.0.1:{closed}/x"), ""),
            target(&format!("{kind} quiet"), format!("{kind}://probe:s3cret@127.0.0.1:{quiet}/x"), ""),
        ]
        .concat()
    };
    let redis = [
        target("redis up", format!("redis://:s3cret@127.0.0.1:{re}"), ""),
        target(
            "redis expects",
            format!("redis://:s3cret@127.0.0.1:{re}/3"),
            "send = 'ECHO 42'\nexpect = { body = '^42$' }",
        ),
        target(
            "redis other",
            format!("redis://:s3cret@127.0.0.1:{re}"),
            "send = 'GET nothing'\nexpect = { body = 'a' }",
        ),
        target("redis tls", format!("rediss://:s3cret@127.0.0.1:{rs}"), ""),
        target("redis name", format!("rediss://:s3cret@localhost:{rs}"), ""),
        target("redis password", format!("redis://:guess@127.0.0.1:{re}"), ""),
        target("redis nobody", format!("redis://127.0.0.1:{re}"), ""),
        target("redis database", format!("redis://:s3cret@127.0.0.1:{re}/99"), ""),
        target("redis statement", format!("redis://:s3cret@127.0.0.1:{re}"), "send = 'NONSENSE'"),
        target("redis closed", format!("redis://127.0.0.1:{closed}"), ""),
        target("redis quiet", format!("redis://127.0.0.1:{quiet}"), ""),
    ]
    .concat();
    let targets = [sql("postgres", pg), sql("mysql", my), redis].concat();
    let server = Server::start_under(
        Command::new(BIN).env("SSL_CERT_FILE", root.join("roots.pem")),
        &root.join("data"),
        &targets,
    );
    let up = |answer: &str| vec!["ok".to_owned(), String::new(), answer.to_owned()];
    let down = |class: &str, answer: &str| vec!["fail".to_owned(), class.to_owned(), answer.to_owned()];
    let mut expected = vec![];
    for (kind, wrong_name, quiet) in
        [("postgres", "tls_wrong_name", "wait_timeout"), ("mysql", "tls_wrong_name", "connect_timeout")]
    {
        expected.extend([
            (format!("{kind} up"), up("1")),
            (format!("{kind} expects"), up("42")),
            (format!("{kind} other"), down("body", "42")),
            (format!("{kind} few"), up("42")),
            (format!("{kind} many"), down("body", "42")),
            (format!("{kind} text"), down("body", "a")),
            (format!("{kind} tls"), up("1")),
            (format!("{kind} name"), down(wrong_name, "")),
            (format!("{kind} password"), down("login", "")),
            (format!("{kind} database"), down("login", "")),
            (format!("{kind} statement"), down("server_error", "")),
            (format!("{kind} closed"), down("connect_refused", "")),
            (format!("{kind} quiet"), down(quiet, "")),
        ]);
    }
    expected.extend([
        ("redis up".into(), up("PONG")),
        ("redis expects".into(), up("42")),
        ("redis other".into(), down("body", "")),
        ("redis tls".into(), up("PONG")),
        ("redis name".into(), down("tls_wrong_name", "")),
        ("redis password".into(), down("login", "")),
        ("redis nobody".into(), down("login", "")),
        ("redis database".into(), down("server_error", "")),
        ("redis statement".into(), down("server_error", "")),
        ("redis closed".into(), down("connect_refused", "")),
        ("redis quiet".into(), down("wait_timeout", "")),
    ]);
    // On a machine that is busy one or the other is over time, and a database that has just begun lets nobody in yet:
    // of each target what should be found is found, and it is not up where it should be down.
    let found = || {
        server.rows(
            "SELECT DISTINCT target, outcome, coalesce(error, ''), coalesce(answer, '') FROM probe WHERE outcome <> 'missed'",
        )
    };
    let is_found = |found: &[Vec<String>], name: &str, row: &[String]| {
        found.iter().any(|found| found[0] == name && found[1..] == *row)
    };
    wait_for("answers", || {
        server.rows("SELECT count(*) > 0 FROM information_schema.columns WHERE column_name = 'answer'") == [["true"]]
    });
    let mut last = 0;
    wait_for("what should be found of each", || {
        let found = found();
        let missing: Vec<_> = expected.iter().filter(|(name, row)| !is_found(&found, name, row)).collect();
        if std::mem::replace(&mut last, missing.len()) != missing.len() {
            eprintln!("not found yet: {missing:?}");
        }
        missing.is_empty()
    });
    for (name, row) in expected.iter().filter(|(_, row)| row[0] == "fail") {
        let ups: Vec<_> = found().into_iter().filter(|found| found[0] == *name && found[1] != "fail").collect();
        assert!(ups.is_empty(), "{name} should be {row:?}: {ups:?}");
    }
    let says = |target: &str, words: &str| {
        let sql = format!("SELECT count(*) > 0 FROM probe WHERE target = '{target}' AND message LIKE '%{words}%'");
        assert_eq!(server.rows(&sql), [["true"]], "{target}");
    };
    says("postgres password", "28P01");
    says("mysql statement", "nonsense");
    let phases = server.rows(
        "SELECT target, max(connect_ms) > 0, max(tls_ms) > 0, max(wait_ms) > 0, max(login_ms) > 0, max(statement_ms) > 0
         FROM probe WHERE target LIKE '% tls' OR target LIKE '% up' GROUP BY target ORDER BY target",
    );
    let measured = [
        ["mysql tls", "true", "", "true", "", ""],
        ["mysql up", "true", "", "true", "", ""],
        ["postgres tls", "true", "true", "true", "true", "true"],
        ["postgres up", "true", "", "true", "true", "true"],
        ["redis tls", "true", "true", "true", "true", "true"],
        ["redis up", "true", "", "true", "true", "true"],
    ];
    assert_eq!(phases, measured);
    // The password is nowhere to be read.
    let shown = Command::new(BIN)
        .args(["probe", "--format", "json", &format!("postgres://probe:s3cret@127.0.0.1:{pg}/postgres")])
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("\"up\":true") && !shown.contains("s3cret"), "{shown}");
}
