//! Real programs that tests start, and what they need: certificates, ports, configuration.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::server::{Server, wait_for};

/// A program that is killed when dropped.
pub struct Program(Child);

impl Program {
    pub fn start(command: &mut Command) -> Program {
        Program(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Tells it to end, and waits until it has.
    pub fn stop(mut self) {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on, which no other test gets. It is below those that the system takes for connections
/// (32768 and up), so that none of these is there when the program starts that it is for.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Another process of these tests most likely has another stretch.
    let first = 10_000 + (std::process::id() % 10) as u16 * 2_000;
    loop {
        let port = first + GIVEN.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The last row of each target, by its name: outcome, class and sentence.
pub fn last_rows(server: &Server, columns: &str) -> BTreeMap<String, Vec<String>> {
    last_rows_where(server, columns, "true")
}

/// The same of those rows only for which this holds.
pub fn last_rows_where(server: &Server, columns: &str, condition: &str) -> BTreeMap<String, Vec<String>> {
    let sql = format!(
        "SELECT target, {columns} FROM (SELECT *, row_number() OVER (PARTITION BY target ORDER BY time DESC) AS n \
         FROM probe WHERE outcome <> 'missed' AND {condition}) WHERE n = 1"
    );
    server.rows(&sql).into_iter().map(|row| (row[0].clone(), row[1..].to_vec())).collect()
}

/// Waits until every one of so many targets has a row.
pub fn wait_for_rows(server: &Server, targets: &str) {
    let count = targets.matches("[[target]]").count().to_string();
    wait_for("a row of every target", || {
        server.rows("SELECT count(DISTINCT target) FROM probe WHERE outcome <> 'missed' AND target <> 'fournines' AND kind <> 'host'")
            == [[count.clone()]]
    });
}

/// An nginx with these servers, one of which listens on the port of 127.0.0.1.
pub fn nginx(root: &Path, servers: &str, port: u16) -> Program {
    let nginx = nginx_in(root, servers);
    wait_for("nginx", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    nginx
}

/// An nginx with these servers, with all its files in this folder. It takes a moment to listen.
pub fn nginx_in(root: &Path, servers: &str) -> Program {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", root.display()))
        .concat();
    let config = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log; events {{ }}\n\
         http {{ {temporary} access_log off; root {0}/nothing; {servers} }}",
        root.display()
    );
    std::fs::write(root.join("nginx.conf"), config).unwrap();
    Program::start(Command::new("nginx").args(["-p", root.to_str().unwrap(), "-c", "nginx.conf"]))
}

/// Who signs the certificates of a test.
pub struct Authority {
    root: PathBuf,
    key: KeyPair,
    parameters: CertificateParams,
}

impl Authority {
    /// Its own certificate and key are `roots.pem` and `roots.key` in this folder, as those that it signs are.
    pub fn new(root: &Path) -> Authority {
        let (key, mut parameters) = (KeyPair::generate().unwrap(), CertificateParams::new(Vec::new()).unwrap());
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "the root of this test");
        std::fs::write(root.join("roots.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(root.join("roots.key"), key.serialize_pem()).unwrap();
        Authority { root: root.to_owned(), key, parameters }
    }

    /// A certificate for a host that is good for so many days, and its key: `NAME.pem` and `NAME.key`.
    pub fn certificate(&self, name: &str, host: &str, days: i64, is_signed: bool) {
        let day = Duration::from_secs(86_400);
        let mut parameters = CertificateParams::new(vec![host.into()]).unwrap();
        let now = SystemTime::now();
        parameters.not_before = (now - 100 * day).into();
        let end = match u32::try_from(days) {
            Ok(days) => now + days * day,
            Err(_) => now - days.unsigned_abs() as u32 * day,
        };
        parameters.not_after = end.into();
        let key = KeyPair::generate().unwrap();
        let signed = match is_signed {
            true => parameters.signed_by(&key, &Issuer::from_params(&self.parameters, &self.key)).unwrap(),
            false => parameters.self_signed(&key).unwrap(),
        };
        std::fs::write(self.root.join(format!("{name}.pem")), signed.pem()).unwrap();
        std::fs::write(self.root.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A web site that answers a request, in small letters, with a status and headers and a body.
pub fn site(answer: impl Fn(&str) -> (String, String) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), [0; 4096]);
            let length = stream.read(&mut request).unwrap_or(0);
            let (head, body) = answer(&String::from_utf8_lossy(&request[..length]).to_lowercase());
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    port
}

/// A dnsmasq that knows these names and nobody else to ask.
pub fn dnsmasq(dir: &Path, options: &[&str]) -> (Program, u16) {
    let port = loop {
        let port = free_port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            break port;
        }
    };
    let pid = format!("--pid-file={}", dir.join(format!("dnsmasq.{port}")).display());
    let program = Program::start(
        Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--bind-interfaces"])
            .args(["--listen-address=127.0.0.1", &format!("--port={port}"), &pid, "--user=", "--group="])
            .args(options),
    );
    wait_for("dnsmasq", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (program, port)
}

/// A test whose part is missing is ignored, with the reason. In CI that must not be: it would look as if all had been
/// looked at.
#[test]
fn no_part_is_missing_in_ci() {
    let parts = [
        ("nginx", cfg!(part = "nginx")),
        ("chromium", cfg!(part = "chromium")),
        ("varnishd", cfg!(part = "varnishd")),
        ("traffic_server", cfg!(part = "traffic_server")),
        ("haproxy", cfg!(part = "haproxy")),
        ("dnsmasq", cfg!(part = "dnsmasq")),
        ("knotd", cfg!(part = "knotd")),
        ("tinyproxy", cfg!(part = "tinyproxy")),
        ("pg_createcluster", cfg!(part = "pg_createcluster")),
        ("apache2", cfg!(part = "apache2")),
        ("mariadbd", cfg!(part = "mariadbd")),
        ("redis-server", cfg!(part = "redis-server")),
        ("prometheus", cfg!(part = "prometheus")),
        ("prometheus-node-exporter", cfg!(part = "prometheus-node-exporter")),
        ("prometheus-alertmanager", cfg!(part = "prometheus-alertmanager")),
        ("vmagent", cfg!(part = "vmagent")),
        ("influxd", cfg!(part = "influxd")),
        ("influx", cfg!(part = "influx")),
        ("dropbear", cfg!(part = "dropbear")),
        ("dovecot", cfg!(part = "dovecot")),
        ("curl", cfg!(part = "curl")),
        ("jq", cfg!(part = "jq")),
        ("strace", cfg!(part = "strace")),
        ("faketime", cfg!(part = "faketime")),
        ("mounts by unshare", cfg!(part = "mounts")),
        ("root", cfg!(part = "root")),
        ("network namespaces by unshare", cfg!(part = "namespaces")),
        ("Python with duckdb and pyarrow", cfg!(part = "python-duckdb")),
        ("Python with servers of mail, files, WebSockets and gRPC", cfg!(part = "python-servers")),
        ("Python with the clients", cfg!(part = "python-clients")),
    ];
    let missing: Vec<&str> = parts.into_iter().filter(|(_, is_there)| !is_there).map(|(part, _)| part).collect();
    assert!(missing.is_empty() || std::env::var_os("CI").is_none(), "missing: {}", missing.join(", "));
}
