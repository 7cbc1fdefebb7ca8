//! More than a channel keeps in memory, while its receiver is away.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alerts::base::clock::now_ms;
use alerts::notices::{Channel, Held, Kind, Notice, Outbox, Status, Told};
use serde_json::Value;
use tsdb::{Options, Store};

/// More than wait in memory.
const NOTICES: usize = 1300;

/// Answers requests of a connection once all is well, and keeps what it is told.
fn answer(stream: &TcpStream, is_well: &AtomicBool, heard: &Mutex<Vec<Value>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body: Value = serde_json::from_slice(&body).ok()?;
        while !is_well.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        heard.lock().unwrap().push(body);
        let mut stream = stream;
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    }
}

/// Somebody who is told.
struct Receiver {
    url: String,
    /// Does it answer?
    is_well: Arc<AtomicBool>,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start(is_well: bool) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (is_well, heard) = (Arc::new(AtomicBool::new(is_well)), Arc::new(Mutex::new(Vec::new())));
        let (own, taken) = (is_well.clone(), heard.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (own, taken) = (own.clone(), taken.clone());
                std::thread::spawn(move || answer(&stream.unwrap(), &own, &taken));
            }
        });
        Receiver { url, is_well, heard }
    }
}

fn notice(number: usize) -> Notice {
    let told = Told {
        alert: format!("{number:016x}"),
        status: Status::Firing,
        labels: BTreeMap::from([("target".to_owned(), format!("t{number}"))]),
        annotations: BTreeMap::new(),
        starts_ms: now_ms(),
        ends_ms: None,
        value: None,
        severity: "warning".into(),
    };
    Notice {
        id: format!("{number:016x}"),
        channel: "r".into(),
        group: "g".into(),
        queued_ms: now_ms(),
        alerts: vec![told],
        held: None,
        may_be_heard: false,
    }
}

/// A server that was away for days tells what it has to tell once more, and says that it gave up.
#[test]
fn what_is_too_old_is_tried_once_and_given_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), Options::default()).unwrap());
    let _inside = runtime.enter();
    let mut old = notice(1);
    old.queued_ms -= 3 * 86_400_000;
    let mut batch = store.batch("public");
    Outbox::new(store.clone(), String::new()).record(&[old], &mut batch).unwrap();
    store.write(batch).unwrap();
    let outbox = Outbox::new(store.clone(), String::new());
    let open = outbox.open().unwrap();
    assert_eq!(open.len(), 1);
    let url = "http://127.0.0.1:1/".to_owned();
    let channel = Channel::new("r", Kind::Webhook, &url);
    outbox.replace(vec![channel], Some(open), &(Arc::new(Vec::new) as _));
    let begun = Instant::now();
    while !outbox.open().unwrap().is_empty() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(outbox.open().unwrap().is_empty());
}

/// What does not fit into memory waits in the store. All of it is told, in its order, and each once.
#[test]
fn what_waits_for_a_receiver_is_told_in_its_order() {
    let Receiver { url, is_well, heard } = Receiver::start(false);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = Options { durability: tsdb::Durability::Process, ..Options::default() };
    let store = Arc::new(Store::open(dir.path(), options).unwrap());
    let _inside = runtime.enter();
    let outbox = Outbox::new(store.clone(), String::new());
    let timeout = Duration::from_secs(60);
    let channel = Channel { timeout, ..Channel::new("r", Kind::Webhook, &url) };
    outbox.replace(vec![channel], None, &(Arc::new(Vec::new) as _));
    for number in 0..NOTICES {
        let notices = vec![notice(number)];
        let mut batch = store.batch("public");
        outbox.record(&notices, &mut batch).unwrap();
        store.write(batch).unwrap();
        outbox.tell(notices);
        if number == NOTICES - 100 {
            is_well.store(true, Ordering::Relaxed);
        }
    }
    let begun = Instant::now();
    while heard.lock().unwrap().len() < NOTICES && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    let expected: Vec<String> = (0..NOTICES).map(|number| format!("{number:016x}")).collect();
    let ids: Vec<String> =
        heard.lock().unwrap().iter().map(|body| body["notice"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, expected);
    assert!(outbox.open().unwrap().is_empty());
}

/// Of forty shops behind one line each alert was a mail. What comes within the wait of a group is one notice; what comes
/// behind it waits for the interval; another group does not wait for either; what began and ended meanwhile is told to nobody.
#[test]
fn groups_wait_for_others_of_theirs() {
    let Receiver { url, heard, .. } = Receiver::start(true);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), Options::default()).unwrap());
    let _inside = runtime.enter();
    let outbox = Outbox::new(store.clone(), String::new());
    let nothing = || Arc::new(Vec::new) as _;
    outbox.replace(vec![Channel::new("r", Kind::Webhook, &url)], None, &nothing());
    let (mut number, begun) = (0, Instant::now());
    let mut tell = |outbox: &Outbox, group: &str, target: &str, status: Status| {
        number += 1;
        let mut own = notice(number);
        own.alerts[0].alert = format!("{group}{target}");
        own.alerts[0].status = status;
        let labels = BTreeMap::from([("group".to_owned(), group.to_owned())]);
        own.held = Some(Held { labels, route: 0, wait_ms: 400, interval_ms: 1500 });
        let mut batch = store.batch("public");
        outbox.record(std::slice::from_ref(&own), &mut batch).unwrap();
        store.write(batch).unwrap();
        outbox.tell(vec![own]);
    };
    let told = || -> Vec<String> {
        let heard = heard.lock().unwrap();
        let text = |body: &Value| {
            let alerts = body["alerts"].as_array().unwrap().iter();
            let texts = alerts
                .map(|own| format!("{} {}", own["fingerprint"].as_str().unwrap(), own["status"].as_str().unwrap()));
            texts.collect::<Vec<_>>().join(", ")
        };
        heard.iter().map(text).collect()
    };
    let wait = |count: usize| {
        while told().len() < count {
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", told());
            std::thread::sleep(Duration::from_millis(5));
        }
        begun.elapsed()
    };
    for target in ["1", "2"] {
        tell(&outbox, "a", target, Status::Firing);
    }
    // Soon over: nobody heard of it.
    tell(&outbox, "a", "3", Status::Firing);
    tell(&outbox, "a", "3", Status::Resolved);
    let first = wait(1);
    assert!(first >= Duration::from_millis(400), "{first:?}");
    tell(&outbox, "a", "1", Status::Resolved);
    tell(&outbox, "b", "1", Status::Firing);
    wait(2);
    // Heard is not yet written down.
    while outbox.open().unwrap().len() > 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Killed while the group waits for its interval: the next server tells it.
    outbox.stop();
    let next = Outbox::new(store.clone(), String::new());
    let open = next.open().unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].0.held.as_ref().map(|held| held.labels["group"].as_str()), Some("a"));
    next.replace(vec![Channel::new("r", Kind::Webhook, &url)], Some(open), &nothing());
    wait(3);
    assert_eq!(told(), ["a1 firing, a2 firing", "b1 firing", "a1 resolved"]);
    let third = begun.elapsed();
    tell(&next, "a", "1", Status::Firing);
    wait(4);
    assert!(begun.elapsed() - third >= Duration::from_millis(1300), "the interval of the group is kept");
    // Over before it was told.
    tell(&next, "a", "9", Status::Firing);
    tell(&next, "a", "9", Status::Resolved);
    while !next.open().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(told()[3..], ["a1 firing"]);
}

/// A group was told, and the server killed before it knew; or the receiver hung up. By then the alert was over: it began and
/// ended while its group waited, it seemed, and whoever had heard of it was not told of its end.
#[test]
fn what_may_have_been_heard_is_told_to_its_end() {
    let Receiver { url, is_well, heard } = Receiver::start(false);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path(), Options::default()).unwrap());
    let _inside = runtime.enter();
    let tell = |outbox: &Outbox, number: usize, alert: &str, status: Status| {
        let mut own = notice(number);
        (own.alerts[0].alert, own.alerts[0].status) = (alert.to_owned(), status);
        own.held = Some(Held { labels: BTreeMap::new(), route: 0, wait_ms: 1, interval_ms: 1 });
        let mut batch = store.batch("public");
        outbox.record(std::slice::from_ref(&own), &mut batch).unwrap();
        store.write(batch).unwrap();
        outbox.tell(vec![own]);
    };
    let channel = Channel { timeout: Duration::from_millis(300), ..Channel::new("r", Kind::Webhook, &url) };
    let outbox = Outbox::new(store.clone(), String::new());
    outbox.replace(vec![channel.clone()], None, &(Arc::new(Vec::new) as _));
    // Read by the receiver, which answers too late; and over before the next attempt.
    tell(&outbox, 1, "a", Status::Firing);
    std::thread::sleep(Duration::from_millis(500));
    tell(&outbox, 2, "a", Status::Resolved);
    let told = || -> Vec<(String, String)> {
        let heard = heard.lock().unwrap();
        let text = |body: &Value| {
            let status = body["alerts"][0]["status"].as_str().unwrap();
            (body["notice"].as_str().unwrap().to_owned(), status.to_owned())
        };
        heard.iter().map(text).collect()
    };
    is_well.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    while !told().iter().any(|(_, status)| status == "resolved") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", told());
        std::thread::sleep(Duration::from_millis(10));
    }
    // Every time that it was told to fire was the same notice.
    let ids: std::collections::BTreeSet<String> =
        told().into_iter().filter(|(_, status)| status == "firing").map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 1, "{:?}", told());
    // The same through a kill: an earlier start may have told what this one finds.
    outbox.stop();
    let before = told().len();
    for (number, status) in [(3, Status::Firing), (4, Status::Resolved)] {
        tell(&outbox, number, "b", status);
    }
    let next = Outbox::new(store.clone(), String::new());
    let open = next.open().unwrap();
    next.replace(vec![channel], Some(open), &(Arc::new(Vec::new) as _));
    while told().len() == before {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", told());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(told().last().unwrap().1, "resolved");
}
