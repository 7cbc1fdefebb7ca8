//! The log on standard error. It may lose lines and does nothing else: nobody waits for it, and nothing ends because it
//! cannot be written.
//!
//! Lines go through a bounded queue to a thread of their own. A line that finds it full, or that cannot be written, is
//! counted, and the count is told when it can be. A line that says the same as one of the last ten seconds is counted,
//! too, and told once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait.
const WAITING_MAX: usize = 4096;
/// For so long a line that comes again is only counted.
const QUIET: Duration = Duration::from_secs(10);
/// Lines that are remembered for that.
const KNOWN_MAX: usize = 256;

/// Lines that were lost because the queue was full.
static OVERFLOWN: AtomicU64 = AtomicU64::new(0);

/// What waits for the thread.
enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it was written, or given up.
    Flush(SyncSender<()>),
}

static QUEUE: OnceLock<SyncSender<Message>> = OnceLock::new();

/// Starts the log: `RUST_LOG` says what is told. Colours only on a terminal.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,hickory_net=error"));
    let (queue, lines) = sync_channel(WAITING_MAX);
    let thread = std::thread::Builder::new().name("log".into());
    if thread.spawn(move || Log::default().run(&lines, &mut std::io::stderr())).is_err() || QUEUE.set(queue).is_err() {
        return;
    }
    let has_colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(has_colours)
        .log_internal_errors(false)
        .with_writer(Queue)
        .init();
}

/// Waits a moment for what was told to be written.
pub fn flush() {
    let (done, wait) = sync_channel(1);
    if QUEUE.get().is_some_and(|queue| queue.try_send(Message::Flush(done)).is_ok()) {
        let _ = wait.recv_timeout(Duration::from_millis(200));
    }
}

/// Takes lines for the thread.
struct Queue;

/// A line under way.
struct Line(Vec<u8>);

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(Vec::new())
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let line = Message::Line(std::mem::take(&mut self.0));
        if QUEUE.get().is_none_or(|queue| queue.try_send(line).is_err()) {
            OVERFLOWN.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What was told lately.
#[derive(Default)]
struct Log {
    /// By what a line says: when it was written, and how often it came since.
    known: HashMap<Vec<u8>, (Instant, u64)>,
    lost: u64,
}

impl Log {
    fn run(mut self, lines: &Receiver<Message>, out: &mut impl Write) {
        loop {
            match lines.recv_timeout(QUIET / 10) {
                Ok(Message::Line(line)) => self.line(&line, out),
                Ok(Message::Flush(done)) => {
                    self.tell_repeats(true, out);
                    let _ = done.send(()); // whoever asked may have gone away
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tell_repeats(false, out);
        }
    }

    fn line(&mut self, line: &[u8], out: &mut impl Write) {
        let says = what_it_says(line);
        if let Some((_, count)) = self.known.get_mut(says) {
            *count += 1;
            return;
        }
        if self.known.len() < KNOWN_MAX {
            self.known.insert(says.to_vec(), (Instant::now(), 0));
        }
        self.write(line, out);
    }

    /// Tells what came again, of lines whose time is over.
    fn tell_repeats(&mut self, all: bool, out: &mut impl Write) {
        let over: Vec<(Vec<u8>, u64)> = self
            .known
            .extract_if(|_, (since, _)| all || since.elapsed() >= QUIET)
            .map(|(says, (_, count))| (says, count))
            .collect();
        for (says, count) in over.into_iter().filter(|(_, count)| *count > 0) {
            let line = format!("{count} times more within {QUIET:?}: {}\n", String::from_utf8_lossy(&says).trim());
            self.write(line.as_bytes(), out);
        }
    }

    fn write(&mut self, line: &[u8], out: &mut impl Write) {
        let lost = self.lost + OVERFLOWN.swap(0, Ordering::Relaxed);
        let mut text = Vec::new();
        if lost > 0 {
            let mut told = String::new();
            let _ = writeln!(told, "{lost} lines of the log were lost: they could not be written");
            text.extend_from_slice(told.as_bytes());
        }
        text.extend_from_slice(line);
        self.lost = match out.write_all(&text).and_then(|()| out.flush()) {
            Ok(()) => 0,
            Err(_) => lost + 1,
        };
    }
}

/// A line without the time in front of it.
fn what_it_says(line: &[u8]) -> &[u8] {
    let start = line.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
    &line[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that takes nothing for a while.
    #[derive(Default)]
    struct Disk {
        is_full: bool,
        taken: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.is_full {
                return Err(std::io::ErrorKind::StorageFull.into());
            }
            self.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_lost_and_what_came_again_is_counted() {
        let (mut log, mut disk) = (Log::default(), Disk::default());
        log.line(b"10:00 WARN a\n", &mut disk);
        disk.is_full = true;
        log.line(b"10:01 WARN b\n", &mut disk);
        log.line(b"10:02 WARN c\n", &mut disk);
        disk.is_full = false;
        for _ in 0..20 {
            log.line(b"10:03 WARN a\n", &mut disk);
        }
        log.line(b"10:04 WARN d\n", &mut disk);
        log.tell_repeats(true, &mut disk);
        let text = String::from_utf8(disk.taken).unwrap();
        let expected = "10:00 WARN a\n2 lines of the log were lost: they could not be written\n10:04 WARN d\n20 times more within 10s: WARN a\n";
        assert_eq!(text, expected);
    }
}
