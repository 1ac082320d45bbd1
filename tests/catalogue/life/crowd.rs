//! What a crowd of clients sees of reloads and of the end: nothing.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use truehit::lifecycle::End;

use super::*;

const CLIENTS: usize = 32;

/// What a crowd of clients has been through.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    lost: std::sync::Mutex<Vec<String>>,
    enough: AtomicBool,
}

/// A closed loop: asks again as soon as it is answered, connects again when it was told that the connection closes, and
/// ends when nobody listens any more. A connection that was accepted and not answered is a loss.
async fn loop_until_refused(address: SocketAddr, number: usize, tally: Arc<Tally>) {
    'connections: loop {
        let stream = match soon(TcpStream::connect(address)).await {
            Ok(stream) => stream,
            // Reset here, the listener closed within the handshake: nothing was sent, so nothing is lost.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => return,
            Err(error) => return tally.lost.lock().unwrap().push(format!("connecting: {error}")),
        };
        let mut client = Client::h1(stream).await;
        let mut asked = 0;
        while !tally.enough.load(Ordering::Relaxed) {
            let method = if number.is_multiple_of(4) { "POST" } else { "GET" };
            let request = ask(method, &format!("/{}", number % 8)).body(empty()).unwrap();
            let answer = match client.try_send(request).await {
                Ok(response) => Answer::of(response).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) if answer.status == 200 && answer.text() == "content" => {
                    asked += 1;
                    tally.answered.fetch_add(1, Ordering::Relaxed);
                    if answer.field("connection") == "close" {
                        continue 'connections;
                    }
                }
                Ok(answer) => return tally.lost.lock().unwrap().push(format!("{answer:?}")),
                // An idle connection may be closed at any time, and the client knows that this request was not read.
                Err(error) if asked > 0 && (error.is_canceled() || error.is_closed()) => continue 'connections,
                Err(error) => return tally.lost.lock().unwrap().push(format!("after {asked}: {error:?}")),
            }
        }
        return;
    }
}

fn crowd(sidecar: &Sidecar) -> (Arc<Tally>, JoinSet<()>) {
    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(loop_until_refused(sidecar.address(), number, Arc::clone(&tally)));
    }
    (tally, clients)
}

impl Tally {
    async fn answered(&self, more: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        let reached = async {
            while self.answered.load(Ordering::Relaxed) < goal {
                tokio::task::yield_now().await;
            }
        };
        soon(reached).await;
    }

    fn nothing_lost(&self) {
        let lost = self.lost.lock().unwrap();
        assert!(lost.is_empty(), "{} lost, {lost:?}", lost.len());
    }
}

async fn origin() -> Origin {
    Origin::start(async |request: Request<Incoming>| {
        let known = request.headers().contains_key("if-none-match");
        let response = Response::builder().header("etag", "\"1\"").status(if known { 304 } else { 200 });
        response.body(if known { empty() } else { full("content") }).unwrap()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_a_signal_to_end_loses_no_request_of_a_crowd() {
    let origin = origin().await;
    for delay in ["0s", "100ms"] {
        let sidecar = Sidecar::delayed(&origin.url(), delay).await;
        let (tally, clients) = crowd(&sidecar);
        tally.answered(500).await;
        sidecar.terminate().await;
        assert_eq!(sidecar.ended().await, End::Finished);
        soon(clients.join_all()).await;
        tally.nothing_lost();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g6_a_hundred_reloads_lose_no_request_of_a_crowd() {
    let origin = origin().await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let (tally, clients) = crowd(&sidecar);
    // Each is told three times.
    for verify in ["off", "every-hit", "1s", "when-stale"].repeat(9) {
        tally.answered(20).await;
        sidecar.configure(&origin.url(), &format!("defaults.verify = \"{verify}\""));
        sidecar.reload().await;
    }
    tally.answered(100).await;
    tally.enough.store(true, Ordering::Relaxed);
    soon(clients.join_all()).await;
    tally.nothing_lost();
    assert_eq!(sidecar.metric("truehit_config_last_reload_successful").await, 1.0);
    assert!(sidecar.metric("truehit_config_reloads_total{result=\"success\"}").await >= 100.0);
    assert_eq!(sidecar.metric("truehit_config_reloads_total{result=\"error\"}").await, 0.0);
}

#[tokio::test]
async fn g6_a_broken_configuration_leaves_the_old_one_in_use() {
    let (origin, mut asks) =
        Origin::telling(|| Response::builder().header("etag", "\"1\"").body(full("1")).unwrap()).await;
    let sidecar = Sidecar::start(&origin.url(), "defaults.verify = \"60s\"").await;
    sidecar.get("/").await;
    asks.recv().await.unwrap();
    for text in [
        "listen.adress = 1",
        "not toml",
        "origin.url = \"ftp://x\"",
        "origin.url = \"https://a\"\norigin.tls.ca_file = \"/nowhere\"",
    ] {
        sidecar.write(text);
        sidecar.reload().await;
        assert_eq!(sidecar.metric("truehit_config_last_reload_successful").await, 0.0, "{text}");
        assert!(sidecar.get("/").await.field("cache-status").contains("detail=lease"), "{text}");
        assert_eq!(sidecar.admin("/readyz").await.status, 200);
    }
    assert!(sidecar.metric("truehit_config_reloads_total{result=\"error\"}").await >= 4.0);
    assert!(asks.try_recv().is_err());
    sidecar.configure(&origin.url(), "");
    sidecar.reload().await;
    assert_eq!(sidecar.metric("truehit_config_last_reload_successful").await, 1.0);
}
