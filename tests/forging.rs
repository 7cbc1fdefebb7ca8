//! A token for writing wrote availability: maintenance, exclusions and alerts were measurements like any other, and a
//! measurement could take the name of a view. People are paid by these figures. What only the server says is refused by
//! name, on every way in.

use std::path::Path;
use std::process::Command;

use domain::reserved::VIEWS;
use tsdb::{Options, Row, Store, Value};

use crate::parts::site;
use crate::protocols::PROTOCOLS;
use crate::server::{BIN, Server, agent, wait_for};

/// What nobody may write from outside.
fn reserved() -> Vec<&'static str> {
    // `series` only lists what there is.
    let views = VIEWS.into_iter().filter(|view| *view != "series");
    ["maintenance", "exclusions", "alerts", "metric_metadata", "exemplars"].into_iter().chain(views).collect()
}

#[test]
fn what_only_the_server_says_is_refused_by_every_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    let agent = agent();
    for protocol in &PROTOCOLS {
        for name in reserved() {
            // Twice: the second row finds what the first one was found to be.
            for _ in 0..2 {
                let reply = protocol.send(&agent, &server.url, name, &[0, 1, 2]).unwrap();
                assert!(
                    reply.body.contains(name) && reply.body.contains("use another measurement"),
                    "{name}: {reply:?}"
                );
                // OTLP has its own way to say that points were refused.
                assert!(reply.status == 400 || protocol.table.starts_with("otlp"), "{}: {reply:?}", protocol.table);
            }
        }
        // What is beside it is taken.
        let reply = protocol.send(&agent, &server.url, protocol.table, &[0, 1, 2]).unwrap();
        assert!((200..300).contains(&reply.status), "{}: {reply:?}", protocol.table);
        assert_eq!(server.rows(&format!("SELECT count(*) FROM {}", protocol.table)), [["3"]]);
    }
    for name in ["maintenance", "exclusions", "alerts", "outages"] {
        assert_eq!(server.rows(&format!("SELECT count(*) FROM {name}")), [["0"]], "{name}");
    }
    let counted =
        server.rows("SELECT protocol FROM system.ingest WHERE refused_reasons LIKE '%not_admitted%' ORDER BY protocol");
    assert_eq!(counted.len(), 7, "{counted:?}");
}

/// A page of metrics that the server fetches is written by somebody else, too.
#[test]
fn a_page_that_is_scraped_says_nothing_for_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let page = "maintenance 1\nalerts{rule=\"a\"} 1\noutages 1\ngood 1\n";
    let port = site(move |_| ("200 OK".into(), page.into()));
    let config = format!("[[target]]\nurl = 'http://127.0.0.1:{port}/metrics'\nkind = 'scrape'\ninterval = '1s'\n");
    let server = Server::start(dir.path(), &config);
    let pages = "SELECT count(*) > 1 AS some FROM scrape_samples_scraped";
    wait_for("two pages", || server.sql(pages, "csv").body.contains("true"));
    assert_eq!(server.rows("SELECT DISTINCT value FROM scrape_samples_scraped"), [["1.0"]]);
    assert_eq!(
        server.rows("SELECT (SELECT count(*) FROM maintenance) AS one, (SELECT count(*) FROM alerts) AS other"),
        [["0", "0"]]
    );
}

/// The views of an earlier version were hidden by measurements of their names. These stay readable, and the views are
/// back.
#[test]
fn a_measurement_that_hid_a_view_is_readable_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let mut batch = store.batch("public");
    for name in ["outages", "series"] {
        for time in 0..5 {
            let row = Row { measurement: name, tags: &[("a", "b")], time, fields: &[("v", Value::I64(time))] };
            batch.push(&row).unwrap();
        }
    }
    store.write(batch).unwrap();
    store.close().unwrap();
    drop(store);
    let server = Server::start(dir.path(), "");
    assert_eq!(server.rows("SELECT count(*) FROM outages"), [["0"]], "the view");
    assert_eq!(server.rows("SELECT count(*), max(v) FROM stored_outages"), [["5", "4"]]);
    assert_eq!(server.rows("SELECT a, v FROM \"stored_series\" ORDER BY time DESC LIMIT 1"), [["b", "4"]]);
    assert_eq!(server.rows("SELECT count(*) FROM series WHERE table_name = 'outages'"), [["1"]]);
    let names =
        server.rows("SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%outages' ORDER BY 1");
    assert_eq!(names, [["outages"], ["stored_outages"]]);
    let reply = server.write("", b"outages,a=b v=9i 9");
    assert!(reply.status == 400 && reply.body.contains("name of a view"), "{reply:?}");
}

/// A token of its own for each place: one agent does not speak for another.
#[test]
fn a_token_speaks_only_for_what_it_is_limited_to() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let hamburg = limited(&data_dir, &["--measurement", "probe", "--tag", "location=hamburg"]);
    let berlin = limited(&data_dir, &["--measurement", "probe", "--tag", "location=berlin", "--schema", "public"]);
    let reader = crate::clients::token(&data_dir, &["read"]);
    let server = Server::start(&data_dir, "").with_token(&reader);
    let write = |token: &str, query: &str, line: &str| {
        let url = format!("{}/write{query}", server.url);
        let mut answer = agent().post(url).header("Authorization", format!("Bearer {token}")).send(line).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    let of = |location: &str, time: u32| format!("probe,target=site,location={location} up=true {time}");
    assert_eq!(write(&hamburg, "", &of("hamburg", 1)).0, 204);
    assert_eq!(write(&berlin, "", &of("berlin", 1)).0, 204);
    // Known by now, and spelled as its owner spells it: known is not allowed.
    for (token, location) in [(&hamburg, "berlin"), (&berlin, "hamburg")] {
        let (status, why) = write(token, "", &of(location, 2));
        assert!(status == 400 && why.contains("limited to the values of the tag location"), "{status} {why}");
    }
    for (token, query, line, reason) in [
        (&hamburg, "", "probe,target=site up=true 3", "the tag location"),
        (&hamburg, "", "host,host=a,location=hamburg load1=1 3", "limited to the measurements probe"),
        (&berlin, "?db=other", "probe,location=berlin up=true 3", "limited to the schemas public"),
    ] {
        let (status, why) = write(token, query, line);
        assert!(status == 400 && why.contains(reason), "{status} {why}");
    }
    // Lines that are its own are taken beside one that is not.
    let (status, why) = write(&hamburg, "", &format!("{}\n{}", of("hamburg", 4), of("berlin", 4)));
    assert!(status == 400 && why.contains("1 of 2 lines stored"), "{status} {why}");
    let rows = server.rows("SELECT location, count(*), CAST(max(time) AS BIGINT) FROM probe WHERE target = 'site' GROUP BY location ORDER BY location");
    assert_eq!(rows, [["berlin", "1", "1"], ["hamburg", "2", "4"]]);
    let output = Command::new(BIN).args(["token", "list", "--data-dir"]).arg(&data_dir).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    assert!(list.contains("measurements probe; location=hamburg"), "{list}");
}

fn limited(data_dir: &Path, limits: &[&str]) -> String {
    let mut command = Command::new(BIN);
    command.args(["token", "create", "--name", "agent", "--scope", "write", "--data-dir"]).arg(data_dir).args(limits);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
