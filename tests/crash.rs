//! Kills with `kill -9` at random moments: what was acknowledged is there, once, and nothing else is.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use crate::server::{Server, agent};

const REQUESTS: usize = 2000;
const LINES_A_REQUEST: usize = 100;
const KILLS: usize = 25;
const CLIENTS: usize = 4;

/// Line `number` of all that are sent: everything in it follows from the number.
fn line(number: usize) -> String {
    format!("crash,host=h{} n={number}i,square={} {}\n", number % 50, square(number), time_us(number))
}

fn square(number: usize) -> f64 {
    (number as f64).powi(2)
}

fn time_us(number: usize) -> usize {
    1_767_225_600_000_000 + number * 500
}

/// The address of the server that runs now; nothing while it is down.
type Address = Arc<RwLock<Option<String>>>;

/// Posts its share of the requests. A request whose fate is unknown is sent again or given up, in turn.
fn client(address: &Address, next: &AtomicUsize, acknowledged: &Mutex<HashSet<usize>>, sent: &Mutex<HashSet<usize>>) {
    let agent = agent();
    loop {
        let request = next.fetch_add(1, Ordering::SeqCst);
        if request >= REQUESTS {
            return;
        }
        let body: String = (0..LINES_A_REQUEST).map(|at| line(request * LINES_A_REQUEST + at)).collect();
        let mut attempts = 0;
        loop {
            let Some(url) = address.read().unwrap().clone() else {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            };
            sent.lock().unwrap().insert(request);
            let answer = agent.post(format!("{url}/write?precision=us")).send(&body);
            attempts += 1;
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(204) => {
                    acknowledged.lock().unwrap().insert(request);
                    break;
                }
                Ok(status @ 400..=502) => panic!("request {request} was answered {status}"),
                // Cut off or told to come back. A client that gives up shows rows that were never acknowledged.
                Ok(_) | Err(_) if attempts == 1 && request.is_multiple_of(2) => break,
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

#[test]
fn acknowledged_rows_survive_kill_9() {
    survive("sync");
}

#[test]
fn rows_that_only_the_system_has_survive_kill_9() {
    survive("process");
}

/// Writes under kills with this durability, and looks at what is there in the end.
fn survive(durability: &str) {
    let seed = std::env::var("FOURNINES_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("FOURNINES_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    // A small head: seals, manifest changes and log removals also happen under the kills.
    let config = &format!("[store]\nhead_max = '200KiB'\ndurability = '{durability}'\n");

    let (next, acknowledged, sent) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
    let address: Address = Arc::default();
    // Kills come after these many requests have been taken up, and a little later.
    let mut kills: Vec<usize> = (0..KILLS).map(|_| random.usize(1..REQUESTS - 20)).collect();
    kills.sort_unstable();

    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| client(&address, &next, &acknowledged, &sent))).collect();
        for after in kills {
            let server = Server::start(&data_dir, config);
            *address.write().unwrap() = Some(server.url.clone());
            while next.load(Ordering::SeqCst) < after {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(random.u64(0..20_000)));
            server.kill();
            *address.write().unwrap() = None;
        }
        let server = Server::start(&data_dir, config);
        *address.write().unwrap() = Some(server.url.clone());
        clients.into_iter().for_each(|client| client.join().unwrap());
        server.kill();
    });

    let server = Server::start(&data_dir, config);
    let acknowledged = acknowledged.into_inner().unwrap();
    let sent = sent.into_inner().unwrap();
    println!("{KILLS} kills; of {REQUESTS} requests {} were acknowledged", acknowledged.len());
    assert!(acknowledged.len() > REQUESTS / 2, "too few requests got through to show anything");
    assert!(acknowledged.len() < REQUESTS, "no kill met a request under way");
    let rows = server.rows("SELECT n, host, square, CAST(time AS BIGINT) FROM crash");
    let mut seen = HashSet::new();
    for row in &rows {
        let number: usize = row[0].parse().unwrap();
        assert!(seen.insert(number), "row {number} is there twice");
        assert!(sent.contains(&(number / LINES_A_REQUEST)), "row {number} was never sent");
        assert_eq!(row[1], format!("h{}", number % 50), "row {number}");
        assert_eq!(row[2].parse::<f64>().unwrap(), square(number), "row {number}");
        assert_eq!(row[3], format!("{}", time_us(number) * 1000), "row {number}");
    }
    for request in &acknowledged {
        for number in request * LINES_A_REQUEST..(request + 1) * LINES_A_REQUEST {
            assert!(seen.contains(&number), "row {number} was acknowledged and is lost");
        }
    }
}
