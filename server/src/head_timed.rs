//! A connection on which the head of a request may take only so long, once it has begun. How long it may be until it
//! begins is another matter: agents that write every ten seconds keep their connection.
//!
//! On one of HTTP/2 heads come beside one another, and control frames at any time: there it may only not be idle for
//! too long.

use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection of HTTP/2 begins with, and none of HTTP/1.
const HTTP2_START: &[u8] = b"PRI ";

/// What a connection waits for.
#[derive(Debug)]
pub struct Waits {
    /// From the first byte of a head to its last.
    head_timeout: Duration,
    /// Until the first byte of all; of HTTP/2, from the end of the last request on.
    idle_timeout: Duration,
    /// How many heads there were, twice; odd while a request is being answered.
    turns: AtomicU64,
    /// Requests under way.
    active: AtomicUsize,
    started: Instant,
    /// When there was the last request under way, in ms since it started.
    quiet_since_ms: AtomicU64,
}

impl Waits {
    pub fn new(head_timeout: Duration, idle_timeout: Duration) -> Arc<Waits> {
        Arc::new(Waits {
            head_timeout,
            idle_timeout,
            turns: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            started: Instant::now(),
            quiet_since_ms: AtomicU64::new(0),
        })
    }

    /// The head of a request is there. Until what this returns is dropped, the request is being answered.
    pub fn head_is_whole(self: &Arc<Waits>) -> Answering {
        self.turns.fetch_or(1, Ordering::AcqRel);
        self.active.fetch_add(1, Ordering::AcqRel);
        Answering(self.clone())
    }

    /// When a connection of HTTP/2 has been idle for too long, as of now.
    fn idle_until(&self) -> Instant {
        let quiet_since = match self.active.load(Ordering::Acquire) {
            0 => self.started + Duration::from_millis(self.quiet_since_ms.load(Ordering::Acquire)),
            _ => Instant::now(),
        };
        quiet_since + self.idle_timeout
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub struct Answering(Arc<Waits>);

impl Drop for Answering {
    fn drop(&mut self) {
        let Waits { started, turns, active, quiet_since_ms, .. } = &*self.0;
        quiet_since_ms.store(started.elapsed().as_millis() as u64, Ordering::Release);
        active.fetch_sub(1, Ordering::AcqRel);
        // The next head may come: from odd to the next even number.
        turns.fetch_add(1, Ordering::AcqRel);
    }
}

/// The connection.
pub struct HeadTimed<S> {
    stream: S,
    waits: Arc<Waits>,
    speaks: Speaks,
    /// When the head that has begun has to be whole, and at which turn it began.
    deadline: Option<(u64, Pin<Box<Sleep>>)>,
}

/// What is known of the protocol.
enum Speaks {
    /// These were the first bytes.
    Unknown(Vec<u8>),
    Http1,
    Http2,
}

impl<S> HeadTimed<S> {
    pub fn new(stream: S, waits: Arc<Waits>) -> HeadTimed<S> {
        let first = Instant::now() + waits.idle_timeout;
        let deadline = Some((0, Box::pin(sleep_until(first))));
        HeadTimed { stream, waits, speaks: Speaks::Unknown(Vec::new()), deadline }
    }

    /// Looks at what came first.
    fn learn(&mut self, came: &[u8]) {
        let Speaks::Unknown(first) = &mut self.speaks else { return };
        if first.is_empty() && !came.is_empty() {
            self.deadline = None; // it is no more that of the first byte
        }
        first.extend(&came[..came.len().min(HTTP2_START.len() - first.len())]);
        if **first == *HTTP2_START {
            self.speaks = Speaks::Http2;
        } else if !HTTP2_START.starts_with(first) {
            self.speaks = Speaks::Http1;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadTimed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let turn = self.waits.turns.load(Ordering::Acquire);
        let is_answering = turn % 2 == 1;
        if matches!(self.speaks, Speaks::Http1) {
            // That head is whole by now.
            self.deadline.take_if(|(began, _)| *began != turn);
        }
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            let came = &buffer.filled()[before..];
            self.learn(came);
            if !matches!(self.speaks, Speaks::Http2) && !is_answering && self.deadline.is_none() && !came.is_empty() {
                self.deadline = Some((turn, Box::pin(sleep_until(Instant::now() + self.waits.head_timeout))));
            }
            return Poll::Ready(read);
        }
        let is_http2 = matches!(self.speaks, Speaks::Http2);
        if is_http2 && self.deadline.is_none() {
            self.deadline = Some((turn, Box::pin(sleep_until(self.waits.idle_until()))));
        }
        let this = &mut *self;
        let Some((_, deadline)) = &mut this.deadline else { return Poll::Pending };
        loop {
            ready!(deadline.as_mut().poll(context));
            let until = this.waits.idle_until();
            if !is_http2 || until <= Instant::now() {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            deadline.as_mut().reset(until);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadTimed<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
