//! A night in short: kills, jumps of the clock, a log that cannot be written, a disk that is full, and deep and fat
//! statements, all in the same store, while clients write. Every row that was acknowledged is there at the end, once.
//! Some seconds; `FOURNINES_NIGHT=1h` is a night. `FOURNINES_SEED` repeats the troubles.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::server::{BIN, Server, agent, wait_for};
use crate::standing::FAKETIME;

const WRITERS: usize = 3;
const ASKERS: usize = 2;
const REQUEST_ROWS: usize = 100;
/// What a night has seen at least.
const ROWS_MIN: usize = 1000;
const ANSWERED_MIN: usize = 20;
/// The disk, which outlives each server: a process that holds it.
const DISK: &str = r#"mount -t tmpfs -o size=128m tmpfs "$0" && touch "$0/mounted" && exec sleep infinity"#;
/// By day there is time.
const CALM: &str = "[query]\ntimeout = '5m'\n";
const CONFIG: &str = "[store]\nhead_max = '1MiB'\n[query]\ntimeout = '2s'\nmemory = '64MiB'\n";

/// A disk of its own in memory.
struct Disk {
    holder: Child,
    /// The folder as servers see it, and as this process does.
    path: PathBuf,
    seen: PathBuf,
}

impl Disk {
    fn new(path: &Path) -> Disk {
        std::fs::create_dir(path).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", DISK]).arg(path);
        let holder = command.spawn().unwrap();
        let seen = PathBuf::from(format!("/proc/{}/root{}", holder.id(), path.display()));
        wait_for("the disk", || seen.join("mounted").exists());
        Disk { holder, path: path.to_owned(), seen }
    }

    /// A server on it whose clock is the file's and whose log cannot be written.
    fn serve(&self, clock: &Path, config: &str) -> Server {
        let mut command = Command::new("nsenter");
        command.args(["--preserve-credentials", "--user", "--mount", "--target", &self.holder.id().to_string()]);
        command.args([
            "env",
            &format!("LD_PRELOAD={FAKETIME}"),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ]);
        command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock.display())).arg(BIN);
        command.stderr(Stdio::from(File::options().write(true).open("/dev/full").unwrap()));
        Server::start_under(&mut command, &self.path, config)
    }

    /// Leaves no room on it for a while.
    fn fill_up(&self, pause: Duration) {
        let ballast = self.seen.join("ballast");
        let _ = std::fs::write(&ballast, vec![1; 256 << 20]); // as much as there is room for
        std::thread::sleep(pause);
        std::fs::remove_file(&ballast).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// What a statement can be that is too much.
fn statement(random: &mut Rng) -> String {
    let count = random.usize(100..6000);
    match random.u8(..9) {
        0 => format!("SELECT {}", vec!["1"; count].join("+")),
        1 => format!("SELECT count(*) FROM night WHERE {}", vec!["n = 1"; count].join(" OR ")),
        2 => format!("SELECT {}1{}", "(".repeat(count), ")".repeat(count)),
        3 => format!("SELECT count(*) FROM night WHERE n IN ({})", vec!["7"; count * 10].join(", ")),
        4 => format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(count)),
        5 => "SELECT length(repeat('x', 1000000000))".into(),
        6 => "SELECT count(*) FROM night AS a, night AS b WHERE a.n < b.n".into(),
        7 => "SELECT n, count(*) FROM night GROUP BY n ORDER BY 2 DESC, 1 LIMIT 5".into(),
        _ => "SELECT host, approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY n) FROM night GROUP BY host".into(),
    }
}

/// The address of the server that runs now; nothing while there is none.
type Address = RwLock<Option<String>>;

/// Writes requests until it is told to stop, each until it is acknowledged.
fn write(address: &Address, next: &AtomicUsize, stop: &AtomicBool) {
    let agent = agent();
    while !stop.load(Ordering::Relaxed) {
        let first = next.fetch_add(REQUEST_ROWS, Ordering::SeqCst);
        let rows =
            (first..first + REQUEST_ROWS).map(|n| format!("night,host=h{} n={n}i {}\n", n % 20, 1_767_225_600_000 + n));
        let body: String = rows.collect();
        loop {
            let url = address.read().unwrap().clone();
            let sent = url.map(|url| agent.post(format!("{url}/write?precision=ms")).send(&body));
            match sent.map(|answer| answer.map(|answer| answer.status().as_u16())) {
                Some(Ok(204)) => break,
                Some(Ok(status @ 400..=502)) if status != 429 => panic!("a write was answered {status}"),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Asks what is too much. It is refused or answered, by whichever server is there.
fn ask(address: &Address, mut random: Rng, answered: &AtomicUsize, stop: &AtomicBool) {
    let agent = agent();
    while !stop.load(Ordering::Relaxed) {
        let Some(url) = address.read().unwrap().clone() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let question = serde_json::json!({ "q": statement(&mut random), "format": "csv" }).to_string();
        let post = agent.post(format!("{url}/api/v3/query_sql")).header("content-type", "application/json");
        if let Ok(answer) = post.send(&question) {
            // What takes too long is no fault of the server's; what fails inside would be.
            assert_ne!(answer.status().as_u16(), 500, "{}", &question[..question.len().min(200)]);
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
#[cfg_attr(not(all(part = "mounts", part = "faketime")), ignore = "needs faketime, and unshare that may mount")]
fn what_was_acknowledged_is_there_after_a_night_of_troubles() {
    let seed = std::env::var("FOURNINES_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("FOURNINES_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let length = std::env::var("FOURNINES_NIGHT")
        .map_or(Duration::from_secs(12), |text| domain::duration::parse(&text).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (disk, clock) = (Disk::new(&dir.path().join("disk")), dir.path().join("clock"));
    std::fs::write(&clock, "+0").unwrap();
    let (address, next, stop) = (Address::default(), AtomicUsize::new(0), AtomicBool::new(false));
    let answered = AtomicUsize::new(0);
    let (troubles, server) = std::thread::scope(|scope| {
        let mut server = disk.serve(&clock, CONFIG);
        *address.write().unwrap() = Some(server.url.clone());
        for _ in 0..WRITERS {
            scope.spawn(|| write(&address, &next, &stop));
        }
        for _ in 0..ASKERS {
            let random = random.fork();
            scope.spawn(|| ask(&address, random, &answered, &stop));
        }
        let (start, mut troubles) = (Instant::now(), [0; 3]);
        // A machine that is busy gets through less in the same time: the night goes on until it was one.
        let was_one = |troubles: &[usize; 3]| {
            let (rows, answered) = (next.load(Ordering::SeqCst), answered.load(Ordering::Relaxed));
            rows > ROWS_MIN && answered > ANSWERED_MIN && troubles.iter().all(|count| *count > 0)
        };
        while start.elapsed() < length || (!was_one(&troubles) && start.elapsed() < length * 10) {
            std::thread::sleep(Duration::from_millis(random.u64(100..900)));
            let kind = random.usize(..3);
            troubles[kind] += 1;
            match kind {
                0 => {
                    *address.write().unwrap() = None;
                    drop(server); // killed
                    server = disk.serve(&clock, CONFIG);
                    *address.write().unwrap() = Some(server.url.clone());
                }
                1 => {
                    let jump = ["+0", "+3650d", "-3600", "-40d", "+2h"][random.usize(..5)];
                    std::fs::write(&clock, jump).unwrap();
                }
                _ => disk.fill_up(Duration::from_millis(random.u64(50..400))),
            }
        }
        stop.store(true, Ordering::Relaxed);
        (troubles, server)
    });
    let (rows, answered) = (next.load(Ordering::SeqCst), answered.into_inner());
    println!("{rows} rows, {troubles:?} kills, jumps and full disks, {answered} statements");
    let check = |server: &Server, when: &str| {
        let expected = [[rows, rows, 0, rows - 1].map(|number| number.to_string())];
        assert_eq!(server.rows("SELECT count(*), count(DISTINCT n), min(n), max(n) FROM night"), expected, "{when}");
    };
    drop(server);
    std::fs::write(&clock, "+0").unwrap();
    for when in ["after the night", "after another kill"] {
        check(&disk.serve(&clock, CALM), when);
    }
    assert!(
        rows > ROWS_MIN && answered > ANSWERED_MIN && troubles.iter().all(|count| *count > 0),
        "{rows} rows, {troubles:?}"
    );
}
