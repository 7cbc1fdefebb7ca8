//! Who may do what, over which connections, and within which limits: every limit says which knob moves it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair};

use crate::clients::token;
use crate::server::{BIN, Reply, Server, agent, post, wait_for};

/// Posts with headers.
fn send(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let request = headers.iter().fold(agent().post(url), |request, (name, value)| request.header(*name, *value));
    let mut answer = request.send(body).unwrap();
    Reply { status: answer.status().as_u16(), body: answer.body_mut().read_to_string().unwrap() }
}

#[test]
fn tokens_open_what_their_scopes_say_and_end_when_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let writer = token(&data_dir, &["write"]);
    let reader = token(&data_dir, &["read"]);
    let admin = token(&data_dir, &["admin"]);
    let server = Server::start(&data_dir, "");
    let write = |token: &str| send(&format!("{}/write", server.url), &[("Authorization", token)], b"m f=1 1");
    assert_eq!(write(&format!("Bearer {writer}")).status, 204);
    assert_eq!(write(&format!("Token {writer}")).status, 204);
    let denied = write(&format!("Bearer {reader}"));
    assert_eq!(denied.status, 403);
    assert!(denied.body.contains("scope write"), "{}", denied.body);
    let unknown = post(&format!("{}/write", server.url), b"m f=1 1").unwrap();
    assert_eq!(unknown.status, 401);
    assert!(unknown.body.contains("Authorization: Bearer"), "{}", unknown.body);
    for path in
        ["/api/v1/write", "/v1/metrics", "/api/v3/write_lp", "/api/v1/import/csv", "/api/v3/query_sql", "/metrics"]
    {
        assert_eq!(post(&format!("{}{path}", server.url), b"").unwrap().status, 401, "{path}");
    }
    assert_eq!(agent().get(format!("{}/health", server.url)).call().unwrap().status(), 200);
    let ask = |token: &str, args: &[&str]| {
        let output = Command::new(BIN).args(args).args(["--url", &server.url]).env("FOURNINES_TOKEN", token).output();
        output.unwrap()
    };
    assert!(ask(&reader, &["sql", "SELECT 1"]).status.success());
    assert!(!ask(&writer, &["sql", "SELECT 1"]).status.success());
    assert!(ask(&admin, &["snapshot"]).status.success());
    assert!(!ask(&reader, &["snapshot"]).status.success());

    let run = |args: &[&str]| {
        let output = Command::new(BIN).arg("token").args(args).arg("--data-dir").arg(&data_dir).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (ok, list) = run(&["list", "--format", "json"]);
    let list: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
    assert!(ok && list.len() == 3, "{list:?}");
    let id = writer.split('_').nth(1).unwrap();
    assert!(list.iter().any(|token| token["id"] == id && token["scopes"][0] == "write"), "{list:?}");
    assert!(run(&["list"]).1.contains(id));
    assert!(run(&["revoke", id]).0);
    assert!(!run(&["revoke", id]).0, "it is gone");
    wait_for("the token to end", || write(&format!("Bearer {writer}")).status == 401);
}

#[test]
fn others_reach_it_only_with_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let refused =
        Command::new(BIN).args(["serve", "--listen", "0.0.0.0:0", "--data-dir"]).arg(&data_dir).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("fournines token create"), "{said}");
}

/// A certificate for 127.0.0.1 and its key, written where the server looks for them.
fn certificate(dir: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), &certificate).unwrap();
    certificate
}

#[test]
fn tls_takes_a_new_certificate_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let first = certificate(dir.path());
    let path = dir.path().display();
    let config = format!("[server]\ntls_cert = '{path}/cert.pem'\ntls_key = '{path}/key.pem'\n");
    let server = Server::start(&dir.path().join("data"), &config);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let trusted = dir.path().join("trusted.pem");
    let asks = |certificate: &str| {
        std::fs::write(&trusted, certificate).unwrap();
        let output = Command::new(BIN)
            .args(["sql", "SELECT 1 AS one", "--format", "csv", "--url", &server.url])
            .env("SSL_CERT_FILE", &trusted)
            .output()
            .unwrap();
        output.status.success() && output.stdout == b"one\n1\n"
    };
    assert!(asks(&first));
    let second = certificate(dir.path());
    wait_for("the new certificate", || asks(&second));
    assert!(!asks(&first), "the old one is not shown any more");
    // What is not right is not taken.
    std::fs::write(dir.path().join("key.pem"), "no key").unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(asks(&second));
    let plain = post(&server.url.replace("https", "http"), b"");
    assert!(plain.is_err(), "it speaks TLS only");
    let (status, _) = server.stop(Signal::SIGTERM);
    assert!(status.success());
}

fn address(server: &Server) -> String {
    server.url.trim_start_matches("http://").to_owned()
}

/// What comes back over a connection until it ends, and how long that took.
fn answer_of(mut stream: TcpStream) -> (String, Duration) {
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        answer.extend_from_slice(&chunk[..count]);
    }
    (String::from_utf8_lossy(&answer).into_owned(), start.elapsed())
}

#[test]
fn slow_and_idle_clients_are_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[server]\nheader_timeout = '1s'\nidle_timeout = '1s'\nbody_timeout = '1s'\n";
    let server = Server::start(&dir.path().join("data"), config);
    let connect = || TcpStream::connect(address(&server)).unwrap();
    // Nothing at all, half a head, a head without its body, and nothing behind a request.
    let idle = connect();
    let mut half = connect();
    half.write_all(b"POST /write HTTP/1.1\r\nhost: localhost\r\n").unwrap();
    let mut slow = connect();
    slow.write_all(b"POST /write HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\nm f=1").unwrap();
    let mut quiet = connect();
    quiet.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let answers = [idle, half, slow, quiet].map(|stream| std::thread::spawn(|| answer_of(stream)));
    let answers = answers.map(|thread| thread.join().unwrap());
    for (answer, time) in &answers {
        assert!(*time < Duration::from_secs(5), "{time:?}: {answer}");
    }
    let [_, _, (slow, _), (quiet, _)] = &answers;
    assert!(slow.contains("408 Request Timeout") && slow.contains("server.body_timeout"), "{slow}");
    assert!(quiet.contains("200 OK"), "{quiet}");
}

#[test]
fn one_connection_too_many_is_told_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "[server]\nconnections_max = 4\nheader_timeout = '3s'\n");
    let held: Vec<_> = (0..8).map(|_| TcpStream::connect(address(&server)).unwrap()).collect();
    let mut refused = 0;
    for stream in held {
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut start = [0; 300];
        if let Ok(count @ 1..) = (&stream).read(&mut start) {
            let answer = String::from_utf8_lossy(&start[..count]);
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after"), "{answer}");
            assert!(answer.contains("server.connections_max"), "{answer}");
            refused += 1;
        }
    }
    assert!((4..=5).contains(&refused), "{refused}"); // one may be that of the server's own probe
    wait_for("room", || post(&format!("{}/write", server.url), b"m f=1 1").is_ok_and(|reply| reply.status == 204));
}

/// Under TLS it was closed without a word: what is told in plain text is none to who speaks TLS.
#[test]
#[cfg_attr(not(part = "curl"), ignore = "needs curl: .ci/run installs it")]
fn one_connection_too_many_is_told_under_tls_too() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let path = dir.path().display();
    let config = format!("[server]\ntls_cert = '{path}/cert.pem'\ntls_key = '{path}/key.pem'\nconnections_max = 4\n");
    let server = Server::start(&dir.path().join("data"), &config);
    let own = server.url.trim_start_matches("https://");
    let held: Vec<_> = (0..4).map(|_| TcpStream::connect(own).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(200));
    for (speaks, begins) in [("--http1.1", "HTTP/1.1 503"), ("--http2", "HTTP/2 503")] {
        let mut curl = Command::new("curl");
        let told = curl.args([speaks, "-sik", "--max-time", "8", &format!("{}/health", server.url)]).output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout);
        assert!(told.starts_with(begins) && told.contains("server.connections_max"), "{told}");
    }
    drop(held);
    wait_for("room", || {
        let told = Command::new("curl").args(["-sik", &format!("{}/health", server.url)]).output().unwrap();
        told.stdout.starts_with(b"HTTP/2 200")
    });
}

/// Collectors speak HTTP/2, which nobody answered here. It is spoken on the same port, under the same limits.
#[test]
#[cfg_attr(not(part = "curl"), ignore = "needs curl: .ci/run installs it")]
fn http_2_is_spoken_on_the_same_port() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[server]\nheader_timeout = '1s'\nidle_timeout = '2s'\n";
    let server = Server::start(&dir.path().join("data"), config);
    let curl = |arguments: &[&str]| {
        let mut curl = Command::new("curl");
        let curl = curl.args(["-s", "--http2-prior-knowledge", "-w", " %{http_version}"]).args(arguments);
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    };
    assert_eq!(curl(&["--data-binary", "m f=1 1", &format!("{}/write", server.url)]), " 2");
    let asked = curl(&[&format!("{}/api/v3/query_sql?q=SELECT+f+FROM+m&format=csv", server.url)]);
    assert_eq!(asked, "f\n1.0\n 2");
    let mut idle = TcpStream::connect(address(&server)).unwrap();
    // The preface and SETTINGS that say nothing.
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let start = Instant::now();
    let mut told = Vec::new();
    let _ = idle.read_to_end(&mut told); // a reset is an end, too
    assert!((1900..15_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn every_limit_of_a_request_names_its_knob() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[server]\nbody_max = '100KiB'\nunpacked_max = '200KiB'\nheader_max = '16KiB'\n\
                  [store]\ncolumns_max = 5\ntags_max = 2\ntable_series_max = 3\nname_max = '20B'\ntag_value_max = '30B'\n\
                  string_max = '40B'\nbatch_values_max = 5000\n";
    let server = Server::start(&dir.path().join("data"), config);
    let long = |length: usize| "x".repeat(length);
    let many = (0..3000).map(|n| format!("m f={n}i {n}\n")).collect::<String>();
    for (knob, body) in [
        ("store.columns_max", "m a=1,b=1,c=1,d=1,e=1,f=1 1".to_owned()),
        ("store.tags_max", "m,a=1,b=1,c=1 f=1 1".to_owned()),
        ("store.name_max", format!("{} f=1 1", long(21))),
        ("store.tag_value_max", format!("m,t={} f=1 1", long(31))),
        ("store.string_max", format!("m s=\"{}\" 1", long(41))),
        ("store.batch_values_max", many),
        ("store.table_series_max", "n,t=1 f=1 1\nn,t=2 f=1 1\nn,t=3 f=1 1\nn,t=4 f=1 1".to_owned()),
    ] {
        let reply = server.write("", body.as_bytes());
        assert!(
            reply.status == 400 && reply.body.contains(knob),
            "{knob}: {}",
            &reply.body[..reply.body.len().min(400)]
        );
    }
    // Those that are known go on.
    assert_eq!(server.write("", b"n,t=2 f=2 2").status, 204);
    let reply = server.write("", &vec![b' '; 101 << 10]);
    assert!(reply.status == 413 && reply.body.contains("server.body_max"), "{}", reply.body);
    let bomb = vec![b' '; 2 << 20];
    let packed = [
        ("gzip", gzip(&bomb)),
        ("zstd", zstd::encode_all(&bomb[..], 3).unwrap()),
        ("snappy", snap::raw::Encoder::new().compress_vec(&bomb).unwrap()),
    ];
    for (encoding, bomb) in packed {
        assert!(bomb.len() < 100 << 10, "{encoding}");
        let reply = send(&format!("{}/write", server.url), &[("Content-Encoding", encoding)], &bomb);
        assert!(reply.status == 413 && reply.body.contains("server.unpacked_max"), "{encoding}: {}", reply.body);
    }
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
    let reply = send(&format!("{}/api/v1/write", server.url), &[], &claim);
    assert!(reply.status == 413 && reply.body.contains("server.unpacked_max"), "{}", reply.body);
    let reply = send(&format!("{}/write", server.url), &[("x-long", &long(20 << 10))], b"");
    assert_eq!(reply.status, 431, "{}", reply.body);
    let refused = server.rows("SELECT refused, refused_reasons FROM system.ingest WHERE protocol = 'line_protocol'");
    for word in ["limit", "series_limit", "too_large"] {
        assert!(refused[0].join(",").contains(word), "{word}: {refused:?}");
    }
}
