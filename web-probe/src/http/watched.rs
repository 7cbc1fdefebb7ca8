//! A stream that remembers what is odd about the answer that comes over it: what people who visit a site never see, and
//! strict clients stumble over.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much of an answer's head is looked at.
pub(super) const HEAD_BYTES_MAX: usize = 1 << 20;
/// More headers than that are many: what most clients take.
const HEADERS_MANY: usize = 100;
/// A head that is longer is large: what most servers and proxies take.
const HEAD_BYTES_LARGE: usize = 64 << 10;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Answer>);

#[derive(Debug, Default)]
struct Answer {
    head: Vec<u8>,
    head_is_whole: bool,
    has_no_close_notify: bool,
}

impl Seen {
    /// What is odd, in words to count by.
    pub(super) fn notes(&self) -> Vec<&'static str> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notes = if seen.head_is_whole { notes_of(&seen.head) } else { Vec::new() };
        notes.extend(seen.has_no_close_notify.then_some("no_close_notify"));
        notes
    }
}

/// What is odd about a head of HTTP/1.
fn notes_of(head: &[u8]) -> Vec<&'static str> {
    let lines: Vec<&[u8]> =
        head.split(|byte| *byte == b'\n').skip(1).filter(|line| !line.trim_ascii().is_empty()).collect();
    let is_folded = |line: &&&[u8]| line.starts_with(b" ") || line.starts_with(b"\t");
    let is_odd = |line: &&[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.len() == line.len() || name.is_empty() || !name.iter().all(|byte| is_token(*byte))
    };
    let names: Vec<&[u8]> = lines.iter().filter(|line| !is_folded(line)).copied().collect();
    let mut notes = Vec::new();
    notes.extend((names.len() < lines.len()).then_some("folded_headers"));
    notes.extend(names.iter().any(is_odd).then_some("odd_headers"));
    notes.extend((names.len() > HEADERS_MANY).then_some("many_headers"));
    notes.extend((head.len() > HEAD_BYTES_LARGE).then_some("large_head"));
    notes
}

/// May it stand in the name of a header (RFC 9110, section 5.6.2)?
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A stream over which an answer comes. An end without a word of TLS about it is an end: whether something is missing
/// is said by the lengths in the answer.
pub(super) struct Watched<S> {
    inner: S,
    seen: Arc<Seen>,
    /// Is it HTTP/1, whose heads can be read?
    has_heads: bool,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, seen: Arc<Seen>, has_heads: bool) -> Watched<S> {
        Watched { inner, seen, has_heads }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        let mut seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnexpectedEof) {
            seen.has_no_close_notify = true;
            return Poll::Ready(Ok(()));
        }
        let room = HEAD_BYTES_MAX.saturating_sub(seen.head.len());
        let new = &buffer.filled()[before..];
        if self.has_heads && !seen.head_is_whole && !new.is_empty() && room > 0 {
            let old = seen.head.len().saturating_sub(3);
            seen.head.extend_from_slice(&new[..new.len().min(room)]);
            if let Some(end) = head_end(&seen.head[old..]) {
                seen.head.truncate(old + end);
                seen.head_is_whole = true;
            }
        }
        Poll::Ready(read)
    }
}

/// Where a head ends that ends in these bytes.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let end = |mark: &[u8]| bytes.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len());
    end(b"\r\n\r\n").into_iter().chain(end(b"\n\n")).min()
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_about_a_head_is_named() {
        let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", &[][..]),
            ("HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n", &["folded_headers"]),
            ("HTTP/1.1 200 OK\r\nx y: a\r\n\r\n", &["odd_headers"]),
            ("HTTP/1.1 200 OK\r\nx : a\r\n\r\n", &["odd_headers"]),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", &["odd_headers"]),
            (&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), &["many_headers"]),
            (&format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(70_000)), &["large_head"]),
        ] {
            assert_eq!(notes_of(head.as_bytes()), expected, "{}", &head[..head.len().min(60)]);
        }
        assert_eq!(head_end(b"ab\r\n\r\nbody"), Some(6));
        assert_eq!(head_end(b"ab\n\nbody"), Some(4));
        assert_eq!(head_end(b"ab\r\n"), None);
    }
}
