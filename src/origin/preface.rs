//! What an origin may send before the head of its final response: interim responses, and that head.
//!
//! hyper reads interim responses for as long as they come. This wrapper of a connection counts what is read while a head
//! is awaited, and breaks the connection off where it is too much.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes before a final response's head is known, that head and what was read along with it included.
///
/// A head may take 32 KiB, and hyper reads no more at once: this is far above both together.
pub(super) const PREFACE_MAX: u64 = 1024 * 1024;

/// More than [`PREFACE_MAX`] came.
#[derive(Debug, thiserror::Error)]
#[error("more than {PREFACE_MAX} bytes before the head of a final response")]
pub(super) struct TooMuch;

/// Whether a head is awaited, as whoever uses the connection says: a number that is odd while one is.
#[derive(Clone, Debug, Default)]
pub(super) struct Awaiting(Arc<AtomicU64>);

impl Awaiting {
    /// A request goes out.
    pub(super) fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Its head is there.
    pub(super) fn end(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection that is counted.
pub(super) struct Counted<S> {
    inner: S,
    awaiting: Awaiting,
    /// The number of what was counted last.
    turn: u64,
    read: u64,
}

impl<S> Counted<S> {
    pub(super) const fn new(inner: S, awaiting: Awaiting) -> Self {
        Self { inner, awaiting, turn: 0, read: 0 }
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        let turn = self.awaiting.0.load(Ordering::Relaxed);
        if turn != self.turn {
            (self.turn, self.read) = (turn, 0);
        }
        self.read = self.read.saturating_add(bytes as u64);
        let too_much = turn % 2 == 1 && self.read > PREFACE_MAX;
        if too_much { Err(io::Error::new(io::ErrorKind::InvalidData, TooMuch)) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        Poll::Ready(this.count(buf.filled().len().saturating_sub(before)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_while_a_head_is_awaited_is_bounded_for_each_request() {
        let awaiting = Awaiting::default();
        let mut counted = Counted::new((), awaiting.clone());
        let most = usize::try_from(PREFACE_MAX).unwrap();
        for _ in 0..3 {
            awaiting.begin();
            assert!(counted.count(most).is_ok(), "as much for each");
            awaiting.end();
            assert!(counted.count(10 * most).is_ok(), "a body is as long as it is");
        }
        awaiting.begin();
        assert!(counted.count(1).is_ok());
        assert!(counted.count(most).is_err());
    }
}
