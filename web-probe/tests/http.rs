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

/// A server of TLS with a certificate of its own, and a network that trusts it. `behave` gets each connection with the
/// protocol that was agreed upon.
async fn tls_server<F>(behave: fn(tokio_rustls::server::TlsStream<tokio::net::TcpStream>) -> F) -> (u16, Network)
where
    F: Future<Output = ()> + Send + 'static,
{
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let der = key.cert.der().clone();
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![der.clone()], private).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    behave(stream).await;
                }
            });
        }
    });
    (port, Network::trusting(vec![der]))
}

fn notes(measurement: &Measurement) -> String {
    let notes = measurement.fields.iter().find(|(name, _)| *name == "notes");
    notes.map_or_else(String::new, |(_, field)| format!("{field:?}"))
}

/// A server of Windows that takes HTTP/2 and wants HTTP/1.1 for what needs a login: every browser asks again.
#[tokio::test]
async fn a_server_that_wants_http_1_1_is_asked_by_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (port, network) = tls_server(|mut stream| async move {
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                respond.send_reset(h2::Reason::HTTP_1_1_REQUIRED);
            }
            return;
        }
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhere").await;
        let _ = stream.shutdown().await;
    })
    .await;
    let mut target = Target::new(&format!("https://localhost:{port}/"), Ask::default()).unwrap();
    let measurement = target.probe(&network).await;
    assert_eq!((measurement.outcome, measurement.status), (Outcome::Ok, Some(200)), "{measurement:?}");
    assert!(notes(&measurement).contains("http_1_1_required"), "{measurement:?}");
    let phases = measurement.phases;
    let parts = [phases.dns, phases.connect, phases.tls, phases.wait, phases.transfer];
    assert_eq!(parts.iter().flatten().sum::<Duration>(), phases.total.unwrap());
    // Who asks for HTTP/2 and nothing else is told.
    let http = web_probe::HttpAsk { version: web_probe::HttpVersion::Http2, ..web_probe::HttpAsk::default() };
    target = Target::new(&format!("https://localhost:{port}/"), Ask { http, ..Ask::default() }).unwrap();
    let measurement = target.probe(&network).await;
    assert_eq!(measurement.outcome, Outcome::Fail);
    assert!(measurement.failure.unwrap().message.contains("HTTP/1.1"));
}

/// Old servers hang up without a word of TLS: what was whole by then is an answer, and what was not is none.
#[tokio::test]
async fn an_end_without_a_word_of_tls_is_an_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    async fn answer(mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>, answer: &[u8]) {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(answer).await;
        let _ = stream.flush().await;
        // The connection below, and not TLS.
        let _ = stream.get_mut().0.shutdown().await;
    }
    let http = || web_probe::HttpAsk { version: web_probe::HttpVersion::Http1, ..web_probe::HttpAsk::default() };
    let ask = |port: u16| {
        let expect = Expect { body: Some("^here$".parse().unwrap()), ..Expect::default() };
        Target::new(&format!("https://localhost:{port}/"), Ask { http: http(), expect, ..Ask::default() }).unwrap()
    };
    let (port, network) =
        tls_server(|stream| answer(stream, b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhere")).await;
    let measurement = ask(port).probe(&network).await;
    assert_eq!(measurement.outcome, Outcome::Ok, "{measurement:?}");
    assert!(notes(&measurement).contains("no_close_notify"), "{measurement:?}");
    let (port, network) =
        tls_server(|stream| answer(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhere")).await;
    let measurement = ask(port).probe(&network).await;
    fails_with(&measurement, Class::ConnectionClosed, "");
}
