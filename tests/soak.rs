//! A long run, only when it is asked for: `FOURNINES_SOAK=1h cargo test --release soak`. Clients write at half of the
//! rate that the server takes at most, while it is killed every minute; nothing that was acknowledged may be lost,
//! nothing may be there twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::server::{Server, agent};

const CLIENTS: usize = 4;
const REQUEST_ROWS: usize = 500;
/// Rows that are looked at together in the end.
const CHECKED_ROWS: usize = 5_000_000;
/// How long the highest rate is looked for.
const FAST: Duration = Duration::from_secs(5);

/// The rows of a request: everything follows from its number.
fn body(request: usize) -> String {
    let rows = request * REQUEST_ROWS..(request + 1) * REQUEST_ROWS;
    rows.map(|n| {
        format!("soak,host=h{} n={n}i,half={} {}\n", n % 200, n as f64 / 2.0, 1_767_225_600_000_000_000 + n * 1000)
    })
    .collect()
}

#[test]
fn nothing_acknowledged_is_lost_in_a_long_run_with_kills() {
    let Some(duration) = std::env::var("FOURNINES_SOAK").ok().map(|text| domain::duration::parse(&text).unwrap())
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let server = Server::start(&data_dir, "");
    let url = format!("{}/write", server.url);
    let (next, stop, pause_us) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
    let acknowledged = Mutex::new(Vec::new());
    let server = std::thread::scope(|scope| {
        let mut server = server;
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let agent = agent();
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    let request = next.fetch_add(1, Ordering::Relaxed);
                    let body = body(request);
                    while !agent.post(&url).send(&body).is_ok_and(|answer| answer.status() == 204) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    acknowledged.lock().unwrap().push(request);
                    let pause = Duration::from_micros(pause_us.load(Ordering::Relaxed) as u64);
                    std::thread::sleep(pause.saturating_sub(start.elapsed()));
                }
            });
        }
        std::thread::sleep(FAST);
        let fastest = next.load(Ordering::Relaxed) as f64 / FAST.as_secs_f64();
        pause_us.store((2e6 * CLIENTS as f64 / fastest) as usize, Ordering::Relaxed);
        eprintln!("{:.0} rows/s at the most; half of that from now on", fastest * REQUEST_ROWS as f64);
        let end = Instant::now() + duration;
        let minute = Duration::from_mins(1).min(duration / 3);
        while Instant::now() < end {
            std::thread::sleep(minute);
            server = server.crash(&data_dir, Duration::ZERO);
        }
        stop.store(true, Ordering::Relaxed);
        server
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    // All that was sent was acknowledged in the end.
    let rows = acknowledged.len() * REQUEST_ROWS;
    assert_eq!(acknowledged.len(), next.load(Ordering::Relaxed));
    assert_eq!(server.rows("SELECT count(*) FROM soak"), [[rows.to_string()]]);
    // In parts, each of which a query can hold.
    for first in (0..rows).step_by(CHECKED_ROWS) {
        let last = rows.min(first + CHECKED_ROWS) - 1;
        // By time, so that the store reads this part only.
        let at = |n: usize| format!("to_timestamp_nanos({})", 1_767_225_600_000_000_000 + n * 1000);
        let sql = format!(
            "SELECT count(*), count(DISTINCT n), min(n), max(n) FROM soak WHERE time >= {} AND time <= {}",
            at(first),
            at(last)
        );
        let count = (last - first + 1).to_string();
        assert_eq!(server.rows(&sql), [[count.clone(), count, first.to_string(), last.to_string()]]);
    }
    let wrong = server.rows(
        "SELECT count(*) FROM soak WHERE half <> n / 2.0 OR CAST(time AS BIGINT) <> 1767225600000000000 + n * 1000",
    );
    assert_eq!(wrong, [["0"]]);
    eprintln!("{rows} rows were acknowledged, and are there");
}
