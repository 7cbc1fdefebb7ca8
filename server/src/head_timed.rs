//! A connection on which the head of a request may take only so long, once it has begun. How long it may be until it
//! begins is another matter: agents that write every ten seconds keep their connection.

use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection waits for.
#[derive(Debug)]
pub struct Waits {
    timeout: Duration,
    /// How many heads there were, twice; odd while a request is being answered.
    turns: AtomicU64,
}

impl Waits {
    pub fn new(timeout: Duration) -> Arc<Waits> {
        Arc::new(Waits { timeout, turns: AtomicU64::new(0) })
    }

    /// The head of a request is there.
    pub fn head_is_whole(&self) {
        self.turns.fetch_or(1, Ordering::AcqRel);
    }

    /// The next head may come.
    pub fn next(&self) {
        // From odd to the next even number.
        self.turns.fetch_add(1, Ordering::AcqRel);
    }
}

/// The connection.
pub struct HeadTimed<S> {
    stream: S,
    waits: Arc<Waits>,
    /// When the head that has begun has to be whole, and at which turn it began.
    deadline: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<S> HeadTimed<S> {
    pub fn new(stream: S, waits: Arc<Waits>) -> HeadTimed<S> {
        HeadTimed { stream, waits, deadline: None }
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
        // That head is whole by now.
        self.deadline.take_if(|(began, _)| *began != turn);
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            if !is_answering && self.deadline.is_none() && buffer.filled().len() > before {
                self.deadline = Some((turn, Box::pin(sleep_until(Instant::now() + self.waits.timeout))));
            }
            return Poll::Ready(read);
        }
        let Some((_, deadline)) = &mut self.deadline else { return Poll::Pending };
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
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
