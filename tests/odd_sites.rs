//! Sites as the world has them: pages in other characters, packed in other ways, answers that are not quite as written.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use encoding_rs::{BIG5, Encoding, GB18030, GBK};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::parts::{Program, free_port, last_rows, nginx, wait_for_rows};
use crate::server::{BIN, Server, wait_for};

/// A server on loopback that answers by path: what stands behind the status line, byte for byte. Another path is not
/// found.
fn serve(pages: Vec<(&'static str, Vec<u8>)>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, pages) = (stream.unwrap(), pages.clone());
            std::thread::spawn(move || {
                let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut chunk) {
                        Ok(count @ 1..) => head.extend_from_slice(&chunk[..count]),
                        _ => return,
                    }
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let page = pages.iter().find(|(own, _)| *own == path).map(|(_, page)| page.clone());
                let page = page.unwrap_or_else(|| b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec());
                let _ = stream.write_all(&page);
            });
        }
    });
    port
}

/// An answer with these headers.
fn page(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn in_charset(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    let (bytes, _, has_others) = encoding.encode(text);
    assert!(!has_others, "{text} can be said in {}", encoding.name());
    bytes.into_owned()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What became of targets: name, what is told of it beside its address, the class of the failure and words of it.
fn check(address: impl Fn(&str) -> String, cases: &[(&str, String, &str, &str)]) {
    let dir = tempfile::tempdir().unwrap();
    let targets: String = cases
        .iter()
        .map(|(path, more, ..)| {
            format!("[[target]]\nname = '{path}'\nurl = '{}'\ninterval = '2s'\n{more}\n", address(path))
        })
        .collect();
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "error, message");
    for (path, _, error, words) in cases {
        let row = &rows[*path];
        assert!(row[0] == *error && row[1..].join(",").contains(words), "{path}: {row:?}");
    }
}

fn body(pattern: &str) -> String {
    format!("expect = {{ body = '{pattern}' }}")
}

/// A page in GBK "did not contain" the words that stand on it in every browser.
#[test]
fn pages_are_read_in_the_characters_that_they_are_in() {
    let words = "政务服务中心";
    let meta = |charset: &str| format!("<html><head><!-- x --><meta charset=\"{charset}\"></head>{words}</html>");
    let old = format!("<META HTTP-EQUIV=content-type CONTENT='text/html; charset=gb2312'>{words}");
    let pages = vec![
        ("/header", page("content-type: text/html; charset=GBK", &in_charset(GBK, words))),
        ("/meta", page("content-type: text/html", &in_charset(GBK, &meta("gb2312")))),
        ("/old", page("Content-Type: TEXT/HTML", &in_charset(GBK, &old))),
        ("/big5", page("content-type: text/html;charset=\"Big5\"", &in_charset(BIG5, "臺灣政府"))),
        ("/gb18030", page("content-type: text/plain; charset=gb18030", &in_charset(GB18030, "㐂𠮷"))),
        ("/nothing", page("content-type: text/html", &in_charset(GBK, &words.repeat(3)))),
        ("/utf8", page("content-type: text/html", words.as_bytes())),
        ("/bom", page("content-type: application/json", b"\xef\xbb\xbf{\"status\":\"green\"}")),
        (
            "/xml",
            page(
                "content-type: text/xml",
                &in_charset(GBK, &format!("<?xml version='1.0' encoding='gbk'?><a>{words}</a>")),
            ),
        ),
        ("/json", page("content-type: application/json;charset=gbk", &in_charset(GBK, "{\"name\":\"服务\"}"))),
    ];
    let port = serve(pages);
    let json = |path: &str, pattern: &str| format!("expect = {{ json = {{ \"{path}\" = '{pattern}' }} }}");
    let cases = [
        ("/header", body("^政务服务中心$"), "", ""),
        ("/meta", body("政务服务中心</html>"), "", ""),
        ("/old", body("政务"), "", ""),
        ("/big5", body("臺灣"), "", ""),
        ("/gb18030", body("^㐂𠮷$"), "", ""),
        ("/nothing", body("政务服务中心"), "", ""),
        ("/utf8", body("政务服务中心"), "", ""),
        ("/bom", json("$.status", "^green$"), "", ""),
        ("/xml", body("政务"), "", ""),
        ("/json", json("$.name", "^服务$"), "", ""),
    ];
    check(|path| format!("http://127.0.0.1:{port}{path}"), &cases);
}

/// The same by nginx and Apache, as they serve pages of the time before UTF-8: with the characters in a header, or in
/// the page alone, packed and not.
#[test]
#[cfg_attr(not(all(part = "nginx", part = "apache2")), ignore = "needs nginx, apache2: .ci/run installs them")]
fn nginx_and_apache_serve_pages_in_gbk() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    // Apache serves as another user.
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir_all(root.join("site")).unwrap();
    let words = "政务服务中心";
    let meta = format!("<html><head><meta charset=\"gb2312\"></head>{}</html>", words.repeat(100));
    std::fs::write(root.join("site/meta.html"), in_charset(GBK, &meta)).unwrap();
    std::fs::write(root.join("site/header.gbk"), in_charset(GBK, words)).unwrap();
    let [nginx_port, apache_port] = [(); 2].map(|()| free_port());
    let site = root.join("site").display().to_string();
    let servers = format!(
        "gzip on; gzip_types *; gzip_min_length 1;
         server {{ listen 127.0.0.1:{nginx_port}; root {site}; types {{ text/html html; text/plain gbk; }}
             location /header.gbk {{ charset gbk; }} }}"
    );
    let _nginx = nginx(root, &servers, nginx_port);
    let modules = ["mpm_event", "authz_core", "mime", "filter", "deflate"];
    let modules = modules.map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"));
    let config = format!(
        "ServerName localhost\nListen 127.0.0.1:{apache_port}\nDocumentRoot {site}\nUser nobody\nGroup nogroup\n\
         PidFile {0}/apache.pid\nErrorLog {0}/apache.log\nDefaultRuntimeDir {0}\nTypesConfig /dev/null\n\
         AddType text/html .html\nAddType text/plain .gbk\nAddCharset GBK .gbk\nAddOutputFilterByType DEFLATE text/html\n",
        root.display()
    );
    std::fs::write(root.join("apache.conf"), format!("{}{config}", modules.concat())).unwrap();
    let _apache = Program::start(Command::new("apache2").args(["-X", "-f"]).arg(root.join("apache.conf")));
    wait_for("Apache", || std::net::TcpStream::connect(("127.0.0.1", apache_port)).is_ok());
    let packed = "headers = { Accept-Encoding = 'gzip' }";
    let cases: Vec<_> = [nginx_port, apache_port]
        .into_iter()
        .flat_map(|port| ["meta.html", "header.gbk"].map(|page| format!("http://127.0.0.1:{port}/{page}")))
        .flat_map(|url| ["", packed].map(|packed| (url.clone(), packed)))
        .collect();
    let targets = cases.iter().enumerate().map(|(at, (url, packed))| {
        let expect = format!("expect = {{ body = '{words}', headers = {{ content-length = '' }} }}");
        let expect = if packed.is_empty() { expect } else { body(words) };
        format!("[[target]]\nname = 't{at}'\nurl = '{url}'\ninterval = '2s'\n{expect}\n{packed}\n")
    });
    let targets: String = targets.collect();
    let server = Server::start(&root.join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, error, message");
    for (at, case) in cases.iter().enumerate() {
        assert_eq!(rows[&format!("t{at}")][0], "ok", "{case:?}: {:?}", rows[&format!("t{at}")]);
    }
}

/// A page that was packed by `GZIP` was searched as it was packed; one by `br` "did not contain" anything.
#[test]
fn bodies_are_unpacked_as_browsers_do() {
    let text = b"Welcome to the portal. ".repeat(50);
    // "Welcome" as a brotli stream of one uncompressed piece.
    let brotli = [&[0x0b, 0x03, 0x80][..], b"Welcome", &[0x03]].concat();
    let large = |bytes: usize| format!("{{\"fill\":\"{}\",\"last\":7}}", "x".repeat(bytes));
    let pages = vec![
        ("/gzip", page("content-encoding: GZIP", &gzip(&text))),
        ("/x-gzip", page("content-encoding: x-gzip", &gzip(&text))),
        ("/zlib", page("content-encoding: deflate", &zlib(&text))),
        ("/raw", page("content-encoding: deflate", &zlib(&text)[2..])),
        ("/zstd", page("content-encoding: zstd", &zstd::encode_all(&text[..], 3).unwrap())),
        ("/twice", page("content-encoding: deflate, gzip", &gzip(&zlib(&text)))),
        ("/br", page("content-encoding: br", &brotli)),
        ("/compress", page("content-encoding: compress", b"\x1f\x9d...")),
        ("/hash", page("content-encoding: gzip", &gzip(&text))),
        ("/large", page("content-type: application/json", large(3 << 20).as_bytes())),
        ("/too-large", page("content-type: application/json", large(17 << 20).as_bytes())),
    ];
    let port = serve(pages);
    let mut cases: Vec<(&str, String, &str, &str)> = ["/gzip", "/x-gzip", "/zlib", "/raw", "/zstd", "/twice", "/br"]
        .map(|path| (path, body("^Welcome"), "", ""))
        .into();
    let json = || "expect = { json = { \"$.last\" = '^7$' } }".to_owned();
    cases.extend([
        ("/compress", body("x"), "protocol", "packed by 'compress'; known are gzip, deflate, br and zstd"),
        ("/hash", format!("expect = {{ sha256 = '{}' }}", sha256(&text)), "", ""),
        ("/large", json(), "", ""),
        ("/too-large", json(), "body_too_large", "is larger than 16 MiB"),
    ]);
    check(|path| format!("http://127.0.0.1:{port}{path}"), &cases);
}

/// Two pages in GBK that differ had the same hash, as their characters had become U+FFFD before.
#[test]
fn what_is_hashed_keeps_every_byte() {
    let (one, other) = (in_charset(GBK, "服务<time>中文</time>中心"), in_charset(GBK, "服务中心"));
    let damaged = b"\x81<time>\xff</time>\xfe".to_vec();
    let pages = vec![
        ("/one", page("content-type: text/html; charset=gbk", &one)),
        ("/other", page("content-type: text/html; charset=gbk", &one)),
        ("/damaged", page("content-type: text/html; charset=gbk", &damaged)),
        ("/steps", page("content-type: text/html", b"whole")),
    ];
    let port = serve(pages);
    let masked = |hash: &str| format!("expect = {{ sha256 = '{hash}', masks = ['<time>.*?</time>'] }}");
    let wrong = sha256(&in_charset(GBK, "服务中人"));
    let steps = format!(
        "kind = 'steps'\n[[target.step]]\nname = 'a'\nurl = '/steps'\nexpect = {{ sha256 = '{}' }}",
        sha256(b"whole")
    );
    let cases = [
        ("/one", masked(&sha256(&other)), "", ""),
        ("/other", masked(&wrong), "content", &*sha256(&other)),
        ("/damaged", masked(&sha256(b"\x81\xfe")), "", ""),
        ("/steps", steps, "", ""),
    ];
    check(|path| format!("http://127.0.0.1:{port}{path}"), &cases);
}

/// A redirect whose address is in GBK led nowhere; a scenario found nothing to extract; links of a page in GBK were
/// broken that work in every browser; a banner in GBK did not match.
#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn redirects_steps_links_and_banners_have_characters_too() {
    let root = tempfile::tempdir().unwrap();
    let moved =
        [&b"HTTP/1.1 302 Found\r\nlocation: /"[..], &in_charset(GBK, "政"), b"?a=1\r\ncontent-length: 0\r\n\r\n"]
            .concat();
    let port = serve(vec![
        ("/moved", moved),
        ("/%D5%FE?a=1", page("content-type: text/plain", b"here")),
        ("/form", page("content-type: text/html; charset=gbk", &in_charset(GBK, "令牌=中文。"))),
        ("/next?t=%E4%B8%AD%E6%96%87", page("content-type: text/plain", b"let in")),
    ]);
    let steps = "kind = 'steps'\n[[target.step]]\nname = 'a'\nurl = '/form'\nextract = { t = '令牌=(.+)。' }\n\
                 [[target.step]]\nname = 'b'\nurl = '/next?t={t}'\nexpect = { body = 'let in' }";
    check(
        |path| format!("http://127.0.0.1:{port}{path}"),
        &[("/moved", body("^here$"), "", ""), ("/form", steps.to_owned(), "", "")],
    );

    // A real nginx with pages in GBK, one of which says so in its head only.
    let own = free_port();
    std::fs::write(root.path().join("index.html"), in_charset(GBK, "<meta charset=gbk><a href='/find?q=政'>政</a>"))
        .unwrap();
    let servers = format!(
        "server {{ listen 127.0.0.1:{own}; root {}; default_type 'TEXT/HTML';
           location = /find {{ if ($args = 'q=%D5%FE') {{ return 200 found; }} return 404; }} }}",
        root.path().display()
    );
    let _nginx = nginx(root.path(), &servers, own);
    let links = "kind = 'links'\nlinks = { depth = 1, pause = '1ms' }".to_owned();
    check(|_| format!("http://127.0.0.1:{own}/"), &[("site", body("政"), "", ""), ("links", links, "", "")]);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let banner = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(&in_charset(GBK, "220 欢迎使用文件传输服务\r\n"));
        }
    });
    check(
        |_| format!("tcp://127.0.0.1:{banner}"),
        &[("ftp", body("^220 欢迎"), "", ""), ("other", body("再见"), "body", "does not contain '再见'")],
    );
}

/// What people never see and strict clients stumble over: up, and noted.
#[test]
fn odd_answers_are_taken_as_browsers_take_them_and_noted() {
    let many: String = (0..300).map(|number| format!("x-{number}: 1\r\n")).collect();
    let raw = |head: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\n{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let pages = vec![
        ("/plain", raw("", "here")),
        ("/folded", raw("x-long: one\r\n two\r\n", "here")),
        ("/odd", raw("x odd: 1\r\nx-space : 2\r\n", "here")),
        ("/many", raw(&many, "here")),
        ("/large", raw(&format!("x-large: {}\r\n", "a".repeat(200_000)), "here")),
        // Until there is a cookie it leads to itself.
        (
            "/secret",
            b"HTTP/1.1 302 Found\r\nlocation: http://user:s3cret@127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ),
    ];
    let port = serve(pages);
    let circle = crate::parts::site(|request| match request.contains("seen=1") {
        true => ("200 OK".into(), "in".into()),
        false => ("302 Found\r\nLocation: /\r\nSet-Cookie: seen=1".into(), String::new()),
    });
    // What it is told comes back.
    let echo = crate::parts::site(|request| ("200 OK".into(), request.to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let target = |name: &str, url: String, more: &str| {
        format!("[[target]]\nname = '{name}'\nurl = '{url}'\ninterval = '2s'\n{more}\n")
    };
    let own = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let mut targets: String = ["/plain", "/folded", "/odd", "/many", "/large"]
        .iter()
        .map(|path| target(path, own(path), "expect = { body = '^here$' }"))
        .collect();
    let gone = free_port();
    targets += &target("circle", format!("http://127.0.0.1:{circle}/"), "expect = { body = '^in$' }");
    targets += &target(
        "echo",
        format!("http://127.0.0.1:{echo}/"),
        "bearer_token = 'tok-8842'\nexpect = { body_not = 'tok-[0-9]+' }",
    );
    targets += &target("kept out", own("/plain"), "expect = { body_not = 'HERE', status = ['2xx', 301, '400-404'] }");
    targets += &target("found", own("/plain"), "expect = { body_not = 'h.re' }");
    targets += &target("redirect", own("/secret"), "");
    targets += &target("proxy", own("/plain"), &format!("proxy = 'http://127.0.0.1:{gone}'"));
    targets += &target("closed", format!("tcp://127.0.0.1:{gone}"), "upside_down = true");
    targets += &target("open", format!("tcp://127.0.0.1:{port}"), "upside_down = true");
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, error, notes, message");
    for (name, outcome, error, notes, message) in [
        ("/plain", "ok", "", "", ""),
        ("/folded", "ok", "", "folded_headers", ""),
        ("/odd", "ok", "", "odd_headers", ""),
        ("/many", "ok", "", "many_headers", ""),
        ("/large", "ok", "", "large_head", ""),
        ("circle", "ok", "", "", ""),
        ("echo", "fail", "body", "", "the body contains '***'"),
        ("kept out", "ok", "", "", ""),
        ("found", "fail", "body", "", "the body contains 'here'"),
        ("redirect", "fail", "connect_refused", "", "127.0.0.1:1"),
        ("proxy", "fail", "proxy", "", "connect to"),
        ("closed", "ok", "", "", ""),
        ("open", "fail", "up", "", "upside_down"),
    ] {
        let row = &rows[name];
        assert!(row[..3] == [outcome, error, notes] && row[3..].join(",").contains(message), "{name}: {row:?}");
    }
    let hops = server.rows("SELECT DISTINCT url FROM probe_hop WHERE target = 'redirect' ORDER BY 1").concat();
    assert!(hops.iter().all(|url| !url.contains("s3cret")), "{hops:?}");
    // Of 1.11 ms 0.26 belonged to no phase.
    let apart = server.rows(
        "SELECT * FROM (SELECT target, total_ms, coalesce(dns_ms, 0) + coalesce(connect_ms, 0) + coalesce(tls_ms, 0)
           + coalesce(wait_ms, 0) + coalesce(transfer_ms, 0) AS phases FROM probe
         WHERE outcome = 'ok' AND kind = 'http' AND target <> 'fournines') WHERE abs(total_ms - phases) > 0.006",
    );
    assert!(apart.is_empty(), "{apart:?}");
}

/// A site of a firm of its own, a certificate that is trusted itself, one that nobody trusts, one that is sent along and
/// has ended, an old server that speaks nothing of ours, and one that hangs up without a word of TLS.
#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn certificates_are_believed_as_they_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let authority = crate::parts::Authority::new(root);
    authority.certificate("own", "localhost", 30, true);
    authority.certificate("itself", "localhost", 20, false);
    authority.certificate("ended", "localhost", -3, false);
    let file = |name: &str| root.join(name).display().to_string();
    // What is sent along has nothing to do with it.
    let sent = format!(
        "{}{}",
        std::fs::read_to_string(file("own.pem")).unwrap(),
        std::fs::read_to_string(file("ended.pem")).unwrap()
    );
    std::fs::write(file("sent.pem"), sent).unwrap();
    let [own, itself, sends, old] = [(); 4].map(|()| free_port());
    let server = |port: u16, cert: &str, key: &str, more: &str| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; {more} location / {{ return 200 here; }} }}\n",
            file(cert),
            file(key)
        )
    };
    let servers = [
        server(own, "own.pem", "own.key", ""),
        server(itself, "itself.pem", "itself.key", ""),
        server(sends, "sent.pem", "own.key", ""),
        server(old, "own.pem", "own.key", "ssl_protocols TLSv1.2; ssl_ciphers AES128-SHA256;"),
    ];
    let _nginx = nginx(root, &servers.concat(), own);
    let target = |name: &str, scheme: &str, port: u16, more: &str| {
        format!("[[target]]\nname = '{name}'\nurl = '{scheme}://localhost:{port}/'\ninterval = '2s'\n{more}\n")
    };
    let ca = |name: &str| format!("ca = '{}'", file(name));
    let targets = [
        target("nobody", "https", own, ""),
        target("ca", "https", own, &ca("roots.pem")),
        target("other ca", "https", own, &ca("itself.pem")),
        target("itself", "https", itself, &ca("itself.pem")),
        target("insecure", "https", itself, "insecure = true"),
        target("path", "tls", sends, &ca("roots.pem")),
        target("old", "https", old, &ca("roots.pem")),
        target("old not ours", "https", old, &format!("{}\ntls_unsupported = 'missed'", ca("roots.pem"))),
    ]
    .concat();
    let server = Server::start(&root.join("data"), &targets);
    wait_for("rows of all", || {
        server.rows("SELECT count(DISTINCT target) FROM probe WHERE kind <> 'host' AND target <> 'fournines'")
            == [["8"]]
    });
    let rows = server.rows(
        "SELECT DISTINCT target, outcome, coalesce(error, ''), coalesce(notes, ''), round(chain_expires_s / 86400.0) FROM probe
         WHERE kind <> 'host' AND target <> 'fournines' ORDER BY target",
    );
    let expected = [
        ["ca", "ok", "", "", ""],
        ["insecure", "ok", "", "insecure", ""],
        ["itself", "ok", "", "", ""],
        ["nobody", "fail", "tls_unknown_issuer", "", ""],
        ["old", "fail", "tls_unsupported", "", ""],
        ["old not ours", "missed", "tls_unsupported", "", ""],
        ["other ca", "fail", "tls_unknown_issuer", "", ""],
        ["path", "ok", "", "", "30.0"],
    ];
    assert_eq!(rows, expected);
}

/// A server that hangs up on HEAD had all of its files broken; a style sheet's pictures were never tried; a site whose
/// `robots.txt` cannot be had was read.
#[test]
fn links_are_tried_as_browsers_and_robots_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            if head.starts_with("HEAD") {
                continue;
            }
            let (kind, body) = match head.split(' ').nth(1).unwrap_or_default() {
                "/" => ("text/html", "<link rel=stylesheet href=/s.css><img srcset='/a.png 1x, /gone.png 2x'>"),
                "/s.css" => ("text/css", "p { background: url(/p.png) } q { background: url('/lost.png') }"),
                "/a.png" | "/p.png" => ("image/png", "png"),
                "/robots.txt" => ("text/plain", "User-agent: *\nAllow: /\n"),
                _ => {
                    let _ =
                        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    continue;
                }
            };
            let _ = stream.write_all(&page(&format!("content-type: {kind}"), body.as_bytes()));
        }
    });
    let closed = crate::parts::site(|request| match request.split(' ').nth(1) {
        Some("/robots.txt") => ("503 Service Unavailable".into(), String::new()),
        _ => ("200 OK\r\nContent-Type: text/html".into(), "<a href=/inside>in</a>".into()),
    });
    let dir = tempfile::tempdir().unwrap();
    let target = |name: &str, port: u16| {
        format!(
            "[[target]]\nname = '{name}'\nkind = 'links'\nurl = 'http://127.0.0.1:{port}/'\ninterval = '2s'\nlinks = {{ depth = 1, pause = '1ms' }}\n"
        )
    };
    let targets = target("site", port) + &target("closed", closed);
    let server = Server::start(&dir.path().join("data"), &targets);
    wait_for_rows(&server, &targets);
    let rows = last_rows(&server, "outcome, error, pages, links, broken_links, notes");
    assert_eq!(rows["site"], ["fail", "links", "1", "6", "2", ""]);
    assert_eq!(rows["closed"], ["ok", "", "1", "1", "0", "robots_unreachable"]);
    let broken = server.rows("SELECT DISTINCT link, page FROM probe_link WHERE target = 'site' ORDER BY link");
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    assert_eq!(broken, [[at("/gone.png"), at("/")], [at("/lost.png"), at("/s.css")]]);
}

/// A target of the configuration could not be tried by hand, and a name alone was no address.
#[test]
fn a_probe_by_hand_takes_a_target_headers_and_expectations() {
    let dir = tempfile::tempdir().unwrap();
    let echo = crate::parts::site(|request| ("201 Created".into(), request.to_lowercase()));
    let config = dir.path().join("fournines.toml");
    let target = format!(
        "[[target]]\nname = 'echo'\nurl = 'http://127.0.0.1:{echo}/'\nheaders = {{ X-Own = 'yes' }}\nexpect = {{ body = 'x-own: yes' }}\n"
    );
    std::fs::write(&config, target).unwrap();
    let probe = |args: &[&str]| {
        let mut command = Command::new(BIN);
        let output = command.arg("probe").args(args).current_dir(dir.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let url = format!("http://127.0.0.1:{echo}/");
    let (code, said) = probe(&["--target", "echo"]);
    assert!(code == Some(0) && said.starts_with("echo is up: status 201"), "{said}");
    let (code, said) = probe(&["--target", "other"]);
    assert!(code == Some(2) && said.contains("no target is called 'other'; there are echo"), "{said}");
    let post = ["--method", "POST", "--header", "X-Two: 2", "--body", "what", "--expect-status", "2xx,404"];
    let (code, said) = probe(&[&post[..], &["--expect-body", "(?s)^post.*x-two: 2", &url]].concat());
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = probe(&["--expect-status", "200", &url]);
    assert!(code == Some(1) && said.contains("status 201 is not expected"), "{said}");
    let (code, said) = probe(&["--expect-status", "two", &url]);
    assert!(code == Some(2) && said.contains("'two' is no status; expected 200"), "{said}");
    let (code, said) = probe(&["--timeout", "2s", &format!("localhost:{}", free_port())]);
    assert!(code == Some(1) && said.starts_with("https://localhost:") && said.contains("connect_refused"), "{said}");
    let (code, said) = probe(&[]);
    assert!(code == Some(2) && said.contains("<URL>"), "{said}");
}

/// A certificate authority that was added to the system's was not believed before the server was started again.
#[test]
#[cfg_attr(not(part = "nginx"), ignore = "needs nginx: .ci/run installs it")]
fn the_systems_certificates_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let authority = crate::parts::Authority::new(root);
    authority.certificate("server", "localhost", 30, true);
    authority.certificate("other", "localhost", 30, false);
    let port = free_port();
    let file = |name: &str| root.join(name).display().to_string();
    let servers = format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; location / {{ return 200 here; }} }}",
        file("server.pem"),
        file("server.key")
    );
    let _nginx = nginx(root, &servers, port);
    let (trusted, targets) = (
        root.join("trusted.pem"),
        format!("[[target]]\nname = 'site'\nurl = 'https://localhost:{port}/'\ninterval = '1s'\n"),
    );
    std::fs::copy(root.join("other.pem"), &trusted).unwrap();
    let mut command = Command::new(BIN);
    let server = Server::start_under(command.env("SSL_CERT_FILE", &trusted), &root.join("data"), &targets);
    wait_for_rows(&server, &targets);
    assert_eq!(last_rows(&server, "error")["site"], ["tls_unknown_issuer"]);
    std::fs::copy(root.join("roots.pem"), &trusted).unwrap();
    wait_for("trust", || last_rows(&server, "outcome")["site"] == ["ok"]);
}
