//! Deadlines, and clients that leave: what was held is given back.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};

use super::peers::{channel, data};
use super::*;

#[tokio::test]
async fn an_origin_that_does_not_answer_in_time_is_504_and_says_so() {
    let origin = Origin::start(|_| std::future::pending()).await;
    for protocol in ["http1", "h2"] {
        let more = format!("origin.protocol = \"{protocol}\"\norigin.response_timeout = \"100ms\"");
        let sidecar = Sidecar::start(&origin.url(), &more).await;
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            for method in ["GET", "POST"] {
                let answer = client.fetch(ask(method, "/").body(empty()).unwrap()).await;
                assert_eq!(answer.status, 504);
                assert_eq!(answer.field("proxy-status"), "truehit; error=http_response_timeout");
                assert_eq!(answer.field("content-type"), "application/problem+json");
            }
        }
        assert_eq!(sidecar.metric("truehit_running_exchanges").await, 0.0);
    }
}

#[tokio::test]
async fn an_origin_that_falls_silent_within_a_body_does_not_hold_its_reader() {
    let (kept, mut senders) = mpsc::unbounded_channel();
    let origin = Origin::start(move |_| {
        let (frames, body) = channel();
        kept.send(frames.clone()).unwrap();
        async move {
            frames.send(data("part")).await.unwrap();
            Response::new(body)
        }
    });
    let sidecar = Sidecar::start(&origin.await.url(), "origin.progress_timeout = \"100ms\"").await;
    for mut client in [sidecar.client().await, sidecar.h2_client().await] {
        let response = client.send(ask("GET", "/").body(empty()).unwrap()).await;
        assert!(soon(response.into_body().collect()).await.is_err());
        senders.recv().await.unwrap();
    }
    sidecar.until_metric("truehit_fill_bytes", 0.0).await;
    assert_eq!(sidecar.metric("truehit_store_entries").await, 0.0);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_is_502() {
    let nowhere = RawOrigin::start().await.address;
    let sidecar = Sidecar::start(&format!("http://{nowhere}"), "").await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.field("proxy-status")), (502, "truehit; error=connection_refused"));
    assert_eq!(sidecar.admin("/readyz").await.status, 200, "the origin's health is not ours");
}

/// An origin that says when it is asked and answers when it may.
async fn gated() -> (String, mpsc::UnboundedReceiver<()>, Arc<Semaphore>) {
    let (asked, asks) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let origin = Origin::start(move |request: Request<Incoming>| {
        asked.send(()).unwrap();
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await.unwrap().forget();
            let known = request.headers().contains_key("if-none-match");
            let response = Response::builder().header("etag", "\"1\"").status(if known { 304 } else { 200 });
            response.body(if known { empty() } else { full(vec![1; 200_000]) }).unwrap()
        }
    });
    (origin.await.url(), asks, gate)
}

/// Nothing is left of requests that nobody waits for, and the next one is answered.
async fn is_at_rest(sidecar: &Sidecar, gate: &Semaphore) {
    gate.add_permits(1000);
    for gauge in ["truehit_waiting_requests", "truehit_running_exchanges", "truehit_connections"] {
        sidecar.until_metric(gauge, 0.0).await;
    }
    sidecar.until_metric("truehit_fill_bytes", 0.0).await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 200_000));
}

#[tokio::test]
async fn clients_that_leave_before_the_answer_leave_nothing_behind() {
    for stored in [false, true] {
        let (url, mut asks, gate) = gated().await;
        let sidecar = Sidecar::start(&url, "").await;
        if stored {
            gate.add_permits(1);
            sidecar.get("/").await;
            asks.recv().await.unwrap();
        }
        // One leads and the others wait, in HTTP/1.1 and HTTP/2, on one key and on several.
        let mut leavers = Vec::new();
        for number in 0..12 {
            let mut client = if number % 2 == 0 { sidecar.client().await } else { sidecar.h2_client().await };
            let target = if number % 3 == 0 { "/other" } else { "/" };
            leavers.push(tokio::spawn(async move { client.try_send(ask("GET", target).body(empty()).unwrap()).await }));
        }
        soon(asks.recv()).await.unwrap();
        sidecar.until_metric("truehit_waiting_requests", 12.0).await;
        for leaver in leavers {
            leaver.abort();
        }
        is_at_rest(&sidecar, &gate).await;
    }
}

#[tokio::test]
async fn clients_that_leave_at_any_byte_leave_nothing_behind() {
    for target in ["/", "/other"] {
        let (url, _asks, gate) = gated().await;
        let sidecar = Sidecar::start(&url, "").await;
        gate.add_permits(1000);
        // The first is a miss, those that follow are hits or join what is on its way.
        for bytes in [0, 1, 17, 100, 150, 300, 1000, 20_000, 66_000, 199_999] {
            let mut client = sidecar.raw().await;
            client.write(format!("GET {target} HTTP/1.1\r\nHost: api.test\r\n\r\n")).await;
            client.exactly(bytes).await;
        }
        is_at_rest(&sidecar, &gate).await;
    }
}

#[tokio::test]
async fn clients_that_leave_within_their_request_leave_nothing_behind() {
    let (url, _asks, gate) = gated().await;
    let sidecar = Sidecar::start(&url, "").await;
    for part in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
    ] {
        sidecar.raw().await.write(part).await;
    }
    is_at_rest(&sidecar, &gate).await;
}

/// The leader leaves: its batch is answered all the same.
#[tokio::test]
async fn a_leader_that_leaves_does_not_strand_its_batch() {
    let (url, mut asks, gate) = gated().await;
    let sidecar = Sidecar::start(&url, "").await;
    let mut leader = sidecar.raw().await;
    leader.write("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n").await;
    soon(asks.recv()).await.unwrap();
    let mut client = sidecar.client().await;
    let follower = tokio::spawn(async move { client.get("/").await });
    sidecar.until_metric("truehit_waiting_requests", 2.0).await;
    drop(leader);
    sidecar.until_metric("truehit_waiting_requests", 1.0).await;
    gate.add_permits(2);
    assert_eq!(soon(follower).await.unwrap().body.len(), 200_000);
    is_at_rest(&sidecar, &gate).await;
}
