//! `http` checks: what is asked and expected, against real nginx and a real proxy, and faults made with real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::parts::{Authority, Program, dnsmasq, free_port, last_rows, nginx, site, wait_for_rows};
use crate::server::{BIN, Server, wait_for};

const HELLO_SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[test]
#[cfg_attr(not(all(part = "nginx", part = "tinyproxy")), ignore = "needs nginx, tinyproxy: .ci/run installs them")]
fn answers_are_held_to_what_is_expected() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let authority = Authority::new(root);
    authority.certificate("server", "localhost", 30, true);
    authority.certificate("client", "client.example", 30, true);
    authority.certificate("stranger", "client.example", 30, false);
    let file = |name: &str| root.join(name).display().to_string();
    let (plain, both, closed) = (free_port(), free_port(), free_port());
    let tls = format!("ssl_certificate {}; ssl_certificate_key {};", file("server.pem"), file("server.key"));
    let servers = format!(
        "server {{ listen 127.0.0.1:{plain};
           location = /hello {{ return 200 'hello'; }}
           location = /json {{ default_type application/json; return 200 '{{\"status\":\"green\",\"nodes\":[{{\"id\":7}},{{\"id\":9}}]}}'; }}
           location = /clock {{ return 200 'hello at $msec<br>$request_id'; }}
           location = /host {{ return 200 '$http_host $request_uri'; }}
         }}
         server {{ listen 127.0.0.1:{both} ssl http2; {tls} location / {{ return 200 '$server_protocol $http_host'; }} }}
         server {{ listen 127.0.0.1:{closed} ssl; {tls} ssl_client_certificate {roots}; ssl_verify_client on;
           location / {{ return 200 '$ssl_client_s_dn $ssl_client_verify'; }} }}",
        roots = file("roots.pem")
    );
    let _nginx = nginx(root, &servers, plain);
    let proxy = free_port();
    let log_in = format!("Port {proxy}\nListen 127.0.0.1\nBasicAuth somebody s3cret\nConnectPort {both}\n");
    std::fs::write(root.join("tinyproxy.conf"), log_in).unwrap();
    let _proxy = Program::start(Command::new("tinyproxy").args(["-d", "-c", &file("tinyproxy.conf")]));
    wait_for("tinyproxy", || TcpStream::connect(("127.0.0.1", proxy)).is_ok());

    let web = |name: &str, path: &str, more: &str| {
        format!("[[target]]\nname = '{name}'\nurl = 'http://127.0.0.1:{plain}/{path}'\ninterval = '1s'\n{more}\n")
    };
    let tls = |name: &str, port: u16, more: &str| {
        format!("[[target]]\nname = '{name}'\nurl = 'https://localhost:{port}/'\ninterval = '1s'\n{more}\n")
    };
    let identity = |name: &str| {
        format!("client_cert = '{}'\nclient_key = '{}'", file(&format!("{name}.pem")), file(&format!("{name}.key")))
    };
    let by_proxy = |login: &str| format!("proxy = 'http://{login}127.0.0.1:{proxy}'\n");
    let targets = [
        web("json", "json", r#"expect = { json = { "$.status" = "^green$", "$.nodes[?@.id > 8].id" = "^9$" } }"#),
        web("other json", "json", r#"expect = { json = { "$.nodes[0].id" = "^8$" } }"#),
        web("no such place", "json", r#"expect = { json = { "$.nodes[2]" = "." } }"#),
        web("no json", "hello", r#"expect = { json = { "$.status" = "." } }"#),
        web("size", "hello", "expect = { bytes_min = 5, bytes_max = 5 }"),
        web("short", "hello", "expect = { bytes_min = 6 }"),
        web("same", "hello", &format!("expect = {{ sha256 = '{HELLO_SHA256}' }}")),
        web("defaced", "json", &format!("expect = {{ sha256 = '{HELLO_SHA256}' }}")),
        web("masked", "clock", &format!("expect = {{ sha256 = '{HELLO_SHA256}', masks = [' at [0-9.]+', '<br>.*'] }}")),
        web("watched", "hello", "watch_content = true"),
        web("moving", "clock", "watch_content = true"),
        web("limit", "hello", "fail = '1ns'"),
        web("in time", "hello", "fail = '900ms'"),
        tls("any", both, "expect = { protocol = 'HTTP/2', body = '^HTTP/2.0 localhost:' }"),
        tls("one", both, "http = '1.1'\nexpect = { protocol = 'HTTP/1.1', body = '^HTTP/1.1 localhost:' }"),
        tls("two", both, "http = '2'\nheaders = { host = 'other.example' }\nexpect = { body = ' other.example$' }"),
        tls("not two", closed, &format!("http = '2'\n{}", identity("client"))),
        tls("expects one", both, "expect = { protocol = 'HTTP/1.1' }"),
        tls("known", closed, &format!("{}\nexpect = {{ body = 'SUCCESS$' }}", identity("client"))),
        tls("unknown", closed, &format!("{}\nexpect = {{ status = [400] }}", identity("stranger"))),
        tls("nobody", closed, "expect = { status = [400] }"),
        web(
            "proxied",
            "host?a=b",
            &format!("{}expect = {{ body = '^127.0.0.1:{plain} /host.a=b$' }}", by_proxy("somebody:s3cret@")),
        ),
        tls("tunnelled", both, &format!("{}expect = {{ protocol = 'HTTP/2' }}", by_proxy("somebody:s3cret@"))),
        tls("kept out", both, &by_proxy("")),
        tls("elsewhere", closed, &by_proxy("somebody:s3cret@")),
    ]
    .concat();
    let server = Server::start_under(
        Command::new(BIN).env("SSL_CERT_FILE", root.join("roots.pem")),
        &root.join("data"),
        &targets,
    );
    wait_for_rows(&server, &targets);
    wait_for("two slots of the watched", || {
        server.rows("SELECT count(*) > 1 FROM probe WHERE target = 'moving'") == [["true"]]
            && server.rows("SELECT count(*) > 1 FROM probe WHERE target = 'watched'") == [["true"]]
    });
    let rows = last_rows(&server, "outcome, error, protocol");
    let expected = [
        ("json", ["ok", "", "HTTP/1.1"]),
        ("other json", ["fail", "json", "HTTP/1.1"]),
        ("no such place", ["fail", "json", "HTTP/1.1"]),
        ("no json", ["fail", "json", "HTTP/1.1"]),
        ("size", ["ok", "", "HTTP/1.1"]),
        ("short", ["fail", "size", "HTTP/1.1"]),
        ("same", ["ok", "", "HTTP/1.1"]),
        ("defaced", ["fail", "content", "HTTP/1.1"]),
        ("masked", ["ok", "", "HTTP/1.1"]),
        ("watched", ["ok", "", "HTTP/1.1"]),
        ("moving", ["ok", "", "HTTP/1.1"]),
        ("limit", ["fail", "too_slow", "HTTP/1.1"]),
        ("in time", ["ok", "", "HTTP/1.1"]),
        ("any", ["ok", "", "HTTP/2"]),
        ("one", ["ok", "", "HTTP/1.1"]),
        ("two", ["ok", "", "HTTP/2"]),
        ("not two", ["fail", "tls_other", ""]),
        ("expects one", ["fail", "http_version", "HTTP/2"]),
        ("known", ["ok", "", "HTTP/1.1"]),
        ("unknown", ["ok", "", "HTTP/1.1"]),
        ("nobody", ["ok", "", "HTTP/1.1"]),
        ("proxied", ["ok", "", "HTTP/1.1"]),
        ("tunnelled", ["ok", "", "HTTP/2"]),
        ("kept out", ["fail", "proxy", ""]),
        ("elsewhere", ["fail", "proxy", ""]),
    ];
    let messages = last_rows(&server, "message");
    for (target, expected) in expected {
        assert_eq!(rows[target], expected, "{target}: {:?}", messages[target]);
    }
    assert!(
        messages["other json"].join(",").contains("at $.nodes[0].id is '7', which does not match '^8$'"),
        "{messages:?}"
    );
    assert!(messages["kept out"].concat().contains("407"), "{messages:?}");
    let content = last_rows(&server, "content_changed, content_sha256");
    assert_eq!(content["watched"], ["false", HELLO_SHA256]);
    assert_eq!(content["moving"][0], "true");
}

/// What a site that is broken in its own way says.
enum Fault {
    /// Says this, and hangs up.
    Say(Vec<u8>),
    /// Says this, and sends a reset.
    Reset(&'static str),
    /// Says this, and nothing more.
    Stall(&'static str),
    /// Says this, and then a byte at a time, without an end.
    Drip(&'static str),
    /// Says this, and more of it than anybody wants.
    Flood(&'static str, &'static str),
}

fn serve(fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let fault = std::sync::Arc::new(fault);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let fault = fault.clone();
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = act(&mut stream, &fault);
            });
        }
    });
    port
}

fn act(stream: &mut TcpStream, fault: &Fault) -> std::io::Result<()> {
    match fault {
        Fault::Say(text) => stream.write_all(text),
        Fault::Reset(text) => {
            stream.write_all(text.as_bytes())?;
            std::thread::sleep(Duration::from_millis(50));
            // With nothing to wait for, closing is a reset.
            socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))
        }
        Fault::Stall(text) => {
            stream.write_all(text.as_bytes())?;
            let _ = stream.read(&mut [0; 16])?;
            Ok(())
        }
        Fault::Drip(text) => {
            stream.write_all(text.as_bytes())?;
            loop {
                stream.write_all(b".")?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Fault::Flood(text, more) => {
            stream.write_all(text.as_bytes())?;
            loop {
                stream.write_all(more.as_bytes())?;
            }
        }
    }
}

#[test]
fn every_fault_has_a_class_and_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    (0..64).for_each(|_| bomb.write_all(&vec![b'a'; 1 << 20]).unwrap());
    let bomb = bomb.finish().unwrap();
    let packed = |body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        Fault::Say([head.as_bytes(), body].concat())
    };
    let mut small = GzEncoder::new(Vec::new(), Compression::fast());
    small.write_all(b"Welcome").unwrap();
    let faults = [
        ("silent", Fault::Stall(""), "", "wait_timeout", "waiting for the answer"),
        ("closed", Fault::Say(Vec::new()), "", "connection_closed", "closed"),
        ("reset", Fault::Reset(""), "", "connection_closed", "reset"),
        (
            "reset behind its head",
            Fault::Reset("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
            "",
            "connection_closed",
            "reset",
        ),
        (
            "stalled",
            Fault::Stall("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
            "",
            "transfer_timeout",
            "reading the body",
        ),
        (
            "dripping",
            Fault::Drip("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
            "",
            "transfer_timeout",
            "reading the body",
        ),
        ("dripping head", Fault::Drip("HTTP/1.1 200 OK\r\nX-Slow: "), "", "wait_timeout", "waiting for the answer"),
        (
            "too short",
            Fault::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec()),
            "",
            "connection_closed",
            "end of file",
        ),
        (
            "no length",
            Fault::Say(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n".to_vec()),
            "",
            "protocol",
            "content-length",
        ),
        ("no http", Fault::Say(b"220 mail.example ESMTP\r\n".to_vec()), "", "protocol", "invalid"),
        ("endless head", Fault::Flood("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n"), "", "protocol", "too large"),
        (
            "endless body",
            Fault::Flood("HTTP/1.1 200 OK\r\n\r\n", "and more"),
            "",
            "transfer_timeout",
            "reading the body",
        ),
        (
            "bad chunk",
            Fault::Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec()),
            "",
            "protocol",
            "chunk",
        ),
        ("bomb", packed(&bomb), "expect = { body = 'Welcome' }", "body_too_large", "unpacks to more than 16 MiB"),
        ("no gzip", packed(b"hello"), "expect = { body = 'hello' }", "protocol", "no gzip"),
        ("gzip", packed(&small.finish().unwrap()), "expect = { body = '^Welcome$' }", "", ""),
    ];
    let mut targets = String::new();
    let mut expected = Vec::new();
    for (name, fault, more, class, words) in faults {
        let port = serve(fault);
        targets.push_str(&format!("[[target]]\nname = '{name}'\nurl = 'http://127.0.0.1:{port}/'\ninterval = '1s'\ntimeout = '700ms'\n{more}\n"));
        expected.push((name, class, words));
    }
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "error, message");
    for (name, class, words) in expected {
        assert_eq!(rows[name][0], class, "{name}: {:?}", rows[name]);
        assert!(rows[name][1].to_lowercase().contains(&words.to_lowercase()), "{name}: {:?}", rows[name]);
    }
}

#[test]
#[cfg_attr(not(all(part = "nginx", part = "dnsmasq")), ignore = "needs nginx, dnsmasq: .ci/run installs them")]
fn trouble_of_names_is_told_from_trouble_of_sites() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let servers = format!(
        "server {{ listen 127.0.0.1:{port}; listen [::1]:{port}; location / {{ return 200 '$server_addr $http_host'; }} }}"
    );
    let _nginx = nginx(dir.path(), &servers, port);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    // Who would know of names under `broken.example` refuses to say.
    let (_deaf, deaf) = dnsmasq(dir.path(), &[]);
    let forward = format!("--server=/broken.example/127.0.0.1#{deaf}");
    let (_dnsmasq, resolver) = dnsmasq(
        dir.path(),
        &[
            "--local=/example/",
            "--host-record=both.example,127.0.0.1,::1",
            "--host-record=six.example,::1",
            "--txt-record=text.example,x",
            &forward,
        ],
    );
    let target = |name: &str, host: &str, resolver: u16, more: &str| {
        format!(
            "[[target]]\nname = '{name}'\nurl = 'http://{host}:{port}/'\ninterval = '1s'\ntimeout = '800ms'\nresolvers = ['127.0.0.1:{resolver}']\n{more}\n"
        )
    };
    let targets = [
        target("both", "both.example", resolver, "expect = { body = '^127.0.0.1 both.example:' }"),
        target("both by six", "both.example", resolver, "ip = 'v6'\nexpect = { body = '^::1 both.example:' }"),
        target("six", "six.example", resolver, "expect = { body = '^::1 six.example:' }"),
        target("six by four", "six.example", resolver, "ip = 'v4'"),
        target("no name", "none.example", resolver, ""),
        target("no address", "text.example", resolver, ""),
        target("broken", "site.broken.example", resolver, ""),
        target("silent", "both.example", silent, ""),
        target("tcp", "both.example", resolver, "").replace("http://", "tcp://"),
    ]
    .concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, error, address, connect_ms IS NULL");
    let expected = [
        ("both", ["ok", "", "127.0.0.1", "false"]),
        ("both by six", ["ok", "", "::1", "false"]),
        ("six", ["ok", "", "::1", "false"]),
        ("six by four", ["fail", "dns_no_records", "", "true"]),
        ("no name", ["fail", "dns_no_name", "", "true"]),
        ("no address", ["fail", "dns_no_records", "", "true"]),
        ("broken", ["fail", "dns_server", "", "true"]),
        ("silent", ["fail", "dns_timeout", "", "true"]),
        ("tcp", ["ok", "", "127.0.0.1", "false"]),
    ];
    for (target, expected) in expected {
        assert_eq!(rows[target], expected, "{target}: {:?}", last_rows(&server, "message")[target]);
    }
}

/// A site that lets in who has its cookie, and shows a token on its form.
fn members_only() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut request = vec![0; 4096];
                let mut length = stream.read(&mut request).unwrap_or(0);
                // The body may come by itself.
                while request[..length].starts_with(b"POST") && !request[..length].ends_with(b"!") {
                    length += stream.read(&mut request[length..]).unwrap_or(0);
                }
                let text = String::from_utf8_lossy(&request[..length]).to_lowercase();
                let has = |part: &str| text.contains(part);
                let (status, headers, body) = if has("get /form ") {
                    ("200 OK", "Set-Cookie: visit=7; Path=/\r\n", "<input name=csrf value=t0k3n>")
                } else if has("post /login ") {
                    match has("cookie: visit=7\r\n") && has("csrf=t0k3n&user=a!") && has("x-token: t0k3n\r\n") {
                        true => (
                            "302 Found",
                            "Location: /home\r\nSet-Cookie: member=yes; Path=/\r\nSet-Cookie: visit=; Max-Age=0; Path=/\r\n",
                            "",
                        ),
                        false => ("403 Forbidden", "", "no"),
                    }
                } else if has("get /home ") && has("cookie: member=yes\r\n") {
                    ("200 OK", "", "Welcome, member 42")
                } else if has("get /orders/42 ") && has("cookie: member=yes\r\n") {
                    ("200 OK", "", "three orders")
                } else {
                    ("401 Unauthorized", "", "who?")
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            });
        }
    });
    port
}

#[test]
fn scenarios_carry_cookies_and_what_answers_say() {
    let dir = tempfile::tempdir().unwrap();
    let port = members_only();
    let scenario = |name: &str, steps: &[&str]| {
        let head = format!(
            "[[target]]\nname = '{name}'\nkind = 'steps'\nurl = 'http://127.0.0.1:{port}/start/'\ninterval = '1s'\n"
        );
        steps.iter().fold(head, |all, step| format!("{all}[[target.step]]\n{step}\n"))
    };
    let form = "name = 'form'\nurl = '/form'\nextract = { csrf = 'value=(\\w+)' }";
    let log_in = "name = 'log in'\nmethod = 'POST'\nurl = '/login'\nbody = 'csrf={csrf}&user=a!'\nheaders = { 'X-Token' = '{csrf}' }\nexpect = { body = 'Welcome' }\nextract = { member = '\\d+' }";
    let orders = "name = 'orders'\nurl = '/orders/{member}'\nexpect = { body = 'orders' }";
    let targets = [
        scenario("all", &[form, log_in, orders]),
        scenario("stranger", &[form, "name = 'home'\nurl = '/home'", orders.replace("{member}", "42").as_str()]),
        scenario("nothing found", &["name = 'form'\nurl = '/form'\nextract = { csrf = 'token=(\\w+)' }"]),
    ]
    .concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, error, status, kind");
    assert_eq!(rows["all"], ["ok", "", "200", "steps"], "{:?}", last_rows(&server, "message")["all"]);
    assert_eq!(rows["stranger"], ["fail", "status", "401", "steps"]);
    assert_eq!(rows["nothing found"], ["fail", "extract", "200", "steps"]);
    assert!(last_rows(&server, "message")["stranger"].concat().starts_with("step 'home': status 401"));
    let steps = |target: &str| {
        server.rows(&format!(
            "SELECT step, outcome, error, status, wait_ms > 0, total_ms >= wait_ms FROM probe_step
             WHERE target = '{target}' AND time = (SELECT max(time) FROM probe_step WHERE target = '{target}') ORDER BY step"
        ))
    };
    let expected = [
        ["form", "ok", "", "200", "true", "true"],
        ["log in", "ok", "", "200", "true", "true"],
        ["orders", "ok", "", "200", "true", "true"],
    ];
    assert_eq!(steps("all"), expected);
    assert_eq!(
        steps("stranger"),
        [["form", "ok", "", "200", "true", "true"], ["home", "fail", "status", "401", "true", "true"]]
    );
    let sums = server.rows(
        "SELECT count(*) > 0, max(abs(p.wait_ms - s.wait_ms)) < 0.01, bool_and(p.total_ms >= s.total_ms) FROM probe AS p
         JOIN (SELECT time, sum(wait_ms) AS wait_ms, sum(total_ms) AS total_ms FROM probe_step WHERE target = 'all' GROUP BY time) AS s
         ON p.time = s.time WHERE p.target = 'all'",
    );
    assert_eq!(sums, [["true", "true", "true"]]);
}

/// A site that says which cookies it was shown, sets one at `/set`, and leads from `/away` to itself by another name.
fn jar() -> u16 {
    site(|request| {
        let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("none");
        let head = match request.split(' ').nth(1) {
            Some("/set") => "200 OK\r\nSet-Cookie: own=2; Path=/".into(),
            Some("/away") => {
                let port = header("host: ").rsplit(':').next().unwrap();
                format!("302 Found\r\nLocation: http://localhost:{port}/there")
            }
            _ => "200 OK".into(),
        };
        (head, format!("shown: {}.", header("cookie: ")))
    })
}

/// Cookies that are configured, and those that a site sets, go to no other site, by an address as by a redirect.
#[test]
fn cookies_of_a_scenario_go_to_their_own_site_only() {
    let dir = tempfile::tempdir().unwrap();
    let port = jar();
    let step = |name: &str, url: &str, shown: &str| {
        format!("[[target.step]]\nname = '{name}'\nurl = '{url}'\nexpect = {{ body = 'shown: {shown}[.]' }}\n")
    };
    let other = format!("http://localhost:{port}/");
    let head = format!(
        "[[target]]\nname = 'cookies'\nkind = 'steps'\nurl = 'http://127.0.0.1:{port}/'\ninterval = '1s'\nheaders = {{ Cookie = 'given=1' }}\n"
    );
    let steps = [
        step("first", "/set", "given=1"),
        step("second", "/", "given=1; own=2"),
        step("other", &other, "none"),
        step("away", "/away", "none"),
        step("back", "/", "given=1; own=2"),
    ];
    let targets = head + &steps.concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let row = last_rows(&server, "outcome, message");
    assert_eq!(row["cookies"], ["ok", ""]);
}

#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn broken_links_are_found_and_robots_heed_their_rules() {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    std::fs::create_dir_all(site.join("deep")).unwrap();
    let (port, other) = (free_port(), free_port());
    let write = |name: &str, text: &str| std::fs::write(site.join(name), text).unwrap();
    write(
        "index.html",
        "<a href=one.html>1</a> <a href='/gone.html'>gone</a> <a href='/private/x'>hidden</a> <img src=pixel.png> <a href='/moved'>moved</a>",
    );
    write(
        "one.html",
        &format!(
            "<a href=index.html>home</a> <a href=deep/two.html>2</a> <a href='http://127.0.0.1:{other}/there'>there</a> <a href='http://127.0.0.1:{other}/not'>not</a> <a href=/slow>slow</a>"
        ),
    );
    write("deep/two.html", "<a href=three.html>3</a>");
    write("deep/three.html", "<a href=/never-seen.html>too deep</a>");
    write("pixel.png", "png");
    write("robots.txt", "User-agent: *\nDisallow: /private/\n");
    let slow = serve_slowly(Duration::from_millis(400));
    let servers = format!(
        "types {{ text/html html; image/png png; }} server {{ listen 127.0.0.1:{port}; root {};
           location = /moved {{ return 302 /one.html; }} location = /slow {{ proxy_pass http://127.0.0.1:{slow}; }} }}
         server {{ listen 127.0.0.1:{other}; location = /there {{ if ($request_method = HEAD) {{ return 405; }} return 200 ok; }} location / {{ return 404; }} }}",
        site.display()
    );
    let _nginx = nginx(dir.path(), &servers, port);
    let target = |name: &str, more: &str| {
        format!(
            "[[target]]\nname = '{name}'\nkind = 'links'\nurl = 'http://127.0.0.1:{port}/'\ninterval = '3s'\nslow = '200ms'\n{more}\n"
        )
    };
    let targets = [
        target("all", "links = { depth = 2, pause = '1ms' }"),
        target("own", "links = { depth = 0, pause = '1ms', elsewhere = false }"),
    ]
    .concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, error, pages, links, broken_links, slow_links, complete, status");
    // The page, one, gone, pixel, moved, index, two, there, not, slow, three.
    assert_eq!(rows["all"], ["fail", "links", "4", "11", "2", "1", "true", "200"]);
    assert_eq!(rows["own"], ["fail", "links", "1", "5", "1", "0", "true", "200"]);
    let links = server.rows(&format!(
        "SELECT DISTINCT replace(replace(link, ':{port}', ''), ':{other}', ' other'), outcome, error, status, replace(page, ':{port}', '') FROM probe_link WHERE target = 'all' ORDER BY 1"
    ));
    let expected = [
        ["http://127.0.0.1 other/not", "fail", "status", "404", "http://127.0.0.1/one.html"],
        ["http://127.0.0.1/gone.html", "fail", "status", "404", "http://127.0.0.1/"],
        ["http://127.0.0.1/slow", "slow", "", "200", "http://127.0.0.1/one.html"],
    ];
    assert_eq!(links, expected);
}

fn serve_slowly(takes: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                std::thread::sleep(takes);
                let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
            });
        }
    });
    port
}
