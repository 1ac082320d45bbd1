//! `Patient`: a client's socket that waits only so long for a client that takes nothing.
//!
//! It lies under TLS and under everything that is spoken, so it sees bytes go and nothing else, and it goes with the
//! socket into a tunnel. Whoever has nothing to say to a client is never hurried: the time runs only while a write waits.
//!
//! The system says that there is room again when a third of its buffer is free, so a client that reads at all is seen
//! to read as long as it takes that much within the time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::closing::{Closing, Closings};

/// A socket, and how long its writes may wait.
pub(super) struct Patient<S> {
    stream: S,
    timeout: Duration,
    /// Whether the last write waits.
    waits: bool,
    /// Made when a write waits for the first time: most connections never have one.
    timer: Option<Pin<Box<Sleep>>>,
    closings: Arc<Closings>,
}

impl<S> Patient<S> {
    pub(super) const fn new(stream: S, timeout: Duration, closings: Arc<Closings>) -> Self {
        Self { stream, timeout, waits: false, timer: None, closings }
    }

    /// What a write came to, or an error if it has waited for too long.
    fn written<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waits = false;
            return polled;
        }
        ready!(self.poll_spent(cx));
        self.closings.count(Closing::WriteLate);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_spent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.timer {
            Some(timer) => timer,
            none => none.insert(Box::pin(sleep(self.timeout))),
        };
        if !self.waits {
            self.waits = true;
            timer.as_mut().reset(Instant::now() + self.timeout);
        }
        timer.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.written(polled, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
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
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.written(polled, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// A socket that takes ten bytes ahead of its reader, and the reader.
    fn connection() -> (Patient<DuplexStream>, DuplexStream, Arc<Closings>) {
        let (near, far) = duplex(10);
        let closings = Arc::new(Closings::default());
        (Patient::new(near, TIMEOUT, Arc::clone(&closings)), far, closings)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_after_the_timeout() {
        let (mut socket, _far, closings) = connection();
        let began = Instant::now();
        let error = socket.write_all(&[0; 11]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, TIMEOUT));
        assert_eq!(closings.counts()[Closing::WriteLate as usize], 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_a_byte_now_and_then_is_not() {
        let (mut socket, mut far, closings) = connection();
        let reader = tokio::spawn(async move {
            for _ in 0..20 {
                sleep(TIMEOUT - Duration::from_secs(1)).await;
                far.read_u8().await.unwrap();
            }
            far
        });
        socket.write_all(&[0; 30]).await.unwrap();
        drop(reader.await.unwrap());
        assert_eq!(closings.counts(), [0; Closing::ALL.len()]);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_between_writes_is_nobodys_fault() {
        let (mut socket, mut far, _) = connection();
        for _ in 0..3 {
            // Each waits for a moment, so that there is a timer from then on.
            let mut read = [0; 15];
            let (wrote, _) = tokio::join!(socket.write_all(&[0; 15]), far.read_exact(&mut read));
            wrote.unwrap();
            sleep(TIMEOUT * 10).await;
        }
    }
}
