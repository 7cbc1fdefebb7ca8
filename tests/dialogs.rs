//! Servers that speak other things than HTTP, or more: mail, files and shells with the certificate behind STARTTLS,
//! WebSockets, gRPC, datagrams. Real ones.

use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::clients::python;
use crate::parts::{Authority, Program, free_port, last_rows, wait_for_rows};
use crate::server::{Server, wait_for};

/// What blackbox_exporter calls a query_response.
const CONVERSATION: &str = "exchange = [
    { expect = '^220 .*post ready', send = \"EHLO me\\r\\n\" },
    { expect = '(?m)^250 ', send = \"STARTTLS\\r\\n\" },
    { expect = '^220 ', starttls = true },
    { send = \"EHLO me\\r\\n\" },
    { expect = '(?m)^250 ', send = \"QUIT\\r\\n\" },
]";

/// Servers of mail, files, WebSockets and gRPC, in Python.
pub struct Servers {
    program: Child,
    pub smtp: u16,
    pub ftp: u16,
    pub ws: u16,
    pub grpc: u16,
}

impl Servers {
    /// All of them, with the certificate `server.pem` of this folder and its key.
    pub fn start(root: &Path) -> Servers {
        let [smtp, ftp, ws, grpc] = [(); 4].map(|()| free_port());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/servers.py");
        let mut program = Command::new(python());
        program.arg("-B").arg(script).args([smtp, ftp, ws, grpc].map(|port| port.to_string()));
        program.args([root.join("server.pem"), root.join("server.key")]);
        let program = program.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        for port in [smtp, ftp, ws, grpc] {
            wait_for("a server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        Servers { program, smtp, ftp, ws, grpc }
    }
}

impl Drop for Servers {
    /// They go when nobody speaks to them any more.
    fn drop(&mut self) {
        drop(self.program.stdin.take());
        let _ = self.program.wait();
    }
}

/// Sends every datagram back, behind these bytes, from a port of its own.
pub fn datagrams(before: &'static [u8]) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut asked = [0; 100];
        while let Ok((length, from)) = socket.recv_from(&mut asked) {
            let _ = socket.send_to(&[before, &asked[..length]].concat(), from);
        }
    });
    port
}

/// A real server of mailboxes: IMAP and POP3, each with the certificate behind STARTTLS and at once.
#[test]
#[cfg_attr(
    not(all(part = "dovecot", part = "root")),
    ignore = "needs dovecot, and root to start it: .ci/run installs it"
)]
fn mailboxes_are_greeted_and_asked_for_tls() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    // Its processes are of other users.
    std::fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Authority::new(root).certificate("server", "localhost", 30, true);
    let [imap, imaps, pop3, pop3s] = [(); 4].map(|()| free_port());
    let path = root.display();
    let listener =
        |name: &str, port: u16, more: &str| format!("inet_listener {name} {{\n port = {port}\n {more}\n}}\n");
    let config = format!(
        "protocols = imap pop3\nlisten = 127.0.0.1\nbase_dir = {path}/run\nstate_dir = {path}/state\n\
         log_path = {path}/log\nssl = yes\nssl_cert = <{path}/server.pem\nssl_key = <{path}/server.key\n\
         passdb {{\n driver = static\n args = nopassword=y\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home=/nonexistent\n}}\n\
         service imap-login {{\n{}{}}}\nservice pop3-login {{\n{}{}}}\n",
        listener("imap", imap, ""),
        listener("imaps", imaps, "ssl = yes"),
        listener("pop3", pop3, ""),
        listener("pop3s", pop3s, "ssl = yes"),
    );
    std::fs::write(root.join("dovecot.conf"), config).unwrap();
    let _dovecot = Program::start(Command::new("dovecot").arg("-F").arg("-c").arg(root.join("dovecot.conf")));
    for port in [imap, imaps, pop3, pop3s] {
        wait_for("dovecot", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }
    let ca = format!("ca = '{path}/roots.pem'");
    let target = |name: &str, url: String, more: &str| {
        format!("[[target]]\nname = '{name}'\nurl = '{url}'\ninterval = '2s'\n{more}\n")
    };
    let targets = [
        target("imap", format!("imap://localhost:{imap}"), ""),
        target("imap by TLS", format!("imap://localhost:{imap}?starttls=true"), &ca),
        target("imaps", format!("imaps://localhost:{imaps}"), &ca),
        target("pop3", format!("pop3://localhost:{pop3}"), ""),
        target("pop3 by TLS", format!("pop3://localhost:{pop3}?starttls=true"), &ca),
        target("pop3s", format!("pop3s://localhost:{pop3s}"), &ca),
        target("of nobody", format!("imaps://localhost:{imaps}"), ""),
    ]
    .concat();
    let server = Server::start(&root.join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, kind, error, round(cert_expires_s / 86400.0), substr(banner, 1, 3)");
    for (name, expected) in [
        ("imap", ["ok", "imap", "", "", "* O"]),
        ("imap by TLS", ["ok", "imap", "", "30.0", "* O"]),
        ("imaps", ["ok", "imap", "", "30.0", "* O"]),
        ("pop3", ["ok", "pop3", "", "", "+OK"]),
        ("pop3 by TLS", ["ok", "pop3", "", "30.0", "+OK"]),
        ("pop3s", ["ok", "pop3", "", "30.0", "+OK"]),
        ("of nobody", ["fail", "imap", "tls_unknown_issuer", "30.0", ""]),
    ] {
        assert_eq!(rows[name], expected, "{name}: {:?}", last_rows(&server, "message")[name]);
    }
}

#[test]
#[cfg_attr(
    not(all(part = "python-servers", part = "dropbear")),
    ignore = "needs a Python with aiosmtpd and pyftpdlib, and dropbear: .ci/run installs them"
)]
fn servers_are_greeted_and_asked_for_tls() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let authority = Authority::new(root);
    authority.certificate("server", "localhost", 30, true);
    let file = |name: &str| root.join(name).display().to_string();
    let servers = Servers::start(root);
    let Servers { smtp, ftp, ws, grpc, .. } = servers;
    let [ssh, gone] = [(); 2].map(|()| free_port());
    let key = Command::new("dropbearkey").args(["-t", "ed25519", "-f", &file("host.key")]).output().unwrap();
    assert!(key.status.success(), "{key:?}");
    let own = format!("127.0.0.1:{ssh}");
    let _dropbear = Program::start(Command::new("dropbear").args(["-F", "-E", "-r", &file("host.key"), "-p", &own]));
    let udp = datagrams(b"you said ");
    wait_for("dropbear", || TcpStream::connect(("127.0.0.1", ssh)).is_ok());
    let target = |name: &str, url: String, more: &str| {
        format!("[[target]]\nname = '{name}'\nurl = '{url}'\ninterval = '2s'\n{more}\n")
    };
    let ca = format!("ca = '{}'", file("roots.pem"));
    let targets = [
        target("mail", format!("smtp://localhost:{smtp}"), "expect = { body = 'post ready' }"),
        target("mail by TLS", format!("smtp://localhost:{smtp}?starttls=true"), &ca),
        target("mail of nobody", format!("smtp://localhost:{smtp}?starttls=true"), ""),
        target("words", format!("tcp://localhost:{smtp}"), &format!("{ca}\n{CONVERSATION}")),
        target("words of nobody", format!("tcp://localhost:{smtp}"), CONVERSATION),
        target("files", format!("ftp://localhost:{ftp}?starttls=true"), &ca),
        target("shell", format!("ssh://localhost:{ssh}"), "expect = { body = 'dropbear' }"),
        target("no mail", format!("imap://localhost:{smtp}"), ""),
        target("other words", format!("smtp://localhost:{smtp}"), "expect = { body = 'closed' }"),
        target("gone", format!("smtp://localhost:{gone}"), ""),
        target("socket", format!("ws://localhost:{ws}/any"), ""),
        target("no socket", format!("ws://localhost:{grpc}/any"), ""),
        target("calls", format!("grpc://localhost:{grpc}"), ""),
        target("orders", format!("grpc://localhost:{grpc}/orders"), ""),
        target("stock", format!("grpc://localhost:{grpc}/stock"), ""),
        target("nothing", format!("grpc://localhost:{grpc}/nothing"), ""),
        target("datagram", format!("udp://localhost:{udp}"), "send = 'ping'\nexpect = { body = '^you said ping$' }"),
        target("no datagram", format!("udp://localhost:{gone}"), "send = 'ping'"),
    ]
    .concat();
    let server = Server::start(&root.join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, kind, error, round(cert_expires_s / 86400.0), substr(banner, 1, 7)");
    for (name, expected) in [
        ("mail", ["ok", "smtp", "", "", "220 loc"]),
        ("mail by TLS", ["ok", "smtp", "", "30.0", "220 loc"]),
        ("mail of nobody", ["fail", "smtp", "tls_unknown_issuer", "30.0", "220 loc"]),
        ("words", ["ok", "tcp", "", "30.0", "250-loc"]),
        ("words of nobody", ["fail", "tcp", "tls_unknown_issuer", "30.0", "220 rea"]),
        ("files", ["ok", "ftp", "", "30.0", "220 fil"]),
        ("shell", ["ok", "ssh", "", "", "SSH-2.0"]),
        ("no mail", ["fail", "imap", "protocol", "", "220 loc"]),
        ("other words", ["fail", "smtp", "body", "", "220 loc"]),
        ("gone", ["fail", "smtp", "connect_refused", "", ""]),
        ("socket", ["ok", "websocket", "", "", ""]),
        ("calls", ["ok", "grpc", "", "", ""]),
        ("orders", ["ok", "grpc", "", "", ""]),
        ("stock", ["fail", "grpc", "body", "", ""]),
        ("nothing", ["fail", "grpc", "server_error", "", ""]),
        ("datagram", ["ok", "udp", "", "", "you sai"]),
        ("no datagram", ["fail", "udp", "connect_refused", "", ""]),
    ] {
        let row = &rows[name];
        assert!(row[..4] == expected[..4], "{name}: {row:?}");
        assert!(row[4].is_empty() == expected[4].is_empty(), "{name}: {row:?}");
    }
    assert_eq!(rows["no socket"][..2], ["fail", "websocket"], "{:?}", rows["no socket"]);
}
