//! Interim responses on the listening side: how bytes that hyper knows nothing of get between two of its messages.
//!
//! hyper's server has no word for an interim response. So heads that are ready to be sent are posted to the connection's
//! [`Mailbox`], and the [`Outlet`], which is the stream as hyper sees it, writes them where no message of hyper's is
//! under way. It knows such places by three facts about hyper's HTTP/1 (1.12, `proto/h1`):
//!
//! 1. `Buffered::poll_flush`, and nothing else, flushes the stream, and it does so only with an empty write buffer. So
//!    at a flush the stream has had everything that hyper encoded.
//! 2. A request's head is read, and the service called, only when the response before has been encoded to its end
//!    (`State::idle`). So at a flush during a request's [`Turn`] the stream has had the responses before it to their
//!    last byte.
//! 3. A response is encoded when the service's future has given it, and the turn ends before that. So during the turn
//!    the stream has had no byte of the request's own response.
//!
//! A flush within a turn is therefore a place between two messages, and what was posted goes out there. The turn does not
//! end before that: a final response that is ready waits for the flush that follows. (With `pipeline_flush`, which is not
//! in use, hyper would not flush while another request waits, and neither would end.) What is posted later is dropped.
//!
//! HTTP/2 has its own way of sending these, and hyper gives no access to it; its streams, and HTTP/1.0, get none.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::rules::interim::Allowance;

/// Where interim responses to one request go: to the client that asked, until its final response is there. The default
/// goes nowhere.
#[derive(Clone, Debug, Default)]
pub struct InterimSink(Option<Slot>);

#[derive(Clone, Debug)]
struct Slot {
    mailbox: Arc<Mailbox>,
    turn: u64,
}

impl InterimSink {
    /// Whether nothing can come of it, now or later: the client does not speak HTTP/1.1.
    #[must_use]
    pub const fn is_nowhere(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the client may get another one: it waits, and the bound is not reached.
    #[must_use]
    pub fn accepts(&self) -> bool {
        self.0.as_ref().is_some_and(|slot| slot.mailbox.accepts(slot.turn))
    }

    /// Sends the head of an interim response, whole and ready for the wire, ahead of the final response. Says whether it
    /// was taken: not when the final response has come, nor when the bound of the request is reached.
    pub fn push(&self, head: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|slot| slot.mailbox.post(slot.turn, head))
    }
}

/// What lies between those who have interim responses, on any thread, and the connection's task.
///
/// A connection that never sees one touches the atomics alone.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// Turns that have begun.
    turns: AtomicU64,
    /// The number of the turn that is open, or 0. Changed by the connection's task alone.
    open: AtomicU64,
    /// Whether there is something to be looked at under the lock.
    posted: AtomicBool,
    post: Mutex<Post>,
    /// Wakes the connection's task.
    waker: AtomicWaker,
}

/// Heads that wait to be written, and whose they are.
#[derive(Debug, Default)]
struct Post {
    turn: u64,
    allowance: Allowance,
    bytes: Vec<u8>,
}

impl Mailbox {
    /// Begins the turn of a request that came in this version.
    pub(super) fn open(self: &Arc<Self>, version: Version) -> Turn {
        // RFC 9110 §15.2: "Since HTTP/1.0 did not define any 1xx status codes, a server MUST NOT send a 1xx response to
        // an HTTP/1.0 client."
        if version != Version::HTTP_11 {
            return Turn(InterimSink::default());
        }
        let turn = self.turns.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.store(turn, Ordering::Release);
        Turn(InterimSink(Some(Slot { mailbox: Arc::clone(self), turn })))
    }

    fn accepts(&self, turn: u64) -> bool {
        let post = self.lock();
        self.open.load(Ordering::Acquire) == turn && (post.turn != turn || !post.allowance.is_spent())
    }

    fn post(&self, turn: u64, head: &[u8]) -> bool {
        let mut post = self.lock();
        if self.open.load(Ordering::Acquire) != turn {
            return false;
        }
        if post.turn != turn {
            *post = Post { turn, ..Post::default() };
        }
        if !post.allowance.spend(head.len()) {
            return false;
        }
        post.bytes.extend_from_slice(head);
        self.posted.store(true, Ordering::Release);
        drop(post);
        self.waker.wake();
        true
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) != 0
    }

    fn has_posted(&self) -> bool {
        self.posted.load(Ordering::Acquire)
    }

    /// Empties it, and gives what was posted in the turn that is open. A turn that ended may have left something behind,
    /// which has no place any more.
    fn take(&self) -> Bytes {
        let mut post = self.lock();
        self.posted.store(false, Ordering::Release);
        let bytes = std::mem::take(&mut post.bytes);
        if post.turn == self.open.load(Ordering::Acquire) { bytes.into() } else { Bytes::new() }
    }

    /// A panic while the lock was held cannot leave half a head behind.
    fn lock(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's time to get interim responses: from its head until [`Turn::end`], before hyper sees the final one.
#[derive(Debug)]
pub(super) struct Turn(InterimSink);

impl Turn {
    /// What the request's handler gets.
    pub(super) fn sink(&self) -> InterimSink {
        self.0.clone()
    }

    /// Ends when what was posted is on its way. To be awaited in the connection's task, which the outlet wakes.
    pub(super) async fn end(self) {
        if let Some(slot) = &self.0.0 {
            poll_fn(|_| if slot.mailbox.has_posted() { Poll::Pending } else { Poll::Ready(()) }).await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(slot) = &self.0.0 {
            slot.mailbox.open.store(0, Ordering::Release);
        }
    }
}

/// A client's stream that writes what is in the mailbox between hyper's messages.
pub(super) struct Outlet<S> {
    stream: S,
    mailbox: Arc<Mailbox>,
    /// The rest of what was taken from the mailbox. hyper's bytes wait for it.
    rest: Bytes,
}

impl<S> Outlet<S> {
    pub(super) const fn new(stream: S, mailbox: Arc<Mailbox>) -> Self {
        Self { stream, mailbox, rest: Bytes::new() }
    }
}

impl<S: AsyncWrite + Unpin> Outlet<S> {
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.rest.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outlet<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outlet<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_rest(cx))?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_rest(cx))?;
        if this.mailbox.is_open() {
            // Before the look into the mailbox, so that what is posted after it wakes the task.
            this.mailbox.waker.register(cx.waker());
            while this.mailbox.has_posted() {
                this.rest = this.mailbox.take();
                // The turn may wait for this to end.
                cx.waker().wake_by_ref();
                ready!(this.poll_rest(cx))?;
            }
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_rest(cx))?;
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }
}

impl<S> Drop for Outlet<S> {
    fn drop(&mut self) {
        // An exchange may outlive the connection that began it, and must not keep its task.
        drop(self.mailbox.waker.take());
    }
}
