//! Is it the target that is in trouble, or the prober?
//!
//! The canary asks itself over loopback, four times a second. If that fails or comes late - the process was stopped,
//! the machine slept or swaps, there are no more files to open - then what was found of others in that time says
//! nothing about them: their slots are missed.

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
        // When the last question was over, when the last one that was answered, and why the one before was not.
        let (mut listener, mut last, mut sound, mut before) = (None, Instant::now(), Instant::now(), None);
        loop {
            ticks.tick().await;
            let answer = tokio::time::timeout(LATE, ask_itself(&mut listener)).await;
            let now = Instant::now();
            let late = now - std::mem::replace(&mut last, now);
            let unanswered = match answer {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("it does not reach itself: {error}")),
                Err(_) => Some(format!("it does not answer itself within {LATE:?}")),
            };
            let stood_still = (late > LATE && unanswered.is_none()).then(|| format!("it stood still for {late:.1?}"));
            match (&before, unanswered.as_ref().or(stood_still.as_ref())) {
                (None, Some(reason)) => tracing::warn!("the prober is in trouble, slots are missed: {reason}"),
                (Some(_), None) => tracing::warn!("the prober is out of trouble"),
                _ => {}
            }
            // Up to the first question that is answered again nothing is known to be sound.
            if let Some(reason) = unanswered.clone().or(before).or(stood_still) {
                *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Trouble { from: sound, until: now, reason });
            }
            if unanswered.is_none() {
                sound = now;
            }
            before = unanswered;
            tell.send_replace(now);
        }
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

/// Connects to itself, and has a byte come back. A question that fails may leave a connection that nobody took: the
/// next one listens anew, and does not take that for its own.
async fn ask_itself(listener: &mut Option<TcpListener>) -> std::io::Result<()> {
    let own = match listener.take() {
        Some(own) => own,
        None => TcpListener::bind("127.0.0.1:0").await?,
    };
    let (mut client, (mut server, _)) = tokio::try_join!(TcpStream::connect(own.local_addr()?), own.accept())?;
    client.write_all(b"?").await?;
    let mut byte = [0];
    server.read_exact(&mut byte).await?;
    server.write_all(&byte).await?;
    client.read_exact(&mut byte).await?;
    // Without this a thousand ends of connections would wait for their time to be over.
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
    *listener = Some(own);
    Ok(())
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
