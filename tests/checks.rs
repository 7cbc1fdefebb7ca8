//! Every kind of check against real servers - nginx, dnsmasq, the kernel's own pings - and what goes wrong with each,
//! by class.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::parts::{Authority, dnsmasq, free_port, last_rows, nginx, wait_for_rows};
use crate::server::{BIN, Server, wait_for};

#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn handshakes_are_told_apart_by_what_is_wrong_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let authority = Authority::new(root);
    let mut servers = String::new();
    let mut targets = String::new();
    for (name, host, days, is_signed) in [
        ("good", "localhost", 30, true),
        ("expired", "localhost", -3, true),
        ("unknown", "localhost", 30, false),
        ("other", "elsewhere.example", 30, true),
        ("vouched for", "localhost", 30, true),
        ("revoked", "localhost", 30, true),
        ("another's answer", "localhost", 30, true),
    ] {
        let (called, name) = (name, name.split([' ', '\'']).next().unwrap());
        authority.certificate(name, host, days, is_signed);
        let staple = match name {
            "vouched" | "revoked" => format!("ssl_stapling on; ssl_stapling_file {};", staple(root, name)),
            "another" => format!("ssl_stapling on; ssl_stapling_file {};", staple(root, "good")),
            _ => String::new(),
        };
        let port = free_port();
        let file = |end: &str| root.join(format!("{name}.{end}")).display().to_string();
        servers.push_str(&format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {}; ssl_certificate_key {}; {staple} }}\n",
            file("pem"),
            file("key")
        ));
        targets
            .push_str(&format!("[[target]]\nname = \"{called}\"\nurl = 'tls://localhost:{port}'\ninterval = '1s'\n"));
        targets.push_str(&format!("[[target]]\nname = \"{called} site\"\nurl = 'https://localhost:{port}/'\ninterval = '1s'\nexpect = {{ status = [404] }}\n"));
    }
    // Nobody shakes hands here: it says something else, or closes the door.
    let plain = free_port();
    servers.push_str(&format!("server {{ listen 127.0.0.1:{plain}; }}\n"));
    targets.push_str(&format!("[[target]]\nname = 'plain'\nurl = 'tls://localhost:{plain}'\ninterval = '1s'\n"));
    targets
        .push_str(&format!("[[target]]\nname = 'nobody'\nurl = 'tls://localhost:{}'\ninterval = '1s'\n", free_port()));
    let _nginx = nginx(root, &servers, plain);
    let server = Server::start_under(
        Command::new(BIN).env("SSL_CERT_FILE", root.join("roots.pem")),
        &root.join("data"),
        &targets,
    );
    wait_for_rows(&server, &targets);

    let rows = last_rows(&server, "outcome, error, round(cert_expires_s / 86400.0), tls_version, kind");
    let expected = [
        ("good", ["ok", "", "30.0", "TLSv1_3", "tls"]),
        ("good site", ["ok", "", "30.0", "", "http"]),
        // What is wrong with it does not keep it from being looked at.
        ("expired", ["fail", "tls_expired", "-3.0", "", "tls"]),
        ("expired site", ["fail", "tls_expired", "", "", "http"]),
        ("unknown", ["fail", "tls_unknown_issuer", "30.0", "", "tls"]),
        ("unknown site", ["fail", "tls_unknown_issuer", "", "", "http"]),
        ("other", ["fail", "tls_wrong_name", "30.0", "", "tls"]),
        ("other site", ["fail", "tls_wrong_name", "", "", "http"]),
        ("vouched for", ["ok", "", "30.0", "TLSv1_3", "tls"]),
        ("revoked", ["fail", "tls_revoked", "30.0", "TLSv1_3", "tls"]),
        // Of a web site it is not asked, as by browsers.
        ("revoked site", ["ok", "", "30.0", "", "http"]),
        ("another's answer", ["ok", "", "30.0", "TLSv1_3", "tls"]),
        ("plain", ["fail", "tls_other", "", "", "tls"]),
        ("nobody", ["fail", "connect_refused", "", "", "tls"]),
    ];
    for (target, expected) in expected {
        assert_eq!(rows[target], expected, "{target}");
    }
    let shown = &last_rows(&server, "length(cert_sha256), tls_cipher LIKE 'TLS13_%', ocsp_stapled, tls_ms > 0")["good"];
    assert_eq!(*shown, ["64", "true", "false", "true"]);
    let stapled = last_rows(&server, "ocsp_stapled, ocsp_status, round(ocsp_expires_s / 86400.0)");
    assert_eq!(stapled["vouched for"], ["true", "good", "7.0"]);
    assert_eq!(stapled["revoked"], ["true", "revoked", "7.0"]);
    assert_eq!(stapled["another's answer"], ["true", "", ""]);
}

/// What the authority answers of a certificate (OCSP), made by OpenSSL; one that is called so is revoked.
fn staple(root: &Path, name: &str) -> String {
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(root).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let file = format!("{name}.ocsp");
    let serial = openssl(&["x509", "-in", &format!("{name}.pem"), "-noout", "-serial"]);
    let serial = serial.trim().trim_start_matches("serial=");
    let state = if name == "revoked" { "R\t400101000000Z\t250101000000Z" } else { "V\t400101000000Z\t" };
    std::fs::write(root.join("index.txt"), format!("{state}\t{serial}\tunknown\t/CN={name}\n")).unwrap();
    let certificate = format!("{name}.pem");
    let signer =
        ["-rsigner", "roots.pem", "-rkey", "roots.key", "-CA", "roots.pem", "-index", "index.txt", "-ndays", "7"];
    openssl(&["ocsp", "-issuer", "roots.pem", "-cert", &certificate, "-no_nonce", "-reqout", "request"]);
    openssl(&[&["ocsp", "-reqin", "request", "-respout", &file][..], &signer].concat());
    root.join(file).display().to_string()
}

#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn redirects_are_followed_hop_by_hop_with_what_was_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (free_port(), free_port());
    let servers = format!(
        "server {{ listen 127.0.0.1:{one};
           location = /start {{ return 302 /next; }}
           location = /next {{ return 301 http://localhost:{two}/end?from=next; }}
           location = /again {{ return 307 /echo; }}
           location = /seen {{ return 303 /echo; }}
           location = /round {{ return 302 /round; }}
           location = /metadata {{ return 302 http://169.254.169.254/latest/; }}
           location = /mail {{ return 302 mailto:somebody@example.org; }}
           location = /echo {{ add_header X-Seen $http_x_key; return 200 '$request_method [$http_authorization] [$http_x_key] $http_host $content_length'; }}
         }}
         server {{ listen 127.0.0.1:{two};
           location = /end {{ return 200 'end $request_method [$http_authorization] [$http_x_key]'; }}
         }}"
    );
    let target = |name: &str, path: &str, more: &str| {
        format!("[[target]]\nname = '{name}'\nurl = 'http://127.0.0.1:{one}/{path}'\ninterval = '1s'\n{more}\n")
    };
    let secret = "bearer_token = 'secret'\nheaders = { 'X-Key' = 'k1' }";
    let targets = [
        target("chain", "start", &format!("{secret}\nexpect = {{ body = '^end GET \\[\\] \\[k1\\]$', final_url = ':{two}/end' }}")),
        target("first", "start", "redirects = 0"),
        target("too few", "start", "redirects = 1"),
        target("round", "round", ""),
        target("metadata", "metadata", ""),
        target("mail", "mail", ""),
        target("elsewhere", "start", "expect = { final_url = '/other$' }"),
        target("asked", "echo", &format!("{secret}\nmethod = 'POST'\nbody = 'abc'\nexpect = {{ body = '^POST .Bearer secret. .k1. 127.0.0.1:{one} 3$', headers = {{ 'x-seen' = '^k1$' }} }}")),
        target("basic", "echo", "basic_auth = { user = 'Aladdin', password = 'open sesame' }\nexpect = { body = 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==' }"),
        target("kept", "again", "method = 'POST'\nbody = 'abc'\nexpect = { body = '^POST .* 3$' }"),
        target("seen", "seen", "method = 'POST'\nbody = 'abc'\nexpect = { body = '^GET ' }"),
        target("header", "echo", "expect = { headers = { 'x-seen' = 'k1' } }"),
        // A name that nobody knows, asked for at an address; where it is led to has one of its own.
        target("pinned", "echo", "address = '127.0.0.1'\nexpect = { body = ' pinned[.]invalid:' }")
            .replace("//127.0.0.1", "//pinned.invalid"),
        target("led away", "start", "address = '127.0.0.1'\nexpect = { body = '^end' }").replace("//127.0.0.1", "//pinned.invalid"),
        target("family", "echo", "ip = 'v4'").replace("//127.0.0.1", "//localhost"),
    ]
    .concat();
    let _nginx = nginx(dir.path(), &servers, one);
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);

    let rows = last_rows(&server, "outcome, error, status");
    let expected = [
        ("chain", ["ok", "", "200"]),
        ("first", ["ok", "", "302"]),
        ("too few", ["fail", "too_many_redirects", "301"]),
        ("round", ["fail", "too_many_redirects", "302"]),
        ("metadata", ["fail", "address_not_allowed", "302"]),
        ("mail", ["fail", "protocol", "302"]),
        ("elsewhere", ["fail", "final_url", "200"]),
        ("asked", ["ok", "", "200"]),
        ("basic", ["ok", "", "200"]),
        ("kept", ["ok", "", "200"]),
        ("seen", ["ok", "", "200"]),
        ("header", ["fail", "header", "200"]),
        ("pinned", ["ok", "", "200"]),
        ("led away", ["ok", "", "200"]),
        ("family", ["ok", "", "200"]),
    ];
    for (target, expected) in expected {
        assert_eq!(rows[target], expected, "{target}: {:?}", last_rows(&server, "message")[target]);
    }
    let addresses = last_rows(&server, "address, dns_ms IS NULL");
    assert_eq!(addresses["pinned"], ["127.0.0.1", "true"]);
    assert_eq!(addresses["family"], ["127.0.0.1", "false"]);
    assert_eq!(addresses["led away"], ["127.0.0.1", "false"], "behind the redirect the name is resolved");
    // Three requests, each with phases of its own, whose sum is that of the slot.
    let hops = server.rows(
        "SELECT hop, url, h.status, h.connect_ms > 0 AND h.wait_ms > 0, h.dns_ms IS NULL FROM probe_hop AS h
         JOIN (SELECT max(time) AS time FROM probe WHERE target = 'chain' AND outcome = 'ok') AS last ON h.time = last.time WHERE target = 'chain' ORDER BY hop",
    );
    let here = format!("http://127.0.0.1:{one}");
    assert_eq!(
        hops,
        [
            ["1".to_owned(), format!("{here}/start"), "302".into(), "true".into(), "true".into()],
            ["2".to_owned(), format!("{here}/next"), "301".into(), "true".into(), "true".into()],
            [
                "3".to_owned(),
                format!("http://localhost:{two}/end?from=next"),
                "200".into(),
                "true".into(),
                "false".into()
            ],
        ]
    );
    let sums = server.rows(
        "SELECT count(*) > 0, max(abs(p.wait_ms - h.wait_ms)) < 0.01, bool_and(p.total_ms >= h.wait_ms) FROM probe AS p
         JOIN (SELECT time, sum(wait_ms) AS wait_ms FROM probe_hop WHERE target = 'chain' GROUP BY time) AS h ON p.time = h.time WHERE p.target = 'chain'",
    );
    assert_eq!(sums, [["true", "true", "true"]]);
}

#[test]
#[cfg_attr(not(part = "dnsmasq"), ignore = "needs dnsmasq: .ci/run installs it")]
fn resolvers_are_asked_compared_and_blamed() {
    let dir = tempfile::tempdir().unwrap();
    let zone = ["--local=/example/", "--txt-record=site.example,v=1", "--mx-host=site.example,mail.example,10"];
    let own = ["--host-record=site.example,192.0.2.1,2001:db8::1", "--host-record=moved.example,192.0.2.7"];
    let other = ["--host-record=site.example,192.0.2.1,2001:db8::1", "--host-record=moved.example,192.0.2.8"];
    let (_one, one) = dnsmasq(dir.path(), &[&zone[..], &own].concat());
    let (_two, two) = dnsmasq(dir.path(), &[&zone[..], &other].concat());
    // Takes questions and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().port();
    let target = |name: &str, ask: &str, resolvers: &[u16], more: &str| {
        let resolvers: Vec<String> = resolvers.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        format!(
            "[[target]]\nname = '{name}'\nurl = 'dns:{ask}'\ninterval = '1s'\nresolvers = [{}]\n{more}\n",
            resolvers.join(", ")
        )
    };
    let targets = [
        target("a", "site.example", &[one, two], "expect = { answers = ['192.0.2.1'] }"),
        target("aaaa", "site.example?type=AAAA", &[one], ""),
        target("mx", "site.example?type=mx", &[one], ""),
        target("differ", "moved.example", &[one, two], ""),
        target("wrong", "moved.example", &[one, two], "expect = { answers = ['192.0.2.7'] }"),
        target("no name", "none.example", &[one], ""),
        target("no records", "moved.example?type=TXT", &[one], ""),
        target("refused", "somewhere.else", &[one], ""),
        target("silent", "site.example", &[silent], "timeout = '500ms'"),
        // A name that is to be gone, and a resolver that is to answer nobody else.
        target("gone", "none.example", &[one, two], "expect = { rcodes = ['NXDOMAIN'] }"),
        target("not gone", "site.example", &[one], "expect = { rcodes = ['NXDOMAIN'] }"),
        target("closed", "somewhere.else", &[one], "expect = { rcodes = ['refused', 'SERVFAIL'] }"),
        target("either", "site.example", &[one], "expect = { rcodes = ['NOERROR', 'NXDOMAIN'] }"),
    ]
    .concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);

    let rows = last_rows(&server, "outcome, error, replace(answers, ', ', ' '), answer_count, resolvers_agree");
    let expected = [
        ("a", ["ok", "", "192.0.2.1", "1", "true"]),
        ("aaaa", ["ok", "", "2001:db8::1", "1", "true"]),
        ("mx", ["ok", "", "10 mail.example.", "1", "true"]),
        ("differ", ["ok", "", "192.0.2.7 192.0.2.8", "2", "false"]),
        ("wrong", ["fail", "dns_answers", "", "", ""]),
        ("no name", ["fail", "dns_no_name", "", "", ""]),
        ("no records", ["fail", "dns_no_records", "", "", ""]),
        ("refused", ["fail", "dns_server", "", "", ""]),
        ("silent", ["fail", "dns_timeout", "", "", ""]),
        ("gone", ["ok", "", "", "0", "true"]),
        ("not gone", ["fail", "dns_answers", "", "", ""]),
        ("closed", ["ok", "", "", "0", "true"]),
        ("either", ["ok", "", "192.0.2.1", "1", "true"]),
    ];
    for (target, expected) in expected {
        assert_eq!(rows[target], expected, "{target}: {:?}", last_rows(&server, "message")[target]);
    }
    let rcodes = last_rows(&server, "rcode");
    assert_eq!((&rcodes["gone"][0][..], &rcodes["either"][0][..]), ("NXDOMAIN", "NOERROR"));
    let messages = last_rows(&server, "message");
    assert!(messages["not gone"].concat().contains("answers NOERROR for site.example"), "{messages:?}");
    assert!(messages["wrong"].concat().contains(&format!("127.0.0.1:{two} answers 192.0.2.8")), "{messages:?}");
    assert!(messages["no name"].concat().contains("there is no name none.example"), "{messages:?}");
    let timed = server.rows("SELECT count(*) FROM probe WHERE kind = 'dns' AND outcome = 'ok' AND NOT (dns_ms > 0)");
    assert_eq!(timed, [["0"]]);
}

/// A name that was not renewed took a site off the net for a day, and nobody had looked.
#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn registrations_are_asked_of_their_registry() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    std::fs::create_dir_all(dir.path().join("rdap/domain")).unwrap();
    let registered = |name: &str, days: i64, status: &str| {
        let seconds = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 + days * 86_400 + 3600;
        let date = jiff::Timestamp::from_second(seconds).unwrap();
        let answer = serde_json::json!({ "objectClassName": "domain", "ldhName": name, "status": [status],
            "events": [{ "eventAction": "expiration", "eventDate": date.to_string() }],
            "entities": [{ "roles": ["registrar"], "vcardArray": ["vcard", [["fn", {}, "text", "Names Inc."]]] }] });
        std::fs::write(dir.path().join("rdap/domain").join(name), answer.to_string()).unwrap();
    };
    registered("long.example", 300, "active");
    registered("soon.example", 20, "active");
    registered("held.example", 300, "client hold");
    let servers = format!(
        "server {{ listen 127.0.0.1:{port}; root {}/rdap; default_type application/rdap+json; }}",
        dir.path().display()
    );
    let _nginx = nginx(dir.path(), &servers, port);
    let target = |name: &str| {
        let url = format!("domain:{name}?expires_within=30d&server=http://127.0.0.1:{port}");
        format!("[[target]]\nname = '{name}'\nurl = '{url}'\ninterval = '1s'\n")
    };
    let targets = ["long.example", "soon.example", "held.example", "none.example"].map(target).concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, error, domain_expires_s / 86400, domain_status, registrar, total_ms > 0");
    for (target, expected) in [
        ("long.example", ["ok", "", "300", "active", "Names Inc.", "true"]),
        ("soon.example", ["fail", "domain_expired", "20", "active", "Names Inc.", "true"]),
        ("held.example", ["fail", "domain_status", "300", "client hold", "Names Inc.", "true"]),
        ("none.example", ["fail", "domain_unknown", "", "", "", "true"]),
    ] {
        assert_eq!(rows[target], expected, "{target}: {:?}", last_rows(&server, "message")[target]);
    }
}

#[test]
fn what_comes_back_over_tcp_decides() {
    let dir = tempfile::tempdir().unwrap();
    let listen = |answer: fn(String) -> &'static str, greets: bool| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut question = [0; 64];
                    let length = if greets { 0 } else { stream.read(&mut question).unwrap_or(0) };
                    let _ = stream.write_all(answer(String::from_utf8_lossy(&question[..length]).into()).as_bytes());
                    // Open until the other side goes.
                    let _ = stream.read(&mut [0; 64]);
                });
            }
        });
        port
    };
    let banner = listen(|_| "SSH-2.0-OpenSSH_9.2\r\n", true);
    let ping = listen(|asked| if asked == "PING\r\n" { "+PONG\r\n" } else { "-ERR\r\n" }, false);
    let target = |name: &str, port: u16, more: &str| {
        format!(
            "[[target]]\nname = '{name}'\nurl = 'tcp://127.0.0.1:{port}'\ninterval = '1s'\ntimeout = '500ms'\n{more}\n"
        )
    };
    let targets = [
        target("open", banner, ""),
        target("banner", banner, "expect = { body = '^SSH-2' }"),
        target("asked", ping, "send = \"PING\\r\\n\"\nexpect = { body = 'PONG' }"),
        target("other", ping, "send = \"QUIT\\r\\n\"\nexpect = { body = 'PONG' }"),
        target("mute", ping, "expect = { body = 'PONG' }"),
        target("bytes", ping, "send_hex = '50 49 4e 47 0d0a'\nexpect = { body_hex = '2b 50' }"),
        target("other bytes", banner, "expect = { body_hex = 'ff' }"),
        // Words on one line are not those of the next.
        target("turns", banner, "exchange = [{ expect = '^SSH', send = 'x' }, { expect = 'OpenSSH' }]"),
        target("closed", free_port(), ""),
    ]
    .concat();
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(
        &server,
        "outcome, error, replace(banner, chr(13) || chr(10), ''), bytes, connect_ms > 0, wait_ms > 0",
    );
    let expected = [
        ("open", ["ok", "", "", "", "true", ""]),
        ("banner", ["ok", "", "SSH-2.0-OpenSSH_9.2", "21", "true", "true"]),
        ("asked", ["ok", "", "+PONG", "7", "true", "true"]),
        // It waits for more until time is up.
        ("other", ["fail", "transfer_timeout", "-ERR", "6", "true", "true"]),
        ("mute", ["fail", "wait_timeout", "", "", "true", ""]),
        ("bytes", ["ok", "", "+PONG", "7", "true", "true"]),
        ("other bytes", ["fail", "transfer_timeout", "SSH-2.0-OpenSSH_9.2", "21", "true", "true"]),
        ("turns", ["fail", "body", "SSH-2.0-OpenSSH_9.2", "21", "true", "true"]),
        ("closed", ["fail", "connect_refused", "", "", "true", ""]),
    ];
    for (target, expected) in expected {
        assert_eq!(rows[target], expected, "{target}");
    }
}

#[test]
fn targets_are_read_again_without_losing_or_doubling_a_slot() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicU64::new(0));
    let counted = connections.clone();
    std::thread::spawn(move || {
        listener.incoming().for_each(|_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
    });
    let target = |number: usize, timeout: &str| {
        format!(
            "[[target]]\nname = 't{number}'\nurl = 'tcp://127.0.0.1:{port}'\ninterval = '2s'\ntimeout = '{timeout}'\n"
        )
    };
    let data_dir = dir.path().join("data");
    let file = data_dir.with_extension("toml");
    let before: String = (0..500).map(|number| target(number, "1900ms")).collect();
    let server = Server::start(&data_dir, &before);
    let hang_up = || nix::sys::signal::kill(server.pid(), nix::sys::signal::Signal::SIGHUP).unwrap();
    let slots =
        |wanted: &str| server.rows(&format!("SELECT count(*) FROM probe WHERE {wanted}"))[0][0].parse::<u64>().unwrap();
    wait_for("slots of all", || slots("target = 't0'") > 1 && slots("target = 't499'") > 1);
    // The first 100 go, the next 100 are changed, 100 are new; four times, in quick succession.
    for round in 0..4 {
        let timeout = format!("{}ms", 800 - round);
        let changed = |number| target(number, if number < 200 { &timeout } else { "1900ms" });
        std::fs::write(&file, (100..600).map(changed).collect::<String>()).unwrap();
        hang_up();
        std::thread::sleep(Duration::from_millis(700));
    }
    // A file that is not right changes nothing.
    std::fs::write(&file, "[[target]]\nurl = 'tcp://nowhere'\n").unwrap();
    hang_up();
    let now = slots("target = 't300'");
    wait_for("slots behind the bad file", || slots("target = 't300'") > now + 1 && slots("target = 't599'") > 1);
    let ended = slots("target = 't50'");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(slots("target = 't50'"), ended, "what is gone is not probed");
    assert_eq!(server.rows("SELECT count(DISTINCT target) FROM probe WHERE target LIKE 't%'"), [["600"]]);
    // Of each target every slot from its first to its last; the first may be what was left of one.
    let gaps = server.rows(
        "SELECT target, count(*), (CAST(max(time) AS BIGINT) - CAST(min(time) AS BIGINT) + 1999999999) / 2000000000 + 1 AS expected
         FROM probe WHERE target LIKE 't%' GROUP BY target HAVING count(*) <> expected",
    );
    assert!(gaps.is_empty(), "{gaps:?}");
    // Without targets nothing more comes; each slot was one connection, unless it began too late.
    std::fs::write(&file, "").unwrap();
    hang_up();
    let all = || (slots("target LIKE 't%' AND outcome <> 'missed'"), connections.load(Ordering::SeqCst));
    let mut last = (0, 0);
    wait_for("the end of all", || {
        std::thread::sleep(Duration::from_millis(2500));
        std::mem::replace(&mut last, all()) == last
    });
    assert_eq!(last.0, last.1, "a row a connection");
}

/// In a network namespace of its own, where pings may be allowed, forbidden and lost.
#[test]
#[cfg_attr(not(part = "namespaces"), ignore = "unshare may make no network namespace here")]
fn pings_are_counted_and_timed() {
    let probe = |settings: &str, address: &str| {
        let script =
            format!("ip link set lo up 2> /dev/null; {settings} exec {BIN} probe --timeout 1s --format json {address}");
        let output = Command::new("unshare").args(["--net", "sh", "-c", &script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str::<serde_json::Value>(&text)
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    };
    let allow = "echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range;";
    let row = probe(allow, "icmp:127.0.0.1");
    if row["error"] == "connect_unreachable" {
        eprintln!("left out: the namespace's loopback cannot be brought up here");
        return;
    }
    assert_eq!((&row["up"], &row["ping_loss"]), (&true.into(), &0.0.into()), "{row}");
    assert!(row["ping_mean_ms"].as_f64().unwrap() > 0.0, "{row}");
    let lost = probe(&format!("{allow} echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all;"), "icmp:127.0.0.1");
    assert_eq!((&lost["error"], &lost["ping_loss"]), (&"ping_lost".into(), &1.0.into()), "{lost}");
    let forbidden = probe("echo 1 0 > /proc/sys/net/ipv4/ping_group_range;", "icmp:127.0.0.1");
    assert_eq!(forbidden["error"], "ping_not_allowed", "{forbidden}");
    assert!(forbidden["message"].as_str().unwrap().contains("net.ipv4.ping_group_range"), "{forbidden}");
    let nowhere = probe(allow, "icmp:192.0.2.1");
    assert_eq!(nowhere["error"], "connect_unreachable", "{nowhere}");
}
