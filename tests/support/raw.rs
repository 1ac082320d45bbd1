//! Bytes on real sockets: an origin that is accepted and answered by hand, and a client that writes what it likes.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Fails a test that would otherwise hang. Nothing waits this long when it passes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `future`, but not for ever.
pub async fn soon<F: IntoFuture>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened for 20 s")
}

/// Lets as much time pass as a connection must stay silent before it is used again. What is under way gets where it goes
/// first.
pub async fn quarantine() {
    pass(Duration::from_millis(250)).await;
}

/// Moves the time.
pub async fn pass(time: Duration) {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// A listener on a port that the system chose.
pub struct RawOrigin {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl RawOrigin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub async fn accept(&self) -> Raw<TcpStream> {
        Raw::new(soon(self.listener.accept()).await.unwrap().0)
    }
}

/// One end of a connection, by hand.
pub struct Raw<S> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl Raw<TcpStream> {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::new(soon(TcpStream::connect(address)).await.unwrap())
    }

    /// Takes what has come, without waiting for more.
    pub async fn hear(&mut self) {
        // The runtime learns of it when this task lets it look.
        tokio::task::yield_now().await;
        while matches!(self.stream.try_read_buf(&mut self.buffer), Ok(1..)) {}
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub const fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads to the end of a message head and gives it, with its empty line.
    pub async fn head(&mut self) -> String {
        String::from_utf8(self.until(b"\r\n\r\n").await).unwrap()
    }

    /// Reads up to and including `end`.
    pub async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            let read = soon(self.stream.read_buf(&mut self.buffer)).await.unwrap();
            assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    /// What has come and was not read.
    pub fn heard(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads exactly `count` bytes.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            let read = soon(self.stream.read_buf(&mut self.buffer)).await.unwrap();
            assert!(read > 0, "closed after {} of {count} bytes", self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads a request head and answers it.
    pub async fn answer(&mut self, response: impl AsRef<[u8]>) -> String {
        let head = self.head().await;
        self.write(response).await;
        head
    }

    /// Waits until the other side has closed, and gives what it sent before.
    pub async fn closed(mut self) -> Vec<u8> {
        // A reset is as good an end as any.
        let _ = soon(self.stream.read_to_end(&mut self.buffer)).await;
        self.buffer
    }
}

/// A 200 with this body and its length.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
