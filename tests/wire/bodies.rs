//! Content of every framing and size, both ways, and `Expect: 100-continue`.

use sha2::{Digest, Sha256};

use super::*;

const LARGE: usize = 10 * 1024 * 1024;

/// Bytes of which no two stretches are alike.
fn large() -> Bytes {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()
    };
    Bytes::from((0..LARGE / 8).flat_map(next).collect::<Vec<_>>())
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// Answers the content that it was sent, framed as it pleases: with its length on `/length`, chunked elsewhere.
async fn mirror(request: Request<hyper::body::Incoming>) -> Response<Content> {
    use http_body_util::BodyExt;
    let with_length = request.uri().path() == "/length";
    let body = request.into_body();
    if with_length {
        return Response::new(full(body.collect().await.unwrap().to_bytes()));
    }
    Response::new(body.map_err(Into::into).boxed_unsync())
}

#[tokio::test]
async fn ten_megabytes_go_both_ways_however_they_are_framed() {
    let origin = Origin::start(mirror).await;
    let over_h1 = Sidecar::start(&origin.url(), "").await;
    let over_h2 = Sidecar::start(&origin.url(), "origin.protocol = \"h2\"").await;
    let content = large();
    let expected = digest(&content);
    for sidecar in [&over_h1, &over_h2] {
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            for (target, chunked) in [("/length", false), ("/chunked", true)] {
                let body = if chunked { in_pieces(content.clone()) } else { full(content.clone()) };
                let answer = client.fetch(ask("POST", target).body(body).unwrap()).await;
                assert_eq!((answer.status.as_u16(), answer.body.len()), (200, LARGE));
                assert_eq!(digest(&answer.body), expected);
            }
        }
    }
}

/// The same content without a known length.
fn in_pieces(content: Bytes) -> Content {
    use http_body_util::{BodyExt, StreamBody};
    let mut left = content;
    let pieces = std::iter::from_fn(move || {
        (!left.is_empty()).then(|| Ok(http_body::Frame::data(left.split_to(left.len().min(100_000)))))
    });
    BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(pieces)))
}

#[tokio::test]
async fn a_large_miss_is_whole_and_so_is_its_hit() {
    let content = large();
    let expected = digest(&content);
    let (origin, _) =
        Origin::telling(move || Response::builder().header("etag", "\"1\"").body(full(content.clone())).unwrap()).await;
    let sidecar = Sidecar::start(&origin.url(), "defaults.object_max = \"16MiB\"\ncache.memory = \"64MiB\"").await;
    for _ in 0..2 {
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            assert_eq!(digest(&client.get("/").await.body), expected);
        }
    }
    assert_eq!(sidecar.metric("truehit_store_entries").await, 1.0);
}

#[tokio::test]
async fn what_is_too_large_to_store_passes_whole() {
    let content = large();
    let expected = digest(&content);
    let (origin, _) = Origin::telling(move || Response::new(in_pieces(content.clone()))).await;
    let sidecar = Sidecar::start(&origin.url(), "defaults.object_max = \"1MiB\"").await;
    assert_eq!(digest(&sidecar.get("/").await.body), expected);
    assert_eq!(sidecar.metric("truehit_store_entries").await, 0.0);
    assert_eq!(sidecar.metric("truehit_not_stored_total{reason=\"too-large\"}").await, 1.0);
}

#[tokio::test]
async fn request_content_keeps_its_framing() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    let mut client = sidecar.raw().await;
    client.write("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").await;
    let mut origin = server.accept().await;
    let head = origin.head().await;
    assert!(head.contains("content-length: 4\r\n") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(origin.exactly(4).await, b"body");
    origin.write(ok("1")).await;
    client.until(b"\r\n\r\n1").await;
    quarantine().await;

    client.write("PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n").await;
    let head = origin.head().await;
    assert!(head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"), "{head}");
    assert_eq!(origin.until(b"0\r\n\r\n").await, b"4\r\nbody\r\n0\r\n\r\n");
    origin.write(ok("2")).await;
    client.until(b"\r\n\r\n2").await;
    quarantine().await;

    client.write("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    let head = origin.answer(ok("3")).await;
    assert!(head.contains("content-length: 0\r\n"), "a POST says that it has none: {head}");
    client.until(b"\r\n\r\n3").await;
}

#[tokio::test]
async fn a_query_is_answered_however_its_content_is_framed() {
    let found = || Response::builder().header("etag", "\"1\"").body(full("found")).unwrap();
    let (origin, mut asks) = Origin::telling(found).await;
    let over_h1 = Sidecar::start(&origin.url(), "").await;
    let over_h2 = Sidecar::start(&origin.url(), "origin.protocol = \"h2\"").await;
    let long = Bytes::from("x".repeat(150_000));
    for sidecar in [&over_h1, &over_h2] {
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            for (content, passes) in [(Bytes::from_static(b"what"), false), (long.clone(), true)] {
                for body in [full(content.clone()), in_pieces(content.clone())] {
                    let request = ask("QUERY", "/a").header("content-type", "text/plain").body(body).unwrap();
                    let answer = client.fetch(request).await;
                    assert_eq!((answer.status.as_u16(), answer.text()), (200, "found"));
                    assert_eq!(answer.field("cache-status").ends_with("content-too-long"), passes);
                    let (head, came) = asks.recv().await.unwrap();
                    assert_eq!((head.method.as_str(), came), ("QUERY", content.clone()));
                }
            }
        }
        assert_eq!(sidecar.metric("truehit_store_entries").await, 1.0, "one query, whoever asks it");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_passes_and_is_not_stored() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    for round in 0..2 {
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            let script = async {
                let mut connection = server.accept().await;
                connection.answer("HTTP/1.0 200 OK\r\nETag: \"1\"\r\n\r\nuntil the end").await;
            };
            let (_, answer) = tokio::join!(script, client.get("/"));
            assert_eq!(answer.text(), "until the end", "{round}");
        }
    }
    assert_eq!(sidecar.metric("truehit_store_entries").await, 0.0);
}

#[tokio::test]
async fn a_client_that_expects_100_is_told_to_go_on() {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("thanks"))).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    let mut client = sidecar.raw().await;
    client.write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 100 Continue\r\n"));
    client.write("content").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(client.exactly(6).await, b"thanks");
    assert_eq!(asks.recv().await.unwrap().1, "content");
}

#[tokio::test]
async fn an_origin_that_answers_before_the_content_is_heard() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    let mut client = sidecar.raw().await;
    client.write("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n").await;
    let mut origin = server.accept().await;
    origin.answer("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await;
    // Whether truehit has said "go on" by then is a race that it may lose.
    let mut head = client.head().await;
    if head.starts_with("HTTP/1.1 100 ") {
        head = client.head().await;
    }
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

/// RFC 9110 §15.2: interim responses are not the answer.
#[tokio::test]
async fn interim_responses_of_the_origin_are_not_the_answer() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    let mut client = sidecar.client().await;
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let script = async { server.accept().await.answer(format!("{early}{early}{}", ok("final"))).await };
    let (_, answer) = tokio::join!(script, client.get("/"));
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "final"));
}
