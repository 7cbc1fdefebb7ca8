//! A real nginx is probed, stopped and started again; SQL must tell the same story as nginx' own log.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::parts::{Program, free_port};
use crate::server::{BIN, Server, wait_for};

/// The length of a slot, in seconds.
const SLOT_S: f64 = 1.0;

/// Starts an nginx with what [`configure`] wrote.
fn start(dir: &Path) -> Program {
    let mut nginx = Command::new("nginx");
    Program::start(nginx.args(["-p", dir.to_str().unwrap(), "-c", "nginx.conf", "-e", "error.log"]))
}

/// The page that is probed.
fn page() -> String {
    format!("<h1>Welcome</h1>{}", "x".repeat(30_000))
}

/// Writes nginx' configuration: the page comes from `upstream`, and a log says what was sent.
fn configure(dir: &Path, port: u16, ssl: &str, upstream: u16) {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", dir.display()))
        .concat();
    let root = dir.display();
    let config = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
         events {{ }}
         http {{
           {temporary}
           log_format slots '$msec $status $request_time $body_bytes_sent';
           access_log {root}/access.log slots;
           server {{ listen 127.0.0.1:{port} {ssl}; location / {{ proxy_pass http://127.0.0.1:{upstream}; }} }}
         }}"
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
}

/// An application behind nginx that takes between 20 and 380 ms for a page, each time another while.
fn application() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (request, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            std::thread::sleep(Duration::from_millis(20 + request as u64 * 70 % 361));
            let page = page();
            let _ = write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        }
    });
    port
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

fn answers(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Value number `rank` of the sorted values, with the fraction interpolated, as `percentile_cont` has it.
fn percentile(values: &mut [f64], fraction: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = fraction * (values.len() - 1) as f64;
    let (below, above) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn sql_and_the_access_log_tell_the_same_story() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    configure(dir.path(), port, "", application());
    let nginx = start(dir.path());
    wait_for("nginx", || answers(port));
    let config = format!(
        "[[target]]\nname = 'portal'\ngroup = 'public'\nurl = 'http://127.0.0.1:{port}/'\ninterval = '1s'\ntimeout = '1s'\n\
         slow = '100ms'\nexpect = {{ status = [200], body = 'Welcome' }}\n"
    );
    let server = Server::start(&dir.path().join("data"), &config);
    // The first slot may have begun before: the story starts with the next one.
    std::thread::sleep(Duration::from_secs_f64(SLOT_S));
    let from_s = now_s();
    std::thread::sleep(Duration::from_secs(8));
    let stopped_s = now_s();
    nginx.stop();
    std::thread::sleep(Duration::from_millis(4300));
    let starting_s = now_s();
    let nginx = start(dir.path());
    wait_for("nginx", || answers(port));
    // It started at some time between the two.
    let started_s = now_s();
    std::thread::sleep(Duration::from_secs(7));
    let to_s = now_s();
    // The last slot's probe is done when its row is there.
    wait_for("the last slot", || {
        server.rows(&format!("SELECT count(*) FROM probe WHERE target = 'portal' AND time >= to_timestamp({to_s})"))[0]
            [0]
            != "0"
    });
    nginx.stop();

    let span = format!("target = 'portal' AND time >= to_timestamp({from_s}) AND time < to_timestamp({to_s})");
    let rows = server.rows(&format!(
        "SELECT CAST(time AS BIGINT) / 1e9, up, coalesce(status, 0), coalesce(lag_ms, 0), coalesce(total_ms, 0), outcome, bytes, error \
         FROM probe WHERE {span} ORDER BY time"
    ));
    println!("nginx stopped at {stopped_s}, started at {started_s}; slots:\n{rows:#?}");
    let number = |row: &[String], at: usize| row[at].parse::<f64>().unwrap();

    // Every slot is there, a second apart.
    let slots = ((to_s - from_s) / SLOT_S).round();
    assert!((rows.len() as f64 - slots).abs() <= 1.0, "{} rows for {slots} slots", rows.len());
    assert!(rows.windows(2).all(|pair| ((number(&pair[1], 0) - number(&pair[0], 0)) - SLOT_S).abs() < 1e-6));

    // The outage lies where nginx was stopped.
    let down: Vec<f64> = rows.iter().filter(|row| row[1] == "false").map(|row| number(row, 0)).collect();
    let (first, last) = (down[0], down[down.len() - 1]);
    assert!((first - stopped_s).abs() <= SLOT_S, "down since {first}, stopped at {stopped_s}");
    let last_slots = starting_s - SLOT_S..=started_s;
    assert!(last_slots.contains(&last), "down until {last}, started from {starting_s} to {started_s}");
    let lengths = starting_s - stopped_s - SLOT_S..=started_s - stopped_s + SLOT_S;
    assert!(lengths.contains(&(down.len() as f64 * SLOT_S)), "{} slots down", down.len());
    assert!((last - first) / SLOT_S + 1.5 > down.len() as f64, "one outage, not several");

    // Every slot that is up stands in the access log, and the other way round.
    let log = std::fs::read_to_string(dir.path().join("access.log")).unwrap();
    let log: Vec<Vec<f64>> =
        log.lines().map(|line| line.split(' ').map(|field| field.parse().unwrap()).collect()).collect();
    for row in rows.iter().filter(|row| row[1] == "true") {
        let start = number(row, 0) + number(row, 3) / 1e3;
        let end = start + number(row, 4) / 1e3;
        // nginx logs in ms when it has handed over the last byte; the client has it a little later.
        let sent = log.iter().filter(|entry| entry[1] == 200.0 && entry[0] > start && entry[0] < end + 0.1);
        assert_eq!(sent.count(), 1, "the slot at {start} is in the log once");
        let outcome = if number(row, 4) > 100.0 { "slow" } else { "ok" };
        assert_eq!((row[5].as_str(), row[6].as_str()), (outcome, "30016"), "the limit is 100 ms");
    }
    let first_row = number(&rows[0], 0);
    let last_row = number(&rows[rows.len() - 1], 0);
    let in_span = |entry: &&Vec<f64>| entry[1] == 200.0 && entry[0] > first_row && entry[0] < last_row + SLOT_S;
    let served = log.iter().filter(in_span).filter(|entry| entry[3] == 30_016.0).count();
    let up = rows.iter().filter(|row| row[1] == "true").count();
    assert!(served.abs_diff(up) <= 1, "nginx served {served}, {up} slots are up");

    // The availability that SQL gives is that of the stop times, within one slot.
    let statistics = &server.rows(&format!(
        "SELECT sum(CASE WHEN up THEN interval_ms ELSE 0 END) / sum(interval_ms) FILTER (WHERE up IS NOT NULL), \
                sum(interval_ms) FILTER (WHERE up IS NOT NULL) / {}, \
                percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms) FILTER (WHERE up), \
                percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) FILTER (WHERE up) \
         FROM probe WHERE {span}",
        (to_s - from_s) * 1e3
    ))[0];
    let one_slot = SLOT_S / (to_s - from_s);
    let expected = 1.0 - (started_s - stopped_s) / (to_s - from_s);
    assert!((number(statistics, 0) - expected).abs() <= one_slot, "{statistics:?}, expected {expected}");
    assert!((number(statistics, 1) - 1.0).abs() <= one_slot, "{statistics:?}: every slot was measured");

    // The percentiles are those of the log: nginx' own time and the little that the way adds.
    let mut request_ms: Vec<f64> = log.iter().filter(in_span).map(|entry| entry[2] * 1e3).collect();
    for (at, fraction) in [(2, 0.5), (3, 0.99)] {
        let logged = percentile(&mut request_ms, fraction);
        let measured = number(statistics, at);
        assert!((measured - logged).abs() < 50.0, "p{}: measured {measured} ms, logged {logged} ms", fraction * 100.0);
    }
}

#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn https_is_timed_and_its_certificate_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let now = SystemTime::now();
    parameters.not_before = (now - Duration::from_secs(86_400)).into();
    parameters.not_after = (now + Duration::from_secs(10 * 86_400)).into();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    std::fs::write(path("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
    let port = free_port();
    configure(
        dir.path(),
        port,
        &format!("ssl; ssl_certificate {}; ssl_certificate_key {}", path("cert.pem"), path("key.pem")),
        application(),
    );
    let nginx = start(dir.path());
    wait_for("nginx", || answers(port));

    let probe = |url: &str, roots: &str| {
        let mut command = Command::new(BIN);
        let output = command.args(["probe", "--format", "json", url]).env("SSL_CERT_FILE", roots).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, json) = probe(&format!("https://localhost:{port}/"), &path("cert.pem"));
    assert_eq!(code, Some(0), "{json}");
    let field = |name: &str| -> f64 {
        let (_, rest) = json.split_once(&format!("\"{name}\":")).expect(&json);
        rest.split([',', '}']).next().unwrap().parse().unwrap_or(f64::NAN)
    };
    let phases: f64 = ["dns_ms", "connect_ms", "tls_ms", "wait_ms", "transfer_ms"].map(field).iter().sum();
    assert!(phases > 0.0 && phases <= field("total_ms"), "every phase has a time, and no more than in all: {json}");
    assert!(field("wait_ms") >= 20.0, "the application takes its time: {json}");
    assert!((field("cert_expires_s") - 10.0 * 86_400.0).abs() < 600.0, "{json}");

    let empty = path("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let (code, json) = probe(&format!("https://localhost:{port}/"), &empty);
    assert!(code == Some(1) && json.contains("UnknownIssuer"), "{json}");
    let (code, json) = probe(&format!("https://127.0.0.1:{port}/"), &path("cert.pem"));
    assert!(
        code == Some(1) && json.contains("\"error\":\"tls_wrong_name\""),
        "the certificate is not for the address: {json}"
    );
    nginx.stop();
}
