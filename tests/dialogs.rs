//! Servers that speak other things than HTTP, or more: mail, files and shells with the certificate behind STARTTLS,
//! WebSockets, gRPC, datagrams. Real ones.

use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

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
    let [smtp, ftp, ssh, gone, ws, grpc] = [(); 6].map(|()| free_port());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/servers.py");
    let mut servers = Command::new(python());
    servers.arg("-B").arg(script).args([smtp, ftp, ws, grpc].map(|port| port.to_string()));
    servers.args([file("server.pem"), file("server.key")]);
    let mut servers = servers.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let key = Command::new("dropbearkey").args(["-t", "ed25519", "-f", &file("host.key")]).output().unwrap();
    assert!(key.status.success(), "{key:?}");
    let own = format!("127.0.0.1:{ssh}");
    let _dropbear = Program::start(Command::new("dropbear").args(["-F", "-E", "-r", &file("host.key"), "-p", &own]));
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = datagrams.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut asked = [0; 100];
        while let Ok((length, from)) = datagrams.recv_from(&mut asked) {
            let _ = datagrams.send_to(&[b"you said ", &asked[..length]].concat(), from);
        }
    });
    for port in [smtp, ftp, ssh, ws, grpc] {
        wait_for("a server", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    }
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
    drop(servers.stdin.take());
    servers.wait().unwrap();
}
