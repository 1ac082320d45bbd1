//! What an origin may send before the head of its final response: interim responses, and that head.
//!
//! hyper reads interim responses for as long as they come. [`Guarded`] shows a [`Guard`] what is read on a connection, and
//! breaks the connection off where the guard says that it is too much.

mod streams;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use self::streams::Streams;

/// The most bytes before a final response's head is known, that head and what was read along with it included.
///
/// A head may take 32 KiB, and hyper reads no more at once: this is far above both together.
pub(super) const PREFACE_MAX: u64 = 1024 * 1024;

/// More than [`PREFACE_MAX`] came.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {PREFACE_MAX} bytes before the head of a final response")]
pub(super) struct TooMuch;

/// Sees what is read on a connection.
pub(super) trait Guard {
    /// Takes the next bytes that were read.
    fn read(&mut self, bytes: &[u8]) -> Result<(), TooMuch>;
}

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

/// The guard of an HTTP/1.1 connection: counts what is read while a head is awaited.
pub(super) struct OneAtATime {
    awaiting: Awaiting,
    /// The number of what was counted last.
    turn: u64,
    read: u64,
}

impl OneAtATime {
    pub(super) const fn new(awaiting: Awaiting) -> Self {
        Self { awaiting, turn: 0, read: 0 }
    }
}

impl Guard for OneAtATime {
    fn read(&mut self, bytes: &[u8]) -> Result<(), TooMuch> {
        let turn = self.awaiting.0.load(Ordering::Relaxed);
        if turn != self.turn {
            (self.turn, self.read) = (turn, 0);
        }
        self.read = self.read.saturating_add(bytes.len() as u64);
        if turn % 2 == 1 && self.read > PREFACE_MAX { Err(TooMuch) } else { Ok(()) }
    }
}

/// A connection that is guarded.
pub(super) struct Guarded<S, G> {
    inner: S,
    guard: G,
}

impl<S, G> Guarded<S, G> {
    pub(super) const fn new(inner: S, guard: G) -> Self {
        Self { inner, guard }
    }
}

impl<S: AsyncRead + Unpin, G: Guard + Unpin> AsyncRead for Guarded<S, G> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { inner, guard } = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(inner).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(guard.read(new).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

impl<S: AsyncWrite + Unpin, G: Unpin> AsyncWrite for Guarded<S, G> {
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
        let mut guard = OneAtATime::new(awaiting.clone());
        let most = vec![0; usize::try_from(PREFACE_MAX).unwrap()];
        for _ in 0..3 {
            awaiting.begin();
            assert_eq!(guard.read(&most), Ok(()), "as much for each");
            awaiting.end();
            assert_eq!(guard.read(&most), Ok(()), "a body is as long as it is");
            assert_eq!(guard.read(&most), Ok(()));
        }
        awaiting.begin();
        assert_eq!(guard.read(&[0]), Ok(()));
        assert_eq!(guard.read(&most), Err(TooMuch));
    }
}
