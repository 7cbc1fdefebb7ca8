//! A server under test.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::parts::free_port;

/// The program that is tested.
pub const BIN: &str = env!("CARGO_BIN_EXE_fournines");

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub url: String,
    /// Sent with every question, if there is one.
    pub token: Option<String>,
}

/// What came back: the status and the body.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Server {
    /// Starts a server on a free port with this data directory and configuration; returns when it answers.
    pub fn start(data_dir: &Path, config: &str) -> Server {
        Server::start_under(&mut Command::new(BIN), data_dir, config)
    }

    /// The same by a command that goes before, such as a tracer; it must leave the server its own process.
    pub fn start_under(command: &mut Command, data_dir: &Path, config: &str) -> Server {
        Server::launch(command, free_port(), data_dir, config)
    }

    /// A server that is to be asked with this token.
    pub fn with_token(mut self, token: &str) -> Server {
        self.token = Some(token.into());
        self
    }

    /// Kills it as a crash would, and starts it again on the same port after a while.
    pub fn crash(mut self, data_dir: &Path, pause: Duration) -> Server {
        let (port, token) = (self.url.rsplit(':').next().unwrap().parse().unwrap(), self.token.take());
        self.kill();
        std::thread::sleep(pause);
        let mut server = Server::launch(&mut Command::new(BIN), port, data_dir, "");
        server.token = token;
        server
    }

    /// Starts it again, without a configuration, where it was before.
    pub fn restart(url: &str, data_dir: &Path) -> Server {
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        Server::launch(&mut Command::new(BIN), port, data_dir, "")
    }

    fn launch(command: &mut Command, port: u16, data_dir: &Path, config: &str) -> Server {
        let file = data_dir.with_extension("toml");
        std::fs::write(&file, config).unwrap();
        let mut child = command
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"])
            .args([&file, Path::new("--data-dir"), data_dir])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("the server ended before it said where it listens").unwrap();
            if let Some((_, url)) = line.split_once("listens on") {
                break url.trim().to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop)); // it must not block on a full pipe
        Server { child, url, token: None }
    }

    /// Posts line protocol.
    pub fn write(&self, query: &str, body: &[u8]) -> Reply {
        post(&format!("{}/write{query}", self.url), body).unwrap()
    }

    /// Asks in SQL.
    pub fn sql(&self, sql: &str, format: &str) -> Reply {
        self.sql_in("public", sql, format)
    }

    /// Asks in SQL, in a schema.
    pub fn sql_in(&self, schema: &str, sql: &str, format: &str) -> Reply {
        self.try_sql_in(schema, sql, format).unwrap()
    }

    /// The same of a server that may not hear it.
    pub fn try_sql_in(&self, schema: &str, sql: &str, format: &str) -> Result<Reply, ureq::Error> {
        let mut request = agent().get(format!("{}/api/v3/query_sql", self.url));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        reply(request.query("q", sql).query("db", schema).query("format", format).call())
    }

    /// The rows of an answer as CSV, without the header.
    pub fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let reply = self.sql(sql, "csv");
        assert_eq!(reply.status, 200, "{sql}: {}", reply.body);
        reply.body.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
    }

    /// Kills it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The process, for signals.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Tells it to stop and says how it ended and how long that took.
    pub fn stop(mut self, signal: Signal) -> (std::process::ExitStatus, Duration) {
        let start = Instant::now();
        kill(self.pid(), signal).unwrap();
        let status = self.child.wait().unwrap();
        (status, start.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that reports statuses instead of failing on them.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into()
}

/// Posts a body.
pub fn post(url: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
    reply(agent().post(url).send(body))
}

/// What came back.
pub fn reply(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Reply, ureq::Error> {
    let mut answer = answer?;
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_string()?;
    Ok(Reply { status: answer.status().as_u16(), body })
}

/// Waits until `ready`, at most for a while; panics with what it waited for.
pub fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
