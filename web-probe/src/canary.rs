//! Is it the target that is in trouble, or the prober?
//!
//! The canary asks itself over loopback, four times a second. If that fails or comes late - the process was stopped, the machine slept or
//! swaps, there are no more files to open - then what was found of others in that time says nothing about them: their slots are missed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// From one question to the next.
const INTERVAL: Duration = Duration::from_millis(250);
/// An answer that comes so long after the one before it is late.
const LATE: Duration = Duration::from_secs(1);

/// Asks itself, and knows when it had no answer.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    /// When it was last asked, whatever came of it.
    asked: watch::Receiver<Instant>,
    trouble: Arc<Mutex<Option<Trouble>>>,
}

/// A time in which the prober is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    from: Instant,
    until: Instant,
    reason: String,
}

impl Canary {
    /// Starts to ask itself, until the runtime ends.
    pub(crate) fn start() -> Canary {
        let (tell, asked) = watch::channel(Instant::now());
        let canary = Canary { asked, trouble: Arc::default() };
        let own = canary.clone();
        tokio::spawn(async move { own.sing(&tell).await });
        canary
    }

    async fn sing(&self, tell: &watch::Sender<Instant>) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut listener, mut last) = (None, Instant::now());
        loop {
            ticks.tick().await;
            let answer = tokio::time::timeout(LATE, ask_itself(&mut listener)).await;
            let now = Instant::now();
            let late = now.duration_since(last);
            match answer {
                Ok(Ok(())) if late <= LATE => last = now,
                Ok(Ok(())) => {
                    self.note(last, now, format!("it stood still for {late:.1?}"));
                    last = now;
                }
                Ok(Err(error)) => self.note(last, now, format!("it does not reach itself: {error}")),
                Err(_) => self.note(last, now, format!("it does not answer itself within {LATE:?}")),
            }
            tell.send_replace(now);
        }
    }

    fn note(&self, from: Instant, until: Instant, reason: String) {
        tracing::warn!("the prober is in trouble, slots are missed: {reason}");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(Trouble { from, until, reason });
    }

    /// What was wrong with the prober since then, up to now. Waits for the next question, whose answer tells.
    pub(crate) async fn trouble_since(&self, start: Instant) -> Option<String> {
        let now = Instant::now();
        let mut asked = self.asked.clone();
        let _ = asked.wait_for(|last| *last >= now).await; // fails only when the runtime ends
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        trouble.filter(|trouble| trouble.from <= now && trouble.until >= start).map(|trouble| trouble.reason)
    }
}

/// Connects to itself, and has a byte come back.
async fn ask_itself(listener: &mut Option<TcpListener>) -> std::io::Result<()> {
    if listener.is_none() {
        *listener = Some(TcpListener::bind("127.0.0.1:0").await?);
    }
    let Some(own) = listener.as_ref() else { return Ok(()) };
    let (client, server) = tokio::join!(TcpStream::connect(own.local_addr()?), own.accept());
    let (mut client, (mut server, _)) = (client?, server?);
    client.write_all(b"?").await?;
    let mut byte = [0];
    server.read_exact(&mut byte).await?;
    server.write_all(&byte).await?;
    client.read_exact(&mut byte).await?;
    // Without this a thousand ends of connections would wait for their time to be over.
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prober_that_stands_still_knows_it_afterwards() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let canary = Canary::start();
            let start = Instant::now();
            assert_eq!(canary.trouble_since(start).await, None);
            let before = Instant::now();
            // Nothing else runs on this thread meanwhile.
            std::thread::sleep(LATE + Duration::from_millis(300));
            let reason = canary.trouble_since(before).await.unwrap();
            assert!(reason.contains("stood still"), "{reason}");
            // What begins behind it is sound.
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(canary.trouble_since(Instant::now()).await, None);
        });
    }
}
