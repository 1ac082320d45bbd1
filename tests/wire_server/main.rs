//! The listening side on real sockets: who is served, who is let go and when, and how the process takes its leave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/raw.rs"]
mod raw;

mod draining;
mod serving;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use truehit::config::{Limits, Listen, ListenTls};
use truehit::server::{Content, Drain, Handler, Peer, Server};

use raw::{Raw, soon};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers by path: `/wait` when the test releases it, `/panic` never, `/upgrade` with a tunnel that echoes.
struct Site {
    entered: Semaphore,
    release: Semaphore,
    panics: AtomicUsize,
}

impl Site {
    /// Waits until a request to `/wait` is being handled.
    async fn entered(&self) {
        soon(self.entered.acquire()).await.unwrap().forget();
    }
}

impl Handler for Site {
    type Body = Full<Bytes>;

    async fn handle(self: Arc<Self>, request: Request<Content>, peer: Peer) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/wait" => {
                self.entered.add_permits(1);
                self.release.acquire().await.unwrap().forget();
            }
            "/panic" => panic!("on request"),
            "/upgrade" => {
                tokio::spawn(async move {
                    let mut tunnel = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                    let (mut read, mut write) = tokio::io::split(&mut tunnel);
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
                let switch = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
                return switch.body(Full::default()).unwrap();
            }
            _ => {}
        }
        Response::new(Full::from(format!("tls={} {:?}", peer.tls, request.version())))
    }

    fn panicked(&self) -> Response<Full<Bytes>> {
        self.panics.fetch_add(1, Ordering::Relaxed);
        Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).body(Full::default()).unwrap()
    }
}

struct Running {
    address: SocketAddr,
    drain: Drain,
    site: Arc<Site>,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Running {
    async fn connect(&self) -> Raw<TcpStream> {
        Raw::connect(self.address).await
    }

    /// Ends the accept loop and waits for it.
    async fn stop_accepting(self) {
        self.stop.send(()).unwrap();
        soon(self.accepting).await.unwrap();
    }
}

fn limits() -> Limits {
    let long = Duration::from_secs(60);
    Limits {
        requests: 100,
        target_bytes: 8 << 10,
        content_bytes: 1 << 30,
        connections: 100,
        waiters: 100,
        wait_max: long,
        head_bytes: 16 * 1024,
        head_timeout: long,
        content_timeout: long,
        write_timeout: long,
        idle_timeout: long,
    }
}

fn listen(tls: Option<ListenTls>) -> Listen {
    Listen { address: ([127, 0, 0, 1], 0).into(), tls, trusted_proxies: Vec::new() }
}

fn start(limits: &Limits) -> Running {
    run(Server::bind(&listen(None), limits).unwrap())
}

fn run(server: Server) -> Running {
    let (stop, stopped) = oneshot::channel();
    let site = Arc::new(Site { entered: Semaphore::new(0), release: Semaphore::new(0), panics: AtomicUsize::new(0) });
    let (address, drain) = (server.local_addr(), server.drain());
    let accepting = tokio::spawn(server.run(Arc::clone(&site), async {
        let _ = stopped.await;
    }));
    Running { address, drain, site, stop, accepting }
}

/// Reads one whole answer: its head, and the body that its Content-Length announces.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Raw<S>) -> (String, String) {
    let head = client.head().await;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    (head, String::from_utf8(client.exactly(length).await).unwrap())
}

type H2 = http2::SendRequest<Empty<Bytes>>;

/// An HTTP/2 client, and the task that ends when its connection does.
async fn h2<S>(stream: S) -> (H2, JoinHandle<hyper::Result<()>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn h2_get(sender: &mut H2, target: &str) -> hyper::Result<String> {
    let request = Request::builder().uri(format!("http://a{target}")).body(Empty::new()).unwrap();
    let response = soon(sender.send_request(request)).await?;
    let body = soon(response.into_body().collect()).await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}
