//! What streams arrives as it is sent: events, misses and what cannot be stored.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::peers::{channel, data};
use super::*;

type Frames = mpsc::Sender<Result<http_body::Frame<Bytes>, truehit::origin::BoxError>>;

/// An origin whose bodies the test sends frame by frame: one sender for each request.
async fn by_frames(fields: &'static [(&'static str, &'static str)]) -> (String, mpsc::UnboundedReceiver<Frames>) {
    let (asked, asks) = mpsc::unbounded_channel();
    let origin = Origin::start(move |_| {
        let (frames, body) = channel();
        asked.send(frames).unwrap();
        let mut response = Response::new(body);
        for (name, value) in fields {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        std::future::ready(response)
    });
    (origin.await.url(), asks)
}

/// The next piece of content, if another comes. HTTP/2 may end with a frame that has none.
async fn next(body: &mut Incoming) -> Option<Bytes> {
    loop {
        let piece = soon(body.frame()).await?.unwrap().into_data().unwrap();
        if !piece.is_empty() {
            return Some(piece);
        }
    }
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let (url, mut asks) = by_frames(&[("content-type", "text/event-stream")]).await;
    for protocol in ["http1", "h2"] {
        let sidecar = Sidecar::start(&url, &format!("origin.protocol = \"{protocol}\"")).await;
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            for method in ["GET", "POST"] {
                let response = client.send(ask(method, "/events").body(empty()).unwrap());
                let (response, frames) = tokio::join!(response, asks.recv());
                let (mut body, frames) = (response.into_body(), frames.unwrap());
                for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
                    frames.send(data(event)).await.unwrap();
                    assert_eq!(next(&mut body).await.unwrap(), event, "before the next is sent");
                }
                drop(frames);
                assert_eq!(next(&mut body).await, None);
            }
        }
    }
}

/// Two readers of one stream of events do not share it, and neither waits for the other.
#[tokio::test]
async fn two_readers_have_a_stream_of_events_each() {
    let (url, mut asks) = by_frames(&[("content-type", "text/event-stream")]).await;
    let sidecar = Sidecar::start(&url, "").await;
    let (mut one, mut two) = (sidecar.client().await, sidecar.client().await);
    let request = || ask("GET", "/events").body(empty()).unwrap();
    let (first, frames) = tokio::join!(one.send(request()), asks.recv());
    let (second, others) = tokio::join!(two.send(request()), asks.recv());
    let (mut first, mut second) = (first.into_body(), second.into_body());
    frames.unwrap().send(data("data: a\n\n")).await.unwrap();
    others.unwrap().send(data("data: b\n\n")).await.unwrap();
    assert_eq!(next(&mut first).await.unwrap(), "data: a\n\n");
    assert_eq!(next(&mut second).await.unwrap(), "data: b\n\n");
}

#[tokio::test]
async fn a_reader_of_events_that_leaves_ends_them_at_the_origin() {
    let (url, mut asks) = by_frames(&[("content-type", "text/event-stream")]).await;
    for protocol in ["http1", "h2"] {
        let sidecar = Sidecar::start(&url, &format!("origin.protocol = \"{protocol}\"")).await;
        for version in ["h1", "h2"] {
            let mut client = if version == "h1" { sidecar.client().await } else { sidecar.h2_client().await };
            let response = client.send(ask("GET", "/events").body(empty()).unwrap());
            let (response, frames) = tokio::join!(response, asks.recv());
            drop((response, client));
            soon(frames.unwrap().closed()).await;
        }
    }
}

#[tokio::test]
async fn a_miss_streams_while_it_is_recorded() {
    let (url, mut asks) = by_frames(&[("etag", "\"1\"")]).await;
    let sidecar = Sidecar::start(&url, "").await;
    for (target, mut client) in [("/1", sidecar.client().await), ("/2", sidecar.h2_client().await)] {
        let response = client.send(ask("GET", target).body(empty()).unwrap());
        let (response, frames) = tokio::join!(response, asks.recv());
        assert!(response.headers()["cache-status"].to_str().unwrap().contains("; stored"));
        let (mut body, frames) = (response.into_body(), frames.unwrap());
        for piece in ["first ", "second ", "third"] {
            frames.send(data(piece)).await.unwrap();
            assert_eq!(next(&mut body).await.unwrap(), piece, "before the next is sent");
        }
        drop(frames);
        assert_eq!(next(&mut body).await, None);
    }
    sidecar.until_metric("truehit_store_entries", 2.0).await;
}

#[tokio::test]
async fn an_upload_streams_while_it_is_sent() {
    let (arrived, mut pieces) = mpsc::unbounded_channel();
    let origin = Origin::start(move |request: Request<Incoming>| {
        let arrived = arrived.clone();
        async move {
            let mut body = request.into_body();
            while let Some(piece) = next(&mut body).await {
                arrived.send(piece).unwrap();
            }
            Response::new(full("done"))
        }
    });
    let url = origin.await.url();
    for protocol in ["http1", "h2"] {
        let sidecar = Sidecar::start(&url, &format!("origin.protocol = \"{protocol}\"")).await;
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            let (frames, body) = channel();
            let upload = async {
                for piece in ["one", "two", "three"] {
                    frames.send(data(piece)).await.unwrap();
                    assert_eq!(soon(pieces.recv()).await.unwrap(), piece, "before the next is sent");
                }
                drop(frames);
            };
            let (_, answer) = tokio::join!(upload, client.fetch(ask("POST", "/").body(body).unwrap()));
            assert_eq!(answer.text(), "done");
        }
    }
}
