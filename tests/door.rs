//! The door: every path with every kind of token, and pages of somebody else. A path that was forgotten in a list was
//! open to everybody, or to every agent.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::clients::token;
use crate::parts::site;
use crate::server::{Server, agent};

/// What each path needs, written down apart from the server's own table: `-` for nothing.
const PATHS: [(&str, &str, &str); 62] = [
    ("GET", "/", "read"),
    ("GET", "/health", "-"),
    ("GET", "/-/healthy", "-"),
    ("GET", "/-/ready", "-"),
    ("GET", "/ping", "-"),
    ("GET", "/ready", "-"),
    ("GET", "/metrics", "read"),
    ("GET", "/api/v3/query_sql", "read"),
    ("GET", "/api/v1/query", "read"),
    ("GET", "/api/v1/query_range", "read"),
    ("GET", "/api/v1/query_exemplars", "read"),
    ("GET", "/api/v1/series", "read"),
    ("GET", "/api/v1/labels", "read"),
    ("GET", "/api/v1/label/{name}/values", "read"),
    ("GET", "/api/v1/metadata", "read"),
    ("GET", "/api/v1/format_query", "read"),
    ("GET", "/api/v1/parse_query", "read"),
    ("POST", "/api/v1/read", "read"),
    ("GET", "/federate", "read"),
    ("GET", "/api/v1/targets", "read"),
    ("GET", "/api/v1/targets/metadata", "read"),
    ("GET", "/api/v1/scrape_pools", "read"),
    ("GET", "/api/v1/status/tsdb", "read"),
    ("GET", "/api/v1/status/flags", "read"),
    ("GET", "/api/v1/status/config", "read"),
    ("GET", "/api/v1/status/runtimeinfo", "read"),
    ("GET", "/api/v1/rules", "read"),
    ("GET", "/api/v1/alerts", "read"),
    ("GET", "/api/v1/status/buildinfo", "read"),
    ("POST", "/write", "write"),
    ("POST", "/api/v2/write", "write"),
    ("POST", "/api/v3/write_lp", "write"),
    ("POST", "/api/v1/write", "write"),
    ("POST", "/v1/metrics", "write"),
    ("POST", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", "write"),
    ("POST", "/api/v1/import/prometheus", "write"),
    ("POST", "/api/v1/import/json", "write"),
    ("POST", "/api/v1/import/csv", "write"),
    ("POST", "/api/v1/import/arrow", "write"),
    ("POST", "/metrics/job/{*group}", "write"),
    ("POST", "/metrics/job@base64/{*group}", "write"),
    ("POST", "/heartbeat/{*job}", "write"),
    // What they may do in detail is in odd_clients.
    ("GET", "/query", "read|write"),
    ("GET", "/api/v2/orgs", "read|write"),
    ("GET", "/api/v2/buckets", "read|write"),
    ("GET", "/api/v3/configure/database", "read|write"),
    ("GET", "/api/v2/silences", "read|admin"),
    ("GET", "/api/v2/silence/{id}", "read|admin"),
    ("POST", "/api/v2/delete", "admin"),
    ("POST", "/api/v1/admin/flush", "admin"),
    ("POST", "/api/v1/admin/compact", "admin"),
    ("POST", "/api/v1/admin/snapshot", "admin"),
    ("POST", "/api/v1/admin/accept_damage", "admin"),
    ("POST", "/api/v1/admin/delete", "admin"),
    ("POST", "/api/v1/admin/drop", "admin"),
    ("DELETE", "/api/v3/configure/table", "admin"),
    ("POST", "/api/v1/admin/maintenance", "admin"),
    ("POST", "/api/v1/admin/maintenance/end", "admin"),
    ("POST", "/api/v1/admin/exclusions", "admin"),
    ("POST", "/api/v1/admin/exclusions/end", "admin"),
    ("POST", "/api/v1/admin/rollups", "admin"),
    ("POST", "/api/v1/admin/rollups/remove", "admin"),
];

fn status(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", server.url));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    agent().run(request.body("").unwrap()).unwrap().status().as_u16()
}

#[test]
fn every_path_takes_the_tokens_that_it_names_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let scopes = ["write", "read", "admin"];
    let tokens = scopes.map(|scope| format!("Bearer {}", token(&data_dir, &[scope])));
    let server = Server::start(&data_dir, "");
    // The server itself says which paths there are: one that is not in the table above is found.
    let mut answer = agent().get(format!("{}/nothing", server.url)).call().unwrap();
    assert_eq!(answer.status(), 404);
    let said = answer.body_mut().read_to_string().unwrap();
    let (_, said) = said.split_once("there are ").unwrap();
    let said: BTreeSet<&str> = said.trim_end_matches(['"', '}', '\n']).split(", ").collect();
    assert_eq!(said, PATHS.iter().map(|(_, path, _)| *path).collect(), "a path needs a line in this test");

    let silence = r#"{"matchers":[{"name":"a","value":"b","isRegex":false}],"startsAt":"2026-01-01T00:00:00Z","endsAt":"2099-01-01T00:00:00Z","createdBy":"me","comment":"why"}"#;
    let made =
        agent().post(format!("{}/api/v2/silences", server.url)).header("Authorization", &tokens[2]).send(silence);
    let made: serde_json::Value = serde_json::from_str(&made.unwrap().body_mut().read_to_string().unwrap()).unwrap();
    let silence = made["silenceID"].as_str().unwrap();

    for (method, path, scope) in PATHS {
        let path =
            path.replace("{*group}", "a").replace("{*job}", "a").replace("{name}", "job").replace("{id}", silence);
        let path = path.as_str();
        let is_of = |own: &str| scope.split('|').any(|scope| scope == own);
        let is_let_in = |status: u16| !matches!(status, 401 | 403 | 404 | 405);
        let without = status(&server, method, path, &[]);
        assert_eq!(is_let_in(without), scope == "-", "{path} without a token: {without}");
        assert!(scope == "-" || without == 401, "{path}: {without}");
        for made_up in ["Bearer fn9_00000000_x", "Bearer", "Basic YTpi", "Negotiate x"] {
            let status = status(&server, method, path, &[("Authorization", made_up)]);
            assert_eq!(is_let_in(status), scope == "-", "{path} with '{made_up}': {status}");
        }
        for (own, token) in scopes.iter().zip(&tokens) {
            let status = status(&server, method, path, &[("Authorization", token)]);
            // One that lists needs `read` for it: the other scope is let in and then told so.
            let is_told = status == 403 && scope.contains('|');
            let is_expected = scope == "-" || is_of(own);
            assert_eq!(
                is_let_in(status) || is_told && is_expected,
                is_expected,
                "{path} with a token for {own}: {status}"
            );
        }
        // Another method is told apart only once somebody is let in.
        let right =
            scopes.iter().zip(&tokens).find(|(own, _)| is_of(own)).map(|(_, token)| ("Authorization", token.as_str()));
        assert_eq!(status(&server, "PATCH", path, right.as_slice()), 405, "{path}");
    }
    for path in [
        "/WRITE",
        "/write/",
        "//write",
        "/api/v1/admin/flush/",
        "/api/v1/admin",
        "/%77rite",
        "/api/v1/admin/../admin/flush",
    ] {
        let headers = [("Authorization", tokens[2].as_str())];
        let status = status(&server, "POST", path, &headers);
        assert_eq!(status, 404, "{path}");
    }
}

/// Whoever stands behind a proxy, or on another page that is trusted.
#[test]
fn origins_hosts_and_a_base_path_are_let_in_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        "[server]\nbase_path = '/watch/'\nhosts = ['watch.example.org']\norigins = ['https://status.example.org']\n";
    let server = Server::start(dir.path(), config);
    let flush = |headers: &[(&str, &str)]| status(&server, "POST", "/watch/api/v1/admin/flush", headers);
    assert_eq!(flush(&[]), 200);
    assert_eq!(flush(&[("Host", "watch.example.org")]), 200);
    assert_eq!(flush(&[("Host", "evil.example")]), 403);
    assert_eq!(flush(&[("Origin", "https://evil.example")]), 403);
    assert_eq!(flush(&[("Sec-Fetch-Site", "cross-site")]), 403);
    // What looks like a token in an address let every page in where nobody asks for one.
    let foreign = [("Origin", "https://evil.example")];
    assert_eq!(status(&server, "POST", "/watch/write?u=a&p=b", &foreign), 403);
    assert_eq!(status(&server, "POST", "/watch/write?u=a&p=b", &[("Host", "evil.example")]), 403);
    assert_eq!(status(&server, "POST", "/watch/write?u=a&p=b", &[]), 204);
    assert_eq!(flush(&[("Origin", "https://status.example.org")]), 200);
    assert_eq!(status(&server, "POST", "/watchapi/v1/admin/flush", &[]), 404);
    assert_eq!(status(&server, "GET", "/health", &[("Host", "evil.example")]), 200, "whether it is alive is no secret");

    let preflight = |origin: &str| {
        let request = ureq::http::Request::builder().method("OPTIONS").uri(format!("{}/write", server.url));
        let request = request.header("Origin", origin).header("Access-Control-Request-Method", "POST");
        let answer = agent().run(request.body("").unwrap()).unwrap();
        let allowed =
            answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), allowed)
    };
    assert_eq!(preflight("https://status.example.org"), (204, Some("https://status.example.org".into())));
    assert_eq!(preflight("https://evil.example"), (403, None));
}

/// Opens a page in a browser and says what it came to be, as HTML.
pub fn browse(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--timeout=20000",
        "--virtual-time-budget=10000",
        "--dump-dom",
    ];
    let mut browser = Command::new("chromium");
    browser.args(flags).arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    let output = browser.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Somebody visits a page on the same machine, or anywhere, whose script posts to a server on loopback that asks for no
/// token. The browser sends it.
#[test]
#[cfg_attr(not(part = "chromium"), ignore = "needs chromium: .ci/run installs it")]
fn a_page_of_another_origin_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let page = |listen: &str| {
        let script = "
            const post = (path, body) => fetch(`http://LISTEN${path}`, { method: 'POST', mode: 'no-cors', body }).catch(() => {});
            (async () => {
                await post('/write', 'stolen,by=text v=1');
                await post('/write', new Blob(['stolen,by=blob v=1']));
                await post('/write', new URLSearchParams('a=b'));
                await post('/api/v1/admin/maintenance', JSON.stringify({ author: 'nobody', reason: 'none' }));
                const form = document.createElement('form');
                form.target = 'frame'; form.method = 'POST'; form.enctype = 'text/plain'; form.action = 'http://LISTEN/write';
                form.innerHTML = '<input name=\"stolen,by\" value=\"form v=1\">';
                document.body.append(form);
                form.submit();
                const shown = await fetch('http://LISTEN/api/v3/query_sql?q=SELECT+42').then(answer => answer.text(), () => 'not shown');
                document.title = `done: ${shown}`;
            })();";
        format!("<body><iframe name=frame></iframe><script>{}</script></body>", script.replace("LISTEN", listen))
    };
    // Which server its script posts to.
    let of = Arc::new(Mutex::new(String::new()));
    let server_of_page = of.clone();
    let port = site(move |_| ("200 OK\r\nContent-Type: text/html".into(), page(&server_of_page.lock().unwrap())));
    let rows = |config: &str| {
        let data_dir = dir.path().join(config.len().to_string());
        let server = Server::start(&data_dir, config);
        *of.lock().unwrap() = server.url.replace("http://", "");
        let html = browse(&format!("http://localhost:{port}/"));
        assert!(html.contains("<title>done: "), "{html}");
        let stolen = server.sql("SELECT count(*) AS n FROM stolen", "csv").body;
        (stolen, server.rows("SELECT count(*) FROM maintenance")[0][0].clone(), html.contains("<title>done: [{"))
    };
    let (stolen, maintenance, is_shown) = rows("");
    assert!(stolen.contains("not found"), "{stolen}");
    assert_eq!((maintenance.as_str(), is_shown), ("0", false));
    // The same page, when it is trusted: what kept it out was not something else.
    let (stolen, maintenance, is_shown) = rows(&format!("[server]\norigins = ['http://localhost:{port}']\n"));
    assert_eq!((stolen.as_str(), maintenance.as_str(), is_shown), ("n\n3\n", "1", true));
}
