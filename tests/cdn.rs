//! `cdn` checks against real caches - Varnish, Traffic Server, HAProxy, nginx - on addresses of loopback, found by real
//! resolvers: dnsmasq and Knot, which answers by the network of the client.

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::parts::{Authority, Program, dnsmasq, nginx_in};
use crate::server::{BIN, Server, wait_for};

/// A port that is free on every address that edges have here.
fn port_of_all() -> u16 {
    loop {
        let port = crate::parts::free_port();
        if (1..=6).all(|last| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).is_ok()) {
            return port;
        }
    }
}

fn answers(address: &str, port: u16) -> bool {
    TcpStream::connect((address, port)).is_ok()
}

/// The origin, on 127.0.0.1: a page that may be kept for three seconds.
fn origin(root: &Path, port: u16, page: &str) -> Program {
    std::fs::create_dir_all(root.join("origin/site")).unwrap();
    publish(root, page);
    let server = format!(
        "server {{ listen 127.0.0.1:{port}; root {}; location / {{ add_header Cache-Control 'max-age=3'; }} }}",
        root.join("origin/site").display()
    );
    let origin = nginx_in(&root.join("origin"), &server);
    wait_for("the origin", || answers("127.0.0.1", port));
    origin
}

fn publish(root: &Path, page: &str) {
    let site = root.join("origin/site");
    std::fs::write(site.join("page.new"), page).unwrap();
    std::fs::rename(site.join("page.new"), site.join("page.html")).unwrap();
}

fn varnish(root: &Path, port: u16) -> Program {
    let dir = root.join("varnish");
    // Kept for as long as the page says and not an instant longer.
    let vcl = format!(
        "vcl 4.1; backend default {{ .host = \"127.0.0.1\"; .port = \"{port}\"; }} sub vcl_backend_response {{ set beresp.grace = 0s; }}"
    );
    std::fs::write(root.join("edge.vcl"), vcl).unwrap();
    let program = Program::start(
        Command::new("varnishd")
            .args([
                "-F",
                "-j",
                "none",
                "-s",
                "malloc,16m",
                "-p",
                "workspace_client=64k",
                "-a",
                &format!("127.0.0.2:{port}"),
            ])
            .args(["-n", dir.to_str().unwrap(), "-f", root.join("edge.vcl").to_str().unwrap()]),
    );
    wait_for("Varnish", || answers("127.0.0.2", port));
    program
}

fn traffic_server(root: &Path, port: u16) -> Program {
    let root = root.join("ats");
    for dir in ["etc", "cache", "log", "run"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
    write(
        "etc/records.config",
        &format!(
            "CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.3\n\
             CONFIG proxy.config.http.insert_response_via_str INT 2\n\
             CONFIG proxy.config.admin.user_id STRING #-1\n\
             CONFIG proxy.config.crash_log_helper STRING NULL\n\
             CONFIG proxy.config.exec_thread.autoconfig INT 0\n\
             CONFIG proxy.config.exec_thread.limit INT 1\n"
        ),
    );
    write("etc/remap.config", &format!("map / http://127.0.0.1:{port}/\n"));
    write("etc/storage.config", "cache 16M\n");
    write(
        "etc/ip_allow.yaml",
        "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.0/8\n    action: allow\n    methods: ALL\n",
    );
    let own = root.display();
    write(
        "runroot.yaml",
        &format!(
            "prefix: {own}\nexec_prefix: {own}\nbindir: /usr/bin\nsbindir: /usr/bin\nsysconfdir: {own}/etc\ndatadir: {own}/cache\n\
             includedir: {own}\nlibdir: /usr/lib\nlibexecdir: /usr/lib/trafficserver/modules\nlocalstatedir: {own}\n\
             runtimedir: {own}/run\nlogdir: {own}/log\ncachedir: {own}/cache\n"
        ),
    );
    let program = Program::start(Command::new("traffic_server").env("TS_RUNROOT", root.join("runroot.yaml")));
    wait_for("Traffic Server", || answers("127.0.0.3", port));
    program
}

fn haproxy(root: &Path, port: u16) -> Program {
    let config = format!(
        "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 1s\n\
         cache pages\n total-max-size 4\n max-age 60\n\
         frontend edge\n bind 127.0.0.4:{port}\n http-request cache-use pages\n http-response cache-store pages\n default_backend origin\n\
         backend origin\n server origin 127.0.0.1:{port}\n"
    );
    std::fs::write(root.join("haproxy.cfg"), config).unwrap();
    let program = Program::start(Command::new("haproxy").arg("-db").arg("-f").arg(root.join("haproxy.cfg")));
    wait_for("HAProxy", || answers("127.0.0.4", port));
    program
}

/// nginx as an edge that keeps everything for an hour, whatever it is told.
fn stubborn(root: &Path, port: u16) -> Program {
    let dir = root.join("stubborn");
    std::fs::create_dir_all(&dir).unwrap();
    let server = format!(
        "proxy_cache_path {}/cache keys_zone=pages:1m;
         server {{ listen 127.0.0.5:{port}; location / {{
           proxy_pass http://127.0.0.1:{port}; proxy_cache pages; proxy_cache_valid 1h; proxy_ignore_headers Cache-Control Expires;
           add_header X-Cache-Status $upstream_cache_status; }} }}",
        dir.display()
    );
    let program = nginx_in(&dir, &server);
    wait_for("nginx as an edge", || answers("127.0.0.5", port));
    program
}

/// An edge that serves something else.
fn defaced(root: &Path, port: u16) -> Program {
    let dir = root.join("defaced");
    std::fs::create_dir_all(&dir).unwrap();
    let program =
        nginx_in(&dir, &format!("server {{ listen 127.0.0.6:{port}; location / {{ return 200 'owned, build 1'; }} }}"));
    wait_for("the defaced edge", || answers("127.0.0.6", port));
    program
}

fn knot(root: &Path) -> (Program, u16) {
    let dir = root.join("knot");
    std::fs::create_dir_all(&dir).unwrap();
    let port = loop {
        let port = crate::parts::free_port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            break port;
        }
    };
    let own = dir.display();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write(
        "knot.conf",
        &format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {own}\n    edns-client-subnet: on\n\
             database:\n    storage: {own}\n\
             mod-geoip:\n  - id: net\n    config-file: {own}/geo.yaml\n    ttl: 5\n    mode: subnet\n\
             zone:\n  - domain: example.\n    file: {own}/example.zone\n    module: mod-geoip/net\n"
        ),
    );
    write(
        "geo.yaml",
        "site.example.:\n  - net: 203.0.113.0/24\n    A: 127.0.0.5\n  - net: 198.51.100.0/24\n    A: 127.0.0.6\n",
    );
    write(
        "example.zone",
        "$ORIGIN example.\n@ 3600 SOA ns admin 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\nsite A 127.0.0.2\n",
    );
    let program = Program::start(Command::new("knotd").arg("-c").arg(dir.join("knot.conf")));
    wait_for("Knot", || answers("127.0.0.1", port));
    (program, port)
}

/// The last row of each edge of a target.
fn edges(server: &Server, target: &str, columns: &str) -> Vec<Vec<String>> {
    server.rows(&format!(
        "SELECT edge, {columns} FROM (SELECT *, row_number() OVER (PARTITION BY edge ORDER BY time DESC) AS n
         FROM probe WHERE target = '{target}' AND edge IS NOT NULL AND outcome <> 'missed') WHERE n = 1 ORDER BY edge"
    ))
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(ToString::to_string).collect()
}

#[test]
#[cfg_attr(
    not(all(
        part = "nginx",
        part = "varnishd",
        part = "traffic_server",
        part = "haproxy",
        part = "dnsmasq",
        part = "knotd"
    )),
    ignore = "needs nginx, varnishd, traffic_server, haproxy, dnsmasq, knotd: .ci/run installs them"
)]
fn edges_are_found_asked_and_compared_with_the_origin() {
    let dir = tempfile::tempdir().unwrap();
    let (root, port) = (dir.path(), port_of_all());
    let _origin = origin(root, port, "welcome, build 1");
    let (_varnish, _ats, _haproxy) = (varnish(root, port), traffic_server(root, port), haproxy(root, port));
    let (_stubborn, _defaced) = (stubborn(root, port), defaced(root, port));
    // One resolver knows two edges, another one a third; Knot names others to clients elsewhere.
    let (_one, one) = dnsmasq(
        root,
        &["--local=/example/", "--host-record=site.example,127.0.0.2", "--host-record=site.example,127.0.0.3"],
    );
    let (_two, two) = dnsmasq(root, &["--local=/example/", "--host-record=site.example,127.0.0.4"]);
    let (_knot, three) = knot(root);
    let cdn = |name: &str, resolvers: &str, own: &str| {
        format!(
            "[[target]]\nname = '{name}'\nkind = 'cdn'\nurl = 'http://site.example:{port}/page.html'\ninterval = '1s'\nresolvers = [{resolvers}]\ncdn = {{ {own} }}\n"
        )
    };
    let all = format!("'127.0.0.1:{one}', '127.0.0.1:{two}'");
    let compared =
        "origin = '127.0.0.1', edges = ['127.0.0.5', '127.0.0.6'], mark = 'build (\\d+)', mark_within = '2s'";
    let subnets = "client_subnets = ['203.0.113.0/24', '198.51.100.0/24']";
    let targets = [
        cdn("site", &all, compared),
        cdn("by network", &format!("'127.0.0.1:{three}'"), subnets),
        cdn("nowhere", &format!("'127.0.0.1:{one}'"), "").replace("site.example", "none.example"),
    ]
    .concat();
    let server = Server::start(&root.join("data"), &targets);
    wait_for("an answer of every edge, kept", || {
        edges(&server, "site", "cache").iter().filter(|row| row[1] == "hit").count() == 4
    });

    // Each in its vendor's words, each with what the origin has, but for the one that was broken into.
    let found = edges(&server, "site", "outcome, error, vendor, content_agrees, freshness, mark, status");
    let expected = [
        row(&["127.0.0.2", "ok", "", "varnish", "true", "current", "1", "200"]),
        row(&["127.0.0.3", "ok", "", "trafficserver", "true", "current", "1", "200"]),
        row(&["127.0.0.4", "ok", "", "", "true", "current", "1", "200"]),
        row(&["127.0.0.5", "ok", "", "nginx", "true", "current", "1", "200"]),
        row(&["127.0.0.6", "fail", "edge_content", "", "false", "foreign", "1", "200"]),
    ];
    assert_eq!(found, expected);
    let phases = server.rows(
        "SELECT bool_and(connect_ms > 0 AND wait_ms > 0 AND total_ms >= wait_ms), bool_and(address = edge), count(*) > 4,
                bool_and(cache_headers LIKE '%cache-control: max-age=3%' OR edge = '127.0.0.6'), bool_and(validator IS NOT NULL OR edge = '127.0.0.6')
         FROM probe WHERE target = 'site' AND edge IS NOT NULL AND outcome <> 'missed'",
    );
    assert_eq!(phases, [["true"; 5]]);
    let sums = "SELECT edge_count, up_count, content_count, dns_failures, origin_status, origin_total_ms > 0, origin_error FROM cdn WHERE target = 'site' ORDER BY time DESC LIMIT 1";
    assert_eq!(server.rows(sums), [["5", "4", "2", "0", "200", "true", ""]]);
    let first = "SELECT edges_added FROM cdn WHERE target = 'site' ORDER BY time LIMIT 1";
    assert_eq!(server.rows(first), [["127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6"]]);

    // Knot's own answer, and those for clients elsewhere.
    let networks = edges(&server, "by network", "status").into_iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(networks, ["127.0.0.2", "127.0.0.5", "127.0.0.6"]);
    let nowhere =
        server.rows("SELECT DISTINCT outcome, error, edge FROM probe WHERE target = 'nowhere' AND outcome <> 'missed'");
    assert_eq!(nowhere, [["fail", "dns_no_name", ""]]);

    // A new page: edges that were told three seconds come after it; the stubborn one is first behind, then stale. The
    // mark is late there.
    publish(root, "welcome, build 2");
    wait_for("the new page on all but the stubborn", || {
        let found = edges(&server, "site", "outcome, error, freshness, mark");
        found[..3].iter().all(|row| row[1..] == ["ok", "", "current", "2"])
            && found[3][1..] == ["fail", "edge_stale", "stale", "1"]
    });
    let on_the_way = server
        .rows("SELECT DISTINCT freshness FROM probe WHERE target = 'site' AND edge = '127.0.0.5' ORDER BY freshness");
    assert_eq!(on_the_way, [["behind"], ["current"], ["stale"]]);
    // Before it was stale, it was late with the mark, which it had to have within two seconds.
    let late = server.rows("SELECT count(*) > 0 FROM probe WHERE target = 'site' AND edge = '127.0.0.5' AND error = 'edge_purge' AND freshness = 'behind'");
    assert_eq!(late, [["true"]]);

    // One that is down, and the origin, too: edges go on giving what they have.
    drop(_defaced);
    drop(_origin);
    wait_for("the edge that is down", || {
        let found = edges(&server, "site", "error");
        found[4][1] == "connect_refused"
    });
    wait_for("the origin that is down", || {
        server.rows("SELECT origin_error FROM cdn WHERE target = 'site' ORDER BY time DESC LIMIT 1")
            == [["connect_refused"]]
    });
}

#[test]
#[cfg_attr(not(all(part = "nginx", part = "dnsmasq")), ignore = "needs nginx, dnsmasq: .ci/run installs them")]
fn edges_are_shown_as_a_table_and_certificates_compared() {
    let dir = tempfile::tempdir().unwrap();
    let (root, port) = (dir.path(), port_of_all());
    let authority = Authority::new(root);
    authority.certificate("one", "site.example", 30, true);
    authority.certificate("two", "site.example", 20, true);
    authority.certificate("wrong", "other.example", 20, true);
    let server = |last: u8, name: &str, more: &str| {
        let file = |end: &str| root.join(format!("{name}.{end}")).display().to_string();
        format!(
            "server {{ listen 127.0.0.{last}:{port} ssl http2; ssl_certificate {}; ssl_certificate_key {}; location / {{ {more} return 200 'page'; }} }}\n",
            file("pem"),
            file("key")
        )
    };
    let slow = format!("location /slow {{ proxy_pass http://127.0.0.1:{}; }}", silent());
    let mut servers =
        [server(2, "one", ""), server(3, "one", ""), server(4, "two", ""), server(5, "wrong", "")].concat();
    servers = servers.replacen("location /", &format!("{slow} location /"), 1);
    let _nginx = nginx_in(root, &servers);
    wait_for("nginx", || answers("127.0.0.5", port));
    let hosts = (2..=5).map(|last| format!("--host-record=site.example,127.0.0.{last}")).collect::<Vec<_>>();
    let options: Vec<&str> = std::iter::once("--local=/example/").chain(hosts.iter().map(String::as_str)).collect();
    let (_dnsmasq, resolver) = dnsmasq(root, &options);

    let cdn = |args: &[&str], path: &str| {
        let output = Command::new(BIN)
            .env("SSL_CERT_FILE", root.join("roots.pem"))
            .args(["cdn", "--resolver", &format!("127.0.0.1:{resolver}"), "--timeout", "1s"])
            .args(args)
            .arg(format!("https://site.example:{port}/{path}"))
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, table) = cdn(&[], "");
    assert_eq!(code, 1);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].trim_start().starts_with("edge"), "{table}");
    for (line, address, end) in [(1, "127.0.0.2", "ok"), (3, "127.0.0.4", "ok"), (4, "127.0.0.5", "tls_wrong_name")] {
        assert!(lines[line].trim().starts_with(address) && lines[line].trim().ends_with(end), "{table}");
    }
    assert!(lines[1].contains("HTTP/2"), "{table}");
    assert!(table.ends_with("3 of 4 edges up, 1 content, 2 certificates, 0 hits\n"), "{table}");

    let (_, json) = cdn(&["--format", "json"], "");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let edges: Vec<(&str, &str, bool)> = json["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (edge["edge"].as_str().unwrap(), edge["outcome"].as_str().unwrap(), edge["cert_agrees"] == true))
        .collect();
    assert_eq!(
        edges,
        [
            ("127.0.0.2", "ok", true),
            ("127.0.0.3", "ok", true),
            ("127.0.0.4", "ok", false),
            ("127.0.0.5", "fail", false)
        ]
    );
    // One slow edge does not take the others' time.
    let (_, json) = cdn(&["--format", "json"], "slow");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["edges"][0]["error"], "wait_timeout", "{json}");
    assert_eq!(json["edges"][1]["outcome"], "ok", "{json}");
    assert!(json["edges"][1]["total_ms"].as_f64().unwrap() < 900.0, "{json}");

    let targets = format!(
        "[[target]]\nname = 'strict'\nkind = 'cdn'\nurl = 'https://site.example:{port}/'\ninterval = '1s'\nresolvers = ['127.0.0.1:{resolver}']\ncdn = {{ same_certificate = true }}\n"
    );
    let server = Server::start_under(
        Command::new(BIN).env("SSL_CERT_FILE", root.join("roots.pem")),
        &root.join("data"),
        &targets,
    );
    wait_for("a row of each edge", || self::edges(&server, "strict", "error").len() == 4);
    let found = self::edges(&server, "strict", "error, cert_agrees, protocol, cert_expires_s / 86400");
    assert_eq!(
        found,
        [
            row(&["127.0.0.2", "", "true", "HTTP/2", "29"]),
            row(&["127.0.0.3", "", "true", "HTTP/2", "29"]),
            row(&["127.0.0.4", "edge_certificate", "false", "HTTP/2", "19"]),
            row(&["127.0.0.5", "tls_wrong_name", "", "", ""]),
        ]
    );
}

/// A port that takes connections and says nothing.
fn silent() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let all: Vec<_> = listener.incoming().collect();
        std::thread::sleep(Duration::from_hours(1));
        drop(all);
    });
    port
}
