//! The origin of the figures: versioned keys behind a small hyper server that counts what it says.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::history::{Exchange, Stamp, Written};

/// How the origin behaves.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    pub keys: usize,
    /// Bytes of a content, at least.
    pub size: usize,
    /// Strong entity tags and conditional requests; without, no validator, and 405 to HEAD.
    pub tags: bool,
    pub delay: Delay,
    /// Whether every exchange is logged.
    pub logs: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Delay {
    /// Each answer this long after its request.
    Fixed(Duration),
    /// Up to so many milliseconds before a request takes effect, and again before its answer goes out.
    Random(u64),
}

/// The origin.
pub struct Site {
    manners: Manners,
    start: Instant,
    ticks: AtomicU64,
    dice: AtomicU64,
    contents: Mutex<Vec<(u64, Bytes)>>,
    requests: AtomicUsize,
    sent_bytes: AtomicU64,
    log: Mutex<(Vec<Written>, Vec<Exchange>)>,
}

/// A version's content: the same words over and over, so that a torn or foreign one shows.
pub fn content(key: usize, version: u64, size: usize) -> Bytes {
    let mut text = String::with_capacity(size + 64);
    while text.len() < size {
        writeln!(text, "key {key} version {version:010} again").unwrap();
    }
    Bytes::from(text)
}

impl Site {
    /// Listens on loopback.
    pub async fn open(manners: Manners) -> (Arc<Self>, SocketAddr) {
        let site = Arc::new(Self {
            manners,
            start: Instant::now(),
            ticks: AtomicU64::new(0),
            dice: AtomicU64::new(1),
            contents: Mutex::new((0..manners.keys).map(|key| (0, content(key, 0, manners.size))).collect()),
            requests: AtomicUsize::new(0),
            sent_bytes: AtomicU64::new(0),
            log: Mutex::default(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Arc::clone(&site).accept(listener));
        (site, address)
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let (site, counted) = (Arc::clone(&self), Counted { stream, site: Arc::clone(&self) });
            tokio::spawn(async move {
                let answer = service_fn(|request| {
                    let site = Arc::clone(&site);
                    async move { Ok::<_, Infallible>(site.answer(&request).await) }
                });
                http1::Builder::new().serve_connection(TokioIo::new(counted), answer).await
            });
        }
    }

    /// Now.
    pub fn stamp(&self) -> Stamp {
        Stamp { tick: self.ticks.fetch_add(1, Ordering::SeqCst), at: self.start.elapsed() }
    }

    /// A number below `bound`.
    pub fn draw(&self, bound: u64) -> u64 {
        let mut mixed = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    async fn wait(&self, longest_ms: u64) {
        let wait = self.draw(longest_ms + 1);
        if wait > 0 {
            sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Writes the next version of a key at once.
    pub fn change(&self, key: usize) -> u64 {
        let (version, content) = &mut self.contents.lock().unwrap()[key];
        *version += 1;
        *content = self::content(key, *version, self.manners.size);
        *version
    }

    /// Writes the next version of a key some time between the call and its end.
    pub async fn write(&self, key: usize) {
        let began = self.stamp();
        self.wait(1).await;
        let version = self.change(key);
        self.wait(1).await;
        let ended = self.stamp();
        self.log.lock().unwrap().0.push(Written { key, version, began, ended });
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many bytes went out, heads included.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes.load(Ordering::Relaxed)
    }

    /// The writes and the exchanges.
    pub fn log(&self) -> (Vec<Written>, Vec<Exchange>) {
        self.log.lock().unwrap().clone()
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let received = self.stamp();
        self.requests.fetch_add(1, Ordering::Relaxed);
        match self.manners.delay {
            Delay::Fixed(delay) if delay.is_zero() => {}
            Delay::Fixed(delay) => sleep(delay).await,
            Delay::Random(longest_ms) => self.wait(longest_ms).await,
        }
        let response = self.evaluate(request, received);
        if let Delay::Random(longest_ms) = self.manners.delay {
            self.wait(longest_ms).await;
        }
        response
    }

    fn evaluate(&self, request: &Request<Incoming>, received: Stamp) -> Response<Full<Bytes>> {
        let key: usize = request.uri().path().strip_prefix("/k/").unwrap().parse().unwrap();
        let contents = self.contents.lock().unwrap();
        let evaluated = self.stamp();
        let (version, content) = contents[key].clone();
        drop(contents);
        if self.manners.logs {
            self.log.lock().unwrap().1.push(Exchange { key, version, received, evaluated });
        }
        let tag = format!("\"v{version}\"");
        let condition = request.headers().get(header::IF_NONE_MATCH).and_then(|list| list.to_str().ok());
        let unchanged = condition.is_some_and(|list| list.split(',').any(|one| one.trim() == tag));
        let (status, content) = match (self.manners.tags, request.method()) {
            (false, &Method::HEAD) => (StatusCode::METHOD_NOT_ALLOWED, Bytes::new()),
            (true, _) if unchanged => (StatusCode::NOT_MODIFIED, Bytes::new()),
            _ => (StatusCode::OK, content),
        };
        let mut response = Response::builder().status(status);
        if self.manners.tags {
            response = response.header(header::ETAG, tag);
        }
        response.body(Full::new(content)).unwrap()
    }
}

/// A connection whose outgoing bytes are counted.
struct Counted {
    stream: TcpStream,
    site: Arc<Site>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.site.sent_bytes.fetch_add(count as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
