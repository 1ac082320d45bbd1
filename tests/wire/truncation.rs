//! A body that the origin cut short never looks whole, and is never stored.

use std::time::Duration;

use http_body_util::BodyExt;

use super::peers::{channel, data};
use super::*;

/// How an origin breaks off, and whether it resets the connection.
const BREAKS: [(&str, &str, bool); 5] = [
    ("a length that is not reached", "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 100\r\n\r\npart", false),
    (
        "chunks without an end",
        "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
        false,
    ),
    ("within a chunk", "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n64\r\npart", false),
    ("within a chunk's size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n1", false),
    ("a reset", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", true),
];

/// Whether a client got a whole answer.
async fn is_whole(client: &mut Client, request: Request<Content>) -> bool {
    match client.try_send(request).await {
        // An answer that says that it failed is whole, and does not pretend to be the origin's.
        Ok(response) if response.status() == 502 => false,
        Ok(response) => soon(response.into_body().collect()).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn what_the_origin_cut_short_never_looks_whole() {
    for (sentence, response, reset) in BREAKS {
        let server = RawOrigin::start().await;
        let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
        for method in ["GET", "POST"] {
            for mut client in [sidecar.client().await, sidecar.h2_client().await] {
                let script = async {
                    let mut connection = server.accept().await;
                    connection.answer(response).await;
                    if reset {
                        #[expect(deprecated, reason = "zero does not block: it makes the close a reset")]
                        connection.stream.set_linger(Some(Duration::ZERO)).unwrap();
                    }
                };
                let request = ask(method, "/").body(empty()).unwrap();
                let (_, whole) = tokio::join!(script, is_whole(&mut client, request));
                assert!(!whole, "{sentence}, {method}");
            }
        }
        assert_eq!(sidecar.metric("truehit_store_entries").await, 0.0, "{sentence}");
        assert_eq!(sidecar.metric("truehit_fill_bytes").await, 0.0, "{sentence}");
    }
}

#[tokio::test]
async fn a_raw_client_sees_no_end_either() {
    for (sentence, response, _) in BREAKS {
        let server = RawOrigin::start().await;
        let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
        let mut client = sidecar.raw().await;
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        server.accept().await.answer(response).await;
        let answer = String::from_utf8(client.closed().await).unwrap();
        if answer.starts_with("HTTP/1.1 502 ") {
            continue;
        }
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let short = head.contains("content-length: 100") && body.len() < 100;
        let endless = head.contains("transfer-encoding: chunked") && !body.ends_with("0\r\n\r\n");
        assert!(short || endless, "{sentence}: {answer}");
    }
}

#[tokio::test]
async fn an_http2_stream_that_the_origin_resets_never_looks_whole() {
    let origin = Origin::start(|request: Request<hyper::body::Incoming>| async move {
        let (frames, body) = channel();
        tokio::spawn(async move {
            frames.send(data("part")).await.unwrap();
            frames.send(Err("broken".into())).await.unwrap();
        });
        let response = Response::builder();
        let length = request.uri().path() == "/length";
        if length { response.header("content-length", "100") } else { response }.body(body).unwrap()
    });
    let sidecar = Sidecar::start(&origin.await.url(), "origin.protocol = \"h2\"").await;
    for target in ["/", "/length"] {
        for method in ["GET", "POST"] {
            for mut client in [sidecar.client().await, sidecar.h2_client().await] {
                assert!(!is_whole(&mut client, ask(method, target).body(empty()).unwrap()).await, "{method} {target}");
            }
        }
    }
    assert_eq!(sidecar.metric("truehit_store_entries").await, 0.0);
}

/// A client that breaks off its upload must not make the origin believe that it was whole.
#[tokio::test]
async fn an_upload_that_breaks_off_never_looks_whole_to_the_origin() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    for (framing, part) in [("Content-Length: 100", "part"), ("Transfer-Encoding: chunked", "4\r\npart\r\n")] {
        let mut client = sidecar.raw().await;
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{part}")).await;
        let mut origin = server.accept().await;
        origin.until(b"part").await;
        drop(client);
        let rest = origin.closed().await;
        assert!(!rest.windows(5).any(|window| window == b"0\r\n\r\n"), "{framing}: {rest:?}");
    }
}

/// The one that was cut is forgotten: the next request is answered whole.
#[tokio::test]
async fn after_a_break_the_next_request_is_answered() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    for (_, response, _) in BREAKS {
        let mut client = sidecar.client().await;
        let script = async { server.accept().await.answer(response).await };
        let request = ask("GET", "/").body(empty()).unwrap();
        let (_, whole) = tokio::join!(script, is_whole(&mut client, request));
        assert!(!whole);
        let mut client = sidecar.client().await;
        let script = async {
            server
                .accept()
                .await
                .answer(
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nCache-Control: no-store\r\n\r\nwhole",
                )
                .await
        };
        let (_, answer) = tokio::join!(script, client.get("/"));
        assert_eq!(answer.text(), "whole");
    }
}
