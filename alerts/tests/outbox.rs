//! More than a channel keeps in memory, while its receiver is away.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alerts::base::clock::now_ms;
use alerts::notices::{Channel, Kind, Notice, Outbox, Status, Told};
use tsdb::{Options, Store};

/// More than wait in memory.
const NOTICES: usize = 1300;

/// Answers requests of a connection once all is well, and keeps the ids of notices that it takes.
fn answer(stream: &TcpStream, is_well: &AtomicBool, heard: &Mutex<Vec<String>>) -> Option<()> {
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
        let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
        while !is_well.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        heard.lock().unwrap().push(body["notice"].as_str()?.to_owned());
        let mut stream = stream;
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
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
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (is_well, heard) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let (own, taken) = (is_well.clone(), heard.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (own, taken) = (own.clone(), taken.clone());
            std::thread::spawn(move || answer(&stream.unwrap(), &own, &taken));
        }
    });
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
    assert_eq!(*heard.lock().unwrap(), expected);
    assert!(outbox.open().unwrap().is_empty());
}
