//! Availability of hand-made timelines, with their arithmetic; maintenance and exclusions over HTTP and the command
//! line.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::server::{BIN, Server, post};

/// Slots of `target`, every `step_s` seconds from `start` on: `+` up, `-` down, `?` missed, `m` up in maintenance, a
/// space is no slot.
fn slots(target: &str, start_s: i64, step_s: i64, signs: &str) -> String {
    let line = |(at, sign): (usize, char)| {
        let state = match sign {
            '+' => "outcome=\"ok\",up=true",
            '-' => "outcome=\"fail\",up=false",
            'm' => "outcome=\"maintenance\",up=true",
            '?' => "outcome=\"missed\"",
            _ => return String::new(),
        };
        let (time, interval) = (start_s + at as i64 * step_s, step_s * 1000);
        format!("probe,target={target},location=here {state},interval_ms={interval} {time}\n")
    };
    signs.chars().enumerate().map(line).collect()
}

fn server(lines: &[String]) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let reply = server.write("?precision=s", lines.concat().as_bytes());
    assert_eq!(reply.status, 204, "{}", reply.body);
    (server, dir)
}

fn at(text: &str) -> i64 {
    domain::instant::parse(text).unwrap() / 1_000_000_000
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A column of numbers of one row.
fn numbers(server: &Server, sql: &str) -> Vec<f64> {
    let rows = server.rows(sql);
    assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
    rows[0].iter().map(|cell| if cell.is_empty() { f64::NAN } else { cell.parse().unwrap() }).collect()
}

#[test]
fn days_of_daylight_saving_and_leap_years_have_their_own_length() {
    let hours = |start: &str, count: usize| slots("clock", at(start), 3600, &"+".repeat(count));
    let (server, _dir) = server(&[
        hours("2026-03-28T00:00:00Z", 96),
        hours("2025-10-25T00:00:00Z", 72),
        hours("2024-02-01T00:00:00Z", 29 * 24),
    ]);
    let days = |from: &str, to: &str| {
        let sql = format!(
            "SELECT start, span_s / 3600, up_s / 3600, coverage FROM availability('probe', '{from}', '{to}', '1d', 'Europe/Berlin') WHERE target = 'clock' ORDER BY start"
        );
        server.rows(&sql)
    };
    // Clocks go forward on 2026-03-29: that day has 23 hours.
    let expected = [["2026-03-28T23:00:00Z", "23.0", "23.0", "1.0"], ["2026-03-29T22:00:00Z", "24.0", "24.0", "1.0"]];
    assert_eq!(days("2026-03-28T23:00:00Z", "2026-03-30T22:00:00Z"), expected);
    // And back on 2025-10-26: 25 hours.
    assert_eq!(days("2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z"), [["2025-10-25T22:00:00Z", "25.0", "25.0", "1.0"]]);
    // February 2024 has 29 days.
    let sql = "SELECT span_s / 86400, up_s / 86400, availability FROM availability('probe', '2024-02-01', '2024-03-01', '1mo') WHERE target = 'clock'";
    assert_eq!(server.rows(sql), [["29.0", "29.0", "1.0"]]);
}

/// What other systems get wrong: the future is not down, and a state does not end where a bucket does.
#[test]
fn the_future_is_not_down_and_state_goes_on_over_edges() {
    let now = now_s();
    let start = now - now % 60 - 600;
    let (server, _dir) =
        server(&[slots("site", start, 60, "+++++++++++"), slots("slow", at("2026-03-01T00:00:00Z"), 600, "+-+")]);
    let sql = format!(
        "SELECT down_s, availability, coverage, span_s FROM availability('probe', to_timestamp({start}), now() + INTERVAL '30 days') WHERE target = 'site'"
    );
    let [down, availability, coverage, span] = numbers(&server, &sql)[..] else { panic!() };
    assert_eq!((down, availability), (0.0, 1.0));
    assert!(coverage > 0.99 && (600.0..700.0).contains(&span), "{coverage} {span}");
    // A slot every ten minutes, asked for by the minute: each minute has the state of its slot.
    let sql = "SELECT start, up_s, down_s FROM availability('probe', '2026-03-01T00:09:00Z', '2026-03-01T00:12:00Z', '1m') WHERE target = 'slow' ORDER BY start";
    let expected = [
        ["2026-03-01T00:09:00Z", "60.0", "0.0"],
        ["2026-03-01T00:10:00Z", "0.0", "60.0"],
        ["2026-03-01T00:11:00Z", "0.0", "60.0"],
    ];
    assert_eq!(server.rows(sql), expected);
}

#[test]
fn a_stopped_prober_is_unknown_and_a_restarted_one_goes_on() {
    let start = at("2026-03-01T00:00:00Z");
    // Stopped from slot 4 to 6, and slot 7 is probed late at its own time.
    let (server, _dir) = server(&[slots("site", start, 60, "++--   --++"), slots("once", start, 60, "+")]);
    let of = |target: &str| {
        let sql = format!(
            "SELECT up_s, down_s, unknown_s, coverage, outages, outage_s FROM availability('probe', '2026-03-01T00:00:00Z', '2026-03-01T00:11:00Z') WHERE target = '{target}'"
        );
        numbers(&server, &sql)
    };
    // Nobody saw the outage end while the prober stood: it goes on, from 2 to 9, with three minutes of it unknown.
    assert_eq!(of("site"), [240.0, 240.0, 180.0, 480.0 / 660.0, 1.0, 420.0]);
    assert_eq!(of("once"), [60.0, 0.0, 600.0, 60.0 / 660.0, 0.0, 0.0]);
    let rows = server.rows("SELECT duration_s, counted_s, unknown_s, ongoing FROM outages WHERE target = 'site'");
    assert_eq!(rows, [["420.0", "420.0", "180.0", "false"]]);
}

#[test]
fn most_locations_decide() {
    let start = at("2026-03-01T00:00:00Z");
    let from = |location: &str, signs: &str| {
        slots("site", start, 60, signs).replace("location=here", &format!("location={location}"))
    };
    let (server, _dir) = server(&[from("a", "+--+++"), from("b", "+--+--"), from("c", "++++ +")]);
    let sql = "SELECT up_s, down_s, outages FROM availability('probe', '2026-03-01T00:00:00Z', '2026-03-01T00:06:00Z') WHERE target = 'site'";
    // Two of three in minutes 1 and 2; one of two and one of three do not decide.
    assert_eq!(numbers(&server, sql), [240.0, 120.0, 1.0]);
    let sql = "SELECT location, down_s FROM availability('probe', '2026-03-01T00:00:00Z', '2026-03-01T00:06:00Z', by => 'target,location') WHERE target = 'site' ORDER BY location";
    assert_eq!(server.rows(sql), [["a", "120.0"], ["b", "240.0"], ["c", "0.0"]]);
}

fn admin(server: &Server, path: &str, body: &str) -> (u16, serde_json::Value) {
    let reply = post(&format!("{}/api/v1/admin/{path}", server.url), body.as_bytes()).unwrap();
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

#[test]
fn maintenance_and_exclusions_leave_numerator_and_denominator() {
    let start = at("2026-03-01T00:00:00Z");
    // Up for ten minutes, down for ten, up for ten; the last slot says of itself that it is maintenance.
    let signs = format!("{}{}{}m", "+".repeat(10), "-".repeat(10), "+".repeat(9));
    let (server, dir) = server(&[slots("site", start, 60, &signs), slots("other", start, 60, &signs)]);
    let of = |server: &Server, target: &str| {
        let sql = format!(
            "SELECT up_s, down_s, maintenance_s, excluded_s, round(availability, 6), round(without_maintenance, 6), round(raw, 6), outages, outage_s, coverage
             FROM availability('probe', '2026-03-01T00:00:00Z', '2026-03-01T00:30:00Z') WHERE target = '{target}'"
        );
        numbers(server, &sql)
    };
    let raw = 1200.0 / 1800.0;
    let rounded = |value: f64| (value * 1e6).round() / 1e6;
    assert_eq!(
        of(&server, "site"),
        [1140.0, 600.0, 60.0, 0.0, rounded(1140.0 / 1740.0), rounded(1140.0 / 1740.0), rounded(raw), 1.0, 600.0, 1.0]
    );
    // Minutes 8 to 13 are maintenance of the site: two of them up, three down. From 18 on, force majeure for everybody,
    // with no end yet.
    let entry = r#"{"targets":"target = 'site'","from":"2026-03-01T00:08:00Z","to":"2026-03-01T00:13:00Z","author":"J. Doe","reason":"upgrade"}"#;
    let (status, answer) = admin(&server, "maintenance", entry);
    assert_eq!(status, 200, "{answer}");
    let id = answer["id"].as_str().unwrap().to_owned();
    let flood = r#"{"from":"2026-03-01T00:18:00Z","author":"J. Doe","reason":"flood"}"#;
    let (status, answer) = admin(&server, "exclusions", flood);
    assert_eq!(status, 200, "{answer}");
    let flood = answer["id"].as_str().unwrap().to_owned();
    // Up 0-8; down 13-18. In the flood: down 18-20, up 20-29; the last minute is maintenance by its own word.
    let (up, down) = (480.0, 300.0);
    let expected =
        [up, down, 360.0, 660.0, rounded(up / 780.0), rounded((up + 540.0) / 1440.0), rounded(raw), 1.0, 300.0, 1.0];
    assert_eq!(of(&server, "site"), expected);
    assert_eq!(of(&server, "other")[..4], [600.0, 480.0, 60.0, 660.0]);
    // Over a bucket's edge.
    let sql = "SELECT start, up_s, down_s, maintenance_s FROM availability('probe', '2026-03-01T00:00:00Z', '2026-03-01T00:20:00Z', '10m') WHERE target = 'site' ORDER BY start";
    assert_eq!(
        server.rows(sql),
        [["2026-03-01T00:00:00Z", "480.0", "0.0", "120.0"], ["2026-03-01T00:10:00Z", "0.0", "300.0", "180.0"]]
    );
    // The end is known later; it counts for what is past.
    let (status, answer) =
        admin(&server, "exclusions/end", &format!(r#"{{"id":"{flood}","to":"2026-03-01T00:20:00Z"}}"#));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(of(&server, "site")[..4], [480.0 + 540.0, 300.0, 360.0, 120.0]);
    // By the command line, and after a crash.
    let server = server.crash(&dir.path().join("data"), std::time::Duration::ZERO);
    let ended = Command::new(BIN)
        .args(["maintenance", "end", &id, "--to", "2026-03-01T00:09:00Z", "--url", &server.url])
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_eq!(of(&server, "site")[..4], [540.0 + 540.0, 480.0, 120.0, 120.0]);
    let more = [
        "--targets",
        "location = 'here' AND target LIKE 'oth%'",
        "--from",
        "2026-03-01T00:00:00Z",
        "--to",
        "2026-03-01T00:10:00Z",
    ];
    let added = Command::new(BIN)
        .args(["maintenance", "add", "--author", "J. Doe", "--reason", "test", "--url", &server.url])
        .args(more)
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert_eq!(of(&server, "other")[..3], [540.0, 480.0, 660.0]);
    let list =
        Command::new(BIN).args(["maintenance", "list", "--format", "csv", "--url", &server.url]).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        list.contains(&format!("{id},2026-03-01T00:08:00Z,2026-03-01T00:09:00Z,target = 'site',J. Doe,upgrade")),
        "{list}"
    );
    assert_eq!(list.lines().count(), 3, "{list}");
    assert_eq!(server.rows("SELECT count(*) FROM exclusions WHERE until > TIMESTAMP '2026-03-01T00:00:00Z'"), [["1"]]);
}

#[test]
fn entries_that_are_wrong_are_refused_in_words() {
    let (server, _dir) = server(&[slots("site", at("2026-03-01T00:00:00Z"), 60, "+")]);
    for (path, body, reason) in [
        (
            "maintenance",
            r#"{"author":"J. Doe","reason":"x","from":"2026-03-02T00:00:00Z","to":"2026-03-01T00:00:00Z"}"#,
            "to: expected a time after from",
        ),
        ("maintenance", r#"{"author":" ","reason":"x"}"#, "author: expected a text"),
        ("exclusions", r#"{"author":"J. Doe","reason":""}"#, "reason: expected a text"),
        ("exclusions", r#"{"author":"J. Doe"}"#, "missing field `reason`"),
        (
            "maintenance",
            r#"{"author":"J. Doe","reason":"x","targets":"targt = 'site'"}"#,
            "targets: expected a condition on tags",
        ),
        (
            "maintenance",
            r#"{"author":"J. Doe","reason":"x","targets":"target"}"#,
            "targets: expected a condition on tags",
        ),
        (
            "maintenance",
            r#"{"author":"J. Doe","reason":"x","targets":"target = (SELECT 1)"}"#,
            "targets: expected a condition on tags",
        ),
        ("maintenance", r#"{"author":"J. Doe","reason":"x","from":"soon"}"#, "neither a time like"),
        ("maintenance/end", r#"{"id":"none"}"#, "no entry with the id 'none' in maintenance"),
    ] {
        let (status, answer) = admin(&server, path, body);
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(reason), "{body}: {answer}");
    }
    assert_eq!(server.rows("SELECT count(*) FROM maintenance"), [["0"]]);
    let (_, answer) =
        admin(&server, "maintenance", r#"{"author":"J. Doe","reason":"x","from":"2026-03-02T00:00:00Z"}"#);
    let (status, answer) =
        admin(&server, "maintenance/end", &format!(r#"{{"id":{},"to":"2026-03-01T00:00:00Z"}}"#, answer["id"]));
    assert_eq!(
        (status, answer["error"].as_str().unwrap().contains("before the entry's start")),
        (400, true),
        "{answer}"
    );
}
