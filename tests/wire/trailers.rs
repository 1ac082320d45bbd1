//! Trailers in both directions and versions, and calls shaped like gRPC's.

use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::peers::{channel, data};
use super::*;

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.append("x-checksum", HeaderValue::from_static("1"));
    trailers.append("x-checksum", HeaderValue::from_static("2"));
    trailers
}

/// Content that ends with trailers.
fn with_trailers(text: &'static str) -> Content {
    let frames = [data(text), Ok(Frame::trailers(trailers()))];
    BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames)))
}

/// Answers with trailers of its own, and says which came.
async fn origin() -> (String, mpsc::UnboundedReceiver<Option<HeaderMap>>) {
    let (came, all) = mpsc::unbounded_channel();
    let origin = Origin::start(move |request: Request<Incoming>| {
        let came = came.clone();
        async move {
            let collected = request.into_body().collect().await.unwrap();
            came.send(collected.trailers().cloned()).unwrap();
            let response = Response::builder().header("trailer", "x-checksum").header("etag", "\"1\"");
            response.body(with_trailers("content")).unwrap()
        }
    });
    (origin.await.url(), all)
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let (url, mut came) = origin().await;
    for protocol in ["http1", "h2"] {
        let sidecar = Sidecar::start(&url, &format!("origin.protocol = \"{protocol}\"")).await;
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            let request = ask("POST", "/").header("te", "trailers").header("trailer", "x-checksum");
            let answer = client.fetch(request.body(with_trailers("upload")).unwrap()).await;
            assert_eq!(answer.text(), "content");
            assert_eq!(answer.trailers, Some(trailers()), "from {protocol}");
            assert_eq!(soon(came.recv()).await.unwrap(), Some(trailers()), "to {protocol}");
        }
    }
}

#[tokio::test]
async fn a_miss_and_its_hit_have_the_same_trailers() {
    let (url, _came) = origin().await;
    let sidecar = Sidecar::start(&url, "").await;
    for round in ["miss", "hit"] {
        let request = ask("GET", "/").header("te", "trailers").body(empty()).unwrap();
        let answer = sidecar.h2_client().await.fetch(request).await;
        assert_eq!((answer.text(), &answer.trailers), ("content", &Some(trailers())), "{round}");
    }
}

/// RFC 9110 §10.1.4: who sends `TE` names it in `Connection`.
#[tokio::test]
async fn te_is_nominated_on_http1() {
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    let mut client = sidecar.client().await;
    let script = async { server.accept().await.answer(ok("1")).await };
    let request = ask("GET", "/").header("te", "gzip, trailers;q=0.5, trailers").body(empty()).unwrap();
    let (head, _) = tokio::join!(script, client.fetch(request));
    assert!(head.contains("\r\nte: trailers\r\n"), "{head}");
    let nominated =
        head.lines().filter_map(|line| line.strip_prefix("connection: ")).any(|line| line.eq_ignore_ascii_case("te"));
    assert!(nominated, "{head}");
}

/// Unary, server-streaming and trailers-only calls: `te: trailers` gets through, and the status is in the trailers.
#[tokio::test]
async fn calls_like_grpc_pass_over_http2() {
    let status = |code: &'static str| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        trailers.insert("grpc-message", HeaderValue::from_static("said%20so"));
        trailers
    };
    let origin = Origin::start(move |request: Request<Incoming>| async move {
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        let builder = Response::builder().header("content-type", "application/grpc");
        if request.uri().path() == "/Service/Fails" {
            return builder.header("grpc-status", "12").body(empty()).unwrap();
        }
        // Each message is answered before the next is read.
        let (frames, body) = channel();
        tokio::spawn(async move {
            let mut content = request.into_body();
            while let Some(frame) = content.frame().await {
                frames.send(Ok(Frame::data(frame.unwrap().into_data().unwrap()))).await.unwrap();
            }
            frames.send(Ok(Frame::trailers(status("0")))).await.unwrap();
        });
        builder.body(body).unwrap()
    });
    let sidecar = Sidecar::start(&origin.await.url(), "origin.protocol = \"h2\"").await;
    let mut client = sidecar.h2_client().await;
    let call = |path| ask("POST", path).header("te", "trailers").header("content-type", "application/grpc");

    let (frames, body) = channel();
    let mut response = client.send(call("/Service/Chat").body(body).unwrap()).await;
    assert_eq!(response.status(), 200);
    for message in ["\0\0\0\0\x01a", "\0\0\0\0\x01b"] {
        frames.send(data(message)).await.unwrap();
        assert_eq!(soon(response.frame()).await.unwrap().unwrap().into_data().unwrap(), message);
    }
    drop(frames);
    let end = soon(response.frame()).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(end, status("0"));

    let answer = client.fetch(call("/Service/Fails").body(full("\0\0\0\0\0")).unwrap()).await;
    assert_eq!((answer.field("grpc-status"), &answer.trailers), ("12", &None), "trailers only");
}
