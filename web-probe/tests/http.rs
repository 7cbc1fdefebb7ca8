//! Servers that misbehave: every probe ends in time, says what went wrong, and keeps what it had measured.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use web_probe::{Ask, Class, Expect, Measurement, Network, Outcome, Target};

/// Probes a server that does `behave` with its connection, with a timeout of half a second.
async fn probe(expect: Expect, behave: impl FnOnce(TcpStream) + Send + 'static) -> Measurement {
    probe_changed(expect, |_| {}, behave).await
}

/// The same of a target that is changed before.
async fn probe_changed(
    expect: Expect,
    change: impl FnOnce(&mut Target),
    behave: impl FnOnce(TcpStream) + Send + 'static,
) -> Measurement {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        behave(stream);
    });
    let ask = Ask { expect, ..Ask::default() };
    let mut target = Target::new(&format!("http://{address}/"), ask).unwrap();
    target.terms.timeout = Duration::from_millis(500);
    change(&mut target);
    let measurement = target.probe(&Network::new()).await;
    let phases = measurement.phases;
    let parts = [phases.dns, phases.connect, phases.tls, phases.wait, phases.transfer];
    let total = phases.total.unwrap();
    assert!(parts.iter().flatten().sum::<Duration>() <= total, "the phases are parts of the total: {phases:?}");
    measurement
}

fn fails_with(measurement: &Measurement, class: Class, reason: &str) {
    assert_eq!(measurement.outcome, Outcome::Fail, "{measurement:?}");
    let failure = measurement.failure.as_ref().unwrap();
    assert!(failure.class == class && failure.message.contains(reason), "{failure:?}");
}

/// A server that gives this answer and closes.
fn answers(answer: &'static str) -> impl FnOnce(TcpStream) + Send + 'static {
    move |mut stream| drop(stream.write_all(answer.as_bytes()))
}

#[tokio::test]
async fn a_silent_server_times_out_while_waiting() {
    let silent = |_stream| std::thread::sleep(Duration::from_secs(30));
    let measurement = probe(Expect::default(), silent).await;
    fails_with(&measurement, Class::WaitTimeout, "timeout after 500ms while waiting for the answer");
    assert!(measurement.phases.connect.is_some() && measurement.status.is_none());
}

#[tokio::test]
async fn a_body_that_never_ends_times_out() {
    let endless = |mut stream: TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    };
    let measurement = probe(Expect::default(), endless).await;
    fails_with(&measurement, Class::TransferTimeout, "timeout after 500ms while reading the body");
    assert_eq!(measurement.status, Some(200));
    assert!(measurement.bytes.unwrap() > 65536);
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_a_failure() {
    let cut = answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    let measurement = probe(Expect::default(), cut).await;
    fails_with(&measurement, Class::ConnectionClosed, "http: ");
    assert_eq!((measurement.status, measurement.bytes), (Some(200), Some(9)));
}

#[tokio::test]
async fn garbage_and_a_closed_door_are_failures() {
    fails_with(&probe(Expect::default(), answers("SSH-2.0-OpenSSH_9.2\r\n")).await, Class::Protocol, "http: ");
    fails_with(&probe(Expect::default(), drop).await, Class::ConnectionClosed, "http: ");
    let nobody = Target::new("http://127.0.0.1:1/", Ask::default()).unwrap();
    fails_with(&nobody.probe(&Network::new()).await, Class::ConnectRefused, "refused");
}

#[tokio::test]
async fn status_and_body_decide_and_slow_is_up() {
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nWelcome";
    let measurement = probe(Expect::default(), answers(page)).await;
    assert_eq!((measurement.outcome, measurement.bytes), (Outcome::Ok, Some(7)));

    let wants = |pattern: &str| Expect { body: Some(pattern.parse().unwrap()), ..Expect::default() };
    let measurement = probe(wants("^Wel.*e$"), answers(page)).await;
    assert_eq!(measurement.outcome, Outcome::Ok);
    let measurement = probe(wants("Goodbye"), answers(page)).await;
    fails_with(&measurement, Class::Body, "the body does not contain 'Goodbye'");

    let measurement =
        probe_changed(Expect::default(), |target| target.terms.slow = Some(Duration::ZERO), answers(page)).await;
    assert_eq!((measurement.outcome, measurement.outcome.up()), (Outcome::Slow, Some(true)));

    let moved = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n";
    let measurement = probe(Expect::default(), answers(moved)).await;
    fails_with(&measurement, Class::AddressNotAllowed, "link-local or metadata");
    assert_eq!((measurement.status, measurement.hops.len()), (Some(302), 1));
    let down = answers("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    fails_with(&probe(Expect::default(), down).await, Class::Status, "status 503 is not expected");
}
