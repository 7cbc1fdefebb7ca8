//! The examples of `docs/probes.md` are run as they stand there, against real servers: an example that was never run had a
//! key that did something else than what stood beside it. Only the hosts, which nobody has, are others.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::databases::{mariadb, postgres, redis};
use crate::dialogs::{Servers, datagrams};
use crate::parts::{Authority, Program, dnsmasq, free_port, last_rows, last_rows_where, nginx};
use crate::server::{BIN, Server, agent, wait_for};

/// The portal of the examples, and what a registry and a server of metrics answer.
const PORTAL: &str = r#"
    location = / { default_type text/html; return 200 '<h1>Welcome</h1><time>$msec</time><a href="/terms.txt">terms</a>'; }
    location = /api/orders { default_type application/json; return 200 '{"id": 7}'; }
    location = /health { default_type application/json; return 200 '{"status": "green"}'; }
    location = /search { return 200 'one page'; }
    location = /terms.txt { return 200 'hello'; }
    location = /login { if ($request_method = POST) { return 302 /home; } return 200 '<input name="csrf" value="a1">'; }
    location = /home { return 200 'Welcome'; }
    location = /logo.png { return 200 'build 7'; }
    location = /metrics { return 200 'load 1\n'; }
    location = /domain/portal.example { return 200
        '{"status": ["active"], "events": [{"eventAction": "expiration", "eventDate": "2099-01-01T00:00:00Z"}]}'; }"#;

/// What is not up here, and why.
const DOWN: [(&str, &str); 2] = [
    // This PostgreSQL has nobody who copies it, and is no copy.
    ("orders database", "body"),
    ("replication lag", "body"),
];

/// The targets and windows of the manual.
fn examples() -> String {
    let manual = include_str!("../docs/probes.md");
    manual.split("```toml").skip(1).map(|block| block.split_once("```").unwrap().0).collect()
}

/// A device that speaks Modbus: one register, which is 7.
fn controller() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut asked) = (stream.unwrap(), [0; 12]);
            let is_read = stream.read_exact(&mut asked).is_ok() && asked[7..] == [3, 0, 0, 0, 1];
            let answer: &[u8] = if is_read { &[0, 1, 0, 0, 0, 5, 1, 3, 2, 0, 7] } else { &[] };
            let _ = stream.write_all(answer);
        }
    });
    port
}

/// Servers of the web with certificates: the portal, one that wants to know who asks, one that nobody vouches for.
fn sites(root: &Path, [portal, inside, device]: [u16; 3]) -> Program {
    let server = |port: u16, name: &str, more: &str| {
        let file = |end: &str| root.join(format!("{name}.{end}")).display().to_string();
        let (certificate, key) = (file("pem"), file("key"));
        format!(
            "server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key}; {more} }}\n"
        )
    };
    let asks = format!("ssl_client_certificate {}; ssl_verify_client on;", root.join("roots.pem").display());
    let any = "location / { return 200 'Welcome'; }";
    let servers = [
        server(portal, "server", PORTAL),
        server(inside, "server", &format!("{asks} {any}")),
        server(device, "device", any),
    ];
    nginx(root, &servers.concat(), portal)
}

#[test]
#[cfg_attr(
    not(all(
        part = "nginx",
        part = "tinyproxy",
        part = "dnsmasq",
        part = "pg_createcluster",
        part = "mariadbd",
        part = "redis-server",
        part = "python-servers"
    )),
    ignore = "needs nginx, tinyproxy, dnsmasq, PostgreSQL, MariaDB, Redis and a Python with servers: .ci/run installs them"
)]
fn every_example_of_the_manual_is_up() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let authority = Authority::new(root);
    for (name, host, is_signed) in
        [("server", "localhost", true), ("db", "127.0.0.1", true), ("client", "probe", true), ("device", "x", false)]
    {
        authority.certificate(name, host, 30, is_signed);
    }
    std::fs::copy(root.join("roots.pem"), root.join("firm.pem")).unwrap();
    let [portal, inside, device, proxy, cache, pg, my, re, rs, closed] = std::array::from_fn(|_| free_port());
    let _sites = sites(root, [portal, inside, device]);
    let (_names, dns) = dnsmasq(
        root,
        &["--address=/portal.example/192.0.2.80", "--address=/localhost/127.0.0.1", "--local=/old.example/"],
    );
    let login = format!("Port {proxy}\nListen 127.0.0.1\nBasicAuth user password\nConnectPort {inside}\n");
    std::fs::write(root.join("tinyproxy.conf"), login).unwrap();
    let _proxy = Program::start(Command::new("tinyproxy").args(["-d", "-c"]).arg(root.join("tinyproxy.conf")));
    let open = ["--bind", "127.0.0.1", "--save", "", "--port", &cache.to_string()];
    let _databases = [
        postgres(root, pg),
        mariadb(root, my),
        redis(root, re, rs),
        Program::start(Command::new("redis-server").args(open).current_dir(root)),
    ];
    let servers = Servers::start(root);
    let (datagrams, controller) = (datagrams(b"\xff\xff\xff\xff"), controller());

    let mut targets = examples();
    for (there, here) in [
        ("https://portal.example", format!("https://localhost:{portal}")),
        ("portal[.]example", format!("localhost:{portal}")),
        ("tcp://portal.example:23", format!("tcp://127.0.0.1:{closed}")),
        ("?expires_within=30d", format!("?expires_within=30d&server=https://localhost:{portal}")),
        ("192.0.2.81", "127.0.0.1".into()),
        ("https://inside.example", format!("https://localhost:{inside}")),
        ("tls://inside.example", format!("tls://localhost:{portal}")),
        ("https://device.example", format!("https://localhost:{device}")),
        ("proxy.example:3128", format!("127.0.0.1:{proxy}")),
        ("/etc/fournines", root.display().to_string()),
        ("tcp://mail.example:25", format!("tcp://localhost:{}", servers.smtp)),
        ("tcp://mail.example:587", format!("tcp://localhost:{}", servers.smtp)),
        ("smtp://mail.example", format!("smtp://localhost:{}", servers.smtp)),
        ("ws://chat.example", format!("ws://localhost:{}", servers.ws)),
        ("grpc://orders.example:50051", format!("grpc://localhost:{}", servers.grpc)),
        ("tcp://cache.example:6379", format!("tcp://127.0.0.1:{cache}")),
        ("probe:secret@db.example/orders", format!("probe:s3cret@127.0.0.1:{pg}/postgres")),
        ("probe:secret@db.example/shop", format!("probe:s3cret@127.0.0.1:{my}/shop")),
        (":secret@sessions.example", format!(":s3cret@127.0.0.1:{rs}")),
        ("\"192.0.2.53\", \"[2001:db8::53]:5353\"", format!("\"127.0.0.1:{dns}\"")),
        ("\"9.9.9.9\", \"223.5.5.5\"", format!("\"127.0.0.1:{dns}\"")),
        ("dns:old.example?type=A\"", format!("dns:old.example?type=A\"\nresolvers = [\"127.0.0.1:{dns}\"]")),
        ("icmp:gateway.example", "icmp:127.0.0.1".into()),
        ("tcp://controller.example:502", format!("tcp://127.0.0.1:{controller}")),
        ("udp://game.example:27960", format!("udp://127.0.0.1:{datagrams}")),
        ("http://127.0.0.1:9100", format!("https://localhost:{portal}")),
        ("origin = \"192.0.2.80\"", "origin = \"127.0.0.1\"".into()),
        ("198.51.100.7", "127.0.0.1".into()),
    ] {
        assert!(targets.contains(there), "no example has {there} any more");
        targets = targets.replace(there, &here);
    }
    let trusting = || {
        let mut command = Command::new(BIN);
        command.env("SSL_CERT_FILE", root.join("roots.pem"));
        command
    };
    // A port is open before a database lets anybody in.
    for url in [
        format!("postgres://probe:s3cret@127.0.0.1:{pg}/postgres"),
        format!("mysql://probe:s3cret@127.0.0.1:{my}/shop"),
        format!("rediss://:s3cret@127.0.0.1:{rs}"),
        format!("redis://127.0.0.1:{cache}"),
    ] {
        wait_for(&url, || trusting().args(["probe", &url]).output().unwrap().status.success());
    }
    wait_for("the proxy", || TcpStream::connect(("127.0.0.1", proxy)).is_ok());

    let server = Server::start_under(&mut trusting(), &root.join("data"), &targets);
    assert_eq!(agent().get(format!("{}/heartbeat/backup", server.url)).call().unwrap().status().as_u16(), 200);
    let config: toml::Table = toml::from_str(&targets).unwrap();
    let all = config["target"].as_array().unwrap();
    let names: BTreeSet<&str> = all.iter().filter_map(|target| target.get("name")?.as_str()).collect();
    assert_eq!(names.len() + 1, all.len(), "all but this host have names, each its own");
    wait_for("a row of every example", || {
        let rows = last_rows(&server, "up");
        names.iter().all(|name| rows.contains_key(*name))
    });
    // Resolvers know of two addresses of localhost, and nobody listens at the other one: of the two edges in a slot any came
    // first.
    let of = |columns: &str| last_rows_where(&server, columns, "edge IS DISTINCT FROM '::1'");
    let (rows, messages) = (of("up, error"), of("message"));
    for name in names {
        let why = DOWN.iter().find(|(down, _)| *down == name).map(|(_, why)| *why);
        let may_not = name == "gateway" && rows[name][1] == "ping_not_allowed";
        let expected = [if why.is_some() { "false" } else { "true" }, why.unwrap_or_default()];
        assert!(rows[name] == expected || may_not, "{name}: {:?}: {:?}", rows[name], messages[name]);
    }
}
