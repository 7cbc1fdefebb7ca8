//! HTTP/3 against a real Caddy: `cargo test -p web-probe --features http3 --test http3`.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use web_probe::{
    Ask, Class, ConnectTo, Expect, Field, HttpAsk, HttpVersion, Identity, Measurement, Network, Outcome, Target,
};

/// Sites of one Caddy, each with a port and a certificate of its own.
struct Caddy {
    child: Child,
    network: Network,
    identity: Identity,
    ports: Vec<u16>,
    _dir: tempfile::TempDir,
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that are free for TCP and UDP, each another one.
fn free_ports(count: usize) -> Vec<u16> {
    let both = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::bind(listener.local_addr().unwrap());
        socket.ok().map(|socket| (listener, socket))
    };
    // None is given back before all are there.
    let taken: Vec<_> = std::iter::repeat_with(both).flatten().take(count).collect();
    taken.iter().map(|(listener, _)| listener.local_addr().unwrap().port()).collect()
}

/// A site behind the proxy that breaks off in the middle of its body.
fn cut_short() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
        }
    });
    port
}

/// A certificate for a name and its key, signed by an authority or by itself.
fn certificate(path: &Path, name: &str, issuer: Option<&Issuer<'_, &KeyPair>>, ends: SystemTime) -> (PathBuf, PathBuf) {
    let mut parameters = CertificateParams::new(vec![name.into()]).unwrap();
    parameters.not_before = (SystemTime::now() - Duration::from_hours(2400)).into();
    parameters.not_after = ends.into();
    let key = KeyPair::generate().unwrap();
    let signed = match issuer {
        Some(issuer) => parameters.signed_by(&key, issuer).unwrap(),
        None => parameters.self_signed(&key).unwrap(),
    };
    let paths = (path.with_extension("pem"), path.with_extension("key"));
    std::fs::write(&paths.0, signed.pem()).unwrap();
    std::fs::write(&paths.1, key.serialize_pem()).unwrap();
    paths
}

impl Caddy {
    /// Sites with a good certificate, an expired one, one of nobody who is trusted, one without HTTP/3, one that asks
    /// who comes, and one with another site's certificate. None without the program.
    fn start() -> Option<Caddy> {
        if Command::new("caddy").arg("version").stdout(Stdio::null()).status().is_err() {
            assert!(std::env::var_os("CI").is_none(), "caddy is missing");
            eprintln!("caddy is missing: nothing is tested");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let (key, mut parameters) = (KeyPair::generate().unwrap(), CertificateParams::new(Vec::new()).unwrap());
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "the root of this test");
        let root: CertificateDer<'static> = parameters.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::from_params(&parameters, &key);
        let soon = SystemTime::now() + Duration::from_hours(240);
        let yesterday = SystemTime::now() - Duration::from_hours(24);
        let certificate = |file: &str, name, issuer, ends| certificate(&dir.path().join(file), name, issuer, ends);
        let files = [
            certificate("good", "site.example", Some(&issuer), soon),
            certificate("expired", "site.example", Some(&issuer), yesterday),
            certificate("unknown", "site.example", None, soon),
            certificate("tcp", "site.example", Some(&issuer), soon),
            certificate("members", "site.example", Some(&issuer), soon),
            certificate("other", "other.example", Some(&issuer), soon),
        ];
        let root_file = dir.path().join("root.pem");
        std::fs::write(&root_file, parameters.self_signed(&key).unwrap().pem()).unwrap();
        let identity = certificate("client", "site.example", Some(&issuer), soon);
        let identity = [identity.0, identity.1].map(|path| std::fs::read(path).unwrap());
        let identity = Identity::from_pem(&identity[0], &identity[1]).unwrap();
        let ports = free_ports(files.len());
        let cut = cut_short();
        std::fs::write(dir.path().join("large"), vec![b'a'; 3 << 20]).unwrap();
        let sites = ports.iter().zip(&files).map(|(port, (certificate, key))| {
            let asks = match certificate.file_stem().is_some_and(|name| name == "members") {
                true => format!(
                    "{{\n client_auth {{\n mode require_and_verify\n trusted_ca_cert_file {}\n }}\n }}",
                    root_file.display()
                ),
                false => String::new(),
            };
            format!(
                "https://site.example:{port} {{\n bind 127.0.0.1\n tls {} {} {asks}\n root * {}\n\
                 route {{\n redir /old /new 302\n respond /new \"new {{http.request.method}} {{http.request.body}}\"\n\
                 reverse_proxy /cut 127.0.0.1:{cut}\n file_server /large\n respond /missing 404\n respond \"hello\"\n}}\n}}\n",
                certificate.display(),
                key.display(),
                dir.path().display()
            )
        });
        // This Caddy does not see the name of a handshake over QUIC, and answers 421 where it asks who comes.
        let options = format!(
            "servers 127.0.0.1:{} {{\n protocols h1 h2\n }}\nservers 127.0.0.1:{} {{\n strict_sni_host insecure_off\n }}\n",
            ports[3], ports[4]
        );
        let config = format!("{{\n admin off\n auto_https off\n{options}}}\n{}", sites.collect::<String>());
        let file = dir.path().join("Caddyfile");
        std::fs::write(&file, config).unwrap();
        let mut caddy = Command::new("caddy");
        caddy.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = caddy.env("HOME", dir.path()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let caddy = Caddy { child, network: Network::trusting(vec![root]), identity, ports, _dir: dir };
        let start = Instant::now();
        while !caddy.ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok()) {
            let log = || std::fs::read_to_string(caddy._dir.path().join("log")).unwrap();
            assert!(start.elapsed() < Duration::from_secs(20), "caddy does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(caddy)
    }

    async fn ask(&self, site: usize, path: &str, ask: Ask) -> Measurement {
        let url = format!("https://site.example:{}{path}", self.ports[site]);
        let http = HttpAsk { version: HttpVersion::Http3, ..ask.http.clone() };
        let target = Target::new(&url, Ask { http, ..ask }).unwrap();
        let mut target = target.connecting_to(ConnectTo::Pinned("127.0.0.1".parse().unwrap()));
        target.terms.timeout = Duration::from_secs(3);
        target.probe(&self.network).await
    }
}

fn fails_with(measurement: &Measurement, class: Class, reason: &str) {
    assert_eq!(measurement.outcome, Outcome::Fail, "{measurement:?}");
    let failure = measurement.failure.as_ref().unwrap();
    assert!(failure.class == class && failure.message.contains(reason), "{failure:?}");
}

#[tokio::test]
async fn http3_is_spoken_and_every_phase_is_timed() {
    let Some(caddy) = Caddy::start() else { return };
    let hello = caddy.ask(0, "/", Ask::default()).await;
    assert_eq!((hello.outcome, hello.status, hello.bytes), (Outcome::Ok, Some(200), Some(5)), "{hello:?}");
    assert!(hello.fields.contains(&("protocol", Field::Str("HTTP/3".into()))), "{hello:?}");
    let (phases, days) = (hello.phases, hello.cert_expires_s.unwrap() / 86_400);
    assert!(phases.connect.is_some() && phases.wait.is_some() && phases.transfer.is_some() && phases.tls.is_none());
    assert!((8..=10).contains(&days), "{days}");

    let large = caddy.ask(0, "/large", Ask::default()).await;
    assert_eq!((large.outcome, large.bytes), (Outcome::Ok, Some(3 << 20)), "{large:?}");
    let missing = caddy.ask(0, "/missing", Ask::default()).await;
    fails_with(&missing, Class::Status, "404");

    // A redirect is followed over a connection of its own, and a body is sent.
    let expect = Expect { body: Some("^new GET $".parse().unwrap()), ..Expect::default() };
    let led = caddy.ask(0, "/old", Ask { expect, ..Ask::default() }).await;
    assert_eq!((led.outcome, led.hops.len()), (Outcome::Ok, 2), "{led:?}");
    let http = HttpAsk { method: "POST".parse().unwrap(), body: "a=b".into(), ..HttpAsk::default() };
    let expect = Expect { body: Some("^new POST a=b$".parse().unwrap()), ..Expect::default() };
    let sent = caddy.ask(0, "/new", Ask { http, expect, ..Ask::default() }).await;
    assert_eq!(sent.outcome, Outcome::Ok, "{sent:?}");
}

#[tokio::test]
async fn what_goes_wrong_over_quic_has_its_class() {
    let Some(caddy) = Caddy::start() else { return };
    fails_with(&caddy.ask(1, "/", Ask::default()).await, Class::TlsExpired, "expired");
    fails_with(&caddy.ask(2, "/", Ask::default()).await, Class::TlsUnknownIssuer, "UnknownIssuer");
    fails_with(&caddy.ask(5, "/", Ask::default()).await, Class::TlsWrongName, "other.example");
    fails_with(
        &caddy.ask(0, "/cut", Ask::default()).await,
        Class::ConnectionClosed,
        "the body ends after 3 of 100 bytes",
    );
    // Nobody answers on UDP, which looks the same as packets that are lost.
    let none = caddy.ask(3, "/", Ask::default()).await;
    fails_with(&none, Class::ConnectTimeout, "while connecting");
    assert!(none.phases.connect.is_none() && none.cert_expires_s.is_none());

    // Who comes has to show who it is, which a server of TLS 1.3 looks at behind the handshake.
    let nobody = caddy.ask(4, "/", Ask::default()).await;
    assert_eq!((nobody.outcome, nobody.status), (Outcome::Fail, None), "{nobody:?}");
    let http = HttpAsk { identity: Some(caddy.identity.clone()), ..HttpAsk::default() };
    let member = caddy.ask(4, "/", Ask { http, ..Ask::default() }).await;
    assert_eq!((member.outcome, member.status), (Outcome::Ok, Some(200)), "{member:?}");

    let address = format!("https://127.0.0.1:{}/", caddy.ports[0]);
    let http = HttpAsk { version: HttpVersion::Http3, ..HttpAsk::default() };
    let no_name = Target::new(&address, Ask { http: http.clone(), ..Ask::default() }).unwrap();
    // Without a name in the handshake the server has none to show a certificate for.
    let measurement = no_name.probe(&caddy.network).await;
    fails_with(&measurement, Class::TlsOther, "QUIC");

    let plain = Target::new("http://site.example/", Ask { http, ..Ask::default() }).unwrap_err();
    assert_eq!(plain, "'http://site.example/': http = \"3\" is for https without a proxy");
}
