//! The life of a sidecar: ready, reloaded, drained, gone. What a crowd of clients sees of it is in the catalogue
//! (`tests/catalogue/life`).

use std::sync::Arc;

use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use truehit::lifecycle::End;

use super::*;

/// A request keeps the configuration that it began with, its origin too.
#[tokio::test]
async fn a_reload_to_another_origin_forgets_what_the_old_one_said() {
    let (old, _) = Origin::telling(|| Response::builder().header("etag", "\"1\"").body(full("old")).unwrap()).await;
    let (new, _) = Origin::telling(|| Response::builder().header("etag", "\"1\"").body(full("new")).unwrap()).await;
    let sidecar = Sidecar::start(&old.url(), "defaults.verify = \"60s\"").await;
    let mut client = sidecar.client().await;
    assert_eq!(client.get("/").await.text(), "old");
    assert!(client.get("/").await.field("cache-status").contains("detail=lease"));
    sidecar.configure(&new.url(), "defaults.verify = \"60s\"");
    sidecar.reload().await;
    assert_eq!(client.get("/").await.text(), "new");
    assert_eq!(sidecar.metric("truehit_store_entries").await, 1.0);
}

#[tokio::test]
async fn drain_makes_it_not_ready_and_goes_on_serving() {
    let (origin, _) = Origin::telling(|| Response::new(full("1"))).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let mut kept = sidecar.client().await;
    assert_eq!(kept.get("/").await.text(), "1");
    assert_eq!(sidecar.admin("/readyz").await.status, 200);
    assert_eq!(sidecar.admin("/drain").await.status, 200);
    assert_eq!(sidecar.admin("/readyz").await.status, 503);
    assert_eq!(sidecar.admin("/livez").await.status, 200);
    assert_eq!(sidecar.metric("truehit_ready").await, 0.0);
    for client in [&mut kept, &mut sidecar.client().await, &mut sidecar.h2_client().await] {
        let answer = client.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.field("connection")), (200, ""));
    }
    sidecar.terminate().await;
    assert_eq!(sidecar.ended().await, End::Finished);
}

#[tokio::test]
async fn readiness_goes_first_and_what_runs_is_answered() {
    let (asked, mut asks) = mpsc::unbounded_channel();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let origin = Origin::start(move |request: Request<Incoming>| {
        asked.send(()).unwrap();
        let gate = Arc::clone(&opened);
        async move {
            if request.uri().path() != "/new" {
                gate.acquire().await.unwrap().forget();
            }
            Response::new(full("late"))
        }
    });
    let sidecar = Sidecar::delayed(&origin.await.url(), "60s").await;
    let (mut one, mut two) = (sidecar.client().await, sidecar.h2_client().await);
    let running = tokio::spawn(async move { tokio::join!(one.get("/1"), two.get("/2")) });
    for _ in 0..2 {
        soon(asks.recv()).await.unwrap();
    }
    sidecar.terminate().await;
    let not_ready = async {
        while sidecar.admin("/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    soon(not_ready).await;
    // The delay runs: clients that have not heard yet are served as ever.
    assert_eq!(sidecar.get("/new").await.text(), "late");
    // A second signal cuts the delay short.
    sidecar.terminate().await;
    while TcpStream::connect(sidecar.address()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    let (one, two) = soon(running).await.unwrap();
    assert_eq!((one.text(), two.text()), ("late", "late"));
    assert_eq!(sidecar.ended().await, End::Finished);
}
