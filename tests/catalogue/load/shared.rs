//! Exchanges that many wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use tokio::sync::{mpsc, watch};

use super::*;

const CLIENTS: usize = 50;

fn get(target: &str) -> Request<Content> {
    ask("GET", target).body(empty()).unwrap()
}

/// Sends a GET on a connection of its own.
async fn client(sidecar: &Sidecar, target: &'static str) -> tokio::task::JoinHandle<Answer> {
    let mut client = sidecar.client().await;
    tokio::spawn(async move { client.fetch(get(target)).await })
}

/// An origin of what may not be stored, that answers each request with its number, once `open` and once as many have come
/// as `enough` says for that number.
async fn counting(open: watch::Receiver<bool>, enough: fn(usize) -> usize) -> Origin {
    let (came, _) = watch::channel(0);
    let came = Arc::new(came);
    Origin::start(move |_: Request<Incoming>| {
        let (came, mut open) = (Arc::clone(&came), open.clone());
        async move {
            let mut number = 0;
            came.send_modify(|count| {
                *count += 1;
                number = *count;
            });
            let all_are_here = came.subscribe().wait_for(|count| *count >= enough(number)).await.map(|_| ());
            all_are_here.unwrap();
            open.wait_for(|open| *open).await.unwrap();
            Response::builder().header("cache-control", "no-store").body(full(number.to_string())).unwrap()
        }
    })
    .await
}

/// Each is answered by an exchange of its own.
async fn are_all_different(asking: Vec<tokio::task::JoinHandle<Answer>>) {
    let mut answers = Vec::new();
    for one in asking {
        let answer = soon(one).await.unwrap();
        assert_eq!(answer.status, 200);
        answers.push(answer.text().to_owned());
    }
    answers.sort_unstable();
    answers.dedup();
    assert_eq!(answers.len(), CLIENTS);
}

#[tokio::test]
async fn f7_what_may_not_be_stored_is_asked_for_side_by_side() {
    // The first says that it may not be stored. No later one is answered before all of them are at the origin.
    let (_gate, open) = watch::channel(true);
    let origin = counting(open, |number| if number == 1 { 1 } else { CLIENTS + 1 }).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    sidecar.get("/").await;
    let mut asking = Vec::new();
    for _ in 0..CLIENTS {
        asking.push(client(&sidecar, "/").await);
    }
    are_all_different(asking).await;
}

#[tokio::test]
async fn f7_a_cold_herd_for_what_may_not_be_stored_finds_out_and_goes_on_side_by_side() {
    // What began before the first answer was there may be shared: the first exchange, another that overlaps it, and the
    // one that was queued. Nothing later is answered before all are at the origin.
    let (gate, open) = watch::channel(false);
    let origin = counting(open, |number| if number <= 3 { number } else { CLIENTS }).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let mut asking = Vec::new();
    for _ in 0..CLIENTS {
        asking.push(client(&sidecar, "/").await);
    }
    sidecar.until_metric("truehit_waiting_requests", CLIENTS as f64).await;
    gate.send(true).unwrap();
    are_all_different(asking).await;
}

/// Starts a request that leads an exchange, and others that wait; the origin has the leader's request.
async fn herd(
    stage: &RawOrigin,
    sidecar: &Sidecar,
) -> (Raw<tokio::net::TcpStream>, Raw<tokio::net::TcpStream>, Vec<tokio::task::JoinHandle<Answer>>) {
    let mut leader = sidecar.raw().await;
    leader.write("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n").await;
    let mut held = stage.accept().await;
    held.head().await;
    let mut followers = Vec::new();
    for _ in 0..10 {
        followers.push(client(sidecar, "/").await);
    }
    (leader, held, followers)
}

const CONTENT: &str = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 7\r\nConnection: close\r\n\r\ncontent";

/// Answers whatever else comes.
fn answers_from_now_on(origin: RawOrigin) {
    tokio::spawn(async move {
        loop {
            let mut connection = origin.accept().await;
            tokio::spawn(async move { connection.answer(CONTENT).await });
        }
    });
}

#[tokio::test]
async fn f8_those_who_wait_are_answered_where_their_leader_leaves() {
    let origin = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", origin.address), "").await;
    let (leader, mut held, followers) = herd(&origin, &sidecar).await;
    drop(leader);
    held.write(CONTENT).await;
    answers_from_now_on(origin);
    for follower in followers {
        assert_eq!(soon(follower).await.unwrap().text(), "content");
    }
    assert_eq!(sidecar.metric("truehit_waiting_requests").await, 0.0);
}

#[tokio::test]
async fn f8_those_who_wait_are_answered_where_their_leaders_exchange_takes_too_long() {
    let origin = RawOrigin::start().await;
    let more = "origin.response_timeout = \"1s\"";
    let sidecar = Sidecar::start(&format!("http://{}", origin.address), more).await;
    let (mut leader, _held, followers) = herd(&origin, &sidecar).await;
    answers_from_now_on(origin);
    assert!(leader.head().await.starts_with("HTTP/1.1 504 "));
    for follower in followers {
        assert_eq!(soon(follower).await.unwrap().text(), "content");
    }
}

#[tokio::test]
async fn f8_those_who_wait_are_told_where_the_origin_says_nothing_to_anybody() {
    let origin = RawOrigin::start().await;
    let more = "origin.response_timeout = \"100ms\"";
    let sidecar = Sidecar::start(&format!("http://{}", origin.address), more).await;
    let (mut leader, _held, followers) = herd(&origin, &sidecar).await;
    assert!(leader.head().await.starts_with("HTTP/1.1 504 "));
    for follower in followers {
        assert_eq!(soon(follower).await.unwrap().status, 504);
    }
    assert_eq!(sidecar.metric("truehit_waiting_requests").await, 0.0);
}

/// How many requests an origin has under way, and had at most.
#[derive(Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

impl Load {
    async fn of_one(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        self.all.fetch_add(1, Ordering::Relaxed);
        // Long enough for others to come meanwhile.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// RFC 9875: what one write invalidates may be everything.
#[tokio::test]
async fn f9_where_all_is_invalidated_at_once_the_origin_is_asked_no_more_at_a_time_than_its_bound() {
    const KEYS: usize = 1000;
    const MOST: usize = 16;
    for protocol in ["http1", "h2"] {
        let load = Arc::new(Load::default());
        let seen = Arc::clone(&load);
        let origin = Origin::start(move |request: Request<Incoming>| {
            let load = Arc::clone(&load);
            async move {
                if request.method() == "POST" {
                    return Response::builder().header("cache-group-invalidation", "\"all\"").body(empty()).unwrap();
                }
                load.of_one().await;
                let answer = Response::builder().header("cache-control", "max-age=3600").header("etag", "\"1\"");
                answer.header("cache-groups", "\"all\"").body(full("content")).unwrap()
            }
        });
        let origin = origin.await;
        let more = format!(
            "origin.protocol = \"{protocol}\"\norigin.connections_max = {MOST}\norigin.queue_max = {KEYS}\n\
             origin.connect_timeout = \"60s\"\ndefaults.verify = \"when-stale\""
        );
        let sidecar = Sidecar::start(&origin.url(), &more).await;
        for round in 1..=2 {
            let (answers, mut answered) = mpsc::unbounded_channel();
            let mut clients = Vec::new();
            for _ in 0..KEYS / 100 {
                clients.push(sidecar.h2_client().await);
            }
            for key in 0..KEYS {
                clients[key % clients.len()].concurrent(get(&format!("/{key}")), answers.clone());
            }
            for _ in 0..KEYS {
                assert_eq!(soon(answered.recv()).await.unwrap().text(), "content");
            }
            assert_eq!(seen.all.load(Ordering::Relaxed), KEYS * round, "each was asked for");
            let mut client = sidecar.client().await;
            assert_eq!(client.fetch(ask("POST", "/").body(empty()).unwrap()).await.status, 200);
        }
        let most = seen.most.load(Ordering::Relaxed);
        assert!((2..=MOST).contains(&most), "{protocol}: {most} at a time");
    }
}
